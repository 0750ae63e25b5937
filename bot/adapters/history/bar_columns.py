"""One token's bars as numpy columns: parsed in bulk from a file and stored in a pack.

Columns hold the floats that the file's digits name; a `Bar` of exact decimals is built on demand.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan, nan
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bot.adapters.history.cells import rows
from bot.adapters.history.pack import ParsedFile
from bot.adapters.history.parquet import columns_of, parquet_arrays
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
from bot.domain.instants import EPOCH, MICROSECOND
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
STAMP = b"dddd-dd-ddTdd:dd:ddZ"
DIGITS = (ord("0"), ord("9"))
DAY = timedelta(days=1) // MICROSECOND
CHUNK_LENGTH = 1 << 22
EARLIEST = micros(datetime.min.replace(tzinfo=UTC))
Integers = npt.NDArray[np.int64]

NO_JUMPS: Integers = np.empty((3, 0), np.int64)


@dataclass(frozen=True, slots=True)
class Columns:
    """The bars of one token and timeframe, ascending.

    span: microseconds from open to close. opened_at: microseconds since 1970.
    prices: the rows open, high, low, close.
    volumes: base units; zero only for a quiet bar, NaN when unknown.
    refused: the lines that were dropped, and why.
    runs: the open and the close of each stretch without a gap, in two rows.
    quiet, halts and jumps: as in `traded`.
    """

    span: int
    opened_at: Integers
    prices: Floats
    volumes: Floats
    refused: tuple[str, ...]
    runs: Integers
    quiet: Integers
    halts: Integers
    jumps: Integers
    _first: int = field(init=False, repr=False)
    _gapless: bool = field(init=False, repr=False)
    _has_quiet: bool = field(init=False, repr=False)
    _edges: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Find out whether there are gaps or quiet bars; nearly always there are none."""
        opens = self.runs[0].tolist()  # small blocks: opening a pack reads no page of its bars
        object.__setattr__(self, "_first", opens[0] if opens else 0)
        object.__setattr__(self, "_gapless", len(opens) <= 1)
        object.__setattr__(self, "_has_quiet", self.quiet.shape[1] > 0)
        # The rows where a halt begins or ends: rows on both sides of such an edge are never merged.
        edges = {*(self.halts[0] + 1).tolist(), *self.halts[1].tolist()}
        object.__setattr__(self, "_edges", sorted(edges - {len(self.opened_at)}))

    def count_closed(self, at: int) -> int:
        """Count the bars that closed at or before an instant in microseconds."""
        if self._gapless:  # the fast form: arithmetic gives the count without a search
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
        if not self._has_quiet:
            return count - 1
        starts, ends = self.quiet
        place = int(starts.searchsorted(count - 1, side="right")) - 1
        # The first row is never quiet, so there is a row before each quiet stretch.
        return int(starts[place]) - 1 if place >= 0 and count - 1 < ends[place] else count - 1

    def silences(self) -> Integers:
        """List the closes (microseconds) of the last bars traded before halts or the file's end."""
        last: Integers = self.opened_at[self.halts[0]]
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
        if self._has_quiet and not (traded := self.volumes[start:end] != 0).all():
            return self._merge_active(start, end, start + np.flatnonzero(traded))
        # Most stretches have few rows, for which max and min are faster on lists than on arrays.
        high, low = max(self.prices[1, start:end].tolist()), min(self.prices[2, start:end].tolist())
        prices = (self.prices.item(0, start), high, low, self.prices.item(3, end - 1))
        return self._stretch_bar(start, end, prices, None)

    def _merge_active(self, start: int, end: int, traded: npt.NDArray[np.intp]) -> Bar:
        """Merge a range of rows of which only the given ones were traded."""
        close = self.prices.item(3, end - 1)
        if not len(traded):
            return self._stretch_bar(start, end, (close, close, close, close), ZERO)
        high, low = self.prices[1, traded].max().item(), self.prices[2, traded].min().item()
        return self._stretch_bar(start, end, (self.prices.item(0, int(traded[0])), high, low, close), None)

    def _stretch_bar(self, start: int, end: int, prices: Sequence[float], volume: Decimal | None) -> Bar:
        opened_at, last = self.opened_at.item(start), self.opened_at.item(end - 1)
        return _bar(opened_at, last + self.span - opened_at, prices, volume)

    def bars(self, start: int, end: int) -> tuple[Bar, ...]:
        """Build the bars of a range of rows."""
        columns = (self.opened_at[start:end], self.prices[:, start:end].T, self.volumes[start:end])
        rows_of = zip(*(column.tolist() for column in columns), strict=True)
        return tuple(_bar(at, self.span, prices, _volume(volume)) for at, prices, volume in rows_of)

    def days(self) -> "Columns":
        """Aggregate to UTC days; a day appears with its first bar, so ask only for days that ended.

        The volume of a day is unknown when that of one of its bars is.
        """
        if not len(self.opened_at):
            return columns_from(DAY, self.opened_at, self.prices, self.volumes)
        day = self.opened_at // DAY
        first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
        last = np.append(first[1:], len(day)) - 1
        opens, highs, lows, closes = self.prices
        prices = (
            opens[first],
            np.maximum.reduceat(highs, first),
            np.minimum.reduceat(lows, first),
            closes[last],
        )
        return columns_from(DAY, day[first] * DAY, np.stack(prices), np.add.reduceat(self.volumes, first))


