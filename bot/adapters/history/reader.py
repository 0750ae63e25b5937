"""The files of a history folder as rows of text, and readers of the instants and numbers in cells.

A cell that cannot be read exactly leads to a one-line error that names the file and the line.
"""

import csv
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from operator import itemgetter
from pathlib import Path

from bot.domain.errors import AccessError, BadInputError, BotError, ConfigError, StorageError
from bot.domain.instants import EPOCH, MICROSECOND, MICROSECONDS_A_DAY
from bot.domain.numbers import OUTSIDE_MAX, Price, price_half_even

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
# Rows that are dated later are refused.
LATEST = (datetime(9000, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
# The smallest power of ten: a size below it is zero at the eighteen decimals that the ledger keeps.
EXPONENT_MIN = -19
# Only prices between 1 / CEILING and CEILING are parsed in bulk, as floats.
CEILING = 10.0**15
# An error about a header shows this many of its names, each cut to this many characters.
NAMES_SHOWN, NAME_SHOWN = 8, 24

PARQUET = ".parquet"
SUFFIXES = (".csv", ".csv.gz", PARQUET)

Rows = Iterator[tuple[int, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the folder: its path, its bytes as stored, and their digest."""

    path: Path
    content: bytes
    digest: str

    def text(self) -> str:
        """Decode the text, unpacked first when the name ends in .gz."""
        plain = self._unpack()
        try:
            return plain.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise bad_row(self.path, plain.count(b"\n", 0, error.start) + 1, "not UTF-8") from error

    def lines(self) -> Iterator[str]:
        """Yield the lines with their line ends, without the white space at the end of the text."""
        text = io.BytesIO(self._unpack().rstrip())
        try:
            yield from io.TextIOWrapper(text, "utf-8-sig", newline="")
        except UnicodeDecodeError:
            self.text()  # raises the error that names the line

    def _unpack(self) -> bytes:
        try:
            return gzip.decompress(self.content) if self.path.suffix == ".gz" else self.content
        except (OSError, EOFError, zlib.error) as error:
            raise BadInputError(f"{self.path}: not a whole gzip file: write it again") from error


def bad_row(path: Path, number: int, reason: str) -> BotError:
    """Build the error for a row that cannot be used."""
    return BadInputError(f"{path} {row_unit(path)} {number}: {reason}")


def row_unit(path: Path) -> str:
    """Name what the rows of a file are counted in: lines of a text file, rows of a Parquet file."""
    return "row" if path.suffix == PARQUET else "line"


def find_file(folder: Path, name: str) -> Path | None:
    """Find NAME in a folder as CSV, gzipped CSV or Parquet; None when there is no such file."""
    return choose(folder, name, names_in(folder))


def names_in(folder: Path) -> frozenset[str]:
    """List the names of the files in a folder; empty when the folder does not exist."""
    if not folder.is_dir():
        return frozenset()
    with readable(folder), os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries if entry.is_file())


def choose(folder: Path, name: str, names: AbstractSet[str]) -> Path | None:
    """Choose the file that holds NAME from the names in a folder; raises ConfigError for two."""
    found = [folder / f"{name}{suffix}" for suffix in SUFFIXES if f"{name}{suffix}" in names]
    if len(found) > 1:
        raise ConfigError(f"{found[1]}: {found[0].name} is there too: keep one of them")
    return found[0] if found else None


def load(path: Path) -> SourceFile:
    """Read a whole file."""
    with readable(path):
        content = path.read_bytes()
    return SourceFile(path, content, hashlib.sha256(content).hexdigest())


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Translate an OSError inside the block into an error that names the file."""
    try:
        yield
    except PermissionError as error:
        raise AccessError(f"{path}: may not be read; grant this user read permission") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error


def csv_rows(file: SourceFile, required: Sequence[str], optional: Sequence[str] = ()) -> Rows:
    """Yield the line number and the cells of each row, in the order of required and optional.

    The cell of an absent column is empty.
    """
    path, lines = file.path, csv.reader(file.lines(), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        if fault := fault_of(header, required, optional):
            raise bad_row(path, 1, fault)
        # An absent column gets the position behind the last cell, where each row gets an empty one.
        positions = [header.index(name) if name in header else len(header) for name in (*required, *optional)]
        pick = itemgetter(*positions)
        for cells in lines:
            if len(cells) != len(header):
                raise bad_row(path, lines.line_num, f"{len(cells)} cells where the header has {len(header)}")
            yield lines.line_num, pick([*cells, ""])
    except csv.Error as error:
        raise bad_row(path, lines.line_num, f"not CSV: {error}") from error


def fault_of(header: Sequence[str], required: Sequence[str], optional: Sequence[str] = ()) -> str | None:
    """Describe what is wrong with the names of a file's columns; None when nothing is.

    An optional name in another case is a fault, because its column would be ignored.
    """
    missing = [name for name in required if name not in header]
    if missing:
        return f"the header lacks {', '.join(missing)}{_describe_header(header, missing)}"
    for name in optional:
        other = next((one for one in header if name not in header and one.lower() == name), None)
        if other is not None:
            return f"the header has {other}: rename {other} to {name}, or drop the column"
    twice = [name for name in header if header.count(name) > 1]
    if twice and not twice[0]:
        places = " and ".join(str(place) for place, name in enumerate(header, start=1) if not name)
        return f"the header has no name in columns {places}: write names there, or drop those columns"
    return f"the header has {twice[0]} twice" if twice else None


def _describe_header(header: Sequence[str], missing: Sequence[str]) -> str:
    """Describe which names a header has instead, and which of them are probably meant."""
    if not any(header):
        return ": the first line is empty"
    names = [repr(name[:NAME_SHOWN]) if len(name) > NAME_SHOWN or not name else name for name in header]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    lower = {name.lower(): name for name in reversed(header)}
    near = {name: get_close_matches(name, lower, n=1, cutoff=0.75) for name in missing}
    meant = [f"{lower[found[0]]} to {name}" for name, found in near.items() if found]
    hint = f": rename {', '.join(meant)}" if meant else ""
    return f"; it has {', '.join(names[:NAMES_SHOWN])}{more}{hint}"


def instant(text: str) -> int:
    """Read an ISO 8601 instant as microseconds since 1970. Raises ValueError.

    It is UTC when it has no offset, and 00:00 for a date.
    """
    if DATE.match(text):
        with suppress(ValueError, OverflowError):
            read = datetime.fromisoformat(text)
            return micros(read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC))
    raise ValueError(f"{text[:40]!r} is no ISO 8601 time such as 2024-01-31T12:00:00Z")


@lru_cache(maxsize=1 << 16)
def counting_start(text: str) -> int:
    """Read the instant from which a dated row counts, in microseconds since 1970.

    A date counts from the end of that UTC day: the row's value uses that day's close, so a decision
    within the day would look ahead. Raises ValueError.
    """
    at = instant(text)
    if at > LATEST:
        raise ValueError(f"{text[:40]!r} is later than this program looks")
    return at + MICROSECONDS_A_DAY if DATE.fullmatch(text) else at


def micros(at: datetime) -> int:
    """Convert an instant to whole microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def number(cell: str) -> Decimal:
    """Read a number exactly as written. Raises ValueError."""
    if not NUMBER.fullmatch(cell) or (value := Decimal(cell)).adjusted() < EXPONENT_MIN:
        raise ValueError(f"{cell[:40]!r} is no number")
    if value.copy_abs() >= OUTSIDE_MAX:
        raise ValueError(f"{cell[:40]!r} has more than 18 digits before the point")
    return value


def positive(cell: str) -> Decimal:
    """Read a number above zero. Raises ValueError."""
    value = number(cell)
    if value <= 0:
        raise ValueError(f"{cell[:40]!r} is not above zero")
    return value


def price(cell: str) -> Price:
    """Read a price, rounded to the decimals of prices. Raises ValueError, also if that is zero."""
    value = price_half_even(positive(cell))
    if not value:
        raise ValueError(f"{cell[:40]!r} is zero at the 18 decimals that prices have")
    return value


def not_negative(cell: str) -> Decimal:
    """Read a number that is not below zero. Raises ValueError."""
    value = number(cell)
    if value < 0:
        raise ValueError(f"{cell[:40]!r} is below zero")
    return value
