"""The ledger's schema revisions, oldest first; a test holds them against the migrations.

Reading which one a ledger has needs no migration library, so that reading commands start at once.
"""

from sqlalchemy import Connection, inspect, text

REVISIONS: tuple[str, ...] = ("0001", "0002", "0003", "0004", "0005")
HEAD = REVISIONS[-1]


def stored_revision(connection: Connection) -> str | None:
    """Return the revision a ledger was left at; None: it has none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)
