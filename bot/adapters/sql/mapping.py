"""Convert facts to rows and back; a literal mapping gives the table of each type of value.

A row is the tuple of portable forms in the order of its table's columns. The values that are stored
are the values that the hash chain covers.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Row as ResultRow
from sqlalchemy import Table

from bot.adapters.sql.schema import fact_tables, tape_tables
from bot.adapters.sql.schema.column_types import Portable
from bot.domain.books import JournalEntry
from bot.domain.decisions import BenchmarkPart, Candidate, CandidateLevel, EquityMark, Fact, Verdict
from bot.domain.events import RunEvent
from bot.domain.market import Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.orders import Fill, Order, OrderEvent
from bot.domain.positions import Closing, Mark, Position, StopMove
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


class RowDifference(NamedTuple):
    """The first difference between two rows.

    column: None when one side has no such row; the value of that side is then None.
    """

    table: str
    key: str
    column: str | None
    stored: Portable
    derived: Portable


@cache
def _converters(table: Table) -> tuple[Callable[[Any], Portable] | None, ...]:
    return tuple(getattr(column.type, "portable", None) for column in table.columns)


def row_of(table: Table, value: object) -> PortableRow:
    """Convert a value to a row of a table whose columns have the names of its fields."""
    return portable_row(table, _reader(table)(value))


def portable_row(table: Table, values: Iterable[Any]) -> PortableRow:
    """Convert a row's values, given in the order of its table's columns, to portable forms."""
    # A list is faster than a generator, and a replay writes many rows.
    return tuple(
        [
            value if convert is None or value is None else convert(value)
            for convert, value in zip(_converters(table), values, strict=True)
        ]
    )


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


def rows_of(cycles: Sequence[Iterable[Fact]]) -> list[Rows]:
    """Convert the facts of each cycle to rows; a journal entry also gives its postings.

    The rows of all cycles are converted together, which is faster than cycle by cycle.
    """
    found: dict[Table, list[tuple[object, ...]]] = defaultdict(list)
    places: dict[Table, list[int]] = defaultdict(list)
    for place, facts in enumerate(cycles):
        for seq, fact in enumerate(facts):
            table = FACT_TABLES[type(fact)]
            places[table].append(place)
            found[table].append((seq, *_reader(table)(fact)))
            if isinstance(fact, JournalEntry):
                places[fact_tables.postings].extend([place] * len(fact.postings))
                legs = ((number, fact.entry_id, *posting) for number, posting in enumerate(fact.postings))
                found[fact_tables.postings].extend(legs)
    rows: list[Rows] = [defaultdict(list) for _ in cycles]
    for table, made in _portable_rows(found).items():
        for place, row in zip(places[table], made, strict=True):
            rows[place][table].append(row)
    return rows


def datum_rows(data: Iterable[Datum]) -> Rows:
    """Convert recorded data to rows; a set of levels also gives a row for each level."""
    found: dict[Table, list[tuple[object, ...]]] = defaultdict(list)
    for datum in data:
        table = DATUM_TABLES[type(datum)]
        values: tuple[object, ...]
        if isinstance(datum, TokenPrint):
            values = datum.token_id, datum.timeframe, datum.known_at, *datum.bar
        else:
            values = _reader(table)(datum)
        found[table].append(values)
        if isinstance(datum, LevelSet):
            key = datum.token_id, datum.published_at, datum.known_at
            found[tape_tables.levels].extend(
                (*key, number, one.price, one.strength) for number, one in enumerate(datum.levels)
            )
    return _portable_rows(found)


def _portable_rows(found: Mapping[Table, Sequence[Sequence[Any]]]) -> Rows:
    """Convert the rows of each table as `portable_row` does, but column by column, which is faster."""
    rows: Rows = {}
    for table, held in found.items():
        if not held:  # as the levels are where every set is empty
            continue
        columns = (
            column if convert is None else [None if value is None else convert(value) for value in column]
            for convert, column in zip(_converters(table), zip(*held, strict=True), strict=True)
        )
        rows[table] = list(zip(*columns, strict=True))
    return rows


def fact_from(kind: type[Any], row: ResultRow[Any], **more: object) -> Any:
    """Build a fact from a row; `more` holds the fields that other tables hold."""
    mapping = row._mapping  # noqa: SLF001 - SQLAlchemy's public name
    held = {field.name: mapping[field.name] for field in fields(kind) if field.name not in more}
    return kind(**held, **more)


def first_difference(
    table: Table, stored: PortableRow | None, derived: PortableRow | None
) -> RowDifference | None:
    """Find the first column in which two rows of one key differ; None when they are equal."""
    key = " ".join(str(part) for part in key_of(table, stored or derived or ()))
    if stored is None or derived is None:
        there, made = (None if row is None else "there" for row in (stored, derived))
        return RowDifference(table.name, key, None, there, made)
    compared = zip(table.columns.keys(), stored, derived, strict=True)
    differing = [(name, theirs, ours) for name, theirs, ours in compared if theirs != ours]
    # `seq` comes last, as it also differs when another fact is missing.
    differing.sort(key=lambda one: one[0] == "seq")
    return RowDifference(table.name, key, *differing[0]) if differing else None
