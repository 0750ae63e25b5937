"""What the provider computes from a market, and when it publishes it.

A row of a day is published some minutes after the day ends, a row of an hour within two minutes
after the hour ends; nothing that depends on a later price is ever published.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache, partial
from zlib import crc32

from bot.simulator import signals
from bot.simulator.levels import list_levels
from bot.simulator.listing import Token
from bot.simulator.market import Market, stream

DAY_DELAY_SECONDS = (120, 1080)  # the least delay, and the spread added to it
HOUR_DELAY_SECONDS = (20, 100)


class SimulatedProvider:
    """The provider's tables over a market by token_id, each computed on first use."""

    def __init__(self, market: Market) -> None:
        """Start with empty tables over a market."""
        self.market = market
        self.calls = cache(partial(signals.daily_calls, market))
        self.hourly_calls = cache(partial(signals.hourly_calls, market))
        self.levels = cache(partial(list_levels, market))
        self.grades = cache(lambda key: signals.grades(market, key, self.calls(key).trend))
        self.returns = cache(lambda key: signals.returns(market, key, self.calls(key).trend))
        self._delays = stream(market.seed, 0, 2).random_sample(market.days).tolist()

    def published_day(self, now: datetime) -> int:
        """Find the number of the last day whose rows are published; negative when none are."""
        least, spread = DAY_DELAY_SECONDS
        delay = least + int(spread * self._delays[self.market.day_of(now)])
        return self.market.day_of(now - timedelta(seconds=delay)) - 1

    def published_hour(self, now: datetime) -> int:
        """Find the number of the last hour whose rows are published; negative when none are."""
        least, spread = HOUR_DELAY_SECONDS
        delay = least + self._draw(self.market.hour_of(now)) % spread
        return self.market.hour_of(now - timedelta(seconds=delay)) - 1

    def shuffle(self, step: int, tokens: Iterable[Token]) -> list[Token]:
        """Sort tokens into the arbitrary order that the rows of a day or hour have."""
        return sorted(tokens, key=lambda token: self._draw(step, token.token_id))

    def _draw(self, *key: int) -> int:
        """Draw a whole number by a key."""
        return crc32(" ".join(map(str, (self.market.seed, *key))).encode())
