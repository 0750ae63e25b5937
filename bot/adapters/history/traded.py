"""What was traded in columns of bars, and what was not: quiet bars, halts and jumps, found as a file is parsed.

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

RISE, FALL = 10, 100  # a price is named that is more than 10 times the close before it, or less than a 100th of it
NEARLY = 1e-12  # wider than the rounding of a product of floats: what is found within it is compared exactly


class Jump(NamedTuple):
    """A bar whose price is far from the close before it; line: of its file, rows of a Parquet file."""

    line: int
    price: float
    close_before: float

    def __str__(self) -> str:
        """Say it in one line."""
        price, before = (plain(from_float(value)) for value in (self.price, self.close_before))
        return f"{self.line}: {price} after {before}: a split, a redenomination, another coin under the name, or wrong"


def known_volumes(volumes: Floats) -> Floats:
    """Return volumes with NaN for each zero that comes before any volume above zero: such a zero says nothing yet."""
    traded = volumes > 0
    first = int(traded.argmax()) if traded.any() else len(volumes)
    if not (volumes[:first] == 0).any():
        return volumes
    known = volumes.copy()
    known[:first] = np.nan
    return known


def quiet_runs(volumes: Floats) -> Words:
    """Return the first row and the end of each stretch of quiet bars, in two rows, from known volumes."""
    quiet = np.concatenate([[False], volumes == 0, [False]])
    if not quiet.any():
        return np.empty((2, 0), np.int64)
    return np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2).T.astype(np.int64)


def halts_in(opened_at: Words, span: int, volumes: Floats) -> Words:
    """Return for each halt the row of the last bar traded before it and of the first traded after it, in two rows.

    The last halt is the end of the file, where the second row is the number of bars.
    """
    if not len(opened_at):
        return np.empty((2, 0), np.int64)
    traded = np.flatnonzero(volumes != 0)
    closed_at, opens = opened_at[traded] + span, opened_at[traded]
    places = np.flatnonzero(opens[1:] - closed_at[:-1] >= HALT_LENGTH // MICROSECOND)
    before, after = traded[[*places, -1]], np.append(traded[places + 1], len(opened_at))
    return np.stack([before, after]).astype(np.int64)


def jumps_in(prices: Floats, lines: Sequence[int]) -> Words:
    """Return the jumps among bars whose lines these are: line, price, close before (as bits) in three rows."""
    _, highs, lows, closes = prices
    before = closes[:-1]
    far = (highs[1:] >= before * (RISE * (1 - NEARLY))) | (lows[1:] <= before / FALL * (1 + NEARLY))
    found = []
    for row in (np.flatnonzero(far) + 1).tolist():
        high, low, close = (from_float(float(value)) for value in (highs[row], lows[row], closes[row - 1]))
        if high > close * RISE or low * FALL < close:
            found.append((lines[row], float(high if high > close * RISE else low), float(close)))
    made = np.empty((3, len(found)), np.int64)
    if found:
        made[0] = [line for line, _, _ in found]
        made[1:] = np.array([figures for _, *figures in found]).T.copy().view(np.int64)
    return made


def read_jumps(block: Words, limit: int) -> list[Jump]:
    """Read the first of the jumps that `jumps_in` found."""
    lines, figures = block[0, :limit].tolist(), np.ascontiguousarray(block[1:, :limit]).view(np.float64)
    return [Jump(line, *both) for line, both in zip(lines, figures.T.tolist(), strict=True)]
