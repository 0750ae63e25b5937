"""The dated rows of a history folder, exact, grouped by token and in order of time.

A row counts from its instant on and never before; rows of one token must come in order of time.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Generic, TypeVar

from bot.adapters.history.reader import (
    CEILING,
    NUMBER,
    SourceFile,
    bad_row,
    instant,
    not_negative,
    number,
    number_or_none,
    positive,
    publication,
    rows,
)
from bot.domain.ids import TokenId
from bot.domain.market import Grades, Level, LevelSet, MarketSize, QuantMetrics
from bot.domain.numbers import Price
from bot.domain.signals import Episode, Signal, Stance

PROVIDER = "history"
FEED = "daily"

OUT_OF_ORDER = "out of order: its time is before the token's row above"
DUPLICATED = "duplicated: the token has a row of this time already"
TOKEN_DIGITS = 18

T = TypeVar("T")


@dataclass(slots=True)
class Dated(Generic[T]):
    """What was known of one token, by instant."""

    instants: list[datetime] = field(default_factory=list)
    values: list[T] = field(default_factory=list)

    def add(self, at: datetime, value: T) -> None:
        """Append what became known at an instant after the last one. Raises ValueError."""
        if self.instants and at <= self.instants[-1]:
            raise ValueError(DUPLICATED if at == self.instants[-1] else OUT_OF_ORDER)
        self.instants.append(at)
        self.values.append(value)

    def newest(self, at: datetime) -> T | None:
        """Return the last value known at an instant."""
        known = bisect_right(self.instants, at)
        return self.values[known - 1] if known else None


class LevelSets:
    """A token's sets of levels; the cells wait as text until someone looks at their set."""

    __slots__ = ("_cells", "_latest", "_sets", "instants", "token_id")

    def __init__(self, token_id: TokenId) -> None:
        """Begin without sets."""
        self.token_id = token_id
        self.instants: list[datetime] = []
        self._cells: list[list[tuple[str, str]]] = []
        self._latest: set[str] = set()
        self._sets: dict[int, LevelSet] = {}

    def add(self, known_at: datetime, price: str, strength: str) -> None:
        """Add a level to the set of its instant; raises ValueError where the order of time or the level forbids it."""
        if not self.instants or known_at > self.instants[-1]:
            self.instants.append(known_at)
            self._cells.append([])
            self._latest.clear()
        elif known_at < self.instants[-1]:
            raise ValueError(OUT_OF_ORDER)
        elif price in self._latest:
            message = f"duplicated level {price} in the set of its time"
            raise ValueError(message)
        self._latest.add(price)
        self._cells[-1].append((price, strength))

    def newest(self, at: datetime) -> LevelSet | None:
        """Return the last set known at an instant."""
        known = bisect_right(self.instants, at) - 1
        if known < 0:
            return None
        if known not in self._sets:
            self._sets[known] = self._made(known)
        return self._sets[known]

    def _made(self, place: int) -> LevelSet:
        levels = (Level(Price(positive(price)), number_or_none(strength)) for price, strength in self._cells[place])
        known_at = self.instants[place]
        return LevelSet(
            token_id=self.token_id, published_at=known_at, known_at=known_at, levels=tuple(sorted(levels, key=_price))
        )


def _price(level: Level) -> Price:
    return level.price


@lru_cache(maxsize=1 << 16)
def token_of(cell: str) -> TokenId:
    """Read a token_id. Raises ValueError."""
    if not (cell.isascii() and cell.isdigit() and len(cell) <= TOKEN_DIGITS and int(cell)):
        message = f"{cell[:40]!r} is no token_id"
        raise ValueError(message)
    return TokenId(int(cell))


def read_dated(
    file: SourceFile,
    columns: tuple[Sequence[str], Sequence[str]],
    make: Callable[[TokenId, datetime, Sequence[str]], T],
    when: tuple[str, Callable[[str], datetime]] = ("known_at", instant),
) -> dict[TokenId, Dated[T]]:
    """Read one value a row; columns: required and optional ones after token and time; when: the time's column."""
    found: dict[TokenId, Dated[T]] = {}
    required, optional = columns
    name, read_time = when
    for line, (token, time, *cells) in rows(file.path, file.text(), ("token_id", name, *required), optional):
        try:
            token_id, at = token_of(token), read_time(time)
            found.setdefault(token_id, Dated()).add(at, make(token_id, at, cells))
        except ValueError as error:
            raise bad_row(file.path, line, str(error)) from error
    return found


