"""Small languages for tests: instants, bars, histories and journals as a person would write them.

`play` runs a history through the product's own run_cycle and returns its journal as text.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.setup import RunSetup
from bot.domain.decisions import Candidate, Fact, Outcome
from bot.domain.events import Request, RunEvent
from bot.domain.ids import RunName, Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.numbers import Price, plain
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role, Side
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Closing, Position, StopMove
from bot.domain.reach import EVERY_BAR, Reach
from bot.domain.record import CycleRecord
from bot.domain.signals import Episode, Signal, Stance
from bot.engine.rules import Rules

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(text: str) -> datetime:
    """Read an instant, UTC: `2024-01-31 12:00` or `2024-01-31`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def price(text: str | float) -> Price:
    """Read a price."""
    return Price(Decimal(str(text)))


def bars(start: str, text: str, step: timedelta = HOUR) -> tuple[Bar, ...]:
    """Read bars `O H L C` separated by `|`; a single number is a flat bar, `-` a missing one, `90 quiet` untraded."""
    made = []
    for number, words in enumerate(part.split() for part in text.split("|")):
        opened = at(start) + number * step
        if words == ["-"]:
            continue
        volume = Decimal(0) if words[-1] == "quiet" else None
        prices = words if volume is None else words[:-1]
        numbers = [price(word) for word in (prices if len(prices) > 1 else prices * 4)]
        made.append(Bar(opened, opened + step, *numbers, volume=volume))
    return tuple(made)


def signal(when: str, stance: str, token: int = 1, grade: str | None = None) -> Signal:
    """Make a published stance."""
    return Signal(
        provider="test",
        feed="daily",
        token_id=TokenId(token),
        stance=Stance(stance),
        published_at=at(when),
        known_at=at(when),
        grade=None if grade is None else Decimal(grade),
    )


def levels(when: str, *prices: float | str, token: int = 1) -> LevelSet:
    """Make a set of levels."""
    made = tuple(Level(price(value)) for value in sorted(prices, key=lambda value: Decimal(str(value))))
    return LevelSet(token_id=TokenId(token), published_at=at(when), known_at=at(when), levels=made)


def metrics(when: str, volatility: str | None = None, token: int = 1, **others: str) -> QuantMetrics:
    """Make a token's measures."""
    given = {name: Decimal(value) for name, value in others.items()}
    return QuantMetrics(
        token_id=TokenId(token),
        published_at=at(when),
        known_at=at(when),
        volatility=None if volatility is None else Decimal(volatility),
        sharpe=given.get("sharpe"),
        sortino=given.get("sortino"),
        max_drawdown=given.get("max_drawdown"),
        cagr=given.get("cagr"),
    )


def grades(when: str, trader: str, token: int = 1) -> Grades:
    """Make a token's grades."""
    return Grades(
        token_id=TokenId(token),
        published_at=at(when),
        known_at=at(when),
        trader_grade=Decimal(trader),
        investor_grade=None,
    )


def latest_episode(rows: Iterable[Signal]) -> Episode | None:
    """Fold a token's rows, ordered by published_at then known_at, to the episode that stands at their end."""
    turn = latest = since = None
    for row in rows:
        if turn is None or row.stance is not turn.stance:
            turn, since = row, latest and latest.published_at
        latest = row
    if turn is None or latest is None:
        return None
    return Episode(signal_id=turn.signal_id, turn=turn, latest=latest, since=since)


@dataclass(frozen=True)
class Token:
    """All that a test knows of one token."""

    bars: Sequence[Bar] = ()
    finer: Sequence[Bar] = ()
    signals: Sequence[Signal] = ()
    levels: Sequence[LevelSet] = ()
    metrics: Sequence[QuantMetrics] = ()
    grades: Sequence[Grades] = ()
    instrument: Instrument | None = None


