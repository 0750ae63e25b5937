"""The tape: raw answers, stored before they are interpreted, and the data read from them.

Recording something again changes nothing: of two records of a datum the first stays.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from bot.adapters.sql.engine import begin
from bot.adapters.sql.mapping import DATUM_TABLES, Rows, datum_rows, fact_from, portable_row
from bot.adapters.sql.schema.tape_tables import answers, api_calls, level_sets, levels, prints
from bot.adapters.sql.writes import insert_rows
from bot.domain.market import Bar, Level, LevelSet
from bot.domain.tape import ApiCall, Datum, TokenPrint

_LEVEL_KEY = ("token_id", "published_at", "known_at")


_LEVELS = select(levels).order_by(*(levels.c[name] for name in _LEVEL_KEY), levels.c.number)


class SqlTape:
    """A tape in the ledger's database; each recording is one short transaction."""

    def __init__(self, engine: Engine) -> None:
        """Record and read through an engine."""
        self._engine = engine

    def answer(self, call: ApiCall, body: bytes | None) -> None:
        """Record a request and the body of its answer; equal bodies are stored once."""
        recorded: Rows = {
            api_calls: [
                portable_row(api_calls, [getattr(call, field.name) for field in fields(ApiCall)])
            ]
        }
        if body is not None:
            recorded[answers] = [(call.answer_hash, zlib.compress(body), len(body))]
        with begin(self._engine) as connection:
            insert_rows(connection, recorded, repeatable=True)

    def rows(self, data: Iterable[Datum]) -> None:
        """Record data in one transaction."""
        recorded = datum_rows(data)
        with begin(self._engine) as connection:
            insert_rows(connection, recorded, repeatable=True)

    def body(self, answer_hash: str) -> bytes | None:
        """Read the body of an answer; None when it was not recorded."""
        with begin(self._engine) as connection:
            found = connection.execute(
                select(answers.c.body).where(answers.c.answer_hash == answer_hash)
            ).scalar()
        return None if found is None else zlib.decompress(found)

    def load(self) -> Iterator[Datum]:
        """Yield all recorded data, each kind in the order in which it became known."""
        with begin(self._engine) as connection:
            yield from recorded_data(connection)


def recorded_data(connection: Connection, until: datetime | None = None) -> Iterator[Datum]:
    """Yield recorded data, each kind in the order in which it became known.

    until: yield only what was known by this instant; None for all data.
    """
    for kind, table in DATUM_TABLES.items():
        asked = select(table).order_by(table.c.known_at, *table.primary_key.columns)
        found = connection.execute(
            asked if until is None else asked.where(table.c.known_at <= until)
        ).all()
        legs = _levels(connection.execute(_LEVELS).all()) if table is level_sets else {}
        for row in found:
            if table is level_sets:
                yield fact_from(LevelSet, row, levels=legs.get(_level_key(row), ()))
            elif table is prints:
                bar = Bar(
                    row.opened_at, row.closed_at, row.open, row.high, row.low, row.close, row.volume
                )
                yield fact_from(TokenPrint, row, bar=bar)
            else:
                yield fact_from(kind, row)


def _level_key(row: Row[Any]) -> tuple[object, ...]:
    return (row.token_id, row.published_at, row.known_at)


def _levels(found: Iterable[Row[Any]]) -> dict[tuple[object, ...], tuple[Level, ...]]:
    return {
        key: tuple(Level(row.price, row.strength) for row in rows)
        for key, rows in groupby(found, key=_level_key)
    }
