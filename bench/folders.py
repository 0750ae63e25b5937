"""Writes the history folders that are replayed: one from a generated case, one from recorded candles.

Numbers are written with the digits that give the same float back, and nothing is dated before it was known.
"""

import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STANCES = {1: "bullish", 0: "neutral", -1: "bearish"}
DAY, HOUR = 86_400, 3_600
SPANS = (5, 10, 20)
MOMENTUM_DAYS = 20
DAYS_OF_A_YEAR = 365


def stamps(seconds: Array) -> list[str]:
    """Return instants, in seconds since 1970, as history folders write them."""
    return [f"{text}Z" for text in np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()]


def write_rows(path: Path, header: str, rows: Iterable[Iterable[str]]) -> None:
    """Write one file of a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="ascii") as lines:
        lines.write(f"{header}\n")
        lines.writelines(f"{','.join(row)}\n" for row in rows)


def write_instruments(folder: Path, symbols: Sequence[str]) -> None:
    """Write the instruments, numbered from one in the order given."""
    rows = ((str(number), symbol, symbol) for number, symbol in enumerate(symbols, start=1))
    write_rows(folder / "instruments.csv", "token_id,symbol,name", rows)


def write_bars(source: Path, folder: Path, symbols: Sequence[str], first: int, step: int) -> None:
    """Write the bars of every step-th symbol of a generated case; volume, which no rule reads, in whole units."""
    times = stamps(np.load(source / "ts.npy"))
    columns = [np.load(source / f"{name}.npy", mmap_mode="r") for name in ("open", "high", "low", "close", "volume")]
    for number in range(first, len(symbols), step):
        *prices, volume = (column[:, number] for column in columns)
        cells = [*(map(repr, column.tolist()) for column in prices), map(str, volume.astype(np.int64).tolist())]
        path = folder / "bars" / "1h" / f"{symbols[number]}.csv"
        write_rows(path, "time,open,high,low,close,volume", zip(times, *cells, strict=True))


def generated(source: Path, folder: Path) -> None:
    """Write a generated case as a history folder: what is known of day d is dated at the close of day d."""
    symbols = json.loads((source / "meta.json").read_text())["symbols"]
    write_instruments(folder, symbols)
    with ProcessPoolExecutor(2) as pool:
        for done in [pool.submit(write_bars, source, folder, symbols, first, 2) for first in (0, 1)]:
            done.result()
    signal, levels, deviation = (np.load(source / f"{name}.npy") for name in ("signal", "levels", "vol30"))
    days = stamps(np.load(source / "ts.npy")[::24] + DAY)
    tokens = range(len(symbols))
    stances = (
        (str(s + 1), day, STANCES[x]) for s in tokens for day, x in zip(days, signal[:, s].tolist(), strict=True)
    )
    write_rows(folder / "signals.csv", "token_id,published_at,stance", stances)
    sets = (row for s in tokens for row in level_rows(str(s + 1), days, levels[:, s]))
    write_rows(folder / "levels.csv", "token_id,known_at,level", sets)
    annual = deviation * np.sqrt(DAYS_OF_A_YEAR)
    measures = (
        (str(s + 1), day, repr(x), "", "", "", "")
        for s in tokens
        for day, x in zip(days, annual[:, s].tolist(), strict=True)
        if x == x  # noqa: PLR0124 - not a number: the first days have none
    )
    write_rows(folder / "quantmetrics.csv", "token_id,known_at,volatility,sharpe,sortino,max_drawdown,cagr", measures)


def level_rows(token: str, days: Sequence[str], sets: Array) -> Iterator[tuple[str, str, str]]:
    """Yield a token's sets of levels, each when it became another one."""
    before: list[float] = []
    for day, row in zip(days, sets, strict=True):
        known = sorted(set(row[~np.isnan(row)].tolist()))
        if known != before:
            yield from ((token, day, repr(level)) for level in known)
        before = known


def recorded(source: Path, folder: Path) -> None:
    """Write recorded hourly candles as a history folder: the turns of 20-day momentum, levels from extremes of days."""
    paths = sorted(source.glob("*.csv.gz"))
    write_instruments(folder, [path.name.removesuffix(".csv.gz") for path in paths])
    stances: list[tuple[str, ...]] = []
    levels: list[tuple[str, ...]] = []
    for number, path in enumerate(paths, start=1):
        text = gzip.decompress(path.read_bytes()).decode()
        copy = folder / "bars" / "1h" / path.name.removesuffix(".gz")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        days = whole_days(text)
        stances += momentum(str(number), days)
        levels += extremes(str(number), days)
    write_rows(folder / "signals.csv", "token_id,published_at,stance", stances)
    write_rows(folder / "levels.csv", "token_id,known_at,level", levels)


def whole_days(text: str) -> list[tuple[str, float, float, float]]:
    """Return each day of hourly candles as (the instant of its end, high, low, close)."""
    rows = [line.split(",") for line in text.splitlines()[1:]]
    starts = [index for index, row in enumerate(rows) if row[0][11:13] == "00"]
    found = []
    for start, end in pairwise(starts):
        day = rows[start:end]
        high, low = max(float(row[2]) for row in day), min(float(row[3]) for row in day)
        found.append((rows[end][0], high, low, float(day[-1][4])))
    return found


def momentum(token: str, days: Sequence[tuple[str, float, float, float]]) -> Iterator[tuple[str, str, str]]:
    """Yield a stance a day: bullish where the close is above that of twenty days before, else bearish."""
    for index in range(MOMENTUM_DAYS, len(days)):
        rose = days[index][3] > days[index - MOMENTUM_DAYS][3]
        yield token, days[index][0], "bullish" if rose else "bearish"


def extremes(token: str, days: Sequence[tuple[str, float, float, float]]) -> Iterator[tuple[str, str, str]]:
    """Yield the highs and lows of the last 5, 10 and 20 days as levels, each day anew."""
    for index in range(MOMENTUM_DAYS, len(days)):
        windows = [days[index + 1 - span : index + 1] for span in SPANS]
        lines = {max(day[1] for day in window) for window in windows} | {min(d[2] for d in w) for w in windows}
        yield from ((token, days[index][0], repr(line)) for line in sorted(lines))


if __name__ == "__main__":
    {"generated": generated, "recorded": recorded}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
