"""The stored facts from which a run's portfolio is folded, in the order they happened.

The newest portfolio needs no verdicts, no levels, no marks of closed positions, and only the newest
mark of an open one. It needs six equity marks: the last before the UTC day of the newest, the first
of that day, the newest, the first at the highest equity, the last with a benchmark, and the highest
since the drawdown breaker was last reset.
"""

from datetime import datetime
from itertools import groupby

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    exists,
    func,
    or_,
    select,
    true,
)

from bot.adapters.sql.mapping import FACT_TABLES, fact_from, posting_from
from bot.adapters.sql.schema.fact_tables import (
    closings,
    equity,
    journal_entries,
    marks,
    postings,
    run_events,
)
from bot.domain.books import JournalEntry, Posting
from bot.domain.decisions import BenchmarkPart, Candidate, EquityMark, Fact
from bot.domain.events import EventState, RunEvent
from bot.domain.ids import RunName
from bot.domain.orders import Fill, Order, OrderEvent
from bot.domain.positions import Closing, Mark, Position, StopMove

_Placed = tuple[tuple[datetime, int], Fact]
_WHOLE_STORY = (
    Candidate,
    Order,
    OrderEvent,
    Position,
    Fill,
    StopMove,
    Closing,
    BenchmarkPart,
    RunEvent,
)


def portfolio_facts(connection: Connection, run: RunName) -> list[Fact]:
    """List a run's facts by slot, and within a slot in the order of their commit."""
    placed: list[_Placed] = []
    for kind in _WHOLE_STORY:
        placed.extend(_facts(connection, kind, _of_run(FACT_TABLES[kind], run)))
    placed.extend(_facts(connection, Mark, _newest_marks(run)))
    placed.extend(_equity_marks(connection, run))
    placed.extend(_journal(connection, run))
    return [fact for _, fact in sorted(placed, key=lambda pair: pair[0])]


def facts_before(connection: Connection, run: RunName, slot: datetime) -> list[Fact]:
    """List the facts of a run's earlier slots from which a portfolio is folded, with all marks."""
    placed = _journal(connection, run, slot)
    for kind in (*_WHOLE_STORY, Mark, EquityMark):
        table = FACT_TABLES[kind]
        placed.extend(_facts(connection, kind, _of_run(table, run).where(table.c.slot < slot)))
    return [fact for _, fact in sorted(placed, key=lambda pair: pair[0])]


def _of_run(table: Table, run: RunName) -> Select[tuple[object, ...]]:
    return select(table).where(table.c.run == run)


def _newest_marks(run: RunName) -> Select[tuple[object, ...]]:
    other = marks.alias()
    newest = (
        select(func.max(other.c.slot))
        .where(other.c.position_id == marks.c.position_id)
        .scalar_subquery()
    )
    closed = exists().where(closings.c.position_id == marks.c.position_id)
    return _of_run(marks, run).where(~closed, marks.c.slot == newest)


def _facts(
    connection: Connection, kind: type[Fact], asked: Select[tuple[object, ...]]
) -> list[_Placed]:
    return [((row.slot, row.seq), fact_from(kind, row)) for row in connection.execute(asked)]


def _equity_marks(connection: Connection, run: RunName) -> list[_Placed]:
    of_run, at = _of_run(equity, run), equity.c.slot
    last = connection.execute(of_run.order_by(at.desc()).limit(1)).first()
    if last is None:
        return []
    if last.drawdown_deepest is None:
        # A release without this column wrote the mark: only all marks together give its value.
        return _facts(connection, EquityMark, of_run)
    newest, midnight = last.slot, last.slot.replace(hour=0, minute=0, second=0, microsecond=0)
    # The six equity marks of the module's docstring, in its order.
    asked = (
        of_run.where(at < midnight).order_by(at.desc()),
        of_run.where(at >= midnight).order_by(at),
        of_run.where(at == newest),
        of_run.order_by(equity.c.equity.desc(), at),
        of_run.where(equity.c.benchmark.is_not(None)).order_by(at.desc()),
        of_run.where(_after_last_reset(connection, run)).order_by(
            equity.c.equity.desc(), at.desc()
        ),
    )
    found = {row.slot: row for one in asked for row in connection.execute(one.limit(1))}
    return [((row.slot, row.seq), fact_from(EquityMark, row)) for row in found.values()]


def _after_last_reset(connection: Connection, run: RunName) -> ColumnElement[bool]:
    """Select the equity marks after the last reset of the drawdown breaker, or all without one."""
    armed = _of_run(run_events, run).where(
        run_events.c.name == "drawdown", run_events.c.state == EventState.RESET
    )
    last = connection.execute(
        armed.order_by(run_events.c.slot.desc(), run_events.c.seq.desc()).limit(1)
    ).first()
    if last is None:
        return true()
    return or_(equity.c.slot > last.slot, and_(equity.c.slot == last.slot, equity.c.seq > last.seq))


def _journal(connection: Connection, run: RunName, before: datetime | None = None) -> list[_Placed]:
    here = journal_entries.c.run == run if before is None else _before(run, before)
    asked = (
        select(postings)
        .join(journal_entries)
        .where(here)
        .order_by(postings.c.entry_id, postings.c.number)
    )
    legs: dict[str, tuple[Posting, ...]] = {
        entry: tuple(posting_from(row) for row in rows)
        for entry, rows in groupby(connection.execute(asked), key=lambda row: row.entry_id)
    }
    return [
        ((row.slot, row.seq), fact_from(JournalEntry, row, postings=legs.get(row.entry_id, ())))
        for row in connection.execute(select(journal_entries).where(here))
    ]


def _before(run: RunName, slot: datetime) -> ColumnElement[bool]:
    return and_(journal_entries.c.run == run, journal_entries.c.slot < slot)
