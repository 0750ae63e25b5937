"""Column types that keep every digit and zone on both databases.

Each type has one portable form (text, whole number, truth value) that SQLite stores, PostgreSQL reads, and the hash
chain is computed over: the two databases give back equal values or refuse the value on its way in.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar

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

_SCALE = 18
_WHOLE_DIGITS = 20
_MICROS = Decimal(1_000_000)

# The column's CHECK says the same.
MICRO_LIMIT = int(AMOUNT_MAX * _MICROS)


def exact_text(value: Decimal) -> str:
    """Write a decimal rounded half-even to 18 places in its canonical form; refuse NaN, infinities and 21 digits."""
    whole, _, part = str(value).partition(".")
    if whole.isdigit() and len(whole) <= _WHOLE_DIGITS and len(part) <= _SCALE and (not part or part.isdigit()):
        part = part.rstrip("0")  # nearly all are written out like this already, and a replay writes many
        return f"{whole}.{part}" if part else whole
    if not value.is_finite():
        message = f"{value} is not a number the ledger can hold"
        raise InvariantError(message)
    if value.adjusted() >= _WHOLE_DIGITS:
        message = f"{value} has more than {_WHOLE_DIGITS} digits before the point"
        raise InvariantError(message)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_SCALE:
        value = value.quantize(PRICE_STEP, ROUND_HALF_EVEN, EXACT)
    return plain(value)


def whole_micros(amount: Decimal) -> int:
    """Return an amount of quote currency as whole micro-dollars; refuse a fraction of one, and more than 10^17."""
    micros = EXACT.multiply(amount, _MICROS) if amount.is_finite() else amount
    if not micros.is_finite() or micros != micros.to_integral_value() or abs(micros) > MICRO_LIMIT:
        message = f"{amount} is not a whole number of micro-dollars within the ledger's range"
        raise InvariantError(message)
    return int(micros)


@lru_cache(maxsize=4096)
def utc_text(at: datetime) -> str:
    """Write an instant in UTC; refuse a naive one."""
    if at.tzinfo is None:
        message = f"{at.isoformat()} has no time zone"
        raise InvariantError(message)
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    # The canonical form of domain/ids, four times as fast.
    return f"{utc.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


class PortableType(TypeDecorator[Any]):
    """A type that binds the portable form of its values on both databases."""

    impl = Text
    cache_ok = True
    on_postgresql: ClassVar[TypeEngine[Any]] = Text()
    on_sqlite: ClassVar[TypeEngine[Any]] = Text()

    def portable(self, value: Any) -> Portable:
        """Return the portable form of a value."""
        raise NotImplementedError

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the stored type."""
        return dialect.type_descriptor(self.on_postgresql if dialect.name == POSTGRESQL else self.on_sqlite)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Portable:  # noqa: ARG002 - SQLAlchemy's signature
        """Bind the portable form."""
        return None if value is None else self.portable(value)


class ExactDecimal(PortableType):
    """An exact decimal: NUMERIC(38, 18) on PostgreSQL, canonical TEXT on SQLite."""

    cache_ok = True
    on_postgresql = Numeric(38, _SCALE)

    def portable(self, value: Decimal) -> Portable:
        """Return the portable form of a value."""
        return exact_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Return the decimal without trailing zeros, equal in digits on both databases."""
        if value is None:
            return None
        return Decimal(value if isinstance(value, str) else plain(value))


class MicroDollars(PortableType):
    """An amount of quote currency, stored as whole micro-dollars."""

    cache_ok = True
    on_postgresql = BigInteger()
    on_sqlite = Integer()

    def portable(self, value: Decimal) -> Portable:
        """Return the portable form of a value."""
        return whole_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Return the amount in quote currency."""
        return None if value is None else Decimal(value).scaleb(-6)


