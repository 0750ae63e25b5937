"""Insert rows in bulk, in sorted key order, the rows of parent tables before their children's.

Nothing is ever overwritten: a row that the ledger holds with other content raises an error.
"""

from functools import cache

from sqlalchemy import Connection, Dialect, Engine, Table, select

from bot.adapters.sql.engine import begin
from bot.adapters.sql.mapping import PortableRow, Rows, first_difference, in_key_order, key_of, portable_row
from bot.adapters.sql.schema.column_types import POSTGRESQL, PortableType, metadata
from bot.domain.errors import InvariantError

_ORDER = tuple(metadata.sorted_tables)


@cache
def _build_insert(table: Table, dialect: Dialect, *, repeatable: bool) -> str:
    quote = dialect.identifier_preparer.quote
    names = ", ".join(quote(column.name) for column in table.columns)
    places = ", ".join(["%s" if dialect.name == POSTGRESQL else "?"] * len(table.columns))
    target = ", ".join(quote(column.name) for column in table.primary_key.columns)
    repeat = f" ON CONFLICT ({target}) DO NOTHING" if repeatable else ""
    return (
        f"INSERT INTO {quote(table.name)} ({names})"  # noqa: S608 - names of our own tables
        f" VALUES ({places}){repeat}"
    )


def insert_rows(connection: Connection, rows: Rows, *, repeatable: bool = False) -> None:
    """Insert rows table by table; `repeatable` skips a row whose key the table has already."""
    for table in _ORDER:
        if held := rows.get(table):
            statement = _build_insert(table, connection.dialect, repeatable=repeatable)
            connection.exec_driver_sql(statement, in_key_order(table, held))


def explain_conflict(engine: Engine, rows: Rows) -> InvariantError | None:
    """Find a row that the ledger holds with other content; name its table, id and field.

    Returns the error to raise, or None when there is no such row.
    """
    with begin(engine) as connection:
        for table in _ORDER:
            for row in rows.get(table, ()):
                stored = _read_same_key(connection, table, row)
                found = None if stored is None else first_difference(table, stored, row)
                if found is not None:
                    return InvariantError(
                        f"{found.table} {found.key} is in the ledger with another {found.column}:"
                        f" {found.stored!r}, now {found.derived!r}"
                    )
    return None


def _read_same_key(connection: Connection, table: Table, row: PortableRow) -> PortableRow | None:
    # A column compares with values, so its type reads them from their portable forms.
    same = (
        column == (column.type.read(part) if isinstance(column.type, PortableType) else part)
        for column, part in zip(table.primary_key.columns, key_of(table, row), strict=True)
    )
    found = connection.execute(select(table).where(*same)).first()
    return None if found is None else portable_row(table, found)
