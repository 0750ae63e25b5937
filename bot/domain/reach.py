"""What a bar has to reach to concern a position, and the scan of columns for the first that does.

It selects and never decides: a bar that is found is settled in exact decimals, one that is passed over reaches nothing.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SCAN_ROWS, SCAN_ROWS_MAX = 64, 8192


NEVER = 2**63 - 1


class Reach(NamedTuple):
    """What a bar has to reach to concern a position: a low of below or less, a high of above or more.

    due: microseconds since 1970; every bar that opens then or later concerns it.
    """

    below: float
    above: float
    due: int = NEVER


EVERY_BAR = Reach(float("inf"), float("-inf"))
NO_BAR = Reach(float("-inf"), float("inf"))


def first_touch(lows: Floats, highs: Floats, reach: Reach) -> int | None:
    """Return the first row of two columns of equal length whose prices concern a position."""
    start, span = 0, SCAN_ROWS
    while start < len(lows):
        end = start + span
        hit = (lows[start:end] <= reach.below) | (highs[start:end] >= reach.above)
        found = int(hit.argmax())
        if hit[found]:
            return start + found
        start, span = end, min(span * 4, SCAN_ROWS_MAX)
    return None
