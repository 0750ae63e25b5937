"""What the ledger in SQL promises beyond the port, on SQLite and PostgreSQL alike."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import Connection, Engine, Table, select

from bot.adapters.sql import lease
from bot.adapters.sql.beside import TABLES, Beside, Store, put
from bot.adapters.sql.engine import begin, ledger_engine, open_connection
from bot.adapters.sql.facts import _WHOLE_STORY
from bot.adapters.sql.lease import exclusive, is_held
from bot.adapters.sql.ledger import SqlLedger, reading, writing
from bot.adapters.sql.mapping import DATUM_TABLES, FACT_TABLES
from bot.adapters.sql.migrate import create_if_empty
from bot.adapters.sql.schema.column_types import metadata
from bot.adapters.sql.schema.tables import cycles, runs
from bot.adapters.sql.schema.tape_tables import signals
from bot.adapters.sql.schema.triggers import APPEND_ONLY
from bot.adapters.sql.tape import SqlTape
from bot.adapters.sql.verify import _NAMED, violations
from bot.domain.books import JournalEntry
from bot.domain.decisions import BenchmarkPart, EquityMark, Fact
from bot.domain.errors import AccessError, ConfigError, InvariantError, LeaseError, StorageError
from bot.domain.ids import RunName, Symbol, TokenId
from bot.domain.positions import Mark
from bot.domain.record import Cycle, FailedTry, Run
from bot.domain.signals import Signal
from bot.domain.tape import Datum, HoleState
from bot.engine.fold import FOLDS, only_explain
from tests.another_writer import another_writer
from tests.contract.decision_samples import BOTH, CLOSE, both_ways
from tests.contract.ledger_samples import (
    ETH,
    RUN,
    SOL,
    TEN,
    UNIVERSE,
    d,
    opened,
    parity_check,
    portfolio_part,
    run,
    story,
)
from tests.contract.tape_samples import api_call, attempts, hole, pause, recorded, refusals
from tests.contract.trial_samples import TRIAL
from tests.memory_ledger import _NAMED_BY

KINDS = [*FACT_TABLES.items(), *TABLES.items(), (Run, runs), (Cycle, cycles)]


@pytest.mark.parametrize(("kind", "table"), KINDS)
def test_columns_are_named_as_the_fields(kind: type[Fact], table: Table) -> None:
    """Every fact has a column for each of its fields, and its table no other but its place and its chain."""
    named = {field.name for field in fields(kind)} - ({"postings"} if kind is JournalEntry else set())
    assert named == set(table.columns.keys()) - {"seq", "contents", "previous_hash", "hash"}


def test_every_kind_of_fact_and_datum_has_a_table() -> None:
    """No fact and no datum can be committed without a place to go to."""
    assert set(FACT_TABLES) == set(get_args(Fact))
    assert set(DATUM_TABLES) == set(get_args(Datum))
    assert set(TABLES) == set(get_args(Beside))


def test_every_kind_of_fact_is_folded_and_held_by_both_ledgers() -> None:
    """A restart reads the kinds that change a portfolio, and no others; the ledger in memory knows them all."""
    assert set(FOLDS) == set(_NAMED_BY) == set(get_args(Fact))
    changing = {kind for kind, change in FOLDS.items() if change is not only_explain}
    assert changing == {*_WHOLE_STORY, Mark, EquityMark, JournalEntry}


def test_every_id_of_a_fact_is_derived_again() -> None:
    """A table whose key is an id of its own is one whose ids `bot verify` derives from what they name."""
    keys = {table: [*table.primary_key.columns] for table in FACT_TABLES.values()}
    named = {table for table, key in keys.items() if len(key) == 1 and not key[0].foreign_keys}
    assert named == set(_NAMED) & set(keys)


def test_both_databases_give_the_same_links(tmp_path: Path, postgres_database: str) -> None:
    """The hash chain is computed from the facts alone: equal on both databases, single or in bulk."""
    told = [*story(), *both_ways()]
    with writing(f"{tmp_path}/ledger.db", create=True) as book:
        opened(opened(book), BOTH).commit_all(told)
        sqlite = _links(book)
    with writing(postgres_database, create=True) as book:
        opened(opened(book), BOTH)
        for record in told:
            book.commit_all([record])
        assert _links(book) == sqlite
    assert len(set(sqlite)) == len(told)


def _links(book: SqlLedger) -> list[str]:
    with begin(book.engine) as connection:
        return list(connection.execute(select(cycles.c.hash).order_by(cycles.c.slot, cycles.c.run)).scalars())


def test_a_long_replay_is_written_in_portions(book: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending rows a few at a time, within the one transaction, leaves the same ledger."""
    monkeypatch.setattr("bot.adapters.sql.ledger._BATCH", 5)
    assert book.commit_all([*story(), story()[0]]) == 3
    assert list(book.facts(RUN)) == portfolio_part(story())


