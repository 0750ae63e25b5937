"""One token's bars as numpy columns: parsed in bulk from a file and stored in a pack.

Columns hold the floats that the file's digits name; a `Bar` of exact decimals is built on demand.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain, compress
from math import isnan, nan
from pathlib import Path

import numpy as np

from bot.adapters.history.pack import ParsedFile, Words
from bot.adapters.history.parquet import parquet_arrays, rows
from bot.adapters.history.reader import (
    CEILING,
    LATEST,
    PARQUET,
    SourceFile,
    bad_row,
    instant,
    micros,
    not_negative,
    price,
    row_unit,
)
from bot.adapters.history.traded import halts_in, jumps_in, known_volumes, quiet_runs
from bot.domain.instants import EPOCH, MICROSECOND, MICROSECONDS_A_DAY
from bot.domain.market import Bar
from bot.domain.numbers import ZERO, Price, from_float
from bot.domain.reach import EVERY_BAR, NEVER, NO_BAR, Floats, Reach, first_touch

SPANS = {  # the finest first
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
HEADER = ("time", "open", "high", "low", "close")
VOLUME = "volume"
# The lowest and the highest characters of 2024-01-31T12:00:00Z, and a byte that must stay empty.
LETTERS = np.array([b"0000-00-00T00:00:00Z", b"9999-99-99T99:99:99Z"], "S21").view((np.uint8, 21))
EARLIEST = micros(datetime.min.replace(tzinfo=UTC))


class Columns:
    """The bars of one token and timeframe, ascending.

    span: microseconds from open to close. opened_at: microseconds since 1970.
    prices: the rows open, high, low, close.
    volumes: base units; zero only for a quiet bar, NaN when unknown.
    quiet, halts: as in `traded`.
    """

    def __init__(self, span: int, blocks: Mapping[str, Words]) -> None:
        """View the blocks of `bar_blocks`."""
        self.span = span
        self.opened_at = blocks["bars"][0]
        figures: Floats = blocks["bars"][1:].view(np.float64)
        self.prices, self.volumes = figures[:4], figures[4]
        self.quiet, self.halts = blocks["bars/quiet"], blocks["bars/halts"]
        # Small blocks tell where the gaps are: opening a pack reads no page of its bars.
        opens: list[int] = blocks["bars/runs"][0].tolist()
        self._first = opens[0] if len(opens) == 1 else None
        # The rows where a halt begins or ends: rows on both sides of such an edge are never merged.
        edges = {*(self.halts[0] + 1).tolist(), *self.halts[1].tolist()}
        self._edges = sorted(edges - {len(self.opened_at)})

    def count_closed(self, at: int) -> int:
        """Count the bars that closed at or before an instant in microseconds."""
        if self._first is not None:  # no gaps: arithmetic gives the count without a search
            return min(max((at - self._first) // self.span, 0), len(self.opened_at))
        return int(self.opened_at.searchsorted(at - self.span, side="right"))

    def closed_at(self, row: int) -> datetime:
        """Compute the instant at which a row's bar closed."""
        return EPOCH + (int(self.opened_at[row]) + self.span) * MICROSECOND

    def last_move(self, count: int) -> int | None:
        """Find the last of the first `count` rows with a price unlike their last close, or None."""
        end, span = count, 1
        while end:
            start = max(0, end - span)
            moved = np.flatnonzero((self.prices[:, start:end] != self.prices[3, count - 1]).any(axis=0))
            if len(moved):
                return start + int(moved[-1])
            end, span = start, span * 8  # usually the last row moved; a frozen feed goes far back
        return None

    def close_before(self, count: int) -> float | None:
        """Read the last close known when `count` bars have closed; None when none has."""
        return self.prices.item(3, count - 1) if count else None

    def last_active_row(self, count: int) -> int:
        """Find the last of the first `count` rows that is not quiet; -1 when there are none."""
        if not self.quiet.size:
            return count - 1
        starts, ends = self.quiet
        place = int(starts.searchsorted(count - 1, side="right")) - 1
        # The first row is never quiet, so there is a row before each quiet stretch.
        return int(starts[place]) - 1 if place >= 0 and count - 1 < ends[place] else count - 1

    def silences(self) -> Words:
        """List the closes (microseconds) of the last bars traded before halts or the file's end."""
        last: Words = self.opened_at[self.halts[0]]
        return last + self.span

    def first_touch(self, start: int, end: int, reach: Reach) -> int:
        """Find the first bar of a range that is due or touches the reach, else the range's end."""
        if reach.due != NEVER:
            end = min(end, max(start, int(self.opened_at.searchsorted(reach.due))))
        found = first_touch(self.prices[2, start:end], self.prices[1, start:end], reach)
        return end if found is None else start + found

    def first_alone(self, start: int, end: int, reach: Reach) -> int:
        """Find the first row from which on every row needs its own bar, else the range's end.

        Such a row is due, comes within reach, or is the first after a halt's beginning or end.
        """
        if reach is EVERY_BAR:
            return start
        if self._edges:
            edge = bisect_left(self._edges, start)
            end = min([end, *self._edges[edge : edge + 1]])
        return end if reach is NO_BAR else self.first_touch(start, end, reach)

    def stretch(self, start: int, end: int) -> Bar:
        """Merge a range of rows into one bar: first open, extremes, last close; quiet if all are.

        Quiet bars among traded ones give no open and no extreme, because nothing was traded at
        them; the last row gives the close even when it is quiet.
        """
        # Most stretches have few rows, for which lists are faster than arrays.
        opens, highs, lows, closes = self.prices[:, start:end].tolist()
        opened_at, ended_at = self.opened_at.item(start), self.opened_at.item(end - 1) + self.span
        volume = None
        if self.quiet.size:
            traded = (self.volumes[start:end] != 0).tolist()
            if any(traded):
                opens, highs, lows = (list(compress(one, traded)) for one in (opens, highs, lows))
            else:
                opens = highs = lows = closes[-1:]
                volume = ZERO
        prices = (opens[0], max(highs), min(lows), closes[-1])
        return _bar(opened_at, ended_at - opened_at, prices, volume)

    def bars(self, start: int, end: int) -> tuple[Bar, ...]:
        """Build the bars of a range of rows."""
        columns = (self.opened_at[start:end], self.prices[:, start:end].T, self.volumes[start:end])
        rows_of = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(
            _bar(at, self.span, prices, None if isnan(volume) else from_float(volume))
            for at, prices, volume in rows_of
        )

    def days(self) -> "Columns":
        """Aggregate to UTC days; a day appears with its first bar, so ask only for days that ended.

        The volume of a day is unknown when that of one of its bars is.
        """
        day = self.opened_at // MICROSECONDS_A_DAY
        first = np.flatnonzero(np.diff(day, prepend=day[:1] - 1))
        last = np.flatnonzero(np.diff(day, append=day[-1:] + 1))
        opens, highs, lows, closes = self.prices
        prices = (
            opens[first],
            np.maximum.reduceat(highs, first),
            np.minimum.reduceat(lows, first),
            closes[last],
        )
        volumes = np.add.reduceat(self.volumes, first)
        span = MICROSECONDS_A_DAY
        return Columns(span, bar_blocks(span, day[first] * span, np.stack(prices), volumes))

    def cut_at(self, at: int) -> "Columns":
        """Copy the rows that closed by an instant; a slice would still reference the later ones."""
        count = self.count_closed(at)
        columns = (self.opened_at[:count], self.prices[:, :count], self.volumes[:count])
        return Columns(self.span, bar_blocks(self.span, *columns))


