"""Orders, their life cycle as one table, and their fills.

Every change of state goes through `TRANSITIONS`; everything that is not in it is an error.
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
        """Return 1 for a long and -1 for a short: what its profit per unit multiplies a rise of the price with."""
        return 1 if self is Side.LONG else -1


class Role(StrEnum):
    """What an order does for its position."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"


class OrderState(StrEnum):
    """Where an order stands."""

    PLANNED = "planned"
    ACCEPTED = "accepted"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TRANSITIONS: Mapping[OrderState | None, frozenset[OrderState]] = MappingProxyType(
    {
        None: frozenset({OrderState.PLANNED, OrderState.ACCEPTED}),
        OrderState.PLANNED: frozenset({OrderState.ACCEPTED, OrderState.CANCELLED}),
        OrderState.ACCEPTED: frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED}),
        OrderState.FILLED: frozenset(),
        OrderState.CANCELLED: frozenset(),
        OrderState.EXPIRED: frozenset(),
    }
)


def check_transition(order_id: OrderId, state: OrderState | None, following: OrderState) -> None:
    """Refuse a change of state that the table does not hold."""
    if following not in TRANSITIONS[state]:
        message = f"order {order_id}: {state or 'unknown'} -> {following} is no transition"
        raise InvariantError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An instruction as it was born; price is the stop or target, or the reference price of a market order.

    An entry also carries the bracket it was granted with and where each price came from; one whose bracket is anchored
    at its fill carries its slot's equity, drawdown and weight (of a normalised size) too. Market orders carry the
    cut_off of the cycle that accepted them. Of several targets part counts the second and later ones from 1, and share
    is what each takes of the initial quantity, None: the rest.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent:
    """A change of state of an order, and why."""

    order_id: OrderId
    run: RunName
    slot: datetime
    state: OrderState
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """An execution: price per unit with costs, fee in quote currency, and the rule set that priced it.

    profit_pessimistic and profit_optimistic bound what the bar left open; an entry fill has none.
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
