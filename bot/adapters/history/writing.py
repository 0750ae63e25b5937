"""The files of a history folder that commands write: plain CSV, each whole or not there.

Numbers are plain decimals: the shortest digits that name the float, without an exponent.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from decimal import Decimal
from itertools import chain
from pathlib import Path

import numpy as np

from bot.adapters.history.pack import Words
from bot.adapters.history.reader import readable
from bot.domain.errors import AccessError, StorageError
from bot.domain.numbers import plain

HEADERS = {
    "instruments": "token_id,symbol,name,category",
    "bars": "time,open,high,low,close,volume",
    "signals": "token_id,published_at,stance",
    "levels": "token_id,known_at,level,strength",
    "quantmetrics": "token_id,known_at,volatility,sharpe,sortino,max_drawdown,cagr",
    "grades": "token_id,known_at,trader_grade,investor_grade",
    "market": "token_id,known_at,market_cap,volume_24h",
}


def write_number(value: float) -> str:
    """Write a float as a cell; NaN, which stands for an unknown number, as an empty one."""
    text = repr(value or 0.0)  # no minus zero
    if "e" in text:
        return plain(Decimal(text))
    return "" if text == "nan" else text.removesuffix(".0")


def write_times(at: Words) -> list[str]:
    """Write instants, in microseconds since 1970, to the second: 2024-01-31T12:00:00Z."""
    stamps = at.astype("datetime64[us]").astype("datetime64[s]")
    return [f"{text}Z" for text in np.datetime_as_string(stamps).tolist()]


def write_table(header: str | None, rows: Iterable[Iterable[str]]) -> bytes:
    """Write a header, unless it is written already, and rows of cells, which hold no comma."""
    lines = map(",".join, rows)
    headers = () if header is None else (header,)
    return "".join(f"{line}\n" for line in chain(headers, lines)).encode()


def put_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file under another name and rename it, so that nobody finds half of it."""
    with _writable(path):
        half = _name_half(path)
        try:
            _write_file(half, parts)
            half.replace(path)
        finally:
            with suppress(OSError):
                half.unlink(missing_ok=True)


def put_folder(folder: Path, files: Mapping[str, Iterable[bytes]]) -> None:
    """Write files, named by their paths, to a new folder, which appears with all of them."""
    with _writable(folder):
        half = _name_half(folder)
        shutil.rmtree(half, ignore_errors=True)
        try:
            for name, parts in files.items():
                (half / name).parent.mkdir(parents=True, exist_ok=True)
                _write_file(half / name, parts)
            half.rename(folder)
        finally:
            shutil.rmtree(half, ignore_errors=True)


def find_other(folder: Path, files: Mapping[str, Iterable[bytes]]) -> str | None:
    """Find the first file that a folder does not hold with these bytes; None when it holds all."""
    for name in sorted(files):
        path = folder / name
        if not path.is_file():
            return name
        with readable(path), path.open("rb") as stream:
            if any(stream.read(len(part)) != part for part in files[name]) or stream.read(1):
                return name
    return None


def _name_half(path: Path) -> Path:
    """Name what this process writes beside a path, in which links stay."""
    target = Path(os.path.abspath(path))  # noqa: PTH100 - resolving would follow the link
    return target.with_name(f".{target.name}.{os.getpid()}.half")


def _write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file; its bytes are on the disk before it, or its folder, gets its name."""
    with path.open("wb") as stream:
        stream.writelines(parts)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Translate an OSError inside the block into an error that names the file or folder."""
    try:
        yield
    except PermissionError as error:
        raise AccessError(
            f"{path}: may not be written; grant this user write permission to {path.parent}"
        ) from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
