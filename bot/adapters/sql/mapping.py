"""Convert facts to rows and back; a literal mapping gives the table of each type of value.

A row is the tuple of portable forms in the order of its table's columns. The values that are stored
are the values that the hash chain covers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import Any, cast

from sqlalchemy import Row as ResultRow
from sqlalchemy import Table

from bot.adapters.sql.schema import fact_tables, tape_tables
from bot.adapters.sql.schema.column_types import Portable
from bot.adapters.sql.schema.tables import cycles
from bot.domain.books import Account, JournalEntry, Posting
from bot.domain.decisions import BenchmarkPart, Candidate, CandidateLevel, EquityMark, Fact, Verdict
from bot.domain.events import RunEvent
from bot.domain.market import Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.orders import Fill, Order, OrderEvent
from bot.domain.positions import Closing, Mark, Position, StopMove
from bot.domain.record import Cycle
from bot.domain.signals import Signal
from bot.domain.tape import Datum, TokenPrint

PortableRow = tuple[Portable, ...]
Rows = dict[Table, list[PortableRow]]

FACT_TABLES: Mapping[type[Fact], Table] = {
    Candidate: fact_tables.candidates,
    Verdict: fact_tables.verdicts,
    CandidateLevel: fact_tables.candidate_levels,
    Order: fact_tables.orders,
    OrderEvent: fact_tables.order_events,
    Position: fact_tables.positions,
    Fill: fact_tables.fills,
    StopMove: fact_tables.stop_moves,
    Mark: fact_tables.marks,
    Closing: fact_tables.closings,
    JournalEntry: fact_tables.journal_entries,
    BenchmarkPart: fact_tables.benchmark_parts,
    EquityMark: fact_tables.equity,
    RunEvent: fact_tables.run_events,
}

DATUM_TABLES: Mapping[type[Datum], Table] = {
    Signal: tape_tables.signals,
    LevelSet: tape_tables.level_sets,
    QuantMetrics: tape_tables.quantmetrics,
    Grades: tape_tables.grades,
    MarketSize: tape_tables.markets,
    TokenPrint: tape_tables.prints,
}

# Parents before children: of two differences at one place of a cycle, the parent's counts as first.
FACT_ORDER: tuple[Table, ...] = (*FACT_TABLES.values(), fact_tables.postings)

_OUTSIDE_THE_CHAIN = frozenset({"started_at", "finished_at", "contents", "previous_hash", "hash"})


@cache
def _converters(table: Table) -> tuple[Callable[[Any], Portable] | None, ...]:
    return tuple(getattr(column.type, "portable", None) for column in table.columns)


def portable_row(table: Table, values: Iterable[object]) -> PortableRow:
    """Convert a row's values, given in the order of its table's columns, to portable forms."""
    return tuple(
        cast("Portable", value) if convert is None or value is None else convert(value)
        for convert, value in zip(_converters(table), values, strict=True)
    )


def portable_rows(table: Table, rows: Iterable[Sequence[object]]) -> list[PortableRow]:
    """Convert many rows to portable forms; faster than one by one, with the same result."""
    return _portable_columns(table, zip(*rows, strict=True))


def _portable_columns(table: Table, columns: Iterable[Iterable[Any]]) -> list[PortableRow]:
    """Convert the values of whole columns to portable forms, and build rows from them."""
    converted = (
        column
        if convert is None
        else [None if value is None else convert(value) for value in column]
        for convert, column in zip(_converters(table), columns, strict=True)
    )
    return list(zip(*converted, strict=True))


@cache
def _reader(table: Table) -> Callable[[object], tuple[object, ...]]:
    return attrgetter(*(column.name for column in table.columns if column.name != "seq"))


@cache
def _key_reader(table: Table) -> Callable[[Sequence[Portable]], Any]:
    names = table.columns.keys()
    return itemgetter(*(names.index(column.name) for column in table.primary_key.columns))


def key_of(table: Table, row: Sequence[Portable]) -> tuple[Portable, ...]:
    """Extract a row's primary key."""
    key = _key_reader(table)(row)
    return key if isinstance(key, tuple) else (key,)


