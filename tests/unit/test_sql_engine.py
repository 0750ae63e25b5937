"""Opening a ledger: SQLite set up to survive a power cut, and clear refusals that name no password."""

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.adapters.sql.engine import begin, is_there, ledger_name, ledger_url, open_engine, parse_url
from bot.adapters.sql.lease import lock_file
from bot.adapters.sql.migrate import upgrade
from bot.domain.errors import AccessError, BotError, ConfigError, StorageError
from tests.unprivileged import unprivileged


def test_a_writing_connection_survives_a_power_cut(tmp_path: Path) -> None:
    """Write-ahead log, full syncing and foreign keys are on for every connection that writes."""
    upgrade(f"{tmp_path}/ledger.db")
    engine = open_engine(f"{tmp_path}/ledger.db")
    with begin(engine) as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in _PRAGMAS]
    engine.dispose()
    assert found == ["wal", 2, 1]


_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys")


def test_the_files_are_private(tmp_path: Path) -> None:
    """Ledger and lock are readable by their owner alone."""
    upgrade(f"{tmp_path}/ledger.db")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_reading_connection_cannot_write(tmp_path: Path) -> None:
    """A reader is refused by the database, as a matter of permission."""
    upgrade(f"{tmp_path}/ledger.db")
    with pytest.raises(AccessError), begin(open_engine(f"{tmp_path}/ledger.db", read_only=True)) as connection:
        connection.exec_driver_sql("UPDATE writer_lease SET epoch = 9")


@pytest.mark.parametrize(
    ("path", "error", "named"),
    [
        ("none.db", ConfigError, "there is no ledger at .*none.db: check the path"),
        ("missing/ledger.db", StorageError, "directory .*missing does not exist: create it"),
        (".", StorageError, "is a directory: name a file in it"),
    ],
)
def test_a_path_that_holds_no_ledger_is_refused(tmp_path: Path, path: str, error: type[BotError], named: str) -> None:
    """The message is one line that names the path and the mend, and nothing is created."""
    with pytest.raises(error, match=named) as refused:
        open_engine(str(tmp_path / path))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["x", "dear diary, " * 200])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, text: str) -> None:
    """U12: a file of a byte or of text under the ledger's name is called what it is, not a ledger without a schema."""
    (tmp_path / "ledger.db").write_text(text)
    said = r"ledger\.db is no SQLite database: name"
    with pytest.raises(ConfigError, match=said), begin(open_engine(f"{tmp_path}/ledger.db")):
        pass


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder with a ledger that an unprivileged user can see and not write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sqlite3.connect(folder / "ledger.db").close()
        (folder / "ledger.db").chmod(0o444)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("name", ["ledger.db", "new.db"])
def test_a_folder_without_permission_is_an_access_error(closed_folder: Path, name: str) -> None:
    """Where this user may not write, the message says so before SQLite does (77)."""
    with unprivileged(), pytest.raises(AccessError, match="is not writable") as refused:
        open_engine(str(closed_folder / name), create=True)
    assert refused.value.exit_code == 77


def test_a_file_without_permission_is_an_access_error(closed_folder: Path) -> None:
    """A ledger that this user may not read is named, whatever its folder allows."""
    (closed_folder / "ledger.db").chmod(0)
    with unprivileged(), pytest.raises(AccessError, match=r"ledger\.db is not readable"):
        open_engine(str(closed_folder / "ledger.db"), read_only=True)


def test_a_lock_without_permission_is_an_access_error(closed_folder: Path) -> None:
    """The code of a missing permission is the same whatever file it is missing for."""
    (closed_folder / "ledger.db.lock").touch(0)
    locked = lock_file(closed_folder / "ledger.db")
    with unprivileged(), pytest.raises(AccessError, match=r"ledger\.db\.lock cannot be opened"), locked:
        pass


def test_a_ledger_in_a_closed_folder_can_be_read(tmp_path: Path) -> None:
    """A reviewer who was given the file alone reads it where nothing may be written."""
    upgrade(f"{tmp_path}/ledger.db")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(tmp_path / "ledger.db", folder)
        (folder / "ledger.db").chmod(0o444)
        folder.chmod(0o555)
        with unprivileged(), begin(open_engine(f"{folder}/ledger.db", read_only=True)) as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM v_ledger_check").scalar() == 0
        folder.chmod(0o755)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("mysql://bot:hunter2@host/ledger", "ledger.url: mysql keeps no ledger"),
        ("sqlite://", "sqlite keeps no ledger"),
        ("sqlite://ledger.db", "two slashes before its path: write three"),
        ("sqlite://hunter2/ledger.db", "two slashes before its path: write three"),
        ("://hunter2", "cannot be read"),
        ("postgresql://bot:hunter2@host:port/ledger", "cannot be read"),
    ],
)
def test_a_url_that_names_no_ledger_is_refused(url: str, named: str) -> None:
    """Other databases and unreadable URLs are configuration errors that repeat no password."""
    with pytest.raises(ConfigError, match=named) as refused:
        parse_url(url)
    assert "hunter2" not in str(refused.value)


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    """The message of a failed connection holds host and database, and no secret."""
    engine = open_engine("postgresql://bot:hunter2@127.0.0.1:1/ledger?password=hunter3")
    with pytest.raises(StorageError, match=r"127\.0\.0\.1/ledger") as refused, begin(engine):
        pass
    told = f"{refused.value} {engine!r} {refused.value.__cause__}"
    assert "hunter2" not in told
    assert "hunter3" not in str(refused.value)


def test_a_read_only_file_system_is_a_failure_of_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no missing permission: 74, as everywhere else that nothing can be written."""
    mounted = SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr(os, "statvfs", lambda _path: mounted)
    with pytest.raises(StorageError, match="read-only file system: name another place"):
        open_engine(f"{tmp_path}/ledger.db", create=True)


def test_plain_names_are_understood(tmp_path: Path) -> None:
    """A file's path is a URL, and PostgreSQL's plain URLs get their driver."""
    assert ledger_url("runs/a.db") == "sqlite:///runs/a.db"
    assert ledger_name(parse_url("runs/a.db")) == "runs/a.db"
    assert parse_url("postgresql://host/ledger").drivername == "postgresql+psycopg"
    assert parse_url("postgres://host/ledger").drivername == "postgresql+psycopg"
    assert ledger_name(parse_url("postgresql:///ledger?host=/run/pg")) == "/run/pg/ledger"
    assert not is_there(f"{tmp_path}/none.db")
    assert is_there("postgresql://host/ledger")
