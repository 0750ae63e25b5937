"""Replays of real hourly candles of 27 coins of 2024, held against the oracle.

The turns come from a published rule, the variable moving average; each kind of ending occurs often enough to count.
"""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.comparison import CASH, compare, run_replay
from tests.acceptance.folder_reader import History, at, read_folder, read_strategy
from tests.acceptance.history_folders import coins_of_2024, levels_where_candles_gapped, write_folder
from tests.acceptance.oracle import replay
from tests.acceptance.outcome import Outcome

FIRST, END = at("2024-03-16"), at("2024-05-29")
LEAST = 20
COINS_LEAST = 20

LEVELS = """
[strategy]
name = "hourly_levels"
universe = "*"

[gates]
reward_risk_min = "0.5"
resistance_distance_min = 0.002

[stop]
rule = "level"
buffer_fraction = 0.001
distance_min = 0.004
distance_max = 0.05

[stop.fallback]
rule = "atr"
multiple = 0.5

[target]
rule = "level"
rank_max = 3
buffer_fraction = 0.0005

[target.fallback]
rule = "r_multiple"
multiple = 1.5

[sizing]
rule = "inverse_volatility"
target_volatility = 0.6
volatility = "larger"
weight_max = 0.3
notional_min = 2000

[exits]
rules = ["signal_flipped", "stop_hit", "target_hit", "time_stop"]
time_stop_hours = 10

[limits]
positions_max = 4
exposure_max = 0.85
"""

TIGHT = """
[strategy]
name = "hourly_tight"
universe = "*"

[stop]
rule = "level"
distance_min = 0.0005
distance_max = 0.002

[stop.fallback]
rule = "fraction"
fraction = 0.001

[target]
rule = "fraction"
fraction = 0.02

[sizing]
rule = "fixed_notional"
notional = 30000
notional_min = 15000

[limits]
positions_max = 8
"""

PATIENT = """
[strategy]
name = "hourly_patient"
universe = "*"

[entry]
rank = "grade"
age_max_hours = 48

[gates]
trader_grade_min = 60
sharpe_min = -2
max_drawdown_limit = 0.5

[stop]
rule = "atr"
multiple = 3

[target]
rule = "none"

[sizing]
rule = "risk_fraction"
risk_fraction = 0.03
weight_max = 0.4
notional_min = 5000

[exits]
rules = ["signal_flipped", "stop_hit", "time_stop"]
time_stop_hours = 30

[limits]
positions_max = 4
"""

STANCE = """
[strategy]
name = "hourly_stance"
universe = "*"

[entry]
act_on = "stance"

[gates]
reward_risk_min = 1

[stop]
rule = "level"
distance_min = 0.001
distance_max = 0.03

[target]
rule = "level"
rank_max = 4

[sizing]
rule = "fixed_fraction"
fraction = 0.4
risk_fraction = 0.004
notional_min = 9000

[limits]
positions_max = 6
"""

GAPS = """
[strategy]
name = "hourly_gaps"
universe = "*"
bearish = "ignore"

[entry]
act_on = "stance"
age_max_hours = 240

[stop]
rule = "level"
distance_max = 0.2

[target]
rule = "none"

[sizing]
rule = "fixed_notional"
notional = 2000

[exits]
rules = ["stop_hit", "time_stop"]
time_stop_hours = 240
"""


class Case(NamedTuple):
    """A strategy, the levels it sees and the hours between its slots."""

    text: str
    levels: str = "nearby"
    hours: int = 1


CASES = {
    "levels": Case(LEVELS),
    "tight": Case(TIGHT),
    "patient": Case(PATIENT),
    "stance": Case(STANCE, hours=4),
    "gaps": Case(GAPS, "gapped", hours=4),
}


class Played(NamedTuple):
    """A history as the oracle read it, and what the oracle made of a case on it."""

    folder: Path
    history: History
    outcome: Outcome


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """Play every case by the oracle, on two folders that differ in their levels only."""
    tables = coins_of_2024(FIRST, END)
    folders = {"nearby": write_folder(tmp_path_factory.mktemp("nearby"), tables)}
    tables.levels = levels_where_candles_gapped(tables, hours=240)
    folders["gapped"] = write_folder(tmp_path_factory.mktemp("gapped"), tables)
    histories = {name: read_folder(folder) for name, folder in folders.items()}
    found = {}
    for name, case in CASES.items():
        history = histories[case.levels]
        outcome = replay(history, read_strategy(case.text), CASH, slots_every(history, case.hours))
        found[name] = Played(folders[case.levels], history, outcome)
    return found


def slots_every(history: History, hours: int) -> list[datetime]:
    """Return the closes of the history's bars that fall on every so many hours, as a schedule of that step does."""
    closes = {bar.closed_at for bars in history.bars.values() for bar in bars}
    return [FIRST, *sorted(close for close in closes if close.hour % hours == 0)]


@pytest.mark.parametrize("name", CASES)
def test_hourly_coins_trade_as_the_plain_loop_does(played: dict[str, Played], name: str, tmp_path: Path) -> None:
    """Ten weeks of real candles of 27 coins make the oracle's entries, refusals, orders and trades, one by one."""
    case, (folder, history, outcome) = CASES[name], played[name]
    schedule = "" if case.hours == 1 else f"0 */{case.hours} * * *"
    printed, ledger = run_replay(folder, case.text, tmp_path, schedule)
    compare(ledger, outcome, history)
    _, equity = outcome.marks[max(outcome.marks)]
    assert float(printed["equity"]) == pytest.approx(float(equity), abs=1e-5)


def kinds(outcome: Outcome) -> Counter[str]:
    """Count the endings of an outcome that the comparison must have met."""
    found = Counter("gapped " * trade.gapped + trade.exit_reason for trade in outcome.trades)
    found.update(reason for _, reason in outcome.cancelled)
    for refusal in outcome.refusals:
        found["places"] += refusal.failed == ["positions_max"]
        found["cash"] += refusal.failed == ["notional_min"] and refusal.bound == "cash"
    found["level at the price"] += outcome.levels_at_price
    return found


def test_every_kind_of_ending_is_compared_twenty_times(played: dict[str, Played]) -> None:
    """The compared cases hold each exit, gap, cancelled bracket, refusal and level on the price at least 20 times."""
    total = sum((kinds(each.outcome) for each in played.values()), Counter[str]())
    wanted = (
        "stop_hit",
        "gapped stop_hit",
        "target_hit",
        "signal_flipped",
        "time_stop",
        "bracket_invalid_at_fill",
        "places",
        "cash",
        "level at the price",
    )
    assert not {kind: total[kind] for kind in wanted if total[kind] < LEAST}
    assert len(played["levels"].history.bars) >= COINS_LEAST
