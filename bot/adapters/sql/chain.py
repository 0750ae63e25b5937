"""The hash chain of a run: a cycle's hash covers the previous hash, the cycle and its rows.

Only portable forms are hashed, so that the rows of either database give the same hash.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection, Table, select

from bot.adapters.sql.mapping import FACT_ORDER, PortableRow, Rows, in_key_order, portable_row
from bot.adapters.sql.schema.column_types import ALWAYS, Portable, utc_text
from bot.adapters.sql.schema.fact_tables import journal_entries, postings
from bot.adapters.sql.schema.tables import cycles
from bot.domain.ids import canonical
from bot.domain.record import Cycle

# The previous hash of a run's first cycle.
GENESIS = "0" * 64

_OUTSIDE_THE_CHAIN = frozenset({"started_at", "finished_at", "contents", "previous_hash", "hash"})

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def _trim(row: PortableRow) -> PortableRow:
    """Drop empty columns at the end of a row, so that a column added later keeps old hashes."""
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]


def _digest(table: Table, rows: Iterable[PortableRow]) -> list[int | str]:
    """Count a table's rows in one cycle, and hash them in the order of their primary keys."""
    ordered = in_key_order(table, rows)
    text = _encode([_trim(row) for row in ordered])
    return [len(ordered), hashlib.sha256(text.encode()).hexdigest()]


def contents(rows: Rows) -> str:
    """Describe a cycle's rows as text: the digest of each table that it wrote to."""
    return canonical({table.name: _digest(table, held) for table, held in rows.items() if held})


def link_cycle(cycle: Cycle, rows: Rows, previous_hash: str) -> PortableRow:
    """Build the row of a cycle, whose last column is the hash that covers the others."""
    values = (getattr(cycle, field.name) for field in fields(Cycle))
    unlinked = portable_row(cycles, (*values, contents(rows), previous_hash, ""))
    return (*unlinked[:-1], hash_of(unlinked))


def hash_of(cycle: Sequence[Portable]) -> str:
    """Compute the hash of a cycle from its row; its wall-clock times are not covered."""
    named = dict(zip(cycles.columns.keys(), cycle, strict=True))
    covered = [value for name, value in named.items() if name not in _OUTSIDE_THE_CHAIN]
    parts = [named["previous_hash"], covered, named["contents"]]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def read_digests(connection: Connection, run: str) -> dict[str, dict[str, list[int | str]]]:
    """Digest a run's rows as the ledger holds them now, by slot and by table."""
    found: dict[str, dict[str, list[int | str]]] = defaultdict(dict)
    for table in FACT_ORDER:
        stored = _read(connection, table, run, ALWAYS)
        for slot, rows in groupby(stored, key=itemgetter(0)):
            found[utc_text(slot)][table.name] = _digest(table, [row for _, row in rows])
    return found


def read_rows(connection: Connection, run: str, slot: datetime) -> Rows:
    """Read all rows of one cycle's facts as the ledger holds them now."""
    return {table: [row for _, row in _read(connection, table, run, (slot, slot))] for table in FACT_ORDER}


def _read(
    connection: Connection, table: Table, run: str, window: tuple[datetime, datetime]
) -> Iterator[tuple[datetime, PortableRow]]:
    """Yield rows with the slots of their cycles, in the order of the slots."""
    is_posting = table is postings
    holder = journal_entries if is_posting else table
    asked = (
        select(table, holder.c.slot)
        .select_from(table.join(holder) if is_posting else table)
        .where(holder.c.run == run, holder.c.slot.between(*window))
        .order_by(holder.c.slot)
    )
    for *row, slot in connection.execute(asked):
        yield slot, portable_row(table, row)
