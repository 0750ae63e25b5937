"""The tape: raw answers, stored before they are interpreted, and the data read from them.

Recording something again changes nothing: of two records of a datum the first stays.
"""

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection, Engine, select

from bot.adapters.sql.engine import begin
from bot.adapters.sql.mapping import DATUM_TABLES, Rows, datum_rows, fact_from, row_of
from bot.adapters.sql.schema.column_types import ALWAYS
from bot.adapters.sql.schema.tape_tables import answers, api_calls, levels
from bot.adapters.sql.writes import insert_rows
from bot.domain.market import Bar, Level, LevelSet
from bot.domain.tape import ApiCall, Datum, TokenPrint

_set_of = attrgetter("token_id", "published_at", "known_at")


class SqlTape:
    """A tape in the ledger's database; each recording is one short transaction."""

    def __init__(self, engine: Engine) -> None:
        """Record and read through an engine."""
        self._engine = engine

    def answer(self, call: ApiCall, body: bytes | None) -> None:
        """Record a request and the body of its answer; equal bodies are stored once."""
        recorded: Rows = {api_calls: [row_of(api_calls, call)]}
        if body is not None:
            recorded[answers] = [(call.answer_hash, zlib.compress(body), len(body))]
        with begin(self._engine) as connection:
            insert_rows(connection, recorded, repeatable=True)

    def rows(self, data: Iterable[Datum]) -> None:
        """Record data in one transaction."""
        with begin(self._engine) as connection:
            insert_rows(connection, datum_rows(data), repeatable=True)

    def load(self) -> Iterator[Datum]:
        """Yield all recorded data, each kind in the order in which it became known."""
        with begin(self._engine) as connection:
            yield from recorded_data(connection)


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
