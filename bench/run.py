"""`make bench`: the replay beside its references, each a whole fresh process, in turn, in one invocation.

It prints one table; --json prints the same figures as an object, --write-docs puts them into the documents.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.cases import CANDLES, Case, Runs, measure, shared_folder, workload
from bench.sweeps import can_sweep, sweeps
from bench.table import QUOTED, growth, machine, quoted, table, told_growth, told_machine, told_sweep, write_documents
from bench.timing import ROOT, FailedError

SIZES: dict[str, tuple[Case, ...]] = {
    "tiny": (workload(10, 1),),
    "usual": (workload(10, 1), workload(100, 1), workload(100, 3), CANDLES),
    "full": (
        *(workload(symbols, years) for symbols in (10, 100, 500) for years in (1, 3)),
        CANDLES,
    ),
}


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    found = argparse.ArgumentParser(prog="make bench", description=__doc__, allow_abbrev=False)
    found.add_argument("--size", choices=list(SIZES), default="usual", help="which cases [usual]")
    found.add_argument("--rounds", type=int, default=3, help="how often each is run [3]")
    found.add_argument("--work", type=Path, default=ROOT / "build" / "bench", help="where cases and ledgers are made")
    found.add_argument("--sweep", action="store_true", help="sweep a hundred sets too; the full size does")
    found.add_argument("--json", action="store_true", help="print one JSON object")
    found.add_argument("--write-docs", action="store_true", help="write them into docs/performance.md and README.md")
    return found


def figures(runs: Runs) -> dict[str, Any]:
    """Return what was measured of a case, for machines."""
    return {
        "case": runs.case.name,
        "bars": runs.bars,
        "trades": runs.trades,
        "rows": runs.rows,
        "ratio": runs.ratio(),
        "cpu_ratio": runs.cpu_ratio(),
        "runs": {name: [asdict(run) for run in found] for name, found in runs.runs.items()},
    }


def swept_case(size: str) -> Case:
    """Return the case of a size that is swept: the one that the README quotes, or the last."""
    compared = [case for case in SIZES[size] if case.compared]
    return next((case for case in compared if case.name == QUOTED), compared[-1])


def say(text: str) -> None:
    """Tell the progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = parser().parse_args(arguments)
    if options.write_docs and options.size == "tiny":
        parser().error("--write-docs: measure the usual or the full size")
    shared = shared_folder()
    if shared is None:
        say("bench needs the workload beside the project: set TIDEMARK_SHARED to its folder, or put it in ../shared")
        return 78
    options.work.mkdir(parents=True, exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(options.work.resolve() / "cache")  # packs belong to the cases, not to the user
    before = machine()
    try:
        measured = [measure(case, shared, options.work, options.rounds, say) for case in SIZES[options.size]]
        swept = None
        if (options.sweep or options.size == "full") and can_sweep():
            swept = sweeps(swept_case(options.size), shared, options.work, say)
    except FailedError as failed:
        say(str(failed))
        return 1
    command = "make bench" + ("" if options.size == "usual" else f" SIZE={options.size}")
    where = told_machine(before, round(os.getloadavg()[0], 2), options.rounds, command)
    report = f"{where}\n{table(measured)}{told_growth(measured)}{told_sweep(swept)}"
    if options.json:
        cases = [*map(figures, measured)]
        print(json.dumps({"machine": before, "cases": cases, "growth": [*growth(measured)], "sweep": swept}))
    else:
        print(report)
    if options.write_docs:
        write_documents(report, quoted(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
