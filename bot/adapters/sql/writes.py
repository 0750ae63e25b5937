"""Insert rows in bulk, in sorted key order, the rows of parent tables before their children's.

Nothing is ever overwritten: a row that the ledger holds with other content raises an error.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Column, Connection, Dialect, Engine, Table, and_, select

from bot.adapters.sql.engine import begin
from bot.adapters.sql.mapping import PortableRow, in_key_order, key_of, portable_row
from bot.adapters.sql.schema.column_types import POSTGRESQL, Portable, PortableType, metadata
from bot.domain.errors import InvariantError

_ORDER = tuple(metadata.sorted_tables)


@cache
def _statement(table: Table, dialect: str, quote: Callable[[str], str], *, repeatable: bool) -> str:
    names = ", ".join(quote(column.name) for column in table.columns)
    places = ", ".join(["%s" if dialect == POSTGRESQL else "?"] * len(table.columns))
    target = ", ".join(quote(column.name) for column in table.primary_key.columns)
    repeat = f" ON CONFLICT ({target}) DO NOTHING" if repeatable else ""
    return (
        f"INSERT INTO {quote(table.name)} ({names})"  # noqa: S608 - names of our own tables
        f" VALUES ({places}){repeat}"
    )


def _insert(dialect: Dialect, table: Table, *, repeatable: bool) -> str:
    return _statement(table, dialect.name, dialect.identifier_preparer.quote, repeatable=repeatable)


def insert_rows(
    connection: Connection, rows: Mapping[Table, Iterable[PortableRow]], *, repeatable: bool = False
) -> None:
    """Insert rows table by table; `repeatable` skips a row whose key the table has already."""
    for table in _ORDER:
        held = rows.get(table)
        if held:
            ordered = in_key_order(table, held)
            connection.exec_driver_sql(
                _insert(connection.dialect, table, repeatable=repeatable), ordered
            )


def explain_conflict(
    engine: Engine, rows: Mapping[Table, Iterable[PortableRow]]
) -> InvariantError | None:
    """Find a row that the ledger holds with other content; name its table, id and field.

    Returns the error to raise, or None when there is no such row.
    """
    with begin(engine) as connection:
        for table, row, stored in _read_same_keys(connection, rows):
            for column, ours, theirs in zip(table.columns.keys(), row, stored, strict=True):
                if ours != theirs:
                    identity = " ".join(str(part) for part in key_of(table, row))
                    return InvariantError(
                        f"{table.name} {identity} is in the ledger with another {column}:"
                        f" {theirs!r}, now {ours!r}"
                    )
    return None


def _read_same_keys(
    connection: Connection, rows: Mapping[Table, Iterable[PortableRow]]
) -> Iterator[tuple[Table, PortableRow, PortableRow]]:
    for table in _ORDER:
        for row in rows.get(table, ()):
            keys = zip(table.primary_key.columns, key_of(table, row), strict=True)
            same = and_(
                *(column == _restore(column, key, connection.dialect) for column, key in keys)
            )
            found = connection.execute(select(table).where(same)).first()
            if found is not None:
                yield table, row, portable_row(table, found)


def _restore(column: Column[Any], value: Portable, dialect: Dialect) -> object:
    """Convert a portable form back to its value."""
    kind = column.type
    return kind.process_result_value(value, dialect) if isinstance(kind, PortableType) else value
