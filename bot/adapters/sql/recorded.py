"""What a ledger recorded of its live runs: answers, data, requests, cycles, in one snapshot.

What is derived from them again is compared here, row by row, in the form that the chain covers.
"""

import hashlib
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import chain, groupby
from operator import attrgetter, itemgetter

from sqlalchemy import ColumnElement, Connection, Table, and_, select

from bot.adapters.sql.chain import GENESIS, contents, link_cycle, read_digests, read_rows
from bot.adapters.sql.engine import begin, ledger_engine
from bot.adapters.sql.facts import SETTLED, find_requests, last_settled, portfolio_facts
from bot.adapters.sql.mapping import (
    DATUM_TABLES,
    FACT_ORDER,
    PortableRow,
    RowDifference,
    Rows,
    datum_rows,
    fact_from,
    first_difference,
    key_of,
    portable_row,
    rows_of,
)
from bot.adapters.sql.schema.column_types import ALWAYS, POSTGRESQL, utc_text
from bot.adapters.sql.schema.fact_tables import run_events
from bot.adapters.sql.schema.tables import config_versions, cycles, instruments, requests
from bot.adapters.sql.schema.tape_tables import answers, api_calls, grades, levels, prints
from bot.adapters.sql.tape import read_holes, recorded_data
from bot.domain.decisions import Fact
from bot.domain.events import Request
from bot.domain.ids import RunName, canonical
from bot.domain.instruments import Instrument
from bot.domain.record import Cycle, CycleRecord
from bot.domain.tape import ApiCall, Datum, Hole

_TAPE = (*DATUM_TABLES.values(), levels)
_CALLS_IN_ORDER = (api_calls.c.known_at, api_calls.c.at, api_calls.c.request_id)

Window = tuple[datetime | None, datetime | None]
Known = dict[datetime, list[tuple[Table, PortableRow]]]


class Recorded:
    """One run as it was recorded, read through a connection whose snapshot does not change.

    link: the hash of the last cycle that was compared, computed from what was derived.
    """

    def __init__(self, connection: Connection, run: RunName) -> None:
        """Read through a connection."""
        self.link = GENESIS
        self._connection = connection
        self._run = run
        self._digests: dict[str, dict[str, list[int | str]]] = {}

    def cycles(self, window: Window) -> list[Cycle]:
        """List the cycles of a window in order; restart the chain of hashes before the first.

        The list begins with the slots missed before the first settled cycle, and ends with the last
        settled cycle.
        """
        before = self.last_settled(window[0] or ALWAYS[0])
        span = before.slot if before else None, window[1]
        here = cycles.c.run == self._run, _is_within(cycles.c.slot, span)
        rows = [*self._connection.execute(select(cycles).where(*here).order_by(cycles.c.slot))]
        while rows and rows[-1].state not in SETTLED:
            rows.pop()
        if rows:
            self.link = rows[0].previous_hash
        return [fact_from(Cycle, row) for row in rows]

    def last_settled(self, slot: datetime) -> Cycle | None:
        """Find the last cycle before a slot that settled something."""
        return last_settled(self._connection, self._run, slot)

    def config(self, config_hash: str) -> str | None:
        """Read a stored configuration; None when its text no longer has its hash."""
        asked = select(config_versions.c.text).where(config_versions.c.config_hash == config_hash)
        text = str(self._connection.execute(asked).scalar())
        return text if hashlib.sha256(text.encode()).hexdigest() == config_hash else None

    def instruments(self) -> dict[str, tuple[Instrument, ...]]:
        """Read the instruments of every run of the ledger."""
        asked = select(instruments).order_by(instruments.c.run, instruments.c.token_id)
        return {
            run: tuple(fact_from(Instrument, row) for row in rows)
            for run, rows in groupby(self._connection.execute(asked), key=attrgetter("run"))
        }

    def facts(self, before: datetime) -> list[Fact]:
        """List the facts of earlier slots from which the run's portfolio is folded."""
        return portfolio_facts(self._connection, self._run, before)

    def requests(self, slot: datetime) -> tuple[Request, ...]:
        """List the operator's requests that the cycle of a slot applied, oldest first."""
        here = run_events.c.run == self._run, run_events.c.slot == slot
        named = select(run_events.c.request_id).where(*here)
        return find_requests(self._connection, requests.c.request_id.in_(named))

    def data_until(self, until: datetime) -> Iterator[Datum]:
        """Yield the data known by an instant."""
        return recorded_data(self._connection, until)

    def holes(self) -> list[Hole]:
        """List every recorded state of a hole, in order of time."""
        return read_holes(self._connection)

    def calls(self, until: datetime) -> list[ApiCall]:
        """List the calls answered by an instant, in the order of their answers."""
        answered = api_calls.c.answer_hash.is_not(None), api_calls.c.known_at <= until
        asked = select(api_calls).where(*answered).order_by(*_CALLS_IN_ORDER)
        return [fact_from(ApiCall, row) for row in self._connection.execute(asked)]

    def answers(self, span: Window) -> Iterator[tuple[ApiCall, bytes | None]]:
        """Yield calls with the bodies of their answers, in the order of the answers.

        A body is None when it no longer has its hash.
        """
        asked = select(api_calls, answers.c.body).join(answers).order_by(*_CALLS_IN_ORDER)
        within = asked.where(_is_within(api_calls.c.known_at, span))
        for row in self._connection.execute(within).all():
            yield fact_from(ApiCall, row), _check_body(row.body, row.answer_hash)

    def tape_rows(self, span: Window) -> Known:
        """Group the tape's rows by known_at; a span excludes its start and includes its end."""
        found: Known = defaultdict(list)
        for table in _TAPE:
            asked = select(table).where(_is_within(table.c.known_at, span))
            for row in self._connection.execute(asked):
                found[row.known_at].append((table, portable_row(table, row)))
        return found

    def cycle_difference(self, record: CycleRecord) -> RowDifference | None:
        """Compare a cycle that was derived again with the stored one: its facts, then its row.

        Returns the first difference, or None. Compare the cycles in order: each one extends the
        chain.
        """
        (made,), slot = rows_of([record.facts]), record.cycle.slot
        self._digests = self._digests or read_digests(self._connection, self._run)
        # The digests of all slots are read at once: to read each slot's rows takes much longer.
        if canonical(self._digests.get(utc_text(slot), {})) != contents(made):
            found = _first(read_rows(self._connection, self._run, slot), made)
            if found is not None:
                return found
        here = cycles.c.run == self._run, cycles.c.slot == slot
        stored = self._connection.execute(select(cycles).where(*here)).one()
        # Wall-clock times are not compared.
        times = {"started_at": stored.started_at, "finished_at": stored.finished_at}
        row = link_cycle(replace(record.cycle, **times), made, self.link)
        self.link = str(row[-1])
        return first_difference(cycles, portable_row(cycles, stored), row)


