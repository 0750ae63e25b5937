"""Minutes of a history folder: read where a strategy lets them decide, answered bar by bar, refused where none is."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from bot.adapters.history.folder import History, open_history
from bot.cli.main import main
from bot.ports import Archive
from tests.finer_paths import BOTH, MINUTE, TARGET_IN_THE_THIRD, minutes
from tests.history_texts import BARS, BTC, ETH, bar_rows, folder_of
from tests.notation import DAY, at, bars

FIVES = bar_rows("2024-01-01 02:00", 12, 5 * MINUTE)
WHOLE = bar_rows("2024-01-01 02:00", 60, MINUTE)
HOLED = "".join(line for line in WHOLE.splitlines(keepends=True) if "02:30" not in line)
HOUR_TWO = bars("2024-01-01 02:00", "102 104 100 103")[0]
CLOSED = at("2024-01-01 03:00")


def opened(tmp_path: Path, files: Mapping[str, str | None], timeframe: str | None = None) -> History:
    """Open a folder of two tokens together with what lies below its bars."""
    return open_history(folder_of(tmp_path, files), timeframe=timeframe, universe="*", finer=True)


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"bars/1m/BTC.csv": WHOLE}, 60),
        ({"bars/5m/BTC.csv": FIVES}, 12),
        ({"bars/1m/BTC.csv": WHOLE, "bars/5m/BTC.csv": FIVES}, 60),
        ({"bars/1m/BTC.csv": HOLED, "bars/5m/BTC.csv": FIVES}, 12),
        ({"bars/1m/BTC.csv": HOLED}, 0),
        ({"bars/1m/BTC.csv": bar_rows("2024-01-01 03:00", 60, MINUTE)}, 0),
        ({"bars/1m/ETH.csv": WHOLE}, 0),
    ],
)
def test_the_finest_bars_without_a_hole_fill_a_bar(tmp_path: Path, files: Mapping[str, str], count: int) -> None:
    """Minutes before fives, fives where a minute is missing, and nothing where neither has the whole hour."""
    archive: Archive = opened(tmp_path, files).archive
    found = archive.finer(BTC, HOUR_TWO, CLOSED, CLOSED)
    assert len(found) == count
    assert not found or (found[0].opened_at, found[-1].closed_at) == (HOUR_TWO.opened_at, HOUR_TWO.closed_at)
    assert not found or found[1].open == 101


def test_nothing_is_answered_before_it_was_known(tmp_path: Path) -> None:
    """A moment before the hour closed its last minute had not."""
    archive = opened(tmp_path, {"bars/1m/BTC.csv": WHOLE}).archive
    early = CLOSED - timedelta(microseconds=1)
    assert archive.finer(BTC, HOUR_TWO, early, CLOSED) == archive.finer(BTC, HOUR_TWO, CLOSED, early) == ()


def test_hours_are_finer_than_days(tmp_path: Path) -> None:
    """Of a strategy of days the hours decide where there are no minutes."""
    days = {"bars/1d/BTC.csv": bar_rows("2024-01-01", 2, DAY), "bars/1d/ETH.csv": bar_rows("2024-01-01", 2, DAY)}
    archive = opened(tmp_path, days, "1d").archive
    day = bars("2024-01-01", "100 102 98 101", DAY)[0]
    assert len(archive.finer(BTC, day, at("2024-01-02"), at("2024-01-02"))) == 24
    assert archive.finer(ETH, day, at("2024-01-02"), at("2024-01-02")) == ()


def test_minutes_that_decide_are_not_the_bars_of_the_strategy(tmp_path: Path) -> None:
    """Where it names no timeframe it is played on hours, else on days, though every token has minutes and fives."""
    fine = {f"bars/{name}/{token}.csv": WHOLE for name in ("1m",) for token in ("BTC", "ETH")}
    history = opened(tmp_path, fine)
    assert (history.timeframe, history.bars) == ("1h", 59)
    assert open_history(history.folder, timeframe=None, universe="*").timeframe == "1m"
    days = {f"bars/1d/{token}.csv": bar_rows("2024-01-01", 2, DAY) for token in ("BTC", "ETH")}
    assert opened(tmp_path / "days", {**fine, **days, "bars/1h/ETH.csv": None}).timeframe == "1d"


def test_five_minutes_are_a_timeframe_of_their_own(tmp_path: Path) -> None:
    """A folder of fives alone is played on them."""
    files = {f"bars/5m/{token}.csv": FIVES for token in ("BTC", "ETH")}
    folder = folder_of(tmp_path, {**files, "bars/1h/BTC.csv": None, "bars/1h/ETH.csv": None})
    history = open_history(folder, timeframe=None, universe="*")
    assert (history.timeframe, history.closes[0]) == ("5m", at("2024-01-01 02:05"))


def test_files_count_only_where_they_are_read(tmp_path: Path) -> None:
    """Minutes change the digest of those who ask for them; nobody else even looks at a broken file."""
    plain = folder_of(tmp_path / "plain", {})
    spoiled = folder_of(tmp_path / "spoiled", {"bars/1m/BTC.csv": "nonsense"})
    digest = open_history(plain, timeframe="1h", universe="*").digest
    assert open_history(spoiled, timeframe="1h", universe="*").digest == digest
    one = opened(tmp_path / "one", {"bars/1m/BTC.csv": WHOLE})
    other = opened(tmp_path / "other", {"bars/1m/BTC.csv": HOLED})
    assert len({digest, one.digest, other.digest}) == 3
    assert ("finer" in one.files, "finer" in opened(tmp_path / "none", {}).files) == (True, False)


def test_a_minute_that_contradicts_itself_is_dropped_counted_and_named(tmp_path: Path) -> None:
    """Its hour has a hole then; the file and the line are among the refused."""
    spoiled = WHOLE.replace("00Z,130,132,128,131,5", "00Z,130,120,128,131,5")
    history = opened(tmp_path, {"bars/1m/BTC.csv": spoiled})
    assert (history.bars, len(history.refused)) == (59, 1)
    assert history.refused[0].partition(" line ")[::2] == (
        str(tmp_path / "history/bars/1m/BTC.csv"),
        "32: high 120.0 below open 131.0",
    )
    assert history.archive.finer(BTC, HOUR_TWO, CLOSED, CLOSED) == ()


STRATEGY = """
[strategy]
name = "small"
universe = "*"