def _bar(opened_at: int, span: int, prices: Iterable[float], volume: Decimal | None) -> Bar:
    opened = EPOCH + opened_at * MICROSECOND
    first, high, low, close = (Price(from_float(price)) for price in prices)
    return Bar(opened, opened + span * MICROSECOND, first, high, low, close, volume)


def bar_blocks(span: int, opened_at: Words, prices: Floats, volumes: Floats) -> dict[str, Words]:
    """Build the blocks of bars: the columns, and in small blocks what is derived from them.

    volumes: known ones. runs: the open and the close of each stretch without a gap, in two rows.
    """
    first = np.flatnonzero(np.diff(opened_at, prepend=opened_at[:1] - 2 * span) != span)
    last = np.flatnonzero(np.diff(opened_at, append=opened_at[-1:] + 2 * span) != span)
    return {
        "bars": np.vstack([opened_at, prices.view(np.int64), volumes.view(np.int64)]),
        "bars/runs": np.stack([opened_at[first], opened_at[last] + span]),
        "bars/quiet": quiet_runs(volumes),
        "bars/halts": halts_in(opened_at, span, volumes),
    }


def closes_of(parts: Iterable[ParsedFile], timeframe: str) -> tuple[datetime, ...]:
    """List the distinct closing instants of the bars of several files, ascending."""
    span = SPANS[timeframe] // MICROSECOND
    opens, closes = np.concatenate([part.blocks["bars/runs"] for part in parts], axis=1)
    if not len(opens):
        return ()
    # Merge the overlapping runs first: then no instant comes twice, and no bar has to be read.
    order = opens.argsort()
    opens, closes = opens[order], np.maximum.accumulate(closes[order])
    first = np.flatnonzero(opens[1:] > closes[:-1]) + 1
    stretches = zip(opens[[0, *first]], closes[[*(first - 1), -1]], strict=True)
    found = np.concatenate([np.arange(begin, end, span) for begin, end in stretches]) + span
    return tuple(map(EPOCH.__add__, found.astype("timedelta64[us]").tolist()))


