"""Quiet bars, halts and jumps in columns of bars, found when a file is parsed.

Nothing here looks ahead: whether a bar is quiet depends on it and on earlier bars alone.
"""

from collections.abc import Sequence

import numpy as np

from bot.adapters.history.pack import Words
from bot.domain.instants import MICROSECOND
from bot.domain.market import HALT_LENGTH
from bot.domain.numbers import from_float, plain
from bot.domain.reach import Floats

RISE, FALL = 10, 100  # a jump: over 10 times the close before it, or under a 100th of it
NEARLY = 1e-12  # widens float comparisons beyond their rounding; exact decimals then decide


def known_volumes(volumes: Floats) -> Floats:
    """Replace by NaN each zero before the first volume above zero: such a zero may mean unknown."""
    has_traded = np.logical_or.accumulate(volumes > 0)
    return np.where((volumes == 0) & ~has_traded, np.nan, volumes)


def quiet_runs(volumes: Floats) -> Words:
    """Find the first row and the end of each stretch of quiet bars, as two rows of indices.

    volumes: as `known_volumes` gives them.
    """
    quiet = np.concatenate([[False], volumes == 0, [False]])
    return np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2).T.astype(np.int64)


def halts_in(opened_at: Words, span: int, volumes: Floats) -> Words:
    """Find the last bar traded before each halt and the first after it, as two rows of indices.

    The end of the file is the last halt; its second index is the number of bars.
    """
    if not len(opened_at):
        return np.empty((2, 0), np.int64)
    traded = np.flatnonzero(volumes != 0)
    closed_at, opens = opened_at[traded] + span, opened_at[traded]
    places = np.flatnonzero(opens[1:] - closed_at[:-1] >= HALT_LENGTH // MICROSECOND)
    before, after = traded[[*places, -1]], np.append(traded[places + 1], len(opened_at))
    return np.stack([before, after]).astype(np.int64)


def jumps_in(prices: Floats, lines: Sequence[int]) -> Words:
    """Find the jumps among bars, in two rows: their rows, and their lines in the file.

    lines: the line of each bar in its file.
    """
    _, highs, lows, closes = prices
    before = closes[:-1]
    far = (highs[1:] >= before * (RISE * (1 - NEARLY))) | (lows[1:] <= before / FALL * (1 + NEARLY))
    found = [row for row in (np.flatnonzero(far) + 1).tolist() if jump_of(prices, row)]
    return np.array([found, [lines[row] for row in found]], np.int64)


def jump_of(prices: Floats, row: int) -> str | None:
    """Describe how a bar's price is far from the close before it; None when it is not."""
    places = ((1, row), (2, row), (3, row - 1))
    high, low, before = (from_float(prices.item(place)) for place in places)
    if high <= before * RISE and low * FALL >= before:
        return None
    price = high if high > before * RISE else low
    return (
        f"{plain(price)} after {plain(before)}: "
        "a split, a redenomination, another coin under the name, or wrong"
    )
