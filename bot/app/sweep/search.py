"""The sets to try in a train window, in rounds: all at once, or as an Optuna study learns.

The choice depends on the file and on the figures so far, never on the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot.app.settings.tables import refuse
from bot.app.sweep.axes import Axis, draws, grid, parameters_text
from bot.app.sweep.plan import FIGURES, Sweep
from bot.domain.extras import missing_extra

if TYPE_CHECKING:
    from optuna import Study, Trial

# Checks whether the strategy accepts a set: its keys may contradict each other.
Accepted = Callable[[str], bool]


class Listed:
    """Sets that are known in advance: a grid, or random draws."""

    def __init__(self, sets: Sequence[str]) -> None:
        """Ask for these sets, once."""
        self._sets = tuple(sets)
        self.expected = len(self._sets)

    def ask(self) -> tuple[str, ...]:
        """Choose the sets of the next round; no sets mean the end."""
        asked, self._sets = self._sets, ()
        return asked

    def tell(self, figures: Mapping[str, float | None]) -> None:
        """Ignore the figures: the sets are fixed."""


class Studied:
    """An Optuna study with a seeded tree-structured Parzen estimator, in rounds of one batch."""

    def __init__(self, sweep: Sweep, accepted: Accepted) -> None:
        """Create a study; raises ConfigError if Optuna is not installed."""
        self._sweep, self._accepted = sweep, accepted
        self._left = self.expected = sweep.trials
        self._waiting: list[tuple[Trial, str]] = []
        self._study = _study(sweep)

    def ask(self) -> tuple[str, ...]:
        """Choose the sets of the next round; no sets mean the end."""
        self._waiting = []
        while self._left and len(self._waiting) < self._sweep.batch:
            self._left -= 1
            trial = self._study.ask()
            text = parameters_text({axis.path: _suggest(trial, axis) for axis in self._sweep.axes})
            if self._accepted(text):
                self._waiting.append((trial, text))
            else:
                self._fail(trial)
        return tuple(dict.fromkeys(text for _, text in self._waiting))

    def tell(self, figures: Mapping[str, float | None]) -> None:
        """Learn the figures of this round, by set; an undefined figure is a failure."""
        for trial, text in self._waiting:
            value = figures[text]
            if value is None:
                self._fail(trial)
            else:
                self._study.tell(trial, value)

    def _fail(self, trial: Trial) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415 - an extra

        self._study.tell(trial, state=TrialState.FAIL)


def search_of(sweep: Sweep, accepted: Accepted) -> Listed | Studied:
    """Create a search over a sweep's axes; raises ConfigError for what is no grid, or too large."""
    if sweep.method == "optuna":
        return Studied(sweep, accepted)
    try:
        drawn = sweep.method != "grid"
        sets = draws(sweep.axes, sweep.trials, sweep.seed) if drawn else grid(sweep.axes)
    except ValueError as error:
        raise refuse(str(sweep.path), "parameters", str(error)) from error
    texts = dict.fromkeys(parameters_text(one) for one in sets)
    return Listed([text for text in texts if accepted(text)])


def _study(sweep: Sweep) -> Study:
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra(f'{sweep.path}: sweep.method = "optuna"', "optuna") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        direction="maximize" if FIGURES[sweep.figure] > 0 else "minimize",
        sampler=optuna.samplers.TPESampler(seed=sweep.seed, constant_liar=True),
    )


def _suggest(trial: Trial, axis: Axis) -> Any:
    """Let a study choose a place in an axis's list, or a share of the way from low to high."""
    if not axis.values:
        return axis.between(trial.suggest_float(axis.path, 0, 1))
    count = len(axis.values)
    if axis.is_ordered:
        return axis.values[trial.suggest_int(axis.path, 0, count - 1)]
    return axis.values[trial.suggest_categorical(axis.path, range(count))]
