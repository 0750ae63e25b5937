"""Support and resistance levels: swing highs and lows of the daily bars, with near ones merged.

A level becomes known only `CONFIRMED_DAYS` after its day, and none lies above the highest price
traded until then.
"""

from typing import NamedTuple

import numpy as np

from bot.simulator.market import Market, stream

CONFIRMED_DAYS = 14
SWING_DAYS = 2
REPAINT_SHARE = 0.08  # of the swings near a known level: they replace it
WHOLE_FROM = 1000.0  # the provider often writes prices from here on as whole numbers
WHOLE_SHARE = 0.7


class DrawnLevel(NamedTuple):
    """A level and the day on which the price turned there."""

    day: int
    price: float


def list_levels(market: Market, token_id: int) -> list[tuple[DrawnLevel, ...]]:
    """List for each day the levels known after its close, oldest discovery first.

    A later day may add a level or replace the levels near it.
    """
    swings = _find_swings(market, token_id)
    merged = merge_fraction(market.tokens[token_id].volatility)
    drawn = stream(market.seed, token_id, 4).random_sample((market.days, 2)).tolist()
    known: tuple[DrawnLevel, ...] = ()
    by_day = []
    for turned in range(-CONFIRMED_DAYS, market.days - CONFIRMED_DAYS):
        if turned in swings:
            whole, chance = drawn[turned]
            price = _write_price(swings[turned], whole)
            near = tuple(level for level in known if abs(level.price / price - 1) < merged)
            if not near or chance < REPAINT_SHARE:
                kept = (level for level in known if level not in near)
                known = (*kept, DrawnLevel(turned, price))
        by_day.append(known)
    return by_day


def merge_fraction(volatility: float) -> float:
    """Compute the fraction within which levels merge: 0.01 to 0.04, by volatility."""
    return min(0.04, max(0.01, 0.07 * volatility))


def _find_swings(market: Market, token_id: int) -> dict[int, float]:
    """Find the days on which the price turned, with the price of each turn."""
    bars, swings = market.daily(token_id), {}
    for day in range(market.born_day(token_id) + SWING_DAYS, market.days - SWING_DAYS):
        around = slice(day - SWING_DAYS, day + SWING_DAYS + 1)
        if bars.high[day] >= bars.high[around].max():
            swings[day] = float(bars.high[day])
        elif bars.low[day] <= bars.low[around].min():
            swings[day] = float(bars.low[day])
    return swings


def _write_price(price: float, drawn: float) -> float:
    """Write a price like the provider, large ones often whole; none higher than it is."""
    if price >= WHOLE_FROM and drawn < WHOLE_SHARE:
        return float(np.floor(price))
    return price
