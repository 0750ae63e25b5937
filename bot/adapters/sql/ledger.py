"""The ledger in SQL: one transaction for a cycle and its facts, under the writer's epoch.

The hash of each cycle covers the hash of the previous one. A run's slots are committed once and in
order, and nothing that was committed ever changes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, Row, exists, select
from sqlalchemy.exc import IntegrityError

from bot.adapters.sql.chain import GENESIS, link_cycle
from bot.adapters.sql.engine import (
    begin,
    check_place,
    check_schema,
    file_identity,
    is_there,
    ledger_engine,
    ledger_name,
)
from bot.adapters.sql.facts import find_requests, last_settled, live_runs, portfolio_facts
from bot.adapters.sql.lease import check_epoch, writer
from bot.adapters.sql.mapping import Rows, datum_rows, fact_from, portable_row, row_of, rows_of
from bot.adapters.sql.migrate import create_if_empty, is_empty
from bot.adapters.sql.schema.column_types import ALWAYS, utc_text
from bot.adapters.sql.schema.fact_tables import run_events
from bot.adapters.sql.schema.tables import (
    config_versions,
    cycles,
    failed_tries,
    instruments,
    requests,
    runs,
)
from bot.adapters.sql.writes import explain_conflict, insert_rows
from bot.domain.decisions import Fact
from bot.domain.errors import ConfigError, InvariantError, LeaseError
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId
from bot.domain.instruments import Instrument
from bot.domain.numbers import plain
from bot.domain.record import Cycle, CycleRecord, FailedTry, Run

# The number of facts to collect before their rows are sent to the database.
_BATCH = 20_000


class _Batch:
    """Cycles that wait to be written, with the slot and the hash of each run's newest cycle.

    They become rows together: row by row between the cycles that a replay makes takes a third longer.
    """

    def __init__(self) -> None:
        self.tips: dict[RunName, tuple[datetime, str]] = {}
        self.rows: Rows = {}
        self.size = 0
        self._waiting: list[CycleRecord] = []

    def add(self, record: CycleRecord) -> None:
        """Let a cycle wait; its hash is computed when it is written."""
        run = record.cycle.run
        self.tips[run] = record.cycle.slot, self.tips[run][1]
        self._waiting.append(record)
        self.size += len(record.facts)

    def write(self, connection: Connection) -> None:
        """Link the waiting cycles to their runs' chains, and insert their rows in the transaction."""
        self.rows = defaultdict(list)
        for record, made in zip(self._waiting, rows_of([one.facts for one in self._waiting]), strict=True):
            newest, previous_hash = self.tips[record.cycle.run]
            row = link_cycle(record.cycle, made, previous_hash)
            self.tips[record.cycle.run] = newest, str(row[-1])
            for table, rows in {cycles: [row], **made}.items():
                self.rows[table] += rows
        used = (datum for record in self._waiting for datum in record.used)
        insert_rows(connection, datum_rows(used), repeatable=True)
        insert_rows(connection, self.rows)
        self.rows, self._waiting, self.size = {}, [], 0


class SqlLedger:
    """The port `Ledger` over a database.

    epoch: the number of our writer's lease (`lease.writer`); None for a ledger that is only read.
    """

    def __init__(self, engine: Engine, epoch: int | None) -> None:
        """Read and write through an engine."""
        self.engine = engine
        self._epoch = epoch
        self._file = file_identity(engine.url)
        self._open: Connection | None = None

    def open_run(self, run: Run, universe: Mapping[TokenId, Instrument]) -> None:
        """Store a run and its instruments; for a stored run, add only new instruments.

        Raises ConfigError when the stored run or one of its instruments differs.
        """
        listed = [portable_row(instruments, [run.name, *astuple(one)]) for one in universe.values()]
        with self.one_transaction() as connection:
            _check_run(connection, run, universe)
            insert_rows(connection, {runs: [row_of(runs, run)], instruments: listed}, repeatable=True)

    def check_run(self, run: Run, universe: Mapping[TokenId, Instrument]) -> None:
        """Raise ConfigError for a run that `open_run` would refuse; write nothing."""
        with begin(self.engine) as connection:
            _check_run(connection, run, universe)

    def instruments(self, run: RunName) -> tuple[Instrument, ...]:
        """Read what a run calls its tokens."""
        asked = select(instruments).where(instruments.c.run == run).order_by(instruments.c.token_id)
        with begin(self.engine) as connection:
            return tuple(fact_from(Instrument, row) for row in connection.execute(asked))

    def keep_try(self, failed: FailedTry) -> None:
        """Store a try of a slot that committed nothing."""
        with self.one_transaction() as connection:
            insert_rows(connection, {failed_tries: [row_of(failed_tries, failed)]}, repeatable=True)

    def keep_config(self, config_hash: str, text: str) -> None:
        """Store the effective configuration that cycles name by its hash; it holds no secret."""
        with self.one_transaction() as connection:
            insert_rows(connection, {config_versions: [(config_hash, text)]}, repeatable=True)

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Store many cycles in one transaction, and return how many were new.

        Iterating over `records` must not read this ledger.
        """
        batch, written = _Batch(), 0
        try:
            with self.one_transaction() as connection:
                for record in records:
                    run = record.cycle.run
                    if run not in batch.tips:
                        batch.tips[run] = _tip(connection, run)
                    newest, _ = batch.tips[run]
                    if record.cycle.slot <= newest:
                        batch.write(connection)
                        _refuse_gap(connection, record.cycle, newest)
                        continue
                    batch.add(record)
                    written += 1
                    if batch.size >= _BATCH:
                        batch.write(connection)
                batch.write(connection)
        except InvariantError as error:
            if isinstance(error.__cause__, IntegrityError):
                raise (explain_conflict(self.engine, batch.rows) or error) from None
            raise
        return written

    def facts(self, run: RunName) -> Iterable[Fact]:
        """List the facts that make up a run's portfolio, in the order they happened."""
        with begin(self.engine) as connection:
            return portfolio_facts(connection, run)

    def requests(self, run: RunName) -> tuple[Request, ...]:
        """List an operator's requests to a run that no event names yet, oldest first."""
        named = exists().where(run_events.c.request_id == requests.c.request_id)
        with begin(self.engine) as connection:
            return find_requests(connection, requests.c.run == run, ~named)

    def live_runs(self) -> list[RunName]:
        """List the names of the live runs, whose data is on the tape."""
        with begin(self.engine) as connection:
            return live_runs(connection)

    def last_cycle(self, run: RunName) -> CycleRecord | None:
        """Find the run's newest cycle that settled something; the record has no facts."""
        with begin(self.engine) as connection:
            found = last_settled(connection, run)
        return None if found is None else CycleRecord(cycle=found, facts=())

    @contextmanager
    def one_transaction(self) -> Iterator[Connection]:
        """Do all writes inside the block in one transaction."""
        if self._epoch is None:
            raise InvariantError(f"the ledger {ledger_name(self.engine.url)} was opened for reading")
        if self._open is not None:
            yield self._open
            return
        if file_identity(self.engine.url) != self._file:
            raise LeaseError(
                f"the ledger {ledger_name(self.engine.url)} was removed or replaced:"
                " restore it, then start again"
            )
        with begin(self.engine) as connection:
            check_epoch(connection, self._epoch)
            self._open = connection
            try:
                yield connection
            finally:
                self._open = None


