"""Bars at rest: numpy columns of one token, parsed in bulk, and what a pack keeps of them.

Columns hold the floats that the file's digits name; a `Bar` of exact decimals is made when someone looks at it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from bot.adapters.history.pack import Part
from bot.adapters.history.parquet import columns_of, parquet_arrays
from bot.adapters.history.reader import (
    CEILING,
    EPOCH,
    LATEST,
    MICROSECOND,
    PARQUET,
    SourceFile,
    bad_row,
    instant,
    micros,
    not_negative,
    positive,
    row_unit,
)
from bot.adapters.history.rows import rows
from bot.domain.market import Bar
from bot.domain.numbers import Price, from_float
from bot.domain.reach import Floats, Reach, first_reached

SPANS = {  # the finest first
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
HEADER = ("time", "open", "high", "low", "close")
STAMP = b"dddd-dd-ddTdd:dd:ddZ"
DIGITS = (ord("0"), ord("9"))
DAY = timedelta(days=1) // MICROSECOND
CHUNK_LENGTH = 1 << 22
EARLIEST = micros(datetime.min.replace(tzinfo=UTC))

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Bars of one token and timeframe, ascending.

    span: microseconds from open to close; opened_at: microseconds since 1970; prices: rows open, high, low, close;
    refused: the lines that were dropped, and why; runs: where each stretch without a gap opens and closes, in two rows.
    """

    span: int
    opened_at: Integers
    prices: Floats
    refused: tuple[str, ...]
    runs: Integers
    _first: int = field(init=False, repr=False)
    _gapless: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """See whether there is a bar at every instant of the grid, which nearly always is so."""
        opens = self.runs[0].tolist()  # these alone, so that opening a pack touches no page of its bars
        object.__setattr__(self, "_first", opens[0] if opens else 0)
        object.__setattr__(self, "_gapless", len(opens) <= 1)

    def closed_by(self, at: int) -> int:
        """Count the bars that closed at or before an instant in microseconds."""
        if self._gapless:
            return min(max((at - self._first) // self.span, 0), len(self.opened_at))
        return int(self.opened_at.searchsorted(at - self.span, side="right"))

    def closed_at(self, row: int) -> datetime:
        """Return the instant at which a row's bar closed."""
        return EPOCH + (int(self.opened_at[row]) + self.span) * MICROSECOND

    def last_move(self, count: int) -> int | None:
        """Return the last of the first so many rows that holds another price than the last of them closed at."""
        end, span = count, 1
        while end:
            start = max(0, end - span)
            moved = np.flatnonzero((self.prices[:, start:end] != self.prices[3, count - 1]).any(axis=0))
            if len(moved):
                return start + int(moved[-1])
            end, span = start, span * 8  # nearly always the last row itself; a frozen feed may go far back
        return None

    def first_reached(self, start: int, end: int, reach: Reach) -> int:
        """Return the first of a range of rows whose bar comes within reach; the range's end where none does."""
        found = first_reached(self.prices[2, start:end], self.prices[1, start:end], reach)
        return end if found is None else start + found

    def stretch(self, start: int, end: int) -> Bar:
        """Make one bar of a range of rows: its first open, its extremes, its last close."""
        # Of few rows, which nearly all stretches have, plain numbers give the extremes sooner than columns do.
        high, low = max(self.prices[1, start:end].tolist()), min(self.prices[2, start:end].tolist())
        prices = (self.prices.item(0, start), high, low, self.prices.item(3, end - 1))
        opened_at, last = self.opened_at.item(start), self.opened_at.item(end - 1)
        return _bar(opened_at, last + self.span - opened_at, prices)

    def bars(self, start: int, end: int) -> tuple[Bar, ...]:
        """Make the bars of a range of rows."""
        opened = self.opened_at[start:end].tolist()
        return tuple(
            _bar(at, self.span, prices) for at, prices in zip(opened, self.prices[:, start:end].T.tolist(), strict=True)
        )

    def days(self) -> "Columns":
        """Aggregate to UTC days; a day is there as soon as one of its bars is, so ask only for days that ended."""
        if not len(self.opened_at):
            return columns_from(DAY, self.opened_at, self.prices, ())
        day = self.opened_at // DAY
        first = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
        last = np.append(first[1:], len(day)) - 1
        opens, highs, lows, closes = self.prices
        prices = (opens[first], np.maximum.reduceat(highs, first), np.minimum.reduceat(lows, first), closes[last])
        return columns_from(DAY, day[first] * DAY, np.stack(prices), ())


class Bars(Sequence[Bar]):
    """The bars of a range of rows, each made when someone looks at it; nobody sees the rows beyond the range."""

    __slots__ = ("_columns", "_end", "_made", "_start")

    def __init__(self, columns: Columns, start: int, end: int, made: dict[int, Bar]) -> None:
        """Look at the rows from a first one up to an end; made: the bars of these columns that were made before."""
        self._columns = columns
        self._start = start
        self._end = end
        self._made = made

    def closed_by(self, at: int, most: int) -> "Bars":
        """Return the last of these bars, at most so many, that closed at or before an instant in microseconds."""
        end = min(self._end, self._columns.closed_by(at))
        return Bars(self._columns, max(self._start, end - most), end, self._made)

    def __len__(self) -> int:
        """Count the rows."""
        return self._end - self._start

    @overload
    def __getitem__(self, at: int) -> Bar: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Bar, ...]: ...
    def __getitem__(self, at: int | slice) -> Bar | tuple[Bar, ...]:
        """Make the bar of a row, or the bars of several."""
        rows = range(self._start, self._end)[at]
        return self._bar(rows) if isinstance(rows, int) else tuple(self._bar(row) for row in rows)

    def __eq__(self, other: object) -> bool:
        """Compare with the same bars however they are kept."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _bar(self, row: int) -> Bar:
        if row not in self._made:
            self._made[row] = self._columns.bars(row, row + 1)[0]
        return self._made[row]


def _bar(opened_at: int, span: int, prices: Sequence[float]) -> Bar:
    opened = EPOCH + opened_at * MICROSECOND
    return Bar(opened, opened + span * MICROSECOND, *map(_price, prices))


def _price(value: float) -> Price:
    return Price(from_float(value))


def columns_from(span: int, opened_at: Integers, prices: Floats, refused: tuple[str, ...]) -> Columns:
    """Make columns, and find their runs."""
    runs = np.empty((2, 0), np.int64)
    if len(opened_at):
        last = np.append(np.flatnonzero(np.diff(opened_at) != span), len(opened_at) - 1)
        runs = np.stack([opened_at[np.append(0, last[:-1] + 1)], opened_at[last] + span])
    return Columns(span, opened_at, prices, refused, runs)


def pack_columns(file: SourceFile, timeframe: str) -> Part:
    """Parse a bars file to what a pack keeps of it."""
    columns = parse(file, timeframe)
    bars = np.vstack([columns.opened_at, columns.prices.view(np.int64)])
    return Part(file.digest, {"bars": bars}, {"runs": columns.runs}, columns.refused)


def unpack_columns(part: Part, timeframe: str) -> Columns:
    """Look at the bars in a part."""
    bars = part.blocks["bars"]
    span, prices = SPANS[timeframe] // MICROSECOND, bars[1:].view(np.float64)
    return Columns(span, bars[0], prices, part.notes, part.late["runs"])


def closes_of(parts: Iterable[Part], timeframe: str) -> Integers:
    """Return the distinct closing instants of the bars of several files, ascending, from their runs alone."""
    span = SPANS[timeframe] // MICROSECOND
    opens, closes = np.concatenate([part.late["runs"] for part in parts], axis=1)
    order = opens.argsort()
    opens, closes = opens[order], np.maximum.accumulate(closes[order])
    first = np.flatnonzero(opens[1:] > closes[:-1]) + 1
    stretches = zip(opens[[0, *first]], closes[[*(first - 1), -1]], strict=True) if len(opens) else ()
    return np.concatenate([np.empty(0, np.int64), *(np.arange(a, b, span) + span for a, b in stretches)])


def parse(file: SourceFile, timeframe: str) -> Columns:
    """Parse a bars file; raises BadInputError for a row out of order, duplicated, unparsable or off the grid."""
    span = SPANS[timeframe] // MICROSECOND
    lines: Sequence[int]
    try:
        opened_at, prices = _of_parquet(file) if file.path.suffix == PARQUET else _in_bulk(file.text())
        first = 1 if file.path.suffix == PARQUET else 2
        lines = range(first, len(opened_at) + first)
    except ValueError:
        lines, opened_at, prices = _row_by_row(file)
    _check_grid(file.path, lines, opened_at, span, timeframe)
    opens, highs, lows, closes = prices
    kept = (highs >= np.maximum(opens, closes)) & (lows <= np.minimum(opens, closes))
    if kept.all():
        return columns_from(span, opened_at, prices, ())
    unit = row_unit(file.path)
    refused = tuple(f"{unit} {lines[at]}: {_contradiction(prices[:, at])}" for at in np.flatnonzero(~kept).tolist())
    return columns_from(span, opened_at[kept], np.ascontiguousarray(prices[:, kept]), refused)


def _contradiction(prices: Floats) -> str:
    """Say how a candle contradicts itself."""
    opened, high, low, close = prices.tolist()
    if high < max(opened, close):
        return f"high {high} below {'open' if high < opened else 'close'} {max(opened, close)}"
    return f"low {low} above {'open' if low > opened else 'close'} {min(opened, close)}"


def _in_bulk(text: str) -> tuple[Integers, Floats]:
    """Parse a plainly written file at once; ValueError where anything needs a closer look."""
    if '"' in text or "_" in text or not text.isascii():
        raise ValueError
    head, _, body = text.replace("\r\n", "\n").rstrip().partition("\n")
    header = tuple(head.split(","))
    width = len(header)
    if header not in {HEADER, (*HEADER, "volume")} or not body:
        raise ValueError
    parts = [_of_lines(lines, width) for lines in _chunks(body)]
    return np.concatenate([stamps for stamps, _ in parts]), _sane(np.concatenate([part for _, part in parts], axis=1))


def _chunks(body: str) -> Iterator[str]:
    """Cut a text at ends of lines, so that of a long one only a part is taken to pieces at a time."""
    start = 0
    while start < len(body):
        end = body.find("\n", start + CHUNK_LENGTH)
        yield body[start : end if end >= 0 else len(body)]
        start = end + 1 if end >= 0 else len(body)


def _of_lines(body: str, width: int) -> tuple[Integers, Floats]:
    """Parse plainly written lines; ValueError where anything needs a closer look."""
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
    """Take the columns of a Parquet file as they are; ValueError where anything needs a closer look."""
    volume = [name for name in ("volume",) if name in columns_of(file)]
    opened_at, numbers = parquet_arrays(file, HEADER[0], (*HEADER[1:], *volume))
    if len(opened_at) and not EARLIEST <= opened_at.min() <= opened_at.max() <= micros(LATEST):
        raise ValueError
    return opened_at, _sane(np.stack(numbers))


def _sane(numbers: Floats) -> Floats:
    """Return the prices among columns of numbers; ValueError where one of these may be none."""
    prices = np.ascontiguousarray(numbers[:4])
    sane = (prices > 1 / CEILING) & (prices < CEILING)
    if not sane.all() or not np.isfinite(numbers).all() or (numbers[4:] < 0).any():
        raise ValueError
    return prices


def _stamps(cells: list[str]) -> Integers:
    """Parse instants that are all written as 2024-01-31T12:00:00Z."""
    if set(map(len, cells)) != {len(STAMP)}:
        raise ValueError
    letters = np.array(cells, dtype=f"S{len(STAMP)}").view(np.uint8).reshape(len(cells), len(STAMP))
    for place, letter in enumerate(STAMP):
        lowest, highest = DIGITS if letter == ord("d") else (letter, letter)
        if letters[:, place].min() < lowest or letters[:, place].max() > highest:
            raise ValueError
    stamps = np.ascontiguousarray(letters[:, :-1]).view(f"S{len(STAMP) - 1}").ravel()
    return stamps.astype("datetime64[us]").astype(np.int64)


def _row_by_row(file: SourceFile) -> tuple[list[int], Integers, Floats]:
    """Parse any file that can be read, and name the line of the first row that cannot."""
    lines: list[int] = []
    opened_at: list[int] = []
    prices: list[tuple[float, ...]] = []
    for line, (time, *cells, volume) in rows(file, HEADER, ("volume",)):
        try:
            opened_at.append(micros(instant(time.strip())))
            prices.append(tuple(float(positive(cell.strip())) for cell in cells))
            if volume.strip():
                not_negative(volume.strip())
        except ValueError as error:
            raise bad_row(file.path, line, str(error)) from error
        lines.append(line)
    return lines, np.array(opened_at, dtype=np.int64), np.array(prices, dtype=np.float64).reshape(-1, 4).T.copy()


def _check_grid(path: Path, lines: Sequence[int], opened_at: Integers, span: int, timeframe: str) -> None:
    """Refuse rows out of order, twice, or between the timeframe's instants."""
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
