"""Read a ledger with plain SQL, in short read-only transactions, even while a writer works.

Values come as the database gives them: instants are text with Z on SQLite and aware instants on
PostgreSQL.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from bot.adapters.sql.engine import begin, check_schema, ledger_name, open_engine
from bot.adapters.sql.schema.column_types import utc_text


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
        """Read the rows of a statement with :named parameters, as columns and values in order."""
        is_sqlite = self.engine.dialect.name == "sqlite"
        bound = {
            name: utc_text(value) if is_sqlite and isinstance(value, datetime) else value
            for name, value in parameters.items()
        }
        with begin(self.engine) as connection:
            return [dict(row) for row in connection.execute(text(statement), bound).mappings()]
