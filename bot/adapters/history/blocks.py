"""The dated rows of one token as columns, and the value known at an instant, built on demand.

A number is exact: a float when its shortest digits are what was written, otherwise its text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from bot.domain.signals import Episode

WORD_BYTES = 8
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

T = TypeVar("T")


class Series:
    """Rows in order of time; at: microseconds since 1970.

    A NaN is either an empty cell or a number kept as text. A text is found by the place of its
    cell, which counts the cells column by column.
    """

    def __init__(self, rows: Words, exact: Words | None, texts: Words | None) -> None:
        """View the blocks of `blocks_of`: the rows, the places and ends of texts, the texts."""
        self.at = rows[0]
        self.numbers: npt.NDArray[np.float64] = rows[1:].view(np.float64)
        self._exact = exact
        self._texts = texts
        # The turn's row and the episode asked for last: usually still current on the next day.
        self.stands: tuple[int, Episode | None] = (-1, None)

    def number(self, column: int, row: int) -> Decimal | None:
        """Read the number of a cell as it was written; None for an empty cell."""
        value = float(self.numbers[column, row])
        if not isnan(value):
            return from_float(value)
        if self._exact is None or self._texts is None:
            return None
        places, ends = self._exact
        place = column * len(self.at) + row
        found = int(places.searchsorted(place))
        if found == len(places) or places[found] != place:
            return None
        start = int(ends[found - 1]) if found else 0
        return Decimal(
            self._texts.view(np.uint8).ravel()[start : int(ends[found])].tobytes().decode()
        )

    def gives(self, column: int) -> bool:
        """Check whether any cell of a column is filled."""
        if not np.isnan(self.numbers[column]).all():
            return True
        return self._exact is not None and bool((self._exact[0] // len(self.at) == column).any())

    def texts(self) -> list[tuple[int, int, str]]:
        """List column, row and text of each number that no float represents exactly."""
        if self._exact is None or self._texts is None:
            return []
        places, ends = self._exact.tolist()
        text = self._texts.view(np.uint8).ravel().tobytes().decode()
        columns_rows = (divmod(place, len(self.at)) for place in places)
        return [
            (*cell, text[start:end])
            for cell, start, end in zip(columns_rows, [0, *ends], ends, strict=False)
        ]

    @cached_property
    def turns(self) -> npt.NDArray[np.intp]:
        """The rows at which the first column changes, including the first row."""
        first = self.numbers[0]
        return np.flatnonzero(np.append(True, first[1:] != first[:-1]))


def blocks_of(
    token_id: TokenId,
    at: Sequence[int],
    columns: Sequence[Sequence[float]],
    texts: Sequence[tuple[int, int, str]],
) -> dict[str, Words]:
    """Build the blocks of a token's rows.

    texts: column, row and text of each number that no float represents exactly.
    """
    rows = np.empty((1 + len(columns), len(at)), np.int64)
    rows[0] = at
    rows[1:].view(np.float64)[:] = columns
    found = {str(token_id): rows}
    if texts:
        ordered = sorted((column * len(at) + row, text.encode()) for column, row, text in texts)
        ends = np.cumsum([len(text) for _, text in ordered])
        joined = b"".join(text for _, text in ordered)
        # Blocks hold whole words, so round the length up to a multiple of their size.
        padded = joined.ljust(-(-len(joined) // WORD_BYTES) * WORD_BYTES)
        found[f"{token_id}/exact"] = np.array([[place for place, _ in ordered], ends], np.int64)
        found[f"{token_id}/texts"] = np.frombuffer(padded, np.int64).reshape(1, -1)
    return found


class Known(Generic[T]):
    """The values known of one token, by instant; the value that was asked for last is kept."""

    def __init__(
        self, token_id: TokenId, series: Series, make: Callable[[TokenId, Series, int, int], T]
    ) -> None:
        """Use `make` to build the value of an instant from its rows, from a first up to an end."""
        self.token_id = token_id
        self.series = series
        self._make = make
        self._value: T | None = None
        self._since = self._until = EARLIEST

    def newest(self, at: datetime) -> T | None:
        """Find the last value known at an instant; None before the first."""
        if not self._since <= at < self._until:
            self._look(at)
        return self._value

    def _look(self, now: datetime) -> None:
        at = self.series.at
        end = int(at.searchsorted(micros(now), side="right"))
        self._value, self._since = None, EARLIEST
        self._until = EPOCH + at.item(end) * MICROSECOND if end < len(at) else LATEST
        if end:
            last = at.item(end - 1)
            start = end - 1 if end == 1 or at.item(end - 2) != last else int(at.searchsorted(last))
            self._since = EPOCH + last * MICROSECOND
            self._value = self._make(self.token_id, self.series, start, end)


class DatedRows(Generic[T]):
    """The dated rows of a file, by token."""

    def __init__(
        self, blocks: Mapping[str, Words], make: Callable[[TokenId, Series, int, int], T]
    ) -> None:
        """View the blocks of a file; there are none when there is no file."""
        self._blocks = blocks
        self._make = make
        self._known: dict[TokenId, Known[T] | None] = {}

    def of(self, token_id: TokenId) -> Known[T] | None:
        """Find the known values of a token; None when the file has no row of it."""
        if token_id not in self._known:
            rows = self._blocks.get(str(token_id))
            exact, texts = (self._blocks.get(f"{token_id}/{name}") for name in ("exact", "texts"))
            known = (
                None if rows is None else Known(token_id, Series(rows, exact, texts), self._make)
            )
            self._known[token_id] = known
        return self._known[token_id]

    def cut_at(self, at: datetime) -> "DatedRows[T]":
        """Copy the rows that are dated at or before an instant."""
        blocks: dict[str, Words] = {}
        for token_id, known in self._all():
            series = known.series
            count = int(series.at.searchsorted(micros(at), side="right"))
            texts = [cell for cell in series.texts() if cell[1] < count]
            if count:
                blocks |= blocks_of(
                    token_id, series.at[:count].tolist(), series.numbers[:, :count].tolist(), texts
                )
        return DatedRows(blocks, self._make)

    def gives(self, column: int) -> bool:
        """Check whether any cell of a column is filled."""
        return any(known.series.gives(column) for _, known in self._all())

    def _all(self) -> Iterator[tuple[TokenId, Known[T]]]:
        for name in self._blocks:
            known = self.of(TokenId(int(name))) if name.isdecimal() else None
            if known is not None:
                yield known.token_id, known

    def newest(self, token_id: TokenId, at: datetime) -> T | None:
        """Find the last value of a token known at an instant; None when there is none."""
        known = self.of(token_id)
        return known.newest(at) if known else None
