"""The schema: migrations and declarations say the same, and a ledger of another schema is refused with the mend."""

import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bot.adapters.sql.engine import begin, check_schema, open_engine
from bot.adapters.sql.ledger import writing
from bot.adapters.sql.migrate import backup, create_if_empty, migrations_folder, upgrade
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.schema.revisions import HEAD, REVISIONS
from bot.adapters.sql.verify import violations
from bot.domain.errors import ConfigError, InvariantError, LeaseError, StorageError
from tests.contract.decision_samples import BOTH, both_ways
from tests.contract.ledger_samples import RUN, opened, run_first_revision, story

POSTGRESQL_SCHEMA = (
    """SELECT table_name, column_name, data_type, is_nullable, numeric_precision, numeric_scale
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    """SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE NOT tgisinternal ORDER BY 1, 2""",
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
    """SELECT objoid::regclass::text, objsubid, description FROM pg_description
    WHERE objoid::regclass::text LIKE 'v\\_%%' ORDER BY 1, 2""",
    "SELECT number, epoch FROM writer_lease",
    "SELECT version_num FROM alembic_version",
)
ON_ITS_COLUMN = re.compile(r"^(\w+ .*?) (CONSTRAINT \w+ CHECK .*)$")


def _described(connection: Connection) -> list[tuple[object, ...]]:
    """Describe a schema: every object of it, with its revision."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
        lease = connection.exec_driver_sql("SELECT number, epoch, version_num FROM writer_lease, alembic_version").all()
        return [
            (row.type, row.name, _parts(row.sql) if row.type == "table" else row.sql)
            for row in found
        ] + [tuple(row) for row in lease]
    return [
        tuple(row)
        for statement in POSTGRESQL_SCHEMA
        for row in connection.exec_driver_sql(statement)
    ]


def _parts(text: str) -> tuple[list[str], list[str], str]:
    """Take a table's text apart: its columns in order, its constraints wherever they stand, what follows them."""
    start, end = text.index("("), text.rindex(")")
    parts = [" ".join(part.split()) for part in _between_commas(text[start + 1 : end])]
    alone = [found.groups() if (found := ON_ITS_COLUMN.match(part)) else (part,) for part in parts]
    spread = [part.replace("KEY(", "KEY (") for found in alone for part in found]
    constraints = sorted(part for part in spread if part.startswith("CONSTRAINT"))
    return [part for part in spread if part not in constraints], constraints, text[end + 1 :].strip()


def _between_commas(text: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    depth, parts = 0, [""]
    for sign in text:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def test_created_and_migrated_schemas_are_the_same(ledger_url: str) -> None:
    """A ledger made from the declarations and one that all revisions made differ in no table, trigger or view."""
    upgrade(ledger_url)
    engine = open_engine(ledger_url)
    with begin(engine) as connection:
        created = _described(connection)
    with begin(engine) as connection:
        _empty(connection)
        run_first_revision(connection)
    assert upgrade(ledger_url).endswith("upgraded from 0001")
    with begin(engine) as connection:
        migrated = _described(connection)
    engine.dispose()
    assert len(created) > 100
    assert created == migrated


def _empty(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
        return
    kinds = "CASE type WHEN 'trigger' THEN 0 WHEN 'view' THEN 1 ELSE 2 END"
    listed = f"SELECT type, name FROM sqlite_master WHERE type <> 'index' ORDER BY {kinds}, rowid DESC"
    for kind, name in connection.exec_driver_sql(listed).all():
        connection.exec_driver_sql(f"DROP {kind} {name}")


def test_the_listed_revisions_are_those_of_the_migrations() -> None:
    """The program knows every revision there is, in order, without importing Alembic."""
    script = ScriptDirectory(str(migrations_folder()))
    assert tuple(step.revision for step in reversed(list(script.walk_revisions()))) == REVISIONS


def test_upgrading_says_what_it_did(ledger_url: str) -> None:
    """The first upgrade creates, the second has nothing to do."""
    assert upgrade(ledger_url).endswith(f"schema {HEAD}, created")
    assert upgrade(ledger_url).endswith(f"schema {HEAD}, nothing to do")


def test_creating_leaves_an_existing_ledger_as_it_is(ledger_url: str) -> None:
    """Asking for a ledger that is there already keeps what is in it."""
    with writing(ledger_url, create=True) as book:
        opened(book).commit_all(story())
    create_if_empty(ledger_url)
    with writing(ledger_url, create=True) as book:
        assert book.last_cycle(RUN) is not None


def test_a_ledger_that_was_removed_while_open_is_refused(tmp_path: Path) -> None:
    """The file is gone, or another one stands in its place: nothing is committed to what nobody will find again."""
    path = tmp_path / "gone.db"
    with writing(str(path), create=True) as book:
        opened(book).commit_all(story()[:1])
        path.unlink()
        with pytest.raises(LeaseError, match="removed or replaced"):
            book.commit_all(story()[1:])
        path.write_bytes(b"")
        with pytest.raises(LeaseError, match="removed or replaced"):
            book.commit_all(story()[1:])


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "unknown schema 9999.*install the program"),
        ("DELETE FROM alembic_version", "has no schema yet: run `bot db upgrade`"),
    ],
)
def test_another_schema_is_refused_with_the_mend(ledger_url: str, statement: str, named: str) -> None:
    """A ledger written by a newer program, or by none, is not opened (78), and the message says what to do."""
    upgrade(ledger_url)
    engine = open_engine(ledger_url)
    with begin(engine) as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(ConfigError, match=named) as refused:
        check_schema(engine)
    engine.dispose()
    assert refused.value.exit_code == 78
    for use in (Reader, violations, upgrade):
        with pytest.raises(ConfigError):
            use(ledger_url)


