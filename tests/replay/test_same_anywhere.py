"""The determinism contract with real processes: whatever the hash seed, zone, locale or row order."""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from bot.app.live.demo import play
from tests.acceptance.history_folders import write_folder
from tests.replay.random_histories import random_tables

SEED = 11
# Sets of words in several places, a hook, and letters beyond ASCII: what could depend on hashes or on a locale.
STRATEGY = """# Größe: µ
[strategy]
name = "anywhere"
universe = "*"
side = "both"

[entry]
reentry = "always"
rank = "grade"

[gates]
sharpe_min = -1

[gates.freshness_hours]
signals = 1000
grades = 1000
quantmetrics = 1000

[stop]
rule = "level"
[stop.fallback]
rule = "fraction"
fraction = 0.02

[target]
rule = "fraction"
fraction = 0.02

[sizing]
rule = "fixed_fraction"
fraction = 0.4

[exits]
rules = ["time_stop", "trailing_stop", "break_even", "signal_flipped", "stop_hit", "target_hit"]
time_stop_hours = 12
trailing_fraction = 0.03
break_even_r = 0.5

[limits]
positions_max = 3

[limits.loss_streak]
at = 2
action = "block"
hours = 3
"""
HOOKS = '''"""Größe: µ."""

ODD = frozenset(("T1", "T3", "T5"))


def veto(view, bracket):
    """Refuse odd tokens now and then, and say which there are."""
    if view.instrument.symbol in ODD and view.price.price % 2 == 0:
        return "odd µ " + " ".join(sorted(ODD))
    return None
'''
PLAIN = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
# ASCII is all that a locale named C promises, where Python is told not to help itself.
OTHERS: Mapping[str, Mapping[str, str]] = {
    "hash_seed": {"PYTHONHASHSEED": "1"},
    "another_hash_seed": {"PYTHONHASHSEED": "4242"},
    "time_zone": {"TZ": "Pacific/Kiritimati"},
    "locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}
EVERYTHING = {name: value for changed in OTHERS.values() for name, value in changed.items()}
Rows = list[tuple[object, ...]]


def bot(changed: Mapping[str, str], *arguments: str) -> str:
    """Run a command in a process of its own under a changed environment; returns what it printed."""
    environ = {**os.environ, **PLAIN, **changed}
    told = subprocess.run(
        [sys.executable, "-m", "bot", *arguments], env=environ, capture_output=True, check=False, encoding="utf-8"
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def write(folder: Path, seed: int) -> Path:
    """Write the history of a seed with a strategy beside it; its signals' times say no zone, so they are UTC."""
    history = write_folder(folder / "history", random_tables(seed, 1))
    signals = history / "signals.csv"
    signals.write_text(signals.read_text().replace("Z,", ","))
    listing = history / "instruments.csv"
    listing.write_text(listing.read_text().replace("T1,T1,", "T1,Größe µ,"), encoding="utf-8")
    (folder / "anywhere.toml").write_text(STRATEGY, encoding="utf-8")
    (folder / "anywhere.py").write_text(HOOKS, encoding="utf-8")
    return history


def replayed(folder: Path, name: str, changed: Mapping[str, str]) -> tuple[Rows, Rows]:
    """Replay in another process; returns the chain of hashes and the trades."""
    ledger = folder / f"{name}.db"
    given = ("--strategy", str(folder / "anywhere.toml"), "--history", str(folder / "history"))
    bot(changed, "replay", *given, "--ledger", str(ledger), "--from", "2024-01-01 02:00", "--schedule", "0 * * * *")
    with closing(sqlite3.connect(ledger)) as connection:
        chain = connection.execute("select slot, hash from cycles order by slot").fetchall()
        return chain, connection.execute("select * from v_trades order by position_id").fetchall()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows, Rows]:
    """Replay a history in the plain environment; returns its folder, its hashes and its trades."""
    folder = tmp_path_factory.mktemp("anywhere")
    write(folder, SEED)
    return (folder, *replayed(folder, "plain", {}))


@pytest.mark.parametrize("changed", OTHERS)
def test_every_row_hash_is_the_same_in_another_environment(plain: tuple[Path, Rows, Rows], changed: str) -> None:
    """Hash seed, time zone and locale of a process change no row of any cycle."""
    folder, chain, trades = plain
    assert len(chain) > 20
    assert len(trades) > 3
    assert replayed(folder, changed, OTHERS[changed]) == (chain, trades)


def shuffled(path: Path, order: random.Random) -> None:
    """Write the rows of a file in another order; those of one token and time stay in their order of time."""
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    if path.name == "instruments.csv":
        order.shuffle(rows)
    else:
        owners = [row.split(",")[0] for row in rows]
        order.shuffle(owners)
        waiting: dict[str, list[str]] = {owner: [] for owner in owners}
        for row in rows:
            waiting[row.split(",")[0]].append(row)
        for of_owner in waiting.values():
            of_owner.sort(key=lambda row: (row.split(",")[1], order.random()))
        rows = [waiting[owner].pop(0) for owner in owners]
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")


def test_every_row_hash_is_the_same_with_rows_in_another_order(plain: tuple[Path, Rows, Rows], tmp_path: Path) -> None:
    """Instruments in any order, tokens interleaved in any way, levels of a set in any order: the same hashes."""
    folder, chain, trades = plain
    order = random.Random(5)
    for source in sorted((folder / "history").rglob("*.csv")):
        path = tmp_path / "history" / source.relative_to(folder / "history")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        if path.parent.name == "history":
            shuffled(path, order)
            assert path.read_bytes() != source.read_bytes()
    for name in ("anywhere.toml", "anywhere.py"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert replayed(tmp_path, "shuffled", {"PYTHONHASHSEED": "9"}) == (chain, trades)


def test_a_live_run_is_derived_again_in_another_environment(tmp_path: Path) -> None:
    """What one process recorded another derives under other seeds, zones and locales, to the same row hash."""
    play(tmp_path / "demo.db", 1)
    found = {bot(changed, "parity", "--ledger", str(tmp_path / "demo.db")) for changed in ({}, EVERYTHING)}
    (told,) = found
    assert "identical, 25 cycles" in told
