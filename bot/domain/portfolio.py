"""The state of a run's account: a fold of the ledger's facts and nothing else.

engine/fold.py is the fold; a restart folds the stored facts and lands on the same value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from bot.domain.ids import OrderId, RunName, SignalId, TokenId
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOrder:
    """An order that is not in a final state; state None: just born."""

    order: Order
    state: OrderState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMemory:
    """What the run remembers of a token.

    judged: the episode judged last and how many entries it had then; acted: entry orders by episode, as pairs;
    closed: positions closed so far; last: the newest of them; loss_at: when the last losing one closed.
    """

    judged: tuple[SignalId, int] | None = None
    acted: tuple[tuple[SignalId, int], ...] = ()
    closed: int = 0
    last: Closing | None = None
    last_signal: SignalId | None = None
    last_ordinal: int | None = None
    loss_at: datetime | None = None

    def entries(self, signal: SignalId) -> int:
        """Count the entry orders that the run has had accepted in an episode."""
        return next((count for acted, count in self.acted if acted == signal), 0)


NOTHING = TokenMemory()


class Tripped(NamedTuple):
    """When a breaker tripped, and when it is reset; None: by hand."""

    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """A run's account at a moment; settled_slot and settled_until say which prints it has already seen.

    marked: slot and equity of the last mark; day_start: the equity of the last mark before its UTC day, on the first
    day of the first mark; risk_high: the highest equity since the drawdown breaker was armed; loss_streak: net losses
    in a row; shock_reset_at: when the volatility breaker was last reset; breakers: those tripped; told: the last
    notice about a hook, by token.
    """

    run: RunName
    cash: Decimal = ZERO
    holdings: Mapping[TokenId, Holding] = field(default_factory=dict)
    orders: Mapping[OrderId, LiveOrder] = field(default_factory=dict)
    memory: Mapping[TokenId, TokenMemory] = field(default_factory=dict)
    high_water_mark: Decimal = ZERO
    marked: tuple[datetime, Decimal] | None = None
    day_start: Decimal | None = None
    risk_high: Decimal = ZERO
    loss_streak: int = 0
    shock_reset_at: datetime | None = None
    breakers: Mapping[str, Tripped] = field(default_factory=dict)
    told: Mapping[TokenId, str] = field(default_factory=dict)
    paused: bool = False
    settled_slot: datetime | None = None
    settled_until: datetime | None = None

    def remembered(self, token_id: TokenId) -> TokenMemory:
        """Return what is known of a token, nothing at first."""
        return self.memory.get(token_id, NOTHING)

    def waiting(self, role: Role) -> list[Order]:
        """Return the accepted orders of a role in the order granted."""
        found = [
            live.order for live in self.orders.values() if live.state is OrderState.ACCEPTED and live.order.role is role
        ]
        return sorted(found, key=lambda order: (order.slot, order.rank))
