"""Files of candles as columns of text cells: CSV in its dialects, JSON, Arrow and Parquet.

A cell holds the digits that the file holds; only the columns that are asked for are kept.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bot.adapters.candles.arrow import arrow_columns
from bot.adapters.candles.cells import CELL_MAX, Cells, decode, to_cells
from bot.domain.errors import BadInputError, ConfigError

PRICES = ("open", "high", "low", "close")
DELIMITERS = ",;\t|"
# How many first lines may stand before the candles, and how many after the header before the data.
PREAMBLE_MAX, SUBHEAD_MAX = 30, 3
BLOCK_BYTES = 1 << 22
NAMES_SHOWN = 5
CANDLE_CELLS = 5
NUMERIC = re.compile(r"(?ai)[$+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?[kmb]?|nan|null")
FEATHER, PARQUET = (".feather", ".arrow", ".ft"), (".parquet", ".pq")
ENDINGS = {**dict.fromkeys(FEATHER, "Feather"), **dict.fromkeys(PARQUET, "Parquet")}

Header = tuple[str, ...] | None
Pick = Callable[[Header, int], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A file as columns of cells.

    header: the names of all columns, None when it has none. width: the number of all columns.
    cells: the columns that were asked for, by place. lines: the line or row of each.
    skipped: lines before the candles. ragged: rows with another number of cells.
    """

    kind: str
    header: Header
    width: int
    cells: Mapping[int, Cells]
    lines: npt.NDArray[np.int64]
    skipped: int = 0
    ragged: int = 0


def read_sheet(path: Path, pick: Pick) -> Sheet:
    """Read a file; pick: chooses the places of columns from the header and the number of columns.

    Raises ConfigError for a missing file or extra, BadInputError for one that holds no candles,
    OSError for one that cannot be read.
    """
    if not path.is_file():
        fault = "is a folder: name its files" if path.is_dir() else "no such file"
        raise ConfigError(f"{path}: {fault}")
    name = path.name.lower()
    kind = ENDINGS.get(path.suffix.lower())
    if kind:
        header, columns = arrow_columns(path, kind)
        return _make(kind, header, columns, pick)
    try:
        with _unpack(path) as stream:
            if name.removesuffix(".gz").removesuffix(".zip").endswith(".json"):
                return _of_json(path, decode(stream.read()), pick)
            return _read_csv(path, stream, pick)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise BadInputError(f"{path}: cannot be unpacked: fetch it again, or unpack it") from error


