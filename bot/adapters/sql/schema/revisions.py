"""The ledger's schema revisions, oldest first; a test compares them with the migrations.

Reading the revision of a ledger needs no migration library, so that reading commands start fast.
"""

from sqlalchemy import Connection, inspect, text

REVISIONS: tuple[str, ...] = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
HEAD = REVISIONS[-1]


def stored_revision(connection: Connection) -> str | None:
    """Read the revision of a ledger's schema; None when it has no schema yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)
