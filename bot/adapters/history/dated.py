"""The dated files of a history folder: how to check their rows and build values from them.

A row counts from its instant on, never earlier; the rows of one token must be in order of time.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from math import nan
from typing import Generic, TypeVar

from bot.adapters.history.blocks import Series, blocks_of
from bot.adapters.history.cells import rows
from bot.adapters.history.pack import ParsedFile
from bot.adapters.history.reader import (
    SourceFile,
    bad_row,
    counting_start,
    micros,
    not_negative,
    number,
    price,
)
from bot.domain.ids import TokenId
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.market import Grades, Level, LevelSet, MarketSize, QuantMetrics
from bot.domain.numbers import Price, from_float
from bot.domain.signals import Episode, Signal, Stance

PROVIDER = "history"
FEED = "daily"
STANCES = tuple(Stance)
STANCE_PLACES: Mapping[str, float] = {
    stance.value: float(place) for place, stance in enumerate(STANCES)
}

OUT_OF_ORDER = "out of order: its time is before the token's row above"
DUPLICATED = "duplicated: the token has a row of this time already"
TOKEN_DIGITS = 18
FLOAT_DIGITS = 15  # numbers with at most this many digits survive as floats
REMEMBERED = 1 << 16  # how many cells each cached reader remembers

T = TypeVar("T")
ReadCell = Callable[[str], float | None]


@dataclass(frozen=True, slots=True)
class DatedFile(Generic[T]):
    """A dated file: how to read each column, and how to build a value from the rows of one instant.

    time: the name of the column that dates a row.
    optional: how many of the last columns may be absent.
    grouped: whether the rows of one instant form a set, without duplicates in the first column.
    """

    time: str
    columns: Mapping[str, ReadCell]
    optional: int
    make: Callable[[TokenId, Series, int, int], T]
    grouped: bool = False

    def parse(self, file: SourceFile) -> ParsedFile:
        """Parse a file; raises BadInputError for a row that cannot be used."""
        names = tuple(self.columns)
        required, optional = (
            names[: len(names) - self.optional],
            names[len(names) - self.optional :],
        )
        found: dict[TokenId, _Rows] = {}
        for place, (token, time, *cells) in rows(
            file, ("token_id", self.time, *required), optional
        ):
            try:
                token_id, at = token_of(token), _counting_start(time)
                numbers = [
                    read(cell) for read, cell in zip(self.columns.values(), cells, strict=True)
                ]
                if token_id not in found:
                    found[token_id] = _Rows(len(names), grouped=self.grouped)
                found[token_id].add(at, numbers, cells)
            except ValueError as error:
                raise bad_row(file.path, place, str(error)) from error
        blocks = {}
        for token_id in tuple(found):
            grown = found.pop(token_id)  # popped, to free its rows once they are copied
            blocks.update(blocks_of(token_id, grown.at, grown.columns, grown.texts))
        return ParsedFile(file.digest, blocks, {}, ())


class _Rows:
    """The rows of one token while its file is being read."""

    __slots__ = ("_grouped", "_latest", "at", "columns", "texts")

    def __init__(self, width: int, *, grouped: bool) -> None:
        """Start without rows."""
        self.at = array("q")
        self.columns = [array("d") for _ in range(width)]
        self.texts: list[tuple[int, int, str]] = []
        self._grouped = grouped
        self._latest: set[str] = set()

    def add(self, at: int, numbers: Sequence[float | None], cells: Sequence[str]) -> None:
        """Append a row; raises ValueError when it is out of order or duplicated."""
        if not self.at or at > self.at[-1]:
            self._latest.clear()
        elif at < self.at[-1]:
            raise ValueError(OUT_OF_ORDER)
        elif not self._grouped:
            raise ValueError(DUPLICATED)
        elif cells[0] in self._latest:
            raise ValueError(f"duplicated level {cells[0]} in the set of its time")
        if self._grouped:
            self._latest.add(cells[0])
        for place, value in enumerate(numbers):
            if value is None:
                self.texts.append((place, len(self.at), cells[place]))
            self.columns[place].append(nan if value is None else value)
        self.at.append(at)


@lru_cache(maxsize=REMEMBERED)
def token_of(cell: str) -> TokenId:
    """Read a token_id. Raises ValueError."""
    if not (cell.isascii() and cell.isdigit() and len(cell) <= TOKEN_DIGITS and int(cell)):
        raise ValueError(f"{cell[:40]!r} is no token_id")
    return TokenId(int(cell))


@lru_cache(maxsize=REMEMBERED)
def _counting_start(cell: str) -> int:
    """Read the instant from which a row counts, in microseconds since 1970. Raises ValueError."""
    return micros(counting_start(cell))


def _numbers(check: Callable[[str], Decimal], *, needed: bool = False) -> ReadCell:
    """Build the reader of a number cell, which raises ValueError for a cell that it cannot use.

    The reader gives NaN for an empty cell, and None for a number that no float represents exactly.
    """

    @lru_cache(maxsize=REMEMBERED)
    def read_number(cell: str) -> float | None:
        if not cell and not needed:
            return nan
        exact = check(cell)
        value = float(exact)
        return value if len(cell) <= FLOAT_DIGITS or from_float(value) == exact else None

    return read_number


def _share(cell: str) -> Decimal:
    """Read a strength between 0 and 1. Raises ValueError."""
    value = number(cell)
    if not 0 <= value <= 1:
        raise ValueError(f"strength {cell[:40]!r} is not between 0 and 1")
    return value


def _stance(cell: str) -> float:
    """Read a stance as its index in STANCES. Raises ValueError."""
    place = STANCE_PLACES.get(cell)
    if place is None:
        *others, last = STANCES
        raise ValueError(f"{cell[:40]!r} is no stance: write {', '.join(others)} or {last}")
    return place


def _level_set(token_id: TokenId, series: Series, start: int, end: int) -> LevelSet:
    prices = ((row, series.number(0, row)) for row in range(start, end))
    found = (
        Level(Price(price), series.number(1, row)) for row, price in prices if price is not None
    )
    known_at, levels = _instant(series, start), tuple(sorted(found, key=_price))
    return LevelSet(token_id=token_id, published_at=known_at, known_at=known_at, levels=levels)


def _price(level: Level) -> Price:
    return level.price


def _episode(token_id: TokenId, series: Series, start: int, _end: int) -> Episode:
    turned = int(series.turns[series.turns.searchsorted(start, side="right") - 1])
    at, stands = series.stands
    if at != turned or stands is None:
        turn = _signal(token_id, series, turned)
        stands = Episode(signal_id=turn.signal_id, turn=turn, latest=turn)
        series.stands = (turned, stands)
    if turned == start:
        return stands
    return Episode(
        signal_id=stands.signal_id, turn=stands.turn, latest=_signal(token_id, series, start)
    )


def _signal(token_id: TokenId, series: Series, row: int) -> Signal:
    at = _instant(series, row)
    return Signal(
        provider=PROVIDER,
        feed=FEED,
        token_id=token_id,
        stance=STANCES[int(series.numbers[0, row])],
        published_at=at,
        known_at=at,
        grade=series.number(GRADE, row),
        confidence=series.number(2, row),
    )


def _quantmetrics(token_id: TokenId, series: Series, row: int, _end: int) -> QuantMetrics:
    at = _instant(series, row)
    volatility, sharpe, sortino, max_drawdown, cagr = (
        series.number(column, row) for column in range(5)
    )
    return QuantMetrics(
        token_id=token_id,
        published_at=at,
        known_at=at,
        volatility=volatility,
        sharpe=sharpe,
        sortino=sortino,
        max_drawdown=max_drawdown,
        cagr=cagr,
    )


def _grades(token_id: TokenId, series: Series, row: int, _end: int) -> Grades:
    at, trader, investor = _instant(series, row), series.number(0, row), series.number(1, row)
    return Grades(
        token_id=token_id,
        published_at=at,
        known_at=at,
        trader_grade=trader,
        investor_grade=investor,
    )


def _market(token_id: TokenId, series: Series, row: int, _end: int) -> MarketSize:
    market_cap, volume = series.number(0, row), series.number(1, row)
    return MarketSize(
        token_id=token_id, known_at=_instant(series, row), market_cap=market_cap, volume_24h=volume
    )


def _instant(series: Series, row: int) -> datetime:
    return EPOCH + int(series.at[row]) * MICROSECOND


GRADE = 1  # the column of SIGNALS that holds the grades
_ANY, _NOT_NEGATIVE = _numbers(number), _numbers(not_negative)

SIGNALS = DatedFile(
    "published_at", {"stance": _stance, "grade": _ANY, "confidence": _ANY}, 2, _episode
)
LEVELS = DatedFile(
    "known_at",
    {"level": _numbers(price, needed=True), "strength": _numbers(_share)},
    1,
    _level_set,
    grouped=True,
)
QUANTMETRICS = DatedFile(
    "known_at",
    {
        "volatility": _NOT_NEGATIVE,
        "sharpe": _ANY,
        "sortino": _ANY,
        "max_drawdown": _ANY,
        "cagr": _ANY,
    },
    0,
    _quantmetrics,
)
GRADES = DatedFile("known_at", {"trader_grade": _ANY, "investor_grade": _ANY}, 0, _grades)
MARKET = DatedFile(
    "known_at", {"market_cap": _NOT_NEGATIVE, "volume_24h": _NOT_NEGATIVE}, 0, _market
)
