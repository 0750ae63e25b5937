"""The dated files of a history folder: how to check their rows and build values from them.

A row counts from its instant on, never earlier; the rows of one token must be in order of time.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import nan
from operator import itemgetter
from typing import Generic, TypeVar

from bot.adapters.history.blocks import Series, blocks_of
from bot.adapters.history.pack import ParsedFile
from bot.adapters.history.parquet import rows
from bot.adapters.history.reader import SourceFile, bad_row, counting_start, not_negative, number, price
from bot.domain.ids import TokenId
from bot.domain.market import Grades, Level, LevelSet, MarketSize, QuantMetrics
from bot.domain.numbers import Price, from_float
from bot.domain.signals import Episode, Signal, Stance

PROVIDER = "history"
FEED = "daily"
STANCES = tuple(Stance)
STANCE_PLACES: Mapping[str, float] = {stance.value: float(place) for place, stance in enumerate(STANCES)}

OUT_OF_ORDER = "out of order: its time is before the token's row above"
DUPLICATED = "duplicated: the token has a row of this time already"
TOKEN_DIGITS = 18
FLOAT_DIGITS = 15  # numbers with at most this many digits survive as floats
REMEMBERED = 1 << 16  # how many cells each cached reader remembers
EPISODES_KEPT = 1 << 12  # enough for the current ones of all tokens

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
    make: Callable[[Series, int, int], T]
    optional: int = 0
    grouped: bool = False

    def parse(self, file: SourceFile) -> ParsedFile:
        """Parse a file; raises BadInputError for a row that cannot be used."""
        names, readers = ["token_id", self.time, *self.columns], tuple(self.columns.values())
        needed = len(names) - self.optional
        found: dict[TokenId, _Rows] = {}
        for line, (token, time, *cells) in rows(file, names[:needed], names[needed:]):
            try:
                token_id, at = token_of(token), counting_start(time)
                numbers = [read(cell) for read, cell in zip(readers, cells, strict=True)]
                if token_id not in found:
                    found[token_id] = _Rows(len(readers))
                found[token_id].add(at, numbers, cells, cells[0] if self.grouped else "")
            except ValueError as error:
                raise bad_row(file.path, line, str(error)) from error
        blocks = {}
        for token_id in tuple(found):
            grown = found.pop(token_id)  # popped, to free its rows once they are copied
            blocks.update(blocks_of(token_id, grown.at, grown.columns, grown.texts))
        return ParsedFile(file.digest, blocks)


class _Rows:
    """The rows of one token while its file is being read."""

    __slots__ = ("_latest", "at", "columns", "texts")

    def __init__(self, width: int) -> None:
        """Start without rows."""
        self.at = array("q")
        self.columns = [array("d") for _ in range(width)]
        self.texts: dict[tuple[int, int], str] = {}
        self._latest: set[str] = set()

    def add(self, at: int, numbers: Sequence[float | None], cells: Sequence[str], key: str) -> None:
        """Append a row; raises ValueError when it is out of order or repeats its time and key."""
        if not self.at or at > self.at[-1]:
            self._latest.clear()
        elif at < self.at[-1]:
            raise ValueError(OUT_OF_ORDER)
        elif key in self._latest:
            raise ValueError(f"duplicated level {key} in the set of its time" if key else DUPLICATED)
        self._latest.add(key)
        for column, value in enumerate(numbers):
            if value is None:
                self.texts[column, len(self.at)] = cells[column]
            self.columns[column].append(nan if value is None else value)
        self.at.append(at)


@lru_cache(maxsize=REMEMBERED)
def token_of(cell: str) -> TokenId:
    """Read a token_id. Raises ValueError."""
    if not (cell.isascii() and cell.isdigit() and len(cell) <= TOKEN_DIGITS and int(cell)):
        raise ValueError(f"{cell[:40]!r} is no token_id")
    return TokenId(int(cell))


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


def _level_set(series: Series, start: int, end: int) -> LevelSet:
    prices = ((row, series.number(0, row)) for row in range(start, end))
    found = (Level(Price(price), series.number(1, row)) for row, price in prices if price is not None)
    known_at, levels = series.instant(start), tuple(sorted(found, key=itemgetter(0)))
    return LevelSet(token_id=series.token_id, published_at=known_at, known_at=known_at, levels=levels)


def _episode(series: Series, start: int, _end: int) -> Episode:
    turned = int(series.turns[series.turns.searchsorted(start, side="right") - 1])
    begun = _begin(series, turned)
    if turned == start:
        return begun
    return Episode(signal_id=begun.signal_id, turn=begun.turn, latest=_signal(series, start))


@lru_cache(maxsize=EPISODES_KEPT)
def _begin(series: Series, row: int) -> Episode:
    """Build the episode that a turn begins: it stands while later rows have its stance."""
    turn = _signal(series, row)
    return Episode(signal_id=turn.signal_id, turn=turn, latest=turn)


def _signal(series: Series, row: int) -> Signal:
    at = series.instant(row)
    return Signal(
        provider=PROVIDER,
        feed=FEED,
        token_id=series.token_id,
        stance=STANCES[int(series.numbers[0, row])],
        published_at=at,
        known_at=at,
        grade=series.number(GRADE, row),
        confidence=series.number(2, row),
    )


def _file_of(kind: Callable[..., T], fields: Mapping[str, ReadCell], *dates: str) -> DatedFile[T]:
    """Describe a file whose columns are named like fields of the values it holds.

    dates: the fields that hold the instant of a row.
    """

    def make(series: Series, row: int, _end: int) -> T:
        at = series.instant(row)
        values = {name: series.number(column, row) for column, name in enumerate(fields)}
        return kind(token_id=series.token_id, **dict.fromkeys(dates, at), **values)

    return DatedFile("known_at", fields, make)


GRADE = 1  # the column of SIGNALS that holds the grades
_ANY, _NOT_NEGATIVE = _numbers(number), _numbers(not_negative)

SIGNALS = DatedFile(
    "published_at", {"stance": _stance, "grade": _ANY, "confidence": _ANY}, _episode, optional=2
)
LEVELS = DatedFile(
    "known_at",
    {"level": _numbers(price, needed=True), "strength": _numbers(_share)},
    _level_set,
    optional=1,
    grouped=True,
)
QUANTMETRICS = _file_of(
    QuantMetrics,
    {"volatility": _NOT_NEGATIVE, "sharpe": _ANY, "sortino": _ANY, "max_drawdown": _ANY, "cagr": _ANY},
    "published_at",
    "known_at",
)
GRADES = _file_of(Grades, {"trader_grade": _ANY, "investor_grade": _ANY}, "published_at", "known_at")
MARKET = _file_of(MarketSize, {"market_cap": _NOT_NEGATIVE, "volume_24h": _NOT_NEGATIVE}, "known_at")
