"""Column types: what the ledger cannot hold exactly does not enter it."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from bot.adapters.sql.schema.column_types import EXACT_DECIMAL, enum_type, exact_text, metadata, utc_text, whole_micros
from bot.adapters.sql.schema.tables import runs
from bot.domain.errors import InvariantError
from bot.domain.numbers import EXACT, PRICE_STEP
from bot.domain.orders import Side

SQLITE: Dialect = sqlite.dialect()
POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity", "100000000000000000000"])
def test_an_exact_decimal_refuses_what_it_cannot_hold(text: str) -> None:
    """NaN, infinities and more than twenty digits before the point are errors, not other numbers."""
    with pytest.raises(InvariantError):
        exact_text(Decimal(text))


@pytest.mark.parametrize(
    ("given_text", "held"),
    [
        ("1.50", "1.5"),
        ("-0", "0"),
        ("1E+3", "1000"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
        ("0.0000000000000000005", "0"),
        ("0.0000000000000000015", "0.000000000000000002"),
        ("-0.0000000000000000004", "0"),
    ],
)
def test_an_exact_decimal_has_one_text(given_text: str, held: str) -> None:
    """Trailing zeros, exponents and minus zero vanish; beyond eighteen decimals it rounds half to even."""
    assert exact_text(Decimal(given_text)) == held


@given(st.decimals(min_value=-(10**20) + 1, max_value=10**20 - 1, places=18))
def test_both_databases_give_the_same_decimal(value: Decimal) -> None:
    """What SQLite has as text and PostgreSQL with eighteen decimals comes back equal in every digit."""
    on_sqlite = EXACT_DECIMAL.process_result_value(exact_text(value), SQLITE)
    on_postgresql = EXACT_DECIMAL.process_result_value(value.quantize(PRICE_STEP, context=EXACT), POSTGRESQL)
    assert on_sqlite == value
    assert repr(on_sqlite) == repr(on_postgresql)


@pytest.mark.parametrize("text", ["0.0000001", "NaN", "Infinity", "100000000000.000001"])
def test_money_is_whole_micro_dollars(text: str) -> None:
    """A tenth of a micro-dollar, no number, or more than a hundred billion is refused."""
    with pytest.raises(InvariantError):
        whole_micros(Decimal(text))


def test_money_is_a_whole_number() -> None:
    """Dollars become micro-dollars without going through a float."""
    assert whole_micros(Decimal("-99999999999.999999")) == -99999999999999999


def test_an_instant_needs_a_zone() -> None:
    """A naive instant is refused, one of another zone is written in UTC."""
    with pytest.raises(InvariantError, match="no time zone"):
        utc_text(datetime(2024, 3, 1, 12))  # noqa: DTZ001 - that is the point
    there = datetime(2024, 3, 1, 17, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert utc_text(there) == "2024-03-01T12:00:00.000001Z"
    assert utc_text(there.astimezone(UTC)) == utc_text(there)


def test_an_enum_takes_its_members_only() -> None:
    """A text that is no member does not become one."""
    assert enum_type(Side).portable(Side.LONG) == "long"
    with pytest.raises(ValueError, match="sideways"):
        enum_type(Side).portable("sideways")


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_no_table_has_a_type_that_loses_digits_or_zones(table: Table) -> None:
    """Stock decimal, float, time and truth types are not used: on SQLite they lose digits and zones."""
    banned = {"NUMERIC", "DECIMAL", "FLOAT", "DATETIME", "DATE", "TIME", "BOOLEAN", "BIGINT", "VARCHAR"}
    for column in table.columns:
        stored = column.type.compile(dialect=SQLITE)
        assert stored in {"TEXT", "INTEGER", "REAL", "BLOB"}, column
        assert stored not in banned
    assert table.dialect_options["sqlite"]["strict"]
    assert runs.metadata is table.metadata
