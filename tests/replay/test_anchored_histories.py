"""Random tiny histories with everything found at the fill, by the product and by the plain loop.

Brackets and quantities hang on the price of the fill, targets gap to the open and pay as market orders do.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from bot.cli.main import main
from tests.acceptance.comparison import CASH, compare, read_ledger, replay_arguments
from tests.acceptance.folder_reader import History, read_folder, read_strategy
from tests.acceptance.history_folders import write_folder
from tests.acceptance.oracle import replay
from tests.acceptance.outcome import Outcome
from tests.replay.random_histories import random_strategy, random_tables

SEEDS = range(200, 240)
LEAST = 5
AT_FILL = 'target_gap = "open"\ntarget_cost = "market"\n'
# The first asks more of an anchored bracket than this loop knows, the second cuts an anchored quantity.
LEFT_OUT = re.compile(r"^(reward_risk_min|exposure_max) = .*\n", re.MULTILINE)


def anchored(seed: int) -> str:
    """Return a random strategy with its brackets and quantities anchored at the fill."""
    text = LEFT_OUT.sub("", random_strategy(seed, f"anchored_{seed}"))
    text = text.replace("[stop]\n", '[stop]\nanchor = "fill"\n')
    return text.replace("[fills]\n", f"[fills]\n{AT_FILL}") if "[fills]" in text else f"{text}\n[fills]\n{AT_FILL}"


def play(seed: int, folder: Path) -> tuple[History, Outcome]:
    """Replay a seed's history by the plain loop."""
    history = read_folder(write_folder(folder, random_tables(seed, 1)))
    return history, replay(history, read_strategy(anchored(seed)), CASH)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name one ledger for all the runs: each has its own account in it."""
    return tmp_path_factory.mktemp("ledger") / "anchored.db"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_history_trades_as_the_plain_loop_does(seed: int, tmp_path: Path, ledger: Path) -> None:
    """Gaps at the fill, levels between reference and fill, cash that exits bring: the oracle's rows."""
    history, outcome = play(seed, tmp_path)
    (tmp_path / "strategy.toml").write_text(anchored(seed))
    assert main(replay_arguments(tmp_path / "strategy.toml", tmp_path, ledger)) == 0
    compare(read_ledger(ledger, f"anchored_{seed}"), outcome, history)


def test_the_anchored_histories_are_eventful(tmp_path: Path) -> None:
    """Each exit, each refusal for lack of means and senseless brackets occur, so that agreement means something."""
    found: Counter[str] = Counter()
    for seed in SEEDS:
        _, outcome = play(seed, tmp_path / str(seed))
        found.update("gapped " * trade.gapped + trade.exit_reason for trade in outcome.trades)
        found.update(reason for _, reason in outcome.cancelled)
        found.update(reason for refusal in outcome.refusals for reason in refusal.failed)
        found.update(f"bound by {entry.bound}" for entry in outcome.accepted)
    exits = ("stop_hit", "gapped stop_hit", "target_hit", "gapped target_hit", "signal_flipped", "time_stop")
    others = ("bracket_invalid_at_fill", "positions_max", "notional_min", "bound by cash", "stop", "target")
    assert not {kind: found[kind] for kind in (*exits, *others) if found[kind] < LEAST}
