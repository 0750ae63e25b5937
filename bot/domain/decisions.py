"""What a cycle decided: candidates with one outcome, one verdict of each gate, and marks."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.books import JournalEntry
from bot.domain.events import RunEvent
from bot.domain.ids import CandidateId, RunName, SignalId, TokenId
from bot.domain.numbers import Price, Quantity
from bot.domain.orders import Fill, Order, OrderEvent, Side
from bot.domain.positions import Closing, Mark, Position, StopMove


class Outcome(StrEnum):
    """How a candidate ended at a slot."""

    ENTERED = "entered"
    REJECTED = "rejected"


class Comparator(StrEnum):
    """How a gate compares its value with its threshold."""

    AT_LEAST = ">="
    AT_MOST = "<="
    ABOVE = ">"
    IS = "="


class Reason(StrEnum):
    """Why something did not happen, when the name of the gate alone does not say it."""

    MISSING_PRICE = "missing_price"
    MISSING_SIGNAL = "missing_signal"
    INCOMPLETE_HISTORY = "incomplete_history"
    MISSING_LEVELS = "missing_levels"
    MISSING_GRADE = "missing_grade"
    MISSING_QUANTMETRICS = "missing_quantmetrics"
    MISSING_VOLATILITY = "missing_volatility"
    MISSING_MARKET = "missing_market"
    MISSING_BARS = "missing_bars"
    NO_STOP = "no_stop"
    NO_TARGET = "no_target"
    TURNED_BEARISH = "turned_bearish"
    TURNED_BULLISH = "turned_bullish"
    EXPIRED = "expired"
    BRACKET_INVALID_AT_FILL = "bracket_invalid_at_fill"
    CASH_AT_FILL = "cash_at_fill"
    EXPOSURE_AT_FILL = "exposure_at_fill"
    POSITION_CLOSED = "position_closed"
    ENTRY_NOT_FILLED = "entry_not_filled"
    RISK_BREAKER = "risk_breaker"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A signal judged at a slot; complete when no needed input was missing or stale."""

    candidate_id: CandidateId
    run: RunName
    slot: datetime
    token_id: TokenId
    signal_id: SignalId
    outcome: Outcome
    first_reason: str | None
    complete: bool
    rank: int
    reference_price: Price | None
    stop: Price | None
    target: Price | None
    stop_source: str | None
    target_source: str | None
    stop_level: Price | None
    target_level: Price | None
    reward_risk: Decimal | None
    quantity: Quantity | None
    size_bound: str | None
    side: Side | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateLevel:
    """A level as a decision used it, written when a strategy merges levels or uses their strength.

    strength_source: `provider` or `bars`. merged: the number of recorded levels merged into it.
    """

    candidate_id: CandidateId
    run: RunName
    slot: datetime
    number: int
    price: Price
    strength: Decimal | None
    strength_source: str | None
    merged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer of one gate on one candidate; without a value, reason names the missing input."""

    candidate_id: CandidateId
    run: RunName
    slot: datetime
    number: int
    gate: str
    value: Decimal | None
    comparator: Comparator
    threshold: Decimal | None
    passed: bool
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityMark:
    """The account at a slot, after settlement and before the entries of that slot fill.

    exposure and drawdown are fractions of equity and of its high.
    drawdown_deepest: the deepest so far at any slot, also at those that a replay does not write.
    drawdown_high: the equity that it fell from, first reached at drawdown_started_at.
    drawdown_trough_at: of its lowest equity. drawdown_recovered_at: when it was at the high again.
    benchmark: the universe held in equal parts, at the first marked slot of a UTC day with prices.
    """

    run: RunName
    slot: datetime
    cash: Decimal
    positions_value: Decimal
    equity: Decimal
    high_water_mark: Decimal
    drawdown: Decimal
    exposure: Decimal
    open_positions: int
    drawdown_deepest: Decimal | None = None
    drawdown_high: Decimal | None = None
    drawdown_started_at: datetime | None = None
    drawdown_trough_at: datetime | None = None
    drawdown_recovered_at: datetime | None = None
    benchmark: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkPart:
    """The part of the benchmark in one token: the amount put in and the price it was bought at.

    worth: zero when the token left the universe. price: None while the part stays cash.
    """

    run: RunName
    slot: datetime
    token_id: TokenId
    price: Price | None
    worth: Decimal


Fact = (
    Candidate
    | Verdict
    | CandidateLevel
    | Order
    | OrderEvent
    | Fill
    | Position
    | StopMove
    | Mark
    | Closing
    | JournalEntry
    | BenchmarkPart
    | EquityMark
    | RunEvent
)