def test_wall_clock_times_are_no_part_of_the_chain(tmp_path: Path) -> None:
    """The same cycles computed on a slower machine have the same links."""
    found = []
    for name in ("fast", "slow"):
        records = story()
        if name == "slow":
            records = [
                replace(one, cycle=replace(one.cycle, finished_at=one.cycle.finished_at.replace(year=2030)))
                for one in records
            ]
        with writing(f"{tmp_path}/{name}.db", create=True) as book:
            opened(book).commit_all(records)
            found.append(_links(book))
    assert found[0] == found[1]


def _fill_every_table(book: SqlLedger) -> None:
    """Put at least one row into every table."""
    part = BenchmarkPart(run=RUN, slot=TEN, token_id=SOL, price=None, worth=d("100"))
    first, *others = story()
    first = replace(first, facts=(*first.facts, part))
    opened(book, BOTH).commit_all([first, *others, *both_ways()])
    url = book.engine.url.render_as_string(hide_password=False)
    put(url, [CLOSE])
    put(url, [parity_check(TEN)])
    Store(book.engine).append([TRIAL])
    tape = SqlTape(book.engine)
    tape.rows(recorded())
    tape.answer(api_call("a" * 64), b"body", attempts())
    tape.refuse("req-1", refusals())
    tape.note([hole(HoleState.OPEN, TEN), pause()])
    book.keep_try(FailedTry(run=RUN, slot=TEN + timedelta(hours=9), attempt=1, at=TEN, reason="down"))
    assert all(_count(book, table) for table in APPEND_ONLY)


def test_the_ids_of_every_table_are_derived_again(book: SqlLedger) -> None:
    """Verification finds each id of rows of every kind to be that of what it names."""
    _fill_every_table(book)
    found = violations(book.engine.url.render_as_string(hide_password=False))
    assert [line for line in found if "is not the id of what it names" in line] == []


def test_nothing_can_be_changed_or_deleted(book: SqlLedger) -> None:
    """Every table but the writer's lease refuses UPDATE and DELETE in the database itself."""
    _fill_every_table(book)
    changes = ("UPDATE {table} SET {column} = {column}", "DELETE FROM {table}")
    for name, change in product(APPEND_ONLY, changes):
        statement = change.format(table=name, column=metadata.tables[name].columns.keys()[0])
        with pytest.raises((StorageError, InvariantError), match="append-only"), begin(book.engine) as connection:
            connection.exec_driver_sql(statement)


def _count(book: SqlLedger, table: str) -> int:
    with begin(book.engine) as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_a_second_writer_is_refused(ledger_url: str) -> None:
    """While a writer holds the ledger another is turned away at once, and let in when the first is gone."""
    with writing(ledger_url, create=True):
        with pytest.raises(LeaseError, match="another writer holds the ledger") as refused, writing(ledger_url):
            pass
        assert refused.value.exit_code == 75
    with writing(ledger_url) as book:
        opened(book)


