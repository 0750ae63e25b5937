"""A history folder written from series of candles: whole or not at all.

Nothing that is there is changed: a folder of the same files is left, another one is an error.
"""

import filecmp
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from bot.adapters.candles.cells import letters_of
from bot.adapters.candles.joining import CandleSeries
from bot.domain.errors import ConfigError, StorageError

HEADER = b"time,open,high,low,close"
BLOCK_ROWS = 1 << 15


def number_symbols(symbols: Mapping[tuple[str, str], CandleSeries]) -> dict[str, int]:
    """Number the symbols from 1 in their order: their token_ids."""
    return {symbol: number for number, symbol in enumerate(sorted({symbol for _, symbol in symbols}), 1)}


def write_history(folder: Path, series: Mapping[tuple[str, str], CandleSeries]) -> bool:
    """Write a history folder of series by timeframe and symbol; False when it was there already.

    A kill leaves no half of it. Raises ConfigError when the folder holds something else.
    """
    target = Path(os.path.abspath(folder))  # noqa: PTH100 - a link in the path stays
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with _writable(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            _write_files(beside, series)
            if target.is_dir() and any(target.iterdir()):
                _compare(folder, target, beside)
                return False
            beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return True


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error.strerror}") from error


def _compare(folder: Path, target: Path, beside: Path) -> None:
    """Check that a folder that is there holds these very files."""
    for path in sorted(one.relative_to(beside) for one in beside.rglob("*.csv")):
        there = target / path
        if not there.is_file() or not filecmp.cmp(there, beside / path, shallow=False):
            fault = "is another" if there.exists() else "is not in it"
            raise ConfigError(
                f"{folder}: is there already, and {path.as_posix()} {fault}: name a new folder, or remove this one"
            )


def _write_files(folder: Path, series: Mapping[tuple[str, str], CandleSeries]) -> None:
    folder.mkdir()
    rows = (f"{number},{symbol},{symbol}\n" for symbol, number in number_symbols(series).items())
    with _new_file(folder / "instruments.csv") as file:
        file.write(("token_id,symbol,name\n" + "".join(rows)).encode())
    for (timeframe, symbol), one in series.items():
        place = folder / "bars" / timeframe
        place.mkdir(parents=True, exist_ok=True)
        with _new_file(place / f"{symbol}.csv") as file:
            _write_bars(file, one)


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file; its bytes are on the disk before the folder gets its name."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _write_bars(file: IO[bytes], series: CandleSeries) -> None:
    """Write rows as bytes of a fixed width, without the padding; no volumes when none is known."""
    known = bool((series.texts[4] != b"").any())
    texts = series.texts if known else series.texts[:4]
    file.write(HEADER + (b",volume\n" if known else b"\n"))
    for start in range(0, len(series.at), BLOCK_ROWS):
        inside = slice(start, start + BLOCK_ROWS)
        times = series.at[inside].astype("datetime64[us]").astype("datetime64[s]").astype("S19")
        parts: list[npt.NDArray[np.uint8]] = [letters_of(times)]
        for at, text in enumerate(texts):
            parts += [_repeat(b"," if at else b"Z,", len(times)), letters_of(text[inside])]
        block = np.concatenate([*parts, _repeat(b"\n", len(times))], axis=1)
        file.write(block[block != 0].tobytes())


def _repeat(text: bytes, count: int) -> npt.NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(text, np.uint8), (count, len(text)))
