"""SWEEP.toml: what it may say, what it makes of ranges and draws, and one clear line for what it may not say."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from bot.app.sweep.axes import Axes, Axis, draws, grid, parameters_text, strategy_with
from bot.app.sweep.plan import KEYS, Fold, Sweep, WalkForward, Window, folds_of, load_sweep
from bot.domain.errors import ConfigError
from tests.strategy_reference import row
from tests.sweep_files import STRATEGY

ROOT = Path(__file__).resolve().parents[2]
HEAD = '[sweep]\nname = "s"\nstrategy = "waves"\n'
ONE = '[parameters]\n"stop.fraction" = [0.01]\n'


def read(folder: Path, text: str) -> Sweep:
    """Read a sweep's file."""
    (folder / "sweep.toml").write_text(text)
    return load_sweep(folder / "sweep.toml")


def axes(raw: object) -> tuple[Axis, ...]:
    """Read the table of parameters."""
    return Axes().read(raw)


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    """Ten thousand of cash, a grid, the Sharpe ratio, seed 1, the whole history; paths count from the file's folder."""
    found = read(tmp_path, HEAD + 'history = "h"\n' + ONE)
    assert (found.cash, found.method, found.figure, found.seed) == (10000, "grid", "sharpe", 1)
    assert (found.start, found.end, found.schedule, found.walk_forward) == (None, None, None, None)
    assert (found.strategy, found.history) == (tmp_path / "strategies" / "waves.toml", tmp_path / "h")
    assert found.axes == (Axis(path="stop.fraction", values=(Decimal("0.01"),)),)


def test_a_shipped_strategy_is_swept_by_its_name(tmp_path: Path) -> None:
    """U7: a name that the folder beside the file has not is looked for among the shipped strategies."""
    found = read(tmp_path, HEAD.replace('"waves"', '"bracket_fixed"', 1) + 'history = "h"\n' + ONE)
    assert found.strategy == ROOT / "strategies" / "bracket_fixed.toml"


def test_everything_may_be_said(tmp_path: Path) -> None:
    """A window as TOML's instants, dates or text, in UTC; a strategy by its path; a search, walked forward."""
    found = read(
        tmp_path,
        HEAD.replace('"waves"', '"other/waves.toml"')
        + 'cash = "500.25"\nschedule = "0 * * * *"\nfrom = 2024-01-01\nto = 2024-03-01T02:00:00+02:00\nseed = 7\n'
        + 'method = "optuna"\ntrials = 20\nbatch = 4\nfigure = "max_drawdown"\n'
        + "[walk_forward]\ntrain_days = 20\ntest_days = 10\n"
        + ONE,
    )
    assert (found.start, found.end) == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC))
    assert (found.trials, found.batch, found.cash, found.seed) == (20, 4, Decimal("500.25"), 7)
    assert found.strategy == tmp_path / "other" / "waves.toml"
    assert found.walk_forward == WalkForward(timedelta(days=20), timedelta(days=10))
    assert read(tmp_path, HEAD + 'to = "2024-03-01 00:00"\n' + ONE).end == found.end


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_sweep_over_dates_is_over_whole_days(tmp_path: Path, quote: str) -> None:
    """T2: from is the 00:00 of its day and to the last instant of its own, as TOML's dates and as text."""
    given = f"from = {quote}2024-01-01{quote}\nto = {quote}2024-01-30{quote}\n"
    found = read(tmp_path, HEAD + given + ONE)
    assert (found.start, found.end) == (day(0), day(30) - timedelta.resolution)


