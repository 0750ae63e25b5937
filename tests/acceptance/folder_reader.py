"""Reads a history folder and a strategy for the oracle, by the format's description alone.

It shares no line with the product: what both read alike, they read alike because the folder says so.
"""

import csv
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

SPANS = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}
DEFAULT_STEP = Decimal("1e-8")
T = TypeVar("T")


class Bar(NamedTuple):
    """One candle of one token."""

    opened_at: datetime
    closed_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass
class Dated(Generic[T]):
    """What was known of one token, by instant."""

    instants: list[datetime] = field(default_factory=list)
    values: list[T] = field(default_factory=list)

    def add(self, instant: datetime, value: T) -> None:
        """Append what became known at an instant not before the last one."""
        self.instants.append(instant)
        self.values.append(value)

    def latest(self, slot: datetime) -> T | None:
        """Return the newest value known at the slot."""
        known = bisect_right(self.instants, slot)
        return self.values[known - 1] if known else None


Figures = dict[str, Decimal]


@dataclass
class History:
    """A folder, by token."""

    symbols: dict[int, str] = field(default_factory=dict)
    steps: dict[int, Decimal] = field(default_factory=dict)
    bars: dict[int, list[Bar]] = field(default_factory=dict)
    stances: dict[int, Dated[str]] = field(default_factory=dict)
    levels: dict[int, Dated[list[Decimal]]] = field(default_factory=dict)
    quantmetrics: dict[int, Dated[Figures]] = field(default_factory=dict)
    grades: dict[int, Dated[Figures]] = field(default_factory=dict)


def at(text: str) -> datetime:
    """Return the instant a text names, UTC where it names no zone."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a file, none where the folder has no such file."""
    if path.exists():
        with path.open(newline="") as lines:
            yield from csv.DictReader(lines)


def figures(row: dict[str, str], names: tuple[str, ...]) -> Figures:
    """Return the named numbers of a row, without the empty ones."""
    return {name: Decimal(row[name]) for name in names if row.get(name)}


def read_bars(folder: Path, symbol: str, span_name: str) -> list[Bar]:
    """Read the candles of one symbol."""
    span = SPANS[span_name]
    found = []
    for row in rows(folder / "bars" / span_name / f"{symbol}.csv"):
        opened_at = at(row["time"])
        prices = (Decimal(row[name]) for name in ("open", "high", "low", "close"))
        found.append(Bar(opened_at, opened_at + span, *prices))
    return found


def read_folder(folder: Path) -> History:
    """Read a whole history folder that holds bars of one timeframe."""
    history = History()
    (span_name,) = sorted(path.name for path in (folder / "bars").iterdir())
    for row in rows(folder / "instruments.csv"):
        token = int(row["token_id"])
        history.symbols[token] = row["symbol"]
        history.steps[token] = Decimal(row.get("quantity_step") or DEFAULT_STEP)
        history.bars[token] = read_bars(folder, row["symbol"], span_name)
    for row in rows(folder / "signals.csv"):
        history.stances.setdefault(int(row["token_id"]), Dated()).add(at(row["published_at"]), row["stance"])
    for row in rows(folder / "levels.csv"):
        known, instant = history.levels.setdefault(int(row["token_id"]), Dated()), at(row["known_at"])
        if not known.instants or known.instants[-1] != instant:
            known.add(instant, [])
        known.values[-1].append(Decimal(row["level"]))
    for row in rows(folder / "quantmetrics.csv"):
        named = figures(row, ("volatility", "sharpe", "max_drawdown"))
        history.quantmetrics.setdefault(int(row["token_id"]), Dated()).add(at(row["known_at"]), named)
    for row in rows(folder / "grades.csv"):
        named = figures(row, ("trader_grade",))
        history.grades.setdefault(int(row["token_id"]), Dated()).add(at(row["known_at"]), named)
    return history


def as_number(value: Any) -> Any:
    """Return the number a string of digits stands for, tables and lists included."""
    if isinstance(value, dict):
        return {key: as_number(inner) for key, inner in value.items()}
    try:
        return Decimal(value) if isinstance(value, str) else value
    except InvalidOperation:
        return value


def read_strategy(text: str) -> dict[str, Any]:
    """Read a strategy's TOML with its numbers exactly as written."""
    sections = tomllib.loads(text, parse_float=Decimal)
    return {name: section if name == "strategy" else as_number(section) for name, section in sections.items()}
