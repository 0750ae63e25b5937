"""Prices, levels and measures of a token, each with the instant we could know it.

`published_at` is the provider's instant, `known_at` ours; nothing decides on a datum before both.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from bot.domain.ids import TokenId
from bot.domain.numbers import Price

# From the close of a bar that is not quiet to the opening of the next: as long a stretch, or a longer one, is a halt.
HALT_LENGTH = timedelta(days=7)


class Bar(NamedTuple):
    """A closed candle in quote currency; a quote is a bar of one price whose open and close are its known_at.

    volume: as the source counts it; None: unknown. Until a bar of its token with a volume above zero has closed, a
    volume of zero is unknown too: some files hold nothing but zeros.
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
        """Tell whether nothing was traded in it: such a bar marks positions and fills no order."""
        return self.volume is not None and not self.volume


def one_price(at: datetime, price: Price) -> Bar:
    """Make the bar of a single quote."""
    return Bar(at, at, price, price, price, price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A last price of a token, and when we had it."""

    token_id: TokenId
    price: Price
    known_at: datetime


class Level(NamedTuple):
    """A support or resistance, unlabelled; strength 0..1 where a provider gives one, or from the bars where computed.

    merged: how many recorded levels it stands for.
    """

    price: Price
    strength: Decimal | None = None
    computed: bool = False
    merged: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSet:
    """All levels of a token known from known_at on, in ascending order of price."""

    token_id: TokenId
    published_at: datetime
    known_at: datetime
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantMetrics:
    """Lifetime measures of a token; volatility annualised, max_drawdown negative, all fractions; None: not given."""

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
    """The provider's grades of a token, 0..100; None: not given."""

    token_id: TokenId
    published_at: datetime
    known_at: datetime
    trader_grade: Decimal | None
    investor_grade: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSize:
    """A token's market capitalisation and 24-hour volume in quote currency; None: not given."""

    token_id: TokenId
    known_at: datetime
    market_cap: Decimal | None
    volume_24h: Decimal | None
