"""Recorded requests and answers, kept before they are interpreted, and the data read from them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from bot.domain.ids import TokenId
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.signals import Signal

QUOTE = "quote"
SPANS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One request, without its secret, and its answer; answer_hash names the body, if any.

    error: why the answer is no data, in our words; None for a good one.
    provider_request_id: how the provider names the request, when it says so.
    """

    request_id: str
    at: datetime
    known_at: datetime
    slot: datetime
    endpoint: str
    query: str
    status: int | None
    attempts: int
    seconds: float
    size: int
    rows: int | None
    credits: int
    answer_hash: str | None
    error: str | None = None
    provider_request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAttempt:
    """One attempt of a request.

    number: from 1. retry_after: the server's Retry-After in seconds. error, provider_request_id:
    see ApiCall.
    """

    request_id: str
    number: int
    status: int | None
    seconds: float
    retry_after: float | None
    error: str | None
    provider_request_id: str | None


class Refusal(NamedTuple):
    """A row of an answer, or a field of it, that could not be read.

    token_id: None when the row names none. field: the name of the field, or `row`.
    value: what came, as JSON text cut to 80 characters. whole: the row was refused, not only the
    field.
    """

    token_id: TokenId | None
    field: str
    reason: str
    value: str
    whole: bool


class HoleState(StrEnum):
    """What is known of a stretch that was asked for and did not come.

    open: it is asked for again. filled: it came at last. lost: nobody can give it any more.
    final: the plan does not include it, and history begins behind it.
    """

    OPEN = "open"
    FILLED = "filled"
    LOST = "lost"
    FINAL = "final"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A stretch of a feed that was asked for and did not come whole, as known from an instant on.

    missing: `daily` or `hourly` signals, bars `1d` or `1h`, a `quote`, or the feed's
    name. starts_at, ends_at: both inclusive; equal for a feed that gives only its newest rows.
    next_at: when it is asked for again, if ever. reason: why it is missing, in our words.
    """

    feed: str
    missing: str
    tokens: tuple[TokenId, ...]
    starts_at: datetime
    ends_at: datetime
    known_at: datetime
    state: HoleState
    attempts: int
    next_at: datetime | None
    reason: str

    @property
    def name(self) -> tuple[str, tuple[TokenId, ...], datetime, datetime]:
        """What stays the same of the hole over its attempts."""
        return self.feed, self.tokens, self.starts_at, self.ends_at

    @property
    def is_unsure(self) -> bool:
        """Check whether something that nobody read may lie inside the stretch."""
        return self.state in {HoleState.OPEN, HoleState.LOST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Until when a provider's host asked to be left alone by a key; digest: of the key."""

    host: str
    key_digest: str
    known_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrint:
    """A bar (timeframe 1h, 1d) or a quote of a token, and when it was first known."""

    token_id: TokenId
    timeframe: str
    known_at: datetime
    bar: Bar


def timeframe_of(bar: Bar) -> str:
    """Name the timeframe of a bar: `1d`, `1h`, `5m`, or `quote` for one price at an instant."""
    span = bar.closed_at - bar.opened_at
    for unit, name in SPANS:
        if span >= unit:
            return f"{span // unit}{name}"
    return QUOTE


Datum = Signal | LevelSet | QuantMetrics | Grades | MarketSize | TokenPrint
