"""The stored facts that a run's portfolio is folded from, in the order they happened.

Left out is what the fold does not need: verdicts, every equity mark but the newest, every mark of a position but the
newest, and all marks of closed ones.
"""

from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, Select, Table, exists, func, select

from bot.adapters.sql.rows import FACT_TABLES, fact_from, posting_from
from bot.adapters.sql.tables import closings, equity, journal_entries, marks, postings
from bot.domain.books import JournalEntry, Posting
from bot.domain.decisions import Candidate, EquityMark, Fact
from bot.domain.ids import RunName
from bot.domain.orders import Fill, Order, OrderEvent
from bot.domain.positions import Closing, Mark, Position

_Placed = tuple[tuple[datetime, int], Fact]
_WHOLE_STORY = (Candidate, Order, OrderEvent, Position, Fill, Closing)


def portfolio_facts(connection: Connection, run: RunName) -> list[Fact]:
    """Return a run's facts by slot, and within a slot as they were committed."""
    placed: list[_Placed] = []
    for kind in _WHOLE_STORY:
        placed.extend(_facts(connection, kind, _of_run(FACT_TABLES[kind], run)))
    placed.extend(_facts(connection, Mark, _newest_marks(run)))
    placed.extend(_facts(connection, EquityMark, _of_run(equity, run).order_by(equity.c.slot.desc()).limit(1)))
    placed.extend(_journal(connection, run))
    return [fact for _, fact in sorted(placed, key=lambda pair: pair[0])]


def _of_run(table: Table, run: RunName) -> Select[tuple[object, ...]]:
    return select(table).where(table.c.run == run)


def _newest_marks(run: RunName) -> Select[tuple[object, ...]]:
    other = marks.alias()
    newest = select(func.max(other.c.slot)).where(other.c.position_id == marks.c.position_id).scalar_subquery()
    closed = exists().where(closings.c.position_id == marks.c.position_id)
    return _of_run(marks, run).where(~closed, marks.c.slot == newest)


def _facts(connection: Connection, kind: type[Fact], asked: Select[tuple[object, ...]]) -> list[_Placed]:
    return [((row.slot, row.seq), fact_from(kind, row)) for row in connection.execute(asked)]


def _journal(connection: Connection, run: RunName) -> list[_Placed]:
    asked = (
        select(postings)
        .join(journal_entries)
        .where(journal_entries.c.run == run)
        .order_by(postings.c.entry_id, postings.c.number)
    )
    legs: dict[str, tuple[Posting, ...]] = {
        entry: tuple(posting_from(row) for row in rows)
        for entry, rows in groupby(connection.execute(asked), key=lambda row: row.entry_id)
    }
    return [
        ((row.slot, row.seq), fact_from(JournalEntry, row, postings=legs.get(row.entry_id, ())))
        for row in connection.execute(_of_run(journal_entries, run))
    ]
