"""The wire's envelope and rows: JSON read exactly, keys in one spelling, fields checked as they are taken.

A row that cannot be read is a refusal with a named reason; it never becomes a default.
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
from bot.domain.numbers import ZERO, Price, price_half_even

NOT_FOUND, UNAUTHORIZED = 404, 401
# Beyond these powers of ten a number is no price, grade or ratio of this world.
MAGNITUDE_MAX = 30
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class RefusalReason(StrEnum):
    """Why a row, or a level in it, was not read."""

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
    """What was not read, and where it stood: feed, token, field."""

    reason: RefusalReason
    detail: str


class RefusedError(Exception):
    """A field that ends the reading of its row."""

    def __init__(self, reason: RefusalReason, field: str) -> None:
        """Name the reason and the field."""
        super().__init__(field)
        self.reason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class Envelope:
    """The outer object of an answer; rows None: it held no list."""

    success: bool
    message: str
    rows: tuple[object, ...] | None


def read_envelope(body: bytes | None) -> Envelope | None:
    """Read an answer's outer object; None for everything that is not one."""
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


def rows_of(endpoint: str, status: int | None, envelope: Envelope | None, error: BotError | None) -> tuple[object, ...]:
    """Return an answer's rows, none where nothing was found; raises what the answer amounts to otherwise."""
    if envelope is not None and status == NOT_FOUND and envelope.message == "Data not found":
        return ()
    if envelope is not None and status == UNAUTHORIZED and "plan" in envelope.message:
        message = f"{endpoint}: the key's plan does not include this endpoint; change the plan, or what needs it"
        raise AccessError(message)
    if error is not None:
        raise error
    if envelope is None or envelope.rows is None:
        message = f"{endpoint}: the answer is not an object with a list of data; check base_url and api_version"
        raise UpstreamError(message)
    if not envelope.success:
        message = f"{endpoint}: the answer says that it failed; the next slot asks again"
        raise UpstreamError(message)
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
    """A row under lower-case keys; every reading either gives a checked value or raises RefusedError."""

    __slots__ = ("_values",)

    def __init__(self, row: object) -> None:
        """Take a row, which must be an object."""
        if not isinstance(row, dict):
            raise RefusedError(RefusalReason.WRONG_TYPE, "row")
        self._values: Mapping[str, object] = {_spelling(key): value for key, value in row.items()}

    def __contains__(self, key: str) -> bool:
        """Tell whether a field is there, be it null."""
        return key in self._values

    def get(self, key: str) -> object:
        """Return a field as it came; None where it is null or missing."""
        return self._values.get(key)

    def token(self) -> TokenId:
        """Return the token_id."""
        value = self._values.get("token_id")
        if value is None:
            raise RefusedError(RefusalReason.MISSING_FIELD, "token_id")
        if not isinstance(value, int) or isinstance(value, bool):
            raise RefusedError(RefusalReason.WRONG_TYPE, "token_id")
        return TokenId(value)

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self._values.get(key)
        if value is None or value == "":
            raise RefusedError(RefusalReason.MISSING_FIELD, key)
        if not isinstance(value, str):
            raise RefusedError(RefusalReason.WRONG_TYPE, key)
        return value

    def number(self, *keys: str) -> Decimal | None:
        """Return the first of these fields that is given, a number or a text of digits; None where none is."""
        for key in keys:
            value = self._values.get(key)
            if value is not None and value != "":
                return exact_number(value, key)
        return None

    def number_between(self, low: Decimal, high: Decimal, *keys: str) -> Decimal | None:
        """Return an optional number that lies between two others, both inclusive."""
        value = self.number(*keys)
        if value is not None and not low <= value <= high:
            raise RefusedError(RefusalReason.OUT_OF_RANGE, keys[0])
        return value

    def price(self, key: str) -> Price:
        """Return a positive price."""
        value = self.number(key)
        if value is None:
            raise RefusedError(RefusalReason.MISSING_FIELD, key)
        return positive_price(value, key)

    def day(self, key: str, known_at: datetime) -> datetime:
        """Return the midnight that begins the day of a date; a day that has not begun anywhere is refused."""
        return self.instant(key, known_at).replace(hour=0, minute=0, second=0, microsecond=0)

    def instant(self, key: str, known_at: datetime) -> datetime:
        """Return an instant, UTC where it does not say otherwise."""
        at = _instant(self.text(key))
        if at is None or at > known_at + DAY:
            raise RefusedError(RefusalReason.BAD_DATE, key)
        return at

    def end_of_span(self, key: str, known_at: datetime, span: timedelta) -> datetime:
        """Return when the span that begins at an instant ends; of a date without a time, when its UTC day does."""
        return self.instant(key, known_at) + (DAY if _is_date(self.text(key)) else span)


def exact_number(value: object, key: str) -> Decimal:
    """Read a number exactly; raises RefusedError for what is none."""
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
    """Round a price to the ledger's scale; raises RefusedError for zero and less."""
    price = price_half_even(value)
    if price <= ZERO:
        raise RefusedError(RefusalReason.NOT_POSITIVE, key)
    return price


def _is_date(text: str) -> bool:
    """Tell whether a text names a day and no time."""
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