def in_key_order(table: Table, rows: Iterable[PortableRow]) -> list[PortableRow]:
    """Sort rows by primary key in Python, as the collations of the databases differ."""
    return sorted(rows, key=_key_reader(table))


def rows_of(told: Sequence[Sequence[Fact]]) -> list[Rows]:
    """Convert the facts of several cycles to rows, cycle by cycle.

    A journal entry also gives its postings.
    """
    # All facts of a kind are converted together, which is fast. For each cycle, `ends` holds how
    # many facts of each kind there are up to its end, so that the rows can be told apart again.
    kinds: dict[type[Fact], tuple[list[int], list[Fact]]] = {kind: ([], []) for kind in FACT_TABLES}
    ends: list[list[int]] = []
    for facts in told:
        for seq, fact in enumerate(facts):
            seqs, held = kinds[type(fact)]
            seqs.append(seq)
            held.append(fact)
        ends.append([len(held) for _, held in kinds.values()])
    found: list[Rows] = [{} for _ in told]
    for number, (kind, (seqs, held)) in enumerate(kinds.items()):
        table = FACT_TABLES[kind]
        columns = (
            map(attrgetter(column.name), held) for column in table.columns if column.name != "seq"
        )
        made = _portable_columns(table, (seqs, *columns))
        for of_cycle, (begin, end) in zip(
            found, pairwise([0, *(marks[number] for marks in ends)]), strict=True
        ):
            if end > begin:
                of_cycle[table] = made[begin:end]
                if kind is JournalEntry:
                    of_cycle[fact_tables.postings] = portable_rows(
                        fact_tables.postings, _legs(held[begin:end])
                    )
    return found


def _legs(entries: Iterable[Any]) -> Iterator[tuple[object, ...]]:
    for entry in entries:
        for number, leg in enumerate(entry.postings):
            yield number, entry.entry_id, *leg


def cycle_row(cycle: Cycle, contents: str, previous_hash: str, link: str) -> PortableRow:
    """Build the row of a cycle with its contents, the previous hash and its own hash."""
    values = [getattr(cycle, field.name) for field in fields(Cycle)]
    return portable_row(cycles, (*values, contents, previous_hash, link))


def chained_part(row: Sequence[Portable]) -> list[Portable]:
    """Select the values of a cycle's row that the chain covers: not its wall-clock times."""
    return [
        value
        for column, value in zip(cycles.columns.keys(), row, strict=True)
        if column not in _OUTSIDE_THE_CHAIN
    ]


def datum_rows(data: Iterable[Datum]) -> Rows:
    """Convert recorded data to rows; a set of levels also gives a row for each level."""
    values: dict[Table, list[tuple[object, ...]]] = {}
    for datum in data:
        table = DATUM_TABLES[type(datum)]
        if isinstance(datum, TokenPrint):
            row: tuple[object, ...] = (datum.token_id, datum.timeframe, datum.known_at, *datum.bar)
        else:
            row = _reader(table)(datum)
        values.setdefault(table, []).append(row)
        if isinstance(datum, LevelSet):
            naming = (datum.token_id, datum.published_at, datum.known_at)
            levels = values.setdefault(tape_tables.levels, [])
            levels.extend(
                (*naming, number, level.price, level.strength)
                for number, level in enumerate(datum.levels)
            )
    return {table: portable_rows(table, held) for table, held in values.items()}


def fact_from(kind: type[Any], row: ResultRow[Any], **more: object) -> Any:
    """Build a fact from a row; `more` holds the fields that other tables hold."""
    mapping = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    held = {field.name: mapping[field.name] for field in fields(kind) if field.name not in more}
    return kind(**held, **more)


def posting_from(row: ResultRow[Any]) -> Posting:
    """Build a posting from a row."""
    return Posting(Account(row.account), row.amount)
