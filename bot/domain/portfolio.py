"""The state of a run's account; engine/fold.py computes it from the facts of the ledger alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from bot.domain.ids import OrderId, PositionId, RunName, SignalId, TokenId
from bot.domain.numbers import ZERO, Price, Quantity
from bot.domain.orders import Order, OrderState, Role
from bot.domain.positions import Closing, Position, StopMove


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An open position and its current state.

    quantity: what is left. cost: of what is left, as posted; positive on both sides.
    cash: the sum posted to cash so far. booked: the profit of its partial exits so far.
    price: its last mark. low, high: the extreme prices since the entry.
    stop: the stop price after its moves. borrowed_at: the instant of the last borrow fee.
    """

    position: Position
    quantity: Quantity
    cost: Decimal
    cash: Decimal
    booked: Decimal
    price: Price
    low: Price
    high: Price
    stop: Price | None
    moves: tuple[StopMove, ...] = ()
    borrowed_at: datetime | None = None

    @property
    def sign(self) -> int:
        """1 for a long, -1 for a short."""
        return self.position.side.sign


class LiveOrder(NamedTuple):
    """An order that is not in a final state; its state is None when it was just created."""

    order: Order
    state: OrderState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMemory:
    """What the run remembers of a token.

    judged: the episode judged last and its entries then. acted: the entry orders by episode.
    closed: the number of closed positions. last: the newest closing. loss_at: of the last loss.
    """

    judged: tuple[SignalId, int] | None = None
    acted: Mapping[SignalId, int] = field(default_factory=dict)
    closed: int = 0
    last: Closing | None = None
    last_signal: SignalId | None = None
    last_ordinal: int | None = None
    loss_at: datetime | None = None

    def entries(self, signal: SignalId) -> int:
        """Count the entry orders that the run made in an episode."""
        return self.acted.get(signal, 0)


NOTHING = TokenMemory()
AT_MARKET = (Role.ENTRY, Role.EXIT)
Siblings = tuple[LiveOrder, ...]


class Fall(NamedTuple):
    """A fall of equity by a fraction of a high, from its first instant to the trough and back."""

    depth: Decimal
    high: Decimal
    started_at: datetime
    trough_at: datetime
    recovered_at: datetime | None


class BenchmarkHolding(NamedTuple):
    """The part of the benchmark in one token: its price, None while it is cash, and the amount."""

    price: Price | None
    worth: Decimal
    units: float


class Tripped(NamedTuple):
    """When a breaker tripped, and until when; None when it is reset by hand."""

    at: datetime
    until: datetime | None


@dataclass(slots=True, kw_only=True)
class Portfolio:
    """A run's account at one moment: the one mutable value, of which the fold changes a copy.

    settled_slot, settled_until: as_of and cut-off of the last settlement; earlier bars are settled.
    high_at: when the high-water mark was first reached. deepest: the deepest fall so far.
    parts, benchmark: of the benchmark, and its last value. marked: the last slot and equity.
    day_start: the equity of the last mark before this UTC day; on the first day, of the first mark.
    risk_high: the highest equity since the drawdown breaker was armed. breakers: those tripped.
    loss_streak: the number of net losses in a row. told: the last notice about a hook, by token.
    shock_reset_at: when the volatility breaker was last reset.
    """

    run: RunName
    cash: Decimal = ZERO
    holdings: dict[TokenId, Holding] = field(default_factory=dict)
    orders: dict[OrderId, LiveOrder] = field(default_factory=dict)
    memory: dict[TokenId, TokenMemory] = field(default_factory=dict)
    high_water_mark: Decimal = ZERO
    high_at: datetime | None = None
    deepest: Fall | None = None
    parts: dict[TokenId, BenchmarkHolding] = field(default_factory=dict)
    benchmark: Decimal | None = None
    marked: tuple[datetime, Decimal] | None = None
    day_start: Decimal | None = None
    risk_high: Decimal = ZERO
    loss_streak: int = 0
    shock_reset_at: datetime | None = None
    breakers: dict[str, Tripped] = field(default_factory=dict)
    told: dict[TokenId, str] = field(default_factory=dict)
    paused: bool = False
    settled_slot: datetime | None = None
    settled_until: datetime | None = None
    # Two indexes of the live orders, by position and at market, because every cycle asks for both.
    _of_position: dict[PositionId, Siblings] = field(init=False, repr=False, compare=False)
    _at_market: dict[OrderId, LiveOrder] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the live orders."""
        given, self.orders, self._of_position, self._at_market = self.orders, {}, {}, {}
        for live in given.values():
            self.keep(live)

    def copy(self) -> "Portfolio":
        """Copy the account, so that facts can be applied to the copy."""
        other = object.__new__(Portfolio)
        for name in FIELDS:
            value = getattr(self, name)
            setattr(other, name, dict(value) if type(value) is dict else value)
        return other

    def keep(self, live: LiveOrder) -> None:
        """Add a live order, or replace what was known of it."""
        order = live.order
        self.orders[order.order_id] = live
        siblings = self._of_position.get(order.position_id, ())
        if any(other.order is order for other in siblings):
            siblings = tuple(live if other.order is order else other for other in siblings)
        else:
            siblings = (*siblings, live)
        self._of_position[order.position_id] = siblings
        if order.role in AT_MARKET:
            self._at_market[order.order_id] = live

    def drop(self, order: Order) -> None:
        """Remove an order that reached a final state."""
        del self.orders[order.order_id]
        siblings = self._of_position.pop(order.position_id)
        if len(siblings) > 1:
            kept = tuple(live for live in siblings if live.order is not order)
            self._of_position[order.position_id] = kept
        self._at_market.pop(order.order_id, None)

    def memory_of(self, token_id: TokenId) -> TokenMemory:
        """Look up what the run remembers of a token; an empty memory when there is none."""
        return self.memory.get(token_id, NOTHING)

    def waiting(self, role: Role) -> list[Order]:
        """List the accepted entry or exit orders at market, in the order they were accepted."""
        found = [
            live.order
            for live in self._at_market.values()
            if live.order.role is role and live.state is OrderState.ACCEPTED
        ]
        return sorted(found, key=attrgetter("slot", "rank")) if len(found) > 1 else found

    def orders_of(self, position_id: PositionId) -> list[Order]:
        """List the live orders of an open or coming position, in the order they were created."""
        return [live.order for live in self._of_position.get(position_id, ())]

    def order_of(self, holding: Holding, role: Role) -> Order | None:
        """Find the first live order of a position in a role; an exit is accepted at market."""
        for live in self._of_position.get(holding.position.position_id, ()):
            if live.order.role is role:
                return live.order
        return None


FIELDS = tuple(Portfolio.__slots__)
