"""The hash chain of a run: each cycle's link holds the one before, the cycle, and a digest of every table it wrote.

Computed from portable forms only, so that what either database gives back yields the same link.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Table

from bot.adapters.sql.mapping import PortableRow, chained_part, in_key_order
from bot.adapters.sql.schema.column_types import Portable
from bot.domain.ids import canonical

# What stands before the first cycle of a run.
GENESIS = "0" * 64

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def _trim(row: PortableRow) -> PortableRow:
    """Leave out empty columns at the end, so that a column added later does not change old links."""
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]


def digest(table: Table, rows: Iterable[PortableRow]) -> list[int | str]:
    """Return the number of a table's rows in a cycle, and a digest of them sorted by primary key."""
    ordered = in_key_order(table, rows)
    text = _encode([_trim(row) for row in ordered])
    return [len(ordered), hashlib.sha256(text.encode()).hexdigest()]


def contents(rows: Mapping[Table, Sequence[PortableRow]]) -> str:
    """Describe a cycle's rows: the digest of every table it wrote to."""
    return canonical({table.name: digest(table, held) for table, held in rows.items() if held})


def link(previous_hash: str, cycle: Sequence[Portable], described: str) -> str:
    """Return the hash of a cycle, given its row and the description of its contents."""
    return hashlib.sha256(canonical([previous_hash, chained_part(cycle), described]).encode()).hexdigest()
