"""The envelope and the rows of an answer: exact numbers, lower-case keys, checked fields.

A row is read field by field. A field that cannot be read is unknown and noted with its reason; only
a row without identity, instant or value is refused as a whole. Nothing becomes a default.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from bot.adapters.http.judging import Reading
from bot.domain.errors import AccessError, BotError, UpstreamError
from bot.domain.ids import TokenId
from bot.domain.instants import DAY
from bot.domain.numbers import OUTSIDE_MAX, ZERO, Price, price_half_even
from bot.domain.tape import Refusal

FINDS_NOTHING, UNAUTHORIZED = frozenset({200, 404}), 401
# Of the message by which a plan refuses an endpoint.
PLAN = "current plan"
REFUSED_BY_PLAN = frozenset({402, 403})
NOTHING_FOUND = "Data not found"
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
# Bitcoin's first block: no row of a market is older.
EARLIEST = datetime(2009, 1, 3, tzinfo=UTC)
ROW = "row"
TEXT_MAX, SHOWN_MAX = 200, 80

Value = TypeVar("Value")


class PlanError(AccessError):
    """The plan of the key does not include what was asked for."""


class RefusalReason(StrEnum):
    """Why a row, or a field of it, was refused."""

    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_TOKEN = "unknown_token"
    BAD_DATE = "bad_date"
    INCONSISTENT_BAR = "inconsistent_bar"
    CONTRADICTION = "contradiction"
    NO_VALUE = "no_value"
    IDENTITY_CHANGED = "identity_changed"
    IMPLAUSIBLE_PRICE = "implausible_price"


class RefusedError(Exception):
    """A field that cannot be read; its row is refused, unless the reader catches this error."""

    def __init__(self, reason: RefusalReason, field: str, value: object = None) -> None:
        """Take the reason, the name of the field and the value that came."""
        super().__init__(field)
        self.reason = reason
        self.field = field
        self.value = value

    def at(self, token_id: TokenId | None, *, whole: bool) -> Refusal:
        """Build the record of what was refused; whole: the row was, not only the field."""
        value = json.dumps(self.value, default=str)[:SHOWN_MAX]
        return Refusal(token_id, self.field, self.reason.value, value, whole)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The outer object of an answer; `rows` is None when it holds no list."""

    success: bool
    message: str
    rows: tuple[object, ...] | None

    @property
    def found_nothing(self) -> bool:
        """Check whether the provider says that it has no such rows."""
        return not self.success and self.message == NOTHING_FOUND


def read_envelope(body: bytes | None) -> Envelope | None:
    """Read the outer object of an answer; None when the body is not a JSON object.

    NaN and Infinity become decimals, so that they refuse their field and not the answer.
    """
    try:
        text = (body or b"").decode("utf-8-sig")
        decoded = json.loads(text, parse_float=_exact, parse_int=_exact, parse_constant=Decimal)
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


def read_answer(body: bytes) -> Reading:
    """Decode the body of an answer, and say whether another attempt may bring a better one."""
    envelope = read_envelope(body)
    if envelope is None:
        fault = "without a whole JSON object; is base_url the API and not a web page?"
    elif envelope.success or envelope.found_nothing:
        fault = None
    else:
        fault = "the answer says that it failed; the next slot asks again"
    of_plan = envelope is not None and PLAN in envelope.message
    return Reading(envelope, fault, refuses_key=not of_plan)


def rows_of(
    endpoint: str, status: int | None, envelope: Envelope | None, error: BotError | None
) -> tuple[object, ...]:
    """Extract the rows of an answer; an answer that found nothing has none.

    Raises AccessError when the plan does not include the endpoint, `error` when it is given, and
    UpstreamError for an answer that has no list of rows or says that it failed.
    """
    if envelope is not None and envelope.found_nothing and status in FINDS_NOTHING:
        return ()
    if envelope is not None and status == UNAUTHORIZED and PLAN in envelope.message:
        raise PlanError(
            f"{endpoint}: the key's plan does not include this endpoint;"
            " change the plan, or what needs it"
        )
    if error is not None and status in REFUSED_BY_PLAN:
        raise PlanError(str(error))
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
    except InvalidOperation:  # an exponent without end: too large for a decimal, and for any field
        return Decimal("Infinity")


