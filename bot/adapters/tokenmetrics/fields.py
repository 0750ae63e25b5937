"""The envelope and the rows of an answer: exact numbers, lower-case keys, checked fields.

A row that cannot be read is refused with a named reason; it never becomes a default.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from bot.domain.errors import AccessError, BotError, UpstreamError
from bot.domain.ids import TokenId
from bot.domain.instants import DAY
from bot.domain.numbers import ZERO, Price, price_half_even

NOT_FOUND, UNAUTHORIZED = 404, 401
# A number beyond these powers of ten is not a real price, grade or ratio.
MAGNITUDE_MAX = 30


class RefusalReason(StrEnum):
    """Why a row, or a level in it, was refused."""

    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_TOKEN = "unknown_token"
    BAD_DATE = "bad_date"
    INCONSISTENT_BAR = "inconsistent_bar"
    CONTRADICTION = "contradiction"


class Refusal(NamedTuple):
    """What was refused, and where: feed, token, field."""

    reason: RefusalReason
    detail: str


class RefusedError(Exception):
    """A field that cannot be read; its row is refused, unless the reader catches this error."""

    def __init__(self, reason: RefusalReason, field: str) -> None:
        """Take the reason and the name of the field."""
        super().__init__(field)
        self.reason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class Envelope:
    """The outer object of an answer; `rows` is None when it holds no list."""

    success: bool
    message: str
    rows: tuple[object, ...] | None


def read_envelope(body: bytes | None) -> Envelope | None:
    """Read the outer object of an answer; None when the body is not a JSON object."""
    try:
        decoded = json.loads(body or b"", parse_float=_exact, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(decoded, dict):
        return None
    rows = decoded.get("data")
    return Envelope(
        success=decoded.get("success") is not False,
        message=str(decoded.get("message")),
        rows=tuple(rows) if isinstance(rows, list) else None,
    )


def rows_of(
    endpoint: str, status: int | None, envelope: Envelope | None, error: BotError | None
) -> tuple[object, ...]:
    """Extract the rows of an answer; an answer that found nothing has none.

    Raises AccessError when the plan does not include the endpoint, `error` when it is given, and
    UpstreamError for an answer that has no list of rows or says that it failed.
    """
    if envelope is not None and status == NOT_FOUND and envelope.message == "Data not found":
        return ()
    if envelope is not None and status == UNAUTHORIZED and "plan" in envelope.message:
        raise AccessError(
            f"{endpoint}: the key's plan does not include this endpoint; change the plan, or what needs it"
        )
    if error is not None:
        raise error
    if envelope is None or envelope.rows is None:
        raise UpstreamError(
            f"{endpoint}: the answer is not an object with a list of data; check base_url and api_version"
        )
    if not envelope.success:
        raise UpstreamError(f"{endpoint}: the answer says that it failed; the next slot asks again")
    return envelope.rows


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(text) from error


def _no_number(text: str) -> None:
    raise ValueError(text)


@lru_cache(maxsize=1024)
def _spelling(key: str) -> str:
    return key.lower().replace("24_h", "24h")


class Fields:
    """A row under lower-case keys; each method reads a checked value or raises RefusedError."""

    __slots__ = ("_values",)

    def __init__(self, row: object) -> None:
        """Take a row; refuse one that is not an object."""
        if not isinstance(row, dict):
            raise RefusedError(RefusalReason.WRONG_TYPE, "row")
        self._values: Mapping[str, object] = {_spelling(key): value for key, value in row.items()}

    def __contains__(self, key: str) -> bool:
        """Check whether a field is present; it may be null."""
        return key in self._values

    def get(self, key: str) -> object:
        """Look up a field as it came; None when it is null or missing."""
        return self._values.get(key)

    def token(self) -> TokenId:
        """Read the token_id."""
        value = self._values.get("token_id")
        if value is None:
            raise RefusedError(RefusalReason.MISSING_FIELD, "token_id")
        if not isinstance(value, int) or isinstance(value, bool):
            raise RefusedError(RefusalReason.WRONG_TYPE, "token_id")
        return TokenId(value)

    def text(self, key: str) -> str:
        """Read a text that is not empty."""
        value = self._values.get(key)
        if value is None or value == "":
            raise RefusedError(RefusalReason.MISSING_FIELD, key)
        if not isinstance(value, str):
            raise RefusedError(RefusalReason.WRONG_TYPE, key)
        return value

    def number(self, *keys: str) -> Decimal | None:
        """Read the first field that is given, a number or a text of digits; None without any."""
        for key in keys:
            value = self._values.get(key)
            if value is not None and value != "":
                return exact_number(value, key)
        return None

    def number_between(self, low: Decimal, high: Decimal, *keys: str) -> Decimal | None:
        """Read an optional number; refuse one that is outside of low and high, both inclusive."""
        value = self.number(*keys)
        if value is not None and not low <= value <= high:
            raise RefusedError(RefusalReason.OUT_OF_RANGE, keys[0])
        return value

    def price(self, key: str) -> Price:
        """Read a positive price."""
        value = self.number(key)
        if value is None:
            raise RefusedError(RefusalReason.MISSING_FIELD, key)
        return positive_price(value, key)

    def day(self, key: str, known_at: datetime) -> datetime:
        """Read a date as the midnight that begins its UTC day; refuse a day of the future."""
        return self.instant(key, known_at).replace(hour=0, minute=0, second=0, microsecond=0)

    def instant(self, key: str, known_at: datetime) -> datetime:
        """Read an instant, in UTC unless it names a zone; refuse one of the future.

        One day of tolerance allows for a day that has already begun in another zone.
        """
        at = _instant(self.text(key))
        if at is None or at > known_at + DAY:
            raise RefusedError(RefusalReason.BAD_DATE, key)
        return at

    def end_of_span(self, key: str, known_at: datetime, span: timedelta) -> datetime:
        """Compute the end of the span that begins at an instant.

        For a date without a time, this is the end of its UTC day.
        """
        return self.instant(key, known_at) + (DAY if _is_date(self.text(key)) else span)


def exact_number(value: object, key: str) -> Decimal:
    """Read a number exactly; raise RefusedError for what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise RefusedError(RefusalReason.WRONG_TYPE, key)
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise RefusedError(RefusalReason.WRONG_TYPE, key) from error
    if not number.is_finite() or (number and abs(number.adjusted()) > MAGNITUDE_MAX):
        raise RefusedError(RefusalReason.NOT_FINITE, key)
    return number


def positive_price(value: Decimal, key: str) -> Price:
    """Round a price to the ledger's scale; raise RefusedError when it is not positive."""
    price = price_half_even(value)
    if price <= ZERO:
        raise RefusedError(RefusalReason.NOT_POSITIVE, key)
    return price


def _is_date(text: str) -> bool:
    """Check whether a text is a date without a time."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
