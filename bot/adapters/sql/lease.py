"""The writer's lease: a lock and an epoch that allow a ledger only one writer.

The lock ends with the process that holds it and decides who should write. The epoch in the ledger
decides who may: a writer that finds a newer epoch inside its own transaction is refused there.
"""

import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from bot.adapters.sql.engine import begin, ledger_name, open_connection
from bot.adapters.sql.schema.column_types import POSTGRESQL
from bot.adapters.sql.schema.tables import writer_lease
from bot.domain.errors import AccessError, LeaseError, StorageError

# All ledgers use one number: advisory locks are per database, and a database holds one ledger.
_ADVISORY_LOCK = 7_306_084_425_661_035_109
# The C struct of a record lock, and where its type stands in it.
_RECORD, _TYPE = ("qqihh", 3) if sys.platform == "darwin" else ("hhqqi", 0)
_HELD = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (classid::bigint << 32) + objid::bigint = :number AND objsubid = 1"
)


def exclusive(engine: Engine) -> AbstractContextManager[None]:
    """Hold the ledger's lock; raise LeaseError when another writer holds it."""
    if engine.dialect.name == POSTGRESQL:
        return _advisory_lock(engine)
    return lock_file(Path(str(engine.url.database)))


def check_lock(engine: Engine) -> None:
    """Raise what `writer` would raise for a missing permission, without locking or writing."""
    path = f"{engine.url.database}.lock"
    if engine.dialect.name == POSTGRESQL:
        # EXPLAIN requires the same permissions as the statement, but does not run it.
        with begin(engine) as connection:
            connection.execute(text("EXPLAIN UPDATE writer_lease SET epoch = epoch + 1 RETURNING epoch"))
    elif Path(path).exists():
        os.close(_open_lock(path))


def is_held(engine: Engine) -> bool | None:
    """Check whether a writer holds the ledger; None where this user may not know.

    It only looks: nothing is locked, so no writer is ever refused or delayed.
    """
    if engine.dialect.name == POSTGRESQL:
        with begin(engine) as connection:
            return bool(connection.execute(_HELD, {"number": _ADVISORY_LOCK}).scalar())
    try:
        lock = os.open(f"{engine.url.database}.lock", os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    asked = [0] * 5  # from the first byte to the last
    asked[_TYPE] = fcntl.F_WRLCK
    try:
        found = fcntl.fcntl(lock, fcntl.F_GETLK, struct.pack(_RECORD, *asked))
    finally:
        os.close(lock)
    return bool(struct.unpack(_RECORD, found)[_TYPE] != fcntl.F_UNLCK)


def _open_lock(path: str) -> int:
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        kind = AccessError if isinstance(error, PermissionError) else StorageError
        raise kind(f"the lock {path} cannot be opened: {error.strerror}") from error


@contextmanager
def lock_file(ledger: Path) -> Iterator[None]:
    """Hold the lock file of a SQLite ledger; raise LeaseError when another process holds it."""
    held = _open_lock(f"{ledger}.lock")
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(held, 20, 0).decode("ascii", "replace") or "unknown"
            raise LeaseError(
                f"another writer holds the ledger {ledger} (process {holder}): stop it first"
            ) from None
        # flock decides; the record lock beside it can be seen by `is_held` without being taken.
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(held, 0)
        os.pwrite(held, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(held)


@contextmanager
def _advisory_lock(engine: Engine) -> Iterator[None]:
    # The lock lasts as long as its connection, so it gets one outside any pool and transaction.
    dedicated = create_engine(
        engine.url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    with open_connection(dedicated) as connection:
        asked = connection.execute(text("SELECT pg_try_advisory_lock(:number)"), {"number": _ADVISORY_LOCK})
        if not asked.scalar():
            raise LeaseError(f"another writer holds the ledger {ledger_name(engine.url)}: stop it first")
        try:
            yield
        finally:
            # The server learns of a closed connection later: whoever asks next would be refused. If the
            # connection is lost, so is the lock.
            with suppress(SQLAlchemyError):
                connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _ADVISORY_LOCK})


@contextmanager
def writer(engine: Engine) -> Iterator[int]:
    """Hold the ledger as its only writer, and yield the epoch to write under."""
    with exclusive(engine):
        with begin(engine) as connection:
            raised = update(writer_lease).values(epoch=writer_lease.c.epoch + 1).returning(writer_lease.c.epoch)
            epoch = int(connection.execute(raised).scalar_one())
        yield epoch


def check_epoch(connection: Connection, epoch: int) -> None:
    """Raise LeaseError in a transaction of a writer that has been replaced by another.

    No other process can become the writer until the transaction ends.
    """
    asked = select(writer_lease.c.epoch)
    if connection.dialect.name == POSTGRESQL:
        # Lock the row; on SQLite, BEGIN IMMEDIATE has locked the whole database.
        asked = asked.with_for_update()
    newest = connection.execute(asked).scalar_one()
    if newest != epoch:
        raise LeaseError(
            f"another writer holds the ledger {ledger_name(connection.engine.url)}:"
            f" its epoch is {newest}, ours {epoch}; nothing was written"
        )
