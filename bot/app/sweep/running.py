"""Trials, run by workers and stored by the parent process.

Each trial is stored as soon as it is done, so a crash loses no finished trial. Results come in the
order of their tasks, whatever order the workers finish in.
"""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import ExitStack

from bot.adapters.sql.beside import Store
from bot.app.sweep.task import Task, try_out
from bot.app.sweep.workers import Workers
from bot.domain.errors import BotError, UpstreamError
from bot.domain.sweeps import Trial

# After so many losses of workers in a row without one finished trial, something keeps killing them.
LOSSES_MAX = 3
TOLD_EVERY_SECONDS = 60.0


class TrialRunner:
    """Workers, the trials that the ledger already has, and the progress."""

    def __init__(self, workers: Workers, store: Store, sweep: str, expected: int) -> None:
        """Read what the ledger has, open no workers yet; expected: the largest number of trials."""
        self._workers, self._store = workers, store
        self._known = store.trials(sweep)
        # Trials of the ledger that no task has asked for yet. A search may ask for a set twice, and
        # each trial is counted as found only once.
        self._unasked = set(self._known)
        self._stack = ExitStack()
        self._executor: Executor | None = None
        self.progress = Progress(expected)

    def close(self) -> None:
        """Release the workers."""
        self.progress.close()
        self._stack.close()

    def run(self, tasks: Sequence[Task]) -> list[Trial]:
        """Run the tasks that the ledger lacks, and return the trials of all tasks.

        Raises what refuses a trial, and UpstreamError after repeated losses without a finished one.
        """
        missing = {task.trial_id: task for task in tasks if task.trial_id not in self._known}
        found = self._unasked.intersection(task.trial_id for task in tasks)
        self._unasked -= found
        self.progress.count_found(len(found))
        losses = 0
        while missing:
            before = len(missing)
            lost = self._round(missing)
            losses = losses + 1 if len(missing) == before else 0
            if losses == LOSSES_MAX:
                first = next(iter(missing.values()))
                raise UpstreamError(
                    f"workers were lost {losses} times in a row without one trial done,"
                    f" {len(missing)} are left: see what kills them (memory?) at"
                    f" {first.parameters}; what is done stays in the ledger"
                ) from lost
        return [self._known[task.trial_id] for task in tasks]

    def _round(self, missing: dict[str, Task]) -> BaseException | None:
        """Run the missing tasks once and remove those done; return the error of lost workers."""
        lost: BaseException | None = None
        futures: dict[Future[Trial], str] = {}
        try:
            if self._executor is None:
                self._executor = self._stack.enter_context(self._workers.opened())
            for trial_id, task in missing.items():
                futures[self._executor.submit(try_out, task)] = trial_id
        except self._workers.lost as error:
            lost = error
        for future in as_completed(futures):
            try:
                trial = future.result()
            except self._workers.lost as error:
                lost = error
                continue
            except BotError as error:
                # Ray wraps an error with its trace; `cause` is the original error of one line.
                raise getattr(error, "cause", error) from None
            self._store.append([trial])
            self._known[trial.trial_id] = trial
            del missing[futures[future]]
            self.progress.count_done()
        if lost is not None:
            self._stack.close()
            self._executor = None
        return lost


class Progress:
    """The number of finished trials and the time that remains, on standard error."""

    def __init__(self, total: int) -> None:
        """Expect `total` trials."""
        self._total = total
        self._found = self._done = 0
        self._began = self._told = time.monotonic()
        self._watched, self._width = sys.stderr.isatty(), 0

    def count_found(self, count: int) -> None:
        """Count trials that the ledger already had."""
        self._found += count

    def count_done(self) -> None:
        """Count a trial and show the progress: on a terminal each time, elsewhere once a minute."""
        self._done += 1
        now = time.monotonic()
        if self._watched or now - self._told >= TOLD_EVERY_SECONDS:
            self._told = now
            line = self._line(now - self._began)
            # Spaces cover what is left of a longer line; not every terminal has codes for that.
            sys.stderr.write(f"\r{line:<{self._width}}" if self._watched else f"{line}\n")
            sys.stderr.flush()
            self._width = len(line)

    @property
    def counts(self) -> dict[str, int]:
        """How many trials were run, and how many were in the ledger already."""
        return {"trials_run": self._done, "trials_found": self._found}

    def close(self) -> None:
        """End the line on a terminal."""
        if self._watched and self._done:
            sys.stderr.write("\n")

    def _line(self, seconds: float) -> str:
        come = self._found + self._done
        left = round(seconds / self._done * max(self._total - come, 0))
        bar = "#" * (20 * come // max(self._total, come))
        time_left = f"{left // 60} min {left % 60:02} s left"
        return f"[{bar:<20}] {come:,} of {self._total:,} trials, {time_left}"
