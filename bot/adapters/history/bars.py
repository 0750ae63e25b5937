"""A sequence of bars over a range of rows, which builds each bar when it is first read.

It never gives a bar outside its range.
"""

from collections.abc import Callable, Sequence
from typing import overload

from bot.domain.market import Bar


class Bars(Sequence[Bar]):
    """The bars of a range of rows, each built when it is read; rows beyond it stay hidden."""

    def __init__(self, rows: range, bar_of: Callable[[int], Bar]) -> None:
        """Cover these rows; bar_of: builds the bar of a row, or finds the one built before."""
        self._rows = rows
        self._bar_of = bar_of

    def __len__(self) -> int:
        """Count the bars."""
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Bar: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Bar, ...]: ...
    def __getitem__(self, at: int | slice) -> Bar | tuple[Bar, ...]:
        """Build the bar of a row, or the bars of a slice."""
        rows = self._rows[at]
        return self._bar_of(rows) if isinstance(rows, int) else tuple(map(self._bar_of, rows))

    def __eq__(self, other: object) -> bool:
        """Compare with another sequence bar by bar, whatever its type."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]
