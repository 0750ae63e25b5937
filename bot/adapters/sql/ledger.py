"""The ledger in SQL: one transaction for a cycle and its facts, under the writer's epoch.

The hash of each cycle covers the hash of the previous one. A run's slots are committed once and in
order, and nothing that was committed ever changes.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import IntegrityError

from bot.adapters.sql.beside import pending
from bot.adapters.sql.chain import GENESIS, contents, link
from bot.adapters.sql.engine import (
    begin,
    check_place,
    check_schema,
    file_identity,
    is_there,
    ledger_engine,
    ledger_name,
)
from bot.adapters.sql.facts import portfolio_facts
from bot.adapters.sql.lease import check_epoch, writer
from bot.adapters.sql.mapping import Rows, cycle_row, datum_rows, fact_from, portable_row, rows_of
from bot.adapters.sql.migrate import create_if_empty, is_empty
from bot.adapters.sql.schema.column_types import utc_text
from bot.adapters.sql.schema.tables import config_versions, cycles, instruments, runs
from bot.adapters.sql.writes import explain_conflict, insert_rows
from bot.domain.decisions import Fact
from bot.domain.errors import ConfigError, InvariantError, LeaseError
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId
from bot.domain.instruments import Instrument
from bot.domain.numbers import plain
from bot.domain.record import Cycle, CycleRecord, CycleState, Run

# The number of facts to collect before their rows are sent to the database.
_BATCH = 20_000
_SETTLED = (CycleState.COMMITTED, CycleState.CAUGHT_UP)


class _Tip(NamedTuple):
    """The newest cycle of a run: its slot (None before the first cycle) and its hash."""

    slot: datetime | None
    link: str


class _Batch:
    """Cycles that wait to be written, with each run's tip and the rows of the last write."""

    def __init__(self) -> None:
        self.tips: dict[RunName, _Tip] = {}
        self.rows: Rows = {}
        self.size = 0
        self._records: list[CycleRecord] = []
        self._newest: dict[RunName, datetime] = {}

    def newest(self, run: RunName) -> datetime | None:
        """Find the newest slot of a run, written or waiting."""
        return self._newest.get(run, self.tips[run].slot)

    def add(self, record: CycleRecord) -> None:
        """Add a cycle to those that wait."""
        self._records.append(record)
        self._newest[record.cycle.run] = record.cycle.slot
        self.size += len(record.facts)

    def write(self, connection: Connection) -> None:
        """Link the waiting cycles to their runs' chains, and insert all rows in the transaction."""
        self.rows = {}
        for record, made in zip(
            self._records, rows_of([record.facts for record in self._records]), strict=True
        ):
            run, described = record.cycle.run, contents(made)
            unlinked = cycle_row(record.cycle, described, self.tips[run].link, "")
            linked = link(self.tips[run].link, unlinked, described)
            self.tips[run] = _Tip(record.cycle.slot, linked)
            # The hash is the last column of the row, and covers the others.
            made[cycles] = [(*unlinked[:-1], linked)]
            for table, rows in made.items():
                self.rows.setdefault(table, []).extend(rows)
        insert_rows(
            connection,
            datum_rows(datum for record in self._records for datum in record.used),
            repeatable=True,
        )
        insert_rows(connection, self.rows)
        self._records, self.size = [], 0


