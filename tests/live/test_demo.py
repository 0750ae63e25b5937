"""`bot demo` and `bot simulate`: what a stranger runs first."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from bot.cli.main import main
from bot.cli.options import program
from tests.trade_picture import PICTURE, draw

TRADES = "select position_id, opened_at, closed_at, entry_price, exit_price, profit from v_trades order by 1"
EQUITY = "select slot, equity from v_equity order by slot"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Ask a ledger."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_the_demo_twice_gives_the_same_trades_ids_and_equity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two demos print the same but for the seconds, and their ledgers hold the same."""
    monkeypatch.chdir(tmp_path)
    told, held = [], []
    for _ in range(2):
        assert main(["demo", "--days", "3"]) == 0
        told.append([line for line in capsys.readouterr().out.splitlines() if " days in " not in line])
        held.append((rows(Path("tidemark-demo.db"), TRADES), rows(Path("tidemark-demo.db"), EQUITY)))
    assert told[0] == told[1]
    assert held[0] == held[1]
    assert len(held[0][0]) > 1
    text = "\n".join(told[0])
    assert told[0][-1] == "ledger: tidemark-demo.db"
    assert f"In words: {len(held[0][0])} trades, " in "\n".join(told[0])
    for part in ("buy_and_hold", "entered", "rejected", "FAIL", "v_gate_funnel", "v_postings"):
        assert part in text


def test_the_demo_ends_with_its_sums_and_steps_that_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """U12: the words say what the ledger says, and each next step works as it is printed, in this folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a demo" / "tidemark-demo.db"
    path.parent.mkdir()
    assert main(["demo", "--days", "2", "--ledger", f"sqlite:///{path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    sums = "count(*), sum(not is_open and profit > 0), sum(not is_open and profit < 0), sum(is_open)"
    (counts,) = rows(path, f"select {sums} from v_trades")
    gains = "equity / 10000.0 - 1, benchmark / 10000.0 - 1"
    ((equity, held),) = rows(path, f"select {gains} from v_equity_daily order by slot desc limit 1")
    words = " ".join(lines[lines.index(next(line for line in lines if line.startswith("In words: "))) :])
    trades = "1 trade" if counts[0] == 1 else f"{counts[0]} trades"
    assert words.startswith("In words: {}, {} won, {} lost, {} still open; ".format(trades, *counts[1:]))
    assert f"({equity:+.2%}), holding the same tokens {held:+.2%}" in words
    assert [line.startswith(f"$ {program()} why ") for line in lines if line.startswith("$ ")] == [True, True]
    steps = [lines[at + 1] for at, line in enumerate(lines) if line.startswith("next, ")]
    assert len(steps) == 3
    for step in steps:
        done = subprocess.run(["/bin/sh", "-c", step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (step, done.stderr)


def test_the_demo_takes_a_file_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """U12: a PostgreSQL URL is one line that says what the demo takes."""
    assert main(["demo", "--ledger", "postgresql://u@h/d"]) == 2
    assert capsys.readouterr().err == (
        "bot: the demo writes a SQLite file of its own: give --ledger a path, tidemark-demo.db say\n"
    )


def test_a_port_makes_the_whole_chain_of_a_demo_repeatable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two demos on one port and one path end with the same hash; on another port the configuration is another."""
    path = tmp_path / "tidemark-demo.db"

    def chain(port: int) -> list[tuple[object, ...]]:
        assert main(["demo", "--days", "1", "--port", str(port), "--ledger", str(path)]) == 0
        capsys.readouterr()
        return rows(path, "select slot, hash, contents from cycles order by slot")

    first, other = free_port(), free_port()
    assert chain(first) == chain(first) != chain(other)


def test_a_demo_on_a_port_that_is_taken_says_so_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """74 and one line with the address and the option; the last demo's ledger is still there."""
    kept = tmp_path / "tidemark-demo.db"
    assert main(["demo", "--days", "1", "--ledger", str(kept)]) == 0
    before = kept.read_bytes()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--days", "1", "--port", str(port), "--ledger", str(kept)]) == 74
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
    assert kept.read_bytes() == before


def test_the_demo_replaces_no_ledger_but_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of another name that exists is left alone: 78."""
    mine = tmp_path / "mine.db"
    mine.write_text("precious")
    assert main(["demo", "--ledger", str(mine)]) == 78
    assert mine.read_text() == "precious"
    assert "mine.db" in capsys.readouterr().err


def test_a_demo_of_no_days_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Zero days and no number are usage errors."""
    assert main(["demo", "--days", "0"]) == 2
    assert main(["demo", "--days", "many"]) == 2
    assert "days" in capsys.readouterr().err


def test_simulate_serves_until_it_is_stopped() -> None:
    """The command says where it listens, answers there, and Ctrl-C ends it; a taken port is one line and 74."""
    command = [sys.executable, "-m", "bot", "simulate", "--port", "0", "--seed", "5"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        url = next(word for word in line.replace(",", " ").split() if word.startswith("http"))
        request = urllib.request.Request(f"{url}/price?token_id=3375", headers={"x-api-key": "any"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert json.load(answer)["data"][0]["TOKEN_ID"] == 3375
        port = url.split(":")[2].split("/")[0]
        taken = subprocess.run([*command[:4], "--port", port], capture_output=True, text=True, check=False)
        assert (taken.returncode, taken.stderr.count("\n")) == (74, 1)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(20) == 130


def test_the_picture_of_the_readme_is_a_trade_of_the_demo(demo: Path) -> None:
    """`make docs` would draw the same from the demo's ledger."""
    assert draw(demo) == PICTURE.read_text()