def read_levels(file: SourceFile) -> dict[TokenId, LevelSets]:
    """Read levels.csv: the rows of one token and time are one set, known whole from then on."""
    found: dict[TokenId, LevelSets] = {}
    columns = ("token_id", "known_at", "level")
    for line, (token, time, price, strength) in rows(file.path, file.text(), columns, ("strength",)):
        try:
            token_id = token_of(token)
            if not (
                NUMBER.fullmatch(price) and 1 / CEILING < float(price) < CEILING
            ):  # exact only when someone looks at it
                positive(price)
            if strength:
                _share(strength)
            if token_id not in found:
                found[token_id] = LevelSets(token_id)
            found[token_id].add(instant(time), price, strength)
        except ValueError as error:
            raise bad_row(file.path, line, str(error)) from error
    return found


def read_episodes(file: SourceFile) -> dict[TokenId, Dated[Episode]]:
    """Read signals.csv to the episode that stands from each row on."""
    columns = (("stance",), ("grade", "confidence"))
    signals = read_dated(file, columns, _signal, ("published_at", publication))
    return {token_id: Dated(series.instants, _episodes(series.values)) for token_id, series in signals.items()}


def _episodes(signals: Sequence[Signal]) -> list[Episode]:
    found: list[Episode] = []
    for signal in signals:
        turned = not found or found[-1].turn.stance is not signal.stance
        turn, turn_id = (signal, signal.signal_id) if turned else (found[-1].turn, found[-1].signal_id)
        found.append(Episode(signal_id=turn_id, turn=turn, latest=signal))
    return found


def _signal(token_id: TokenId, at: datetime, cells: Sequence[str]) -> Signal:
    stance, grade, confidence = cells
    return Signal(
        provider=PROVIDER,
        feed=FEED,
        token_id=token_id,
        stance=Stance(stance),
        published_at=at,
        known_at=at,
        grade=number_or_none(grade),
        confidence=number_or_none(confidence),
    )


def read_quantmetrics(file: SourceFile) -> dict[TokenId, Dated[QuantMetrics]]:
    """Read quantmetrics.csv; an empty cell is not given."""
    return read_dated(file, (("volatility", "sharpe", "sortino", "max_drawdown", "cagr"), ()), _quantmetrics)


def _quantmetrics(token_id: TokenId, at: datetime, cells: Sequence[str]) -> QuantMetrics:
    volatility, *others = cells
    sharpe, sortino, max_drawdown, cagr = map(number_or_none, others)
    return QuantMetrics(
        token_id=token_id,
        published_at=at,
        known_at=at,
        volatility=not_negative(volatility) if volatility else None,
        sharpe=sharpe,
        sortino=sortino,
        max_drawdown=max_drawdown,
        cagr=cagr,
    )


def read_grades(file: SourceFile) -> dict[TokenId, Dated[Grades]]:
    """Read grades.csv; an empty cell is not given."""
    return read_dated(file, (("trader_grade", "investor_grade"), ()), _grades)


def _grades(token_id: TokenId, at: datetime, cells: Sequence[str]) -> Grades:
    trader, investor = map(number_or_none, cells)
    return Grades(token_id=token_id, published_at=at, known_at=at, trader_grade=trader, investor_grade=investor)


def read_market(file: SourceFile) -> dict[TokenId, Dated[MarketSize]]:
    """Read market.csv; an empty cell is not given."""
    return read_dated(file, (("market_cap", "volume_24h"), ()), _market)


def _market(token_id: TokenId, at: datetime, cells: Sequence[str]) -> MarketSize:
    market_cap, volume = (not_negative(cell) if cell else None for cell in cells)
    return MarketSize(token_id=token_id, known_at=at, market_cap=market_cap, volume_24h=volume)


def _share(cell: str) -> Decimal:
    """Read a strength, 0..1. Raises ValueError."""
    value = number(cell)
    if not 0 <= value <= 1:
        message = f"strength {cell[:40]!r} is not between 0 and 1"
        raise ValueError(message)
    return value
