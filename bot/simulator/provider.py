"""What the provider computes from a market, and when it publishes it.

A row of a day is published some minutes after the day ends, a row of an hour within two minutes
after the hour ends; nothing that depends on a later price is ever published.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from zlib import crc32

from bot.simulator import metrics, signals
from bot.simulator.levels import DrawnLevel, LevelBook
from bot.simulator.listing import Token
from bot.simulator.market import DAY_HOURS, Market, remember, stream

DAY_DELAY_SECONDS = (120, 1080)  # the least delay, and the spread added to it
HOUR_DELAY_SECONDS = (20, 100)


class Provider:
    """The provider's tables over a market, each computed on first use."""

    def __init__(self, market: Market) -> None:
        """Start with empty tables over a market."""
        self.market = market
        self._delays = stream(market.seed, 0, 2).random_sample(market.days + 1).tolist()
        self._calls: dict[int, signals.Calls] = {}
        self._hourly: dict[int, signals.Calls] = {}
        self._grades: dict[int, signals.GradeColumns] = {}
        self._returns: dict[int, signals.Returns] = {}
        self._levels: dict[int, LevelBook] = {}

    def published_day(self, now: datetime) -> int:
        """Find the number of the last day whose rows are published; negative when none are."""
        day = min(self.market.day_of(now), self.market.days)
        if day < 0:
            return -1
        least, spread = DAY_DELAY_SECONDS
        ended = self.market.hour_opening(day * DAY_HOURS)
        return (
            day - 1
            if now >= ended + timedelta(seconds=least + int(spread * self._delays[day]))
            else day - 2
        )

    def published_hour(self, now: datetime) -> int:
        """Find the number of the last hour whose rows are published; negative when none are."""
        hour = min(self.market.hour_of(now), self.market.hours)
        if hour < 0:
            return -1
        least, spread = HOUR_DELAY_SECONDS
        delay = timedelta(seconds=least + crc32(f"{self.market.seed} {hour}".encode()) % spread)
        return hour - 1 if now >= self.market.hour_opening(hour) + delay else hour - 2

    def shuffle(self, step: int, tokens: tuple[Token, ...]) -> list[Token]:
        """Sort tokens into the arbitrary order that the rows of a day or hour have."""
        return sorted(
            tokens, key=lambda token: crc32(f"{self.market.seed} {step} {token.token_id}".encode())
        )

    def calls(self, token_id: int) -> signals.Calls:
        """Get the daily calls of a token."""
        return remember(self._calls, token_id, lambda key: signals.daily_calls(self.market, key))

    def hourly_calls(self, token_id: int) -> signals.Calls:
        """Get the hourly calls of a token."""
        return remember(self._hourly, token_id, lambda key: signals.hourly_calls(self.market, key))

    def grades(self, token_id: int) -> signals.GradeColumns:
        """Get the grades of a token."""
        return remember(
            self._grades, token_id, lambda key: signals.grades(self.market, key, self.calls(key))
        )

    def returns(self, token_id: int) -> signals.Returns:
        """Get the cumulative returns of following a token's calls and of holding the token."""
        return remember(
            self._returns, token_id, lambda key: signals.returns(self.market, key, self.calls(key))
        )

    def levels(self, token_id: int, day: int) -> tuple[DrawnLevel, ...]:
        """List the levels of a token known after the close of a day."""
        return remember(
            self._levels, token_id, lambda key: LevelBook(self.market, key)
        ).levels_after(day)

    def quantmetrics(self, token_id: int, day: int) -> Mapping[str, float | None]:
        """Compute the lifetime statistics of a token known after the close of a day."""
        return metrics.quantmetrics(self.market, token_id, day)
