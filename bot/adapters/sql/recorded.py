"""What a ledger recorded of its live runs: answers, data, requests, cycles, in one snapshot.

What is derived from them again is compared here, row by row, in the form that the chain covers.
"""

import hashlib
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, select, true

from bot.adapters.sql.chain import GENESIS, contents, digest, link
from bot.adapters.sql.engine import begin, ledger_engine
from bot.adapters.sql.facts import facts_before
from bot.adapters.sql.mapping import (
    DATUM_TABLES,
    FACT_ORDER,
    PortableRow,
    Rows,
    cycle_row,
    datum_rows,
    fact_from,
    key_of,
    portable_row,
    rows_of,
)
from bot.adapters.sql.schema.column_types import POSTGRESQL, Portable, utc_text
from bot.adapters.sql.schema.fact_tables import run_events
from bot.adapters.sql.schema.tables import config_versions, cycles, instruments, requests, runs
from bot.adapters.sql.schema.tape_tables import answers, api_calls, grades, levels, prints
from bot.adapters.sql.stored_rows import digests, rows_of_slot
from bot.adapters.sql.tape import recorded_data
from bot.domain.decisions import Fact
from bot.domain.events import Request
from bot.domain.ids import RunName
from bot.domain.instruments import Instrument
from bot.domain.record import Cycle, CycleRecord, CycleState, Run
from bot.domain.tape import ApiCall, Datum

_SETTLED = (CycleState.COMMITTED, CycleState.CAUGHT_UP)
_WALL_CLOCK = frozenset({"started_at", "finished_at"})
_TAPE = (*DATUM_TABLES.values(), levels)

Window = tuple[datetime | None, datetime | None]
Known = dict[datetime, list[tuple[Table, PortableRow]]]


class RowDifference(NamedTuple):
    """The first difference between two rows.

    column: None when one side has no such row; the value of that side is then None.
    """

    table: str
    key: str
    column: str | None
    stored: Portable
    derived: Portable


