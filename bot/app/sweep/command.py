"""`bot sweep`: try a strategy with many sets of parameters, store each trial, print the best.

After a kill it runs what is missing, and ends with the same rows as an undisturbed sweep.
"""

import time
from contextlib import closing
from pathlib import Path

from bot.adapters.sql.engine import ledger_name, ledger_url, parse_url
from bot.adapters.sql.trials import trials_in
from bot.app.sweep.course import Course
from bot.app.sweep.plan import load_sweep
from bot.app.sweep.running import TrialRunner
from bot.app.sweep.telling import describe_result, result_of
from bot.app.sweep.workers import workers_on
from bot.app.telling.answers import to_json


def sweep(
    path: Path,
    history: Path | None,
    ledger: str | None,
    *,
    on: str,
    workers: int | None,
    as_json: bool,
) -> int:
    """Run the missing trials of a sweep and print the best sets; return the exit code."""
    began = time.perf_counter()
    plan, places = load_sweep(path), workers_on(on, workers)
    course = Course(plan, history or plan.history)
    url = ledger_url(ledger or "sweep.db")
    with (
        trials_in(url) as kept,
        closing(TrialRunner(places, kept, plan.name, course.expected)) as runner,
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
    print(to_json(result) if as_json else describe_result(result))
    return 0
