"""An answer is data: what a command found, for every face that shows it.

A command builds an `Answer`; printing it as text or JSON happens in `printing`, once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a table; where the table is too wide, those of the highest rank are left out."""

    name: str
    unit: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows to show; columns: those of the first row by default; empty: what to say without rows."""

    rows: Sequence[Row]
    columns: tuple[Column, ...] = ()
    totals: Row | None = None
    empty: str = ""

    def shown_columns(self) -> tuple[Column, ...]:
        """List the columns to show."""
        return self.columns or tuple(Column(name) for name in (self.rows[0] if self.rows else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found: data for JSON, parts for people, notes for stderr, the exit code."""

    payload: object = None
    parts: tuple[str | Table, ...] = ()
    notes: tuple[str, ...] = ()
    exit_code: int = 0


def count_of(number: object, one: str, several: str | None = None) -> str:
    """Write a number of things: `1 trade`, `2 trades`; several: a plural that is not `ones`."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def without_empty(*parts: str | Table) -> tuple[str | Table, ...]:
    """Keep the parts that say something: no empty text, no table without rows."""
    return tuple(part for part in parts if (part if isinstance(part, str) else part.rows))
