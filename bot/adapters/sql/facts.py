"""What a ledger holds of its runs: live runs, requests, settled cycles, facts of a portfolio.

The newest portfolio needs no verdicts, no levels, no marks of closed positions, and only the newest
mark of an open one. It needs six equity marks: the last before the UTC day of the newest, the first
of that day, the newest, the first at the highest equity, the last with a benchmark, and the highest
since the drawdown breaker was last reset.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select, tuple_

from bot.adapters.sql.mapping import FACT_TABLES, fact_from
from bot.adapters.sql.schema.column_types import ALWAYS
from bot.adapters.sql.schema.fact_tables import closings, equity, journal_entries, marks, postings
from bot.adapters.sql.schema.tables import cycles, requests, runs
from bot.domain.books import JournalEntry, Posting
from bot.domain.decisions import BenchmarkPart, Candidate, EquityMark, Fact
from bot.domain.events import EventState, Request, RunEvent
from bot.domain.ids import RunName
from bot.domain.orders import Fill, Order, OrderEvent
from bot.domain.positions import Closing, Mark, Position, StopMove
from bot.domain.record import Cycle, CycleState

SETTLED = (CycleState.COMMITTED, CycleState.CAUGHT_UP)
_BEGINNING, _END = ALWAYS
_Place = tuple[datetime, int]
_WHOLE_STORY: tuple[type[Fact], ...] = (
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


def live_runs(connection: Connection) -> list[RunName]:
    """List the names of the live runs; only a replay has an identity."""
    asked = select(runs.c.name).where(runs.c.identity.is_(None)).order_by(runs.c.name)
    return [RunName(name) for name in connection.execute(asked).scalars()]


def last_settled(connection: Connection, run: RunName, before: datetime = _END) -> Cycle | None:
    """Find the last cycle before an instant that settled something."""
    asked = _of_run(cycles, run, before).where(cycles.c.state.in_(SETTLED))
    found = connection.execute(asked.order_by(cycles.c.slot.desc()).limit(1)).first()
    return None if found is None else fact_from(Cycle, found)


def find_requests(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[Request, ...]:
    """Find requests, by instant, then by id."""
    order = requests.c.asked_at, requests.c.request_id
    found = connection.execute(select(requests).where(*conditions).order_by(*order))
    return tuple(fact_from(Request, row) for row in found)


def portfolio_facts(connection: Connection, run: RunName, before: datetime = _END) -> list[Fact]:
    """List the facts of a run's slots before an instant from which its portfolio is folded.

    They are ordered by slot, and within a slot in the order of their commit.
    """
    asked = {kind: _of_run(FACT_TABLES[kind], run, before) for kind in _WHOLE_STORY}
    asked[Mark] = _newest_marks(run, before)
    placed = [
        (_place(row), fact_from(kind, row))
        for kind, statement in asked.items()
        for row in connection.execute(statement)
    ]
    resets = (
        place
        for place, fact in placed
        if isinstance(fact, RunEvent) and fact.name == "drawdown" and fact.state is EventState.RESET
    )
    last_reset = max(resets, default=(_BEGINNING, 0))
    found = _equity_marks(connection, _of_run(equity, run, before), last_reset)
    placed += ((_place(row), fact_from(EquityMark, row)) for row in found)
    placed += _journal(connection, run, before)
    return [fact for _, fact in sorted(placed, key=itemgetter(0))]


def _place(row: Row[Any]) -> _Place:
    return row.slot, row.seq


def _of_run(table: Table, run: RunName, before: datetime) -> Select[Any]:
    return select(table).where(table.c.run == run, table.c.slot < before)


def _newest_marks(run: RunName, before: datetime) -> Select[Any]:
    """Select the newest mark of each position that is open."""
    marked, closed = _of_run(marks, run, before), _of_run(closings, run, before)
    newest = marked.with_only_columns(marks.c.position_id, func.max(marks.c.slot))
    return marked.where(
        marks.c.position_id.not_in(closed.with_only_columns(closings.c.position_id)),
        tuple_(marks.c.position_id, marks.c.slot).in_(newest.group_by(marks.c.position_id)),
    )


def _equity_marks(connection: Connection, of_run: Select[Any], last_reset: _Place) -> Iterable[Row[Any]]:
    at, highest = equity.c.slot, equity.c.equity.desc()
    last = connection.execute(of_run.order_by(at.desc()).limit(1)).first()
    if last is None or last.drawdown_deepest is None:
        # A release without this column wrote the mark: only all marks together give its value.
        return connection.execute(of_run)
    midnight = last.slot.replace(hour=0, minute=0, second=0, microsecond=0)
    # The equity marks of the module's docstring, in its order; the newest is read already.
    asked = (
        of_run.where(at < midnight).order_by(at.desc()),
        of_run.where(at >= midnight).order_by(at),
        of_run.order_by(highest, at),
        of_run.where(equity.c.benchmark.is_not(None)).order_by(at.desc()),
        of_run.where(tuple_(at, equity.c.seq) > last_reset).order_by(highest, at.desc()),
    )
    rows = [last, *(row for one in asked for row in connection.execute(one.limit(1)))]
    return {row.slot: row for row in rows}.values()


def _journal(connection: Connection, run: RunName, before: datetime) -> Iterator[tuple[_Place, JournalEntry]]:
    entries = _of_run(journal_entries, run, before)
    legs = (
        entries.join(postings)
        .with_only_columns(*postings.columns)
        .order_by(postings.c.entry_id, postings.c.number)
    )
    of_entry = {
        entry: tuple(Posting(row.account, row.amount) for row in rows)
        for entry, rows in groupby(connection.execute(legs), key=attrgetter("entry_id"))
    }
    for row in connection.execute(entries):
        yield _place(row), fact_from(JournalEntry, row, postings=of_entry.get(row.entry_id, ()))
