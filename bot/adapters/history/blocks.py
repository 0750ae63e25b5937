"""The dated rows of one token as columns, and the value known at an instant, built on demand.

A number is exact: a float when its shortest digits are what was written, otherwise its text.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from math import isnan
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from bot.adapters.history.pack import Words
from bot.adapters.history.reader import micros
from bot.domain.ids import TokenId
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.numbers import from_float

WORD_BYTES = 8
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

T = TypeVar("T")
# Numbers that no float represents exactly, by column and row.
Texts = Mapping[tuple[int, int], str]


class Series:
    """The rows of a token in order of time; at: microseconds since 1970.

    A NaN is either an empty cell or a number kept as text.
    """

    def __init__(self, token_id: TokenId, rows: Words, texts: Words | None) -> None:
        """View the blocks of `blocks_of`."""
        self.token_id = token_id
        self.at = rows[0]
        self.numbers: npt.NDArray[np.float64] = rows[1:].view(np.float64)
        self._texts = texts

    def instant(self, row: int) -> datetime:
        """Compute the instant of a row."""
        return EPOCH + int(self.at.item(row)) * MICROSECOND

    def number(self, column: int, row: int) -> Decimal | None:
        """Read the number of a cell as it was written; None for an empty cell."""
        value = self.numbers.item(column, row)
        if not isnan(value):
            return from_float(value)
        text = self.texts.get((column, row)) if self.texts else None
        return None if text is None else Decimal(text)

    def gives(self, column: int) -> bool:
        """Check whether any cell of a column is filled."""
        return not np.isnan(self.numbers[column]).all() or any(one == column for one, _ in self.texts)

    @cached_property
    def texts(self) -> Texts:
        """The numbers that no float represents exactly."""
        stored = [] if self._texts is None else json.loads(self._texts.tobytes())
        return {(column, row): text for column, row, text in stored}

    @cached_property
    def turns(self) -> npt.NDArray[np.intp]:
        """The rows at which the first column changes, including the first row."""
        first = self.numbers[0]
        return np.flatnonzero(np.append(True, first[1:] != first[:-1]))


def blocks_of(token_id: TokenId, at: npt.ArrayLike, columns: npt.ArrayLike, texts: Texts) -> dict[str, Words]:
    """Build the blocks of a token's rows: its instants above its columns, and its texts."""
    instants, numbers = np.asarray(at, np.int64), np.asarray(columns, np.float64)
    found = {str(token_id): np.vstack([instants, numbers.view(np.int64)])}
    if texts:
        stored = json.dumps([(*place, text) for place, text in texts.items()]).encode()
        # Blocks hold whole words, so round the length up to a multiple of their size.
        padded = stored.ljust(-(-len(stored) // WORD_BYTES) * WORD_BYTES)
        found[f"{token_id}/texts"] = np.frombuffer(padded, np.int64).reshape(1, -1)
    return found


def series_in(blocks: Mapping[str, Words]) -> dict[TokenId, Series]:
    """View the blocks of each token."""
    return {
        (token_id := TokenId(int(name))): Series(token_id, rows, blocks.get(f"{name}/texts"))
        for name, rows in blocks.items()
        if name.isdecimal()
    }


def cut_blocks(blocks: Mapping[str, Words], at: int) -> dict[str, Words]:
    """Copy the rows that are dated at or before an instant."""
    kept: dict[str, Words] = {}
    for token_id, series in series_in(blocks).items():
        count = int(series.at.searchsorted(at, side="right"))
        texts = {place: text for place, text in series.texts.items() if place[1] < count}
        if count:
            kept |= blocks_of(token_id, series.at[:count], series.numbers[:, :count], texts)
    return kept


class DatedRows(Generic[T]):
    """The values in the dated rows of a file; the one asked for last is kept for each token."""

    def __init__(self, blocks: Mapping[str, Words], make: Callable[[Series, int, int], T]) -> None:
        """Use `make` to build the value of an instant from its rows, from a first up to an end."""
        self._blocks = blocks
        self._make = make
        self._known: dict[TokenId, tuple[T | None, datetime, datetime]] = {}

    @cached_property
    def series(self) -> dict[TokenId, Series]:
        """The rows of each token."""
        return series_in(self._blocks)

    def newest(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> T | None:
        """Find the last value of a token known at the earlier instant; None before the first."""
        at = min(as_of, cut_off)
        value, since, until = self._known.get(token_id, (None, LATEST, EARLIEST))
        if not since <= at < until:
            value, since, until = self._known[token_id] = self._find(token_id, at)
        return value

    def _find(self, token_id: TokenId, now: datetime) -> tuple[T | None, datetime, datetime]:
        """Find the value known at an instant, and the instants from and until which it is that."""
        series = self.series.get(token_id)
        if series is None:
            return None, EARLIEST, LATEST
        end = int(series.at.searchsorted(micros(now), side="right"))
        until = series.instant(end) if end < len(series.at) else LATEST
        if not end:
            return None, EARLIEST, until
        last = series.at.item(end - 1)
        # Most values have one row, which is told without a search.
        alone = end == 1 or series.at.item(end - 2) != last
        start = end - 1 if alone else int(series.at.searchsorted(last))
        return self._make(series, start, end), series.instant(start), until
