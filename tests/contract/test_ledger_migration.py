"""Migrating: a made-up second revision takes a filled ledger along, or leaves it exactly as it was."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.adapters.sql import engine as opening
from bot.adapters.sql import migrate
from bot.adapters.sql.engine import begin, open_engine
from bot.adapters.sql.ledger import writing
from bot.adapters.sql.revisions import stored_revision
from bot.adapters.sql.verify import violations
from bot.domain.errors import ConfigError, InvariantError, StorageError
from tests.contract.ledger_samples import RUN, opened, story

SECOND = '''"""A made-up revision."""
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    {step}
'''
NOTES = 'op.execute("CREATE TABLE notes (note_id TEXT PRIMARY KEY)")'
ORPHANS = 'op.execute("DROP TRIGGER runs_no_delete"); op.execute("DELETE FROM runs")'
BROKEN = f'{NOTES}; op.execute("CREATE nonsense")'

Step = Callable[[str], None]


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A program that has a second revision, of one step."""

    def install(step: str) -> None:
        folder = tmp_path / "migrations"
        shutil.copytree(migrate.migrations_folder(), folder)
        (folder / "versions" / "0002_made_up.py").write_text(SECOND.format(step=step))
        monkeypatch.setattr(migrate, "migrations_folder", lambda: folder)
        for module in (migrate, opening):
            monkeypatch.setattr(module, "HEAD", "0002")
            monkeypatch.setattr(module, "REVISIONS", ("0001", "0002"))

    return install


@pytest.fixture
def filled_url(ledger_url: str) -> str:
    """A ledger of the first revision, with the sample run."""
    with writing(ledger_url, create=True) as book:
        opened(book).commit_all(story())
    return ledger_url


def _revision(url: str) -> tuple[str | None, bool]:
    """Return a ledger's revision, and whether it has the made-up table."""
    engine = open_engine(url, read_only=True)
    with begin(engine) as connection:
        return stored_revision(connection), engine.dialect.has_table(connection, "notes")


def test_an_older_ledger_is_taken_along(filled_url: str, second: Step) -> None:
    """Every row is still there after the upgrade, and the books verify."""
    second(NOTES)
    assert migrate.upgrade(filled_url).endswith("schema 0002, upgraded from 0001")
    assert _revision(filled_url) == ("0002", True)
    assert violations(filled_url) == []
    with writing(filled_url) as book:
        assert book.last_cycle(RUN) is not None


def test_a_backup_is_made_first(tmp_path: Path, second: Step) -> None:
    """Beside a migrated SQLite ledger stands its copy of the old revision."""
    url = f"{tmp_path}/ledger.db"
    with writing(url, create=True) as book:
        opened(book).commit_all(story())
    second(NOTES)
    migrate.upgrade(url)
    assert _revision(f"{url}.before-0002") == ("0001", False)


def test_a_failed_step_leaves_the_old_ledger(filled_url: str, second: Step) -> None:
    """A revision that fails half way leaves neither its first step nor its number."""
    second(BROKEN)
    with pytest.raises(StorageError):
        migrate.upgrade(filled_url)
    assert _revision(filled_url) == ("0001", False)


def test_lost_references_stop_the_migration(tmp_path: Path, second: Step) -> None:
    """SQLite does not look at references while tables are rebuilt; the migration does, before it commits."""
    url = f"{tmp_path}/ledger.db"
    with writing(url, create=True) as book:
        opened(book).commit_all(story())
    second(ORPHANS)
    with pytest.raises(InvariantError, match="would lose references of"):
        migrate.upgrade(url)
    assert _revision(url) == ("0001", False)


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
