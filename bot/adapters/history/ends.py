"""The end of a history: the last close of any bar in its folder, even of an unused one.

A file that was not parsed is read only in its last rows, so a large folder costs little.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from bot.adapters.history.bar_columns import HEADER, SPANS, VOLUME, parse
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
    micros,
    names_in,
    readable,
)
from bot.domain.errors import BadInputError, BotError
from bot.domain.instants import MICROSECOND
from bot.domain.instruments import Instrument

TAIL_BYTES = 4096
TAIL_ROWS = 16
HEADERS = {
    b",".join(map(str.encode, names)): len(names) - 1 for names in (HEADER, (*HEADER, VOLUME))
}
_PRICE = rb"(\d+(?:\.\d*)?)"
PLAIN_ROW = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ),"
    + b",".join([_PRICE] * (len(HEADER) - 1))
    + rb"(?:,\d*(?:\.\d*)?)?"
)
ALONE = Path("row.csv")  # the path given to a single row, which is parsed as a file


class Ends(NamedTuple):
    """Last closes in microseconds since 1970, and descriptions of what could not be read.

    The descriptions of one file lack its path; `ends_of` puts the path in front.
    """

    closes: tuple[int, ...]
    refused: tuple[str, ...]


class _Tail(NamedTuple):
    """The header of a bars file and its last lines, as CSV."""

    header: bytes
    lines: tuple[bytes, ...]


def ends_of(
    folder: Path, instruments: Iterable[Instrument], place: Path | None, read: Iterable[BarFile]
) -> Ends:
    """Find the last close of every bars file that belongs to an instrument, in every timeframe.

    read: the files that were parsed already, whose last closes are known.
    """
    known = {file.path: file.ends_at for file in read}
    closes = [close for close in known.values() if close is not None]
    refused: list[str] = []
    symbols = [instrument.symbol for instrument in instruments]
    for timeframe in SPANS:
        paths, faults = _paths_in(folder / "bars" / timeframe, symbols)
        refused += faults
        for path, end in _unread([path for path in paths if path not in known], timeframe, place):
            closes += end.closes
            refused += (f"{path}{fault}" for fault in end.refused)
    return Ends(tuple(closes), tuple(refused))


def _paths_in(folder: Path, symbols: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Find the bars files in the folder of a timeframe, and describe why others cannot be found."""
    paths, faults = [], []
    try:
        names = names_in(folder)
    except BotError as error:
        return [], [str(error)]
    for symbol in symbols if names else ():
        try:
            path = choose(folder, symbol, names)
        except BotError as error:
            faults.append(str(error))
        else:
            paths += [path] if path is not None else []
    return paths, faults


def _unread(
    paths: Sequence[Path], timeframe: str, place: Path | None
) -> Iterator[tuple[Path, Ends]]:
    """Find the last closes of files that were not parsed, from their pack or their last rows."""
    sources = {path.name: path for path in paths}
    packed = Pack(place, f"bars-{timeframe}").trusted_parts(sources) if sources else {}
    stored = {}
    for name, path in sources.items():
        if name in packed:
            close = BarFile(path, timeframe, packed[name]).ends_at
            yield path, Ends(() if close is None else (close,), ())
        elif path.suffix == ".csv":
            yield path, _of_plain(path, timeframe)
        else:
            stored[name] = path
    if stored:
        for name, part in _unpack_ends(stored, timeframe, place).items():
            yield stored[name], Ends(tuple(part.late["end"][0].tolist()), part.notes)


def _of_plain(path: Path, timeframe: str) -> Ends:
    """Find the last close of a CSV file in its last lines."""
    try:
        with readable(path), path.open("rb") as stream:
            return _last_close(_tail_of(stream), timeframe)
    except BotError as error:
        return Ends((), (str(error).removeprefix(str(path)),))


def _unpack_ends(
    paths: Mapping[str, Path], timeframe: str, place: Path | None
) -> dict[str, ParsedFile]:
    """Find the last closes of files that must be unpacked, and pack only these closes."""
    parse_end = partial(_pack_end, timeframe=timeframe)
    try:
        return Pack(place, f"ends-{timeframe}").parts(paths, parse_end)
    except BotError:  # one file cannot be read, so each is read by itself
        return {name: _read_end(path, parse_end) for name, path in paths.items()}


def _read_end(path: Path, parse_end: Callable[[SourceFile], ParsedFile]) -> ParsedFile:
    try:
        return parse_end(load(path))
    except BotError as error:
        return _end_part("", Ends((), (str(error).removeprefix(str(path)),)))


def _pack_end(file: SourceFile, timeframe: str) -> ParsedFile:
    """Find the last close of a gzip or Parquet file."""
    try:
        if file.path.suffix == PARQUET:
            names, rows = parquet_tail(file, HEADER, (VOLUME,), TAIL_ROWS)
            tail = _Tail(
                ",".join(names).encode(), tuple(",".join(cells).encode() for cells in rows)
            )
        else:
            tail = _tail_of(io.BytesIO(file.text().encode()))
    except BotError as error:
        return _end_part(file.digest, Ends((), (str(error).removeprefix(str(file.path)),)))
    return _end_part(file.digest, _last_close(tail, timeframe))


def _end_part(digest: str, end: Ends) -> ParsedFile:
    return ParsedFile(digest, {}, {"end": np.array([end.closes], np.int64)}, end.refused)


def _tail_of(stream: BinaryIO) -> _Tail:
    """Read the first line and the last lines of a text."""
    header = stream.readline(TAIL_BYTES)
    size = stream.seek(0, io.SEEK_END)
    start = stream.seek(max(len(header), size - TAIL_BYTES))
    lines = stream.read().splitlines()
    if start > len(header):
        # The first line may be cut; a sole one is kept, so that its fault is reported.
        lines = lines[1:] or lines
    return _Tail(header.rstrip(), tuple(line for line in lines if line.strip())[-TAIL_ROWS:])


def _last_close(tail: _Tail, timeframe: str) -> Ends:
    """Find the close of the last readable row, and describe the unreadable rows after it."""
    close = _plain_close(tail, SPANS[timeframe] // MICROSECOND)
    if close is not None:
        return Ends((close,), ())
    refused: list[str] = []
    for line in reversed(tail.lines):
        file = SourceFile(ALONE, tail.header + b"\n" + line, "")
        try:
            columns = parse(file, timeframe)
        except BadInputError as error:
            fault = str(error).removeprefix(str(ALONE))
            if fault.startswith(" line 1: "):
                return Ends((), (fault,))
            refused.append(f" last row: {fault.removeprefix(' line 2: ')}")
            continue
        if len(columns.opened_at):
            return Ends((int(columns.opened_at[-1]) + columns.span,), tuple(refused))
        refused += (f" last row: {fault.removeprefix('line 2: ')}" for fault in columns.refused)
    return Ends((), tuple(refused))


def _plain_close(tail: _Tail, span: int) -> int | None:
    """Compute the close of a plainly written, valid last row; None when it needs the full parser.

    The full parser takes ten times as long for a single row.
    """
    columns = HEADERS.get(tail.header)
    row = PLAIN_ROW.fullmatch(tail.lines[-1]) if columns and tail.lines else None
    if row is None or row[0].count(b",") != columns:
        return None
    opened, high, low, close = map(float, row.group(2, 3, 4, 5))
    if not 1 / CEILING < low <= min(opened, close) <= max(opened, close) <= high < CEILING:
        return None
    try:
        opened_at = micros(instant(row[1].decode()))
    except ValueError:
        return None
    return opened_at + span if opened_at % span == 0 and opened_at <= micros(LATEST) else None
