"""The generated workload of `make bench`, held against two oracles: the workload's own, and our plain loop.

The workload's oracle is met within narrow bounds; said our way in one rule, it is met trade by trade.
"""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.cases import SINCE, workload
from tests.acceptance.comparison import CASH, Ledger, compare, run_replay
from tests.acceptance.folder_reader import History, at, read_folder, read_strategy
from tests.acceptance.oracle import replay

ROOT = Path(__file__).resolve().parents[2]
FIRST = at(SINCE)
START = at("2021-01-01")
# The plain loop takes its time: a hundred symbols only where more examples are asked for.
SYMBOLS = (10, 100 if "TIDEMARK_EXAMPLES" in os.environ else 40)
STRATEGY = (ROOT / "bench" / "workload.toml").read_text()
AT_REFERENCE = STRATEGY.replace('anchor = "fill"', 'anchor = "reference"')
REASONS = {"signal": "signal_flipped", "stop": "stop_hit", "stop_gap": "stop_hit"}
TRADES_OFF, EQUITY_OFF, DIGITS = 0.005, 0.01, 1e-9
# Quantities are rounded down to 1e-8, and money to micro-dollars: over a year that is the most it comes to.
ROUNDED = 1e-6


class Played(NamedTuple):
    """A generated case as a history folder, what the product made of it, and what the workload's oracle did."""

    folder: Path
    printed: dict[str, Any]
    ledger: Ledger
    oracle: dict[str, Any]


def output_of(*command: str | Path) -> str:
    """Return what a command prints."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module", params=SYMBOLS, ids=lambda count: f"{count} symbols")
def played(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Generate a year of some symbols and play it by the product and by the workload's oracle."""
    peers, place = shared / "bench" / "replay", tmp_path_factory.mktemp("workload")
    if not peers.is_dir():
        pytest.skip(f"{peers} is not there: without the workload there is nothing to compare")
    case = workload(request.param, 1)
    source, folder = place / case.name, place / "history"
    output_of(peers / "gen.py", "--out", source, "--symbols", str(case.symbols), "--years", str(case.years))
    output_of("-m", "bench.folders", "generated", source, folder)
    printed, ledger = run_replay(folder, STRATEGY, place, since=SINCE)
    oracle = output_of(ROOT / "tests" / "acceptance" / "bench_oracle.py", peers, source)
    return Played(folder, printed, ledger, json.loads(oracle))


def test_the_workloads_oracle_is_met(played: Played) -> None:
    """With all found at the fill, the count of trades is within 0.5 % of the oracle's, the final equity within 1 %."""
    wanted = played.oracle["as it is"]
    closed = sum(1 for row in played.ledger.trades if not row["is_open"])
    assert closed == pytest.approx(len(wanted["trades"]), rel=TRADES_OFF)
    assert played.printed["equity"] == pytest.approx(wanted["equity"], rel=EQUITY_OFF)


def bar_of(instant: str) -> int:
    """Return the number of the bar that opens at an instant."""
    return (at(instant) - START) // timedelta(hours=1)


def test_each_difference_from_the_workloads_oracle_is_its_fallback_stop(played: Played) -> None:
    """With two true ranges taken as a price the oracle's trades are ours: bars, reasons, prices, and quantities."""
    wanted = played.oracle["stop as a price"]
    found = {(row["token_id"] - 1, bar_of(row["opened_at"])): row for row in played.ledger.trades}
    still_open = {key for key, row in found.items() if row["is_open"]}
    assert still_open == {tuple(key) for key in wanted["open"]}
    closed = {(symbol, opened): rest for symbol, opened, *rest in wanted["trades"]}
    assert found.keys() - still_open == closed.keys()
    for key, (entry_price, quantity, left, exit_price, why) in closed.items():
        row = found[key]
        assert (bar_of(row["closed_at"]), row["exit_reason"]) == (left, REASONS.get(why, "target_hit")), (key, row)
        assert (row["entry_price"], row["exit_price"]) == pytest.approx((entry_price, exit_price), rel=DIGITS)
        assert row["quantity"] == pytest.approx(quantity, rel=ROUNDED)
    assert played.printed["equity"] == pytest.approx(wanted["equity"], rel=ROUNDED)


def slots_of(history: History) -> list[datetime]:
    """Return the closes from the workload's first day on."""
    return sorted({bar.closed_at for bars in history.bars.values() for bar in bars if bar.closed_at >= FIRST})


def test_the_workload_trades_as_the_plain_loop_does(played: Played, tmp_path: Path) -> None:
    """Anchored at the fill and at the reference price, the generated year makes the plain loop's rows, one by one."""
    history = read_folder(played.folder)
    slots = slots_of(history)
    compare(played.ledger, replay(history, read_strategy(STRATEGY), CASH, slots), history)
    _, ledger = run_replay(played.folder, AT_REFERENCE, tmp_path, since=SINCE)
    compare(ledger, replay(history, read_strategy(AT_REFERENCE), CASH, slots), history)
