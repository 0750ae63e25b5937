"""Prices, levels and measures of a token, each with the instant from which it was known.

`published_at` is the provider's instant and `known_at` ours; no decision uses data before both.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from bot.domain.ids import TokenId
from bot.domain.numbers import Price

# A halt lasts at least this long from the close of a bar with trades to the next opening.
HALT_LENGTH = timedelta(days=7)


class Bar(NamedTuple):
    """A closed bar in quote currency; a quote is a bar of one price, open only at its known_at.

    volume: as the source counts it; None when unknown, as is zero before the first above zero,
    because some files hold only zeros.
    """

    opened_at: datetime
    closed_at: datetime
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Decimal | None = None

    @property
    def is_quiet(self) -> bool:
        """Check whether nothing was traded; such a bar marks positions but fills no order."""
        return self.volume is not None and not self.volume


def one_price(at: datetime, price: Price) -> Bar:
    """Build the bar of a single quote."""
    return Bar(at, at, price, price, price, price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The last price of a token, and when it was known."""

    token_id: TokenId
    price: Price
    known_at: datetime


class Level(NamedTuple):
    """A support or a resistance; its place relative to the price decides which.

    strength: 0..1, from the provider, or computed from the bars; None when neither gives one.
    merged: the number of recorded levels merged into this one.
    """

    price: Price
    strength: Decimal | None = None
    computed: bool = False
    merged: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSet:
    """All levels of a token that are known from known_at on, in ascending order of price.

    unread: the number of its levels that could not be read, if any; the set is not known then.
    """

    token_id: TokenId
    published_at: datetime
    known_at: datetime
    levels: tuple[Level, ...]
    unread: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantMetrics:
    """Measures of a token's life, as fractions: volatility annualised, max_drawdown negative."""

    token_id: TokenId
    published_at: datetime
    known_at: datetime
    volatility: Decimal | None
    sharpe: Decimal | None
    sortino: Decimal | None
    max_drawdown: Decimal | None
    cagr: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grades:
    """The provider's grades of a token, 0..100; None where not given."""

    token_id: TokenId
    published_at: datetime
    known_at: datetime
    trader_grade: Decimal | None
    investor_grade: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSize:
    """Market capitalisation and 24-hour volume in quote currency; None where not given."""

    token_id: TokenId
    known_at: datetime
    market_cap: Decimal | None
    volume_24h: Decimal | None
