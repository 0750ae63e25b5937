"""Sweeps lose their process and their workers: killed in the middle, they end with the rows of an undisturbed run."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bot.cli.main import main
from tests.sweep_files import SWEEP, place, rows, written

PATIENCE = 90.0
SETS = 16
MANY = SWEEP.replace("step = 0.01", "step = 0.0028571")
BOT = [sys.executable, "-m", "bot"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep of sixteen sets."""
    place(tmp_path, MANY)
    return tmp_path


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The rows of the sweep when nobody disturbs it, one process, in a folder of its own."""
    folder = tmp_path_factory.mktemp("calm")
    place(folder, MANY)
    assert main(["sweep", str(folder / "sweep.toml"), "--ledger", str(folder / "calm.db"), "--workers", "1"]) == 0
    found = rows(folder / "calm.db")
    assert len(found) == SETS
    return found


def command(folder: Path, *more: str) -> list[str]:
    """Name the sweep's command."""
    return [*BOT, "sweep", str(folder / "sweep.toml"), "--ledger", str(folder / "killed.db"), "--json", *more]


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for something that is bound to happen."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def children(parent: int) -> list[int]:
    """Return the processes that a process has started."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)  # noqa: S607
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, started_by in pairs if int(started_by) == parent]


def is_there(process: int) -> bool:
    """Tell whether a process has not ended."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)  # noqa: S607
    return state.stdout.strip()[:1] not in {"", "Z"}


def test_a_killed_sweep_goes_on_where_it_was(folder: Path, calm: list[dict[str, object]]) -> None:
    """Killed -9 twice: its workers end with it, what was done is not run again, the rows are those of a calm run."""
    for wanted in (2, 5):
        with subprocess.Popen(command(folder, "--workers", "2"), stdout=subprocess.PIPE) as process:
            wait_until(lambda wanted=wanted: written(folder / "killed.db") >= wanted)  # type: ignore[misc]
            workers = children(process.pid)
            process.kill()
        assert wanted <= written(folder / "killed.db") < SETS
        assert len(workers) >= 2
        wait_until(lambda workers=workers: not any(is_there(worker) for worker in workers))  # type: ignore[misc]
    before = written(folder / "killed.db")
    done = subprocess.run(command(folder, "--workers", "2"), capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert (answer["trials_run"], answer["trials_found"]) == (SETS - before, before)
    assert rows(folder / "killed.db") == calm


def test_a_killed_worker_is_replaced(folder: Path, calm: list[dict[str, object]]) -> None:
    """One of two processes dies and breaks the pool: a new one runs what is missing."""
    with subprocess.Popen(command(folder, "--workers", "2"), stdout=subprocess.PIPE) as process:
        wait_until(lambda: written(folder / "killed.db") >= 3)
        # The first child of a spawned pool is its tracker of shared resources.
        os.kill(children(process.pid)[-1], signal.SIGKILL)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert json.loads(out)["trials_run"] == SETS
    assert rows(folder / "killed.db") == calm


def test_ctrl_c_keeps_what_is_done(folder: Path) -> None:
    """An interrupt ends the sweep and its workers without a traceback, 130; the trials done are rows."""
    place(folder, SWEEP.replace("step = 0.01", "step = 0.0001"))  # hundreds of sets: it cannot be done in time
    with subprocess.Popen(
        command(folder, "--workers", "2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        wait_until(lambda: written(folder / "killed.db") >= 2)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert written(folder / "killed.db") >= 2


def test_two_sweeps_at_once_do_no_harm(folder: Path, calm: list[dict[str, object]]) -> None:
    """The same sweep twice side by side into one ledger: every task is doubled, every row is there once."""
    main(["db", "upgrade", "--ledger", str(folder / "killed.db")])
    started = [subprocess.Popen(command(folder, "--workers", "1"), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=PATIENCE) for process in started] == [0, 0]
    assert rows(folder / "killed.db") == calm


class Cluster:
    """A Dask scheduler and workers, each a process of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Start a scheduler on any port."""
        self.folder, self.stack = folder, stack
        self.scheduler, log = self.start("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.address = self.told(log, r"Scheduler at:\s+tcp://(\S+)")

    def start(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start one of Dask's commands; returns it and the file that it writes to."""
        log = self.folder / f"{len(list(self.folder.glob('*.log')))}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, "--no-dashboard"], stdout=out, stderr=out, cwd=self.folder
            )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process, log

    def worker(self) -> subprocess.Popen[bytes]:
        """Start a worker of four threads, without a nurse that would replace it, and wait until it is taken on."""
        here = str(self.folder)
        options = ("--no-nanny", "--nthreads", "4", "--local-directory", here, "--death-timeout", "60")
        process, log = self.start("worker", f"tcp://{self.address}", *options)
        self.told(log, r"(Registered to)")
        return process

    def told(self, log: Path, pattern: str) -> str:
        """Wait until a command has said something."""
        wait_until(lambda: re.search(pattern, log.read_text()) is not None)
        return str(re.findall(pattern, log.read_text())[0])


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    """A scheduler without workers."""
    with ExitStack() as stack:
        yield Cluster(folder, stack)


def test_a_cluster_that_loses_workers_gives_the_rows_of_the_serial_run(
    folder: Path, calm: list[dict[str, object]], cluster: Cluster
) -> None:
    """Of two Dask workers one is killed in the middle, then the other while a third comes: every row is there once."""
    first, second = cluster.worker(), cluster.worker()
    with subprocess.Popen(command(folder, "--on", f"dask://{cluster.address}"), stdout=subprocess.PIPE) as process:
        wait_until(lambda: written(folder / "killed.db") >= 2)
        first.kill()
        wait_until(lambda: written(folder / "killed.db") >= 5)
        second.kill()
        assert written(folder / "killed.db") < SETS
        cluster.worker()
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert json.loads(out)["trials_run"] == SETS
    assert rows(folder / "killed.db") == calm


def test_a_cluster_that_is_gone_is_named(folder: Path, cluster: Cluster) -> None:
    """The scheduler dies in the middle: one line and 69; what is done is kept, and goes on elsewhere."""
    cluster.worker()
    asked = command(folder, "--on", f"dask://{cluster.address}")
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: written(folder / "killed.db") >= 3)
        cluster.scheduler.kill()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 69
    assert f"bot: dask://{cluster.address} cannot be reached" in err.decode()
    assert b"Traceback" not in err
    assert 3 <= written(folder / "killed.db") < SETS
