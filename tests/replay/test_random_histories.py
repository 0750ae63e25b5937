"""Random tiny histories replayed by the product and by the plain loop of the acceptance tests.

What one of them trades the other trades, and what is not yet known changes nothing.
"""

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from bot.cli.main import main
from tests.acceptance.comparison import CASH, Ledger, compare, read_ledger, replay_arguments
from tests.acceptance.folder_reader import History, at, read_folder, read_strategy
from tests.acceptance.history_folders import Tables, cut_at, write_folder
from tests.acceptance.oracle import replay
from tests.acceptance.outcome import Outcome
from tests.replay.random_histories import HOUR, START, is_quiet, random_strategy, random_tables

SEEDS = range(48)
SEEDS_CUT = range(100, 108)
LEAST = 5


def step_of(seed: int) -> int:
    """Return the hours between the slots of a seed: every third one is coarse."""
    return 3 if seed % 3 == 2 else 1


def slots_of(seed: int, history: History) -> list[datetime] | None:
    """Return the slots of a coarse schedule, None where every close is one."""
    step = step_of(seed)
    end = max(bar.closed_at for bars in history.bars.values() for bar in bars)
    coarse = [START + hour * HOUR for hour in range(0, (end - START) // HOUR + 1, step)]
    return None if step == 1 else coarse


def play_oracle(seed: int, folder: Path) -> tuple[History, Outcome]:
    """Replay a seed's history by the plain loop."""
    history = read_folder(write_folder(folder, random_tables(seed, step_of(seed))))
    strategy = read_strategy(random_strategy(seed, f"random_{seed}"))
    return history, replay(history, strategy, CASH, slots_of(seed, history))


def play_product(seed: int, folder: Path, ledger: Path, name: str) -> Ledger:
    """Replay a folder by the product under a run's name, and read that run's rows."""
    strategy = folder / "strategy.toml"
    strategy.write_text(random_strategy(seed, name))
    schedule = "" if step_of(seed) == 1 else f"0 */{step_of(seed)} * * *"
    assert main(replay_arguments(strategy, folder, ledger, schedule)) == 0
    return read_ledger(ledger, name)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name one ledger for all the runs: each has its own account in it."""
    return tmp_path_factory.mktemp("ledger") / "random.db"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_history_trades_as_the_plain_loop_does(seed: int, tmp_path: Path, ledger: Path) -> None:
    """Gaps, missing bars, levels on the price, ties, tight cash and places make the oracle's rows."""
    history, outcome = play_oracle(seed, tmp_path)
    compare(play_product(seed, tmp_path, ledger, f"random_{seed}"), outcome, history)


def test_the_random_histories_are_eventful(tmp_path: Path) -> None:
    """Over all seeds each ending and each way to refuse occurs, so that agreement means something."""
    found: Counter[str] = Counter()
    for seed in SEEDS:
        _, outcome = play_oracle(seed, tmp_path / str(seed))
        found.update("gapped " * trade.gapped + trade.exit_reason for trade in outcome.trades)
        found.update(reason for _, reason in outcome.cancelled)
        found.update(reason for refusal in outcome.refusals for reason in refusal.failed)
        found.update(entry.bound for entry in outcome.accepted)
        found.update(pending=len(outcome.pending), levels_at_price=outcome.levels_at_price)
    exits = ("stop_hit", "gapped stop_hit", "target_hit", "gapped target_hit", "signal_flipped", "time_stop")
    cancelled = ("bracket_invalid_at_fill", "bearish")
    refused = ("age", "held", "stop", "target", "reward_risk_min", "resistance_distance_min", "trader_grade_min")
    limits = ("positions_max", "exposure_max", "notional_min", "cash", "weight", "rule", "risk")
    others = ("pending", "levels_at_price")
    assert not {kind: found[kind] for kind in (*exits, *cancelled, *refused, *limits, *others) if found[kind] < LEAST}


def past_of(ledger: Ledger, instant: datetime) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Return the trades whose closing bar ended by an instant and the decisions before it: a window's end has none."""
    columns = ("token_id", "opened_at", "closed_at", "quantity", "entry_price", "exit_price", "exit_reason", "profit")
    trades = [
        tuple(row[column] for column in columns)
        for row in ledger.trades
        if row["closed_at"] and at(row["closed_at"]) + HOUR <= instant
    ]
    columns = ("slot", "token_id", "outcome", "first_reason", "reference_price", "stop", "target", "quantity")
    decisions = [tuple(row[column] for column in columns) for row in ledger.decisions if at(row["slot"]) < instant]
    return sorted(trades, key=repr), sorted(decisions, key=repr)


def has_bars(tables: Tables) -> bool:
    """Say whether every instrument has a bar: a history folder without one is refused."""
    return all(tables.bars.values())


@pytest.mark.parametrize("seed", SEEDS_CUT)
def test_a_history_cut_short_has_the_same_past(seed: int, tmp_path: Path, ledger: Path) -> None:
    """Bars, volumes, signals, levels and grades after an instant change no trade and no decision of before."""
    tables = random_tables(seed, step_of(seed))
    hours = (max(bar.closed_at for bar in tables.bars["T1"]) - START) // HOUR
    instant = START + hours * 2 // 3 // step_of(seed) * step_of(seed) * HOUR
    shortened = cut_at(tables, instant)
    assert has_bars(shortened)
    whole = play_product(seed, write_folder(tmp_path / "whole", tables, is_quiet), ledger, f"whole_{seed}")
    cut = play_product(seed, write_folder(tmp_path / "cut", shortened, is_quiet), ledger, f"cut_{seed}")
    assert past_of(cut, instant) == past_of(whole, instant)
    assert past_of(cut, instant)[1]
