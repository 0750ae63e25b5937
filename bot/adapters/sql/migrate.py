"""Bringing a ledger to the schema of this program: forward only, after a backup, under the writer's lock.

A ledger is at its old revision or at the new one, never between: one transaction holds the whole way.
"""

import sqlite3
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

import bot
from bot.adapters.sql.engine import begin, check_place, check_schema, ledger_name, open_connection, open_engine
from bot.adapters.sql.lease import check_lock, exclusive
from bot.adapters.sql.schema.column_types import POSTGRESQL
from bot.adapters.sql.schema.revisions import HEAD, REVISIONS, stored_revision
from bot.adapters.sql.schema.triggers import create_views, drop_views
from bot.domain.errors import ConfigError, InvariantError, StorageError


def upgrade(url: str) -> str:
    """Create a ledger or bring it to this program's schema; return what was done as a sentence.

    Raises ConfigError for a database that is not a ledger or has a newer schema, LeaseError while a writer holds it.
    """
    engine = open_engine(url, create=True)
    try:
        before, empty = _look(engine)
        name = ledger_name(engine.url)
        if before == HEAD:
            return f"ledger {name}: schema {HEAD}, nothing to do"
        with exclusive(engine):
            before, empty = _look(engine)
            if before is None and not empty:
                message = f"{name} holds other tables than a ledger's: name another database"
                raise ConfigError(message)
            if before is not None and before not in REVISIONS:
                check_schema(engine)
            if before is not None and engine.dialect.name == "sqlite":
                backup(engine, Path(f"{engine.url.database}.before-{HEAD}"))
            _migrate(engine)
        return f"ledger {name}: schema {HEAD}, " + ("created" if before is None else f"upgraded from {before}")
    finally:
        engine.dispose()


def create_if_empty(url: str) -> None:
    """Create the ledger where there is none yet; one that is there stays as it is."""
    engine = open_engine(url, create=True)
    try:
        empty = is_empty(engine)
    finally:
        engine.dispose()
    if empty:
        upgrade(url)


class Outlook(StrEnum):
    """What a writer would find under a ledger's URL, in words."""

    PRESENT = "present"
    EMPTY = "empty, its schema will be created by `bot run`"
    ABSENT = "will be created by `bot run`"


def outlook(url: str) -> Outlook:
    """Tell what `ledger.writing(url, create=True)` would find, and raise what it would raise; write nothing.

    Whether another writer holds the ledger just now is not asked.
    """
    if not check_place(url):
        return Outlook.ABSENT
    engine = open_engine(url, read_only=True)
    try:
        if is_empty(engine):
            if engine.dialect.name == POSTGRESQL:
                _check_creation(url)
            return Outlook.EMPTY
        check_schema(engine)
        check_lock(engine)
        return Outlook.PRESENT
    finally:
        engine.dispose()


def is_empty(engine: Engine) -> bool:
    """Tell whether a database has no schema and no table yet."""
    return _look(engine) == (None, True)


def _check_creation(url: str) -> None:
    """Raise what creating the schema would raise on a server, by a table that is rolled back."""
    engine = open_engine(url)
    try:
        with open_connection(engine) as connection, connection.begin() as transaction:
            connection.exec_driver_sql("CREATE TABLE tidemark_probe (number integer)")
            transaction.rollback()
    finally:
        engine.dispose()


def _look(engine: Engine) -> tuple[str | None, bool]:
    with begin(engine) as connection:
        return stored_revision(connection), not inspect(connection).get_table_names()


def _migrate(engine: Engine) -> None:
    if engine.dialect.name != "sqlite":
        with begin(engine) as connection:
            _run_revisions(connection)
        return
    # A rebuilt parent table would trip over its children: foreign keys are off for the way, and checked at its end.
    with open_connection(engine) as raw:
        raw.connection.cursor().execute("PRAGMA foreign_keys = OFF")
    try:
        with begin(engine) as connection:
            _run_revisions(connection)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                message = f"the ledger {ledger_name(engine.url)} would lose references of {broken[0][0]}: not migrated"
                raise InvariantError(message)
    finally:
        engine.dispose()


def _run_revisions(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - only upgrading pays for the import
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("path_separator", "os")
    # A view would stand in the way of a table that changes under it.
    drop_views(connection)
    command.upgrade(config, "head")
    create_views(connection)


def migrations_folder() -> Path:
    """Return where the revisions are: inside the installed package, or beside it in a source checkout."""
    package = Path(bot.__file__).parent
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    message = f"the migrations are missing beside {package}: install the program again"
    raise ConfigError(message)


def backup(engine: Engine, target: Path) -> None:
    """Write a consistent copy of a SQLite ledger, also while it is being written to; an existing file is refused."""
    if target.exists():
        message = f"{target} exists already: move it away"
        raise StorageError(message)
    try:
        with open_connection(engine) as connection:
            connection.connection.cursor().execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        message = f"the backup {target} cannot be written: {error}"
        raise StorageError(message) from error
    target.chmod(0o600)