class UtcDateTime(PortableType):
    """An aware instant: timestamptz on PostgreSQL, ISO 8601 text with microseconds and Z on SQLite."""

    cache_ok = True
    on_postgresql = DateTime(timezone=True)

    def portable(self, value: datetime) -> Portable:
        """Return the portable form of a value."""
        return utc_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the instant in UTC."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class EnumText(PortableType):
    """A member of an enum, stored by its value."""

    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        """Name the enum whose members are stored."""
        super().__init__()
        self.members = members

    def portable(self, value: Any) -> Portable:
        """Return the member's value; refuse what is no member."""
        return str.__str__(value) if type(value) is self.members else self.members(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Return the member."""
        return None if value is None else self.members(value)


class BooleanType(PortableType):
    """A truth value: BOOLEAN on PostgreSQL, 0 or 1 on SQLite, whose strict tables know no booleans."""

    cache_ok = True
    on_postgresql = Boolean()
    on_sqlite = Integer()

    def portable(self, value: object) -> Portable:
        """Return the portable form of a value."""
        return bool(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:  # noqa: ARG002
        """Return the truth value."""
        return None if value is None else bool(value)


# A count or a provider's token_id; strict SQLite tables know INTEGER only.
Whole = BigInteger().with_variant(Integer(), "sqlite")
# A statistic; never owed, owned or compared with a stop.
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


def exact(*names: str, required: bool = True) -> list[Column[Any]]:
    """Make columns of exact decimals."""
    return [Column(name, ExactDecimal(), nullable=not required) for name in names]


def money(*names: str, required: bool = True) -> list[Column[Any]]:
    """Make columns of micro-dollars."""
    return [Column(name, MicroDollars(), nullable=not required) for name in names]


def text(*names: str, required: bool = True) -> list[Column[Any]]:
    """Make columns of text."""
    return [Column(name, Text(), nullable=not required) for name in names]


def whole(*names: str, required: bool = True) -> list[Column[Any]]:
    """Make columns of whole numbers."""
    return [Column(name, Whole, nullable=not required) for name in names]


def real(*names: str) -> list[Column[Any]]:
    """Make columns of statistics, which may be undefined."""
    return [Column(name, Real, nullable=True) for name in names]


def instant(*names: str, required: bool = True) -> list[Column[Any]]:
    """Make columns of instants."""
    return [Column(name, UtcDateTime(), nullable=not required) for name in names]


def flag(*names: str) -> list[Column[Any]]:
    """Make columns of truth values."""
    return [Column(name, BooleanType(), nullable=False) for name in names]


def enum(name: str, members: type[StrEnum], *, required: bool = True) -> Column[Any]:
    """Make a column of an enum's members."""
    return Column(name, EnumText(members), nullable=not required)


def positive(*names: str) -> list[CheckConstraint]:
    """Demand that numbers are above zero."""
    return [CheckConstraint(f"CAST({name} AS REAL) > 0", name=f"{name}_positive") for name in names]


def not_negative(*names: str) -> list[CheckConstraint]:
    """Demand that whole numbers are not below zero."""
    return [CheckConstraint(f"{name} >= 0", name=f"{name}_not_negative") for name in names]


def one_of(name: str, values: Iterable[str]) -> CheckConstraint:
    """Demand one of a few texts."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{name} IN ({listed})", name=f"{name}_known")


def references(target: str, *names: str) -> ForeignKeyConstraint:
    """Demand that the columns name a row of another table, under the same names."""
    return ForeignKeyConstraint(names, [f"{target}.{name}" for name in names], ondelete="RESTRICT")


def table(name: str, *parts: SchemaItem) -> Table:
    """Make a strict table; every amount of money in it stays within the range that sums exactly."""
    ranges = [
        CheckConstraint(f"{part.name} BETWEEN -{MICRO_LIMIT} AND {MICRO_LIMIT}", name=f"{part.name}_range")
        for part in parts
        if isinstance(part, Column) and isinstance(part.type, MicroDollars)
    ]
    return Table(name, metadata, *parts, *ranges, sqlite_strict=True)
