"""`bot check` says of a ledger what `bot run` does: the same line and exit code, or that it starts, and writes nothing.

`bot once` opens a ledger as `bot run` does, and ends.
"""

import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from bot.adapters.sql.migrate import upgrade
from tests.live.conftest import KEY, Command
from tests.unprivileged import unprivileged

CREATED = "ledger: will be created by `bot run`"
EMPTY = "ledger: empty, its schema will be created by `bot run`"
PRESENT = "ledger: present"
Spoil = Callable[[str], object]


def execute(url: str, statement: str) -> None:
    """Send one statement to a ledger's database."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute(statement)
            connection.commit()
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def of_schema(revision: str) -> Spoil:
    """Make a ledger that says it has this schema."""

    def spoil(url: str) -> None:
        upgrade(url)
        execute(url, f"update alembic_version set version_num = '{revision}'")

    return spoil


def of_others(url: str) -> None:
    """Make a database that belongs to another program."""
    execute(url, "create table diary (entry text)")


def path_of(url: str) -> Path:
    """Return the file of a SQLite ledger."""
    return Path(url.removeprefix("sqlite:///"))


def point_at(home: Path, url: str) -> None:
    """Let the configuration of a home name a ledger."""
    config = home / "config.toml"
    config.write_text(config.read_text().replace("sqlite:///tidemark.db", url))


def compare(bot: Command, said: str) -> None:
    """Check, then open: both refuse with one line, or both start and the check said how."""
    code, out, err = bot("check")
    ended, _, refused = bot("once")
    assert (code, err) == (ended, refused)
    if code:
        assert err.count("\n") == 1
        assert said in err
        assert out == ""
    else:
        assert said in out


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("l.db", lambda _: None, CREATED),
        ("l.db", upgrade, PRESENT),
        ("l.db", lambda url: path_of(url).touch(), EMPTY),
        ("nope/x.db", lambda _: None, "nope does not exist: create it"),
        ("l.db", lambda url: path_of(url).mkdir(), "is a directory"),
        ("l.db", lambda url: path_of(url).write_text("dear diary, " * 200), "is no SQLite database"),
        ("l.db", lambda url: path_of(url).write_text("x"), "is no SQLite database"),
        ("l.db", of_schema("0001"), "older schema 0001"),
        ("l.db", of_schema("9999"), "unknown schema 9999"),
        ("l.db", of_others, "is another database"),
        ("l.db", lambda url: path_of(url).symlink_to("nope/y.db"), "nope does not exist: create it"),
        ("l" * 300, lambda _: None, "cannot be opened: File name too long"),
    ],
)
def test_check_says_of_a_sqlite_ledger_what_run_does(
    home: Path, bot: Command, name: str, spoil: Spoil, said: str
) -> None:
    """U6: a ledger that is absent, empty, there, elsewhere, of another schema or program, or no ledger at all."""
    url = f"sqlite:///{home}/{name}"
    point_at(home, url)
    spoil(url)
    compare(bot, said)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _: None, EMPTY),
        (upgrade, PRESENT),
        (of_schema("0001"), "older schema 0001"),
        (of_schema("9999"), "unknown schema 9999"),
        (of_others, "is another database"),
        (lambda url: execute(url, "drop schema public"), "no schema has been selected to create in"),
    ],
)
def test_check_says_of_a_postgresql_ledger_what_run_does(
    home: Path, bot: Command, postgres_database: str, spoil: Spoil, said: str
) -> None:
    """U6: of a database that is empty, a ledger, of another schema or program, or without a place for tables."""
    point_at(home, postgres_database)
    spoil(postgres_database)
    compare(bot, said)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(lambda _: None, "permission denied for schema public"), (upgrade, "permission denied for table")],
)
def test_check_says_of_a_user_without_permission_what_run_does(
    home: Path, bot: Command, postgres_database: str, spoil: Spoil, said: str
) -> None:
    """U6: a user of PostgreSQL who may not create tables, or not write into them, is refused by both."""
    spoil(postgres_database)
    execute(postgres_database, "create role reviewer login")
    try:
        execute(postgres_database, "revoke create on schema public from public")
        execute(postgres_database, "grant select on all tables in schema public to reviewer")
        url = make_url(postgres_database).set(username="reviewer")
        point_at(home, url.render_as_string(hide_password=False))
        compare(bot, said)
    finally:
        execute(postgres_database, "drop owned by reviewer")
        execute(postgres_database, "drop role reviewer")


@pytest.fixture
def open_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Copy the home to a folder that every user may read, and let the environment hold the key."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy.chmod(0o755)
        (copy / "strategies").mkdir()
        for name in ("config.toml", "strategies/levels_long.toml"):
            (copy / name).write_text((home / name).read_text())
        monkeypatch.chdir(copy)
        monkeypatch.setenv("BOT_API_KEY", KEY)
        yield copy


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        ("books", "books is not writable"),
        ("books/l.db", "l.db is not writable"),
        ("books/l.db.lock", "l.db.lock cannot be opened: Permission denied"),
    ],
)
def test_check_says_of_what_may_not_be_written_what_run_does(
    open_home: Path, bot: Command, closed: str, said: str
) -> None:
    """U6: a folder, a ledger or a lock that this user may not write is refused by both."""
    books = open_home / "books"
    books.mkdir()
    upgrade(f"{books}/l.db")
    point_at(open_home, f"sqlite:///{books}/l.db")
    for path in (*books.iterdir(), books):
        path.chmod(0o777)
    (open_home / closed).chmod(0o555)
    try:
        with unprivileged():
            compare(bot, said)
    finally:
        books.chmod(0o755)


def test_check_says_of_a_run_that_was_changed_what_run_does(home: Path, bot: Command) -> None:
    """U6: a run that is in the ledger with other cash is refused by both, and by a rehearsal."""
    config = home / "config.toml"
    assert bot("once", "--at", "2020-01-01T00:00Z")[0] == 0
    config.write_text(config.read_text().replace("cash = 10000", "cash = 5000"))
    compare(bot, "with another cash 10000, now 5000")
    assert bot("once", "--dry-run")[0] == 78


def test_a_rehearsal_takes_an_empty_database_for_none(home: Path, bot: Command, postgres_database: str) -> None:
    """U6: `once --dry-run` over an empty PostgreSQL goes as over no file, and is refused where `once` is."""
    point_at(home, postgres_database)
    code, out, _ = bot("once", "--dry-run")
    assert code == 0
    assert "nothing was written" in out
    point_at(home, "sqlite:///tidemark.db")
    config = home / "config.toml"
    config.write_text(config.read_text().replace(postgres_database, "sqlite:///nope/x.db"))
    assert bot("once", "--dry-run")[0] == bot("once")[0] == 74


def test_a_check_writes_nothing(home: Path, bot: Command) -> None:
    """U6: before the first run no file appears, and a ledger that is there keeps every byte."""
    before = sorted(home.rglob("*"))
    assert bot("check")[0] == 0
    assert sorted(home.rglob("*")) == before
    upgrade(f"{home}/tidemark.db")
    stored = (home / "tidemark.db").read_bytes()
    assert bot("check")[0] == 0
    assert (home / "tidemark.db").read_bytes() == stored
    assert stat.S_IMODE((home / "tidemark.db").stat().st_mode) == 0o600
