"""Tokens whose closes are equal bar after bar: most likely one coin under two names.

A close counts only where it moved: a price that stands still proves nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bot.domain.reach import Floats

Instants = npt.NDArray[np.int64]

# Two prices that move in the same small steps by chance do not agree so often in a row.
BARS_MIN = 20
SAMPLE_MAX = 1_000_000


class Closes(NamedTuple):
    """The closes of a token's bars, ascending; opened_at: microseconds since 1970."""

    opened_at: Instants
    closes: Floats


class Alike(NamedTuple):
    """Two names, how many bars in a row have one close, and the open of the first (microseconds)."""

    first: str
    second: str
    bars: int
    since: int


def find_alike(tokens: Mapping[str, Closes], span: int) -> list[Alike]:
    """Find pairs of tokens with equal closes at twenty or more bars in a row, of those that moved.

    span: microseconds from open to close. Of more than a million bars only those of evenly spaced
    instants say which pairs are worth a look: a pair needs twenty equal closes among them.
    """
    names, step = list(tokens), 1 + sum(len(one.closes) for one in tokens.values()) // SAMPLE_MAX
    pairs = _count_pairs([_sample(one, span, step) for one in tokens.values()])
    found = []
    for pair, count in sorted(pairs.items()):
        if count >= BARS_MIN:
            first, second = (names[place] for place in divmod(pair, len(names)))
            bars, since = _longest_run(tokens[first], tokens[second])
            if bars >= BARS_MIN:
                found.append(Alike(first, second, bars, since))
    return found


def _sample(token: Closes, span: int, step: int) -> Closes:
    """Select every `step`-th instant's bar, where its close moved since the one before."""
    chosen = np.flatnonzero(token.opened_at // span % step == 0)
    closes = token.closes[chosen]
    moved = np.flatnonzero(closes[1:] != closes[:-1]) + 1
    return Closes(token.opened_at[chosen[moved]], closes[moved])


def _count_pairs(samples: Sequence[Closes]) -> Counter[int]:
    """Count the bars with one instant and one close by pair: first place x tokens + second place."""
    pairs: Counter[int] = Counter()
    if not samples:
        return pairs
    places = np.repeat(np.arange(len(samples)), [len(one.closes) for one in samples])
    at, closes = (np.concatenate(columns) for columns in zip(*samples, strict=True))
    order = np.lexsort((places, closes, at))
    places, at, closes = places[order], at[order], closes[order]
    groups = np.cumsum((at[1:] != at[:-1]) | (closes[1:] != closes[:-1]))
    groups = np.concatenate([groups[:1] * 0, groups])
    for lag in range(1, int(np.bincount(groups).max(initial=1))):
        same = groups[lag:] == groups[:-lag]
        keys, times = np.unique(places[:-lag][same] * len(samples) + places[lag:][same], return_counts=True)
        pairs.update(dict(zip(keys.tolist(), times.tolist(), strict=True)))
    return pairs


def _longest_run(one: Closes, other: Closes) -> tuple[int, int]:
    """Count the moved bars of the longest run of equal closes; find the open of the first of them."""
    at, left, right = np.intersect1d(one.opened_at, other.opened_at, assume_unique=True, return_indices=True)
    closes = one.closes[left]
    equal = closes == other.closes[right]
    counted = equal & (np.diff(closes, prepend=closes[:1]) != 0)
    runs = np.cumsum(~equal)
    bars = np.bincount(runs, weights=counted, minlength=1)
    longest = int(bars.argmax())
    return int(bars[longest]), int(at[(runs == longest) & counted][0]) if bars[longest] else 0
