"""Quiet bars, halts and jumps in columns of bars, found when a file is parsed.

Nothing here looks ahead: whether a bar is quiet depends on it and on earlier bars alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bot.adapters.history.pack import Words
from bot.domain.instants import MICROSECOND
from bot.domain.market import HALT_LENGTH
from bot.domain.numbers import from_float, plain
from bot.domain.reach import Floats

RISE, FALL = 10, 100  # a jump: over 10 times the close before it, or under a 100th of it
NEARLY = 1e-12  # widens float comparisons beyond their rounding; exact decimals then decide


class Jump(NamedTuple):
    """A bar whose price is far from the close before it; line: its line, or its row in Parquet."""

    line: int
    price: float
    close_before: float

    def __str__(self) -> str:
        """Describe it in one line."""
        price, before = (plain(from_float(value)) for value in (self.price, self.close_before))
        return (
            f"{self.line}: {price} after {before}: "
            "a split, a redenomination, another coin under the name, or wrong"
        )


def known_volumes(volumes: Floats) -> Floats:
    """Replace by NaN each zero before the first volume above zero: such a zero may mean unknown."""
    traded = volumes > 0
    first = int(traded.argmax()) if traded.any() else len(volumes)
    if not (volumes[:first] == 0).any():
        return volumes
    known = volumes.copy()
    known[:first] = np.nan
    return known


def quiet_runs(volumes: Floats) -> Words:
    """Find the first row and the end of each stretch of quiet bars, as two rows of indices.

    volumes: as `known_volumes` gives them.
    """
    quiet = np.concatenate([[False], volumes == 0, [False]])
    if not quiet.any():
        return np.empty((2, 0), np.int64)
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
    """Find the jumps among bars, in three rows: line, price and close before (floats as bits).

    lines: the line of each bar in its file.
    """
    _, highs, lows, closes = prices
    before = closes[:-1]
    far = (highs[1:] >= before * (RISE * (1 - NEARLY))) | (lows[1:] <= before / FALL * (1 + NEARLY))
    found = []
    for row in (np.flatnonzero(far) + 1).tolist():
        high, low, close = (
            from_float(float(value)) for value in (highs[row], lows[row], closes[row - 1])
        )
        if high > close * RISE or low * FALL < close:
            found.append((lines[row], float(high if high > close * RISE else low), float(close)))
    made = np.empty((3, len(found)), np.int64)
    if found:
        made[0] = [line for line, _, _ in found]
        made[1:] = np.array([figures for _, *figures in found]).T.copy().view(np.int64)
    return made


def read_jumps(block: Words, limit: int) -> list[Jump]:
    """Read the first jumps, at most `limit`, that `jumps_in` found."""
    lines, figures = (
        block[0, :limit].tolist(),
        np.ascontiguousarray(block[1:, :limit]).view(np.float64),
    )
    return [Jump(line, *both) for line, both in zip(lines, figures.T.tolist(), strict=True)]
