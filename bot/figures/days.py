"""Figures of a token's daily bars, each from the days up to its own: no later day changes one.

Columns hold one row a day, ascending; a figure that a formula cannot give is NaN.
"""

from collections.abc import Mapping
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from bot.domain.instants import DAYS_A_YEAR
from bot.domain.reach import Floats

Rows = npt.NDArray[np.intp]

RETURNS_MIN = 30
# A smaller deviation of daily returns is the rounding of prices.
DEVIATION_MIN = 1e-9
# Few enough decimals that the math libraries of all machines give the same figure.
DECIMALS = 6
FIGURE_MAX = 1e15
FAST_DAYS, SLOW_DAYS = 20, 50


def find_pivots(highs: Floats, lows: Floats, span: int) -> tuple[Rows, Floats]:
    """Find the days whose high or low is the extreme of `span` days before and after them.

    Returns the rows of these days, ascending, and the prices; a pivot is known once the `span`-th
    day after it has closed.
    """
    width = 2 * span + 1
    if len(highs) < width:
        return np.empty(0, np.intp), np.empty(0)
    around = np.lib.stride_tricks.sliding_window_view
    middle = slice(span, len(highs) - span)
    tops = np.flatnonzero(around(highs, width).max(axis=1) == highs[middle]) + span
    bottoms = np.flatnonzero(around(lows, width).min(axis=1) == lows[middle]) + span
    rows, prices = np.concatenate([tops, bottoms]), np.concatenate([highs[tops], lows[bottoms]])
    order = rows.argsort(kind="stable")
    return rows[order], prices[order]


def count_touches(rows: Rows, prices: Floats, highs: Floats, lows: Floats, within: float) -> Rows:
    """Count the days from each pivot's own on whose high or low is within a fraction of its price.

    Returns one row a pivot and one column a day: the count up to that day.
    """
    bound = (within * prices)[:, None]
    near = (np.abs(highs - prices[:, None]) <= bound) | (np.abs(lows - prices[:, None]) <= bound)
    near &= np.arange(len(highs)) >= rows[:, None]
    return near.cumsum(axis=1, dtype=np.intp)


def measure_days(closes: Floats) -> Mapping[str, Floats]:
    """Compute the measures of each day from all closes up to it, from the thirtieth return on.

    volatility: sample standard deviation of the simple daily returns x sqrt(365). sharpe, sortino,
    cagr: as in `performance`, with a risk-free rate and a target of zero. max_drawdown: the lowest
    close over the highest before it, less 1. All are rounded to six decimals; one of 10^15 or more
    is NaN, and so is a ratio to a deviation that is zero but for rounding.
    """
    if len(closes) <= RETURNS_MIN:
        names = ("volatility", "sharpe", "sortino", "max_drawdown", "cagr")
        return {name: np.full(len(closes), np.nan) for name in names}
    returns, count = closes[1:] / closes[:-1] - 1, np.arange(1, len(closes))
    # Sums of what lies beyond the first return: those of equal returns are then exactly zero.
    beyond = returns - returns[0]
    total, squares = np.cumsum(beyond), np.cumsum(beyond * beyond)
    mean = returns[0] + total / count
    spread = np.sqrt(np.maximum(squares - total * total / count, 0) / np.maximum(count - 1, 1))
    downside = np.sqrt(np.cumsum(np.minimum(returns, 0) ** 2) / count)
    year = np.sqrt(DAYS_A_YEAR)
    with np.errstate(over="ignore"):
        growth = (closes[1:] / closes[0]) ** (DAYS_A_YEAR / count) - 1
    found = {
        "volatility": spread * year,
        "sharpe": _ratio(mean, spread) * year,
        "sortino": _ratio(mean, downside) * year,
        "max_drawdown": np.minimum.accumulate(closes / np.maximum.accumulate(closes))[1:] - 1,
        "cagr": growth,
    }
    return {name: _only_reliable(figures) for name, figures in found.items()}


def _ratio(mean: Floats, deviation: Floats) -> Floats:
    """Divide by a deviation; NaN where it is zero but for rounding."""
    varies = deviation >= DEVIATION_MIN
    return np.where(varies, mean / np.where(varies, deviation, 1.0), np.nan)


def _only_reliable(figures: Floats) -> Floats:
    """Round figures, one a return, and put the day of the first close before them."""
    known = (np.arange(len(figures)) + 1 >= RETURNS_MIN) & (np.abs(figures) < FIGURE_MAX)
    rounded = np.round(np.where(known, figures, np.nan), DECIMALS) + 0.0  # no minus zero
    return np.concatenate([[np.nan], rounded])


def find_crosses(closes: Floats) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Find the days on which the 20-day average of closes crosses the 50-day one.

    The averages are exponential, with the weight 2 / (days + 1), and begin at the first close; the
    first fifty days only warm them up. Returns the rows of these days, and whether the fast average
    is above from then on. Where both are equal, the side of before lasts.
    """
    fast, slow = (_smooth(closes, 2 / (days + 1)) for days in (FAST_DAYS, SLOW_DAYS))
    sides = np.sign(fast - slow)
    # Each row takes the last side that was not zero.
    sides = sides[np.maximum.accumulate(np.where(sides != 0, np.arange(len(sides)), 0))]
    turned = np.flatnonzero(sides[1:] * sides[:-1] < 0) + 1
    turned = turned[turned >= SLOW_DAYS]
    return turned, sides[turned] > 0


def _smooth(closes: Floats, weight: float) -> Floats:
    return np.array(list(accumulate(closes.tolist(), lambda mean, close: mean + weight * (close - mean))))
