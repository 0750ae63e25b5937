"""Column types that keep every digit and every zone on both databases.

A value has one portable form (text, whole number, truth value): SQLite stores it, PostgreSQL reads
it, and the hash chain covers it. Both databases give back equal values, or the type refuses the
value before it is stored.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.sqlite import REAL
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from bot.domain.errors import InvariantError
from bot.domain.numbers import AMOUNT_MAX, EXACT, PRICE_STEP, plain

POSTGRESQL = "postgresql"

Portable = str | int | float | bytes | None

# Instants before and after all that is stored.
ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

_SCALE = 18
_WHOLE_DIGITS = 20
_MICROS = Decimal(1_000_000)
_TEXT = Text()

# The CHECK of every money column sets the same limit.
MICRO_LIMIT = int(AMOUNT_MAX * _MICROS)


def exact_text(value: Decimal) -> str:
    """Write a decimal in its canonical form, rounded half-even to 18 places.

    Raises InvariantError for NaN, infinities and 21 digits before the point.
    """
    whole, _, part = str(value).partition(".")
    if whole.isdigit() and len(whole) <= _WHOLE_DIGITS and len(part) <= _SCALE and (not part or part.isdigit()):
        # The fast form: nearly all decimals look like this already, and a replay writes many.
        part = part.rstrip("0")
        return f"{whole}.{part}" if part else whole
    if not value.is_finite():
        raise InvariantError(f"{value} is not a number the ledger can hold")
    if value.adjusted() >= _WHOLE_DIGITS:
        raise InvariantError(f"{value} has more than {_WHOLE_DIGITS} digits before the point")
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_SCALE:
        value = value.quantize(PRICE_STEP, ROUND_HALF_EVEN, EXACT)
    return plain(value)


def whole_micros(amount: Decimal) -> int:
    """Convert an amount of quote currency to whole micro-dollars.

    Raises InvariantError for a fraction of a micro-dollar, and for more than 10^17 micro-dollars.
    """
    micros = EXACT.multiply(amount, _MICROS) if amount.is_finite() else amount
    if not micros.is_finite() or micros != micros.to_integral_value() or abs(micros) > MICRO_LIMIT:
        raise InvariantError(f"{amount} is not a whole number of micro-dollars within the ledger's range")
    return int(micros)


@lru_cache(maxsize=4096)
def utc_text(at: datetime) -> str:
    """Write an instant in UTC; raise InvariantError for a naive one."""
    if at.tzinfo is None:
        raise InvariantError(f"{at.isoformat()} has no time zone")
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    # The canonical form of domain/ids: isoformat writes it fastest.
    return f"{utc.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def _read_decimal(value: Decimal | str) -> Decimal:
    """Read a decimal without trailing zeros, so that both databases give equal digits."""
    return Decimal(value if isinstance(value, str) else plain(value))


def _read_instant(value: datetime | str) -> datetime:
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class PortableType(TypeDecorator[Any]):
    """A type that binds the portable form of its values on both databases.

    portable: converts a value to its portable form. read: converts what a database gives back.
    """

    impl = Text
    cache_ok = True

    def __init__(
        self,
        portable: Callable[[Any], Portable],
        read: Callable[[Any], Any],
        on_postgresql: TypeEngine[Any] = _TEXT,
        on_sqlite: TypeEngine[Any] = _TEXT,
    ) -> None:
        """Take both conversions, and the types in which the databases store the values."""
        super().__init__()
        self.portable, self.read = portable, read
        self.on_postgresql, self.on_sqlite = on_postgresql, on_sqlite

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the type in which the database stores the values."""
        return self.on_postgresql if dialect.name == POSTGRESQL else self.on_sqlite

    def process_bind_param(self, value: Any, dialect: Dialect) -> Portable:  # noqa: ARG002
        """Bind the portable form of a value."""
        return None if value is None else self.portable(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Read a value as it was before it was stored."""
        return None if value is None else self.read(value)


# NUMERIC(38, 18) on PostgreSQL, canonical TEXT on SQLite.
EXACT_DECIMAL = PortableType(exact_text, _read_decimal, Numeric(38, _SCALE))
# Whole micro-dollars.
MONEY = PortableType(whole_micros, lambda value: Decimal(value).scaleb(-6), BigInteger(), Integer())
# timestamptz on PostgreSQL; on SQLite ISO 8601 text to the microsecond that ends in Z.
_INSTANT = PortableType(utc_text, _read_instant, DateTime(timezone=True))
# BOOLEAN on PostgreSQL, 0 or 1 on SQLite, whose strict tables lack BOOLEAN.
_FLAG = PortableType(bool, bool, Boolean(), Integer())


def enum_type(members: type[StrEnum]) -> PortableType:
    """Make the type of an enum's members, stored by their values; it refuses other values."""
    return PortableType(
        lambda value: str.__str__(value) if type(value) is members else members(value).value, members, String()
    )


# A count or a provider's token_id. Strict SQLite tables accept INTEGER, but not BIGINT.
Whole = BigInteger().with_variant(Integer(), "sqlite")
# A statistic. Amounts that are owed, owned or compared with a stop are exact instead.
Real: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _columns(kind: TypeEngine[Any], *names: str, required: bool = True) -> list[Column[Any]]:
    return [Column(name, kind, nullable=not required) for name in names]


# Each makes columns of one type from their names; `required=False` allows NULL.
exact = partial(_columns, EXACT_DECIMAL)
money = partial(_columns, MONEY)
text = partial(_columns, _TEXT)
whole = partial(_columns, Whole)
instant = partial(_columns, _INSTANT)
flag = partial(_columns, _FLAG)
# NULL is an undefined statistic.
real = partial(_columns, Real, required=False)


def word(name: str, members: type[StrEnum], *, required: bool = True) -> Column[Any]:
    """Make a column of words that grow with the code: no CHECK lists them."""
    return Column(name, enum_type(members), nullable=not required)


def enum(name: str, members: type[StrEnum], *, required: bool = True) -> list[SchemaItem]:
    """Make a column of an enum's members, and the CHECK that lists them."""
    listed = ", ".join(f"'{value}'" for value in members)
    check = CheckConstraint(f"{name} IN ({listed})", name=f"{name}_known")
    return [*_columns(enum_type(members), name, required=required), check]


def positive(*names: str) -> list[CheckConstraint]:
    """Require numbers above zero."""
    return [CheckConstraint(f"CAST({name} AS REAL) > 0", name=f"{name}_positive") for name in names]


def not_negative(*names: str) -> list[CheckConstraint]:
    """Require whole numbers of zero or more."""
    return [CheckConstraint(f"{name} >= 0", name=f"{name}_not_negative") for name in names]


def references(target: str, *names: str) -> ForeignKeyConstraint:
    """Make a foreign key: the columns must match a row of another table, in its columns of these names."""
    return ForeignKeyConstraint(names, [f"{target}.{name}" for name in names], ondelete="RESTRICT")


def table(name: str, *parts: SchemaItem) -> Table:
    """Make a strict table, and limit each amount of money in it to the range that sums exactly."""
    ranges = [
        CheckConstraint(f"{part.name} BETWEEN -{MICRO_LIMIT} AND {MICRO_LIMIT}", name=f"{part.name}_range")
        for part in parts
        if isinstance(part, Column) and part.type is MONEY
    ]
    return Table(name, metadata, *parts, *ranges, sqlite_strict=True)
