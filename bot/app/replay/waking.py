"""The choice of the slots of a replay that must be run; all others are skipped.

A replay runs the slots at which something may happen, the first of each UTC day, and the last.
Their journal equals the journal of all slots, and so do the account's high-water mark and deepest
fall.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal, localcontext

import numpy as np

from bot.adapters.clock import SystemClock
from bot.adapters.history.bar_columns import Columns
from bot.adapters.history.folder import HistoryArchive, HistorySource
from bot.adapters.history.pack import Words
from bot.adapters.history.reader import micros
from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.setup import RunSetup
from bot.domain.ids import TokenId
from bot.domain.instants import DAY, MICROSECOND
from bot.domain.market import HALT_LENGTH
from bot.domain.numbers import EXACT, Price, Quantity, to_float
from bot.domain.orders import Side
from bot.domain.portfolio import AT_MARKET, Holding, Portfolio
from bot.domain.positions import Position
from bot.domain.reach import EVERY_BAR, Floats
from bot.domain.record import CycleRecord
from bot.engine.candidates import is_due
from bot.engine.cycle import decide, mark_only
from bot.engine.equity import follow_equity, value_positions
from bot.engine.exits import time_stop_at
from bot.engine.horizon import WIDENED, reach_of, telling_places

MICRO_DOLLAR = 1e-6
# The place of a slot, its cycle, and the portfolio after it.
Played = tuple[int, CycleRecord, Portfolio]
Held = tuple[Position, Price | None, Quantity]


class Waking:
    """The slots of a replay over an archive, with what is known of them in advance."""

    def __init__(self, setup: RunSetup, archive: HistoryArchive, slots: Sequence[datetime]) -> None:
        """Index the slots, which must be in order of time, and the turns of each token."""
        self.setup = setup
        self.archive = archive
        self.slots = slots
        self._instants: Words = np.array([micros(slot) for slot in slots], dtype=np.int64)
        days = [slot.date() for slot in slots]
        self._days = [at for at, day in enumerate(days) if not at or day != days[at - 1]]
        self._turned: dict[int, list[TokenId]] = {}
        for token_id in setup.universe:
            for place in self._instants.searchsorted(archive.turns(token_id)).tolist():
                self._turned.setdefault(place, []).append(token_id)
        self._turns = sorted(place for place in self._turned if place < len(slots))
        self.asked = frozenset(setup.universe)
        # The next slot that concerns a position, valid while its stop and quantity stay the same.
        self._wakes: dict[TokenId, tuple[Held, int]] = {}
        self._restless = setup.demand.is_restless
        # A decision may look at held tokens that nothing concerns.
        self._watches_all = self._restless or bool(setup.demand.of_held)

    def after(self, place: int, portfolio: Portfolio) -> int:
        """Find the next slot to run after one that was run, one past the end if there is none.

        `asked` is set to the tokens that something may happen to there, or a decision may look at.
        """
        waiting = [order.token_id for role in AT_MARKET for order in portfolio.waiting(role)]
        slot = self.slots[place]
        due = frozenset(
            token_id
            for token_id in self.asked
            if is_due(portfolio, self.archive.episode(token_id, slot, slot), self.setup.rules)
        )
        wakes = dict.fromkeys(portfolio.holdings, place + 1)
        if not self._restless:
            for token_id, holding in portfolio.holdings.items():
                wakes[token_id] = self._next_concern(place, token_id, holding, portfolio)
        following = self._following(place, wakes.values(), at_once=bool(waiting or due))
        turned = (self._turned.get(one, ()) for one in range(place + 1, following + 1))
        latest = len(self.slots) if self._watches_all else following
        concerned = [token_id for token_id, wake in wakes.items() if wake <= latest]
        self.asked = due.union(waiting, concerned, *turned)
        return following

    def _following(self, place: int, wakes: Iterable[int], *, at_once: bool) -> int:
        last = len(self.slots) - 1
        if place >= last or at_once or self._restless:
            return place + 1
        found = last
        for places in (self._days, self._turns):
            following = bisect_right(places, place)
            found = min([found, *places[following : following + 1]])
        return max(min([found, *wakes]), place + 1)

    def _first_at(self, instant: int) -> int:
        """Find the first slot at or after an instant."""
        return int(self._instants.searchsorted(instant))

    def _next_concern(
        self, place: int, token_id: TokenId, holding: Holding, portfolio: Portfolio
    ) -> int:
        """Find the next slot that concerns a position; it is kept until the bracket changes."""
        position = holding.position
        held = (position, holding.stop, holding.quantity)
        known, wake = self._wakes.get(token_id, (None, place))
        if wake <= place or known != held:
            wake = self._wake(place, token_id, holding, portfolio)
            self._wakes[token_id] = (held, wake)
        if position.side is Side.LONG or not self.setup.rules.short.borrow_fraction_per_day:
            return wake
        # A day of borrowing is charged at the close of the first bar that closes after it began.
        paid, opened_at = holding.borrowed_at, position.opened_at
        day = 0 if paid is None else (paid - opened_at) // DAY + 1
        columns, begun = self.archive.columns[token_id], micros(opened_at + day * DAY)
        row = int(columns.opened_at.searchsorted(begun - columns.span, side="right"))
        if row == len(columns.opened_at):
            return wake
        charged = self._first_at(int(columns.opened_at[row]) + columns.span)
        return min(wake, max(charged, place + 1))

    def _wake(self, place: int, token_id: TokenId, holding: Holding, portfolio: Portfolio) -> int:
        rules = self.setup.rules
        columns = self.archive.columns[token_id]
        start, end = columns.count_closed(int(self._instants[place])), len(columns.opened_at)
        every = self.setup.demand.takes_every_bar
        reach = EVERY_BAR if every else reach_of(portfolio, holding, rules)
        row = columns.first_touch(start, end, reach)
        found = self._silent(place, columns)
        if row < end:
            found = min(found, self._first_at(int(columns.opened_at[row]) + columns.span))
        # A time stop acts at its slot, with or without a bar.
        due = time_stop_at(holding.position, rules)
        return found if due is None else min(found, max(self._first_at(micros(due)), place + 1))

    def _silent(self, place: int, columns: Columns) -> int:
        """Find the next slot at which a token, silent for a halt's length, counts as delisted."""
        silences = columns.silences() + HALT_LENGTH // MICROSECOND
        at = int(silences.searchsorted(self._instants[place], side="right"))
        return self._first_at(int(silences[at])) if at < len(silences) else len(self.slots)

    def skip_to(self, place: int, following: int, portfolio: Portfolio) -> Portfolio:
        """Carry the account over skipped slots: only its high-water mark and falls may have moved.

        A slot with a price beyond a short's margin, even of a quiet bar, is run, never skipped.
        """
        if following - place <= 1 or not portfolio.holdings:
            return portfolio
        # Floats select the slots that may matter; at those the equity is exact. A short counts
        # negative, so that long and short share one path.
        instants = self._instants[place + 1 : following]
        curve: Floats = np.full(len(instants), to_float(portfolio.cash))
        within = abs(curve[0]) * WIDENED
        for token_id, holding in portfolio.holdings.items():
            columns = self.archive.columns[token_id]
            rows = columns.opened_at.searchsorted(instants - columns.span, side="right") - 1
            values = to_float(holding.quantity) * columns.prices[3, rows]
            curve += holding.sign * values
            within += MICRO_DOLLAR + values.max() * WIDENED  # each value is rounded by itself
        depth = 0.0 if portfolio.deepest is None else to_float(portfolio.deepest.depth)
        places = telling_places(curve, within, to_float(portfolio.high_water_mark), depth)
        if not places:
            return portfolio
        moved = portfolio.copy()
        with localcontext(EXACT):
            for one in places:
                equity, slot = self._equity(place + 1 + one, portfolio), self.slots[place + 1 + one]
                followed = follow_equity(moved, equity, slot)
                moved.high_water_mark, moved.high_at, moved.deepest = followed
        return moved

    def _equity(self, place: int, portfolio: Portfolio) -> Decimal:
        slot, price = self.slots[place], self.archive.price
        quotes = ((token_id, price(token_id, slot, slot)) for token_id in portfolio.holdings)
        prices = {token_id: one.price for token_id, one in quotes if one}
        return portfolio.cash + value_positions(portfolio, prices, slot)


def run_slots(
    setup: RunSetup,
    source: HistorySource,
    slots: Sequence[datetime],
    portfolio: Portfolio,
    *,
    end: datetime | None,
) -> Iterator[Played]:
    """Continue from a portfolio over slots where something can happen; that at `end` only marks."""
    waking, clock = Waking(setup, source.archive, slots), SystemClock()
    place = 0
    while place < len(slots):
        judge = mark_only if slots[place] == end else decide
        record, portfolio = run_cycle(
            setup, source, portfolio, slots[place], clock.now, asked=waking.asked, judge=judge
        )
        yield place, record, portfolio
        following = waking.after(place, portfolio)
        portfolio = waking.skip_to(place, following, portfolio)
        place = following
