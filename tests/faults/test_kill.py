"""Exactly once: days of cycles, killed -9 again and again, end with the ledger of the run that nobody killed."""

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bot.cli.main import main
from tests.live.conftest import DEMO_DAYS as DAYS
from tests.live.conftest import play_once

KILLS = 3
PATIENCE = 60.0
DRIVER = "import sys, pathlib, bot.app.live.demo; bot.app.live.demo.play(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
# Everything but the times of day at which a restarted process asked.
COMPARED = (
    "select order_id, role, state, reason, quantity, price from v_orders order by order_id",
    "select fill_id, order_id, quantity, price, fee from fills order by fill_id",
    "select position_id, quantity, entry_price, exit_price, exit_reason, profit from v_trades order by position_id",
    "select slot, cash, equity from v_equity order by slot",
    "select entry_id, account, amount from v_postings order by entry_id, account",
    "select slot, symbol, gate, value, passed from v_gates where gate <> 'lateness' order by slot, symbol, gate",
)


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Ask a ledger."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def committed(path: Path) -> int:
    """Count the cycles of a ledger that may not be there yet."""
    try:
        return int(str(rows(path, "select count(*) from cycles")[0][0])) if path.exists() else 0
    except sqlite3.OperationalError:
        return 0


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The same days without a kill, as the tests of the live room read them: nobody writes it."""
    return play_once("demo", DAYS, tmp_path_factory, worker_id)


def test_killed_cycles_leave_the_ledger_of_an_undisturbed_run(calm: Path, tmp_path: Path) -> None:
    """Killed in the middle three times: no order twice, none missing, the same fills, equity and verdicts."""
    killed = tmp_path / "killed.db"
    chance = random.Random(7)
    for number in range(KILLS):
        wanted = committed(killed) + 15 + chance.randrange(15)
        deadline = time.monotonic() + PATIENCE
        with subprocess.Popen([sys.executable, "-c", DRIVER, str(killed), str(DAYS)]) as process:
            while committed(killed) < wanted:
                assert time.monotonic() < deadline, "the cycles do not go on"
                time.sleep(chance.random() / 50)
            process.kill()
        assert 0 < committed(killed) < committed(calm), number
    assert subprocess.run([sys.executable, "-c", DRIVER, str(killed), str(DAYS)], check=False).returncode == 0
    for statement in COMPARED:
        assert rows(killed, statement) == rows(calm, statement)
    assert rows(calm, "select count(*) from fills")[0][0] > 5
    assert main(["verify", "--ledger", str(killed)]) == 0