@dataclass
class Tape:
    """A history in memory, and the archive and source over it: plain scans, nothing clever."""

    tokens: Mapping[int, Token]
    quoted: Callable[[datetime, TokenId], Price | None] = lambda _slot, _token: None
    slot: datetime = field(default=datetime.min.replace(tzinfo=UTC))

    @property
    def archive(self) -> "Tape":
        """Be the archive too."""
        return self

    @property
    def instruments(self) -> Mapping[TokenId, Instrument]:
        """Name the tokens T1, T2, ... where the test does not."""
        return {
            TokenId(token_id): token.instrument
            or Instrument(token_id=TokenId(token_id), symbol=Symbol(f"T{token_id}"), name=f"Token {token_id}")
            for token_id, token in self.tokens.items()
        }

    def refresh(self, slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """Move to a slot."""
        self.slot = slot
        return slot

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Answer the second asking, where the test has prices for it."""
        found = [(token_id, self.quoted(self.slot, token_id)) for token_id in tokens]
        return tuple(
            Quote(token_id=token_id, price=value, known_at=self.slot + timedelta(seconds=1))
            for token_id, value in found
            if value is not None
        )

    def episode(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> Episode | None:
        """Fold the signals published by as_of."""
        rows = sorted(self.tokens[token_id].signals, key=lambda row: row.published_at)
        return latest_episode([row for row in rows if row.published_at <= as_of])

    def _closed(self, token_id: TokenId, as_of: datetime) -> list[Bar]:
        return sorted(bar for bar in self.tokens[token_id].bars if bar.closed_at <= as_of)

    def price(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> Quote | None:
        """Return the last close."""
        closed = self._closed(token_id, as_of)
        return Quote(token_id=token_id, price=closed[-1].close, known_at=closed[-1].closed_at) if closed else None

    def active_price(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> Quote | None:
        """Return the last close of a bar that is not quiet."""
        closed = [bar for bar in self._closed(token_id, as_of) if not bar.is_quiet]
        return Quote(token_id=token_id, price=closed[-1].close, known_at=closed[-1].closed_at) if closed else None

    def last_prices(self, tokens: Iterable[TokenId], as_of: datetime, cut_off: datetime) -> dict[TokenId, float | None]:
        """Return the last closes as floats."""
        quotes = {token_id: self.price(token_id, as_of, cut_off) for token_id in tokens}
        return {token_id: None if quote is None else float(quote.price) for token_id, quote in quotes.items()}

    def close(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the last close: a tape has no other price."""
        return self.price(token_id, as_of, cut_off)

    def lacks_quote(self, _token_id: TokenId, _cut_off: datetime) -> bool:
        """Have every price."""
        return False

    def moved_at(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> datetime | None:
        """Return the closing of the last bar with another price than the last close."""
        closed = self._closed(token_id, as_of)
        moved = (bar.closed_at for bar in closed if any(part != closed[-1].close for part in bar[2:6]))
        return max(moved, default=None)

    def levels(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> LevelSet | None:
        """Return the newest levels."""
        return _newest(self.tokens[token_id].levels, as_of)

    def quantmetrics(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> QuantMetrics | None:
        """Return the newest measures."""
        return _newest(self.tokens[token_id].metrics, as_of)

    def grades(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> Grades | None:
        """Return the newest grades."""
        return _newest(self.tokens[token_id].grades, as_of)

    def market(self, _token_id: TokenId, _as_of: datetime, _cut_off: datetime) -> MarketSize | None:
        """Know no market sizes."""
        return None

    def days(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> tuple[Bar, ...]:
        """Aggregate whole UTC days."""
        found: dict[datetime, list[Bar]] = {}
        for bar in self._closed(token_id, as_of):
            found.setdefault(bar.opened_at.replace(hour=0, minute=0), []).append(bar)
        return tuple(
            Bar(
                day,
                day + DAY,
                inside[0].open,
                max(bar.high for bar in inside),
                min(bar.low for bar in inside),
                inside[-1].close,
            )
            for day, inside in found.items()
            if day + DAY <= as_of
        )

    def prints(
        self,
        token_id: TokenId,
        seen: tuple[datetime, datetime] | None,
        as_of: datetime,
        _cut_off: datetime,
        _reach: Reach = EVERY_BAR,
    ) -> tuple[Bar, ...]:
        """Return the bars closed since."""
        return tuple(bar for bar in self._closed(token_id, as_of) if seen is None or bar.closed_at > seen[0])

    def finer(self, token_id: TokenId, bar: Bar, as_of: datetime, _cut_off: datetime) -> tuple[Bar, ...]:
        """Return the finer bars within a bar, be there holes between them or not."""
        found = self.tokens[token_id].finer
        return tuple(one for one in sorted(found) if bar.opened_at <= one.opened_at < bar.closed_at <= as_of)


Dated = TypeVar("Dated", LevelSet, QuantMetrics, Grades)


def _newest(rows: Sequence[Dated], as_of: datetime) -> Dated | None:
    return max((row for row in rows if row.known_at <= as_of), key=lambda row: row.known_at, default=None)


def setup_of(rules: Rules, tape: Tape, cash: str = "10000") -> RunSetup:
    """Make a run over every token of a tape."""
    return RunSetup(
        name=RunName("test"),
        rules=rules,
        universe=tuple(sorted(tape.instruments)),
        cash=Decimal(cash),
        interval=None,
        config_hash="none",
        code_version="test",
    )


def slots_of(tape: Tape) -> list[datetime]:
    """Return every close of a bar."""
    return sorted({bar.closed_at for token in tape.tokens.values() for bar in token.bars})


def cycles(
    rules: Rules,
    tape: Tape,
    slots: Sequence[datetime] | None = None,
    cash: str = "10000",
    asked: Mapping[str, tuple[Request, ...]] = MappingProxyType({}),
) -> tuple[list[CycleRecord], Portfolio]:
    """Run every slot and return the records and the portfolio they lead to; asked: operators' requests by slot."""
    setup = setup_of(rules, tape, cash)
    portfolio = Portfolio(run=setup.name)
    records = []
    for slot in slots or slots_of(tape):
        requests = asked.get(f"{slot:%Y-%m-%d %H:%M}", ())
        record, portfolio = run_cycle(setup, tape, portfolio, slot, lambda: at("2030-01-01"), requests)
        records.append(record)
    return records, portfolio


def play(rules: Rules, tape: Tape, slots: Sequence[datetime] | None = None, cash: str = "10000") -> str:
    """Run a history and tell its journal, a line for each entry, refusal and exit."""
    records, _ = cycles(rules, tape, slots, cash)
    return "\n".join(line for record in records for line in tell(record.facts))


def tell(facts: Sequence[Fact]) -> list[str]:
    """Tell the facts of a cycle in order."""
    fills = {fill.position_id: fill for fill in facts if isinstance(fill, Fill) and fill.role is not Role.ENTRY}
    orders = {order.order_id: order for order in facts if isinstance(order, Order)}
    lines = []
    for number, fact in enumerate(facts):
        followers = facts[number + 1 : number + 3]  # a fill, its journal entry, and the closing if it was the last
        closes = any(isinstance(one, Closing) and one.position_id == _position(fact) for one in followers)
        line = _line(fact, fills, orders) if not isinstance(fact, Fill) else _part(fact, is_last=closes)
        lines += [] if line is None else [line]
    return lines


def _position(fact: Fact) -> str | None:
    return fact.position_id if isinstance(fact, Fill) else None


def _part(fill: Fill, *, is_last: bool) -> str | None:
    if is_last or fill.role is Role.ENTRY:
        return None
    return (
        f"{fill.filled_at:%m-%d %H:%M} PART T{fill.token_id} {plain(fill.quantity)} @ {plain(fill.price)}"
        f" {fill.role} {fill.profit_pessimistic:+f}"
    )


def _line(fact: Fact, fills: Mapping[str, Fill], orders: Mapping[str, Order]) -> str | None:
    if isinstance(fact, Candidate) and fact.outcome is Outcome.REJECTED:
        return f"{fact.slot:%m-%d %H:%M} SKIP T{fact.token_id} {fact.first_reason}"
    if isinstance(fact, Position):
        stop = plain(fact.stop_initial) if fact.stop_initial is not None else "-"
        target = plain(fact.target) if fact.target is not None else "-"
        verb = "ENTER" if fact.side is Side.LONG else "SHORT"
        return (
            f"{fact.opened_at:%m-%d %H:%M} {verb} T{fact.token_id} {plain(fact.quantity)} @ {plain(fact.entry_price)}"
            f" stop {stop} target {target}"
        )
    if isinstance(fact, Closing):
        fill = fills[fact.position_id]
        return (
            f"{fact.closed_at:%m-%d %H:%M} EXIT T{fill.token_id} {plain(fill.quantity)} @ {plain(fill.price)}"
            f" {fact.reason} {fact.profit:+f}"
        )
    if isinstance(fact, StopMove):
        return f"{fact.moved_at:%m-%d %H:%M} STOP {plain(fact.price)} {fact.reason}"
    if isinstance(fact, RunEvent):
        return f"{fact.slot:%m-%d %H:%M} {fact.kind.upper()} {fact.name} {fact.state}"
    if isinstance(fact, OrderEvent) and fact.state in {OrderState.CANCELLED, OrderState.EXPIRED}:
        if fact.reason in {"position_closed", "entry_not_filled"}:
            return None
        order = orders.get(fact.order_id)
        return f"{fact.slot:%m-%d %H:%M} {fact.state.upper()} {order.role if order else 'order'} {fact.reason}"
    return None
