"""The same strategy with its entries at random: what it earns where only the instants of its signals are drawn.

Gates, levels, brackets, sizes and exits are the strategy's own; nothing is written anywhere.
"""

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median
from typing import NamedTuple

import numpy as np

from bot.adapters.history.archive import History, HistoryArchive
from bot.adapters.history.dated import SIGNALS
from bot.adapters.history.pack import Words
from bot.adapters.history.reader import micros
from bot.adapters.history.series import DatedRows, Series, blocks_of
from bot.domain.decisions import EquityMark, Fact
from bot.domain.ids import TokenId
from bot.domain.numbers import to_float
from bot.domain.record import CycleRecord
from bot.domain.signals import Episode
from bot.engine.performance import EquityPoint, Figure, day_ends, returns_of, sharpe

SEED = 1
HALF_BITS = 32
TAIL_PERCENT = 5
NAMES = ("runs", "return_median", "return_low", "return_high", "sharpe_median", "beaten")
LEFT_OUT = "not computed: --random-entries N draws N runs"

Play = Callable[[History], Iterator[CycleRecord]]


class Drawn(NamedTuple):
    """What one run with random entries came to; no ratio where it has none."""

    total_return: float
    sharpe: float | None


def figures_of_drawn(drawn: Sequence[Drawn] | None, own: Figure) -> dict[str, Figure]:
    """Return the figures of random runs, beside a run's own return; None: nobody asked for any."""
    if drawn is None:
        return {f"random_{name}": Figure(reason=LEFT_OUT) for name in NAMES}
    returns = [one.total_return for one in drawn]
    ratios = [one.sharpe for one in drawn if one.sharpe is not None]
    low, high = np.percentile(returns, [TAIL_PERCENT, 100 - TAIL_PERCENT]).tolist()
    beaten = None if own.value is None else sum(one < own.value for one in returns) / len(returns)
    found = (
        Figure(len(returns)),
        Figure(median(returns)),
        Figure(low),
        Figure(high),
        Figure(median(ratios)) if ratios else Figure(reason="none of the random runs has a Sharpe ratio"),
        Figure(beaten, own.reason),
    )
    return {f"random_{name}": figure for name, figure in zip(NAMES, found, strict=True)}


def draw(history: History, slots: Sequence[datetime], play: Play, count: int) -> list[Drawn]:
    """Replay a strategy so many times in memory, each time with other instants for its signals."""
    bits, archive = np.random.PCG64(SEED), history.archive
    found = []
    for number in range(1, count + 1):
        episodes = rotated(archive.records.episodes, archive.instruments, slots, bits)
        records = replace(archive.records, episodes=episodes)
        turned = HistoryArchive(archive.instruments, archive.columns, records, archive.inner)
        days = day_ends(points_of(fact for record in play(replace(history, archive=turned)) for fact in record.facts))
        ratio = sharpe(returns_of(days)).value if all(day.equity > 0 for day in days) else None
        found.append(Drawn(days[-1].equity / days[0].equity - 1, ratio))
        _progress(number, count)
    return found


def points_of(facts: Iterable[Fact]) -> list[EquityPoint]:
    """Return an account's marks as the figures read them."""
    return [
        EquityPoint(fact.slot, to_float(fact.equity), to_float(fact.high_water_mark))
        for fact in facts
        if isinstance(fact, EquityMark)
    ]


def rotated(
    episodes: DatedRows[Episode], tokens: Iterable[TokenId], slots: Sequence[datetime], bits: np.random.PCG64
) -> DatedRows[Episode]:
    """Turn each token's stances round a circle of time, its rows between the first slot and the last, by a slot drawn.

    Each spell keeps its stance, its length and its neighbours, so there are as many and they last as long, but for the
    one that the ends of the history cut in two or join. Drawing a rule's answers against unchanged prices is the
    permutation test of Aronson 2006, Evidence-Based Technical Analysis, chapter 6; the circle is that of Politis and
    Romano 1992, A Circular Block-Resampling Procedure for Stationary Data.
    """
    blocks: dict[str, Words] = {}
    for token_id in sorted(tokens):
        known, half = episodes.of(token_id), int(bits.random_raw()) >> HALF_BITS
        if known is None:
            continue
        series, end = known.series, micros(slots[-1])
        begin = max(int(series.at[0]), micros(slots[0]))
        first = bisect_right(slots, begin, key=micros)
        count = max(bisect_left(slots, end, key=micros) - first, 0)
        shift = micros(slots[first + ((half * count) >> HALF_BITS)]) - begin if count else 0
        blocks |= _turned(token_id, series, (begin, end), shift) if count else _as_is(token_id, series)
    return DatedRows(blocks, SIGNALS.make)


def _turned(token_id: TokenId, series: Series, circle: tuple[int, int], shift: int) -> dict[str, Words]:
    """Let what stands from the beginning of a circle on stand so much later; grades stay where they are."""
    begin, end = circle
    turns = np.maximum(series.at[series.turns], begin)
    moved = begin + (turns[turns < end] - begin + shift) % (end - begin)
    real = series.at[(series.at >= begin) & (series.at < end)]
    at = np.unique(np.concatenate([[begin], moved, real]))
    rows = series.at.searchsorted(at, side="right") - 1
    asked = series.at.searchsorted(begin + (at - begin - shift) % (end - begin), side="right") - 1
    columns = [series.numbers[0, asked].tolist(), *series.numbers[1:, rows].tolist()]
    exact = {(column, row): text for column, row, text in series.texts()}
    cells = ((column, place, row) for column in range(1, len(columns)) for place, row in enumerate(rows.tolist()))
    texts = [(column, place, exact[column, row]) for column, place, row in cells if (column, row) in exact]
    return blocks_of(token_id, at.tolist(), columns, texts)


def _as_is(token_id: TokenId, series: Series) -> dict[str, Words]:
    return blocks_of(token_id, series.at.tolist(), series.numbers.tolist(), series.texts())


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {total} runs with random entries" + ("\n" if done == total else ""))
        sys.stderr.flush()