@contextmanager
def _unpack(path: Path) -> Iterator[IO[bytes]]:
    """Open a file as UTF-8 without a mark, unpacked by what its first bytes say."""
    with path.open("rb") as raw:
        first = raw.read(4)
        raw.seek(0)
        source: Any = raw
        if first.startswith(b"\x1f\x8b"):
            source = io.BufferedReader(gzip.GzipFile(fileobj=raw))
        elif first.startswith(b"PK"):
            packed = zipfile.ZipFile(raw)
            names = [name for name in packed.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise BadInputError(f"{path}: holds {len(names)} files: unpack it, and name them")
            try:
                source = io.BufferedReader(packed.open(names[0]))
            except RuntimeError as error:  # it wants a password, or a method that is not known
                mend = "unpack it, and name its file"
                raise BadInputError(f"{path}: cannot be unpacked: {mend}") from error
        mark = source.peek(3)[:3]
        if mark[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
            source = io.BytesIO(source.read().decode("utf-16", "replace").encode())
        elif mark == codecs.BOM_UTF8:
            source.read(len(mark))
        yield source


def is_numeric(cell: str) -> bool:
    """Check whether a cell looks like a number, also one with commas or a K, M or B."""
    return NUMERIC.fullmatch(cell.strip()) is not None


def name_of(cell: str) -> str:
    """Reduce the name of a column to its lower-case letters and digits."""
    return re.sub(r"[^a-z0-9:]", "", cell.lower())


def _is_data(cells: Sequence[str]) -> bool:
    return len(cells) >= CANDLE_CELLS and sum(map(is_numeric, cells[1:])) >= len(PRICES)


def _is_header(cells: Sequence[str]) -> bool:
    names = [name_of(cell) for cell in cells]
    return all(any(name.endswith(word) or name == word[0] for name in names) for word in PRICES[:3])


def _cells_of_line(line: str, delimiter: str) -> list[str]:
    """Split a line; without cells when the csv module refuses it."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _find_start(path: Path, lines: Sequence[str]) -> tuple[str, Header, int, int]:
    """Find the delimiter, the header, the number of columns and the place of the first candle."""
    for delimiter in DELIMITERS:
        header: Header = None
        for at, line in enumerate(lines):
            cells = _cells_of_line(line, delimiter)
            if header is None and _is_header(cells):
                header, since = tuple(cell.strip() for cell in cells), at
            elif _is_data(cells):
                # Names that are not known are a header too: their order is not ours to guess.
                unknown = _cells_of_line(lines[at - 1], delimiter) if at and header is None else []
                if len(unknown) == len(cells) and not is_numeric(unknown[0]):
                    header = tuple(cell.strip() for cell in unknown)
                return delimiter, header, len(cells), at
            elif header and at - since > SUBHEAD_MAX:
                break
    shown = lines[0].strip()[:60] if lines else ""
    fault = f"its first line is {shown!r}" if shown else "it is empty"
    need = "a header with open, high, low, close, or rows of numbers is needed"
    if any(_is_header(_cells_of_line(line, one)) for line in lines for one in DELIMITERS):
        need = "it has a header, and no row of numbers below it"
    raise BadInputError(f"{path}: no candles found, {fault}: {need}")


def _read_csv(path: Path, stream: IO[bytes], pick: Pick) -> Sheet:
    head = list(islice(stream, PREAMBLE_MAX))
    delimiter, header, width, start = _find_start(path, [decode(line) for line in head])
    picked = pick(header, width)
    if header and max(picked) >= width:  # the first row is cut short
        width = len(header)
    kept: dict[int, list[Cells]] = {place: [] for place in picked}
    numbers: list[npt.NDArray[np.int64]] = []
    done, ragged, block = start, 0, b"".join(head[start:])
    while block:
        block = block.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
        count = block.count(b"\n")
        table = (block, delimiter, width, picked)
        columns, inside, missed = _split(*table) or _split_slowly(*table)
        ragged += missed
        for place, cells in zip(picked, columns, strict=True):
            kept[place].append(np.strings.strip(cells))
        numbers.append(inside + done)
        done += count
        block = stream.read(BLOCK_BYTES)
        block += stream.readline() if block else b""
    return Sheet(
        kind="CSV",
        header=header,
        width=width,
        cells={place: np.concatenate(kept.pop(place)) for place in picked},
        lines=np.concatenate(numbers),
        skipped=start - (header is not None),
        ragged=ragged,
    )


Split = tuple[list[Cells], npt.NDArray[np.int64], int]


def _split(block: bytes, delimiter: str, width: int, picked: Sequence[int]) -> Split | None:
    """Split plain lines all at once; None when a line needs care: of another width, or long."""
    data = np.frombuffer(block, np.uint8)
    breaks = data == ord("\n")
    edges = breaks | (data == ord(delimiter))
    quotes = data == ord('"')
    quoted = quotes.any()
    if quoted:
        marks = np.flatnonzero(quotes)
        opens, closes = marks[::2], marks[1::2]
        # Quotes are plain around a whole cell of one line.
        plain = len(opens) == len(closes) and edges[opens - 1].all() and edges[closes + 1].all()
        inside = np.logical_xor.accumulate(quotes)
        if not plain or (breaks & inside).any() or b"\r" in block or not block.isascii():
            return None
        edges &= ~inside
    ends = np.flatnonzero(edges)
    rows = len(ends) // width
    # Each line has its number of cells when every so many ends, and no other, is a line's.
    uneven = len(ends) % width or int(breaks.sum()) != rows
    if uneven or not breaks[ends[width - 1 :: width]].all() or b"\0" in block:
        return None
    starts = np.append(0, ends[:-1] + 1)
    data = np.append(data, np.zeros(CELL_MAX, np.uint8))
    columns = []
    for place in picked:
        first, last = starts[place::width], ends[place::width]
        first, last = first + quotes[first], last - quotes[first]
        size = max(int((last - first).max()), 1)
        if size > CELL_MAX:
            return None
        steps = np.arange(size)
        letters = np.where(steps < (last - first)[:, None], data[first[:, None] + steps], 0)
        columns.append(letters.astype(np.uint8).view(f"S{size}").ravel())
    return columns, np.arange(1, rows + 1), 0


def _split_slowly(block: bytes, delimiter: str, width: int, picked: Sequence[int]) -> Split:
    """Split any lines; the rows with another number of cells are only counted."""
    rows, places, missed = [], [], 0
    # Each line for itself, so that a quote that nobody closes costs one line.
    for number, line in enumerate(decode(block).split("\n"), start=1):
        cells = _cells_of_line(line, delimiter)
        if len(cells) == width:
            rows.append([cells[place][:CELL_MAX] for place in picked])
            places.append(number)
        else:
            missed += bool(line.strip())
    columns = [to_cells([row[place] for row in rows]) for place in range(len(picked))]
    return columns, np.array(places, dtype=np.int64), missed


def _of_json(path: Path, text: str, pick: Pick) -> Sheet:
    """Read arrays of arrays or of objects, or an object of columns; numbers stay as written."""
    try:
        whole = json.loads(text, parse_float=str, parse_int=str)
        rows = _find_rows(whole)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{path}: not JSON ({error}): fetch it again") from error
    if isinstance(rows, Mapping):
        return _make("JSON", tuple(rows), [_texts_of(one) for one in rows.values()], pick)
    if rows and isinstance(rows[0], Mapping):
        header = tuple(rows[0])
        columns = [_texts_of([row.get(name) for row in rows]) for name in header]
        return _make("JSON", header, columns, pick)
    width = max(map(len, rows), default=0)
    if width < CANDLE_CELLS:
        names = ", ".join(list(whole)[:NAMES_SHOWN]) if isinstance(whole, Mapping) else "values"
        lacks = "no array of open, high, low and close"
        raise BadInputError(f"{path}: no candles found: it holds {names}, and {lacks}")
    even = [row for row in rows if len(row) == width]
    columns = [_texts_of(column) for column in zip(*even, strict=True)]
    return _make("JSON", None, columns, pick, len(rows) - len(even))


def _find_rows(value: Any) -> Any:
    """Find the first list of arrays or objects, or the object of columns, in an answer."""
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return [row for row in value if isinstance(row, type(value[0]))]
    if isinstance(value, dict):
        columns = {name: one for name, one in value.items() if isinstance(one, list) and one}
        flat = {name: one for name, one in columns.items() if not isinstance(one[0], list | dict)}
        if len(flat) >= CANDLE_CELLS and len(set(map(len, flat.values()))) == 1:
            return flat
        for inner in value.values():
            if found := _find_rows(inner):
                return found
    return []


def _texts_of(values: Sequence[Any]) -> Cells:
    return to_cells(["" if value is None else str(value)[:CELL_MAX] for value in values])


def _make(kind: str, header: Header, columns: list[Cells], pick: Pick, ragged: int = 0) -> Sheet:
    count = len(columns[0]) if columns else 0
    return Sheet(
        kind=kind,
        header=header,
        width=len(columns),
        cells={place: columns[place] for place in pick(header, len(columns))},
        lines=np.arange(1, count + 1),
        ragged=ragged,
    )