def test_the_lock_is_free_at_once_though_the_server_learns_late_of_a_closed_connection(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next writer is let in while the connection of the one before is still open on the server."""
    with ExitStack() as open_for_long:

        @contextmanager
        def stay_open(engine: Engine) -> Iterator[Connection]:
            yield open_for_long.enter_context(open_connection(engine))

        monkeypatch.setattr(lease, "open_connection", stay_open)
        with writing(ledger_url, create=True):
            pass
        with writing(ledger_url):
            pass


def test_whether_a_writer_holds_a_ledger_is_seen_without_its_lock(ledger_url: str) -> None:
    """U3: held while another process writes, free before and after; who looks never becomes a writer."""
    with writing(ledger_url, create=True):
        pass
    with ledger_engine(ledger_url, read_only=True) as engine:
        assert is_held(engine) is False
        with another_writer(ledger_url):
            assert is_held(engine) is True
            with pytest.raises(LeaseError), writing(ledger_url):
                pass
            assert is_held(engine) is True
        assert is_held(engine) is False


def test_a_lock_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A directory in the lock's place is a storage error that names it."""
    (tmp_path / "ledger.db.lock").mkdir()
    with pytest.raises(StorageError, match=r"lock .*ledger\.db\.lock cannot be opened"):
        create_if_empty(f"{tmp_path}/ledger.db")


def test_an_overtaken_writer_is_fenced(book: SqlLedger) -> None:
    """A paused writer that wakes after a newer one took over is refused inside its own transaction."""
    first, second, _ = story()
    book.commit_all([first])
    with begin(book.engine) as connection:
        connection.exec_driver_sql("UPDATE writer_lease SET epoch = epoch + 1")
    with pytest.raises(LeaseError, match="nothing was written"):
        book.commit_all([second])
    with pytest.raises(LeaseError):
        book.open_run(run(), UNIVERSE)
    last = book.last_cycle(RUN)
    assert last is not None
    assert last.cycle.slot == TEN


def test_the_lock_is_free_after_a_failure(ledger_url: str) -> None:
    """A writer that fails lets go of the ledger."""
    with pytest.raises(RuntimeError), writing(ledger_url, create=True):
        raise RuntimeError
    with writing(ledger_url) as book, pytest.raises(LeaseError), exclusive(book.engine):
        pass


def test_a_ledger_that_is_read_cannot_be_written(book: SqlLedger, made_url: str) -> None:
    """A reader sees what a writer has committed, beside it, and can change nothing."""
    book.commit_all([story()[0]])
    with reading(made_url) as read:
        assert read is not None
        assert read.last_cycle(RUN) == book.last_cycle(RUN)
        with pytest.raises(InvariantError, match="opened for reading"):
            read.commit_all([story()[1]])
        with pytest.raises((AccessError, StorageError), match=r"read-?only"), begin(read.engine) as connection:
            connection.exec_driver_sql("UPDATE writer_lease SET epoch = 9")


def test_reading_a_ledger_that_is_not_there_gives_nothing(tmp_path: Path) -> None:
    """A rehearsal before the first cycle has nothing to read, and creates nothing."""
    with reading(f"{tmp_path}/none.db") as read:
        assert read is None
    assert list(tmp_path.iterdir()) == []


def test_opening_a_run_again_changes_nothing(book: SqlLedger) -> None:
    """The same run started later is the same run; a new token of its universe is added."""
    later = replace(run(), started_at=TEN.replace(year=2025))
    book.open_run(later, {SOL: UNIVERSE[SOL]})
    more = replace(UNIVERSE[ETH], token_id=TokenId(9), symbol=Symbol("BTC"))
    book.open_run(later, {**UNIVERSE, more.token_id: more})
    assert _count(book, "runs") == 1
    assert _count(book, "instruments") == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cash": d("9999")}, "another cash 10000, now 9999: give the strategy another name"),
        ({"strategy": "other"}, "another strategy levels_long, now other"),
        ({"identity": "replay-2"}, "as a replay of other data or settings: give the strategy another name in its"),
        ({"identity": None}, "as a replay of other data or settings: give the new run another name in its"),
    ],
)
def test_another_run_under_the_same_name_is_refused(book: SqlLedger, change: dict[str, Any], named: str) -> None:
    """A run of another strategy, capital or replay needs another name, and the message says so."""
    with pytest.raises(ConfigError, match=named):
        book.open_run(replace(run(), **change), UNIVERSE)


def test_a_replay_under_the_name_of_a_live_run_is_refused(book: SqlLedger) -> None:
    """A replay into the ledger that it reads is told that its name is a live run's, and what to do."""
    live = run(RunName("live"), identity=None)
    book.open_run(live, UNIVERSE)
    told = "^run live is in the ledger as a live run: give the strategy another name .* or take another --ledger$"
    with pytest.raises(ConfigError, match=told):
        book.open_run(replace(live, identity="replay-1"), UNIVERSE)


def test_another_token_under_the_same_id_is_refused(book: SqlLedger) -> None:
    """A token that changed its symbol or its grid is not the token this run traded."""
    renamed = replace(UNIVERSE[SOL], symbol=Symbol("SOL2"))
    with pytest.raises(ConfigError, match="token 3 with another symbol: SOL, now SOL2"):
        book.open_run(run(), {SOL: renamed})


def test_a_conflict_names_table_id_and_field(book: SqlLedger) -> None:
    """An order that comes again with another content is named, with what is stored and what came."""
    first, second, _ = story()
    book.commit_all([first])
    again = tuple(fact for fact in first.facts if isinstance(fact, JournalEntry))
    entry = again[0].entry_id
    with pytest.raises(InvariantError, match=f"journal_entries {entry} is in the ledger with another slot"):
        book.commit_all([replace(second, facts=tuple(replace(one, slot=second.cycle.slot) for one in again))])


def test_a_row_that_breaks_a_rule_of_the_tables_is_refused(book: SqlLedger) -> None:
    """A cycle that names a configuration nobody kept does not enter the ledger."""
    first = story()[0]
    unknown = replace(first, cycle=replace(first.cycle, config_hash="unknown"))
    with pytest.raises(InvariantError, match="refused a row"):
        book.commit_all([unknown])


def test_data_used_again_is_kept_once(book: SqlLedger) -> None:
    """The rows that decisions used are recorded with them, the first time they are used."""
    book.commit_all(story())
    with begin(book.engine) as connection:
        kept = connection.execute(select(signals)).all()
    assert [(row.token_id, row.signal_id) for row in kept] == [(SOL, _signal_id(story()[0].used))]


def _signal_id(used: tuple[object, ...]) -> str:
    found: Iterator[str] = (datum.signal_id for datum in used if isinstance(datum, Signal))
    return next(found)
