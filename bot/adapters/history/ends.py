"""When a history ends: the last close of any bar in its folder, also of bars that a strategy does not read.

Of a file that is not read whole only the last rows are, so a large folder costs no more than its listing.
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
HEADERS = {b",".join(map(str.encode, names)): len(names) - 1 for names in (HEADER, (*HEADER, VOLUME))}
_PRICE = rb"(\d+(?:\.\d*)?)"
PLAIN_ROW = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)," + b",".join([_PRICE] * (len(HEADER) - 1)) + rb"(?:,\d*(?:\.\d*)?)?"
)
ALONE = Path("row.csv")  # one row is parsed as a file of its own


class Ends(NamedTuple):
    """Last closes in microseconds, and what could not be read of files, behind the paths of these."""

    closes: tuple[int, ...]
    refused: tuple[str, ...]


class _Tail(NamedTuple):
    """The header of a file of bars and its last lines, as CSV."""

    header: bytes
    lines: tuple[bytes, ...]


def ends_of(folder: Path, instruments: Iterable[Instrument], place: Path | None, read: Iterable[BarFile]) -> Ends:
    """Find the last close of every file of bars that belongs to an instrument, in every timeframe; read: those read."""
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
    """Find the files of bars in the folder of a timeframe, and say of which symbols they cannot be told."""
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


def _unread(paths: Sequence[Path], timeframe: str, place: Path | None) -> Iterator[tuple[Path, Ends]]:
    """Find the last closes of files that are not read: of those in a pack there, of the others in their last rows."""
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
    """Find the last close of a text in its last lines."""
    try:
        with readable(path), path.open("rb") as stream:
            return _last_close(_tail_of(stream), timeframe)
    except BotError as error:
        return Ends((), (str(error).removeprefix(str(path)),))


def _unpack_ends(paths: Mapping[str, Path], timeframe: str, place: Path | None) -> dict[str, ParsedFile]:
    """Find the last closes of files that have to be unpacked for it; the ends alone are packed, for the next time."""
    parse_end = partial(_pack_end, timeframe=timeframe)
    try:
        return Pack(place, f"ends-{timeframe}").parts(paths, parse_end)
    except BotError:  # one of them may not be read, so each is asked by itself
        return {name: _read_end(path, parse_end) for name, path in paths.items()}


def _read_end(path: Path, parse_end: Callable[[SourceFile], ParsedFile]) -> ParsedFile:
    try:
        return parse_end(load(path))
    except BotError as error:
        return _end_part("", Ends((), (str(error).removeprefix(str(path)),)))


def _pack_end(file: SourceFile, timeframe: str) -> ParsedFile:
    """Find the last close of a file that was unpacked."""
    try:
        if file.path.suffix == PARQUET:
            names, rows = parquet_tail(file, HEADER, (VOLUME,), TAIL_ROWS)
            tail = _Tail(",".join(names).encode(), tuple(",".join(cells).encode() for cells in rows))
        else:
            tail = _tail_of(io.BytesIO(file.text().encode()))
    except BotError as error:
        return _end_part(file.digest, Ends((), (str(error).removeprefix(str(file.path)),)))
    return _end_part(file.digest, _last_close(tail, timeframe))


def _end_part(digest: str, end: Ends) -> ParsedFile:
    return ParsedFile(digest, {}, {"end": np.array([end.closes], np.int64)}, end.refused)


def _tail_of(stream: BinaryIO) -> _Tail:
    """Read the first line of a text and its last lines."""
    header = stream.readline(TAIL_BYTES)
    size = stream.seek(0, io.SEEK_END)
    start = stream.seek(max(len(header), size - TAIL_BYTES))
    lines = stream.read().splitlines()
    if start > len(header):
        lines = lines[1:] or lines  # the first may begin amid a line; where it is the only one, that will be said
    return _Tail(header.rstrip(), tuple(line for line in lines if line.strip())[-TAIL_ROWS:])


def _last_close(tail: _Tail, timeframe: str) -> Ends:
    """Return the close of the last row that can be read; those after it that cannot are named."""
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
    """Return the close of a last row that is plainly written and right; None where it needs a closer look.

    A bars file is parsed for its columns, which costs ten times as much for a row alone.
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
