"""Orders, the table of their life cycle, and their fills.

Every change of state is checked against `TRANSITIONS`; a change that the table lacks is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from bot.domain.errors import InvariantError
from bot.domain.ids import FillId, OrderId, PositionId, RunName, SignalId, TokenId
from bot.domain.numbers import Price, Quantity


class Side(StrEnum):
    """The direction of a position."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """The sign of the profit when the price rises: 1 for a long, -1 for a short."""
        return 1 if self is Side.LONG else -1

    def worst_and_best(self, low: Price, high: Price) -> tuple[Price, Price]:
        """Sort the extremes of a bar into the worst and the best price for a position."""
        return (low, high) if self is Side.LONG else (high, low)


class Anchor(StrEnum):
    """The price that bracket and quantity depend on: the reference price or the fill price."""

    REFERENCE = "reference"
    FILL = "fill"


class Role(StrEnum):
    """What an order does for its position."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"


class OrderState(StrEnum):
    """The states of an order's life cycle."""

    PLANNED = "planned"
    ACCEPTED = "accepted"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED})
TRANSITIONS: Mapping[OrderState | None, frozenset[OrderState]] = MappingProxyType(
    {
        None: frozenset({OrderState.PLANNED, OrderState.ACCEPTED}),
        OrderState.PLANNED: frozenset({OrderState.ACCEPTED, OrderState.CANCELLED}),
        OrderState.ACCEPTED: FINAL,
        **dict.fromkeys(FINAL, frozenset()),
    }
)


def check_transition(order_id: OrderId, state: OrderState | None, following: OrderState) -> None:
    """Raise InvariantError for a change of state that the table lacks."""
    if following not in TRANSITIONS[state]:
        change = f"{state or 'unknown'} -> {following}"
        raise InvariantError(f"order {order_id}: {change} is no transition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order with the fields it was created with.

    price: the stop or target price, or the reference price of a market order.
    stop, target and their sources: the bracket that an entry was accepted with.
    equity, drawdown, weight: the account at the slot and the weight of a normalised size, for an
    entry whose bracket is anchored at its fill. anchor: of an entry only.
    cut_off: of the cycle that accepted a market order.
    part: counts the second and later of several targets from 1.
    share: the fraction of the initial quantity that a target takes; None means the rest.
    """

    order_id: OrderId
    run: RunName
    slot: datetime
    position_id: PositionId
    signal_id: SignalId
    token_id: TokenId
    side: Side
    role: Role
    ordinal: int
    rank: int
    quantity: Quantity
    price: Price
    reason: str | None = None
    stop: Price | None = None
    target: Price | None = None
    stop_source: str | None = None
    target_source: str | None = None
    part: int | None = None
    share: Decimal | None = None
    equity: Decimal | None = None
    cut_off: datetime | None = None
    drawdown: Decimal | None = None
    weight: Decimal | None = None
    anchor: Anchor | None = None

    @property
    def is_anchored_at_fill(self) -> bool:
        """Whether the bracket of this entry is found from the price of its fill.

        An order of a ledger before schema 0006 names no anchor; it has an equity where that is the
        fill.
        """
        return self.equity is not None if self.anchor is None else self.anchor is Anchor.FILL


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """A change of an order's state, with its reason."""

    order_id: OrderId
    run: RunName
    slot: datetime
    state: OrderState
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """An execution of an order at a price with costs, set by the rules named in fill_model.

    profit_pessimistic, profit_optimistic: the bounds of what the bar left open; None for an entry.
    """

    fill_id: FillId
    order_id: OrderId
    run: RunName
    slot: datetime
    position_id: PositionId
    token_id: TokenId
    role: Role
    quantity: Quantity
    price: Price
    fee: Decimal
    filled_at: datetime
    fill_model: str
    profit_pessimistic: Decimal | None = None
    profit_optimistic: Decimal | None = None