class SqlLedger:
    """The ledger port over an engine.

    epoch: what `lease.writer` yielded, or None for a ledger that is only read.
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
        row = portable_row(runs, [getattr(run, field.name) for field in fields(Run)])
        listed = [
            portable_row(
                instruments, [run.name, *(getattr(one, field.name) for field in fields(Instrument))]
            )
            for _, one in sorted(universe.items())
        ]
        with self._writing() as connection:
            _check_run(connection, run, universe)
            insert_rows(connection, {runs: [row], instruments: listed}, repeatable=True)

    def check_run(self, run: Run, universe: Mapping[TokenId, Instrument]) -> None:
        """Raise ConfigError for a run that `open_run` would refuse; write nothing."""
        with begin(self.engine) as connection:
            _check_run(connection, run, universe)

    def keep_config(self, config_hash: str, text: str) -> None:
        """Store the effective configuration that cycles name by its hash; it holds no secret."""
        with self._writing() as connection:
            insert_rows(connection, {config_versions: [(config_hash, text)]}, repeatable=True)

    def commit(self, record: CycleRecord) -> bool:
        """Store a cycle and its facts in one transaction.

        Returns False, and writes nothing, when the slot was committed before.
        """
        return self.commit_all((record,)) == 1

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Store many cycles in one transaction, and return how many were new.

        Iterating over `records` must not read this ledger.
        """
        batch, written = _Batch(), 0
        try:
            with self._writing() as connection:
                for record in records:
                    run = record.cycle.run
                    if run not in batch.tips:
                        batch.tips[run] = _tip(connection, run)
                    newest = batch.newest(run)
                    if newest is not None and record.cycle.slot <= newest:
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
        with begin(self.engine) as connection:
            return pending(connection, run)

    def live_runs(self) -> list[str]:
        """List the names of the live runs, whose data is on the tape."""
        asked = select(runs.c.name).where(runs.c.identity.is_(None)).order_by(runs.c.name)
        with begin(self.engine) as connection:
            return list(connection.execute(asked).scalars())

    def last_cycle(self, run: RunName) -> CycleRecord | None:
        """Find the run's newest cycle that settled something; the record has no facts."""
        asked = (
            select(cycles)
            .where(cycles.c.run == run, cycles.c.state.in_(_SETTLED))
            .order_by(cycles.c.slot.desc())
            .limit(1)
        )
        with begin(self.engine) as connection:
            found = connection.execute(asked).first()
        return None if found is None else CycleRecord(cycle=fact_from(Cycle, found), facts=())

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._epoch is None:
            raise InvariantError(
                f"the ledger {ledger_name(self.engine.url)} was opened for reading"
            )
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
            yield connection

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Do all writes inside the block in one transaction."""
        with self._writing() as connection:
            self._open = connection
            try:
                yield
            finally:
                self._open = None


def _tip(connection: Connection, run: RunName) -> _Tip:
    asked = (
        select(cycles.c.slot, cycles.c.hash)
        .where(cycles.c.run == run)
        .order_by(cycles.c.slot.desc())
        .limit(1)
    )
    found = connection.execute(asked).first()
    return _Tip(None, GENESIS) if found is None else _Tip(found.slot, found.hash)


def _refuse_gap(connection: Connection, cycle: Cycle, newest: datetime) -> None:
    """Accept a slot that is committed; raise InvariantError for one that was skipped."""
    asked = select(cycles.c.slot).where(cycles.c.run == cycle.run, cycles.c.slot == cycle.slot)
    if connection.execute(asked).first() is None:
        raise InvariantError(
            f"run {cycle.run}: slot {utc_text(cycle.slot)} comes after {utc_text(newest)} was"
            " committed; slots are committed in order"
        )


def _check_run(connection: Connection, run: Run, universe: Mapping[TokenId, Instrument]) -> None:
    stored = connection.execute(select(runs).where(runs.c.name == run.name)).first()
    if stored is not None:
        _same_run(fact_from(Run, stored), run)
    for one in connection.execute(select(instruments).where(instruments.c.run == run.name)):
        _same_instrument(run, fact_from(Instrument, one), universe.get(one.token_id))


def _same_run(stored: Run, given: Run) -> None:
    for name in ("strategy", "cash", "identity"):
        was, now = getattr(stored, name), getattr(given, name)
        if was != now:
            what = f"with another {name} {_text_of(was)}, now {_text_of(now)}"
            if name == "identity":
                what = f"as {'a live run' if was is None else 'a replay of other data or settings'}"
            raise ConfigError(
                f"run {given.name} is in the ledger {what}:"
                " name the new run differently, or take another ledger"
            )


def _same_instrument(run: Run, stored: Instrument, given: Instrument | None) -> None:
    for name in ("symbol", "quantity_step", "price_tick"):
        if given is not None and getattr(stored, name) != getattr(given, name):
            raise ConfigError(
                f"run {run.name} knows token {stored.token_id} with another {name}:"
                f" {_text_of(getattr(stored, name))},"
                f" now {_text_of(getattr(given, name))}; name the new run differently"
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
        if is_empty(engine):
            yield None
            return
        check_schema(engine)
        yield SqlLedger(engine, None)
