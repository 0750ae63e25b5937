"""What the database itself enforces and shows: triggers that refuse changes, and views.

A new ledger is made from the declarations, an older one by the migrations; a test compares the two.
Views hold no data: every migration ends by creating them again from their declarations, so no
revision names them.
"""

from sqlalchemy import Connection, Table

from bot.adapters.sql.dictionary import build_comments
from bot.adapters.sql.schema import fact_tables, tables, tape_tables
from bot.adapters.sql.schema.column_types import POSTGRESQL
from bot.adapters.sql.views import VIEWS, view_text

APPEND_ONLY = tuple(
    declared.name
    for module in (tables, fact_tables, tape_tables)
    for declared in vars(module).values()
    if isinstance(declared, Table) and declared is not tables.writer_lease
)

# What the triggers of PostgreSQL call.
REFUSE_FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only';
END
$$
"""


COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"


def trigger_texts(dialect: str) -> dict[str, str]:
    """Build the statements that create the append-only triggers, by the trigger's name."""
    if dialect == POSTGRESQL:
        return {
            f"{table}_append_only": f"CREATE TRIGGER {table}_append_only"
            f" BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            for table in APPEND_ONLY
        }
    return {
        f"{table}_no_{change}": f"CREATE TRIGGER {table}_no_{change}"
        f" BEFORE {change.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for table in APPEND_ONLY
        for change in ("update", "delete")
    }


def drop_views(connection: Connection) -> None:
    """Drop our views, those that read others first; keep views that someone else made."""
    for name in reversed(tuple(VIEWS)):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def create_views(connection: Connection) -> None:
    """Create every view as it is declared; where the database keeps comments, say what they mean."""
    for name in VIEWS:
        connection.exec_driver_sql(view_text(name, connection.dialect.name))
    if connection.dialect.name == POSTGRESQL:
        columns = [(view, column) for view, column in connection.exec_driver_sql(COLUMNS) if view in VIEWS]
        # Many statements in one message, which the driver sends only when it has no parameters to bind.
        connection.exec_driver_sql(build_comments(columns), execution_options={"no_parameters": True})
