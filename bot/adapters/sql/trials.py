"""The trials of sweeps, added beside the writer in short transactions.

No lease is needed, as trials are only added: the same trial again changes nothing, and one with
another outcome is an error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields

from sqlalchemy import Engine, select

from bot.adapters.sql.engine import begin, check_schema, open_engine
from bot.adapters.sql.mapping import fact_from, portable_row
from bot.adapters.sql.migrate import create_if_empty
from bot.adapters.sql.schema.tables import trials as trial_table
from bot.adapters.sql.writes import explain_conflict, insert_rows
from bot.domain.sweeps import Trial


class SqlTrials:
    """The trials of a ledger."""

    def __init__(self, engine: Engine) -> None:
        """Read and add through an engine."""
        self._engine = engine

    def put(self, trials: Sequence[Trial]) -> None:
        """Add trials; raise InvariantError for one that the ledger holds with another outcome."""
        rows = {
            trial_table: [
                portable_row(trial_table, [getattr(trial, field.name) for field in fields(Trial)])
                for trial in trials
            ]
        }
        with begin(self._engine) as connection:
            insert_rows(connection, rows, repeatable=True)
        if conflict := explain_conflict(self._engine, rows):
            raise conflict

    def of(self, sweep: str) -> dict[str, Trial]:
        """Find all trials of a sweep, by id."""
        with begin(self._engine) as connection:
            found = connection.execute(select(trial_table).where(trial_table.c.sweep == sweep))
            return {row.trial_id: fact_from(Trial, row) for row in found}


@contextmanager
def trials_in(url: str) -> Iterator[SqlTrials]:
    """Open a ledger for trials, even while a daemon holds it; create it when missing or empty."""
    create_if_empty(url)
    engine = open_engine(url)
    try:
        check_schema(engine)
        yield SqlTrials(engine)
    finally:
        engine.dispose()
