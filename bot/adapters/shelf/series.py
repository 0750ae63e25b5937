"""Sorted rows of one token; each class answers one kind of question fast.

A row that comes later finds its place by its instants; it never changes what was available before
it was known.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Generic, TypeVar

from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.signals import Episode, Signal
from bot.domain.tape import QUOTE, TokenPrint

ROWS_MAX = 2000
VERSIONS_MAX = 200
ONE_DAY = timedelta(days=1)

Row = TypeVar("Row", LevelSet, QuantMetrics, Grades, MarketSize)


class SignalRows:
    """Signals in order of (published_at, known_at), each with the episode after it."""

    __slots__ = ("_keys", "_known", "_ready", "_rows", "_states")

    def __init__(self) -> None:
        """Begin without rows."""
        self._rows: list[Signal] = []
        self._keys: list[tuple[datetime, datetime]] = []
        self._states: list[Episode] = []
        # Running maxima over the rows: of the instant at which a row counts as published, and of
        # known_at. All rows up to an index are available once both have passed.
        self._ready: list[datetime] = []
        self._known: list[datetime] = []

    @property
    def newest(self) -> Signal | None:
        """The last published row."""
        return self._rows[-1] if self._rows else None

    def add(self, row: Signal) -> bool:
        """Add a row, unless the version before it has the same published_at and stance."""
        key = (row.published_at, row.known_at)
        at = bisect_right(self._keys, key)
        if (
            at
            and self._rows[at - 1].published_at == row.published_at
            and self._rows[at - 1].stance is row.stance
        ):
            return False
        if not at and len(self._rows) >= ROWS_MAX:
            return False
        self._rows.insert(at, row)
        self._keys.insert(at, key)
        self._fold_from(at)
        # Old rows can go, as every episode holds its turn; trimming in bulk saves time.
        if len(self._rows) > ROWS_MAX + ROWS_MAX // 10:
            for column in (self._rows, self._keys, self._states, self._ready, self._known):
                del column[: len(column) - ROWS_MAX]
        return True

    def episode(self, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Fold the available rows into an episode; None without any.

        Of the longest prefix of available rows the episode is stored; the rows after it are folded
        one by one.
        """
        prefix = min(bisect_right(self._ready, as_of), bisect_right(self._known, cut_off))
        state = self._states[prefix - 1] if prefix else None
        for at in range(prefix, len(self._rows)):
            row = self._rows[at]
            if row.known_at <= cut_off and min(row.published_at, row.known_at) <= as_of:
                state = _extend(state, row)
        return state

    def _fold_from(self, at: int) -> None:
        for column in (self._states, self._ready, self._known):
            del column[at:]
        for row in self._rows[at:]:
            ready = min(row.published_at, row.known_at)
            self._states.append(_extend(self._states[-1] if self._states else None, row))
            self._ready.append(max(self._ready[-1], ready) if self._ready else ready)
            self._known.append(max(self._known[-1], row.known_at) if self._known else row.known_at)


def _extend(episode: Episode | None, row: Signal) -> Episode:
    if episode is None or row.stance is not episode.turn.stance:
        return Episode(signal_id=row.signal_id, turn=row, latest=row)
    return Episode(signal_id=episode.signal_id, turn=episode.turn, latest=row)


class Versions(Generic[Row]):
    """Rows sorted by the instant from which they count, then by published_at and known_at."""

    __slots__ = ("_keys", "_rows")

    def __init__(self) -> None:
        """Begin without rows."""
        self._rows: list[Row] = []
        self._keys: list[tuple[datetime, datetime, datetime]] = []

    @property
    def newest_published_at(self) -> datetime | None:
        """The newest instant of publication, at any cut-off."""
        return max((published_at for _, published_at, _ in self._keys), default=None)

    def add(self, row: Row, published_at: datetime) -> bool:
        """Add a row, unless the version before it of the same publication has equal values."""
        key = (min(published_at, row.known_at), published_at, row.known_at)
        at = bisect_right(self._keys, key)
        before = next(
            (self._rows[i] for i in range(at - 1, -1, -1) if self._keys[i][1] == published_at), None
        )
        if before is not None and replace(before, known_at=row.known_at) == row:
            return False
        self._keys.insert(at, key)
        self._rows.insert(at, row)
        if len(self._rows) > VERSIONS_MAX:
            del self._rows[0], self._keys[0]
        return True

    def newest(self, as_of: datetime, cut_off: datetime) -> Row | None:
        """Find the last row available."""
        return next(self.back(as_of, cut_off), None)

    def back(self, as_of: datetime, cut_off: datetime) -> Iterator[Row]:
        """Yield the rows available, newest first."""
        for at in range(bisect_right(self._keys, as_of, key=lambda key: key[0]) - 1, -1, -1):
            if self._rows[at].known_at <= cut_off:
                yield self._rows[at]


