"""A hundred sets of parameters beside one: what a sweep costs, in replays of the same case.

The sets are those of the reference's own sweep: ten buffers of the stop by ten budgets of risk.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cases import CASH, COMMAND, SINCE, Case, made, remove
from bench.timing import ROOT, timed

TENTHS = range(1, 11)
BUDGET = 0.38209946349085606  # the annual volatility that a budget of 0.1 % of equity and twenty places stand for
SWEEP = """\
[sweep]
name = "{name}"
strategy = "{strategy}"
history = "{history}"
cash = {cash}
from = "{since}"

[parameters]
stop.buffer_fraction = [{buffers}]
sizing.target_volatility = [{targets}]
"""


def can_sweep() -> bool:
    """Say whether the product has the command."""
    asked = [str(part) for part in (*COMMAND, "sweep", "--help")]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 0


def sweep_file(case: Case, folder: Path, path: Path, count: int) -> Path:
    """Write a sweep of so many buffers by so many budgets."""
    some = list(TENTHS)[:count]
    path.write_text(
        SWEEP.format(
            name=path.stem,
            strategy=case.strategy,
            history=folder,
            cash=CASH,
            since=SINCE,
            buffers=", ".join(f"{0.001 * tenth:.3f}" for tenth in some),
            targets=", ".join(f"{BUDGET * tenth:.12f}" for tenth in some),
        )
    )
    return path


def sweeps(case: Case, shared: Path, work: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Sweep a hundred sets and one, once each on all cores; seconds, and how many times one the hundred take."""
    _, folder = made(case, shared, work)
    found: dict[str, Any] = {"case": case.name}
    for name, count in (("one", 1), ("hundred", len(TENTHS))):
        say(f"{case.name}: a sweep of {count * count}")
        ledger = work / f"{name}.db"
        remove(ledger)
        file = sweep_file(case, folder, work / f"{name}.toml", count)
        run = timed([*COMMAND, "sweep", file, "--ledger", f"sqlite:///{ledger}", "--json"])
        found[name] = {"seconds": run.seconds, "cpu": run.cpu, "peak_mib": run.peak}
        remove(ledger)
    return {**found, "ratio": found["hundred"]["seconds"] / found["one"]["seconds"]}
