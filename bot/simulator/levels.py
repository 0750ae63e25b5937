"""Support and resistance levels: swing highs and lows of the daily bars, with near ones merged.

A level becomes known only `CONFIRMED_DAYS` after its day, and none lies above the highest price
traded until then.
"""

from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from bot.simulator.market import Market, stream

CONFIRMED_DAYS = 14
SWING_DAYS = 2
REPAINT_SHARE = 0.08  # of the swings near a known level: they replace it
WHOLE_FROM = 1000.0  # the provider often writes prices from here on as whole numbers
NOISY_SHARE, WHOLE_SHARE = 0.15, 0.55


class DrawnLevel(NamedTuple):
    """A level and the day on which the price turned there."""

    day: int
    price: float


class LevelBook:
    """One token's sets of levels by day; a later day may add a level or replace levels near it."""

    def __init__(self, market: Market, token_id: int) -> None:
        """Build the sets of levels from the token's swings over the whole market."""
        self._days: list[int] = []
        self._sets: list[tuple[DrawnLevel, ...]] = []
        merged = merge_fraction(market.tokens[token_id].volatility)
        drawn = stream(market.seed, token_id, 4).random_sample((market.days, 2)).tolist()
        known: tuple[DrawnLevel, ...] = ()
        for day, turned in _swings(market, token_id):
            noise, chance = drawn[day]
            price = _write_price(turned, noise)
            near = tuple(level for level in known if abs(level.price / price - 1) < merged)
            if near and chance >= REPAINT_SHARE:
                continue
            known = (*(level for level in known if level not in near), DrawnLevel(day, price))
            self._days.append(day + CONFIRMED_DAYS)
            self._sets.append(known)

    def levels_after(self, day: int) -> tuple[DrawnLevel, ...]:
        """List the levels known after the close of a day, oldest discovery first."""
        index = bisect_right(self._days, day)
        return self._sets[index - 1] if index else ()


def merge_fraction(volatility: float) -> float:
    """Compute the fraction within which levels merge: 0.01 to 0.04, by volatility."""
    return min(0.04, max(0.01, 0.07 * volatility))


def _swings(market: Market, token_id: int) -> list[DrawnLevel]:
    """Find the days on which the price turned, in order, with the price of each turn."""
    born, bars = market.born_day(token_id), market.daily(token_id)
    swings: list[DrawnLevel] = []
    for day in range(born + SWING_DAYS, market.days - SWING_DAYS):
        around = slice(day - SWING_DAYS, day + SWING_DAYS + 1)
        if bars.high[day] >= bars.high[around].max():
            swings.append(DrawnLevel(day, float(bars.high[day])))
        elif bars.low[day] <= bars.low[around].min():
            swings.append(DrawnLevel(day, float(bars.low[day])))
    return swings


def _write_price(price: float, noise: float) -> float:
    """Write a price like the provider: some with binary noise, large ones often whole.

    None is written higher than it is.
    """
    if noise < NOISY_SHARE:
        return float(np.nextafter(price, 0.0))
    if price >= WHOLE_FROM and noise < NOISY_SHARE + WHOLE_SHARE:
        return float(np.floor(price))
    return price
