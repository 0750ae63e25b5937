"""Which sets are tried in a train window, asked for in rounds: all at once, or as an Optuna study learns.

What is asked for depends on the file and on the figures told before, never on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot.app.settings.tables import refuse
from bot.app.sweep.axes import Axis, draws, grid
from bot.app.sweep.parameters import parameters_text
from bot.app.sweep.plan import FIGURES, Sweep
from bot.domain.extras import missing_extra

if TYPE_CHECKING:
    from optuna import Study, Trial

# Tells whether the strategy takes a set: its keys may contradict each other.
Accepted = Callable[[str], bool]


class Listed:
    """Sets that are known beforehand: a grid, or random draws."""

    def __init__(self, sets: Sequence[str]) -> None:
        """Ask for these, once."""
        self._sets = tuple(sets)
        self.expected = len(self._sets)

    def ask(self) -> tuple[str, ...]:
        """Return the sets of the next round, none at the end."""
        asked, self._sets = self._sets, ()
        return asked

    def tell(self, figures: Mapping[str, float | None]) -> None:
        """Learn nothing."""


class Studied:
    """An Optuna study with the tree-structured Parzen estimator, seeded; sets come in rounds of one batch."""

    def __init__(self, sweep: Sweep, accepted: Accepted) -> None:
        """Begin a study; ConfigError where Optuna is not installed."""
        self._sweep, self._accepted = sweep, accepted
        self._left = self.expected = sweep.trials
        self._waiting: list[tuple[Trial, str]] = []
        self._study = _study(sweep)

    def ask(self) -> tuple[str, ...]:
        """Return the sets of the next round, none at the end; a set that is refused counts as tried and failed."""
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
        """Learn the figures of the sets of this round, by set; an undefined one is a failure."""
        for trial, text in self._waiting:
            value = figures[text]
            if value is None:
                self._fail(trial)
            else:
                self._study.tell(trial, value)

    def _fail(self, trial: Trial) -> None:
        from optuna.trial import TrialState  # noqa: PLC0415 - an extra

        self._study.tell(trial, state=TrialState.FAIL)


Search = Listed | Studied


def search_of(sweep: Sweep, accepted: Accepted) -> Search:
    """Return a fresh search over a sweep's axes; raises ConfigError for a grid without end."""
    if sweep.method == "optuna":
        return Studied(sweep, accepted)
    try:
        sets = grid(sweep.axes) if sweep.method == "grid" else draws(sweep.axes, sweep.trials, sweep.seed)
    except ValueError as error:
        raise refuse(str(sweep.path), "parameters", str(error)) from error
    texts = dict.fromkeys(parameters_text(one) for one in sets)
    return Listed([text for text in texts if accepted(text)])


def _study(sweep: Sweep) -> Study:
    try:
        import optuna  # noqa: PLC0415 - an extra
    except ImportError as error:
        method = f'{sweep.path}: sweep.method = "optuna"'
        raise missing_extra(method, "optuna") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=sweep.seed, constant_liar=True)
    return optuna.create_study(direction="maximize" if FIGURES[sweep.figure] > 0 else "minimize", sampler=sampler)


def _suggest(trial: Trial, axis: Axis) -> Any:
    """Let a study choose on an axis: a place in its list, which has an order among numbers, or a share of its way."""
    if not axis.values:
        return axis.between(trial.suggest_float(axis.path, 0, 1))
    count = len(axis.values)
    if axis.is_ordered:
        return axis.values[trial.suggest_int(axis.path, 0, count - 1)]
    return axis.values[trial.suggest_categorical(axis.path, range(count))]
