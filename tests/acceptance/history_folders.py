"""Writes history folders: from tables in a test, or from the recorded candles and grades kept beside the project.

Nothing in a folder is known before it could have been: what derives from a candle is dated at that candle's close.
"""

import csv
import gzip
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.folder_reader import SPANS, Bar, at

Row = tuple[object, ...]

HEADERS = {
    "instruments": "token_id,symbol,name,quantity_step",
    "signals": "token_id,published_at,stance,grade",
    "levels": "token_id,known_at,level",
    "quantmetrics": "token_id,known_at,volatility,sharpe,sortino,max_drawdown,cagr",
    "grades": "token_id,known_at,trader_grade,investor_grade",
}
# Thinly traded coins first: where one candle opens below the low of the one before, a stop can be gapped.
THIN = ("SPELL", "ELF", "KEY", "RLC", "IDEX", "SANTOS", "PYR", "XEC", "COS", "SUN", "OM", "FORTH", "VIC", "AAVE")
COINS = (*THIN, "JTO", "MKR", "YGG", "BLUR", "OG", "PHA", "FIRO", "SYS", "ACA", "ENA", "BTC", "ETH", "SOL")
FEW_DIGITS = Decimal("1e-10")


@dataclass
class Tables:
    """The rows of a history folder before they are written."""

    timeframe: str = "1h"
    instruments: list[Row] = field(default_factory=list)
    bars: dict[str, list[Bar]] = field(default_factory=dict)
    signals: list[Row] = field(default_factory=list)
    levels: list[Row] = field(default_factory=list)
    quantmetrics: list[Row] = field(default_factory=list)
    grades: list[Row] = field(default_factory=list)


def stamp(instant: datetime) -> str:
    """Return an instant as history folders write it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text(value: object) -> str:
    """Return a value as a cell, numbers without an exponent."""
    if isinstance(value, datetime):
        return stamp(value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def write_rows(path: Path, header: str, rows: Iterable[Row]) -> None:
    """Write one file of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows([text(cell) for cell in row] for row in rows)


Quiet = Callable[[str, datetime], bool]


def all_traded(_symbol: str, _opened_at: datetime) -> bool:
    """Call no bar quiet."""
    return False


def write_folder(folder: Path, tables: Tables, is_quiet: Quiet = all_traded) -> Path:
    """Write the tables as a history folder, each file in order of time; quiet bars have a volume of zero."""
    write_rows(folder / "instruments.csv", HEADERS["instruments"], tables.instruments)
    for symbol, bars in tables.bars.items():
        path = folder / "bars" / tables.timeframe / f"{symbol}.csv"
        write_rows(
            path,
            "time,open,high,low,close,volume",
            ((*bar[:1], *bar[2:], 0 if is_quiet(symbol, bar.opened_at) else 1) for bar in bars),
        )
    for name in ("signals", "levels", "quantmetrics", "grades"):
        rows: list[Row] = getattr(tables, name)
        if rows or name == "signals":
            ordered = sorted(rows, key=lambda row: (row[1], row[0], row[2] if name == "levels" else 0))
            write_rows(folder / f"{name}.csv", HEADERS[name], ordered)
    return folder


def cut_at(tables: Tables, instant: datetime) -> Tables:
    """Return what of the tables was known by an instant."""
    return Tables(
        tables.timeframe,
        tables.instruments,
        {symbol: [bar for bar in bars if bar.closed_at <= instant] for symbol, bars in tables.bars.items()},
        *(
            [row for row in rows if isinstance(row[1], datetime) and row[1] <= instant]
            for rows in (tables.signals, tables.levels, tables.quantmetrics, tables.grades)
        ),
    )