class Recorded:
    """One run as it was recorded, read through a connection whose snapshot does not change."""

    def __init__(self, connection: Connection, run: RunName) -> None:
        """Read through a connection."""
        self._connection = connection
        self._run = run
        self._link = GENESIS
        self._digests: dict[Table, dict[str, list[Any]]] = {}

    def cycles(self, window: Window) -> list[Cycle]:
        """List the cycles of a window in order; restart the chain of hashes before the first.

        The list begins with the slots missed before the first settled cycle, and ends with the last
        settled cycle.
        """
        within = [
            *_bounds(cycles.c.slot, window),
            cycles.c.run == self._run,
            cycles.c.state.in_(_SETTLED),
        ]
        asked = select(cycles).where(*within).order_by(cycles.c.slot)
        settled = [fact_from(Cycle, row) for row in self._connection.execute(asked)]
        if not settled:
            return []
        before = self.last_settled(settled[0].slot)
        first = cycles.c.slot > before.slot if before else true()
        mine = and_(cycles.c.run == self._run, first, cycles.c.slot <= settled[-1].slot)
        rows = self._connection.execute(select(cycles).where(mine).order_by(cycles.c.slot)).all()
        self._link = rows[0].previous_hash
        return [fact_from(Cycle, row) for row in rows]

    def last_settled(self, slot: datetime) -> Cycle | None:
        """Find the last cycle before a slot that settled something."""
        mine = and_(cycles.c.run == self._run, cycles.c.slot < slot, cycles.c.state.in_(_SETTLED))
        found = self._connection.execute(
            select(cycles).where(mine).order_by(cycles.c.slot.desc()).limit(1)
        ).first()
        return None if found is None else fact_from(Cycle, found)

    def config(self, config_hash: str) -> str | None:
        """Read a stored configuration; None when its text no longer has its hash."""
        asked = select(config_versions.c.text).where(config_versions.c.config_hash == config_hash)
        text = str(self._connection.execute(asked).scalar())
        return text if hashlib.sha256(text.encode()).hexdigest() == config_hash else None

    def instruments(self) -> dict[str, tuple[Instrument, ...]]:
        """Read the instruments of every run of the ledger."""
        found: dict[str, tuple[Instrument, ...]] = {}
        for row in self._connection.execute(
            select(instruments).order_by(instruments.c.run, instruments.c.token_id)
        ):
            found[row.run] = (*found.get(row.run, ()), fact_from(Instrument, row))
        return found

    def facts(self, before: datetime) -> list[Fact]:
        """List the facts of earlier slots from which the run's portfolio is folded."""
        return facts_before(self._connection, self._run, before)

    def requests(self, slot: datetime) -> tuple[Request, ...]:
        """List the operator's requests that the cycle of a slot applied, oldest first."""
        named = select(run_events.c.request_id).where(
            run_events.c.run == self._run, run_events.c.slot == slot
        )
        found = self._connection.execute(select(requests).where(requests.c.request_id.in_(named)))
        asked: list[Request] = [fact_from(Request, row) for row in found]
        return tuple(sorted(asked, key=lambda request: (request.asked_at, request.request_id)))

    def data_until(self, until: datetime) -> Iterator[Datum]:
        """Yield the data known by an instant."""
        return recorded_data(self._connection, until)

    def calls(self, until: datetime) -> list[ApiCall]:
        """List the calls answered by an instant, in the order of their answers."""
        answered = api_calls.c.answer_hash.is_not(None), api_calls.c.known_at <= until
        order = api_calls.c.known_at, api_calls.c.at, api_calls.c.request_id
        found = self._connection.execute(select(api_calls).where(*answered).order_by(*order))
        return [fact_from(ApiCall, row) for row in found]

    def answers(self, span: Window) -> Iterator[tuple[ApiCall, bytes | None]]:
        """Yield calls with the bodies of their answers, in the order of the answers.

        A body is None when it no longer has its hash.
        """
        asked = (
            select(api_calls, answers.c.body)
            .join(answers)
            .where(*_after(api_calls.c.known_at, span))
            .order_by(api_calls.c.known_at, api_calls.c.at, api_calls.c.request_id)
        )
        for row in self._connection.execute(asked).all():
            yield fact_from(ApiCall, row), _check_body(row.body, row.answer_hash)

    def tape_rows(self, span: Window) -> Known:
        """Group the tape's rows by known_at; a span excludes its start and includes its end."""
        found: Known = {}
        for table in _TAPE:
            for row in self._connection.execute(
                select(table).where(*_after(table.c.known_at, span))
            ):
                found.setdefault(row.known_at, []).append((table, portable_row(table, row)))
        return found

    def cycle_difference(self, record: CycleRecord) -> RowDifference | None:
        """Compare a cycle that was derived again with the stored one: its facts, then its row.

        Returns the first difference, or None. Compare the cycles in order: each one extends the
        chain.
        """
        (made,) = rows_of([record.facts])
        if not self._is_stored(record.cycle, made):
            found = _first(rows_of_slot(self._connection, self._run, record.cycle.slot), made)
            if found is not None:
                return found
        described = contents(made)
        unlinked = cycle_row(record.cycle, described, self._link, "")
        self._link = link(self._link, unlinked, described)
        key = and_(cycles.c.run == self._run, cycles.c.slot == record.cycle.slot)
        stored = self._connection.execute(select(cycles).where(key)).one()
        return _first_difference(cycles, portable_row(cycles, stored), (*unlinked[:-1], self._link))

    @property
    def link(self) -> str:
        """The hash of the last cycle that was compared, computed from what was derived."""
        return self._link

    def _is_stored(self, cycle: Cycle, made: Rows) -> bool:
        """Check by digests whether a cycle's stored rows equal the derived ones."""
        if not self._digests:
            self._digests = {
                table: digests(self._connection, table, self._run) for table in FACT_ORDER
            }
        slot = utc_text(cycle.slot)
        return all(
            found.get(slot) == (digest(table, rows) if (rows := made.get(table)) else None)
            for table, found in self._digests.items()
        )


@contextmanager
def open_recorded(url: str) -> Iterator[Connection]:
    """Open a ledger in one transaction, whose snapshot a daemon that writes does not change."""
    with ledger_engine(url, read_only=True) as engine, begin(engine) as connection:
        if connection.dialect.name == POSTGRESQL:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield connection