def test_folds_over_dates_fill_the_days_and_leave_no_gap() -> None:
    """T2: thirty days hold 20 + 5 and 5 more; each test begins where the one before ended."""
    end = day(30) - timedelta.resolution
    assert folds_of(Window(day(0), end), WalkForward(timedelta(days=20), timedelta(days=5))) == [
        Fold(Window(day(0), day(20)), Window(day(20), day(25))),
        Fold(Window(day(5), day(25)), Window(day(25), end)),
    ]
    assert len(folds_of(Window(day(0), day(30)), WalkForward(timedelta(days=20), timedelta(days=5)))) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + 'figur = "sharpe"\n' + ONE, "sweep.figur: unknown key; did you mean `figure`?"),
        (HEAD + 'figure = "sharp"\n' + ONE, "did you mean `sharpe`?"),
        (HEAD + "trials = 5\n" + ONE, 'sweep.trials: belongs to sweep.method = "random" or "optuna"'),
        (HEAD + 'method = "random"\n' + ONE, "sweep.trials: missing"),
        (HEAD + 'method = "random"\ntrials = 5\nbatch = 2\n' + ONE, "sweep.batch: belongs to"),
        (HEAD + "cash = 0.0000001\n" + ONE, "sweep.cash: has more than 6 digits"),
        (HEAD + "cash = 0\n" + ONE, "sweep.cash: 0 is not above 0"),
        (HEAD + "seed = -1\n" + ONE, "sweep.seed"),
        (HEAD + 'from = "soon"\n' + ONE, "sweep.from: 'soon' is no instant: write it like"),
        (HEAD + "from = 5\n" + ONE, "sweep.from: 5 is no instant"),
        (HEAD, "parameters: missing"),
        (HEAD + "[parameters]\n", "parameters: a table: write at least one strategy key"),
        (HEAD + '[parameters]\n"stop.fractoin" = [0.1]', "stop.fractoin: unknown strategy key; did you mean `stop.fr"),
        (HEAD + "[parameters.halt]\nfraction = [0.1]", "parameters: halt: unknown strategy key"),
        (HEAD + '[parameters]\n"strategy.universe" = [["A"]]', "universe: stays what the strategy's file says"),
        (HEAD + '[parameters]\n"stop.fraction" = 0.1', "stop.fraction: 0.1 is no list of values"),
        (HEAD + '[parameters]\n"stop.fraction" = []', "stop.fraction: [] is no list of values"),
        (HEAD + '[parameters]\n"levels.merge_fraction" = [0.1, 5]', "5 is not below 1: write a fraction, 0.05 for 5 %"),
        (HEAD + '[parameters]\n"stop.fraction" = [0.1, "0.10"]', "stop.fraction: 0.1 is there twice"),
        (HEAD + '[parameters]\n"stop.fraction" = [0.1]\nstop.fraction = [0.2]', "stop.fraction: is there twice"),
        (HEAD + '[parameters]\n"stop.fraction" = { low = 0.1 }', "stop.fraction: a range needs high"),
        (HEAD + '[parameters]\n"stop.fraction" = { low = 0.2, high = 0.1 }', "low = 0.2 is not below high = 0.1"),
        (HEAD + '[parameters]\n"levels.merge_fraction" = { low = 0.1, high = 2 }', "2 is not below 1"),
        (HEAD + '[parameters]\n"stop.fraction" = { low = 0.1, high = 0.2, stp = 1 }', "stp: unknown key; did you mean"),
        (HEAD + '[parameters]\n"stop.fraction" = { low = 0.1, high = 0.2, step = 0 }', "0 is not above 0"),
        (HEAD + '[parameters]\n"stop.fraction" = { low = 0.1, high = 0.2, step = 0.000001 }', "100,001 values"),
        (HEAD + '[parameters]\n"stop.fraction" = { low = 0.1, high = 0.2, step = 0.1, log = true }', "log goes with"),
        (HEAD + '[parameters]\n"gates.sharpe_min" = { low = -1, high = 2, log = true }', "log goes with"),
        (HEAD + '[parameters]\n"stop.rule" = { low = 1, high = 2 }', "stop.rule: takes no range"),
        (HEAD + "[walk_forward]\ntrain_days = 5\n" + ONE, "walk_forward.test_days: missing, train_days is given"),
        (HEAD + "[walk_forward]\ntest_days = 5\n" + ONE, "walk_forward.train_days: missing, test_days is given"),
        (HEAD + "[walk_forward]\ntrain_days = 1.5\ntest_days = 5\n" + ONE, "1.5 is no whole number"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    """One line with file, key and mend, 78."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    told = str(refused.value)
    assert told.startswith(f"{tmp_path / 'sweep.toml'}: ")
    assert said in told
    assert "\n" not in told


def test_a_grid_has_every_combination_in_order() -> None:
    """The last key turns fastest; steps are exact, whole numbers step by one, flags and sets of words are values."""
    found = grid(
        axes(
            {
                "stop": {"fraction": {"low": Decimal("0.1"), "high": Decimal("0.3"), "step": Decimal("0.1")}},
                "limits.positions_max": {"low": 2, "high": 3},
                "exits": {"rules": [["stop_hit", "target_hit"], ["target_hit"]]},
                "exits.ratchet_to_support": [True],
            }
        )
    )
    assert len(found) == 3 * 2 * 2
    assert parameters_text(found[0]) == (
        '{"exits.ratchet_to_support":true,"exits.rules":["stop_hit","target_hit"],"limits.positions_max":2,'
        '"stop.fraction":0.1}'
    )
    assert [one["stop.fraction"] for one in found[::4]] == [Decimal("0.1"), Decimal("0.2"), Decimal("0.3")]


def test_a_grid_ends() -> None:
    """A range without a step is no grid, nor are more combinations than anyone waits for."""
    with pytest.raises(ValueError, match=r"stop.fraction: a grid needs a step"):
        grid(axes({"stop.fraction": {"low": Decimal("0.1"), "high": Decimal("0.2")}}))
    wide = {"low": Decimal(1), "high": Decimal(1000), "step": Decimal(1)}
    with pytest.raises(ValueError, match="1,000,000 combinations"):
        grid(axes({"gates.sharpe_min": wide, "gates.sortino_min": wide}))


def test_draws_are_those_of_the_seed() -> None:
    """The sets kept here, on every machine; another seed gives others; all lie within, and every listed value comes."""
    kinds = axes(
        {
            "stop.fraction": {"low": Decimal("0.001"), "high": Decimal("0.1"), "log": True},
            "target.fraction": {"low": Decimal("0.01"), "high": Decimal("0.02")},
            "entry.rank": ["token_id", "grade"],
        }
    )
    first = draws(kinds, 200, 1)
    assert [parameters_text(one) for one in first[:2]] == [
        '{"entry.rank":"token_id","stop.fraction":0.0105595,"target.fraction":0.0195046}',
        '{"entry.rank":"token_id","stop.fraction":0.0789403,"target.fraction":0.0131183}',
    ]
    assert first == draws(kinds, 200, 1)
    assert first != draws(kinds, 200, 2)
    assert {one["entry.rank"] for one in first} == {"token_id", "grade"}
    drawn = sorted(Decimal(str(one["stop.fraction"])) for one in first)
    assert Decimal("0.001") <= drawn[0] < Decimal("0.0012")
    assert Decimal("0.08") < drawn[-1] <= Decimal("0.1")
    # Half of them below the geometric mean of the ends, not of the arithmetic one.
    assert Decimal("0.007") < drawn[100] < Decimal("0.014")


def test_what_a_share_gives_stays_within_the_ends() -> None:
    """Rounding to six digits leads over no end."""
    axis = Axis(path="x", low=Decimal("0.12345678"), high=Decimal("0.23456789"))
    assert (axis.between(0), axis.between(0.5)) == (Decimal("0.123457"), Decimal("0.179012"))
    assert axis.between(1) == Decimal("0.23456789")
    assert Axis(path="x", low=Decimal("0.1234564"), high=Decimal(1)).between(0) == Decimal("0.1234564")


def test_a_set_takes_the_place_of_the_strategys_own_values() -> None:
    """Keys that are there, tables that are not yet, and hooks, from text alone."""
    text = '{"limits.drawdown.at":0.25,"stop.fraction":0.0125}'
    found = strategy_with(Path("waves.toml"), STRATEGY, None, text)
    assert found.rules.stop.fraction == Decimal("0.0125")
    assert found.rules.limits.drawdown is not None
    assert found.rules.limits.drawdown.at == Decimal("0.25")
    assert found.rules.target.fraction == Decimal("0.03")
    (hooks,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "strategy.md").read_text(), re.DOTALL)
    hooked = strategy_with(Path("waves.toml"), STRATEGY, hooks, text).rules.hooks
    assert found.rules.hooks is None
    assert hooked is not None
    assert hooked.digest == sha256(hooks.encode()).hexdigest()


def test_a_set_that_has_no_place_is_refused() -> None:
    """The strategy's file has a number where a table would have to be."""
    with pytest.raises(ConfigError, match=r"waves.toml: limits.drawdown.at: drawdown is no table"):
        strategy_with(Path("waves.toml"), STRATEGY + "[limits]\ndrawdown = 1\n", None, '{"limits.drawdown.at":0.2}')


def day(number: int) -> datetime:
    """Return a midnight."""
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


def test_folds_walk_forward_by_one_test_window() -> None:
    """Each test begins where its training ended, tests follow one another, and what does not fit is left."""
    walk = WalkForward(timedelta(days=10), timedelta(days=5))
    assert folds_of(Window(day(0), day(24)), walk) == [
        Fold(Window(day(0), day(10)), Window(day(10), day(15))),
        Fold(Window(day(5), day(15)), Window(day(15), day(20))),
    ]
    assert len(folds_of(Window(day(0), day(25)), walk)) == 3
    assert folds_of(Window(day(0), day(24)), None) == [Fold(Window(day(0), day(24)), None)]
    with pytest.raises(ConfigError, match=r"10 \+ 5 days do not fit"):
        folds_of(Window(day(0), day(14)), walk)


def test_every_key_stands_in_the_reference() -> None:
    """docs/sweep.md has each key with its meaning, its values and its default."""
    text = (ROOT / "docs" / "sweep.md").read_text()
    for key in KEYS:
        assert row(key) in text or key.path == "parameters", key.path
