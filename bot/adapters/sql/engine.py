"""Open a ledger on SQLite or PostgreSQL so that a committed transaction survives a power cut.

Every database error is raised as a BotError of one line, and no message holds a password.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from bot.adapters.sql.schema.column_types import POSTGRESQL
from bot.adapters.sql.schema.revisions import HEAD, REVISIONS, stored_revision
from bot.domain.errors import AccessError, BotError, ConfigError, InvariantError, StorageError
from bot.domain.extras import missing_extra

# How messages name what was given as a ledger's URL; the command line knows where that came from.
LEDGER_KEY = "ledger.url"
_BUSY_SECONDS = 10
_PRIVATE = 0o600
_PAGE_BYTES_MIN = 512
_NO_DATABASE = "is no SQLite database: name a ledger's file"


def parse_url(url: str) -> URL:
    """Parse the URL of a ledger: sqlite:///PATH, postgresql://..., or the path of a SQLite file.

    Raises ConfigError for every other URL.
    """
    try:
        parsed = make_url(ledger_url(url))
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"{LEDGER_KEY}: cannot be read: use sqlite:///PATH or postgresql://USER@HOST/DATABASE"
        ) from None
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite" and parsed.host:
        raise ConfigError(f"{LEDGER_KEY}: has two slashes before its path: write three, sqlite:///PATH")
    if backend == "sqlite" and parsed.query:
        raise ConfigError(f"{LEDGER_KEY}: has a query after its path: write sqlite:///PATH alone")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite")
    if backend in {POSTGRESQL, "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(
        f"{LEDGER_KEY}: {parsed.drivername} keeps no ledger: use sqlite:///PATH or postgresql://USER@HOST/DATABASE"
    )


def ledger_url(text: str) -> str:
    """Convert the path of a file to a ledger's URL; keep a URL as it is."""
    return text if "://" in text else f"sqlite:///{text}"


def ledger_name(url: URL) -> str:
    """Name a ledger without its password: by its file, or by host and database."""
    if url.drivername == "sqlite":
        return str(url.database)
    return f"{url.host or url.query.get('host', 'localhost')}/{url.database}"


def is_there(url: str) -> bool:
    """Check whether a SQLite ledger's file exists; a server counts as present."""
    parsed = parse_url(url)
    return parsed.drivername != "sqlite" or Path(str(parsed.database)).is_file()


def file_identity(url: URL) -> tuple[int, int] | None:
    """Identify a SQLite ledger's file, so that a file that replaced it can be noticed.

    Returns device and inode, or None for a missing file and for a server.
    """
    if url.drivername != "sqlite":
        return None
    try:
        found = Path(str(url.database)).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def open_engine(url: str, *, read_only: bool = False, create: bool = False) -> Engine:
    """Open a ledger; its schema is not checked: see `check_schema`.

    create: whether to create a missing SQLite file. Raises ConfigError for a missing file,
    StorageError for a missing directory, AccessError for one without permission.
    """
    parsed = parse_url(url)
    if parsed.drivername != "sqlite":
        return _open_postgresql(parsed, read_only=read_only)
    path = Path(str(parsed.database))
    with _naming_errors(path):
        _refuse_path(path, read_only=read_only, create=create)
        if create:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, _PRIVATE))
    return _open_sqlite(parsed, path, read_only=read_only)


def check_place(url: str) -> bool:
    """Check a ledger's file as `open_engine(url, create=True)` does, but create nothing.

    Returns whether the file exists, always True for a server, which is not contacted. Raises what
    `open_engine` would raise.
    """
    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        path = Path(str(parsed.database))
        with _naming_errors(path):
            _refuse_path(path, read_only=False, create=True)
    return is_there(url)


