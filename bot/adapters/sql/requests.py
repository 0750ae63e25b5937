"""Operators' requests to a run, added beside the writer in short transactions.

No lease is needed, as requests are only added. A request is pending until an event of its run names
it.
"""

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import Connection, exists, select

from bot.adapters.sql.engine import begin, check_schema, ledger_name, open_engine
from bot.adapters.sql.mapping import fact_from, portable_row
from bot.adapters.sql.schema.fact_tables import run_events
from bot.adapters.sql.schema.tables import requests as request_table
from bot.adapters.sql.schema.tables import runs
from bot.adapters.sql.writes import insert_rows
from bot.domain.errors import ConfigError
from bot.domain.events import Request
from bot.domain.ids import RunName


def put(url: str, requests: Sequence[Request]) -> None:
    """Add requests to a ledger, even while a daemon holds it.

    Raises ConfigError when the ledger or a run is missing.
    """
    engine = open_engine(url)
    try:
        check_schema(engine)
        with begin(engine) as connection:
            _check_runs(connection, requests)
            values = (
                [getattr(request, field.name) for field in fields(request)] for request in requests
            )
            rows = [portable_row(request_table, row) for row in values]
            insert_rows(connection, {request_table: rows}, repeatable=True)
    finally:
        engine.dispose()


def _check_runs(connection: Connection, requests: Sequence[Request]) -> None:
    known = connection.execute(select(runs.c.name).order_by(runs.c.name)).scalars().all()
    for request in requests:
        if request.run not in known:
            name = ledger_name(connection.engine.url)
            raise ConfigError(
                f"no run {request.run} in the ledger {name}:"
                f" it has {', '.join(known) or 'none yet'}"
            )


def pending(connection: Connection, run: RunName) -> tuple[Request, ...]:
    """List the requests of a run that no event names yet, by instant, then by id."""
    named = exists().where(run_events.c.request_id == request_table.c.request_id)
    found = connection.execute(select(request_table).where(request_table.c.run == run, ~named))
    asked: list[Request] = [fact_from(Request, row) for row in found]
    return tuple(sorted(asked, key=lambda request: (request.asked_at, request.request_id)))
