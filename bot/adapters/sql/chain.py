"""The hash chain of a run: a cycle's hash covers the previous hash, the cycle and its rows.

Only portable forms are hashed, so that the rows of either database give the same hash.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Table

from bot.adapters.sql.mapping import PortableRow, chained_part, in_key_order
from bot.adapters.sql.schema.column_types import Portable
from bot.domain.ids import canonical

# The previous hash of a run's first cycle.
GENESIS = "0" * 64

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


def _trim(row: PortableRow) -> PortableRow:
    """Drop empty columns at the end of a row, so that a column added later keeps old hashes."""
    end = len(row)
    while end and row[end - 1] is None:
        end -= 1
    return row[:end]


def digest(table: Table, rows: Iterable[PortableRow]) -> list[int | str]:
    """Count a table's rows in one cycle, and hash them in the order of their primary keys."""
    ordered = in_key_order(table, rows)
    text = _encode([_trim(row) for row in ordered])
    return [len(ordered), hashlib.sha256(text.encode()).hexdigest()]


def contents(rows: Mapping[Table, Sequence[PortableRow]]) -> str:
    """Describe a cycle's rows as text: the digest of each table that it wrote to."""
    return canonical({table.name: digest(table, held) for table, held in rows.items() if held})


def link(previous_hash: str, cycle: Sequence[Portable], described: str) -> str:
    """Compute the hash of a cycle from the previous hash, its row and the text of its contents."""
    return hashlib.sha256(
        canonical([previous_hash, chained_part(cycle), described]).encode()
    ).hexdigest()