def _may_access(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


@contextmanager
def _naming_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # for example, the name is too long
        kind = AccessError if isinstance(error, PermissionError) else StorageError
        raise kind(f"the ledger {path} cannot be opened: {error.strerror}: name another file") from error


def _refuse_path(path: Path, *, read_only: bool, create: bool) -> None:
    """Refuse a path that cannot hold a ledger; SQLite's own error would be less clear."""
    # The file may be a link into another folder; `realpath` resolves it even when that folder is
    # missing.
    for folder in (path.parent, Path(os.path.realpath(path)).parent):
        if not folder.is_dir():
            raise StorageError(f"the ledger's directory {folder} does not exist: create it")
    if path.is_dir():
        raise StorageError(f"the ledger {path} is a directory: name a file in it")
    if not read_only and os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        raise StorageError(f"the ledger {path} is on a read-only file system: name another place")
    if not read_only and not _may_access(path.parent, os.W_OK | os.X_OK):
        raise AccessError(
            f"the ledger's directory {path.parent} is not writable: allow this user to write there"
        )
    if not path.exists():
        if not create:
            raise ConfigError(
                f"there is no ledger at {path}: check the path; `bot run` or `bot replay` creates one"
            )
    elif 0 < path.stat().st_size < _PAGE_BYTES_MIN:
        # SQLite would take it for an empty database. The file itself is not opened: to close it
        # would drop the locks that SQLite holds on it in this process.
        raise ConfigError(f"{path} {_NO_DATABASE}")
    elif not _may_access(path, os.R_OK if read_only else os.R_OK | os.W_OK):
        raise AccessError(
            f"the ledger {path} is not {'readable' if read_only else 'writable'}: allow this user"
        )


def _open_sqlite(url: URL, path: Path, *, read_only: bool) -> Engine:
    location = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}"
    if read_only and not _may_access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        # A reader of a write-ahead log needs to write a file beside it, and this folder forbids
        # that. While there is no log, no process is writing, so the ledger can be read as
        # immutable.
        location += "&immutable=1"

    settings = (
        "foreign_keys = ON",
        "query_only = ON" if read_only else "journal_mode = WAL",
        "synchronous = FULL",
    )

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            location, uri=True, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False
        )
        try:
            for setting in settings:
                connection.execute(f"PRAGMA {setting}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    alone = {"pool_size": 1, "max_overflow": 0, "pool_timeout": _BUSY_SECONDS}
    pool: dict[str, Any] = {"poolclass": NullPool} if read_only else alone
    engine = create_engine(url, creator=connect, hide_parameters=True, **pool)
    start = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(start)

    return engine


def _open_postgresql(url: URL, *, read_only: bool) -> Engine:
    # A reader keeps no connection between two queries, so it need not be closed.
    pool: dict[str, Any] = {"poolclass": NullPool} if read_only else {"pool_pre_ping": True, "pool_size": 2}
    try:
        engine = create_engine(
            url, hide_parameters=True, connect_args={"connect_timeout": _BUSY_SECONDS}, **pool
        )
    except ImportError as error:  # the driver, or the library that it wraps, is missing
        ledger = f"the ledger {ledger_name(url)}"
        raise missing_extra(ledger, "postgresql") from error

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        connection.autocommit = True
        connection.execute("SET TIME ZONE 'UTC'")
        if read_only:
            connection.execute("SET default_transaction_read_only = on")
        connection.autocommit = False

    return engine


@contextmanager
def ledger_engine(
    url: str, *, read_only: bool = False, create: bool = False, is_checked: bool = True
) -> Iterator[Engine]:
    """Open a ledger's engine, and give its connections back at the end.

    is_checked: raise ConfigError for a schema other than this program's.
    """
    engine = open_engine(url, read_only=read_only, create=create)
    try:
        if is_checked:
            check_schema(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_connection(engine: Engine) -> Iterator[Connection]:
    """Open a connection outside any transaction of ours; translate database errors."""
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _translate_error(error, ledger_name(engine.url)) from error


@contextmanager
def begin(engine: Engine) -> Iterator[Connection]:
    """Open one transaction: commit it at the end, roll it back on an error; translate errors."""
    with open_connection(engine) as connection, connection.begin():
        yield connection


def _translate_error(error: SQLAlchemyError, name: str) -> BotError:
    """Translate a database error into one of ours, whose message is a single line."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    lines = str(origin).strip().splitlines() or [type(origin).__name__]
    state = getattr(origin, "sqlstate", None) or ""
    if isinstance(error, IntegrityError):
        return InvariantError(f"the ledger {name} refused a row: {lines[0]}")
    # PostgreSQL: class 28 is a failed login, 42501 a missing privilege.
    if (
        state.startswith("28")
        or state == "42501"
        or "authentication failed" in lines[0]
        or "readonly" in lines[0]
    ):
        return AccessError(f"the ledger {name} does not let this user in: {lines[0]}")
    if "file is not a database" in lines[0]:
        return ConfigError(f"{name} {_NO_DATABASE}")
    if any(sign in lines[0] for sign in ("connection failed", "failed to resolve host", "connection timeout")):
        reason = " ".join(lines[0].split())
        return StorageError(
            f"{LEDGER_KEY}: {name} cannot be reached: {reason}: start the server, or correct it"
        )
    return StorageError(f"the ledger {name} failed: {lines[0]}")


def check_schema(engine: Engine) -> None:
    """Raise ConfigError for a schema other than this program's; the message names the remedy."""
    name = ledger_name(engine.url)
    with begin(engine) as connection:
        revision = stored_revision(connection)
        tables = inspect(connection).get_table_names() if revision is None else []
    if revision == HEAD:
        return
    if tables and "cycles" not in tables:
        raise ConfigError(f"{name} is another database, not a ledger: name a ledger's file or database")
    if revision is None:
        raise ConfigError(f"the ledger {name} has no schema yet: run `bot db upgrade`")
    if revision in REVISIONS:
        raise ConfigError(
            f"the ledger {name} has the older schema {revision}, this program needs {HEAD}:"
            " run `bot db upgrade`"
        )
    raise ConfigError(
        f"the ledger {name} has the unknown schema {revision}, this program knows {HEAD}:"
        " install the program that wrote it (`bot db upgrade` only goes forward)"
    )