def live_runs(connection: Connection) -> list[Run]:
    """List the live runs of a ledger; only a replay has an identity."""
    asked = select(runs).where(runs.c.identity.is_(None)).order_by(runs.c.name)
    return [fact_from(Run, row) for row in connection.execute(asked)]


def data_difference(data: Iterable[Datum], stored: Known) -> RowDifference | None:
    """Compare data read again from answers with the rows recorded of it; None when equal."""
    made = datum_rows(data)
    held: Rows = {}
    for table, row in chain.from_iterable(stored.values()):
        held.setdefault(table, []).append(row)
    # A decision that takes a missing grade from an older row stores the pair as a row of its own,
    # which no answer holds. A process that began with that row may record an answer that another
    # process takes for a repeat. So grades are compared only where both sides have the row.
    both = {key_of(grades, row) for row in held.get(grades, ())} & {
        key_of(grades, row) for row in made.get(grades, ())
    }
    for rows in (held, made):
        rows[grades] = [row for row in rows.get(grades, ()) if key_of(grades, row) in both]
    # Releases before schema 0005 recorded no volume: the volume of their bars is not compared.
    without = {key_of(prints, row) for row in held.get(prints, ()) if row[-1] is None}
    made[prints] = [
        (*row[:-1], None) if key_of(prints, row) in without else row for row in made.get(prints, ())
    ]
    return _first(held, made)


def _check_body(body: bytes, answer_hash: str) -> bytes | None:
    try:
        plain = zlib.decompress(body)
    except zlib.error:
        return None
    return plain if hashlib.sha256(plain).hexdigest() == answer_hash else None


def _bounds(column: ColumnElement[Any], window: Window) -> list[ColumnElement[bool]]:
    start, end = window
    return [*([column >= start] if start else []), *([column <= end] if end else [])]


def _after(column: ColumnElement[Any], span: Window) -> list[ColumnElement[bool]]:
    start, end = span
    return [*([column > start] if start else []), *([column <= end] if end else [])]


def _first(stored: Rows, derived: Rows) -> RowDifference | None:
    """Find the difference that happened first: by its place in the cycle, then by table and key."""
    found = []
    for place, table in enumerate((*FACT_ORDER, *_TAPE)):
        held = {key_of(table, row): row for row in stored.get(table, ())}
        made = {key_of(table, row): row for row in derived.get(table, ())}
        for key in held.keys() | made.keys():
            ours, theirs = made.get(key), held.get(key)
            if ours != theirs:
                happened = [_seq(table, row) for row in (ours, theirs) if row is not None]
                found.append((min(happened), place, str(key), table, theirs, ours))
    if not found:
        return None
    *_, table, theirs, ours = min(found, key=lambda one: one[:3])
    return _first_difference(table, theirs, ours)


@cache
def _columns(table: Table) -> tuple[str, ...]:
    """List the columns to compare: `seq` last, as it also differs when another fact is missing."""
    names = [column.name for column in table.columns if column.name not in {*_WALL_CLOCK, "seq"}]
    return (*names, "seq") if "seq" in table.columns else tuple(names)


def _first_difference(
    table: Table, stored: PortableRow | None, derived: PortableRow | None
) -> RowDifference | None:
    """Find the first column in which two rows of one key differ; None when they are equal."""
    key = " ".join(str(part) for part in key_of(table, stored or derived or ()))
    if stored is None or derived is None:
        there, made = (None if row is None else "there" for row in (stored, derived))
        return RowDifference(table.name, key, None, there, made)
    theirs, ours = _by_name(table, stored), _by_name(table, derived)
    for name in _columns(table):
        if theirs[name] != ours[name]:
            return RowDifference(table.name, key, name, theirs[name], ours[name])
    return None


def _by_name(table: Table, row: Sequence[Portable]) -> Mapping[str, Portable]:
    return dict(zip(table.columns.keys(), row, strict=True))


def _seq(table: Table, row: PortableRow) -> int:
    """Read the place of a row in its cycle; postings, which have none, come after all facts."""
    return int(str(_by_name(table, row)["seq"])) if "seq" in table.columns else sys.maxsize
