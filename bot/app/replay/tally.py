"""The marks and trades of a run, computed in memory from its facts.

They are equal to those that the views of a ledger show.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import EquityMark, Fact
from bot.domain.ids import PositionId
from bot.domain.numbers import ZERO, to_float
from bot.domain.positions import Closing, Position
from bot.domain.record import CycleRecord
from bot.figures.account import FALL, fall_of
from bot.figures.performance import Drawdown, EquityPoint, TradeResult

BOOKED = (Account.PROFIT, Account.FEES)


class Tally:
    """The marks and trades of one run; equity is exact, and that of the last mark."""

    def __init__(self) -> None:
        """Start without marks and trades."""
        self.points: list[EquityPoint] = []
        self.equity = ZERO
        self._mark: EquityMark | None = None
        self._opened: dict[PositionId, Position] = {}
        self._booked: dict[PositionId, Decimal] = {}
        self._closed: dict[PositionId, tuple[datetime, Decimal]] = {}

    def add(self, facts: Iterable[Fact]) -> None:
        """Add the facts of a cycle, in the order in which they happened."""
        for fact in facts:
            match fact:
                case EquityMark():
                    self.equity, self._mark = fact.equity, fact
                    equity, high = to_float(fact.equity), to_float(fact.high_water_mark)
                    self.points.append(EquityPoint(fact.slot, equity, high))
                case Position():
                    self._opened[fact.position_id] = fact
                case JournalEntry(position_id=position_id) if position_id is not None:
                    # Profit is credited (negative), fees are debited: net profit is minus the sum.
                    legs = sum((leg.amount for leg in fact.postings if leg.account in BOOKED), ZERO)
                    self._booked[position_id] = self._booked.get(position_id, ZERO) - legs
                case Closing():
                    self._closed[fact.position_id] = (fact.closed_at, fact.profit)

    @property
    def fall(self) -> Drawdown | None:
        """The deepest fall up to the last mark; None if equity never fell."""
        mark = self._mark
        return None if mark is None else fall_of({name: getattr(mark, name) for name in FALL})

    def trades(self) -> list[TradeResult]:
        """List the trades in order of opening, including open ones."""
        ordered = sorted(self._opened.values(), key=attrgetter("opened_at", "position_id"))
        return [self._trade(position) for position in ordered]

    def _trade(self, position: Position) -> TradeResult:
        """Compute in floats what v_trades computes in the database's numbers."""
        booked = self._booked.get(position.position_id, ZERO)
        closed_at, profit = self._closed.get(position.position_id, (None, booked))
        numbers = (position.quantity, position.entry_price, profit)
        (quantity, price, won), stop = map(to_float, numbers), position.stop_initial
        risk = 0.0 if stop is None else quantity * abs(price - to_float(stop))
        return TradeResult(
            opened_at=position.opened_at,
            closed_at=closed_at,
            notional=quantity * price,
            profit=won,
            r_multiple=won / risk if risk > 0 else None,
        )


def tally_up(records: Iterable[CycleRecord]) -> Tally:
    """Add up the marks and trades of cycles."""
    tally = Tally()
    for record in records:
        tally.add(record.facts)
    return tally
