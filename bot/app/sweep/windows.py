"""The windows of a sweep: the whole, or for walk-forward each train window and its test window.

A test window begins at the instant at which its train window ends, with cash only, so the choice of
a set knew nothing of it. The tests follow one another without a gap, even if `from` and `to` are
dates.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from bot.domain.errors import ConfigError


class Window(NamedTuple):
    """The first and the last instant, both inclusive."""

    start: datetime
    end: datetime


class Fold(NamedTuple):
    """A train window, in which sets are chosen, and the test window of the best set.

    test: None without walk-forward.
    """

    train: Window
    test: Window | None


class WalkForward(NamedTuple):
    """The lengths of train and test windows; folds begin one test window apart."""

    train: timedelta
    test: timedelta


def folds_of(whole: Window, walk_forward: WalkForward | None) -> list[Fold]:
    """List the folds in order of time; without walk-forward the whole window is the only one.

    Raises ConfigError if not even one fold fits.
    """
    if walk_forward is None:
        return [Fold(whole, None)]
    start, (train, test) = whole.start, walk_forward
    folds = []
    # An end given as a date lies 1 microsecond before the midnight at which the last fold may end.
    while start + train + test - timedelta.resolution <= whole.end:
        turning = start + train
        folds.append(Fold(Window(start, turning), Window(turning, min(turning + test, whole.end))))
        start += test
    if not folds:
        message = (
            f"walk_forward: {train.days} + {test.days} days do not fit between"
            f" {whole.start:%Y-%m-%dT%H:%MZ} and {whole.end:%Y-%m-%dT%H:%MZ}:"
            " shorten them, or widen the window"
        )
        raise ConfigError(message)
    return folds
