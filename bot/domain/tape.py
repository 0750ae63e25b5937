"""What is recorded of the outside before anyone interprets it, and the data read from it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.ids import TokenId
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.signals import Signal

QUOTE = "quote"
SPANS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One request and its answer; the query holds no secret, answer_hash names the stored body (None: no answer)."""

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
    """A bar (timeframe 1h, 1d) or a quote of a token, and when we first had it."""

    token_id: TokenId
    timeframe: str
    known_at: datetime
    bar: Bar


def timeframe_of(bar: Bar) -> str:
    """Return the timeframe that a bar spans: `1d`, `1h`, `5m`; `quote` for one price at an instant."""
    span = bar.closed_at - bar.opened_at
    for unit, name in SPANS:
        if span >= unit:
            return f"{span // unit}{name}"
    return QUOTE


Datum = Signal | LevelSet | QuantMetrics | Grades | MarketSize | TokenPrint
