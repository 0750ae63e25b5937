"""What the database itself enforces and shows: tables, refusing triggers and views, from declared lists.

A ledger that was migrated and one that was created here have the same schema; a test compares them.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, insert

from bot.adapters.sql.columns import POSTGRESQL, metadata
from bot.adapters.sql.tables import writer_lease
from bot.adapters.sql.views import VIEWS, view_text

APPEND_ONLY = tuple(table.name for table in metadata.sorted_tables if table is not writer_lease)

_REFUSE_FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only';
END
$$
"""


def trigger_texts(dialect: str) -> dict[str, str]:
    """Return the statements that create the refusing triggers, by the trigger's name."""
    if dialect == POSTGRESQL:
        return {
            f"{table}_append_only": f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            for table in APPEND_ONLY
        }
    return {
        f"{table}_no_{change}": f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in APPEND_ONLY
        for change in ("update", "delete")
    }


def guard_texts(dialect: str) -> Iterator[str]:
    """Yield the statements that create triggers and views."""
    if dialect == POSTGRESQL:
        yield _REFUSE_FUNCTION
    yield from trigger_texts(dialect).values()
    for name in VIEWS:
        yield view_text(name, dialect)


def create(connection: Connection) -> None:
    """Create the whole schema in an empty database, with a lease that nobody has held."""
    metadata.create_all(connection, checkfirst=False)
    for statement in guard_texts(connection.dialect.name):
        connection.exec_driver_sql(statement)
    connection.execute(insert(writer_lease).values(number=1, epoch=0))
