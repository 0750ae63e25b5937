"""Recorded requests and answers, kept before they are interpreted, and the data read from them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.ids import TokenId
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.signals import Signal

QUOTE = "quote"
SPANS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One request, without its secret, and its answer; answer_hash names the body, if any."""

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
