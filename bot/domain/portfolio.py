"""The state of a run's account: a fold of the ledger's facts and nothing else.

engine/fold.py is the fold; a restart folds the stored facts and lands on the same value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from bot.domain.ids import OrderId, PositionId, RunName, SignalId, TokenId
from bot.domain.numbers import ZERO, Price, Quantity
from bot.domain.orders import Order, OrderState, Role
from bot.domain.positions import Closing, Position, StopMove


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """An open position with what has happened to it.

    quantity: left; cost: of what is left, as posted, positive on both sides; cash: posted to cash so far; booked: the
    profit of its part exits so far; price: its last mark; low and high: extremes; stop: where it is now, after its
    moves; borrowed_at: the instant of the last borrow fee.
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
        """Return 1 for a long, -1 for a short."""
        return self.position.side.sign


class LiveOrder(NamedTuple):
    """An order that is not in a final state; state None: just born."""

    order: Order
    state: OrderState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMemory:
    """What the run remembers of a token.

    judged: the episode judged last and how many entries it had then; acted: entry orders by episode;
    closed: positions closed so far; last: the newest of them; loss_at: when the last losing one closed.
    """

    judged: tuple[SignalId, int] | None = None
    acted: Mapping[SignalId, int] = field(default_factory=dict)
    closed: int = 0
    last: Closing | None = None
    last_signal: SignalId | None = None
    last_ordinal: int | None = None
    loss_at: datetime | None = None

    def entries(self, signal: SignalId) -> int:
        """Count the entry orders that the run has had accepted in an episode."""
        return self.acted.get(signal, 0)


NOTHING = TokenMemory()
AT_MARKET = (Role.ENTRY, Role.EXIT)


class Fall(NamedTuple):
    """A fall of equity: its depth as a fraction of the high that it fell from, when it began, was deepest and ended.

    started_at: when the high was first reached; recovered_at: when it was reached again, None: not yet.
    """

    depth: Decimal
    high: Decimal
    started_at: datetime
    trough_at: datetime
    recovered_at: datetime | None


class BenchmarkHolding(NamedTuple):
    """What was put into a token of the benchmark, in quote currency, and at which price; None: it is cash.

    units: how much of the token that bought, for statistics.
    """

    price: Price | None
    worth: Decimal
    units: float


class Tripped(NamedTuple):
    """When a breaker tripped, and when it is reset; None: by hand."""

    at: datetime
    until: datetime | None


@dataclass(slots=True, kw_only=True)
class Portfolio:
    """A run's account at a moment; settled_slot and settled_until say which prints it has already seen.

    high_at: when the high-water mark was first reached; deepest: the deepest fall so far; parts: the benchmark's;
    benchmark: what they were last worth; marked: slot and equity of the last mark;
    day_start: the equity of the last mark before its UTC day, on the first day of the first mark; risk_high: the
    highest equity since the drawdown breaker was armed; loss_streak: net losses in a row; shock_reset_at: when the
    volatility breaker was last reset; breakers: those tripped; told: the last notice about a hook, by token.

    The one value that changes: the fold moves a copy of its own, fact by fact, and hands it on when it is done.
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
    # The live orders once more: by position, and those at market.
    _of_position: dict[PositionId, tuple[LiveOrder, ...]] = field(init=False, repr=False, compare=False)
    _at_market: dict[OrderId, LiveOrder] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """List the live orders."""
        given, self.orders, self._of_position, self._at_market = self.orders, {}, {}, {}
        for live in given.values():
            self.keep(live)

    def copy(self) -> "Portfolio":
        """Return the same account, to be moved on."""
        other = object.__new__(Portfolio)
        for name in FIELDS:
            value = getattr(self, name)
            setattr(other, name, dict(value) if type(value) is dict else value)
        return other

    def keep(self, live: LiveOrder) -> None:
        """Enter a live order, in place of what was known of it."""
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
        """Forget an order that is in a final state."""
        del self.orders[order.order_id]
        siblings = tuple(live for live in self._of_position.pop(order.position_id) if live.order is not order)
        if siblings:
            self._of_position[order.position_id] = siblings
        self._at_market.pop(order.order_id, None)

    def memory_of(self, token_id: TokenId) -> TokenMemory:
        """Return what is known of a token, nothing at first."""
        return self.memory.get(token_id, NOTHING)

    def waiting(self, role: Role) -> list[Order]:
        """Return the accepted orders at market of a role, entry or exit, in the order granted."""
        found = [
            live.order
            for live in self._at_market.values()
            if live.order.role is role and live.state is OrderState.ACCEPTED
        ]
        return sorted(found, key=_acceptance_order) if len(found) > 1 else found

    def orders_of(self, position_id: PositionId) -> list[Order]:
        """Return the live orders of a position, open or about to be, in the order they were born."""
        return [live.order for live in self._of_position.get(position_id, ())]

    def order_of(self, position_id: PositionId, role: Role) -> Order | None:
        """Return the first live order of a position in a role."""
        for live in self._of_position.get(position_id, ()):
            if live.order.role is role:
                return live.order
        return None


FIELDS = tuple(Portfolio.__slots__)


def _acceptance_order(order: Order) -> tuple[datetime, int]:
    return order.slot, order.rank
