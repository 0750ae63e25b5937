"""Replays of a strategy with random entries: each run moves the instants of its signals.

Gates, levels, brackets, sizes and exits stay the strategy's own; nothing is written anywhere.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bot.adapters.history.blocks import Series, blocks_of, series_in
from bot.adapters.history.dated import STANCES
from bot.adapters.history.pack import Words
from bot.adapters.history.reader import micros
from bot.domain.ids import TokenId
from bot.domain.reach import Floats
from bot.domain.signals import Stance

SEED = 1
HALF_BITS = 32

NEUTRAL = float(STANCES.index(Stance.NEUTRAL))


class Rotated(NamedTuple):
    """A token's rows with its stances at other instants, the first `early` ones as they were."""

    at: Words
    stances: Floats
    rows: npt.NDArray[np.intp]
    early: int


def rotate_stances(
    signals: Mapping[str, Words],
    tokens: Iterable[TokenId],
    slots: Sequence[datetime],
    bits: np.random.PCG64,
) -> dict[str, Words]:
    """Rotate each token's stances round a circle of time, so that its turns come at other slots.

    The circle goes from the token's first turn in the window to the last slot. Stances before that
    turn stay as they are. Each spell on the circle keeps its stance, its length and its neighbours,
    so there are as many turns to bullish and to bearish as before. There is one turn less if the
    last spell and the first have the same stance and join; there is never one more. The spell that
    the ends of the circle cut in two keeps its late part; its early part becomes neutral, because a
    turn there would be an entry that the run itself cannot have.

    Drawing a rule's answers against unchanged prices is the permutation test of Aronson 2006,
    Evidence-Based Technical Analysis, chapter 6; the circle is that of Politis and Romano 1992, A
    Circular Block-Resampling Procedure for Stationary Data.
    """
    blocks: dict[str, Words] = {}
    every = series_in(signals)
    for token_id in sorted(tokens):
        series, half = every.get(token_id), draw_half(bits)
        if series is not None and (rotated := rotate_rows(series, slots, half)):
            blocks |= _rebuild(series, rotated)
        elif series is not None:
            blocks |= blocks_of(token_id, series.at, series.numbers, series.texts)
    return blocks


def draw_half(bits: np.random.PCG64) -> int:
    """Draw 64 bits and keep the upper 32."""
    return int(bits.random_raw()) >> HALF_BITS


def rotate_rows(series: Series, slots: Sequence[datetime], half: int) -> Rotated | None:
    """Delay a token's stances from its first turn in the window on; other columns stay in place.

    series: its first column is the stance. half: 32 bits, which choose the delay. None: no choice.
    """
    end = micros(slots[-1])
    turns = series.at[series.turns]
    turns = turns[(turns >= micros(slots[0])) & (turns < end)]
    first = bisect_right(slots, int(turns[0]), key=micros) if len(turns) else len(slots)
    count = bisect_left(slots, end, key=micros) - first
    if count <= 0:
        return None
    begin = int(turns[0])
    shift = micros(slots[first + ((half * count) >> HALF_BITS)]) - begin
    moved = begin + (turns - begin + shift) % (end - begin)
    early = series.at[series.at < begin]
    late = np.unique(np.concatenate([moved, series.at[(series.at >= begin) & (series.at < end)]]))
    asked = series.at.searchsorted(begin + (late - begin - shift) % (end - begin), side="right") - 1
    stances = np.where(late < moved.min(), NEUTRAL, series.numbers[0, asked])
    at = np.concatenate([early, late])
    rows = series.at.searchsorted(at, side="right") - 1
    whole = np.concatenate([series.numbers[0, : len(early)], stances])
    return Rotated(at, whole, rows, len(early))


def _rebuild(series: Series, rotated: Rotated) -> dict[str, Words]:
    """Build the blocks of a token with its stances at other instants."""
    columns = series.numbers[:, rotated.rows]
    columns[0] = rotated.stances
    texts = {
        (column, place): text
        for place, row in enumerate(rotated.rows.tolist())
        for column in range(1, len(columns))
        if (text := series.texts.get((column, row)))
    }
    return blocks_of(series.token_id, rotated.at, columns, texts)
