"""The results of the nightly parity check, added beside the writer in short transactions.

No lease is needed, as checks are only added: one without a difference leaves an earlier one as it
is.
"""

from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection, func, select

from bot.adapters.sql.engine import begin, check_schema, open_engine
from bot.adapters.sql.mapping import portable_row
from bot.adapters.sql.schema.tables import parity_checks
from bot.adapters.sql.writes import insert_rows
from bot.domain.ids import RunName
from bot.domain.record import ParityCheck


def keep(url: str, check: ParityCheck) -> None:
    """Add a check to a ledger, even while a daemon holds it."""
    row = portable_row(parity_checks, [getattr(check, field.name) for field in fields(ParityCheck)])
    engine = open_engine(url)
    try:
        check_schema(engine)
        with begin(engine) as connection:
            insert_rows(connection, {parity_checks: [row]}, repeatable=True)
    finally:
        engine.dispose()


def last_check(connection: Connection, run: RunName) -> datetime | None:
    """Find the last slot of a run that any check covered; None when there was no check."""
    asked = select(func.max(parity_checks.c.last_slot)).where(parity_checks.c.run == run)
    return connection.execute(asked).scalar()
