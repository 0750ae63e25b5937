"""Column types that keep every digit and every zone on both databases.

A value has one portable form (text, whole number, truth value): SQLite stores it, PostgreSQL reads
it, and the hash chain covers it. Both databases give back equal values, or the type refuses the
value before it is stored.
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

# The CHECK of every money column sets the same limit.
MICRO_LIMIT = int(AMOUNT_MAX * _MICROS)


def exact_text(value: Decimal) -> str:
    """Write a decimal in its canonical form, rounded half-even to 18 places.

    Raises InvariantError for NaN, infinities and 21 digits before the point.
    """
    whole, _, part = str(value).partition(".")
    if (
        whole.isdigit()
        and len(whole) <= _WHOLE_DIGITS
        and len(part) <= _SCALE
        and (not part or part.isdigit())
    ):
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
        raise InvariantError(
            f"{amount} is not a whole number of micro-dollars within the ledger's range"
        )
    return int(micros)


@lru_cache(maxsize=4096)
def utc_text(at: datetime) -> str:
    """Write an instant in UTC; raise InvariantError for a naive one."""
    if at.tzinfo is None:
        raise InvariantError(f"{at.isoformat()} has no time zone")
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    # The canonical form of domain/ids: isoformat writes it fastest.
    return f"{utc.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


class PortableType(TypeDecorator[Any]):
    """A type that binds the portable form of its values on both databases."""

    impl = Text
    cache_ok = True
    on_postgresql: ClassVar[TypeEngine[Any]] = Text()
    on_sqlite: ClassVar[TypeEngine[Any]] = Text()

    def portable(self, value: Any) -> Portable:
        """Convert a value to its portable form."""
        raise NotImplementedError

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the type in which the database stores the values."""
        return dialect.type_descriptor(
            self.on_postgresql if dialect.name == POSTGRESQL else self.on_sqlite
        )

    def process_bind_param(
        self,
        value: Any,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> Portable:
        """Bind the portable form of a value."""
        return None if value is None else self.portable(value)


class ExactDecimal(PortableType):
    """An exact decimal: NUMERIC(38, 18) on PostgreSQL, canonical TEXT on SQLite."""

    cache_ok = True
    on_postgresql = Numeric(38, _SCALE)

    def portable(self, value: Decimal) -> Portable:
        """Write the decimal in its canonical form."""
        return exact_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Read a decimal without trailing zeros, so that both databases give equal digits."""
        if value is None:
            return None
        return Decimal(value if isinstance(value, str) else plain(value))


class MicroDollars(PortableType):
    """An amount of quote currency, stored as whole micro-dollars."""

    cache_ok = True
    on_postgresql = BigInteger()
    on_sqlite = Integer()

    def portable(self, value: Decimal) -> Portable:
        """Convert the amount to whole micro-dollars."""
        return whole_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        """Convert whole micro-dollars to an amount of quote currency."""
        return None if value is None else Decimal(value).scaleb(-6)


class UtcDateTime(PortableType):
    """An aware instant: timestamptz on PostgreSQL, ISO 8601 text to the microsecond on SQLite.

    The text ends in Z.
    """

    cache_ok = True
    on_postgresql = DateTime(timezone=True)

    def portable(self, value: datetime) -> Portable:
        """Write the instant as text in UTC."""
        return utc_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read an instant in UTC."""
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class EnumText(PortableType):
    """A member of an enum, stored by its value."""

    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        """Take the enum whose members are stored."""
        super().__init__()
        self.members = members

    def portable(self, value: Any) -> Portable:
        """Convert a member to its value; raise ValueError for what is not a member."""
        return str.__str__(value) if type(value) is self.members else self.members(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:  # noqa: ARG002
        """Find the member that has a stored value."""
        return None if value is None else self.members(value)


class BooleanType(PortableType):
    """A truth value: BOOLEAN on PostgreSQL, 0 or 1 on SQLite, whose strict tables lack BOOLEAN."""

    cache_ok = True
    on_postgresql = Boolean()
    on_sqlite = Integer()

    def portable(self, value: object) -> Portable:
        """Convert the value to a bool."""
        return bool(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:  # noqa: ARG002
        """Read a truth value."""
        return None if value is None else bool(value)


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
    """Make columns of statistics; NULL is an undefined one."""
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
    """Require numbers above zero."""
    return [CheckConstraint(f"CAST({name} AS REAL) > 0", name=f"{name}_positive") for name in names]


def not_negative(*names: str) -> list[CheckConstraint]:
    """Require whole numbers of zero or more."""
    return [CheckConstraint(f"{name} >= 0", name=f"{name}_not_negative") for name in names]


def one_of(name: str, values: Iterable[str]) -> CheckConstraint:
    """Require one of a few texts."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{name} IN ({listed})", name=f"{name}_known")


def references(target: str, *names: str) -> ForeignKeyConstraint:
    """Require that the columns name a row of another table, whose columns have the same names."""
    return ForeignKeyConstraint(names, [f"{target}.{name}" for name in names], ondelete="RESTRICT")


def table(name: str, *parts: SchemaItem) -> Table:
    """Make a strict table, and limit each amount of money in it to the range that sums exactly."""
    ranges = [
        CheckConstraint(
            f"{part.name} BETWEEN -{MICRO_LIMIT} AND {MICRO_LIMIT}", name=f"{part.name}_range"
        )
        for part in parts
        if isinstance(part, Column) and isinstance(part.type, MicroDollars)
    ]
    return Table(name, metadata, *parts, *ranges, sqlite_strict=True)