@contextmanager
def open_recorded(url: str) -> Iterator[Connection]:
    """Open a ledger in one transaction, whose snapshot a daemon that writes does not change."""
    with ledger_engine(url, read_only=True) as engine, begin(engine) as connection:
        if connection.dialect.name == POSTGRESQL:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield connection


def data_difference(data: Iterable[Datum], stored: Known) -> RowDifference | None:
    """Compare data read again from answers with the rows recorded of it; None when equal."""
    made, held = datum_rows(data), defaultdict[Table, list[PortableRow]](list)
    for table, row in chain.from_iterable(stored.values()):
        held[table].append(row)
    # A decision that takes a missing grade from an older row stores the pair as a row of its own,
    # which no answer holds. A process that began with that row may record an answer that another
    # process takes for a repeat. So grades are compared only where both sides have the row.
    both = {key_of(grades, row) for row in held[grades]} & {key_of(grades, row) for row in made.get(grades, ())}
    for rows in (held, made):
        rows[grades] = [row for row in rows.get(grades, ()) if key_of(grades, row) in both]
    # Releases before schema 0005 recorded no volume: the volume of their bars is not compared.
    without = {key_of(prints, row) for row in held[prints] if row[-1] is None}
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


def _is_within(column: ColumnElement[datetime], span: Window) -> ColumnElement[bool]:
    start, end = (given or edge for given, edge in zip(span, ALWAYS, strict=True))
    return and_(column > start, column <= end)


def _first(stored: Rows, derived: Rows) -> RowDifference | None:
    """Find the difference that happened first: by its place in the cycle, then by table and key."""
    found = []
    for place, table in enumerate((*FACT_ORDER, *_TAPE)):
        held, made = ({key_of(table, row): row for row in rows.get(table, ())} for rows in (stored, derived))
        for key in held.keys() | made.keys():
            theirs, ours = held.get(key), made.get(key)
            if theirs != ours:
                # Postings, which have no `seq` of their own, come after all facts.
                seqs = [int(str(row[0])) for row in (theirs, ours) if row and "seq" in table.columns]
                found.append((min(seqs, default=sys.maxsize), place, str(key), table, theirs, ours))
    if not found:
        return None
    *_, table, theirs, ours = min(found, key=itemgetter(0, 1, 2))
    return first_difference(table, theirs, ours)
