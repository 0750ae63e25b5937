"""A sequence of bars over a range of rows, which builds each bar when it is first read.

It never gives a bar outside its range.
"""

from collections.abc import Sequence
from typing import overload

from bot.adapters.history.bar_columns import Columns
from bot.domain.market import Bar


class Bars(Sequence[Bar]):
    """The bars of a range of rows, each built when it is first read; rows beyond it stay hidden."""

    __slots__ = ("_columns", "_end", "_made", "_start")

    def __init__(self, columns: Columns, start: int, end: int, made: dict[int, Bar]) -> None:
        """Cover the rows from start up to end; made: bars of these columns that exist already."""
        self._columns = columns
        self._start = start
        self._end = end
        self._made = made

    def take_until(self, at: int, most: int) -> "Bars":
        """Narrow to the last bars, at most `most`, that closed by an instant in microseconds."""
        end = min(self._end, self._columns.count_closed(at))
        return Bars(self._columns, max(self._start, end - most), end, self._made)

    def __len__(self) -> int:
        """Count the bars."""
        return self._end - self._start

    @overload
    def __getitem__(self, at: int) -> Bar: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Bar, ...]: ...
    def __getitem__(self, at: int | slice) -> Bar | tuple[Bar, ...]:
        """Build the bar of a row, or the bars of a slice."""
        rows = range(self._start, self._end)[at]
        return self._bar(rows) if isinstance(rows, int) else tuple(self._bar(row) for row in rows)

    def __eq__(self, other: object) -> bool:
        """Compare with another sequence bar by bar, whatever its type."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def _bar(self, row: int) -> Bar:
        if row not in self._made:
            self._made[row] = self._columns.bars(row, row + 1)[0]
        return self._made[row]
