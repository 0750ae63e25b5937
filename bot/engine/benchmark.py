"""What the market gave without any decision: equal parts of the universe, bought once and kept."""

import numpy as np

from bot.domain.reach import Floats


def buy_and_hold(closes: Floats) -> Floats:
    """Return at each instant the worth of one unit of money, split into equal parts that each buy a token and keep it.

    closes: a row for each instant, a column for each token, NaN before its first close; until then its part is cash.
    Free of costs.
    """
    known = ~np.isnan(closes)
    first = closes[known.argmax(axis=0), np.arange(closes.shape[1])]
    worth: Floats = np.where(known, closes / first, 1.0).mean(axis=1)
    return worth
