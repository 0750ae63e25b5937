"""Sorted rows of one token; each class answers one kind of question fast.

A row that comes later finds its place by its instants; it never changes what was available before
it was known.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Generic, NamedTuple, TypeVar

from bot.domain.instants import DAY
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.signals import Episode, Signal
from bot.domain.tape import QUOTE, TokenPrint

ROWS_MAX = 2000
VERSIONS_MAX = 200
EARLIEST = datetime.min.replace(tzinfo=UTC)

Row = TypeVar("Row", LevelSet, QuantMetrics, Grades, MarketSize)
# Sorted rows are pairs of a key and a row.
KEY = itemgetter(0)


class _Folded(NamedTuple):
    """A signal, and what the rows up to it add up to.

    episode: the one after it. ready, known: the latest instants at which a row counts as published,
    and is known; all rows up to it are available once both have passed.
    """

    row: Signal
    episode: Episode
    ready: datetime
    known: datetime


class SignalRows:
    """Signals in order of (published_at, known_at), each with the episode after it."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._rows: list[_Folded] = []

    @property
    def newest(self) -> Signal | None:
        """The last published row."""
        return self._rows[-1].row if self._rows else None

    def add(self, row: Signal) -> bool:
        """Add a row, unless the version before it has the same published_at and stance."""
        at = bisect_right(self._rows, _dates(row), key=lambda one: _dates(one.row))
        before = self._rows[at - 1].row if at else None
        if before is None and len(self._rows) >= ROWS_MAX:
            return False
        if before and (before.published_at, before.stance) == (row.published_at, row.stance):
            return False
        later = [row, *(one.row for one in self._rows[at:])]
        del self._rows[at:]
        for one in later:
            self._rows.append(_fold(self._rows[-1] if self._rows else None, one))
        # Old rows can go, as every episode holds its turn.
        del self._rows[:-ROWS_MAX]
        return True

    def episode(self, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Fold the available rows into an episode; None without any.

        Of the longest prefix of available rows the episode is stored; the rows after it are folded
        one by one.
        """
        prefix = min(
            bisect_right(self._rows, as_of, key=attrgetter("ready")),
            bisect_right(self._rows, cut_off, key=attrgetter("known")),
        )
        episode = self._rows[prefix - 1].episode if prefix else None
        for row, *_ in self._rows[prefix:]:
            if row.known_at <= cut_off and min(_dates(row)) <= as_of:
                episode = _extend(episode, row)
        return episode


def _dates(row: Signal) -> tuple[datetime, datetime]:
    return row.published_at, row.known_at


def _fold(before: _Folded | None, row: Signal) -> _Folded:
    ready, known = min(_dates(row)), row.known_at
    if before is None:
        return _Folded(row, _extend(None, row), ready, known)
    episode = _extend(before.episode, row)
    return _Folded(row, episode, max(before.ready, ready), max(before.known, known))


def _extend(episode: Episode | None, row: Signal) -> Episode:
    if episode is not None and row.stance is episode.turn.stance:
        return replace(episode, latest=row)
    since = episode.latest.published_at if episode else None
    return Episode(signal_id=row.signal_id, turn=row, latest=row, since=since)


class Versions(Generic[Row]):
    """Rows sorted by the instant from which they count, then by published_at and known_at."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._rows: list[tuple[tuple[datetime, datetime, datetime], Row]] = []

    @property
    def newest_published_at(self) -> datetime | None:
        """The newest instant of publication, at any cut-off."""
        return max((published_at for (_, published_at, _), _ in self._rows), default=None)

    def add(self, row: Row, published_at: datetime) -> bool:
        """Add a row, unless the version before it of the same publication has equal values."""
        key = (min(published_at, row.known_at), published_at, row.known_at)
        at = bisect_right(self._rows, key, key=KEY)
        versions = (one for (_, at, _), one in reversed(self._rows[:at]) if at == published_at)
        before = next(versions, None)
        if before is not None and replace(before, known_at=row.known_at) == row:
            return False
        self._rows.insert(at, (key, row))
        del self._rows[:-VERSIONS_MAX]
        return True

    def newest(self, as_of: datetime, cut_off: datetime) -> Row | None:
        """Find the last row available."""
        return next(self.back(as_of, cut_off), None)

    def back(self, as_of: datetime, cut_off: datetime) -> Iterator[Row]:
        """Yield the rows available, newest first."""
        end = bisect_right(self._rows, as_of, key=lambda one: one[0][0])
        return (row for _, row in reversed(self._rows[:end]) if row.known_at <= cut_off)


def _insert(rows: list[tuple[datetime, TokenPrint]], key: datetime, row: TokenPrint, keep: timedelta) -> None:
    """Insert a print; drop those more than `keep` before the last, but for the newest of them."""
    rows.insert(bisect_right(rows, key, key=KEY), (key, row))
    del rows[: max(bisect_left(rows, rows[-1][0] - keep, key=KEY) - 1, 0)]


class Candles:
    """Bars of one timeframe by opening; when a bar comes twice, the first stays."""

    def __init__(self, keep: timedelta) -> None:
        """Keep bars that opened at most `keep` before the newest, and the last one before them."""
        self._keep = keep
        self._rows: list[tuple[datetime, TokenPrint]] = []
        self._known_until = EARLIEST
        self._days: tuple[datetime, tuple[Bar, ...]] | None = None

    @property
    def last(self) -> Bar | None:
        """The bar that opened last, at any cut-off."""
        return self._rows[-1][1].bar if self._rows else None

    def add(self, row: TokenPrint) -> bool:
        """Add a bar, unless it is there already or too old."""
        opened_at = row.bar.opened_at
        at = bisect_left(self._rows, opened_at, key=KEY)
        later = self._rows[at:]
        if later and (later[0][0] == opened_at or opened_at < later[-1][0] - self._keep):
            return False
        _insert(self._rows, opened_at, row, self._keep)
        self._known_until = max(self._known_until, row.known_at)
        self._days = None
        return True

    def back(self, as_of: datetime, cut_off: datetime) -> Iterator[Bar]:
        """Yield the bars closed by as_of and known by cut_off, newest first."""
        for at in range(bisect_left(self._rows, as_of, key=KEY) - 1, -1, -1):
            row = self._rows[at][1]
            if _is_available(row, as_of, cut_off):
                yield row.bar

    def whole_days(self, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """List the whole UTC days ended by as_of, oldest first: daily bars, or hours added up."""
        midnight = as_of.replace(hour=0, minute=0, second=0, microsecond=0)
        # When all bars are known by the cut-off, the days depend on midnight alone: keep them.
        settled = self._known_until <= cut_off
        if settled and self._days is not None and self._days[0] == midnight:
            return self._days[1]
        ended = self._rows[: bisect_left(self._rows, midnight, key=KEY)]
        days = tuple(_whole_days(row.bar for _, row in ended if row.known_at <= cut_off))
        if settled:
            self._days = (midnight, days)
        return days


def _whole_days(bars: Iterable[Bar]) -> Iterator[Bar]:
    """Add up the hours of each day that has all of them; keep a bar of a whole day as it is."""
    for _, together in groupby(bars, key=lambda bar: bar.opened_at.date()):
        day = list(together)
        first, last = day[0], day[-1]
        if sum((bar.closed_at - bar.opened_at for bar in day), timedelta()) == DAY:
            low, high = min(bar.low for bar in day), max(bar.high for bar in day)
            yield (
                first
                if len(day) == 1
                else Bar(first.opened_at, last.closed_at, first.open, high, low, last.close)
            )


class Arrivals:
    """Prints in the order in which they became available."""

    def __init__(self, keep: timedelta) -> None:
        """Keep prints that came at most `keep` before the newest, and the last one before them.

        So the last price before a halt, or before a daemon was down, stays known.
        """
        self._keep = keep
        self._rows: list[tuple[datetime, TokenPrint]] = []

    def add(self, row: TokenPrint) -> bool:
        """Add a print, unless it is there already."""
        entry = (max(row.known_at, row.bar.closed_at), row)
        if entry in self._rows[bisect_left(self._rows, entry[0], key=KEY) :]:
            return False
        _insert(self._rows, *entry, self._keep)
        return True

    def back(self, _as_of: datetime, cut_off: datetime) -> Iterator[Bar]:
        """Yield the prints available by the cut-off, newest first."""
        for at in range(bisect_right(self._rows, cut_off, key=KEY) - 1, -1, -1):
            yield self._rows[at][1].bar

    def between(
        self, seen: tuple[datetime, datetime] | None, as_of: datetime, cut_off: datetime
    ) -> tuple[Bar, ...]:
        """List the prints available at (as_of, cut_off) but not at `seen`, in order of opening."""
        start = bisect_right(self._rows, min(seen), key=KEY) if seen else 0
        found = [
            row.bar
            for _, row in self._rows[start:]
            if _is_available(row, as_of, cut_off) and not (seen and _is_available(row, *seen))
        ]
        return tuple(sorted(found, key=lambda bar: (bar.opened_at, bar.closed_at)))


def _is_available(row: TokenPrint, as_of: datetime, cut_off: datetime) -> bool:
    return row.known_at <= cut_off and (row.timeframe == QUOTE or row.bar.closed_at <= as_of)
