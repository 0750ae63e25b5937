"""Reading a ledger with plain SQL, in short read-only transactions, also while a writer is at work.

Values come as the database has them: instants are text with Z on SQLite and aware instants on PostgreSQL.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Engine, text

from bot.adapters.sql.engine import begin, check_schema, ledger_name, open_engine
from bot.adapters.sql.schema.column_types import utc_text


def rows(engine: Engine, statement: str, parameters: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the rows of a statement with :named parameters, each with its column names in order."""
    bound = dict(parameters)
    if engine.dialect.name == "sqlite":
        bound = {name: utc_text(value) if isinstance(value, datetime) else value for name, value in bound.items()}
    with begin(engine) as connection:
        return [dict(row) for row in connection.execute(text(statement), bound).mappings()]


class Reader:
    """A ledger opened for reading, its schema checked."""

    def __init__(self, url: str) -> None:
        """Open a ledger by its URL or its file's path; ConfigError where it is missing or of another schema."""
        self.engine = open_engine(url, read_only=True)
        self.name = ledger_name(self.engine.url)
        check_schema(self.engine)

    def rows(self, statement: str, parameters: Mapping[str, object]) -> list[dict[str, object]]:
        """Return the rows of a statement with :named parameters, each with its column names in order."""
        return rows(self.engine, statement, parameters)
