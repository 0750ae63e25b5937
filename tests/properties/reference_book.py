"""A naive account beside the engine's: product.md sections 6 to 8, and nothing of the engine.

It is told what happened, books it by itself, and asserts that no limit was passed. Sides are signs, a long's is +1.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

DAY = timedelta(days=1)
ZERO, ONE = Decimal(0), Decimal(1)


def micro(amount: Decimal) -> Decimal:
    """Round to micro-dollars, half to even."""
    return amount.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)


@dataclass
class Lot:
    """An open position: cost is what is left of it in the books, cash what it has moved, days those it has borrowed."""

    sign: int
    quantity: Decimal
    entry: Decimal
    opened_at: datetime
    cost: Decimal = ZERO
    cash: Decimal = ZERO
    days: int = 0
    leaving: bool = False


@dataclass(frozen=True)
class Entry:
    """An accepted entry order that waits for its price."""

    token: int
    sign: int
    quantity: Decimal
    reference: Decimal


@dataclass
class ReferenceBook:
    """A run's account; prices: the last raw price of each token; measured: what the breakers measure."""

    fee: Decimal
    cost: Decimal
    borrow: Decimal
    margin: Decimal
    positions_max: int | None
    exposure_max: Decimal | None
    sized_at_fill: bool
    cash: Decimal = ZERO
    fees: Decimal = ZERO
    lots: dict[int, Lot] = field(default_factory=dict)
    waiting: dict[str, Entry] = field(default_factory=dict)
    prices: dict[int, Decimal] = field(default_factory=dict)
    tripped: dict[str, datetime | None] = field(default_factory=dict)
    paused: bool = False
    equity: Decimal = ZERO
    high: Decimal = ZERO
    risk_high: Decimal = ZERO
    day_start: Decimal = ZERO
    marked_on: datetime | None = None
    losses: int = 0
    measured: dict[str, Decimal] = field(default_factory=dict)

    def value(self, sign: int = 0, *, leaving: bool = True) -> Decimal:
        """Return the size of the positions at the last prices: of all or of one side, with those that leave or not."""
        lots = [(token, lot) for token, lot in self.lots.items() if sign in {0, lot.sign} and leaving >= lot.leaving]
        return sum((lot.quantity * self._worth(token, lot) for token, lot in lots), ZERO)

    def _worth(self, token: int, lot: Lot) -> Decimal:
        """Return the last price of a token, for a short not above the one at which its margin is used up."""
        price = self.prices[token]
        return price if lot.sign > 0 else min(price, round(lot.entry * (ONE + self.margin), 18))

    def free(self) -> Decimal:
        """Return the cash that neither open shorts nor accepted entries tie up."""
        brought = (ONE - self.cost) * (ONE - self.fee)
        need = {1: (ONE + self.cost) * (ONE + self.fee), -1: self.margin + ONE - brought}
        reserved = sum((one.quantity * one.reference * need[one.sign] for one in self.waiting.values()), ZERO)
        return self.cash - self.value(-1) * (ONE + self.margin) - reserved

    def coming(self) -> Decimal:
        """Return the free cash that accepted exits bring if they fill at the last prices."""
        found = ZERO
        for token, lot in self.lots.items():
            worth = lot.quantity * self._worth(token, lot) if lot.leaving else ZERO
            tied_up = worth * (ONE + self.margin) if lot.sign < 0 else ZERO
            found += tied_up + lot.sign * worth * (ONE - lot.sign * self.cost) * (ONE - lot.sign * self.fee)
        return found

    def accept(self, name: str, entry: Entry) -> None:
        """Book an accepted entry, which no limit, pause or breaker may forbid."""
        assert not self.paused, "accepted while paused"
        assert not self.tripped, f"accepted while {list(self.tripped)} tripped"
        held = self.lots.get(entry.token)
        assert held is None or (held.leaving and held.sign != entry.sign), "the token is held"
        assert all(one.token != entry.token for one in self.waiting.values()), "the token waits for an entry"
        assert entry.reference == self.prices[entry.token], "not the last price"
        self.waiting[name] = entry
        places = sum(not lot.leaving for lot in self.lots.values()) + len(self.waiting)
        assert self.positions_max is None or places <= self.positions_max, f"{places} positions"
        exposed = self.value(leaving=False) + sum(one.quantity * one.reference for one in self.waiting.values())
        assert self.exposure_max is None or exposed <= self.exposure_max * self.equity, f"{exposed} exposed"
        # A quantity that is computed anew at the fill may count what the exits of that open bring.
        free = self.free() + (self.coming() if self.sized_at_fill else ZERO)
        assert free >= 0, f"{-free} more than the free cash"

    def enter(self, name: str, lot: Lot) -> None:
        """Book an entry: cash -(N+f), position +N of a long; cash +(N-f), position -N of a short."""
        entry = self.waiting.pop(name)
        assert entry.token not in self.lots, "two positions in one token"
        self.lots[entry.token] = lot
        lot.cost = micro(lot.quantity * lot.entry)
        self._pay(lot, -lot.sign * lot.quantity * lot.entry, lot.quantity * lot.entry * self.fee)
        assert lot.sign < 0 or self.cash >= 0, "a long that spent more than the cash"

    def leave(self, token: int, quantity: Decimal, price: Decimal) -> Decimal | None:
        """Book an exit: cost x share, the last part the rest; return the profit where nothing is left."""
        lot = self.lots[token]
        assert 0 < quantity <= lot.quantity, "left with more than there was"
        lot.cost -= lot.cost if quantity == lot.quantity else micro(quantity * lot.entry)
        lot.quantity -= quantity
        self._pay(lot, lot.sign * quantity * price, quantity * price * self.fee)
        if lot.quantity:
            return None
        del self.lots[token]
        self.losses = self.losses + 1 if lot.cash < 0 else 0
        return lot.cash

    def begin_day(self, token: int, at: datetime) -> None:
        """Charge a short for a day of 24 hours since its opening that has begun, each once and in order."""
        lot = self.lots[token]
        assert lot.sign < 0, "a long that borrows"
        assert at == lot.opened_at + lot.days * DAY, "a day charged twice, or passed over"
        lot.days += 1
        self._pay(lot, ZERO, lot.quantity * lot.entry * self.borrow)

    def is_paid(self, lot: Lot, until: datetime) -> bool:
        """Tell whether a position has paid for borrowing on all days that began before an instant."""
        fee = micro(lot.quantity * lot.entry * self.borrow) if lot.sign < 0 else ZERO
        return not fee or lot.opened_at + lot.days * DAY >= until

    def _pay(self, lot: Lot, amount: Decimal, fee: Decimal) -> None:
        self.cash, lot.cash = self.cash + micro(amount - fee), lot.cash + micro(amount - fee)
        self.fees += micro(fee)

    def mark(self, slot: datetime, prices: dict[int, Decimal]) -> None:
        """Mark the account at the last prices, and measure the breakers."""
        self.prices = prices
        before = self.equity
        signed = (lot.sign * micro(lot.quantity * self._worth(token, lot)) for token, lot in self.lots.items())
        self.equity = self.cash + sum(signed, ZERO)
        self.high, self.risk_high = max(self.high, self.equity), max(self.risk_high, self.equity)
        if self.marked_on is None or self.marked_on.date() != slot.date():
            self.day_start = self.equity if self.marked_on is None else before
        self.marked_on = slot
        fall, loss = (max(ZERO, ONE - self.equity / high) for high in (self.risk_high, self.day_start))
        self.measured = {"drawdown": fall, "daily_loss": loss, "loss_streak": Decimal(self.losses)}

    def reset(self, name: str) -> None:
        """Let a breaker measure from this slot on."""
        del self.tripped[name]
        self.measured[name] = ZERO
        self.risk_high = self.equity if name == "drawdown" else self.risk_high
        self.day_start = self.equity if name == "daily_loss" else self.day_start
        self.losses = 0 if name == "loss_streak" else self.losses
