"""What a cycle decided and what it found: candidates, gate verdicts, equity, and the cycle itself.

Every candidate ends in exactly one outcome, and every configured gate has exactly one verdict on it.
"""

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
    """How a candidate ended at this slot."""

    ENTERED = "entered"
    REJECTED = "rejected"


class Comparator(StrEnum):
    """How a gate compares its value with its threshold."""

    AT_LEAST = ">="
    AT_MOST = "<="
    ABOVE = ">"
    IS = "="


class Reason(StrEnum):
    """Why something did not happen, where the gate's own name does not already say it."""

    MISSING_PRICE = "missing_price"
    MISSING_SIGNAL = "missing_signal"
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
    """A signal judged at a slot; complete means that no needed input was missing or stale."""

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
    """A level as a candidate's decision saw it, after merging; merged: how many recorded levels it stands for.

    Written only where the strategy merges levels or asks for their strength. strength_source: provider or bars.
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
    """One gate's answer on one candidate; value None: the input was missing, and reason says which."""

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
    """The account at a slot, after settlement and before that slot's entries fill; exposure and drawdown fractions.

    drawdown_deepest: the deepest drawdown so far, at whatever slot, also one that a replay does not write;
    drawdown_high: the equity it fell from, first reached at drawdown_started_at; drawdown_trough_at: its lowest slot;
    drawdown_recovered_at: the first slot that reached drawdown_high again, None: not yet. benchmark: what holding the
    universe in equal parts is worth, at the first marked slot of a UTC day; None at others, and where a price is not
    known.
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
    """A part of the benchmark: what was put into a token, in quote currency, and the price at which it was bought.

    price None: the token has none yet, the part is cash until a later row has it; worth zero: the token left the
    universe, its part went to the others.
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
