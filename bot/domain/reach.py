"""The prices at which a bar matters to a position, and the scan of columns for the first such bar.

The scan only selects bars: a bar that it finds is settled in exact decimals, and a bar that it
passes touches nothing.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SCAN_ROWS, SCAN_ROWS_MAX = 64, 8192
NEVER = 2**63 - 1


class Reach(NamedTuple):
    """When a bar matters to a position: its low is at most below, or its high is at least above.

    due: in microseconds since 1970; every bar that opens at due or later matters.
    """

    below: float
    above: float
    due: int = NEVER


EVERY_BAR = Reach(float("inf"), float("-inf"))
NO_BAR = Reach(float("-inf"), float("inf"))


def first_touch(lows: Floats, highs: Floats, reach: Reach) -> int | None:
    """Find the first row whose low or high is within reach.

    lows, highs: two columns of equal length.
    """
    # The spans grow: a touch is often near, and one long comparison would read every row for it.
    start, span = 0, SCAN_ROWS
    while start < len(lows):
        end = start + span
        hit = (lows[start:end] <= reach.below) | (highs[start:end] >= reach.above)
        found = int(hit.argmax())
        if hit[found]:
            return start + found
        start, span = end, min(span * 4, SCAN_ROWS_MAX)
    return None