@lru_cache(maxsize=1024)
def _spelling(key: str) -> str:
    return key.lower().replace("24_h", "24h")


class Fields:
    """A row under lower-case keys; each method reads a checked value or raises RefusedError.

    refusals: the fields that `optional` found unreadable.
    """

    __slots__ = ("_values", "refusals")

    def __init__(self, row: object) -> None:
        """Take a row; refuse one that is not an object."""
        if not isinstance(row, dict):
            raise RefusedError(RefusalReason.WRONG_TYPE, ROW, row)
        self._values: Mapping[str, object] = {_spelling(key): value for key, value in row.items()}
        self.refusals: list[RefusedError] = []

    def __contains__(self, key: str) -> bool:
        """Check whether a field is present; it may be null."""
        return key in self._values

    def get(self, key: str) -> object:
        """Look up a field as it came; None when it is null or missing."""
        return self._values.get(key)

    def optional(self, read: Callable[..., Value], *given: object) -> Value | None:
        """Call a reader of a field; None, with a refusal, when the field cannot be read."""
        try:
            return read(*given)
        except RefusedError as refused:
            self.refusals.append(refused)
            return None

    def token(self) -> TokenId:
        """Read the token_id: a whole number, or a text of its digits."""
        value = self._values.get("token_id")
        if value is None:
            raise RefusedError(RefusalReason.MISSING_FIELD, "token_id")
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            raise RefusedError(RefusalReason.WRONG_TYPE, "token_id", value)
        number = exact_number(value, "token_id")
        if number != number.to_integral_value():
            raise RefusedError(RefusalReason.WRONG_TYPE, "token_id", value)
        if number <= ZERO:
            raise RefusedError(RefusalReason.NOT_POSITIVE, "token_id", value)
        return TokenId(int(number))

    def text(self, key: str) -> str:
        """Read a printable text that is not empty."""
        value = self._values.get(key)
        if value is None or value == "":
            raise RefusedError(RefusalReason.MISSING_FIELD, key)
        if not (isinstance(value, str) and value.isprintable() and len(value) <= TEXT_MAX):
            raise RefusedError(RefusalReason.WRONG_TYPE, key, value)
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
            raise RefusedError(RefusalReason.OUT_OF_RANGE, keys[0], value)
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
        if at is None or not EARLIEST <= at <= known_at + DAY:
            raise RefusedError(RefusalReason.BAD_DATE, key, self.get(key))
        return at

    def end_of_span(self, key: str, known_at: datetime, span: timedelta) -> datetime:
        """Compute the end of the span that begins at an instant.

        For a date without a time, this is the end of its UTC day.
        """
        return self.instant(key, known_at) + (DAY if _is_date(self.text(key)) else span)


def exact_number(value: object, key: str) -> Decimal:
    """Read a number exactly: a JSON number, or a text of one.

    Raises RefusedError for what is not a finite number, and for one of 10^18 or more in size.
    """
    if isinstance(value, str):
        if NOT_FINITE.fullmatch(value):
            raise RefusedError(RefusalReason.NOT_FINITE, key, value)
        value = Decimal(value) if NUMBER.fullmatch(value) else value
    elif isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise RefusedError(RefusalReason.WRONG_TYPE, key, value)
    if not value.is_finite():
        raise RefusedError(RefusalReason.NOT_FINITE, key, value)
    if value.copy_abs() >= OUTSIDE_MAX:
        raise RefusedError(RefusalReason.OUT_OF_RANGE, key, value)
    return value


def positive_price(value: Decimal, key: str) -> Price:
    """Round a price to the ledger's scale; raise RefusedError when it is not positive."""
    price = price_half_even(value)
    if price <= ZERO:
        raise RefusedError(RefusalReason.NOT_POSITIVE, key, value)
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
