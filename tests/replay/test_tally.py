"""What a sweep folds in memory is what the views of a replay's ledger show, to the last bit."""

from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.history.folder import HistorySource, open_history
from bot.adapters.sql.reads import Reader
from bot.app.cycle.setup import RunSetup
from bot.app.replay.tally import Tally
from bot.app.review.results import POINTS, TRADES, _float, _instant, _trade
from bot.app.settings.strategies import load_strategy
from bot.cli.main import main
from bot.domain.ids import RunName
from bot.figures.performance import EquityPoint
from tests.acceptance.history_folders import write_folder
from tests.history_runs import records
from tests.replay.random_histories import random_strategy, random_tables

# Positions open at the end, part exits, borrow fees: what an open trade has booked so far.
PARTS = "[[target.part]]\nshare = 0.5\nmultiple = 0.2\n[[target.part]]\nmultiple = 9\n"
SHORTS = "[short]\nborrow_fraction_per_day = 0.01\n"


def varied(seed: int) -> str:
    """Return a random strategy, every third one of both sides with part exits."""
    text = random_strategy(seed, "any")
    if seed % 3:
        return text
    return (
        '[strategy]\nname = "any"\nuniverse = "*"\nside = "both"\n[stop]\nrule = "fraction"\nfraction = 0.04\n'
        f'[target]\nrule = "r_multiple"\n{PARTS}[sizing]\nrule = "fixed_fraction"\nfraction = 0.2\n{SHORTS}'
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_tally_is_what_the_views_show(tmp_path: Path, seed: int) -> None:
    """Marks and trades, open ones too, in order and in every digit, of random histories and strategies."""
    folder = write_folder(tmp_path / "history", random_tables(seed, 1))
    (tmp_path / "any.toml").write_text(varied(seed))
    asked = ["replay", "--strategy", str(tmp_path / "any.toml"), "--history", str(folder)]
    assert main([*asked, "--ledger", str(tmp_path / "r.db"), "--cash", "100000"]) == 0
    strategy = load_strategy(tmp_path / "any.toml", tmp_path)
    history = open_history(folder, timeframe=None, universe="*")
    setup = RunSetup(
        name=RunName("any"),
        rules=strategy.rules,
        universe=tuple(history.instruments),
        cash=Decimal(100_000),
        interval=None,
        config_hash="",
        code_version="",
    )
    tally = Tally()
    for record in records(setup, HistorySource(history), history.closes):
        tally.add(record.facts)
    reader = Reader(str(tmp_path / "r.db"))
    marks = [
        EquityPoint(_instant(row["slot"]), _float(row["equity"]), _float(row["high_water_mark"]))
        for row in reader.rows(POINTS, {"run": "any"})
    ]
    trades = [_trade(row) for row in reader.rows(TRADES, {"run": "any"})]
    assert tally.points == marks
    assert tally.trades() == trades
    assert len(marks) > 1
