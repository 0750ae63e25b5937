"""Migrating: a revision takes a filled ledger along, or leaves it exactly as it was.

The ledger of the first release is built by its own revision; a made-up next one shows what may go wrong.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, select

from bot.adapters.sql import engine as opening
from bot.adapters.sql import migrate
from bot.adapters.sql.engine import begin, open_engine
from bot.adapters.sql.ledger import writing
from bot.adapters.sql.mapping import portable_row
from bot.adapters.sql.schema.column_types import metadata
from bot.adapters.sql.schema.revisions import HEAD, REVISIONS, stored_revision
from bot.adapters.sql.schema.tables import cycles, writer_lease
from bot.adapters.sql.tape import SqlTape
from bot.adapters.sql.verify import violations
from bot.adapters.sql.views import VIEWS
from bot.domain.errors import ConfigError, InvariantError, StorageError
from tests.contract.decision_samples import BOTH, both_ways
from tests.contract.ledger_samples import RUN, opened, portfolio_part, run_first_revision, story
from tests.contract.tape_samples import recorded

# The link of the sample run's last cycle as the first release computed it.
RELEASED_LINK = "78c39e6ff33e34fe0864fa4bf93ea43c60d11f05320aa0708ad65a71cad6db71"
RELEASED_VIEWS = (
    "CREATE VIEW v_trades AS SELECT run, position_id FROM positions",
    "CREATE VIEW v_open_positions AS SELECT * FROM v_trades",
)

NEXT = f"{int(HEAD) + 1:04}"
MADE_UP = f'''"""A made-up revision."""
from alembic import op
revision = "{NEXT}"
down_revision = "{HEAD}"
def upgrade():
    {{step}}
'''
NOTES = 'op.execute("CREATE TABLE notes (note_id TEXT PRIMARY KEY)")'
ORPHANS = 'op.execute("DROP TRIGGER runs_no_delete"); op.execute("DELETE FROM runs")'
BROKEN = f'{NOTES}; op.execute("CREATE nonsense")'

Step = Callable[[str], None]


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A program that has one more revision, of one step."""

    def install(step: str) -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migrate.migrations_folder(), folder)
        (folder / "versions" / f"{NEXT}_made_up.py").write_text(MADE_UP.format(step=step))
        monkeypatch.setattr(migrate, "migrations_folder", lambda: folder)
        for module in (migrate, opening):
            monkeypatch.setattr(module, "HEAD", NEXT)
            monkeypatch.setattr(module, "REVISIONS", (*REVISIONS, NEXT))

    return install


@pytest.fixture
def filled_url(ledger_url: str) -> str:
    """A ledger of this program, with the sample run."""
    with writing(ledger_url, create=True) as book:
        opened(book).commit_all(story())
    return ledger_url


def _revision(url: str) -> tuple[str | None, bool]:
    """Return a ledger's revision, and whether it has the made-up table."""
    engine = open_engine(url, read_only=True)
    with begin(engine) as connection:
        return stored_revision(connection), engine.dialect.has_table(connection, "notes")


@pytest.fixture
def released_url(ledger_url: str, tmp_path: Path) -> str:
    """A ledger as the first release left it: its own tables and columns, filled, with views of its own."""
    engine = open_engine(ledger_url, create=True)
    with writing(f"{tmp_path}/new.db", create=True) as book, begin(engine) as old:
        opened(book).commit_all(story())
        SqlTape(book.engine).rows(recorded())
        run_first_revision(old)
        with begin(book.engine) as new:
            _copy(new, old)
        for statement in RELEASED_VIEWS:
            old.exec_driver_sql(statement)
    engine.dispose()
    return ledger_url


def _copy(new: Connection, old: Connection) -> None:
    """Copy every row, without the columns that the older ledger has not."""
    place = "?" if old.dialect.name == "sqlite" else "%s"
    for table in metadata.sorted_tables:
        if table is writer_lease or not inspect(old).has_table(table.name):
            continue
        names = [column["name"] for column in inspect(old).get_columns(table.name)]
        assert names == table.columns.keys()[: len(names)]
        rows = [portable_row(table, row)[: len(names)] for row in new.execute(select(table))]
        places = ", ".join([place] * len(names))
        if rows:
            old.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", rows)


def test_the_ledger_of_the_first_release_is_taken_along(released_url: str) -> None:
    """Rows, triggers and chain are there after the upgrade, and what only the new columns hold can be committed."""
    assert migrate.upgrade(released_url).endswith(f"schema {HEAD}, upgraded from 0001")
    assert violations(released_url) == []
    with writing(released_url) as book:
        assert list(book.facts(RUN)) == portfolio_part(story())
        with begin(book.engine) as connection:
            newest = connection.execute(select(cycles.c.hash).order_by(cycles.c.slot.desc()).limit(1))
            assert newest.scalar_one() == RELEASED_LINK
        with pytest.raises((StorageError, InvariantError), match="append-only"), begin(book.engine) as connection:
            connection.exec_driver_sql("UPDATE orders SET part = 1")
        opened(book, BOTH).commit_all(both_ways())
    assert violations(released_url) == []


def test_an_older_ledger_is_taken_along(filled_url: str, following: Step) -> None:
    """Every row is still there after the upgrade, and the books verify."""
    following(NOTES)
    assert migrate.upgrade(filled_url).endswith(f"schema {NEXT}, upgraded from {HEAD}")
    assert _revision(filled_url) == (NEXT, True)
    assert violations(filled_url) == []
    with writing(filled_url) as book:
        assert book.last_cycle(RUN) is not None


def test_a_backup_is_made_first(tmp_path: Path, following: Step) -> None:
    """Beside a migrated SQLite ledger stands its copy of the old revision."""
    url = f"{tmp_path}/ledger.db"
    with writing(url, create=True) as book:
        opened(book).commit_all(story())
    following(NOTES)
    migrate.upgrade(url)
    assert _revision(f"{url}.before-{NEXT}") == (HEAD, False)


def test_a_failed_step_leaves_the_old_ledger(filled_url: str, following: Step) -> None:
    """A revision that fails half way leaves neither its first step nor its number, and takes no view away."""
    following(BROKEN)
    with pytest.raises(StorageError):
        migrate.upgrade(filled_url)
    assert _revision(filled_url) == (HEAD, False)
    engine = open_engine(filled_url, read_only=True)
    with begin(engine) as connection:
        assert set(inspect(connection).get_view_names()) == set(VIEWS)


def test_lost_references_stop_the_migration(tmp_path: Path, following: Step) -> None:
    """SQLite does not look at references while tables are rebuilt; the migration does, before it commits."""
    url = f"{tmp_path}/ledger.db"
    with writing(url, create=True) as book:
        opened(book).commit_all(story())
    following(ORPHANS)
    with pytest.raises(InvariantError, match="would lose references of"):
        migrate.upgrade(url)
    assert _revision(url) == (HEAD, False)


@pytest.mark.parametrize("missing", [True, False])
def test_the_revisions_are_found_in_a_wheel_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, missing: bool
) -> None:
    """Inside an installed package, or nowhere: then the message says what to do."""
    package = tmp_path / "site-packages" / "bot"
    package.mkdir(parents=True)
    monkeypatch.setattr("bot.__file__", str(package / "__init__.py"))
    if missing:
        with pytest.raises(ConfigError, match="install the program again"):
            migrate.migrations_folder()
        return
    (package / "_migrations").mkdir()
    (package / "_migrations" / "env.py").touch()
    assert migrate.migrations_folder() == package / "_migrations"