class Candles:
    """Bars of one timeframe by opening; when a bar comes twice, the first stays."""

    __slots__ = ("_days", "_keep", "_known_until", "_opened", "_rows")

    def __init__(self, keep: timedelta) -> None:
        """Keep bars that opened at most `keep` before the newest, and the last one before them."""
        self._keep = keep
        self._opened: list[datetime] = []
        self._rows: dict[datetime, TokenPrint] = {}
        self._known_until: datetime | None = None
        self._days: tuple[datetime, tuple[Bar, ...]] | None = None

    @property
    def last(self) -> Bar | None:
        """The bar that opened last, at any cut-off."""
        return self._rows[self._opened[-1]].bar if self._opened else None

    def add(self, row: TokenPrint) -> bool:
        """Add a bar, unless it is there already or too old."""
        opened_at = row.bar.opened_at
        if opened_at in self._rows or (self._opened and opened_at < self._opened[-1] - self._keep):
            return False
        insort(self._opened, opened_at)
        self._rows[opened_at] = row
        self._known_until = max(self._known_until or row.known_at, row.known_at)
        self._days = None
        while len(self._opened) > 1 and self._opened[1] < self._opened[-1] - self._keep:
            del self._rows[self._opened.pop(0)]
        return True

    def back(self, as_of: datetime, cut_off: datetime) -> Iterator[Bar]:
        """Yield the bars closed by as_of and known by cut_off, newest first."""
        for at in range(bisect_left(self._opened, as_of) - 1, -1, -1):
            row = self._rows[self._opened[at]]
            if _is_available(row, as_of, cut_off):
                yield row.bar

    def whole_days(self, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """List the whole UTC days ended by as_of, oldest first: daily bars, or hours added up."""
        midnight = as_of.replace(hour=0, minute=0, second=0, microsecond=0)
        # When all bars are known by the cut-off, the days depend on midnight alone: keep them.
        settled = self._known_until is None or self._known_until <= cut_off
        if settled and self._days is not None and self._days[0] == midnight:
            return self._days[1]
        ended = (
            self._rows[opened_at]
            for opened_at in self._opened[: bisect_left(self._opened, midnight)]
        )
        days = tuple(_whole_days(row.bar for row in ended if row.known_at <= cut_off))
        if settled:
            self._days = (midnight, days)
        return days


def _whole_days(bars: Iterable[Bar]) -> Iterator[Bar]:
    """Add up the hours of each day that has all of them; keep a bar of a whole day as it is."""
    for _, together in groupby(bars, key=lambda bar: bar.opened_at.date()):
        day = list(together)
        first, last = day[0], day[-1]
        if sum((bar.closed_at - bar.opened_at for bar in day), timedelta()) == ONE_DAY:
            low, high = min(bar.low for bar in day), max(bar.high for bar in day)
            yield (
                first
                if len(day) == 1
                else Bar(first.opened_at, last.closed_at, first.open, high, low, last.close)
            )


class Arrivals:
    """Prints in the order in which they became available."""

    __slots__ = ("_keep", "_keys", "_rows")

    def __init__(self, keep: timedelta) -> None:
        """Keep prints that came at most `keep` before the newest, and the last one before them.

        So the last price before a halt, or before a daemon was down, stays known.
        """
        self._keep = keep
        self._keys: list[datetime] = []
        self._rows: list[TokenPrint] = []

    def add(self, row: TokenPrint) -> bool:
        """Add a print, unless it is there already."""
        key = max(row.known_at, row.bar.closed_at)
        at = bisect_right(self._keys, key)
        if row in self._rows[bisect_left(self._keys, key) : at]:
            return False
        self._keys.insert(at, key)
        self._rows.insert(at, row)
        gone = max(bisect_left(self._keys, self._keys[-1] - self._keep) - 1, 0)
        del self._keys[:gone], self._rows[:gone]
        return True

    def back(self, cut_off: datetime) -> Iterator[Bar]:
        """Yield the prints available by the cut-off, newest first."""
        for at in range(bisect_right(self._keys, cut_off) - 1, -1, -1):
            yield self._rows[at].bar

    def between(
        self, seen: tuple[datetime, datetime] | None, as_of: datetime, cut_off: datetime
    ) -> tuple[Bar, ...]:
        """List the prints available at (as_of, cut_off) but not at `seen`, in order of opening."""
        start = bisect_right(self._keys, min(seen)) if seen else 0
        found = [
            row.bar
            for row in self._rows[start:]
            if _is_available(row, as_of, cut_off) and not (seen and _is_available(row, *seen))
        ]
        return tuple(sorted(found, key=lambda bar: (bar.opened_at, bar.closed_at)))


def _is_available(row: TokenPrint, as_of: datetime, cut_off: datetime) -> bool:
    return row.known_at <= cut_off and (row.timeframe == QUOTE or row.bar.closed_at <= as_of)