def _bar(opened_at: int, span: int, prices: Sequence[float], volume: Decimal | None) -> Bar:
    opened = EPOCH + opened_at * MICROSECOND
    first, high, low, close = map(_price, prices)
    return Bar(opened, opened + span * MICROSECOND, first, high, low, close, volume)


def _price(value: float) -> Price:
    return Price(from_float(value))


def _volume(value: float) -> Decimal | None:
    return None if isnan(value) else from_float(value)


def columns_from(
    span: int,
    opened_at: Integers,
    prices: Floats,
    volumes: Floats,
    refused: tuple[str, ...] = (),
    jumps: Integers = NO_JUMPS,
) -> Columns:
    """Build columns from known volumes, and find their runs, quiet stretches and halts."""
    runs = np.empty((2, 0), np.int64)
    if len(opened_at):
        last = np.append(np.flatnonzero(np.diff(opened_at) != span), len(opened_at) - 1)
        runs = np.stack([opened_at[np.append(0, last[:-1] + 1)], opened_at[last] + span])
    quiet, halts = quiet_runs(volumes), halts_in(opened_at, span, volumes)
    return Columns(span, opened_at, prices, volumes, refused, runs, quiet, halts, jumps)


def pack_columns(file: SourceFile, timeframe: str) -> ParsedFile:
    """Parse a bars file into the blocks that a pack stores."""
    columns = parse(file, timeframe)
    bars = np.vstack([columns.opened_at, columns.prices.view(np.int64), columns.volumes.view(np.int64)])
    late = {"runs": columns.runs, "quiet": columns.quiet, "halts": columns.halts, "jumps": columns.jumps}
    return ParsedFile(file.digest, {"bars": bars}, late, columns.refused)


def unpack_columns(part: ParsedFile, timeframe: str) -> Columns:
    """View the blocks of a parsed bars file as columns."""
    opened_at, figures = part.blocks["bars"][0], part.blocks["bars"][1:].view(np.float64)
    span, late = SPANS[timeframe] // MICROSECOND, part.late
    derived = (late["runs"], late["quiet"], late["halts"], late["jumps"])
    return Columns(span, opened_at, figures[:4], figures[4], part.notes, *derived)


def closes_of(parts: Iterable[ParsedFile], timeframe: str) -> Integers:
    """List the distinct closing instants of the bars of several files, ascending."""
    span = SPANS[timeframe] // MICROSECOND
    opens, closes = np.concatenate([part.late["runs"] for part in parts], axis=1)
    # Merge the overlapping runs first: then no instant comes twice, and no bar has to be read.
    order = opens.argsort()
    opens, closes = opens[order], np.maximum.accumulate(closes[order])
    first = np.flatnonzero(opens[1:] > closes[:-1]) + 1
    stretches = zip(opens[[0, *first]], closes[[*(first - 1), -1]], strict=True) if len(opens) else ()
    return np.concatenate([np.empty(0, np.int64), *(np.arange(a, b, span) + span for a, b in stretches)])


def parse(file: SourceFile, timeframe: str) -> Columns:
    """Parse a bars file; drop candles that contradict themselves, and list them as refused.

    Raises BadInputError for a row that is out of order, duplicated, unparsable or off the grid.
    """
    span = SPANS[timeframe] // MICROSECOND
    lines: Sequence[int]
    try:
        opened_at, figures = _of_parquet(file) if file.path.suffix == PARQUET else _in_bulk(file.text())
        first = 1 if file.path.suffix == PARQUET else 2
        lines = range(first, len(opened_at) + first)
    except ValueError:
        lines, opened_at, figures = _row_by_row(file)
    _check_grid(file.path, lines, opened_at, span, timeframe)
    opens, highs, lows, closes, _ = figures
    kept = (highs >= np.maximum(opens, closes)) & (lows <= np.minimum(opens, closes))
    refused: tuple[str, ...] = ()
    if not kept.all():
        unit, prices = row_unit(file.path), figures[:4]
        refused = tuple(
            f"{unit} {lines[at]}: {_contradiction(prices[:, at])}"
            for at in np.flatnonzero(~kept).tolist()
        )
        lines = [lines[at] for at in np.flatnonzero(kept).tolist()]
        opened_at, figures = opened_at[kept], np.ascontiguousarray(figures[:, kept])
    jumps = jumps_in(figures[:4], lines)
    return columns_from(span, opened_at, figures[:4], known_volumes(figures[4]), refused, jumps)