def parse_bars(file: SourceFile, timeframe: str) -> ParsedFile:
    """Parse a bars file; drop candles that contradict themselves, and note them.

    Raises BadInputError for a row that is out of order, duplicated, unparsable or off the grid.
    """
    span, unit = SPANS[timeframe] // MICROSECOND, row_unit(file.path)
    lines: Sequence[int]
    try:
        opened_at, figures = (_of_parquet if file.path.suffix == PARQUET else _in_bulk)(file)
        first = 1 if file.path.suffix == PARQUET else 2
        lines = range(first, len(opened_at) + first)
    except ValueError:
        lines, opened_at, figures = _row_by_row(file)
    _check_grid(file.path, lines, opened_at, span, timeframe)
    opens, highs, lows, closes, _ = figures
    kept = (highs >= np.maximum(opens, closes)) & (lows <= np.minimum(opens, closes))
    refused = tuple(
        f"{unit} {lines[at]}: {_contradiction(figures[:4, at])}" for at in np.flatnonzero(~kept).tolist()
    )
    if refused:
        lines = [lines[at] for at in np.flatnonzero(kept).tolist()]
        opened_at, figures = opened_at[kept], np.ascontiguousarray(figures[:, kept])
    blocks = bar_blocks(span, opened_at, figures[:4], known_volumes(figures[4]))
    blocks["bars/jumps"] = jumps_in(figures[:4], lines)
    return ParsedFile(file.digest, blocks, refused)


def _contradiction(prices: Floats) -> str:
    """Describe how a candle contradicts itself."""
    opened, high, low, close = prices.tolist()
    if high < max(opened, close):
        return f"high {high} below {'open' if high < opened else 'close'} {max(opened, close)}"
    return f"low {low} above {'open' if low > opened else 'close'} {min(opened, close)}"


def _in_bulk(file: SourceFile) -> tuple[Words, Floats]:
    """Parse a plainly written file at once; raises ValueError when it needs the row parser."""
    lines = file.lines()
    header = tuple(next(lines, "").rstrip().split(","))
    if header not in {HEADER, (*HEADER, VOLUME)}:
        raise ValueError
    # A blank line, which numpy would skip, becomes one that it refuses, and so does no line at all.
    plain = (line.strip() or "?" for line in chain([next(lines, "")], lines))
    types = "S21" + ",f8" * len(header[1:])
    table = np.loadtxt(plain, types, comments=None, delimiter=",", ndmin=1)
    stamps, *numbers = (np.ascontiguousarray(table[name]) for name in table.dtype.names or ())
    letters = stamps.view(np.uint8).reshape(len(table), -1)
    # Check each character, because numpy also accepts other forms of an instant.
    if (letters < LETTERS[0]).any() or (letters > LETTERS[1]).any():
        raise ValueError
    opened_at = stamps.astype("S19").astype("datetime64[us]").astype(np.int64)
    return opened_at, _check_numbers(np.stack(numbers))


def _of_parquet(file: SourceFile) -> tuple[Words, Floats]:
    """Read a Parquet file column by column; raises ValueError when it needs the row parser."""
    opened_at, numbers = parquet_arrays(file, HEADER, (VOLUME,))
    if len(opened_at) and not EARLIEST <= opened_at.min() <= opened_at.max() <= LATEST:
        raise ValueError
    return opened_at, _check_numbers(np.stack(numbers))


def _check_numbers(numbers: Floats) -> Floats:
    """Check prices and volumes, and add NaN volumes if absent; ValueError for a doubtful number."""
    prices = numbers[:4]
    sane = (prices > 1 / CEILING) & (prices < CEILING)
    if not sane.all() or not np.isfinite(numbers).all() or (numbers[4:] < 0).any():
        raise ValueError
    return numbers if len(numbers) > len(prices) else np.vstack([prices, np.full(numbers.shape[1], np.nan)])


def _row_by_row(file: SourceFile) -> tuple[list[int], Words, Floats]:
    """Parse any readable file, and raise an error that names the line of the first bad row."""
    lines: list[int] = []
    opened_at: list[int] = []
    figures: list[tuple[float, ...]] = []
    for line, (time, *cells, volume) in rows(file, HEADER, (VOLUME,)):
        try:
            opened_at.append(instant(time.strip()))
            prices = [float(price(cell.strip())) for cell in cells]
            figures.append((*prices, float(not_negative(volume.strip())) if volume.strip() else nan))
        except ValueError as error:
            raise bad_row(file.path, line, str(error)) from error
        lines.append(line)
    return (
        lines,
        np.array(opened_at, dtype=np.int64),
        np.array(figures, dtype=np.float64).reshape(-1, 5).T.copy(),
    )


def _check_grid(path: Path, lines: Sequence[int], opened_at: Words, span: int, timeframe: str) -> None:
    """Refuse rows that are out of order, duplicated or off the timeframe's grid."""
    steps = np.diff(opened_at)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0])
        reason = "duplicated time" if not steps[at] else "out of order: its time is before the row above"
        raise bad_row(path, lines[at + 1], reason)
    off = np.flatnonzero(opened_at % span)
    if len(off):
        raise bad_row(path, lines[int(off[0])], f"time is not the open of a {timeframe} bar")
    if len(opened_at) and opened_at[-1] > LATEST:
        raise bad_row(path, lines[-1], "time is later than this program looks")