[stop]
rule = "fraction"
fraction = 0.05

[target]
rule = "fraction"
fraction = 0.05

[sizing]
rule = "fixed_quantity"
quantity = 10

[fills]
same_bar = "finer_bars"
fee_fraction = 0
half_spread_fraction = 0
slippage_fraction = 0
"""
HOURS = (
    BARS
    + "".join(f"2024-01-01T0{hour}:00:00Z,100,100,100,100,1\n" for hour in range(2))
    + f"2024-01-01T02:00:00Z,{BOTH.replace(' ', ',')},1\n"
)
Run = Callable[..., tuple[int, str, str]]


def _written(step: timedelta) -> str:
    rows = minutes(TARGET_IN_THE_THIRD, step=step)
    return BARS + "".join(f"{bar.opened_at:%Y-%m-%dT%H:%M:%SZ},{','.join(map(str, bar[2:6]))},1\n" for bar in rows)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Replay a strategy over a folder of one token whose third hour holds stop and target."""
    history = tmp_path / "history"
    files = {
        "instruments.csv": "token_id,symbol,name\n1,AAA,Token A\n",
        "bars/1h/AAA.csv": HOURS,
        "signals.csv": "token_id,published_at,stance\n1,2024-01-01T01:00:00Z,bullish\n",
    }

    def call(finer: Mapping[str, str], strategy: str = STRATEGY) -> tuple[int, str, str]:
        (tmp_path / "small.toml").write_text(strategy)
        for name, text in {**files, **finer}.items():
            (history / name).parent.mkdir(parents=True, exist_ok=True)
            (history / name).write_text(text)
        given = ["--strategy", str(tmp_path / "small.toml"), "--history", str(history)]
        code = main(["replay", *given, "--ledger", str(tmp_path / "r.db"), "--json"])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.mark.parametrize(("name", "step", "closed"), [("1m", 1, "02:02"), ("5m", 5, "02:10")])
def test_a_replay_is_decided_by_the_minutes_of_its_folder(
    run: Run, tmp_path: Path, name: str, step: int, closed: str
) -> None:
    """The ledger has the target at the minute that reached it, one value for the band, and the timeframe's name."""
    code, out, _ = run({f"bars/{name}/AAA.csv": _written(step * MINUTE)})
    assert (code, json.loads(out)["profit"], json.loads(out)["bars"]) == (0, 50, 3)
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        trade = connection.execute(
            "select exit_reason, closed_at, profit_pessimistic, profit_optimistic from v_trades"
        ).fetchone()
        models = connection.execute("select fill_model from v_fills order by filled_at").fetchall()
    assert trade == ("target_hit", f"2024-01-01T{closed}:00.000000Z", 50, 50)
    assert models == [("bars-3",), (f"bars-3+{name}",)]


def test_a_folder_without_finer_bars_is_refused(run: Run, tmp_path: Path) -> None:
    """One line names the folder, the key and the mend, and nothing is written."""
    code, out, err = run({})
    assert (code, out, err.count("\n")) == (78, "", 1)
    assert f"{tmp_path / 'history' / 'bars'}: no token has bars below 1h" in err
    assert 'fills.same_bar = "finer_bars" needs them: write 1m/SYMBOL.csv or 5m/SYMBOL.csv, or drop the key' in err
    assert not (tmp_path / "r.db").exists()


def test_fives_are_decided_by_minutes_and_by_nothing_coarser(run: Run) -> None:
    """A strategy of fives asks for minutes; its own file or an hour's is no help."""
    fives = STRATEGY.replace('universe = "*"', 'universe = "*"\nbars = "5m"')
    code, _, err = run({"bars/5m/AAA.csv": _written(5 * MINUTE)}, fives)
    assert code == 78
    assert "no token has bars below 5m" in err
    assert run({"bars/1m/AAA.csv": _written(MINUTE)}, fives)[0] == 0


def test_the_finest_bars_have_nothing_that_could_decide(run: Run, tmp_path: Path) -> None:
    """Minutes as the strategy's own bars and finer bars contradict each other: refused before anything is read."""
    code, _, err = run({}, STRATEGY.replace('universe = "*"', 'universe = "*"\nbars = "1m"'))
    assert code == 78
    assert f'{tmp_path / "small.toml"}: strategy.bars: "1m" is the finest there is' in err
