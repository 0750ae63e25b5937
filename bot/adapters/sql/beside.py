"""The store beside the writer: rows that are only added, in short transactions without its lease.

Requests, parity checks and trials are such rows. The same row again changes nothing, and another one
under its key is an error.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection, Engine, Table, func, select

from bot.adapters.sql.engine import begin, ledger_engine, ledger_name
from bot.adapters.sql.mapping import Rows, fact_from, row_of
from bot.adapters.sql.migrate import create_if_empty
from bot.adapters.sql.schema.tables import parity_checks, requests, runs, trials
from bot.adapters.sql.writes import explain_conflict, insert_rows
from bot.domain.errors import ConfigError
from bot.domain.events import Request
from bot.domain.ids import RunName
from bot.domain.record import ParityCheck
from bot.domain.sweeps import Trial

Beside = Request | ParityCheck | Trial
TABLES: Mapping[type[Beside], Table] = MappingProxyType(
    {Request: requests, ParityCheck: parity_checks, Trial: trials}
)


class Store:
    """A ledger open for rows beside the writer."""

    def __init__(self, engine: Engine) -> None:
        """Append through an engine."""
        self._engine = engine

    def append(self, values: Sequence[Beside]) -> None:
        """Add values, each to its table, even while a daemon writes.

        Raises ConfigError for a run that the ledger does not have, and InvariantError for a value
        that it holds otherwise.
        """
        rows: Rows = defaultdict(list)
        for value in values:
            table = TABLES[type(value)]
            rows[table].append(row_of(table, value))
        with begin(self._engine) as connection:
            _check_runs(connection, [one.run for one in values if not isinstance(one, Trial)])
            insert_rows(connection, rows, repeatable=True)
        if conflict := explain_conflict(self._engine, rows):
            raise conflict

    def trials(self, sweep: str) -> dict[str, Trial]:
        """Find all trials of a sweep, by id."""
        with begin(self._engine) as connection:
            found = connection.execute(select(trials).where(trials.c.sweep == sweep))
            return {row.trial_id: fact_from(Trial, row) for row in found}


@contextmanager
def open_store(url: str, *, create: bool = False) -> Iterator[Store]:
    """Open a ledger beside its writer; create: where it is missing or empty."""
    if create:
        create_if_empty(url)
    with ledger_engine(url) as engine:
        yield Store(engine)


def put(url: str, values: Sequence[Beside]) -> None:
    """Add values to a ledger; raises ConfigError when it is missing."""
    with open_store(url) as store:
        store.append(values)


def _check_runs(connection: Connection, named: Sequence[RunName]) -> None:
    known = connection.execute(select(runs.c.name).order_by(runs.c.name)).scalars().all()
    for name in named:
        if name not in known:
            ledger = ledger_name(connection.engine.url)
            raise ConfigError(f"no run {name} in the ledger {ledger}: it has {', '.join(known) or 'none yet'}")


def last_check(connection: Connection, run: RunName) -> datetime | None:
    """Find the last slot of a run that any check covered; None when there was no check."""
    asked = select(func.max(parity_checks.c.last_slot)).where(parity_checks.c.run == run)
    return connection.execute(asked).scalar()
