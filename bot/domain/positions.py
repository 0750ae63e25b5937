"""Positions, their marks, the moves of their stops, and their closings."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.ids import PositionId, RunName, SignalId, TokenId
from bot.domain.numbers import Price, Quantity
from bot.domain.orders import Side


class ExitReason(StrEnum):
    """Why a position was closed."""

    STOP_HIT = "stop_hit"
    TRAILING_STOP = "trailing_stop"
    BREAK_EVEN = "break_even"
    TARGET_HIT = "target_hit"
    SIGNAL_FLIPPED = "signal_flipped"
    TIME_STOP = "time_stop"
    RISK_BREAKER = "risk_breaker"
    MANUAL = "manual"
    DELISTED = "delisted"
    LIQUIDATED = "liquidated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A position as it was opened; (run, token_id, ordinal) is unique.

    entry_price: includes costs but not fees. stop_level, target_level: when placed at the fill.
    """

    position_id: PositionId
    run: RunName
    slot: datetime
    token_id: TokenId
    ordinal: int
    order_ordinal: int
    signal_id: SignalId
    side: Side
    quantity: Quantity
    entry_price: Price
    opened_at: datetime
    stop_initial: Price | None
    target: Price | None
    stop_source: str
    target_source: str
    stop_level: Price | None = None
    target_level: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The price of an open position at a slot, and the extreme prices since its entry filled."""

    position_id: PositionId
    run: RunName
    slot: datetime
    price: Price
    low: Price
    high: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class StopMove:
    """The number-th move of a position's stop; a stop only moves nearer to the price.

    reason: of the exit at it. moved_at: the bar's close, or the instant of the slot's decision.
    """

    position_id: PositionId
    run: RunName
    slot: datetime
    number: int
    moved_at: datetime
    price: Price
    reason: ExitReason
    level: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The end of a position; mae (at most 0) and mfe (at least 0) are fractions of the notional."""

    position_id: PositionId
    run: RunName
    slot: datetime
    closed_at: datetime
    reason: ExitReason
    profit: Decimal
    mae: Decimal
    mfe: Decimal
