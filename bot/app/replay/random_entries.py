"""Replays of a strategy with random entries: each run moves the instants of its signals.

Gates, levels, brackets, sizes and exits stay the strategy's own; nothing is written anywhere.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from bot.adapters.history.blocks import DatedRows, Series, blocks_of
from bot.adapters.history.dated import SIGNALS, STANCES
from bot.adapters.history.folder import History, HistoryArchive
from bot.adapters.history.pack import Words
from bot.adapters.history.reader import micros
from bot.app.replay.tally import Tally
from bot.app.telling.progress import tell_progress
from bot.domain.ids import TokenId
from bot.domain.record import CycleRecord
from bot.domain.signals import Episode, Stance
from bot.figures.account import figures_of
from bot.figures.luck import Drawn

SEED = 1
HALF_BITS = 32

NEUTRAL = float(STANCES.index(Stance.NEUTRAL))

Play = Callable[[History], Iterator[CycleRecord]]


def draw(history: History, slots: Sequence[datetime], play: Play, count: int) -> list[Drawn]:
    """Replay a strategy `count` times in memory, each time with its signals at other instants."""
    bits, archive = np.random.PCG64(SEED), history.archive
    found: list[Drawn] = []
    for number in range(1, count + 1):
        episodes = rotate_stances(archive.records.episodes, archive.instruments, slots, bits)
        records = replace(archive.records, episodes=episodes)
        turned = HistoryArchive(archive.instruments, archive.columns, records, archive.inner)
        tally = Tally()
        for record in play(replace(history, archive=turned)):
            tally.add(record.facts)
        found.append(figures_of(tally.points, tally.trades(), tally.fall))
        tell_progress("runs with random entries", number, count)
    return found


def rotate_stances(
    episodes: DatedRows[Episode],
    tokens: Iterable[TokenId],
    slots: Sequence[datetime],
    bits: np.random.PCG64,
) -> DatedRows[Episode]:
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
    for token_id in sorted(tokens):
        known, half = episodes.of(token_id), int(bits.random_raw()) >> HALF_BITS
        if known is None:
            continue
        series, end = known.series, micros(slots[-1])
        turns = series.at[series.turns]
        turns = turns[(turns >= micros(slots[0])) & (turns < end)]
        first = bisect_right(slots, int(turns[0]), key=micros) if len(turns) else len(slots)
        count = max(bisect_left(slots, end, key=micros) - first, 0)
        shift = micros(slots[first + ((half * count) >> HALF_BITS)]) - int(turns[0]) if count else 0
        blocks |= (
            _rotate_token(token_id, series, turns, end, shift)
            if count
            else _as_is(token_id, series)
        )
    return DatedRows(blocks, SIGNALS.make)


def _rotate_token(
    token_id: TokenId, series: Series, turns: Words, end: int, shift: int
) -> dict[str, Words]:
    """Delay a token's stances by `shift` from its first turn on; grades stay at their instants.

    A stance that would come after `end` comes at the start of the circle.
    end, shift: microseconds.
    """
    begin = int(turns[0])
    moved = begin + (turns - begin + shift) % (end - begin)
    early = series.at[series.at < begin]
    late = np.unique(np.concatenate([moved, series.at[(series.at >= begin) & (series.at < end)]]))
    asked = series.at.searchsorted(begin + (late - begin - shift) % (end - begin), side="right") - 1
    stances = np.where(late < moved.min(), NEUTRAL, series.numbers[0, asked])
    at = np.concatenate([early, late])
    rows = series.at.searchsorted(at, side="right") - 1
    columns = [
        [*series.numbers[0, : len(early)].tolist(), *stances.tolist()],
        *series.numbers[1:, rows].tolist(),
    ]
    exact = {(column, row): text for column, row, text in series.texts()}
    cells = (
        (column, place, row)
        for column in range(1, len(columns))
        for place, row in enumerate(rows.tolist())
    )
    texts = [
        (column, place, exact[column, row])
        for column, place, row in cells
        if (column, row) in exact
    ]
    return blocks_of(token_id, at.tolist(), columns, texts)


def _as_is(token_id: TokenId, series: Series) -> dict[str, Words]:
    return blocks_of(token_id, series.at.tolist(), series.numbers.tolist(), series.texts())
