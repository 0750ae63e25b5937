"""The query of a request: the names that an endpoint knows and the values that they may have.

Whatever is not known to be valid is refused; the provider answers such requests with 400. The words
of the messages are ours, because no body of a 400 is on record.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import parse_qsl

LIMIT_DEFAULT, LIMIT_MAX = 50, 100
PAGE_MAX = 100_000
RANGE_DAYS_MAX = 29

_DATE = re.compile(r"2\d{3}-\d{2}-\d{2}", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_AMOUNT = re.compile(r"\d{1,18}(\.\d{1,9})?", re.ASCII)
_SIGNALS = ("1", "0", "-1")


class QueryError(ValueError):
    """A query that the provider refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedQuery:
    """A valid query; a selector that was not given is empty."""

    token_id: frozenset[str] = frozenset()
    symbol: frozenset[str] = frozenset()
    token_name: frozenset[str] = frozenset()
    slug: frozenset[str] = frozenset()
    blockchain_address: frozenset[str] = frozenset()
    category: frozenset[str] = frozenset()
    exchange: frozenset[str] = frozenset()
    expand: frozenset[str] = frozenset()
    market_cap_min: float = 0.0
    volume_min: float = 0.0
    diluted_min: float = 0.0
    signal: int | None = None
    first: date | None = None
    last: date | None = None
    limit: int = LIMIT_DEFAULT
    page: int = 1


def parse_query(text: str, known: Collection[str], required: Collection[str]) -> ParsedQuery:
    """Parse the text of a query.

    Raises QueryError for an unknown, repeated, missing or invalid parameter.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in known:
            raise QueryError(f"Unknown parameter: {name}")
        if name in given:
            raise QueryError(f"Parameter given twice: {name}")
        given[name] = value.strip()
    for name in required:
        if name not in given:
            raise QueryError(f"Missing parameter: {name}")
    return _query(given)


def _query(given: dict[str, str]) -> ParsedQuery:
    """Check the values of parameters whose names are valid, and build the query."""
    first, last = _day(given, "startDate"), _day(given, "endDate")
    if first and last and not 0 <= (last - first).days <= RANGE_DAYS_MAX:
        raise QueryError(f"endDate must lie 0 to {RANGE_DAYS_MAX} days after startDate")
    signal = given.get("signal")
    if signal is not None and signal not in _SIGNALS:
        raise QueryError("signal must be 1, 0 or -1")
    ids = _names(given, "token_id")
    if not all(_WHOLE.fullmatch(each) for each in ids):
        raise QueryError("token_id must be a list of whole numbers")
    return ParsedQuery(
        token_id=frozenset(each.lstrip("0") for each in ids),
        symbol=_names(given, "symbol"),
        token_name=_names(given, "token_name"),
        slug=_names(given, "slug"),
        blockchain_address=_names(given, "blockchain_address"),
        category=_names(given, "category"),
        exchange=_names(given, "exchange"),
        expand=_names(given, "expand"),
        market_cap_min=_amount(given, "marketcap"),
        volume_min=_amount(given, "volume"),
        diluted_min=_amount(given, "fdv"),
        signal=None if signal is None else int(signal),
        first=first,
        last=last,
        limit=_count(given, "limit", LIMIT_DEFAULT, LIMIT_MAX),
        page=_count(given, "page", 1, PAGE_MAX),
    )


def window(query: ParsedQuery, today: date) -> tuple[date, date]:
    """Compute the first and the last day asked for; an open bound is as far away as it may be."""
    reach = timedelta(days=RANGE_DAYS_MAX)
    if query.last is not None:
        return query.first or query.last - reach, query.last
    if query.first is not None:
        return query.first, max(query.first, min(today, query.first + reach))
    return today - reach, today


def _names(given: dict[str, str], name: str) -> frozenset[str]:
    """Parse a comma-separated list to lower case; it may be absent, but have no empty element."""
    if name not in given:
        return frozenset()
    elements = [element.strip().lower() for element in given[name].split(",")]
    if not all(elements):
        raise QueryError(f"{name} holds an empty element")
    return frozenset(elements)


def _day(given: dict[str, str], name: str) -> date | None:
    """Parse a date written as YYYY-MM-DD; None when it is absent."""
    text = given.get(name)
    if text is None:
        return None
    message = f"{name} must be a date, YYYY-MM-DD"
    if not _DATE.fullmatch(text):
        raise QueryError(message)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise QueryError(message) from error


def _count(given: dict[str, str], name: str, default: int, most: int) -> int:
    """Parse a whole number from 1 to the largest allowed."""
    text = given.get(name, str(default))
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
        raise QueryError(f"{name} must be a whole number from 1 to {most}")
    return int(text)


def _amount(given: dict[str, str], name: str) -> float:
    """Parse a minimum amount in dollars."""
    text = given.get(name, "0")
    if not _AMOUNT.fullmatch(text):
        raise QueryError(f"{name} must be an amount")
    return float(text)
