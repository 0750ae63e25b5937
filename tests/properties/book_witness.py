"""The witness of the book machine: it reads every fact of a run, books it in the reference and holds it to the laws."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, localcontext

from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import Candidate, EquityMark, Fact, Outcome, Verdict
from bot.domain.events import Act, EventKind, EventState, RunEvent
from bot.domain.ids import TokenId
from bot.domain.market import Bar
from bot.domain.numbers import EXACT, fraction_half_even, price_half_even
from bot.domain.orders import Anchor, Fill, Order, OrderEvent, OrderState, Role
from bot.domain.positions import Closing, ExitReason, Position, StopMove
from bot.domain.record import CycleRecord
from bot.engine.rules import ActOn, Rules
from tests.notation import HOUR
from tests.properties.book_feed import Feed, after
from tests.properties.reference_book import Entry, Lot, ReferenceBook

WEEK = 168 * HOUR
FINAL = {OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED}


class Witness:
    """What a reader of the ledger knows after each cycle, in order; slot and cut_off are those of the cycle read."""

    def __init__(self, drawn: Rules, feed: Feed) -> None:
        self.rules, self.feed = drawn, feed
        self.book = ReferenceBook(
            fee=drawn.fills.fee_fraction,
            cost=drawn.fills.cost,
            borrow=drawn.short.borrow_fraction_per_day,
            margin=drawn.short.margin_fraction,
            positions_max=drawn.limits.positions_max,
            exposure_max=drawn.limits.exposure_max,
            sized_at_fill=drawn.stop.anchor is Anchor.FILL,
        )
        self.limits = {name.value: breaker.at for name, breaker in drawn.limits.breakers.items()}
        self.accounts = dict.fromkeys(Account, Decimal(0))
        self.orders: dict[str, Order] = {}
        self.cut_offs: dict[str, datetime] = {}
        self.end_of_span: dict[str, str | None] = {}
        self.positions: dict[str, Position] = {}
        self.stops: dict[str, list[tuple[datetime, Decimal]]] = {}
        self.profits: dict[str, Decimal] = {}
        self.left: dict[TokenId, datetime] = {}
        self.entries: dict[str, int] = {}
        self.judged: set[tuple[str, int]] = set()

    def read(self, record: CycleRecord) -> None:
        """Book the facts of a cycle in the order they happened, and look at the account after it."""
        with localcontext(EXACT):
            self.slot, self.cut_off = record.cycle.slot, record.cycle.cut_off
            for fact in record.facts:
                self._read(fact)
            self._judge(record.facts)
            self._look_at_the_breakers()
            self._look_for_survivors(record.cycle.settled_until)
            cost = sum((lot.sign * lot.cost for lot in self.book.lots.values()), Decimal(0))
            sums = {Account.CASH: self.book.cash, Account.FEES: self.book.fees, Account.POSITION: cost}
            assert {account: self.accounts[account] for account in sums} == sums

    def _read(self, fact: Fact) -> None:
        match fact:
            case JournalEntry():
                self._balance(fact)
            case Order():
                self._plan(fact)
            case OrderEvent():
                self._change(fact)
            case Position():
                self.positions[fact.position_id] = fact
                first = [] if fact.stop_initial is None else [(fact.opened_at, fact.stop_initial)]
                self.stops[fact.position_id] = first
            case StopMove():
                self._move(fact)
            case Fill():
                self._fill(fact)
            case Closing():
                assert self.profits.pop(fact.position_id) == fact.profit
            case EquityMark():
                self._mark(fact)
            case RunEvent():
                self._happen(fact)

    def _balance(self, entry: JournalEntry) -> None:
        assert sum(leg.amount for leg in entry.postings) == 0
        for leg in entry.postings:
            self.accounts[leg.account] += leg.amount
        if entry.position_id is None:
            self.book.cash = self.accounts[Account.CASH]
        elif entry.cause.startswith("borrow"):
            self.book.begin_day(self.positions[entry.position_id].token_id, entry.at)

    def _plan(self, order: Order) -> None:
        self.orders[order.order_id], self.cut_offs[order.order_id] = order, self.cut_off
        if order.role is Role.ENTRY:
            assert self.cut_off - self.slot <= HOUR, "an entry of a cycle that came too late"
            self.entries[order.signal_id] = self.entries.get(order.signal_id, 0) + 1
            self.book.accept(order.order_id, Entry(order.token_id, order.side.sign, order.quantity, order.price))
        elif order.role is Role.EXIT:
            self.book.lots[order.token_id].leaving = True

    def _change(self, event: OrderEvent) -> None:
        assert event.order_id not in self.end_of_span, "an order that ended twice"
        if event.state in FINAL:
            self.end_of_span[event.order_id] = event.reason
        if event.state in FINAL - {OrderState.FILLED}:
            self.book.waiting.pop(event.order_id, None)

    def _move(self, move: StopMove) -> None:
        stops, side = self.stops[move.position_id], self.positions[move.position_id].side
        assert not stops or side.sign * (move.price - stops[-1][1]) > 0, "a stop that loosened"
        stops.append((move.moved_at, move.price))

    def _fill(self, fill: Fill) -> None:
        order = self.orders[fill.order_id]
        reason = self.end_of_span[fill.order_id]
        raw = self._raw_by_reason(fill, order, reason)
        cost = order.side.sign * self.rules.fills.cost * (1 if fill.role is Role.ENTRY else -1)
        exact = fill.role is Role.TARGET or reason == ExitReason.LIQUIDATED
        paid = raw if exact else {price_half_even(price * (1 + cost)) for price in raw}
        if order.side.sign < 0 and fill.role is not Role.ENTRY:
            paid = {min(price, self._margin_ends(fill)) for price in paid}
        assert fill.price in paid, "a price that could not be had"
        assert fill.fee == round(fill.quantity * fill.price * self.rules.fills.fee_fraction, 6)
        if fill.role is Role.EXIT and reason == ExitReason.TIME_STOP:
            hours = self.rules.exits.time_stop_hours or 0
            held = fill.filled_at - self.positions[fill.position_id].opened_at
            assert held >= float(hours) * HOUR, "a time stop before its time"
        elif fill.role in {Role.ENTRY, Role.EXIT} and reason not in {ExitReason.DELISTED, ExitReason.LIQUIDATED}:
            assert fill.filled_at >= self.cut_offs[fill.order_id], "a price from before the decision"
        if fill.role is Role.ENTRY:
            assert order.cut_off is not None or fill.quantity <= order.quantity
            self.book.enter(fill.order_id, Lot(order.side.sign, fill.quantity, fill.price, fill.filled_at))
        elif (profit := self.book.leave(fill.token_id, fill.quantity, fill.price)) is not None:
            self.profits[fill.position_id], self.left[fill.token_id] = profit, fill.filled_at

    def _raw_by_reason(self, fill: Fill, order: Order, reason: str | None) -> set[Decimal]:
        """Return the prices that an exit may have had: a halt's last one, where a margin ends, else those of prints."""
        came = [row.bar for row in self.feed.came[fill.token_id]]
        if reason == ExitReason.DELISTED:
            return {bar.close for bar in came if bar.closed_at == fill.filled_at - WEEK}
        if reason == ExitReason.LIQUIDATED:
            ends = self._margin_ends(fill)
            return {ends for bar in came if bar.opened_at <= fill.filled_at <= bar.closed_at and bar.high >= ends}
        return self._raw(fill, order)

    def _margin_ends(self, fill: Fill) -> Decimal:
        """Return the price at which the margin of a short is used up, which no cover exceeds."""
        return price_half_even(self.positions[fill.position_id].entry_price * (1 + self.rules.short.margin_fraction))

    def _raw(self, fill: Fill, order: Order) -> set[Decimal]:
        """Return the raw prices at which the prints of an instant let an order fill."""
        sign, came = order.side.sign, [row.bar for row in self.feed.came[fill.token_id]]
        opened_at = self.positions[fill.position_id].opened_at
        bars = [bar for bar in (after(opened_at, bar) for bar in came) if bar and bar.opened_at == fill.filled_at]
        if fill.role is Role.STOP:
            # The stop that stood when the bar opened: beyond it at the open it is the open, later in the bar the stop.
            stood = [stop for moved_at, stop in self.stops[fill.position_id] if moved_at <= fill.filled_at][-1:]
            hit = [(bar, stop) for bar in bars for stop in stood if _touches(bar, sign, stop)]
            return {bar.open if sign * (bar.open - stop) <= 0 else stop for bar, stop in hit}
        if fill.role is Role.TARGET:
            return {order.price for bar in bars if _touches(bar, -sign, order.price)}
        turned_round = fill.role is Role.ENTRY and self.left.get(fill.token_id) == fill.filled_at
        closes = {bar.close for bar in came if bar.closed_at == fill.filled_at} if turned_round else set()
        return {bar.open for bar in bars} | closes

    def _look_for_survivors(self, until: datetime) -> None:
        """Assert that nothing is left open or waiting that a print known by now should have ended."""
        known = {token_id: self.feed.known(token_id, self.slot, until) for token_id in self.feed.came}
        for name in self.orders.keys() - self.end_of_span.keys():
            order, cut_off = self.orders[name], self.cut_offs[name]
            position = self.positions.get(order.position_id)
            if order.role in {Role.ENTRY, Role.EXIT}:
                assert all(bar.opened_at < cut_off for bar in known[order.token_id]), "it missed its price"
            elif position is not None:
                first = position.stop_initial if order.role is Role.STOP else order.price
                sign = position.side.sign * (1 if order.role is Role.STOP else -1)
                lived = [bar for bar in (after(position.opened_at, bar) for bar in known[order.token_id]) if bar]
                assert first is None or not any(_touches(bar, sign, first) for bar in lived), "it was passed over"

    def _mark(self, mark: EquityMark) -> None:
        book = self.book
        last = self.feed.last(self.slot, self.cut_off)
        book.mark(mark.slot, {token: bar.close for token, bar in last.items()})
        for token, lot in book.lots.items():
            assert book.is_paid(lot, last[token].closed_at), "a day that began before the last price is not paid for"
        found = (mark.cash, mark.cash + mark.positions_value, mark.equity, mark.high_water_mark, mark.open_positions)
        assert found == (book.cash, book.equity, book.equity, book.high, len(book.lots))
        assert mark.exposure == (fraction_half_even(book.value() / book.equity) if book.equity > 0 else 0)
        assert mark.drawdown == fraction_half_even(max(Decimal(0), 1 - book.equity / book.high))

    def _happen(self, event: RunEvent) -> None:
        if event.kind is EventKind.BREAKER and event.state is EventState.TRIPPED:
            assert event.name not in self.book.tripped
            assert event.value == fraction_half_even(self.book.measured[event.name]) >= self.limits[event.name]
            self.book.tripped[event.name] = event.until
        elif event.kind is EventKind.BREAKER:
            self.book.reset(event.name)
        elif event.name in {Act.PAUSE, Act.RESUME}:
            self.book.paused = event.name == Act.PAUSE

    def _look_at_the_breakers(self) -> None:
        reached = {name for name, limit in self.limits.items() if self.book.measured[name] >= limit}
        assert reached <= set(self.book.tripped), "a breaker that did not trip"
        assert all(until is None or self.slot < until for until in self.book.tripped.values()), "and did not reset"

    def _judge(self, facts: Sequence[Fact]) -> None:
        """Assert that each candidate has one outcome, the one that its verdicts and the orders say."""
        candidates = [fact for fact in facts if isinstance(fact, Candidate)]
        assert len({one.token_id for one in candidates}) == len(candidates)
        accepted = {fact.signal_id for fact in facts if isinstance(fact, Order) and fact.role is Role.ENTRY}
        for one in candidates:
            verdicts = [fact for fact in facts if isinstance(fact, Verdict) and fact.candidate_id == one.candidate_id]
            assert len({verdict.gate for verdict in verdicts}) == len(verdicts) > 0
            entered = one.outcome is Outcome.ENTERED
            assert entered == all(verdict.passed for verdict in verdicts) == (one.signal_id in accepted)
            failed = {verdict.gate: verdict.reason or "" for verdict in verdicts if not verdict.passed}
            unready = any(gate == "lateness" or reason.startswith("missing") for gate, reason in failed.items())
            assert one.complete == ("signal_age" in failed or not unready)
            before = (one.signal_id, self.entries.get(one.signal_id, 0) - entered)
            assert before not in self.judged or self.rules.entry.act_on is ActOn.STANCE, "an episode judged twice"
            self.judged |= {before} if one.complete else set()


def _touches(bar: Bar, sign: int, price: Decimal) -> bool:
    """Tell whether a bar went down (+1) or up (-1) to a price."""
    return sign * ((bar.low if sign > 0 else bar.high) - price) <= 0