def shared_recordings() -> Path:
    """Return the folder of recorded candles and grades, skipping the test where it is absent."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    folder = Path(os.environ.get("TIDEMARK_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip("the recorded data is not beside the project: set TIDEMARK_SHARED to its folder")
    return folder


def read_candles(path: Path, timeframe: str, first: datetime, end: datetime) -> list[Bar]:
    """Read the recorded candles that open from `first` on and close by `end`."""
    span, found = SPANS[timeframe], []
    with gzip.open(path, "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            opened_at = at(row["time"])
            if opened_at >= first and opened_at + span <= end:
                prices = (Decimal(row[name]) for name in ("open", "high", "low", "close"))
                found.append(Bar(opened_at, opened_at + span, *prices))
    return found


def mean(values: Sequence[Decimal]) -> Decimal:
    """Return the mean, of few digits."""
    return (sum(values, Decimal(0)) / len(values)).quantize(FEW_DIGITS)


def extremes(bars: Sequence[Bar], counts: Sequence[int]) -> set[Decimal]:
    """Return the highs and lows of the last so many bars, for each count."""
    highs = {max(bar.high for bar in bars[-count:]) for count in counts}
    return highs | {min(bar.low for bar in bars[-count:]) for count in counts}


def btc_of_2021() -> Tables:
    """Return BTC's days of 2021: Bullish where the trader grade is 80 or more, levels from the days' extremes."""
    tables = Tables("1d", instruments=[(1, "BTC", "Bitcoin", "0.00000001")], bars={"BTC": []})
    bars = tables.bars["BTC"]
    with (shared_recordings() / "tokenmetrics" / "btc-trader-grades_2021.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            opened_at = at(row["DATE"])
            ended_at = opened_at + timedelta(days=1)
            prices = (Decimal(row[name]) for name in ("OPEN", "HIGH", "LOW", "CLOSE"))
            bars.append(Bar(opened_at, ended_at, *prices))
            lines_known = extremes(bars, (1, 3, 7, 20)) | {bars[-1].close}
            tables.levels += [(1, ended_at, level) for level in lines_known]
            if row["TM_TRADER_GRADE"]:
                grade = Decimal(row["TM_TRADER_GRADE"])
                tables.signals.append((1, ended_at, "bullish" if grade >= 80 else "bearish", grade))
                tables.grades.append((1, ended_at, grade, ""))
    return tables


def moving_average_stance(bars: Sequence[Bar]) -> str:
    """Return the stance of the variable moving average rule (1, 50, band 1 %).

    Brock, Lakonishok, LeBaron: Simple Technical Trading Rules, Journal of Finance 47 (1992).
    """
    average, close = mean([bar.close for bar in bars[-50:]]), bars[-1].close
    if close > average * Decimal("1.01"):
        return "bullish"
    return "bearish" if close < average * Decimal("0.99") else "neutral"


def nearby_levels(bars: Sequence[Bar]) -> set[Decimal]:
    """Return the last close, lines just off it, its average, and the extremes of hours, days and a week."""
    close = bars[-1].close
    lines = {close * Decimal(share) for share in ("0.9995", "0.999", "0.998", "0.996", "1.002", "1.006")}
    return lines | extremes(bars, (3, 12, 24, 72, 168)) | {close, mean([bar.close for bar in bars[-50:]])}


def quantmetrics_row(token: int, bars: Sequence[Bar]) -> Row:
    """Return a day's metrics from the closes of the last 30 days of hours."""
    closes = [bar.close for bar in bars[-720::24]]
    returns = [after / before - 1 for before, after in pairwise(closes)]
    average = sum(returns, Decimal(0)) / len(returns)
    deviation = (sum((r - average) ** 2 for r in returns) / Decimal(len(returns))).sqrt()
    fall = min(low / max(closes[: i + 1]) - 1 for i, low in enumerate(closes))
    year = Decimal(365)
    figures = (deviation * year.sqrt(), average / deviation * year.sqrt(), fall)
    volatility, sharpe, max_drawdown = (figure.quantize(Decimal("1e-6")) for figure in figures)
    return (token, bars[-1].closed_at, volatility, sharpe, "", max_drawdown, "")


def share_below(bars: Sequence[Bar]) -> Decimal:
    """Return how many of the closes lie below the newest, in percent."""
    below = sum(bar.close < bars[-1].close for bar in bars)
    return (Decimal(100 * below) / len(bars)).quantize(FEW_DIGITS)


def levels_where_candles_gapped(tables: Tables, hours: int) -> list[Row]:
    """Return, for each Bullish row, the first price within some hours at which a candle opened through all lows before.

    Chosen with hindsight, so that real candles show the rare case: a stop placed there is gapped, by equality. Where no
    candle gapped the level is half the price, out of every stop's reach.
    """
    symbols = {row[0]: str(row[1]) for row in tables.instruments}
    positions = {
        symbol: {bar.opened_at: index for index, bar in enumerate(bars)} for symbol, bars in tables.bars.items()
    }
    found: list[Row] = []
    for token, instant, stance, *_ in tables.signals:
        bars, index = tables.bars[symbols[token]], positions[symbols[token]].get(instant)  # type: ignore[call-overload]
        if stance != "bullish" or index is None:
            continue
        lowest, level = bars[index].low, bars[index].open / 2
        for bar in bars[index + 1 : index + hours]:
            if bar.open < lowest:
                level = bar.open
                break
            lowest = min(lowest, bar.low)
        found.append((token, instant, level))
    return found


def coins_of_2024(first: datetime, end: datetime, coins: Sequence[str] = COINS) -> Tables:
    """Return hourly candles of coins, with the moving average rule judged every four hours.

    A coin's grade is the share of its last 168 closes that lie below the newest, in percent.
    """
    tables = Tables("1h")
    for token, symbol in enumerate(coins, start=101):
        path = shared_recordings() / "ohlcv-hourly" / "binance-2024" / f"{symbol}USDT.csv.gz"
        candles = read_candles(path, "1h", first, end)
        cheap = candles[0].close < 10
        tables.instruments.append((token, symbol, symbol.title(), "0.01" if cheap else "0.00000001"))
        tables.bars[symbol] = candles
        add_derived(tables, token, candles)
    return tables


def add_derived(tables: Tables, token: int, candles: Sequence[Bar]) -> None:
    """Add what a coin's candles give: stances at every fourth hour, the rest where they turn and at midnight."""
    before = ""
    for index in range(51, len(candles) + 1):
        seen = candles[max(0, index - 720) : index]
        instant = seen[-1].closed_at
        if instant.hour % 4:
            continue
        stance = moving_average_stance(seen)
        if stance != before or instant.hour == 0:
            grade = share_below(seen[-168:])
            tables.signals.append((token, instant, stance, grade))
            tables.grades.append((token, instant, grade, ""))
            tables.levels += [(token, instant, level) for level in nearby_levels(seen)]
        if instant.hour == 0 and index > 72:
            tables.quantmetrics.append(quantmetrics_row(token, seen))
        before = stance
