"""`bot sweep` from the outside: its rows are replays, whoever computes them, whatever was there before."""

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext
from pathlib import Path
from statistics import NormalDist

import pytest

from bot.app.sweep.task import code_version
from bot.app.sweep.workers import Workers
from bot.cli.main import main
from tests.sweep_files import STRATEGY, SWEEP, Serial, parameters_in, place, rows

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "sweep.md").read_text()
HEAD = '[sweep]\nname = "first"\nstrategy = "waves"\nhistory = "history"\n'
WALKED = "\n[walk_forward]\ntrain_days = 20\ntest_days = 10\n"
# Two sets, where it is not their number that counts.
SMALL = SWEEP.replace("{ low = 0.01, high = 0.03, step = 0.01 }", "[0.01]")
RARE = WALKED.replace("20", "1").replace("10", "1")
NO_BARS = "time,open,high,low,close,volume\n"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Serial:
    """Let tasks run in this process, one after the other."""
    executor = Serial()
    workers = Workers(lambda: nullcontext(executor), (BrokenExecutor,))
    monkeypatch.setattr("bot.app.sweep.course.workers_on", lambda *_: workers)
    return executor


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line in process; returns exit code, stdout and stderr."""

    def run(sweep: str | None = None, *more: str, ledger: str = "s.db") -> tuple[int, str, str]:
        if sweep is not None:
            place(tmp_path, sweep)
        code = main(["sweep", str(tmp_path / "sweep.toml"), "--ledger", str(tmp_path / ledger), *more])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_a_trial_is_a_replay(serial: Serial, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure, reason and count of each row is that of `bot replay` with the same values, window and cash."""
    window = 'cash = 5000\nfrom = 2024-01-03T05:00:00Z\nto = "2024-02-07T04:00Z"\n'
    assert call(SWEEP.replace('"history"\n', f'"history"\n{window}'))[0] == 0
    found = rows(tmp_path / "s.db")
    assert len(found) == 6
    for number, trial in enumerate(found):
        parameters = parameters_in(trial)
        text = STRATEGY.replace("0.02", str(parameters["stop.fraction"]))
        (tmp_path / "waves.toml").write_text(text.replace("0.03", str(parameters["target.fraction"])))
        asked = ["--strategy", str(tmp_path / "waves.toml"), "--history", str(tmp_path / "history"), "--cash", "5000"]
        asked += ["--from", "2024-01-03T05:00Z", "--to", "2024-02-07T04:00Z", "--ledger", f"{tmp_path}/{number}.db"]
        assert main(["replay", *asked, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        figures = answer["statistics"]
        reasons = json.loads(str(trial["reasons"]))
        assert {name: trial[name] for name in figures if name in trial and name != "reasons"} == {
            name: value for name, value in figures.items() if name in trial and name != "reasons"
        }
        assert {name: reason for name, reason in figures["reasons"].items() if name in trial} == {
            name: reason for name, reason in reasons.items() if name in figures
        }
        assert (trial["final_equity"], trial["open_positions"]) == (answer["equity"], answer["open_positions"])
        assert (trial["trades"], trial["slots"]) == (figures["closed_trades"], answer["slots"])
        assert trial["sharpe"] is not None
        assert trial["calmar"] is None
    assert max(int(str(one["open_positions"])) for one in found) > 0
    assert len({one["sharpe"] for one in found}) == 6


def test_processes_give_the_rows_of_the_serial_run(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two spawned processes, and the answer is in the order of the plan whoever finishes first."""
    code, out, _ = call(SWEEP, "--workers", "2", "--json", ledger="two.db")
    assert code == 0
    workers = Workers(lambda: nullcontext(Serial()), ())
    monkeypatch.setattr("bot.app.sweep.course.workers_on", lambda *_: workers)
    told = json.loads(call(None, "--json")[1])
    answer = json.loads(out)
    assert rows(tmp_path / "two.db") == rows(tmp_path / "s.db")
    assert len(rows(tmp_path / "two.db")) == 6
    assert answer["windows"] == told["windows"]


def test_the_same_sweep_again_runs_nothing_and_a_larger_one_what_is_new(serial: Serial, call: Call) -> None:
    """What the ledger has is not run again; the answer is the same."""
    first = json.loads(call(SWEEP, "--json")[1])
    again = json.loads(call(SWEEP, "--json")[1])
    assert (first["trials_run"], first["trials_found"]) == (6, 0)
    assert (again["trials_run"], again["trials_found"]) == (0, 6)
    assert serial.count == 6
    assert again["windows"] == first["windows"]
    larger = json.loads(call(SWEEP.replace("[0.01, 0.02]", "[0.01, 0.02, 0.03]"), "--json")[1])
    assert (larger["trials_run"], larger["trials_found"]) == (3, 6)


@pytest.mark.parametrize(
    "changed",
    [
        SMALL.replace('"first"', '"second"'),
        SMALL.replace('"waves"\n', '"waves"\nseed = 2\n'),
        SMALL.replace('"waves"\n', '"waves"\ncash = 9999\n'),
        SMALL.replace('"waves"\n', '"waves"\nfrom = 2024-01-02\n'),
        SMALL.replace('"waves"\n', '"waves"\nschedule = "0 */2 * * *"\n'),
    ],
)
def test_another_trial_has_another_id(serial: Serial, call: Call, tmp_path: Path, changed: str) -> None:
    """Name, seed, cash, window and schedule name a trial beside its parameters."""
    assert call(SMALL)[0] == 0
    assert call(changed)[0] == 0
    assert len(rows(tmp_path / "s.db")) == 4


@pytest.mark.parametrize("name", ["strategies/waves.toml", "strategies/waves.py", "history/signals.csv"])
def test_other_contents_are_another_trial(serial: Serial, call: Call, tmp_path: Path, name: str) -> None:
    """The strategy's text, its hooks and the history's rows name a trial too, under the same paths."""
    assert call(SMALL)[0] == 0
    path = tmp_path / name
    if path.suffix == ".py":
        path.write_text("def veto(view, bracket):\n    return None\n")
    else:
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:-1] if path.suffix == ".csv" else ["# said anew", *lines]))
    assert call()[0] == 0
    assert len(rows(tmp_path / "s.db")) == 4


def test_trials_of_other_code_are_not_taken_over(
    serial: Serial, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edited engine of the same release runs every set again, and each row says by which code it is."""
    assert call(SMALL)[0] == 0
    for module in ("course", "task"):
        monkeypatch.setattr(f"bot.app.sweep.{module}.code_version", lambda: "0.1.0+edited")
    answer = json.loads(call(None, "--json")[1])
    assert (answer["trials_run"], answer["trials_found"]) == (2, 0)
    versions = Counter(str(row["code_version"]) for row in rows(tmp_path / "s.db"))
    assert versions == {code_version(): 2, "0.1.0+edited": 2}


def test_walking_forward_tests_the_best_of_each_train_window(serial: Serial, call: Call, tmp_path: Path) -> None:
    """The set with the least drawdown of a train window is the one whose test begins where the training ended."""
    wide = '"history"\nfigure = "max_drawdown"\nfrom = 2020-01-01\nto = 2030-01-01\n'
    sweep = SWEEP.replace('"history"\n', wide) + WALKED
    answer = json.loads(call(sweep, "--json")[1])
    found = rows(tmp_path / "s.db")
    assert (len(answer["windows"]), len(found)) == (2, 14)
    for window in answer["windows"]:
        trained = [one for one in found if not one["is_test"] and one["window_from"] == window["from"]]
        (tested,) = [one for one in found if one["is_test"] and one["window_from"] == window["to"]]
        best = min(trained, key=lambda one: float(str(one["max_drawdown"])))
        assert len(trained) == window["sets"] == 6
        assert tested["parameters"] == best["parameters"]
        assert window["test"]["total_return"] == tested["total_return"]
        assert window["best"][0]["max_drawdown"] == best["max_drawdown"] == window["best"][0]["max_drawdown"]
    assert answer["windows"][0]["from"] == "2024-01-01T01:00:00.000000Z"
    assert answer["windows"][1]["test"]["to"] == "2024-02-10T00:00:00.000000Z"
    lines = call(None)[1].splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["train_from", "2024-01-01", "2024-01-11"]


def test_luck_is_judged_over_all_trials(serial: Serial, call: Call, tmp_path: Path) -> None:
    """The deflated Sharpe ratio from the rows alone, by the published formula; told with the best set."""
    answer = json.loads(call(SWEEP, "--json")[1])
    (window,) = answer["windows"]
    found = rows(tmp_path / "s.db")
    daily = [float(str(one["sharpe"])) / math.sqrt(365) for one in found]
    best = max(found, key=lambda one: float(str(one["sharpe"])))
    ratio, skewness, kurtosis = (float(str(best[name])) for name in ("sharpe", "skewness", "kurtosis"))
    ratio, normal, euler = ratio / math.sqrt(365), NormalDist(), 0.5772156649015329
    expected = (1 - euler) * normal.inv_cdf(1 - 1 / 6) + euler * normal.inv_cdf(1 - 1 / (6 * math.e))
    error = math.sqrt(1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2)
    above = (ratio - expected * statistics.stdev(daily)) * math.sqrt(int(str(best["days"])) - 1) / error
    assert window["deflated_sharpe"] == pytest.approx(normal.cdf(above), rel=1e-9)
    assert 0 < window["deflated_sharpe"] < 1
    assert window["best"][0]["trial_id"] == best["trial_id"]
    ordered = [one["sharpe"] for one in window["best"]]
    assert ordered == sorted(ordered, reverse=True)
    out = call(None)[1]
    assert f"better than luck (deflated Sharpe ratio): {round(window['deflated_sharpe'], 4):.8g}\n" in out
    assert out.splitlines()[0].split()[:3] == ["stop.fraction", "target.fraction", "sharpe"]
    assert out.endswith(f"0 trials run, 6 found in the ledger: {tmp_path}/s.db\n")


def test_a_figure_that_nobody_has_has_no_best(serial: Serial, call: Call) -> None:
    """Twenty days have no Sharpe ratio: no set is the best, none is tested, and the answer says why."""
    answer = json.loads(call(SWEEP + WALKED, "--json")[1])
    for window in answer["windows"]:
        assert (window["best"], window["test"], window["deflated_sharpe"]) == ([], None, None)
        assert window["reason"] == "no set has a sharpe; of the first: needs 30 daily returns, has 20"
    code, told, _ = call(None)
    assert code == 0
    assert "2 of 2 train windows lack a figure: no set has a sharpe; of the first: needs 30 daily returns" in told
    short = SWEEP.replace('"history"\n', '"history"\nfigure = "total_return"\nto = 2024-01-09\n')
    (window,) = json.loads(call(short, "--json")[1])["windows"]
    assert len(window["best"]) == 6
    assert window["reason"] == "the best set has no Sharpe ratio"
    assert "; the best set has no Sharpe ratio" in call(None)[1]
    longer = SWEEP + WALKED.replace("20", "30").replace("10", "5")
    (first, second) = json.loads(call(longer, "--json")[1])["windows"]
    assert first["test"]["reasons"]["sharpe"] == second["test"]["reasons"]["sharpe"] == "needs 30 daily returns, has 5"
    assert call(None)[1].count("windows lack a figure") == 1
    assert "2 of 2 test windows lack a figure: needs 30 daily returns, has 5\n" in call(None)[1]
    alone = SWEEP.replace('"history"\n', '"history"\nto = 2024-01-21\n')
    assert "(deflated Sharpe ratio): -; no set has a sharpe; of the first: needs 30" in call(alone)[1]


def test_sets_that_contradict_the_strategy_are_passed_over(serial: Serial, call: Call, tmp_path: Path) -> None:
    """A window whose least is above its largest: counted, the first named; where none is left the sweep is refused."""
    pairs = "[parameters]\nstop.distance_min = [0.001, 0.5]\nstop.distance_max = [0.4, 0.5]\n"
    answer = json.loads(call(HEAD + pairs, "--json")[1])
    assert (answer["sets_refused"], answer["trials_run"]) == (1, 3)
    assert "stop.distance_min: 0.5 is above stop.distance_max = 0.4" in answer["refused_because"]
    assert "sets passed over: 1, the first because" in call(None)[1]
    code, out, err = call(HEAD + "[parameters]\nstop.distance_min = [0.5]\nstop.distance_max = [0.4]\n")
    assert (code, out) == (78, "")
    assert "no set goes with the strategy" in err
    assert err.count("\n") == 1


def test_a_study_asks_the_same_again_and_learns(serial: Serial, call: Call, tmp_path: Path) -> None:
    """Two batches of three, with a list, a range and words: the same rows in another ledger, and none run twice."""
    keys = "stop.fraction = { low = 0.005, high = 0.05, log = true }\ntarget.fraction = [0.01, 0.02]\n"
    words = 'entry.act_on = ["turn", "stance"]\n'
    sweep = f'{HEAD}method = "optuna"\ntrials = 6\nbatch = 3\n[parameters]\n{keys}{words}'
    first = json.loads(call(sweep, "--json")[1])
    assert first["trials_run"] == len(rows(tmp_path / "s.db")) == 6
    assert call(None, ledger="other.db")[0] == 0
    assert rows(tmp_path / "other.db") == rows(tmp_path / "s.db")
    again = json.loads(call(None, "--json")[1])
    assert (again["trials_run"], again["windows"]) == (0, first["windows"])
    assert json.loads(call(sweep.replace('"optuna"', '"optuna"\nseed = 2'), "--json")[1])["trials_run"] == 6


def test_a_set_that_a_study_asks_for_again_is_not_found_in_the_ledger(serial: Serial, call: Call) -> None:
    """Of two sets twelve times asked for two are run, and none found; the second time two are found."""
    sweep = f'{HEAD}method = "optuna"\ntrials = 12\nbatch = 2\n[parameters]\nstop.fraction = [0.01, 0.02]\n'
    for run, found in ((2, 0), (0, 2)):
        answer = json.loads(call(sweep, "--json")[1])
        assert (answer["trials_run"], answer["trials_found"]) == (run, found)


def test_a_study_goes_on_after_failures(serial: Serial, call: Call, tmp_path: Path) -> None:
    """Sets that contradict the strategy and figures that are undefined are failures to it, and it asks for others."""
    keys = "stop.distance_min = { low = 0.001, high = 0.5 }\nstop.distance_max = { low = 0.001, high = 0.5 }\n"
    sweep = f'{HEAD}method = "optuna"\ntrials = 12\nbatch = 4\nfigure = "max_drawdown"\n[parameters]\n{keys}'
    answer = json.loads(call(sweep, "--json")[1])
    assert answer["trials_run"] + answer["sets_refused"] == 12
    assert answer["trials_run"] > 0
    assert answer["sets_refused"] > 0
    answer = json.loads(call(sweep.replace('"max_drawdown"', '"calmar"'), "--json")[1])
    assert answer["windows"][0]["best"] == []


def test_the_examples_of_the_reference_run(serial: Serial, tmp_path: Path) -> None:
    """U8: both files of docs/sweep.md are swept as written, with what ships, and both questions have answers."""
    examples = re.findall(r"```toml\n(.*?)```", REFERENCE, re.DOTALL)
    questions = re.findall(r"```sql\n(.*?);\n```", REFERENCE, re.DOTALL)
    assert len(examples) == len(questions) == 2
    assert "\nbot history demo history\n" in REFERENCE
    assert main(["history", "demo", str(tmp_path / "history")]) == 0
    (tmp_path / "strategies").symlink_to(ROOT / "strategies")
    for example in examples:
        (tmp_path / "shown.toml").write_text(example)
        assert main(["sweep", str(tmp_path / "shown.toml"), "--ledger", str(tmp_path / "s.db")]) == 0
    assert [len(rows(tmp_path / "s.db", question)) for question in questions] == [6, 2]


def replaced(name: str, old: str, new: str) -> Callable[[Path], object]:
    """Change a file of the folder."""
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "more", "code", "said"),
    [
        (lambda folder: (folder / "sweep.toml").unlink(), [], 78, "sweep.toml: no such file"),
        (lambda folder: (folder / "strategies/waves.toml").unlink(), [], 78, "waves.toml: no such file"),
        (replaced("strategies/waves.toml", '"*"', '["XYZ"]'), [], 78, "XYZ"),
        (replaced("strategies/waves.toml", "[stop]\nrule", "[stop]\nrul"), [], 78, "did you mean `rule`"),
        (replaced("strategies/waves.toml", "[strategy]", "[strateg]"), [], 78, "strategy.name"),
        (replaced("sweep.toml", 'history = "history"', ""), [], 78, "sweep.history: missing"),
        (replaced("sweep.toml", '"history"\n', '"nowhere"\n'), [], 78, "nowhere: no such history folder"),
        (replaced("sweep.toml", "stop.fraction", "gates.trader_grade_min"), [], 78, "grades.csv: no such file"),
        (replaced("sweep.toml", "step = 0.01", "log = true"), [], 78, "parameters: target.fraction: a grid needs a"),
        (replaced("sweep.toml", '"history"\n', '"history"\nfrom = 2030-01-01\n'), [], 78, "no slot in this window"),
        (
            replaced("sweep.toml", '"history"\n', f'"history"\nschedule = "0 0 1 * *"\n{RARE}'),
            [],
            78,
            "sweep.toml: walk_forward: no slot from ",
        ),
        (replaced("history/bars/1h/T1.csv", "T05:00", "T04:00"), [], 65, "T1.csv"),
        (lambda folder: [path.write_text(NO_BARS) for path in folder.rglob("T?.csv")], [], 78, "no bars to replay"),
        (lambda _: None, ["--on", "threads"], 2, "write processes, dask://HOST:PORT or ray://HOST:PORT"),
        (lambda _: None, ["--on", "dask://"], 2, "write processes"),
        (lambda _: None, ["--on", "dask://127.0.0.1:1", "--workers", "2"], 2, "--workers goes with --on processes"),
        (lambda _: None, ["--workers", "0"], 2, "whole number from 1"),
    ],
)
def test_what_cannot_run_is_one_line(
    call: Call, tmp_path: Path, spoil: Callable[[Path], object], more: list[str], code: int, said: str
) -> None:
    """The documented exit code and the thing by its name; nothing is printed, nothing is written."""
    place(tmp_path)
    spoil(tmp_path)
    ended, out, err = call(None, *more)
    assert (ended, out) == (code, ""), err
    assert said in err
    assert err.count("\n") == 1 or code == 2
    assert not (tmp_path / "s.db").exists() or rows(tmp_path / "s.db") == []


@pytest.mark.parametrize(
    ("module", "more", "said"),
    [
        ("optuna", [], 'sweep.method = "optuna" needs the extra optuna: pip install "tidemark-bot[optuna]"'),
        ("distributed", ["--on", "dask://h:1"], 'dask://h:1 needs the extra dask: pip install "tidemark-bot[dask]"'),
        ("ray", ["--on", "ray://h:1"], 'ray://h:1 needs the extra ray: pip install "tidemark-bot[ray]"'),
    ],
)
def test_an_absent_extra_is_named(
    call: Call, monkeypatch: pytest.MonkeyPatch, module: str, more: list[str], said: str
) -> None:
    """Without the library the one line says what to install."""
    monkeypatch.setitem(__import__("sys").modules, module, None)
    sweep = SWEEP.replace('"history"\n', '"history"\nmethod = "optuna"\ntrials = 2\n')
    code, _, err = call(sweep, *more)
    assert code == 78
    assert said in err


def test_a_candle_that_contradicts_itself_is_named_and_left_out(serial: Serial, call: Call, tmp_path: Path) -> None:
    """The sweep goes on without the bar, as a replay does."""
    place(tmp_path)
    path = tmp_path / "history/bars/1h/T1.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].rpartition("Z,")[0] + "Z,100,90,95,95,1"]))
    code, _, err = call(None)
    assert code == 0
    assert err.startswith("refused: ")


def widen_and_split(folder: Path) -> None:
    """Let every hour of one token reach both stop and target, the target first as its five minutes tell."""
    path = folder / "history/bars/1h/T1.csv"
    head, *lines = path.read_text().splitlines()
    hours, minutes = [head], [head]
    for line in lines:
        at, opened, _, _, close, volume = line.split(",")
        low, high = (round(float(opened) * factor, 4) for factor in (0.96, 1.04))
        hours.append(f"{at},{opened},{high},{low},{min(max(float(close), low), high)},{volume}")
        five = [(opened, high, opened, high), (high, high, low, low), *[(low, low, low, low)] * 9]
        five.append((low, max(low, float(close)), low, close))
        minutes += [
            ",".join([at.replace(":00:00Z", f":{5 * number:02}:00Z"), *map(str, prices), "1"])
            for number, prices in enumerate(five)
        ]
    path.write_text("\n".join(hours))
    (folder / "history/bars/5m").mkdir()
    (folder / "history/bars/5m/T1.csv").write_text("\n".join(minutes))


def test_finer_bars_decide_in_a_sweep_too(
    serial: Serial, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One history serves the sets that ask finer bars and those that do not, and each is its replay."""
    words = ("stop_first", "finer_bars")
    place(tmp_path, HEAD + '[parameters]\nfills.same_bar = ["stop_first", "finer_bars"]\n')
    widen_and_split(tmp_path)
    code, _, err = call()
    assert (code, "strategy.bars: missing, fills.same_bar is varied" in err) == (78, True)
    strategy = STRATEGY.replace('universe = "*"', 'universe = "*"\nbars = "1h"')
    (tmp_path / "strategies/waves.toml").write_text(strategy)
    assert call()[0] == 0
    found = {parameters_in(row)["fills.same_bar"]: row for row in rows(tmp_path / "s.db")}
    for word in words:
        (tmp_path / "waves.toml").write_text(f'{strategy}\n[fills]\nsame_bar = "{word}"\n')
        asked = ["--strategy", str(tmp_path / "waves.toml"), "--history", str(tmp_path / "history")]
        assert main(["replay", *asked, "--ledger", f"{tmp_path}/{word}.db", "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert found[word]["final_equity"] == answer["equity"]
        assert found[word]["sharpe"] == answer["statistics"]["sharpe"]
    assert found["finer_bars"]["final_equity"] != found["stop_first"]["final_equity"]
