"""Verify a ledger: its triggers and views, the books, the ids, order states and every hash.

Each finding is one line that names what is wrong; a sound ledger gives no line.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, Table, inspect, select

from bot.adapters.sql.chain import GENESIS, hash_of, read_digests
from bot.adapters.sql.checks import LEDGER_CHECK
from bot.adapters.sql.engine import begin, ledger_engine
from bot.adapters.sql.mapping import FACT_ORDER, portable_row
from bot.adapters.sql.schema.column_types import POSTGRESQL, metadata, utc_text
from bot.adapters.sql.schema.fact_tables import (
    candidates,
    fills,
    journal_entries,
    order_events,
    orders,
    positions,
)
from bot.adapters.sql.schema.spelling import spell
from bot.adapters.sql.schema.tables import cycles, requests, runs
from bot.adapters.sql.schema.tape_tables import answers
from bot.adapters.sql.schema.triggers import trigger_texts
from bot.adapters.sql.views import VIEWS, view_text
from bot.domain import ids
from bot.domain.errors import InvariantError
from bot.domain.events import request_id_of
from bot.domain.ids import OrderId
from bot.domain.orders import OrderState, check_transition

_NAMED: Mapping[Table, Callable[[Row[Any]], str]] = MappingProxyType(
    {
        candidates: lambda row: ids.candidate_id(row.run, row.slot, row.signal_id),
        orders: lambda row: ids.order_id(row.run, row.signal_id, row.role.value, row.ordinal, row.part),
        positions: lambda row: ids.position_id(row.run, row.token_id, row.ordinal),
        fills: lambda row: ids.fill_id(row.order_id, 0),  # an order has one fill
        journal_entries: lambda row: ids.entry_id(row.run, row.cause),
        requests: lambda row: request_id_of(row.run, row.act, row.token_id, row.asked_at),
    }
)

# The triggers and views that exist, with their texts; PostgreSQL keeps no text as it was given.
_GUARDS_THERE: Mapping[str, str] = MappingProxyType(
    {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')",
        POSTGRESQL: "SELECT tgname, NULL FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'"
        " UNION ALL SELECT viewname, NULL FROM pg_views WHERE schemaname = current_schema()",
    }
)


def violations(url: str) -> list[str]:
    """List what is wrong with a ledger, one line for each finding.

    Raises ConfigError when the ledger is missing or has another schema.
    """
    with ledger_engine(url, read_only=True) as engine, begin(engine) as connection:
        there = inspect(connection).get_table_names()
        missing = [f"table {name} is missing" for name in metadata.tables if name not in there]
        checks = (_guards, _books, _ids, _life_cycles, _chains, _answers)
        return missing or [line for check in checks for line in check(connection)]


def _guards(connection: Connection) -> Iterator[str]:
    """Find triggers and views that are missing, disabled or changed."""
    dialect = connection.dialect.name
    found = connection.exec_driver_sql(_GUARDS_THERE[dialect])
    there = {str(name): text for name, text in found}
    views = {name: view_text(name, dialect) for name in VIEWS}
    for kind, wanted in (("trigger", trigger_texts(dialect)), ("view", views)):
        for name, text in wanted.items():
            if name not in there:
                yield f"{kind} {name} is missing"
            elif there[name] not in {None, text}:
                yield f"{kind} {name} is not the one this program made"


def _books(connection: Connection) -> Iterator[str]:
    for name, subject, detail in connection.exec_driver_sql(spell(LEDGER_CHECK, connection.dialect.name)):
        yield f"{name}: {subject}: {detail}"


def _ids(connection: Connection) -> Iterator[str]:
    """Derive every id again from the facts that it names."""
    for table, derive in _NAMED.items():
        (key,) = table.primary_key.columns.keys()
        for row in connection.execute(select(table).order_by(key)):
            stored = row._mapping[key]  # noqa: SLF001 - SQLAlchemy's public name
            if stored != derive(row):
                yield f"{table.name}: {stored} is not the id of what it names"


def _life_cycles(connection: Connection) -> Iterator[str]:
    """Check the changes of state of every order against the table of transitions."""
    asked = select(order_events).order_by(order_events.c.order_id, order_events.c.slot, order_events.c.seq)
    for order, rows in groupby(connection.execute(asked), key=lambda row: OrderId(row.order_id)):
        state: OrderState | None = None
        for row in rows:
            try:
                check_transition(order, state, row.state)
            except InvariantError as error:
                yield f"order_events: {error}"
            state = row.state


def _chains(connection: Connection) -> Iterator[str]:
    for run in connection.execute(select(runs.c.name).order_by(runs.c.name)).scalars().all():
        yield from _chain(connection, run)


def _chain(connection: Connection, run: str) -> Iterator[str]:
    """Check a run's chain: the rows of each cycle, its hash, and its link to the previous one."""
    stored, previous = read_digests(connection, run), GENESIS
    asked = select(cycles).where(cycles.c.run == run).order_by(cycles.c.slot)
    for cycle in connection.execute(asked).all():
        where = f"run {run} slot {utc_text(cycle.slot)}"
        described, now = json.loads(cycle.contents), stored[utc_text(cycle.slot)]
        for name in (table.name for table in FACT_ORDER):
            count, text = described.get(name, [0, None])
            count_now, text_now = now.get(name, [0, None])
            if count != count_now:
                yield f"{where}: {name} has {count_now} rows, {count} were committed"
            elif text != text_now:
                yield f"{where}: a row of {name} was changed"
        if cycle.previous_hash != previous:
            yield f"{where}: its link is not to the cycle before: one was removed or put in"
        if cycle.hash != hash_of(portable_row(cycles, cycle)):
            yield f"{where}: the row of cycles was changed"
        previous = cycle.hash


def _answers(connection: Connection) -> Iterator[str]:
    """Check the hash of every recorded answer."""
    for row in connection.execute(
        select(answers.c.answer_hash, answers.c.body).order_by(answers.c.answer_hash)
    ):
        try:
            body = zlib.decompress(row.body)
        except zlib.error:
            yield f"answers: the body of {row.answer_hash} cannot be read"
            continue
        if hashlib.sha256(body).hexdigest() != row.answer_hash:
            yield f"answers: the body of {row.answer_hash} was changed"
