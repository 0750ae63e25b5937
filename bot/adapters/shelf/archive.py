"""The live archive: everything fetched or loaded from the tape, as of a slot and a cut-off.

Data that is added later never changes an answer as of an earlier cut-off: a revision is kept beside
the row that it revises, with its own known_at, and a bar stays as it first came. A row counts as
published when the provider says so or when we had it, whichever came first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from itertools import takewhile

from bot.adapters.shelf.gaps import Gaps
from bot.adapters.shelf.series import Arrivals, Candles, SignalRows, Versions
from bot.domain.ids import TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.numbers import to_float
from bot.domain.reach import EVERY_BAR, Reach
from bot.domain.signals import Episode, Signal
from bot.domain.tape import QUOTE, Datum, Hole, TokenPrint

DAILY = "daily"
HOUR, DAY = "1h", "1d"
KEEP_DAYS, KEEP_HOURS, KEEP_QUOTES = timedelta(days=600), timedelta(days=28), timedelta(days=7)
QUOTE_RATIO_MAX = 10
# When the newest row lacks a grade, it is taken from a row at most this much older.
GRADE_REACH = timedelta(days=2)


class _Shelf:
    """Everything kept of one token."""

    def __init__(self) -> None:
        self.signals: dict[str, SignalRows] = {}
        self.levels: Versions[LevelSet] = Versions()
        self.quantmetrics: Versions[QuantMetrics] = Versions()
        self.grades: Versions[Grades] = Versions()
        self.market: Versions[MarketSize] = Versions()
        self.hours, self.days = Candles(KEEP_HOURS), Candles(KEEP_DAYS)
        self.prints: Mapping[str, Arrivals | Candles] = {
            QUOTE: Arrivals(KEEP_QUOTES),
            HOUR: self.hours,
            DAY: self.days,
        }
        self.arrivals = Arrivals(KEEP_HOURS)
        self.gaps = Gaps()
        # The earliest close of a bar with a volume: before it, a volume of zero is unknown.
        self.traded_at: datetime | None = None

    def add(self, datum: Datum) -> bool:
        """Add a datum; return False when it is not news."""
        match datum:
            case Signal():
                return self.signals.setdefault(datum.feed, SignalRows()).add(datum)
            case TokenPrint(timeframe=timeframe, bar=bar):
                if self.is_implausible(datum):
                    return False
                if bar.volume:
                    self.traded_at = min(self.traded_at or bar.closed_at, bar.closed_at)
                is_news = self.prints[timeframe].add(datum)
                return is_news and (timeframe == DAY or self.arrivals.add(datum))
            case LevelSet():
                return self.levels.add(datum, datum.published_at)
            case QuantMetrics():
                return self.quantmetrics.add(datum, datum.published_at)
            case Grades():
                return self.grades.add(datum, datum.published_at)
            case MarketSize():
                return self.market.add(datum, datum.known_at)

    def is_implausible(self, datum: Datum) -> bool:
        """Check whether a quote is more than ten times off the last close."""
        closes = [bar for bar in (self.hours.last, self.days.last) if bar is not None]
        if not closes or not isinstance(datum, TokenPrint) or datum.timeframe != QUOTE:
            return False
        close, price = max(closes, key=lambda bar: bar.closed_at).close, datum.bar.close
        return price > QUOTE_RATIO_MAX * close or close > QUOTE_RATIO_MAX * price

    def last_prints(
        self, as_of: datetime, cut_off: datetime, fits: Callable[[Bar], bool] | None = None
    ) -> list[Bar | None]:
        """Find the last quote, hour and day that fit."""
        return [next(filter(fits, rows.back(as_of, cut_off)), None) for rows in self.prints.values()]

    def with_known_volume(self, bar: Bar) -> Bar:
        """Mark a zero volume as unknown when no bar with a volume had closed before the bar opened.

        This happens when bars are read, so that the order in which they came does not matter.
        """
        if not bar.is_quiet or (self.traded_at is not None and self.traded_at <= bar.opened_at):
            return bar
        return bar._replace(volume=None)


class MemoryArchive:
    """An archive that grows; `feed` names the feed whose signals make its episodes."""

    def __init__(self, instruments: Mapping[TokenId, Instrument], feed: str = DAILY) -> None:
        """Begin with these tokens, and without data."""
        self.feed = feed
        self._instruments: dict[TokenId, Instrument] = {}
        self._shelves: dict[TokenId, _Shelf] = {}
        self.admit(instruments)

    @property
    def instruments(self) -> Mapping[TokenId, Instrument]:
        """The tokens of the archive, by id."""
        return self._instruments

    def admit(self, instruments: Mapping[TokenId, Instrument]) -> None:
        """Add tokens; those that are there keep their data."""
        for token_id, instrument in instruments.items():
            self._instruments[token_id] = instrument
            self._shelves.setdefault(token_id, _Shelf())

    def of_feed(self, feed: str) -> "MemoryArchive":
        """Build an archive over the same data, also those added later, with the episodes of another feed."""
        other = MemoryArchive({}, feed)
        other._instruments, other._shelves = self._instruments, self._shelves
        return other

    def add(self, datum: Datum) -> bool:
        """Add a datum; return False when it is not news or its token was not admitted."""
        shelf = self._shelves.get(datum.token_id)
        return shelf is not None and shelf.add(datum)

    def is_implausible(self, datum: Datum) -> bool:
        """Check whether a datum is a quote that is held back until a closed bar confirms it."""
        shelf = self._shelves.get(datum.token_id)
        return shelf is not None and shelf.is_implausible(datum)

    def note(self, hole: Hole) -> None:
        """Note how a hole of some tokens stands from its known_at on."""
        for token_id in hole.tokens:
            if (shelf := self._shelves.get(token_id)) is not None:
                shelf.gaps.add(hole)

    def newest_signal(self, token_id: TokenId, feed: str) -> Signal | None:
        """Find the last published row of a feed, at any cut-off."""
        rows = self._shelves[token_id].signals.get(feed)
        return rows.newest if rows else None

    def newest_bar(self, token_id: TokenId, timeframe: str) -> Bar | None:
        """Find the last bar of a timeframe, at any cut-off."""
        shelf = self._shelves[token_id]
        return (shelf.days if timeframe == DAY else shelf.hours).last

    def newest_publication(self, token_id: TokenId, kind: type[LevelSet | QuantMetrics]) -> datetime | None:
        """Find when the last levels, or the last measures, were published, at any cut-off."""
        shelf = self._shelves[token_id]
        return (shelf.levels if kind is LevelSet else shelf.quantmetrics).newest_published_at

    def episode(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Find the current episode, unsure if a turn may lie in a hole."""
        shelf = self._shelves[token_id]
        rows = shelf.signals.get(self.feed)
        found = rows.episode(as_of, cut_off) if rows else None
        if found is not None and shelf.gaps.is_unsure(self.feed, found.since, cut_off):
            return replace(found, unsure=True)
        return found

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the newest of the last quote and the last closes of hours and days."""
        return _newest(token_id, self._shelves[token_id].last_prints(as_of, cut_off))

    def active_price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the newest of the last quote and the last closes of bars that are not quiet.

        Returns None when the last hour is so much later that the hours between were never asked
        for, and while hours are missing: a silence is no halt then.
        """
        shelf = self._shelves[token_id]
        if shelf.gaps.is_unsure(HOUR, None, cut_off):
            return None
        active = shelf.last_prints(as_of, cut_off, lambda bar: not shelf.with_known_volume(bar).is_quiet)
        found, last = _newest(token_id, active), shelf.hours.last
        beyond = found and last and last.closed_at - found.known_at > KEEP_HOURS
        return None if beyond else found

    def last_prices(
        self, tokens: Iterable[TokenId], as_of: datetime, cut_off: datetime
    ) -> dict[TokenId, float | None]:
        """Find the last prices of many tokens as floats, for statistics."""
        quotes = {token_id: self.price(token_id, as_of, cut_off) for token_id in tokens}
        return {
            token_id: None if quote is None else to_float(quote.price) for token_id, quote in quotes.items()
        }

    def close(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the newer of the last closes of hours and days."""
        return _newest(token_id, self._shelves[token_id].last_prints(as_of, cut_off)[1:])

    def moved_at(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> datetime | None:
        """Find when a quote or an hour, else a day, last had another price than now."""
        now = self.price(token_id, as_of, cut_off)
        if now is None:
            return None
        # bar[2:6] is open, high, low and close.
        quote, hour, day = self._shelves[token_id].last_prints(
            as_of, cut_off, lambda bar: {*bar[2:6]} != {now.price}
        )
        # Quotes and hours come first, because they are more precise: a day with a move counts until
        # its close, even when its last hours did not move.
        moves = [bar.closed_at for bar in (quote, hour) if bar]
        return max(moves, default=day and day.closed_at)

    def levels(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> LevelSet | None:
        """Find the newest set of levels; None when a level of it could not be read."""
        found = self._shelves[token_id].levels.newest(as_of, cut_off)
        return None if found is None or found.unread else found

    def quantmetrics(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> QuantMetrics | None:
        """Find the newest measures."""
        return self._shelves[token_id].quantmetrics.newest(as_of, cut_off)

    def grades(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Grades | None:
        """Find the newest grades; a grade that the newest row lacks comes from an older row.

        The answer then has the older row's published_at.
        """
        rows = self._shelves[token_id].grades.back(as_of, cut_off)
        newest = next(rows, None)
        if newest is None:
            return None
        since = newest.published_at - GRADE_REACH
        return reduce(_fill_missing, takewhile(lambda row: row.published_at >= since, rows), newest)

    def market(self, token_id: TokenId, _as_of: datetime, cut_off: datetime) -> MarketSize | None:
        """Find the newest market size; its only instant is our known_at."""
        return self._shelves[token_id].market.newest(cut_off, cut_off)

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """List the whole UTC days ended by as_of, oldest first; none while some are missing.

        They are built of hours when the archive has no daily bars of the token.
        """
        shelf = self._shelves[token_id]
        bars, timeframe = (shelf.days, DAY) if shelf.days.last else (shelf.hours, HOUR)
        if shelf.gaps.is_unsure(timeframe, None, cut_off):
            return ()
        days = bars.whole_days(as_of, cut_off)
        start = shelf.gaps.begins_behind(timeframe, cut_off)
        return days if start is None else tuple(day for day in days if day.opened_at > start)

    def lacks_quote(self, token_id: TokenId, cut_off: datetime) -> bool:
        """Check whether the newest fetch of prices brought none of the token."""
        return self._shelves[token_id].gaps.is_unsure(QUOTE, None, cut_off)

    def prints(
        self,
        token_id: TokenId,
        seen: tuple[datetime, datetime] | None,
        as_of: datetime,
        cut_off: datetime,
        _reach: Reach = EVERY_BAR,
    ) -> tuple[Bar, ...]:
        """List hours and quotes available now, but not at seen = (as_of, cut_off), by opening."""
        shelf = self._shelves[token_id]
        return tuple(map(shelf.with_known_volume, shelf.arrivals.between(seen, as_of, cut_off)))

    def finer(self, _token_id: TokenId, _bar: Bar, _as_of: datetime, _cut_off: datetime) -> tuple[Bar, ...]:
        """Return nothing: no bars below the hour exist, and quotes were settled when they came."""
        return ()


def _newest(token_id: TokenId, found: Iterable[Bar | None]) -> Quote | None:
    """Convert the bar that closed last, the first of equals, to a quote of its close."""
    newest = max(filter(None, found), key=lambda bar: bar.closed_at, default=None)
    return newest and Quote(token_id=token_id, price=newest.close, known_at=newest.closed_at)


def _fill_missing(grades: Grades, older: Grades) -> Grades:
    """Fill missing grades from an older row, and date the result as the older row."""
    trader = older.trader_grade if grades.trader_grade is None else grades.trader_grade
    investor = older.investor_grade if grades.investor_grade is None else grades.investor_grade
    if (trader, investor) == (grades.trader_grade, grades.investor_grade):
        return grades
    return replace(
        grades,
        published_at=min(grades.published_at, older.published_at),
        known_at=max(grades.known_at, older.known_at),
        trader_grade=trader,
        investor_grade=investor,
    )
