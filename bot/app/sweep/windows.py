"""The windows of a sweep: the whole, or for walk-forward a train window and the test window that follows it.

A test window begins at the instant its train window ends, with cash only: nothing of it was known to the choice. So the
tests follow one another without a gap, also where `from` and `to` are dates.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from bot.domain.errors import ConfigError


class Window(NamedTuple):
    """First and last instant, both inclusive."""

    start: datetime
    end: datetime


class Fold(NamedTuple):
    """Where sets are chosen, and where the best of them is tested, if anywhere."""

    train: Window
    test: Window | None


class WalkForward(NamedTuple):
    """How long train and test windows are; each fold begins one test window after the one before."""

    train: timedelta
    test: timedelta


def folds_of(whole: Window, walk_forward: WalkForward | None) -> list[Fold]:
    """Return the folds in order of time; without walk-forward the whole is one, without a test."""
    if walk_forward is None:
        return [Fold(whole, None)]
    start, (train, test) = whole.start, walk_forward
    folds = []
    # A date as the last day ends 1 microsecond before the midnight that its last window ends at.
    while start + train + test - timedelta.resolution <= whole.end:
        turning = start + train
        folds.append(Fold(Window(start, turning), Window(turning, min(turning + test, whole.end))))
        start += test
    if not folds:
        message = (
            f"walk_forward: {train.days} + {test.days} days do not fit between {whole.start:%Y-%m-%dT%H:%MZ} and"
            f" {whole.end:%Y-%m-%dT%H:%MZ}: shorten them, or widen the window"
        )
        raise ConfigError(message)
    return folds
