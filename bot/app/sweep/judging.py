"""The ranking of the sets of a window, and how likely it is that the best is more than luck."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bot.app.sweep.plan import FIGURES, Fold
from bot.domain.instants import DAYS_A_YEAR
from bot.domain.sweeps import Trial
from bot.figures.luck import expected_best, probability_above
from bot.figures.performance import Figure, deviation


class Judged(NamedTuple):
    """A fold's outcome; ranked: trials that have the figure, best first; test: that of the best."""

    fold: Fold
    tried: tuple[Trial, ...]
    ranked: tuple[Trial, ...]
    test: Trial | None


def value_of(trial: Trial, figure: str) -> float | None:
    """Read a figure of a trial; None if it is undefined."""
    found: float | None = getattr(trial, figure)
    return found


def rank_trials(trials: Sequence[Trial], figure: str) -> list[Trial]:
    """Sort the trials that have the figure, best first; equal ones stay in order of trial."""
    valued = [(value, trial) for trial in trials if (value := value_of(trial, figure)) is not None]
    # FIGURES is -1 where less is better: one sort serves both directions, and it is stable.
    return [trial for _, trial in sorted(valued, key=lambda pair: -FIGURES[figure] * pair[0])]


def deflated_sharpe(best: Trial, trials: Sequence[Trial]) -> Figure:
    """Compute the probability that the best set's true Sharpe ratio is above what luck gives.

    Luck gives the ratio to expect of the best of as many worthless sets. All sets that were tried
    count, even those without a ratio; the variance is that of the ratios there are.
    """
    if best.sharpe is None or best.skewness is None or best.kurtosis is None:
        return Figure(reason="the best set has no Sharpe ratio")
    ratios = [_daily(trial.sharpe) for trial in trials if trial.sharpe is not None]
    variance = deviation(ratios) ** 2 if len(ratios) > 1 else 0.0
    threshold, ratio = expected_best(len(trials), variance), _daily(best.sharpe)
    return probability_above(threshold, ratio, best.days, best.skewness, best.kurtosis)


def _daily(ratio: float) -> float:
    return ratio / math.sqrt(DAYS_A_YEAR)
