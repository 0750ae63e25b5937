"""Which sets were best in a window, and how likely it is that the best is more than luck."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bot.app.sweep.plan import FIGURES
from bot.app.sweep.windows import Fold
from bot.domain.sweeps import Trial
from bot.figures.luck import expected_best, probability_above
from bot.figures.performance import DAYS_A_YEAR, Figure, deviation


class Judged(NamedTuple):
    """What became of a fold: its trials, those that have the figure (best first), and the test of the best."""

    fold: Fold
    tried: tuple[Trial, ...]
    ranked: tuple[Trial, ...]
    test: Trial | None


def value_of(trial: Trial, figure: str) -> float | None:
    """Return a figure of a trial."""
    found: float | None = getattr(trial, figure)
    return found


def rank_trials(trials: Sequence[Trial], figure: str) -> list[Trial]:
    """Return the trials that have a figure, the best first; of equals the one tried first."""
    valued = [(value, trial) for trial in trials if (value := value_of(trial, figure)) is not None]
    return [trial for _, trial in sorted(valued, key=lambda pair: -FIGURES[figure] * pair[0])]


def deflated_sharpe(best: Trial, trials: Sequence[Trial]) -> Figure:
    """Return the probability that the best set's true Sharpe ratio is above that of the best of so many worthless sets.

    All sets that were tried count, also those without a ratio; the variance is that of the ratios there are.
    """
    if best.sharpe is None or best.skewness is None or best.kurtosis is None:
        return Figure(reason="the best set has no Sharpe ratio")
    ratios = [_daily(trial.sharpe) for trial in trials if trial.sharpe is not None]
    variance = deviation(ratios) ** 2 if len(ratios) > 1 else 0.0
    threshold = expected_best(len(trials), variance)
    return probability_above(threshold, _daily(best.sharpe), best.days, best.skewness, best.kurtosis)


def _daily(ratio: float) -> float:
    return ratio / math.sqrt(DAYS_A_YEAR)
