"""The tape: raw answers, stored before they are interpreted, and the data read from them.

Recording something again changes nothing: of two records of a datum the first stays.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection, Engine, select

from bot.adapters.sql.engine import begin
from bot.adapters.sql.mapping import (
    DATUM_TABLES,
    PortableRow,
    Rows,
    datum_rows,
    fact_from,
    portable_row,
    row_of,
)
from bot.adapters.sql.schema.column_types import ALWAYS
from bot.adapters.sql.schema.tape_tables import (
    answers,
    api_attempts,
    api_calls,
    holes,
    levels,
    pauses,
    refusals,
)
from bot.adapters.sql.writes import insert_rows
from bot.domain.ids import TokenId
from bot.domain.market import Bar, Level, LevelSet
from bot.domain.tape import ApiAttempt, ApiCall, Datum, Hole, Pause, Refusal, TokenPrint

_set_of = attrgetter("token_id", "published_at", "known_at")


class SqlTape:
    """A tape in the ledger's database; each recording is one short transaction."""

    def __init__(self, engine: Engine) -> None:
        """Record and read through an engine."""
        self._engine = engine

    def answer(
        self, call: ApiCall, body: bytes | None, attempts: Sequence[ApiAttempt] = ()
    ) -> None:
        """Record a request, its attempts and its body; equal bodies are stored once."""
        recorded: Rows = {
            api_calls: [row_of(api_calls, call)],
            api_attempts: [row_of(api_attempts, one) for one in attempts],
        }
        if body is not None:
            recorded[answers] = [(call.answer_hash, zlib.compress(body), len(body))]
        with begin(self._engine) as connection:
            insert_rows(connection, recorded, repeatable=True)

    def refuse(self, request_id: str, named: Sequence[Refusal]) -> None:
        """Record what of an answer could not be read, in one transaction."""
        rows = [
            portable_row(refusals, [request_id, number, *one]) for number, one in enumerate(named)
        ]
        with begin(self._engine) as connection:
            insert_rows(connection, {refusals: rows}, repeatable=True)

    def note(self, changes: Sequence[Hole | Pause]) -> None:
        """Record how holes stand, and that a host wants to be left alone, in one transaction."""
        rows: Rows = {
            holes: [_hole_row(one) for one in changes if isinstance(one, Hole)],
            pauses: [row_of(pauses, one) for one in changes if isinstance(one, Pause)],
        }
        with begin(self._engine) as connection:
            insert_rows(connection, rows, repeatable=True)

    def rows(self, data: Iterable[Datum]) -> None:
        """Record data in one transaction."""
        with begin(self._engine) as connection:
            insert_rows(connection, datum_rows(data), repeatable=True)

    def load(self) -> Iterator[Datum]:
        """Yield all recorded data, each kind in the order in which it became known."""
        with begin(self._engine) as connection:
            yield from recorded_data(connection)

    def load_holes(self) -> list[Hole]:
        """List every recorded state of a hole, in order of time."""
        with begin(self._engine) as connection:
            return read_holes(connection)

    def load_pauses(self) -> list[Pause]:
        """List when hosts asked to be left alone."""
        with begin(self._engine) as connection:
            return [fact_from(Pause, row) for row in connection.execute(select(pauses))]

    def calls_since(self, at: datetime) -> list[datetime]:
        """List when requests were sent from an instant on, one for each attempt."""
        asked = select(api_calls.c.at, api_calls.c.attempts).where(api_calls.c.at >= at)
        with begin(self._engine) as connection:
            return [row.at for row in connection.execute(asked) for _ in range(row.attempts)]


def read_holes(connection: Connection, until: datetime = ALWAYS[1]) -> list[Hole]:
    """List the states of holes known by an instant, in order of time."""
    asked = select(holes).where(holes.c.known_at <= until)
    rows = connection.execute(asked.order_by(holes.c.known_at, *holes.primary_key.columns))
    return [
        fact_from(Hole, row, tokens=tuple(TokenId(int(one)) for one in row.tokens.split(",")))
        for row in rows
    ]


def _hole_row(hole: Hole) -> PortableRow:
    values = {column.name: getattr(hole, column.name) for column in holes.columns}
    return portable_row(holes, {**values, "tokens": ",".join(map(str, hole.tokens))}.values())


def recorded_data(connection: Connection, until: datetime = ALWAYS[1]) -> Iterator[Datum]:
    """Yield the data known by an instant, each kind in the order in which it became known."""
    for kind, table in DATUM_TABLES.items():
        asked = select(table).where(table.c.known_at <= until)
        rows = connection.execute(asked.order_by(table.c.known_at, *table.primary_key.columns)).all()
        legs = _levels(connection) if kind is LevelSet else {}
        for row in rows:
            if kind is LevelSet:
                yield fact_from(kind, row, levels=legs.get(_set_of(row), ()))
            elif kind is TokenPrint:
                bar = Bar(*(getattr(row, name) for name in Bar._fields))
                yield fact_from(kind, row, bar=bar)
            else:
                yield fact_from(kind, row)


def _levels(connection: Connection) -> dict[tuple[object, ...], tuple[Level, ...]]:
    found = connection.execute(select(levels).order_by(*levels.primary_key.columns))
    return {
        key: tuple(Level(row.price, row.strength) for row in rows) for key, rows in groupby(found, key=_set_of)
    }
