"""`bot replay` from the outside: its answer, its repetition, and one clear line for bad input."""

import gc
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.app.replay.replay import without_collection
from bot.app.review.reading import show
from bot.app.review.reports import Asked
from bot.app.telling.answers import Table
from bot.app.telling.printing import fit
from bot.cli.main import main

STRATEGY = """
[strategy]
name = "small"
universe = ["AAA"]

[stop]
rule = "fraction"
fraction = 0.05

[target]
rule = "fraction"
fraction = 0.05

[sizing]
rule = "fixed_notional"
notional = 1000
"""
BARS = """time,open,high,low,close,volume
2024-01-01T00:00:00Z,100,100,100,100,1
2024-01-01T01:00:00Z,100,101,99,100,1
2024-01-01T02:00:00Z,100,106,99,104,1
2024-01-01T03:00:00Z,104,104,104,104,1
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a history of one token that turns bullish and reaches its target."""
    history = tmp_path / "history"
    (history / "bars" / "1h").mkdir(parents=True)
    (history / "instruments.csv").write_text("token_id,symbol,name\n1,AAA,Token A\n")
    (history / "bars" / "1h" / "AAA.csv").write_text(BARS)
    (history / "signals.csv").write_text("token_id,published_at,stance\n1,2024-01-01T01:00:00Z,bullish\n")
    (tmp_path / "small.toml").write_text(STRATEGY)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the command line in process; returns exit code, stdout and stderr."""

    def call(*more: str, strategy: str = "small.toml", history: str = "history") -> tuple[int, str, str]:
        given = [*("--ledger", str(folder / "r.db"))] if "--ledger" not in more else []
        code = main(["replay", "--strategy", str(folder / strategy), "--history", str(folder / history), *given, *more])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_a_replay_has_a_status_without_signs_of_life(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its stored configuration is a strategy, it is never due, and nothing of it is alive."""
    assert run()[0] == 0
    ledger = ("--ledger", str(folder / "r.db"))
    assert main(["status", *ledger]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "small: a replay"
    assert main(["status", *ledger, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["is_replay"], told["due_slot"], told["overdue"]) == (True, None, False)
    assert main(["status", *ledger, "--expect-alive"]) == 69


def test_a_hook_that_fails_does_not_look_like_a_quiet_strategy(run: Run, folder: Path) -> None:
    """What it refused is counted with its error, and where nothing was traded a command says why."""
    (folder / "small.py").write_text("def veto(view, bracket):\n    return view.nothing\n")
    code, out, err = run()
    assert code == 0
    assert "look: 1 times a candidate was rejected because hook veto: AttributeError" in err
    assert out.splitlines()[-1].endswith(f" why --ledger {folder / 'r.db'}")
    (folder / "small.py").write_text("def extra_exits(view, holding):\n    return view.nothing\n")
    _, out, err = run("--ledger", str(folder / "exits.db"))
    assert "look: hook extra_exits: AttributeError" in err
    assert "next: " not in out


def test_a_replay_tells_its_drawdown_once(run: Run) -> None:
    """The head has money and counts, the statistics have the fall, with more digits."""
    assert run()[1].count("\nmax drawdown  ") == 1


@pytest.mark.parametrize("report", ["trades", "equity", "orders"])
def test_rows_of_several_runs_say_whose_they_are(run: Run, folder: Path, report: str) -> None:
    """The run is the last thing that a narrow terminal loses, and one of the first where there is only one."""
    assert run()[0] == 0
    ledger = f"sqlite:///{folder / 'r.db'}"
    (alone,) = show(report, ledger, Asked()).parts
    assert isinstance(alone, Table)
    assert "run" in fit(alone, 30)[1]
    (folder / "other.toml").write_text(STRATEGY.replace("small", "other"))
    assert run(strategy="other.toml")[0] == 0
    (both,) = show(report, ledger, Asked()).parts
    assert isinstance(both, Table)
    assert "run" not in fit(both, 30)[1]


def test_the_answer_has_the_figures_of_the_ledger(run: Run, folder: Path) -> None:
    """One JSON object whose figures are those of the views."""
    code, out, _ = run("--json", "--cash", "5000")
    answer = json.loads(out)
    with closing(sqlite3.connect(folder / "r.db")) as connection:
        trades, profit, fees = connection.execute("select count(*), sum(profit), sum(fees) from v_trades").fetchone()
    assert code == 0
    assert (answer["trades"], answer["bars"], answer["slots"]) == (trades, 4, 4) == (1, 4, 4)
    assert (answer["profit"], answer["fees"]) == (pytest.approx(profit), pytest.approx(fees))
    assert answer["equity"] == pytest.approx(5000 + profit)
    assert {"max_drawdown", "seconds"} <= set(answer)


def test_the_same_replay_again_adds_nothing_and_says_so(run: Run, folder: Path) -> None:
    """The second time no cycle is added, the figures are the same, and stderr says why."""
    first = json.loads(run("--json")[1])
    code, out, err = run("--json")
    again = json.loads(out)
    assert (code, again["cycles_added"]) == (0, 0)
    assert "nothing added" in err
    assert {key: again[key] for key in ("trades", "profit", "equity")} == {
        key: first[key] for key in ("trades", "profit", "equity")
    }


def test_another_replay_under_the_same_name_is_refused(run: Run, folder: Path) -> None:
    """Other cash, other rules or another window under a name that is taken: 78."""
    assert run()[0] == 0
    assert run("--cash", "1")[0] == 78
    assert run("--to", "2024-01-01T03:00Z")[0] == 78
    (folder / "small.toml").write_text(STRATEGY.replace("0.05", "0.06"))
    code, _, err = run()
    assert code == 78
    assert err.count("\n") == 1


def test_a_schedule_sets_the_slots(run: Run) -> None:
    """Every second hour: two slots of four."""
    assert json.loads(run("--json", "--schedule", "0 */2 * * *")[1])["slots"] == 2


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Change a file of the folder."""
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


BAR_FILE = "history/bars/1h/AAA.csv"


@pytest.mark.parametrize(
    ("spoil", "code", "said"),
    [
        (lambda folder: (folder / "small.toml").unlink(), 78, "small.toml"),
        (lambda folder: (folder / "history/signals.csv").unlink(), 78, "signals.csv"),
        (lambda folder: (folder / BAR_FILE).unlink(), 78, "AAA"),
        (replaced("small.toml", "[stop]\nrule", "[stop]\nrul"), 78, "did you mean"),
        (replaced("small.toml", "notional = 1000", "notional = nan"), 78, "notional"),
        (replaced("small.toml", "notional = 1000", "notional = -5"), 78, "notional"),
        (replaced("small.toml", "notional = 1000", 'notional = "many"'), 78, "notional"),
        (replaced("small.toml", '["AAA"]', "[]"), 78, "universe"),
        (replaced("small.toml", '["AAA"]', '["AAB"]'), 78, "AAA"),
        (replaced("small.toml", '"fraction"\nfraction = 0.05\n\n[target]', '"level"\n\n[target]'), 78, "levels.csv"),
        (replaced(BAR_FILE, "T01:00", "T02:00"), 65, "AAA.csv"),
        (replaced(BAR_FILE, "T03:00", "T00:00"), 65, "AAA.csv"),
        (replaced(BAR_FILE, "106", "abc"), 65, "AAA.csv"),
        (replaced(BAR_FILE, "106", "nan"), 65, "AAA.csv"),
        (replaced("history/signals.csv", "bullish", "hopeful"), 65, "signals.csv"),
        (replaced("history/instruments.csv", "1,AAA,Token A\n", "1,AAA,A\n2,AAA,B\n"), 65, "AAA"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    run: Run, folder: Path, spoil: Callable[[Path], object], code: int, said: str
) -> None:
    """The documented exit code, one line that names the thing, and no ledger."""
    spoil(folder)
    ended, out, err = run()
    assert ended == code, err
    assert said in err
    assert err.count("\n") == 1
    assert out == ""
    assert not (folder / "r.db").exists()


def test_an_inconsistent_candle_is_dropped_counted_and_named(run: Run, folder: Path) -> None:
    """High below open: the replay goes on without that bar."""
    replaced(BAR_FILE, "104,104,104,104", "104,103,103,103")(folder)
    code, out, err = run("--json")
    assert (code, json.loads(out)["rows_refused"], json.loads(out)["bars"]) == (0, 1, 3)
    assert "AAA.csv" in err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--cash", "-1"], 2),
        (["--cash", "lots"], 2),
        (["--cash", "1e12"], 2),
        (["--cash", "0.0000001"], 2),
        (["--from", "0001-01-01T00:00+14:00"], 2),
        (["--ledger", "sqlite:///x.db?mode=ro"], 78),
        (["--from", "yesterday"], 2),
        (["--schedule", "every hour"], 78),
        (["--from", "2030-01-01"], 78),
        (["--ledger", "/nonexistent/r.db"], 74),
        (["--ledger", "mysql://somewhere/db"], 78),
    ],
)
def test_bad_arguments_have_their_exit_code(run: Run, arguments: list[str], code: int) -> None:
    """Usage is 2, what cannot be is 78, what cannot be written 74."""
    assert run(*arguments)[0] == code


def test_a_ledger_of_another_schema_is_refused(run: Run, folder: Path) -> None:
    """A ledger that a newer version wrote is left alone: 78."""
    assert run()[0] == 0
    with closing(sqlite3.connect(folder / "r.db")) as connection, connection:
        connection.execute("update alembic_version set version_num = '9999'")
    code, _, err = run()
    assert code == 78
    assert err.count("\n") == 1


def test_a_replay_that_fails_leaves_no_run_behind(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine breaks in the middle: the ledger has no run, and the mended replay is taken under the same name."""

    def broken(*_: object, **_more: object) -> None:
        message = "broken"
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr("bot.app.replay.waking.run_cycle", broken)
        with pytest.raises(RuntimeError):
            run("--cash", "5000")
    with closing(sqlite3.connect(folder / "r.db")) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (0,)
    assert run("--cash", "6000")[0] == 0


def test_a_strategy_saved_with_a_byte_order_mark_is_read(run: Run, folder: Path) -> None:
    """Some editors begin a file with a mark: it is no error."""
    path = folder / "small.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run()[0] == 0


def test_a_replay_never_prints_a_password(run: Run) -> None:
    """A server's URL with a password that cannot be reached: the password is in no output."""
    code, out, err = run("--ledger", "postgresql://someone:secret-canary@127.0.0.1:9/none")
    assert code == 74
    assert "secret-canary" not in out + err


def test_another_database_is_not_taken_for_a_ledger(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A SQLite file that holds something else: 78, and it is called what it is."""
    with closing(sqlite3.connect(folder / "other.db")) as connection:
        connection.execute("create table t (a)")
    assert main(["status", "--ledger", str(folder / "other.db")]) == 78
    assert "another database" in capsys.readouterr().err


def test_an_unknown_run_is_not_an_empty_one(run: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--run` with a slip names the runs there are; a symbol may be written small."""
    assert run()[0] == 0
    ledger = ["--ledger", str(folder / "r.db")]
    for command in (["trades"], ["why", "AAA"]):
        assert main([*command, *ledger, "--run", "smalll"]) == 78
        assert "small" in capsys.readouterr().err
    assert main(["why", "aaa", *ledger]) == 0


@pytest.mark.parametrize(
    "arguments",
    ["simulate --port 99999", "simulate --seed -5", "demo --days 99999999", "demo --days x", "demo --days 0"],
)
def test_numbers_out_of_bounds_are_usage_errors(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says the bounds, and 2."""
    assert main(arguments.split()) == 2
    assert "whole number from" in capsys.readouterr().err


@pytest.fixture
def collecting() -> Iterator[None]:
    """Leave the collector as it was found."""
    yield
    gc.enable()


@pytest.mark.parametrize("prepare", [gc.enable, gc.disable])
@pytest.mark.usefixtures("collecting")
def test_who_looks_for_no_garbage_goes_on_so_after_a_replay(prepare: Callable[[], None]) -> None:
    """The collector rests during a replay, and is afterwards as the caller had it, also after an error."""
    prepare()
    before = gc.isenabled()
    with without_collection():
        assert not gc.isenabled()
    assert gc.isenabled() is before
    with pytest.raises(ZeroDivisionError), without_collection():
        raise ZeroDivisionError
    assert gc.isenabled() is before


def test_a_replay_loads_nothing_that_it_does_not_use(folder: Path) -> None:
    """The HTTP library takes as long to load as a short replay; without a table to print, rich is idle too."""
    code = (
        "import sys; from bot.cli.main import main; given = sys.argv[1:]; "
        "print(main(given), sorted({'httpx', 'httpcore', 'rich'} & set(sys.modules)))"
    )
    asked = ["replay", "--strategy", "small.toml", "--history", "history", "--ledger", "r.db"]
    done = subprocess.run([sys.executable, "-c", code, *asked], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
