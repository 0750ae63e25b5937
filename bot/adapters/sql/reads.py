"""Read a ledger with plain SQL, in short read-only transactions, even while a writer works.

Values come as the database gives them: instants are text with Z on SQLite and aware instants on
PostgreSQL.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Engine, text

from bot.adapters.sql.engine import begin, check_schema, ledger_name, open_engine
from bot.adapters.sql.schema.column_types import utc_text


def rows(
    engine: Engine, statement: str, parameters: Mapping[str, object]
) -> list[dict[str, object]]:
    """Read the rows of a statement with :named parameters, as column names and values in order."""
    bound = dict(parameters)
    if engine.dialect.name == "sqlite":
        bound = {
            name: utc_text(value) if isinstance(value, datetime) else value
            for name, value in bound.items()
        }
    with begin(engine) as connection:
        return [dict(row) for row in connection.execute(text(statement), bound).mappings()]


class Reader:
    """A ledger that is open for reading and whose schema was checked."""

    def __init__(self, url: str) -> None:
        """Open a ledger by its URL or its file's path.

        Raises ConfigError when it is missing or has another schema.
        """
        self.engine = open_engine(url, read_only=True)
        self.name = ledger_name(self.engine.url)
        check_schema(self.engine)

    def rows(self, statement: str, parameters: Mapping[str, object]) -> list[dict[str, object]]:
        """Read the rows of a statement with :named parameters, as column names and values."""
        return rows(self.engine, statement, parameters)
