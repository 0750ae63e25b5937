"""Trials and their workers: what is lost runs again, what cannot go on says so, and how far it has come is told."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.history.folder import open_history
from bot.adapters.sql.beside import Store, open_store
from bot.app.replay.material import Origin
from bot.app.sweep import running
from bot.app.sweep.course import Course
from bot.app.sweep.plan import Window, load_sweep
from bot.app.sweep.running import Progress, TrialRunner
from bot.app.sweep.task import Ground, Task, code_version, try_out
from bot.app.sweep.workers import Workers, workers_on
from bot.domain.errors import ConfigError, UpstreamError
from tests.fake_ray import CLUSTER, ray_module
from tests.notation import DAY
from tests.sweep_files import START, STRATEGY, SWEEP, Serial, place

LOST = BrokenExecutor("a worker is gone")


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A sweep of six sets."""
    plan = load_sweep(place(tmp_path))
    return Course(plan, plan.history)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    """A ledger for trials."""
    with open_store(str(tmp_path / "s.db"), create=True) as found:
        yield found


class Losing:
    """Workers that are lost when the tasks say so; counts how often they were begun and let go."""

    def __init__(self, *lost_at: int) -> None:
        """Lose the tasks with these numbers, counted over all beginnings."""
        self.executor = Serial(lambda number: LOST if number in lost_at or not lost_at else None)
        self.begun = self.end_of_span = 0

    @contextmanager
    def opened(self) -> Iterator[Executor]:
        self.begun += 1
        yield self.executor
        self.end_of_span += 1


def test_lost_tasks_run_again_on_new_workers(course: Course, kept: Store, tmp_path: Path) -> None:
    """The second, the last, and one that is lost twice: six trials in order, and nothing ran twice that was done."""
    losing = Losing(2, 6, 7)
    with closing(TrialRunner(Workers(losing.opened, (BrokenExecutor,)), kept, "first", 6)) as runner:
        (judged,) = course.run(runner)
        assert runner.progress.counts == {"trials_run": 6, "trials_found": 0}
    assert (losing.begun, losing.end_of_span) == (3, 3)
    assert losing.executor.count == 6 + 2 + 1
    assert [trial.parameters for trial in judged.tried] == sorted(trial.parameters for trial in judged.tried)
    assert {trial.trial_id: trial for trial in judged.tried} == kept.trials("first")


def test_workers_that_are_always_lost_end_the_sweep(course: Course, kept: Store) -> None:
    """Three times in a row without one trial done: 69, with the set that is next."""
    losing = Losing()
    runner = TrialRunner(Workers(losing.opened, (BrokenExecutor,)), kept, "first", 6)
    with pytest.raises(UpstreamError, match=r'lost 3 times in a row.* 6 are left.*"stop.fraction":0.01,') as ended:
        course.run(runner)
    runner.close()
    assert ended.value.exit_code == 69
    assert (losing.begun, losing.end_of_span) == (3, 3)


def test_workers_that_are_lost_while_tasks_are_sent_are_replaced(course: Course, kept: Store) -> None:
    """A pool breaks before it has taken everything: what it took counts, the rest goes to the next one."""

    class Breaking(Serial):
        """Takes two tasks."""

        def submit(self, task: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
            if self.count == 2:
                raise LOST
            return super().submit(task, *given, **named)

    workers = Workers(lambda: nullcontext(Breaking()), (BrokenExecutor,))
    assert len(course.run(TrialRunner(workers, kept, "first", 6))[0].tried) == 6


def test_a_bug_in_a_task_is_no_lost_worker(course: Course, kept: Store) -> None:
    """What is not listed as a loss is raised as it is."""
    broken = Serial(lambda _: ZeroDivisionError("a bug"))
    runner = TrialRunner(Workers(lambda: nullcontext(broken), (BrokenExecutor,)), kept, "first", 6)
    with pytest.raises(ZeroDivisionError):
        course.run(runner)
    assert broken.count == 6


def task(tmp_path: Path, digest: str) -> Task:
    """Make a task over the history of a folder."""
    ground = Ground(
        sweep="first",
        code=code_version(),
        path="waves.toml",
        strategy=STRATEGY,
        hooks=None,
        origin=Origin(tmp_path / "history", None, "*"),
        history_digest=digest,
        cash=Decimal(10000),
        seed=1,
    )
    day = timedelta(days=1)
    return Task(ground=ground, parameters="{}", start=START + day, end=START + 2 * day, is_test=False)


def test_a_worker_with_another_history_refuses(tmp_path: Path, kept: Store) -> None:
    """Files that are not those the sweep began with: 78 from the worker, one line from the sweep, wrapped or not."""
    place(tmp_path)
    with pytest.raises(ConfigError, match="give every worker the same ones"):
        try_out(task(tmp_path, "another"))
    digest = open_history(tmp_path / "history", timeframe=None, universe="*").digest
    assert try_out(task(tmp_path, digest)).slots == 25

    class WrappedError(ConfigError):
        """An error with its trace around one of ours, as Ray hands it on."""

        cause = ConfigError("one line")

    for raised in (WrappedError("Trace\nTrace"), WrappedError.cause):
        workers = Workers(lambda raised=raised: nullcontext(Serial(lambda _: raised)), ())  # type: ignore[misc]
        with pytest.raises(ConfigError, match=r"^one line$"):
            TrialRunner(workers, kept, "first", 1).run([task(tmp_path, digest)])


@pytest.fixture
def hasty() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_of_a_worker_give_the_trials_of_the_serial_run(tmp_path: Path) -> None:
    """Four threads share the history of their process, and none sees what another asked of it."""
    plan = load_sweep(place(tmp_path, SWEEP.replace("step = 0.01", "step = 0.002")))
    course = Course(plan, plan.history)
    train = course.folds[0].train
    tasks = [course._task(Window(train.start, train.start + 10 * DAY), text) for text in course.searches[0].ask()]
    assert len(tasks) == 22
    serial = [try_out(one) for one in tasks]
    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(try_out, tasks * 8)) == serial * 8


