"""Create a ledger, or migrate it to this program's schema: only forward, after a backup, under the lock.

One transaction does all of it: a ledger is at its old revision or at the new one, never between.
"""

import sqlite3
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, text

import bot
from bot.adapters.sql.engine import (
    begin,
    check_place,
    check_schema,
    ledger_engine,
    ledger_name,
    open_connection,
)
from bot.adapters.sql.lease import check_lock, exclusive
from bot.adapters.sql.schema.column_types import POSTGRESQL, metadata
from bot.adapters.sql.schema.revisions import HEAD, REVISIONS, stored_revision
from bot.adapters.sql.schema.tables import writer_lease
from bot.adapters.sql.schema.triggers import REFUSE_FUNCTION, create_views, drop_views, trigger_texts
from bot.domain.errors import ConfigError, InvariantError, StorageError

# As Alembic makes it.
REVISION_TABLE = (
    "CREATE TABLE alembic_version"
    " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def upgrade(url: str) -> str:
    """Create a ledger or bring it to this program's schema; return what was done as a sentence.

    Raises ConfigError for a database that is not a ledger or has a newer schema, and LeaseError
    while a writer holds the ledger.
    """
    with ledger_engine(url, create=True, is_checked=False) as engine:
        before, empty = _look(engine)
        name = ledger_name(engine.url)
        if before == HEAD:
            return f"ledger {name}: schema {HEAD}, nothing to do"
        with exclusive(engine):
            before, empty = _look(engine)
            if before is None and not empty:
                raise ConfigError(f"{name} holds other tables than a ledger's: name another database")
            if before is not None and before not in REVISIONS:
                check_schema(engine)
            if before is not None and engine.dialect.name == "sqlite":
                backup(engine, Path(f"{engine.url.database}.before-{HEAD}"))
            _migrate(engine, _create if before is None else _run_revisions)
        return f"ledger {name}: schema {HEAD}, " + ("created" if before is None else f"upgraded from {before}")


def create_if_empty(url: str) -> None:
    """Create the ledger when it is missing or empty; leave any other as it is."""
    with ledger_engine(url, create=True, is_checked=False) as engine:
        empty = is_empty(engine)
    if empty:
        upgrade(url)


class Outlook(StrEnum):
    """What a writer would find under a ledger's URL, in words for the user."""

    PRESENT = "present"
    EMPTY = "empty, its schema will be created by `bot run`"
    ABSENT = "will be created by `bot run`"


def outlook(url: str) -> Outlook:
    """Describe what `ledger.writing(url, create=True)` would find; write nothing.

    Raises what `writing` would raise, except for a lock that another writer holds now: it is not
    checked.
    """
    if not check_place(url):
        return Outlook.ABSENT
    with ledger_engine(url, read_only=True, is_checked=False) as engine:
        if is_empty(engine):
            if engine.dialect.name == POSTGRESQL:
                _check_creation(url)
            return Outlook.EMPTY
        check_schema(engine)
        check_lock(engine)
        return Outlook.PRESENT


def is_empty(engine: Engine) -> bool:
    """Check whether a database has neither a schema nor a table yet."""
    return _look(engine) == (None, True)


def _check_creation(url: str) -> None:
    """Raise what creating the schema on a server would raise: create a table and roll it back."""
    with (
        ledger_engine(url, is_checked=False) as engine,
        open_connection(engine) as connection,
        connection.begin() as transaction,
    ):
        connection.exec_driver_sql("CREATE TABLE tidemark_probe (number integer)")
        transaction.rollback()


def _look(engine: Engine) -> tuple[str | None, bool]:
    with begin(engine) as connection:
        return stored_revision(connection), not inspect(connection).get_table_names()


def _migrate(engine: Engine, change: Callable[[Connection], None]) -> None:
    # SQLite changes a table by rebuilding it, which the foreign keys of its children would forbid:
    # they are off during the migration, and checked at its end.
    is_file = engine.dialect.name == "sqlite"
    if is_file:
        with open_connection(engine) as raw:
            raw.connection.cursor().execute("PRAGMA foreign_keys = OFF")
    try:
        with begin(engine) as connection:
            # A view that reads a table would prevent changes to the table.
            drop_views(connection)
            change(connection)
            create_views(connection)
            check = "PRAGMA foreign_key_check"
            if is_file and (broken := connection.exec_driver_sql(check).first()):
                raise InvariantError(
                    f"the ledger {ledger_name(engine.url)} would lose references of {broken[0]}: not migrated"
                )
    finally:
        # The pooled connection still has foreign keys off: close it.
        engine.dispose()


def _create(connection: Connection) -> None:
    """Create tables and triggers as they are declared: sooner done than all revisions one by one."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(writer_lease).values(number=1, epoch=0))
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(REFUSE_FUNCTION)
    for statement in trigger_texts(connection.dialect.name).values():
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(REVISION_TABLE)
    connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": HEAD})


def _run_revisions(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - only upgrading pays for the import
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")


def migrations_folder() -> Path:
    """Find the migrations: inside the installed package, or beside it in a source checkout."""
    package = Path(bot.__file__).parent
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise ConfigError(f"the migrations are missing beside {package}: install the program again")


def backup(engine: Engine, target: Path) -> None:
    """Write a consistent copy of a SQLite ledger, even while it is being written to.

    Raises StorageError when the target exists or cannot be written.
    """
    if target.exists():
        raise StorageError(f"{target} exists already: move it away")
    try:
        with open_connection(engine) as connection:
            connection.connection.cursor().execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise StorageError(f"the backup {target} cannot be written: {error}") from error
    target.chmod(0o600)
