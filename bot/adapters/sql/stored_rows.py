"""Read a cycle's rows as the ledger holds them now, whatever hashes were recorded."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select

from bot.adapters.sql.chain import digest
from bot.adapters.sql.mapping import FACT_ORDER, PortableRow, Rows, portable_row
from bot.adapters.sql.schema.column_types import utc_text
from bot.adapters.sql.schema.fact_tables import journal_entries, postings


def digests(connection: Connection, table: Table, run: str) -> dict[str, list[Any]]:
    """Compute the digest of a table's rows for each slot of a run."""
    found: dict[str, list[Any]] = {}
    asked = _of_run(table, run).order_by("slot_of_cycle")
    for slot, rows in groupby(connection.execute(asked), key=lambda row: row.slot_of_cycle):
        found[utc_text(slot)] = digest(table, _portable(table, rows))
    return found


def rows_of_slot(connection: Connection, run: str, slot: datetime) -> Rows:
    """Read all rows of one cycle's facts."""
    found = {
        table: [*_portable(table, connection.execute(_of_slot(table, run, slot)))]
        for table in FACT_ORDER
    }
    return {table: rows for table, rows in found.items() if rows}


def _of_slot(table: Table, run: str, slot: datetime) -> Select[Any]:
    holder = journal_entries if table is postings else table
    return _of_run(table, run).where(holder.c.slot == slot)


def _of_run(table: Table, run: str) -> Select[Any]:
    if table is postings:
        slot = journal_entries.c.slot.label("slot_of_cycle")
        return select(postings, slot).join(journal_entries).where(journal_entries.c.run == run)
    return select(table, table.c.slot.label("slot_of_cycle")).where(table.c.run == run)


def _portable(table: Table, rows: Iterable[Row[Any]]) -> Iterable[PortableRow]:
    # The query adds the slot after the table's own columns.
    return (portable_row(table, tuple(row)[: len(table.columns)]) for row in rows)