def test_an_older_schema_names_the_upgrade(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of an older revision is refused until it is upgraded."""
    upgrade(ledger_url)
    monkeypatch.setattr("bot.adapters.sql.engine.HEAD", "newer")
    engine = open_engine(ledger_url)
    with pytest.raises(ConfigError, match=f"older schema {HEAD}, this program needs newer: run `bot db upgrade`"):
        check_schema(engine)
    engine.dispose()


def test_a_ledger_in_use_is_not_migrated(ledger_url: str) -> None:
    """Migrating waits for the writer to stop; it never goes on under its feet."""
    with writing(ledger_url, create=True) as book:
        with begin(book.engine) as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
        with pytest.raises(LeaseError):
            upgrade(ledger_url)


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A SQLite file with other tables is no empty ledger: nothing is created in it."""
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    with pytest.raises(ConfigError, match="holds other tables"):
        upgrade(str(path))


def test_a_backup_is_a_ledger(tmp_path: Path) -> None:
    """A backup made beside a writer verifies, is private, and is never written over."""
    target = tmp_path / "copy.db"
    with writing(f"{tmp_path}/ledger.db", create=True) as book:
        opened(book).commit_all(story())
        backup(book.engine, target)
        with pytest.raises(StorageError, match="exists already"):
            backup(book.engine, target)
        with pytest.raises(StorageError, match="cannot be written"):
            backup(book.engine, tmp_path / "missing" / "copy.db")
    assert violations(str(target)) == []
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_reading_commands_do_not_import_the_migration_library() -> None:
    """Opening and reading a ledger starts without Alembic."""
    code = "import sys, bot.adapters.sql.ledger, bot.adapters.sql.reads; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


OPEN_WORDS = {
    "run_events": "insert into run_events (seq, run, slot, number, kind, name, state, notice)"
    " select max(seq) + 1, run, slot, max(number) + 1, 'screen', 'any', {state}, 'any'"
    " from run_events group by run, slot",
    "requests": "insert into requests (request_id, run, act, asked_at)"
    " select 'req-new', run, 'explain', max(slot) from cycles group by run",
}


@pytest.mark.parametrize("table", OPEN_WORDS)
def test_words_that_grow_need_no_migration(ledger_url: str, table: str) -> None:
    """A new kind of event and a new act of operators are stored as they are; a state that is not known is refused."""
    with writing(ledger_url, create=True) as book:
        opened(book, BOTH).commit_all(both_ways())
        with begin(book.engine) as connection:
            connection.exec_driver_sql(OPEN_WORDS[table].format(state="'applied'"))
        if table == "run_events":
            with pytest.raises(InvariantError), begin(book.engine) as connection:
                connection.exec_driver_sql(OPEN_WORDS[table].format(state="'unheard'"))
