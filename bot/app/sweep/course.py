"""`bot sweep`: try sets in the train window of each fold, then test the best of each.

Everything that can be refused is refused before the first trial runs.

Each trial is stored as it ends. After a kill the sweep runs what is missing, and ends with the same
rows as an undisturbed one.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from bot.adapters.sql.beside import open_store
from bot.adapters.sql.engine import ledger_name, ledger_url, parse_url
from bot.app.replay.material import Material, Origin, Place, find_place, open_material
from bot.app.settings.hooks import hooks_text
from bot.app.settings.strategies import suggest_names
from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.tables import load_toml, read_tables, refuse
from bot.app.sweep.axes import strategy_with
from bot.app.sweep.judging import Judged, rank_trials, value_of
from bot.app.sweep.plan import Fold, Sweep, Window, folds_of, load_sweep
from bot.app.sweep.running import TrialRunner
from bot.app.sweep.search import search_of
from bot.app.sweep.task import Ground, Task, code_version
from bot.app.sweep.telling import describe_result, result_of
from bot.app.sweep.workers import workers_on
from bot.app.telling.answers import Answer
from bot.domain.errors import ConfigError
from bot.domain.sweeps import Trial
from bot.engine.rules import SameBar

ABOUT = tuple(key for key in KEYS if key.section in {"strategy", "fills"})
SAME_BAR = "fills.same_bar"


class Course:
    """A sweep over a material, with a search for each fold; refused: sets, each with why."""

    def __init__(self, plan: Sweep, place: Place | None) -> None:
        """Read the strategy and open the material, or raise ConfigError before any trial."""
        if place is None:
            raise ConfigError(
                f"{plan.path}: sweep.history: missing: add `history = ` (a folder) or"
                " `recorded = ` (a live ledger), or name it by --history or --recorded"
            )
        document, text = load_toml(plan.strategy, suggest_names(plan.strategy))
        about = {table: document.get(table, {}) for table in ("strategy", "fills")}
        given = read_tables(str(plan.strategy), about, ABOUT)
        self.plan = plan
        origin = Origin(
            find_place(place, Path.cwd()),
            bars=given["strategy.bars"],
            universe=given["strategy.universe"],
            finer=_is_finer(plan, given),
            window=(plan.start, plan.end),
            schedule=plan.schedule,
        )
        self.material = open_material(origin)
        for remark in self.material.remarks:
            sys.stderr.write(f"{remark}\n")
        self.ground = Ground(
            sweep=plan.name,
            code=code_version(),
            path=str(plan.strategy),
            strategy=text,
            hooks=hooks_text(plan.strategy.with_suffix(".py")),
            # A live ledger grows: workers end where this process ended.
            origin=origin._replace(window=(plan.start, self.material.slots[-1])),
            history_digest=self.material.digest,
            cash=plan.cash,
            seed=plan.seed,
        )
        # The windows of a fold end at slots.
        self.folds = [
            Fold(self._between_slots(train), test and self._between_slots(test))
            for train, test in folds_of(_whole(plan, self.material), plan.walk_forward)
        ]
        self.refused: dict[str, str] = {}
        self._accepted: set[str] = set()
        self.searches = [search_of(plan, self.accept) for _ in self.folds]

    @property
    def expected(self) -> int:
        """The largest number of trials that there can be."""
        tests = sum(fold.test is not None for fold in self.folds)
        return sum(search.expected for search in self.searches) + tests

    def accept(self, parameters: str) -> bool:
        """Check whether a set fits the strategy; ConfigError if the material lacks its needs."""
        if parameters in self.refused or parameters in self._accepted:
            return parameters in self._accepted
        ground = self.ground
        try:
            strategy = strategy_with(self.plan.strategy, ground.strategy, ground.hooks, parameters)
        except ConfigError as error:
            self.refused[parameters] = str(error)
            return False
        self.material.require(strategy)
        self._accepted.add(parameters)
        return True

    def run(self, runner: TrialRunner) -> list[Judged]:
        """Try each fold's sets in its train window, and the best of them in its test window."""
        tried: list[dict[str, Trial]] = [{} for _ in self.folds]
        # Each round is one batch of all folds, so that the workers stay busy.
        path, figure, searches = self.plan.path, self.plan.figure, tuple(enumerate(self.searches))
        while asked := [(place, text) for place, search in searches for text in search.ask()]:
            tasks = [self._task(self.folds[place].train, text) for place, text in asked]
            told = tuple(zip(asked, runner.run(tasks), strict=True))
            for place, search in searches:
                mine = {text: trial for (at, text), trial in told if at == place}
                tried[place].update(mine)
                search.tell({text: value_of(trial, figure) for text, trial in mine.items()})
        if not any(tried):
            reason = next(iter(self.refused.values()))
            raise ConfigError(f"{path}: parameters: no set goes with the strategy: {reason}")
        ranks = [rank_trials(tuple(mine.values()), figure) for mine in tried]
        tests = {
            place: self._task(fold.test, best[0].parameters, is_test=True)
            for place, (fold, best) in enumerate(zip(self.folds, ranks, strict=True))
            if fold.test and best
        }
        found = dict(zip(tests, runner.run(list(tests.values())), strict=True))
        return [
            Judged(fold, tuple(tried[place].values()), tuple(ranks[place]), found.get(place))
            for place, fold in enumerate(self.folds)
        ]

    def _task(self, window: Window, parameters: str, *, is_test: bool = False) -> Task:
        start, end = window
        return Task(ground=self.ground, parameters=parameters, start=start, end=end, is_test=is_test)

    def _between_slots(self, window: Window) -> Window:
        try:
            slots = self.material.within(window).slots
        except ConfigError:
            if self.plan.walk_forward is None:
                raise
            raise ConfigError(
                f"{self.plan.path}: walk_forward: no slot from {window.start:%Y-%m-%dT%H:%MZ}"
                f" to {window.end:%Y-%m-%dT%H:%MZ}: more days, or more slots in sweep.schedule"
            ) from None
        return Window(slots[0], slots[-1])


