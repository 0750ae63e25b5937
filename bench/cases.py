"""One case of the bench: its history folder made once, its runs in turn, and the check of what they found.

A replay whose ledger is not the reference's fails the bench: a wrong answer has no speed.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from bench.timing import ROOT, FailedError, Timed, timed

HERE = Path(__file__).resolve().parent
SINCE = "2021-02-01T00:00:00+00:00"  # the workload's thirty days of warming up end here
CASH = "100000"
TRADES_OFF, EQUITY_OFF = 0.005, 0.01
COMMAND: list[str | Path] = [sys.executable, "-m", "bot"]


def shared_folder() -> Path | None:
    """Return the folder with the workload and the recorded candles, or None where it is absent."""
    folder = Path(os.environ.get("TIDEMARK_SHARED") or ROOT.parent / "shared")
    return folder if (folder / "bench" / "replay" / "gen.py").is_file() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is replayed; compared: whether the references run beside it."""

    name: str
    symbols: int
    years: int
    strategy: Path = HERE / "workload.toml"
    since: str | None = SINCE
    compared: bool = True


CANDLES = Case(name="candles", symbols=67, years=0, strategy=HERE / "candles.toml", since=None, compared=False)


def workload(symbols: int, years: int) -> Case:
    """Return a case of the generated workload."""
    return Case(name=f"g_{symbols}_{years}", symbols=symbols, years=years)


@dataclass
class Runs:
    """The runs of a case, by what was run; rows: of the ledger."""

    case: Case
    bars: int
    rows: int
    trades: int
    runs: dict[str, list[Timed]] = field(default_factory=dict)

    def seconds(self, name: str) -> float:
        """Return the median of a run's whole time."""
        return median(run.seconds for run in self.runs[name])

    def cpu(self, name: str) -> float:
        """Return the median of what a run took of processors."""
        return median(run.cpu for run in self.runs[name])

    def peak(self, name: str) -> float:
        """Return the most memory that any of its runs had, in MiB."""
        return max(run.peak for run in self.runs[name])

    def told(self, name: str, key: str) -> float:
        """Return the median of a figure that a run printed."""
        return median(float(run.told[key]) for run in self.runs[name])

    def floors(self) -> list[tuple[float, float]]:
        """Return batch and raw rows together, round by round: the seconds of the clock and those of processors."""
        pairs = zip(self.runs.get("batch", ()), self.runs["rows"], strict="batch" in self.runs)
        return [(one.seconds + one_rows.told["seconds"], one.cpu + one_rows.told["cpu"]) for one, one_rows in pairs]

    def ratio(self) -> float | None:
        """Return how many times the floor a whole replay takes: the median of the rounds."""
        ratios = [run.seconds / seconds for run, (seconds, _) in zip(self.runs["replay"], self.floors(), strict=False)]
        return median(ratios) if ratios else None

    def cpu_ratio(self) -> float | None:
        """Return the ratio in seconds of processors, which other work on the machine moves less."""
        ratios = [run.cpu / cpu for run, (_, cpu) in zip(self.runs["replay"], self.floors(), strict=False)]
        return median(ratios) if ratios else None


def replay_command(case: Case, folder: Path, ledger: Path) -> list[str | Path]:
    """Return the replay of a case."""
    since = ["--from", case.since] if case.since else []
    inputs: list[str | Path] = ["--strategy", case.strategy, "--history", folder, "--ledger", f"sqlite:///{ledger}"]
    return [*COMMAND, "replay", *inputs, "--cash", CASH, *since, "--json"]


def made(case: Case, shared: Path, work: Path) -> tuple[Path, Path]:
    """Return the generated case and its history folder, made where they are not there yet."""
    source, folder = work / case.name, work / f"h_{case.name}"
    tool = [sys.executable, "-m", "bench.folders"]
    if folder.is_dir():
        return source, folder
    half = work / f"half_{case.name}"
    shutil.rmtree(half, ignore_errors=True)
    if case.compared:
        sizes = ["--symbols", str(case.symbols), "--years", str(case.years)]
        timed([sys.executable, shared / "bench" / "replay" / "gen.py", "--out", source, *sizes])
        timed([*tool, "generated", source, half])
    else:
        timed([*tool, "recorded", shared / "data" / "ohlcv-hourly" / "binance-2024", half])
    half.rename(folder)
    return source, folder


def measure(case: Case, shared: Path, work: Path, rounds: int, say: Callable[[str], None]) -> Runs:
    """Run everything of a case in turn, so many rounds; once before that unmeasured, so that caches are warm."""
    say(f"{case.name}: making the history folder")
    source, folder = made(case, shared, work)
    kept, fresh, copy = (work / f"{name}.db" for name in ("kept", "fresh", "copy"))
    peers = shared / "bench" / "replay"
    steps: dict[str, list[str | Path]] = {"replay": replay_command(case, folder, fresh)}
    if case.compared:
        steps["batch"] = [sys.executable, peers / "batch_peer.py", "--data", source, "--mmap", "1"]
    steps["rows"] = [sys.executable, "-m", "bench.rewrite", kept, copy]
    steps["loop"] = [sys.executable, "-m", "bench.loop", case.strategy, folder, *([case.since] if case.since else [])]
    if case.compared and find_spec("numba"):
        steps["kernel"] = [sys.executable, peers / "numba_peer.py", "--data", source]
    remove(kept, fresh, copy)
    first = timed(replay_command(case, folder, kept)).told
    if case.compared:
        check(case, first, timed(steps["batch"]).told)
    runs: dict[str, list[Timed]] = {name: [] for name in steps}
    for number in range(rounds):
        for name, command in steps.items():
            say(f"{case.name}: round {number + 1} of {rounds}, {name}")
            remove(fresh, copy)
            runs[name].append(timed(command))
            if name == "replay" and runs[name][-1].told["trades"] != first["trades"]:
                message = f"{case.name}: two replays of one history differ in their trades"
                raise FailedError(message)
    remove(kept, fresh, copy)
    rows = int(runs["rows"][0].told["rows"])
    return Runs(case=case, bars=int(first["bars"]), rows=rows, trades=int(first["trades"]), runs=runs)


def remove(*ledgers: Path) -> None:
    """Remove ledgers and what lies beside them."""
    for ledger in ledgers:
        for path in ledger.parent.glob(f"{ledger.name}*"):
            path.unlink()


def check(case: Case, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a replay whose closed trades or final equity are not the reference's, which equals the oracle's."""
    closed = int(found["trades"]) - int(found["open_positions"])
    compared: Sequence[tuple[str, float, float, float]] = [
        ("closed trades", closed, float(wanted["trades"]), TRADES_OFF),
        ("final equity", float(found["equity"]), float(wanted["final_equity"]), EQUITY_OFF),
    ]
    for what, ours, theirs, bound in compared:
        if abs(ours - theirs) > bound * theirs:
            message = f"{case.name}: {what} {ours:,} against {theirs:,} of the reference, more than {bound:.1%} off"
            raise FailedError(message)
