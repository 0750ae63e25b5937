"""The daemon as a process: it commits on its slots, ends cleanly, goes on after a kill, and there is only one of it."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

PATIENCE = 60.0


@pytest.fixture
def every_minute(home: Path) -> Path:
    """Give the run a slot every minute."""
    config = home / "config.toml"
    config.write_text(config.read_text().replace("2 * * * *", "* * * * *"))
    return home


@contextmanager
def daemon(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Start `bot run` in its own process, and leave none behind."""
    with (home / "run.log").open("a") as log:
        started = subprocess.Popen([sys.executable, "-m", "bot", "run"], cwd=home, stderr=log, text=True)
        try:
            yield started
        finally:
            started.kill()
            started.wait()


def until(done: Callable[[], bool], what: str) -> None:
    """Look again and again until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def cycles(home: Path) -> list[tuple[str, str]]:
    """Return the slots and states in the ledger."""
    path = home / "tidemark.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        try:
            return connection.execute("select slot, state from v_cycles order by slot").fetchall()
        except sqlite3.OperationalError:
            return []


def test_a_daemon_commits_ends_cleanly_and_goes_on(every_minute: Path) -> None:
    """The newest slot at once, SIGTERM ends with 0; killed -9 and started again it repeats nothing."""
    with daemon(every_minute) as first:
        until(lambda: len(cycles(every_minute)) == 1, "no first cycle")
        second = subprocess.run(
            [sys.executable, "-m", "bot", "once"], cwd=every_minute, capture_output=True, text=True, check=False
        )
        assert second.returncode == 75
        assert "another writer" in second.stderr
        os.kill(first.pid, signal.SIGTERM)
        assert first.wait(PATIENCE) == 0
    with daemon(every_minute) as third:
        until(lambda: "daemon_started" in (every_minute / "run.log").read_text().split("daemon_stopping")[-1], "start")
        third.kill()
        third.wait()
    again = subprocess.run([sys.executable, "-m", "bot", "once"], cwd=every_minute, check=False, capture_output=True)
    assert again.returncode == 0
    slots = [slot for slot, _ in cycles(every_minute)]
    assert len(slots) == len(set(slots))
    check = subprocess.run([sys.executable, "-m", "bot", "verify"], cwd=every_minute, check=False, capture_output=True)
    assert check.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_daemon_with_zero(every_minute: Path, number: int) -> None:
    """Ctrl-C and a supervisor's stop both finish the cycle and exit 0."""
    with daemon(every_minute) as running:
        until(lambda: len(cycles(every_minute)) >= 1, "no cycle")
        os.kill(running.pid, number)
        assert running.wait(PATIENCE) == 0