def test_a_worker_with_other_code_refuses(tmp_path: Path) -> None:
    """Code that is not the sweep's: 78 and one line with both versions, before the history is looked at."""
    theirs = task(tmp_path, "any")
    other = replace(theirs, ground=replace(theirs.ground, code="0.1.0+0123456789ab"))
    said = f"runs Tidemark {code_version()}, the sweep is of 0.1.0+0123456789ab: install the same code, start it anew"
    with pytest.raises(ConfigError, match=re.escape(said)):
        try_out(other)
    assert other.trial_id != theirs.trial_id


def test_a_scheduler_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer, or no address: 69, one line with the place and the mend."""
    monkeypatch.setattr("bot.app.sweep.workers.PATIENCE_SECONDS", 0.2)
    for named in ("dask://127.0.0.1:9", "dask://nonsense"):
        opened = workers_on(named, None).opened()
        with pytest.raises(UpstreamError, match=f"{named} cannot be reached: .*: start it, or name another"), opened:
            pass


@pytest.mark.parametrize("deaths", [0, 1])
def test_ray_computes_where_it_is_installed(
    course: Course, kept: Store, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    """A cluster runs the sweep, also where a node dies with a task; it is left as it was found."""
    monkeypatch.setitem(sys.modules, "ray", ray := ray_module(deaths))
    with closing(TrialRunner(workers_on(CLUSTER, None), kept, "first", 6)) as runner:
        (judged,) = course.run(runner)
    tasks = [course._task(judged.fold.train, trial.parameters) for trial in judged.tried]
    assert [try_out(one) for one in tasks] == list(judged.tried)
    assert (ray.opened, ray.left) == (0, 0)


def test_a_ray_cluster_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: 69; the extra is not installed: 78; each in one line with the mend."""
    monkeypatch.setitem(sys.modules, "ray", ray_module())
    opened = workers_on("ray://127.0.0.1:9", None).opened()
    with pytest.raises(UpstreamError, match="cannot be reached: nobody listens: start it"), opened:
        pass
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install .*\[ray\]"):
        workers_on(CLUSTER, None)


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_told_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial with a bar and the time that remains, from the pace of those that were run; then the line ends."""
    now = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr("sys.stderr", screen := Screen())
    monkeypatch.setattr(running.time, "monotonic", lambda: next(now))
    progress = Progress(100)
    progress.count_found(40)
    progress.count_done()
    progress.count_done()
    progress.close()
    assert "\033" not in screen.getvalue()  # a dumb terminal would show it
    first, second = (line.rstrip() for line in screen.getvalue().strip().split("\r"))
    assert first == "[########            ] 41 of 100 trials, 9 min 50 s left"
    assert second == "[########            ] 42 of 100 trials, 9 min 40 s left"
    assert screen.getvalue().endswith("\n")


def test_progress_elsewhere_is_a_line_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets a plain line when a minute has passed, and nothing for a short sweep."""
    now = iter([0.0, 30.0, 61.0, 90.0])
    monkeypatch.setattr("sys.stderr", log := io.StringIO())
    monkeypatch.setattr(running.time, "monotonic", lambda: next(now))
    progress = Progress(3)
    for _ in range(3):
        progress.count_done()
    progress.close()
    assert log.getvalue() == "[#############       ] 2 of 3 trials, 0 min 30 s left\n"


def test_a_pool_without_a_number_has_a_process_a_core() -> None:
    """The workers of this machine are its cores."""
    with workers_on("processes", None).opened() as executor:
        assert executor._max_workers == os.cpu_count()  # type: ignore[attr-defined]