def _tip(connection: Connection, run: RunName) -> tuple[datetime, str]:
    asked = select(cycles.c.slot, cycles.c.hash).where(cycles.c.run == run)
    found = connection.execute(asked.order_by(cycles.c.slot.desc()).limit(1)).first()
    return (ALWAYS[0], GENESIS) if found is None else (found.slot, found.hash)


def _refuse_gap(connection: Connection, cycle: Cycle, newest: datetime) -> None:
    """Accept a slot that is committed; raise InvariantError for one that was skipped."""
    asked = select(cycles.c.slot).where(cycles.c.run == cycle.run, cycles.c.slot == cycle.slot)
    if connection.execute(asked).first() is None:
        raise InvariantError(
            f"run {cycle.run}: slot {utc_text(cycle.slot)} comes after {utc_text(newest)} was"
            " committed; slots are committed in order"
        )


def _check_run(connection: Connection, run: Run, universe: Mapping[TokenId, Instrument]) -> None:
    for stored in connection.execute(select(runs).where(runs.c.name == run.name)):
        _same_run(stored, run)
    for stored in connection.execute(select(instruments).where(instruments.c.run == run.name)):
        if stored.token_id in universe:
            _same_instrument(run, stored, universe[stored.token_id])


def _same_run(stored: Row[Any], given: Run) -> None:
    for name in ("strategy", "cash", "identity"):
        was, now = getattr(stored, name), getattr(given, name)
        if was != now:
            what = f"with another {name} {_text_of(was)}, now {_text_of(now)}"
            if name == "identity":
                what = f"as {'a live run' if was is None else 'a replay of other data or settings'}"
            raise ConfigError(f"run {given.name} is in the ledger {what}: {_other_name(given)}")


def _other_name(run: Run) -> str:
    """Say how to keep a run apart from the one that the ledger has."""
    if run.identity is None:
        return "give the new run another name in its [[run]], or name another ledger"
    return "give the strategy another name in its [strategy], or take another --ledger"


def _same_instrument(run: Run, stored: Row[Any], given: Instrument) -> None:
    for name in ("symbol", "quantity_step", "price_tick"):
        if getattr(stored, name) != getattr(given, name):
            raise ConfigError(
                f"run {run.name} knows token {stored.token_id} with another {name}:"
                f" {_text_of(getattr(stored, name))},"
                f" now {_text_of(getattr(given, name))}: {_other_name(run)}"
            )


def _text_of(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


@contextmanager
def writing(url: str, *, create: bool = False) -> Iterator[SqlLedger]:
    """Open a ledger as its only writer.

    create: whether to create a ledger that is missing or empty.
    """
    if create:
        create_if_empty(url)
    with ledger_engine(url) as engine, writer(engine) as epoch:
        yield SqlLedger(engine, epoch)


@contextmanager
def reading(url: str) -> Iterator[SqlLedger | None]:
    """Open a ledger for reading; yield None when it is missing or empty.

    When it is missing and a writer could not create it, this raises what the writer would raise.
    """
    if not is_there(url):
        check_place(url)
        yield None
        return
    with ledger_engine(url, read_only=True, is_checked=False) as engine:
        empty = is_empty(engine)
        if not empty:
            check_schema(engine)
        yield None if empty else SqlLedger(engine, None)