def _is_finer(plan: Sweep, given: Mapping[str, Any]) -> bool:
    """Check whether a set needs finer bars; ConfigError if the bars would depend on the set."""
    asked = next((axis.values for axis in plan.axes if axis.path == SAME_BAR), (given[SAME_BAR],))
    if SameBar.FINER_BARS in asked and len(asked) > 1 and given["strategy.bars"] is None:
        reason = f'missing, {SAME_BAR} is varied: name the bars of all sets, `bars = "1h"` say'
        raise refuse(str(plan.strategy), "strategy.bars", reason)
    return SameBar.FINER_BARS in asked


def _whole(plan: Sweep, material: Material) -> Window:
    """Find the window that a sweep covers, from midnight on; folds stay within the data."""
    first, last = material.ends
    first, end = first.replace(hour=0, minute=0), plan.end or last
    return Window(max(plan.start or first, first), min(end, last) if plan.walk_forward else end)


def sweep(path: Path, place: Place | None, ledger: str | None, *, on: str, workers: int | None) -> Answer:
    """Run the missing trials of a sweep and answer with the best sets."""
    began = time.perf_counter()
    plan, places = load_sweep(path), workers_on(on, workers)
    course = Course(plan, place or plan.history or plan.recorded)
    url = ledger_url(ledger or "sweep.db")
    with (
        open_store(url, create=True) as store,
        closing(TrialRunner(places, store, plan.name, course.expected)) as runner,
    ):
        judged = course.run(runner)
    result = {
        **result_of(plan, judged),
        "sets_refused": len(course.refused),
        "refused_because": next(iter(course.refused.values()), None),
        **runner.progress.counts,
        "ledger": ledger_name(parse_url(url)),
        "seconds": round(time.perf_counter() - began, 3),
    }
    return Answer(payload=result, parts=describe_result(result))
