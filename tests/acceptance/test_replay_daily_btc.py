"""Replays of BTC's real days of 2021 on the recorded trader grades, held against the oracle.

A grade dated day D is published at the end of D, and so is everything derived from D's candle.
"""

from pathlib import Path

import pytest

from tests.acceptance.comparison import CASH, compare, run_replay
from tests.acceptance.folder_reader import read_folder, read_strategy
from tests.acceptance.history_folders import btc_of_2021, write_folder
from tests.acceptance.oracle import replay

FRACTIONS = """
[strategy]
name = "btc_fractions"
universe = ["BTC"]

[gates]
trader_grade_min = 80

[stop]
rule = "fraction"
fraction = 0.06

[target]
rule = "r_multiple"
multiple = 2

[sizing]
rule = "fixed_fraction"
fraction = 0.5
"""

LEVELS = """
[strategy]
name = "btc_levels"
universe = [1]

[gates]
reward_risk_min = 0.4
resistance_distance_min = 0.002

[stop]
rule = "level"
buffer_fraction = 0.003
distance_min = 0.01
distance_max = 0.10

[stop.fallback]
rule = "atr"
multiple = 1

[target]
rule = "level"
buffer_fraction = 0.001
rank_max = 3

[target.fallback]
rule = "fraction"
fraction = 0.12

[sizing]
rule = "inverse_volatility"
volatility = "bars"
target_volatility = 0.5
weight_max = 0.9

[limits]
positions_max = 1
exposure_max = 0.95
"""

STANCE = """
[strategy]
name = "btc_stance"
universe = "*"
bearish = "ignore"

[entry]
act_on = "stance"
age_max_hours = 240

[stop]
rule = "atr"
multiple = "1.5"

[target]
rule = "none"

[sizing]
rule = "risk_fraction"
risk_fraction = 0.02
notional_min = 1000

[exits]
rules = ["stop_hit", "time_stop"]
time_stop_hours = 240

[fills]
fee_fraction = 0.0025
half_spread_fraction = 0
slippage_fraction = 0.001
"""

ALL_IN = """
[strategy]
name = "btc_all_in"
universe = "*"

[stop]
rule = "level"
buffer_fraction = 0
distance_min = 0.02

[target]
rule = "level"
rank_max = 4

[sizing]
rule = "fixed_notional"
notional = 250000
notional_min = 60000
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the year once."""
    return write_folder(tmp_path_factory.mktemp("btc"), btc_of_2021())


@pytest.mark.parametrize("text", [FRACTIONS, LEVELS, STANCE, ALL_IN], ids=["fractions", "levels", "stance", "all_in"])
def test_btc_of_2021_trades_as_the_plain_loop_does(folder: Path, tmp_path: Path, text: str) -> None:
    """A year of recorded grades on real daily candles makes the oracle's trades, one by one."""
    history = read_folder(folder)
    outcome = replay(history, read_strategy(text), CASH)
    assert len(outcome.trades) >= 5
    printed, ledger = run_replay(folder, text, tmp_path)
    compare(ledger, outcome, history)
    cash, equity = outcome.marks[max(outcome.marks)]
    assert float(printed["equity"]) == pytest.approx(float(equity), abs=1e-5), cash
