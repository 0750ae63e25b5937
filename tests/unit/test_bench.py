"""The bench: what it measures is what it says, and a wrong answer has no speed."""

import sqlite3
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from bench import run
from bench.cases import Runs, check, workload
from bench.loop import loop
from bench.rewrite import parents_first, rewrite
from bench.sweeps import sweep_file
from bench.table import DOCUMENT, README, growth, quoted, table, told_machine, told_sweep, write_documents
from bench.timing import FailedError, Timed, timed
from tests.acceptance.comparison import run_replay
from tests.acceptance.history_folders import write_folder
from tests.replay.random_histories import random_strategy, random_tables

WANTED = {"trades": 200, "final_equity": 100_000.0}


def measured(symbols: int, seconds: float, floor: float) -> Runs:
    """Return three rounds of a case in which everything took as long, and half of the floor is the rows."""
    told = {"loop": seconds / 2, "run_s": floor / 4, "seconds": floor / 2, "cpu": floor / 2}
    runs = {
        name: [Timed(seconds=whole, cpu=whole, peak=100.0, told=told)] * 3
        for name, whole in (("replay", seconds), ("batch", floor / 2), ("rows", floor), ("loop", seconds))
    }
    return Runs(case=workload(symbols, 3), bars=symbols * 26_280, rows=5000, trades=200, runs=runs)


def test_a_ratio_is_a_whole_replay_over_batch_and_rows() -> None:
    """Six seconds against one of batch and one of rows are three times the floor."""
    runs = measured(100, 6.0, 2.0)
    assert (runs.ratio(), runs.cpu_ratio()) == (3.0, 3.0)
    head, _, line = table([runs]).splitlines()
    assert len(head) == len(line)
    cells = dict(zip(*([text.strip() for text in row.split("|")] for row in (head, line)), strict=True))
    assert (cells["ratio"], cells["M bars/s"], cells["kernel loop s"]) == ("3.00", "0.88", "-")


def test_growth_is_the_exponent_of_the_bars() -> None:
    """Ten times the symbols in a hundred times the seconds grow with the square."""
    (found,) = growth([measured(100, 100.0, 2.0), measured(10, 1.0, 2.0)])
    assert (found["with"], found["from"], found["to"]) == ("symbols", "g_10_3", "g_100_3")
    assert found["replay"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("trades", "equity", "complaint"),
    [(202, 100_000, "closed trades"), (200, 98_900, "final equity"), (201, 100_900, "")],
)
def test_a_wrong_ledger_fails_the_bench(trades: int, equity: float, complaint: str) -> None:
    """One trade in a hundred or more than one percent of equity off is an error that names the figure."""
    found = {"trades": trades + 3, "open_positions": 3, "equity": equity}
    if not complaint:
        return check(workload(10, 1), found, WANTED)
    with pytest.raises(FailedError, match=f"g_10_1: {complaint} .* of the reference"):
        check(workload(10, 1), found, WANTED)
    return None


def test_the_sets_of_a_sweep_are_all_pairs_of_ten(tmp_path: Path) -> None:
    """Ten buffers by ten budgets make a hundred sets of the workload's strategy, one by one makes one."""
    for count in (10, 1):
        file = sweep_file(workload(100, 3), tmp_path / "history", tmp_path / "many.toml", count)
        lists = tomllib.loads(file.read_text())["parameters"]
        assert [len(set(values)) for section in lists.values() for values in section.values()] == [count, count]
    told = told_sweep({"case": "g_100_3", "one": {"seconds": 2.0}, "hundred": {"seconds": 60.0}, "ratio": 30.0})
    assert "60.0 s, 30.0 times a sweep of one (2.0 s)" in told


def test_load_from_elsewhere_is_told() -> None:
    """Half a core of other work before, or beside our own after, stands with the figures."""
    machine = {"day": "2024-01-01", "cores": 2, "processor": "x", "system": "y", "python": "3", "load": 0.4}
    assert "beside it, so only ratios" not in told_machine(machine, 1.3, 3, "make bench")
    assert "beside it, so only ratios" in told_machine(machine, 2.5, 3, "make bench")
    assert "beside it, so only ratios" in told_machine({**machine, "load": 1.5}, 1.3, 3, "make bench")


def test_a_command_that_fails_is_no_measurement() -> None:
    """Seconds, memory and answer of a command that ends well; the exit and the last words of one that does not."""
    done = timed([sys.executable, "-c", "import json; print(json.dumps({'x': 1}), end='')"])
    assert (done.told, done.seconds > 0, done.cpu > 0, done.peak > 1) == ({"x": 1}, True, True, True)
    with pytest.raises(FailedError, match="exit 3: gone"):
        timed([sys.executable, "-c", "import sys; sys.stderr.write('gone'); sys.exit(3)"])


def test_the_floor_writes_every_row_and_the_loop_makes_every_cycle(tmp_path: Path) -> None:
    """The copy of a replay's ledger holds its rows under the same schema; the loop alone yields as many cycles."""
    folder, text = write_folder(tmp_path / "history", random_tables(3, 1)), random_strategy(3, "floor")
    printed, _ = run_replay(folder, text, tmp_path)
    ledger, copy = tmp_path / "floor.db", tmp_path / "copy.db"
    told = rewrite(ledger, copy)
    with closing(sqlite3.connect(ledger)) as written, closing(sqlite3.connect(copy)) as fresh:
        for name in parents_first(written):
            ours, theirs = (db.execute(f"select * from {name}").fetchall() for db in (fresh, written))
            assert sorted(ours, key=repr) == sorted(theirs, key=repr)
        schema = "select sql from sqlite_master order by name"
        assert fresh.execute(schema).fetchall() == written.execute(schema).fetchall()
        counts = (fresh.execute(f"select count(*) from {name}").fetchone()[0] for name in parents_first(fresh))
        assert told["rows"] == sum(counts) > 100
    assert loop(tmp_path / "floor.toml", folder, None)["cycles"] == printed["cycles_added"]


def test_without_the_workload_one_line_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the folder beside the project is absent, the bench says so and measures nothing."""
    monkeypatch.setenv("TIDEMARK_SHARED", str(tmp_path))
    assert run.main(["--work", str(tmp_path / "work")]) == 78
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "work").exists()


def test_the_documents_have_a_place_for_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are written between their marks, nothing else is touched, and writing them twice changes nothing."""
    for name, path in (("DOCUMENT", DOCUMENT), ("README", README)):
        copy = tmp_path / path.name
        copy.write_text(path.read_text())
        monkeypatch.setattr(f"bench.table.{name}", copy)
    write_documents("a table\n", quoted([measured(100, 6.0, 2.0)]))
    once = [(tmp_path / path.name).read_text() for path in (DOCUMENT, README)]
    assert "table -->\na table\n<!-- end -->" in once[0]
    assert "2.6 million hourly bars of 100 tokens, 200 trades and a ledger of 5,000 rows: 6.0 s" in once[1]
    write_documents("a table\n", quoted([measured(100, 6.0, 2.0)]))
    assert [(tmp_path / path.name).read_text() for path in (DOCUMENT, README)] == once
    assert once[1].partition("<!-- bench: figures -->")[0] == README.read_text().partition("<!-- bench: figures -->")[0]
