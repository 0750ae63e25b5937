"""The end of a history: the last close of any bar in its folder, even of an unused one.

A file that was not parsed is read only in its last rows, so a large folder costs little.
"""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bot.adapters.history.bar_columns import HEADER, SPANS, VOLUME, parse_bars
from bot.adapters.history.files import BarFile
from bot.adapters.history.pack import Pack, ParsedFile
from bot.adapters.history.parquet import parquet_tail
from bot.adapters.history.reader import (
    CEILING,
    LATEST,
    PARQUET,
    SourceFile,
    choose,
    instant,
    load,
    names_in,
    readable,
)
from bot.domain.errors import BadInputError, BotError
from bot.domain.instants import MICROSECOND
from bot.domain.instruments import Instrument

TAIL_BYTES = 4096
TAIL_ROWS = 16
# A header and a plainly written row; the row has a last cell if the header has a volume.
PLAIN_ROW = re.compile(
    rb"time,open,high,low,close(,volume)?\n(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
    + rb",(\d+(?:\.\d*)?)" * 4
    + rb"(?(1),\d*(?:\.\d*)?)"
)
ALONE = Path("row.csv")  # the path given to a single row, which is parsed as a file

# Last closes in microseconds since 1970, at most one of a file, and what could not be read.
Ends = tuple[list[int], list[str]]


def ends_of(
    folder: Path, instruments: Iterable[Instrument], place: Path | None, read: Iterable[BarFile]
) -> Ends:
    """Find the last close of every bars file that belongs to an instrument, in every timeframe.

    read: the files that were parsed already, whose last closes are known.
    """
    known = {file.path: file.part for file in read}
    closes = [close for part in known.values() for close in _last_of(part)]
    refused: list[str] = []
    symbols = [instrument.symbol for instrument in instruments]
    for timeframe in SPANS:
        found = _paths_in(folder / "bars" / timeframe, symbols, refused)
        paths = [path for path in found if path not in known]
        for path, ends, notes in _ends_in(paths, timeframe, place, refused) if paths else ():
            closes += ends
            refused += (f"{path}{note}" for note in notes)
    return closes, refused


def _last_of(part: ParsedFile) -> list[int]:
    last: list[int] = part.blocks["bars/runs"][1, -1:].tolist()
    return last


@contextmanager
def _note_error(refused: list[str]) -> Iterator[None]:
    """Note what cannot be read instead of raising an error."""
    try:
        yield
    except BotError as error:
        refused.append(str(error))


def _paths_in(folder: Path, symbols: Iterable[str], refused: list[str]) -> list[Path]:
    """Find the bars files in the folder of a timeframe, and note why others cannot be found."""
    paths: list[Path | None] = []
    with _note_error(refused):
        names = names_in(folder)
        for symbol in symbols if names else ():
            with _note_error(refused):
                paths.append(choose(folder, symbol, names))
    return [path for path in paths if path is not None]


def _ends_in(
    paths: Sequence[Path], timeframe: str, place: Path | None, refused: list[str]
) -> Iterator[tuple[Path, list[int], Sequence[str]]]:
    """Find the last closes of files that were not parsed, from their pack or their last rows."""
    packed, stored = Pack(place, f"bars-{timeframe}").trusted_parts(paths), []
    for path in paths:
        if path in packed:
            yield path, _last_of(packed[path]), ()
        elif path.suffix == ".csv":
            with _note_error(refused), readable(path), path.open("rb") as stream:
                yield path, *_last_close(*_tail_of(stream), timeframe)
        else:
            stored.append(path)
    # What must be unpacked is packed again with only its last close.
    parse, parts = partial(_parse_end, timeframe=timeframe), {}
    try:
        parts = Pack(place, f"ends-{timeframe}").parts(stored, parse)
    except BotError:  # one file cannot be read, so each is read by itself
        for path in stored:
            with _note_error(refused):
                parts[path] = parse(load(path))
    for path, part in parts.items():
        yield path, _last_of(part), part.notes


def _parse_end(file: SourceFile, timeframe: str) -> ParsedFile:
    """Find the last close of a gzip or Parquet file."""
    try:
        if file.path.suffix == PARQUET:
            rows = parquet_tail(file, HEADER, (VOLUME,), TAIL_ROWS)
            header, *lines = (",".join(cells).encode() for cells in rows)
        else:
            header, lines = _tail_of(io.BytesIO(file.text().encode()))
        closes, notes = _last_close(header, lines, timeframe)
    except BotError as error:
        closes, notes = [], [str(error).removeprefix(str(file.path))]
    runs = np.array([closes, closes], np.int64)
    return ParsedFile(file.digest, {"bars/runs": runs}, tuple(notes))


def _tail_of(stream: BinaryIO) -> tuple[bytes, list[bytes]]:
    """Read the first line and the last lines of a text."""
    header = stream.readline(TAIL_BYTES)
    size = stream.seek(0, io.SEEK_END)
    start = stream.seek(max(len(header), size - TAIL_BYTES))
    lines = stream.read().splitlines()
    if start > len(header):
        # The first line may be cut; a sole one is kept, so that its fault is reported.
        lines = lines[1:] or lines
    return header.rstrip(), [line for line in lines if line.strip()][-TAIL_ROWS:]


def _last_close(header: bytes, lines: Sequence[bytes], timeframe: str) -> Ends:
    """Find the close of the last readable row, and describe the unreadable rows after it."""
    refused: list[str] = []
    for line in reversed(lines):
        try:
            closes, notes = _parse_row(header + b"\n" + line, timeframe)
        except BadInputError as error:
            closes, notes = [], (str(error).removeprefix(f"{ALONE} "),)
            if notes[0].startswith("line 1: "):
                return [], [f" {notes[0]}"]
        refused += (f" last row: {note.removeprefix('line 2: ')}" for note in notes)
        if closes:
            return closes, refused
    return [], refused


def _parse_row(text: bytes, timeframe: str) -> tuple[list[int], Sequence[str]]:
    """Find the close of a sole row below its header, or why its candle is dropped."""
    row, span = PLAIN_ROW.fullmatch(text), SPANS[timeframe] // MICROSECOND
    if row:  # the full parser takes ten times as long for a plainly written, valid row
        opened, high, low, close = map(float, row.group(3, 4, 5, 6))
        with suppress(ValueError):
            at = instant(row[2].decode())
            ordered = 1 / CEILING < low <= min(opened, close) <= max(opened, close) <= high
            if ordered and high < CEILING and at % span == 0 and at <= LATEST:
                return [at + span], ()
    part = parse_bars(SourceFile(ALONE, text, ""), timeframe)
    return _last_of(part), part.notes