def _contradiction(prices: Floats) -> str:
    """Describe how a candle contradicts itself."""
    opened, high, low, close = prices.tolist()
    if high < max(opened, close):
        return f"high {high} below {'open' if high < opened else 'close'} {max(opened, close)}"
    return f"low {low} above {'open' if low > opened else 'close'} {min(opened, close)}"


def _in_bulk(text: str) -> tuple[Integers, Floats]:
    """Parse a plainly written file at once; raises ValueError when it needs the row parser."""
    if '"' in text or "_" in text or not text.isascii():
        raise ValueError
    head, _, body = text.replace("\r\n", "\n").rstrip().partition("\n")
    header = tuple(head.split(","))
    width = len(header)
    if header not in {HEADER, (*HEADER, VOLUME)} or not body:
        raise ValueError
    parts = [_of_lines(lines, width) for lines in _chunks(body)]
    return (
        np.concatenate([stamps for stamps, _ in parts]),
        _sane(np.concatenate([part for _, part in parts], axis=1)),
    )


def _chunks(body: str) -> Iterator[str]:
    """Cut a text at line ends, so that only a part of a long one is split into cells at a time."""
    start = 0
    while start < len(body):
        end = body.find("\n", start + CHUNK_LENGTH)
        yield body[start : end if end >= 0 else len(body)]
        start = end + 1 if end >= 0 else len(body)


def _of_lines(body: str, width: int) -> tuple[Integers, Floats]:
    """Parse plainly written lines; raises ValueError when they need the row parser."""
    count = body.count("\n") + 1
    cells = body.replace("\n", ",").split(",")
    if len(cells) != count * width or body.count(",") != count * (width - 1):
        raise ValueError
    opened_at = _stamps(cells[::width])
    numbers = np.empty((width - 1, count))
    for column in range(1, width):
        numbers[column - 1] = np.fromiter(map(float, cells[column::width]), np.float64, count)
    return opened_at, numbers


def _of_parquet(file: SourceFile) -> tuple[Integers, Floats]:
    """Read a Parquet file column by column; raises ValueError when it needs the row parser."""
    volume = [name for name in (VOLUME,) if name in columns_of(file, (VOLUME,))]
    opened_at, numbers = parquet_arrays(file, HEADER[0], (*HEADER[1:], *volume))
    if len(opened_at) and not EARLIEST <= opened_at.min() <= opened_at.max() <= micros(LATEST):
        raise ValueError
    return opened_at, _sane(np.stack(numbers))


def _sane(numbers: Floats) -> Floats:
    """Check prices and volumes, and add NaN volumes if absent; ValueError for a doubtful number."""
    prices = numbers[:4]
    sane = (prices > 1 / CEILING) & (prices < CEILING)
    if not sane.all() or not np.isfinite(numbers).all() or (numbers[4:] < 0).any():
        raise ValueError
    return numbers if len(numbers) > len(prices) else np.vstack([prices, np.full(numbers.shape[1], np.nan)])


def _stamps(cells: list[str]) -> Integers:
    """Parse instants that are all written as 2024-01-31T12:00:00Z; raises ValueError for others."""
    if set(map(len, cells)) != {len(STAMP)}:
        raise ValueError
    # Check each character, because numpy also accepts other forms of an instant.
    letters = np.array(cells, dtype=f"S{len(STAMP)}").view(np.uint8).reshape(len(cells), len(STAMP))
    for place, letter in enumerate(STAMP):
        lowest, highest = DIGITS if letter == ord("d") else (letter, letter)
        if letters[:, place].min() < lowest or letters[:, place].max() > highest:
            raise ValueError
    stamps = np.ascontiguousarray(letters[:, :-1]).view(f"S{len(STAMP) - 1}").ravel()
    return stamps.astype("datetime64[us]").astype(np.int64)


def _row_by_row(file: SourceFile) -> tuple[list[int], Integers, Floats]:
    """Parse any readable file, and raise an error that names the line of the first bad row."""
    lines: list[int] = []
    opened_at: list[int] = []
    figures: list[tuple[float, ...]] = []
    for line, (time, *cells, volume) in rows(file, HEADER, (VOLUME,)):
        try:
            opened_at.append(micros(instant(time.strip())))
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


def _check_grid(
    path: Path, lines: Sequence[int], opened_at: Integers, span: int, timeframe: str
) -> None:
    """Refuse rows that are out of order, duplicated or off the timeframe's grid."""
    steps = np.diff(opened_at)
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0])
        reason = "duplicated time" if not steps[at] else "out of order: its time is before the row above"
        raise bad_row(path, lines[at + 1], reason)
    off = np.flatnonzero(opened_at % span)
    if len(off):
        raise bad_row(path, lines[int(off[0])], f"time is not the open of a {timeframe} bar")
    if len(opened_at) and opened_at[-1] > micros(LATEST):
        raise bad_row(path, lines[-1], "time is later than this program looks")
