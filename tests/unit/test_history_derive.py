"""`bot history derive`: levels, measures and signals out of bars, by the stated rules and without a look ahead."""

import csv
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.history.writing import put_file, write_number
from bot.app.histories.derivation import Days, derive, level_rows
from bot.cli.main import main
from bot.domain.instants import MICROSECONDS_A_DAY
from bot.figures import days as figures_of_days
from bot.figures.days import count_touches, find_crosses, find_pivots, measure_days
from bot.figures.performance import cagr, sharpe, sortino
from tests.history_texts import BARS, DEFAULT, SIGNALS, folder_of
from tests.notation import HOUR, at

STRATEGIES = Path(__file__).resolve().parents[2] / "strategies"
STEP = 6 * HOUR
FILES = ("levels.csv", "quantmetrics.csv", "signals.csv")


def closes(count: int, token: int) -> list[float]:
    """Draw closes that wander in waves."""
    wave = (math.sin(row / (23 + 9 * token)) + 0.3 * math.sin(row / 3.1) for row in range(count))
    return [round((100 + row * 0.02) * (1 + 0.2 * height), 4) for row, height in enumerate(wave)]


def bar_lines(token: int, until: int, holes: Sequence[int] = ()) -> str:
    """Write every sixth hour as an hourly bar, up to a bar, without those of some days."""
    lines, before = [], 100.0
    for row, close in enumerate(closes(until, token)):
        if row // 4 not in holes:
            high, low = max(before, close) * 1.01, min(before, close) * 0.99
            lines.append(f"{at('2024-01-01') + row * STEP:%Y-%m-%dT%H:%M:%SZ},{before},{high},{low},{close},1\n")
        before = close
    return BARS + "".join(lines)


def files(until: int = 1200, more: Mapping[str, str | None] | None = None) -> dict[str, str | None]:
    """Write two tokens, of which the second has holes; three hundred days or less."""
    second = bar_lines(2, until, holes=(*range(60, 75), 100, 101, 140))
    return {"signals.csv": None, "bars/1h/BTC.csv": bar_lines(1, until), "bars/1h/ETH.csv": second, **(more or {})}


def contents(folder: Path) -> dict[str, list[list[str]]]:
    """Read the rows of the derived files."""
    return {name: list(csv.reader((folder / name).read_text().splitlines())) for name in FILES}


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Derive everything of a folder."""
    folder = folder_of(tmp_path_factory.mktemp("derived"), files())
    assert main(["history", "derive", str(folder), "--signals", "ema"]) == 0
    return folder


@given(until=st.integers(210, 1200))
def test_a_folder_that_ends_early_gives_the_rows_up_to_its_end(
    derived: Path, tmp_path_factory: pytest.TempPathFactory, until: int
) -> None:
    """No look ahead: whatever bar a folder ends with, its rows are those of the whole folder up to then."""
    folder = folder_of(tmp_path_factory.mktemp("cut"), files(until))
    derive(folder, with_signals=True)
    end = f"{at('2024-01-01') + (until - 1) * STEP + HOUR:%Y-%m-%dT%H:%M:%SZ}"
    for name, (header, *rows) in contents(derived).items():
        kept = [row for row in rows if row[1] <= end]
        found = list(csv.reader((folder / name).read_text().splitlines())) if (folder / name).exists() else [header]
        assert found == [header, *kept], name
        assert len(rows) > len(kept) or until > 1100


def test_what_is_derived_replays_and_trades(
    derived: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """levels_derived needs nothing but what is derived, and enters by it."""
    given = ["--strategy", str(STRATEGIES / "levels_derived.toml"), "--history", str(derived), "--json"]
    assert main(["replay", *given, "--ledger", f"sqlite:///{tmp_path / 'l.db'}"]) == 0
    assert json.loads(capsys.readouterr().out)["trades"] > 0


def test_files_that_are_there_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of one's own stays to the byte, in any form, and the answer says so; what is missing is told."""
    mine = "token_id,known_at,level\n3375,2024-01-01,5\n"
    folder = folder_of(tmp_path, files(more={"levels.csv": mine}))
    assert main(["history", "derive", str(folder), "--json"]) == 0
    told = capsys.readouterr()
    levels, measures = json.loads(told.out)["files"]
    assert (levels["what"], (folder / "levels.csv").read_text()) == ("kept: remove it to derive it", mine)
    assert (measures["what"], measures["tokens"], measures["last"]) == ("written", 2, "2024-10-26T00:00:00Z")
    assert told.err == f"{folder}/signals.csv is missing, and a replay needs it: --signals ema derives it\n"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_folder_of_few_days_gets_no_empty_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three days give nothing: no file is written, so that a strategy that needs one says so."""
    folder = folder_of(tmp_path, {**DEFAULT, "signals.csv": None})
    assert main(["history", "derive", str(folder), "--signals", "ema"]) == 0
    assert capsys.readouterr().out.count("not written: too few days") == len(FILES)
    assert not list(folder.glob("[lqs]*.csv"))


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"bars/1h/BTC.csv": None, "bars/1h/ETH.csv": None}, 78, "no such file; every token of the universe needs"),
        ({"bars/1h/BTC.csv": BARS, "bars/1h/ETH.csv": BARS}, 78, "no bars to derive anything from"),
        ({"bars/1h/BTC.csv": "time\n"}, 65, "BTC.csv line 1: the header lacks open"),
        ({"instruments.csv": None}, 78, "instruments.csv: no such file"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str | None], code: int, message: str
) -> None:
    """As a replay would refuse it."""
    folder = folder_of(tmp_path, {**DEFAULT, "signals.csv": SIGNALS, **change})
    assert main(["history", "derive", str(folder)]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("text", [None, BARS], ids=["no-file", "no-bars"])
def test_a_token_without_bars_is_left_out(tmp_path: Path, text: str | None) -> None:
    """A token that no timeframe has is no reason to refuse the others."""
    folder = folder_of(tmp_path, files(more={"bars/1h/ETH.csv": text}))
    derive(folder, with_signals=True)
    assert {row[0] for rows in contents(folder).values() for row in rows[1:]} == {"3375"}


def test_the_finest_bars_of_a_token_count(derived: Path, tmp_path: Path) -> None:
    """Beside hours, day bars of other prices change nothing."""
    folder = tmp_path / "h"
    shutil.copytree(derived, folder)
    (folder / "bars/1d").mkdir()
    (folder / "bars/1d/BTC.csv").write_text(f"{BARS}2024-01-01T00:00:00Z,1,1,1,1,1\n")
    for name in FILES:
        (folder / name).unlink()
    derive(folder, with_signals=True)
    assert contents(folder) == contents(derived)


def test_pivots_are_the_extremes_of_days_on_both_sides() -> None:
    """A high above and a low below two days on both sides, in order of their days; equal highs are both."""
    highs = np.array([5.0, 6, 9, 6, 9, 5, 5.5, 7])
    lows = np.array([3.0, 3, 4, 2, 4, 2.5, 1, 3])
    rows, prices = find_pivots(highs, lows, 2)
    assert list(zip(rows.tolist(), prices.tolist(), strict=True)) == [(2, 9.0), (3, 2.0), (4, 9.0)]
    assert len(find_pivots(highs[:4], lows[:4], 2)[0]) == 0


def test_touches_count_from_the_pivot_on() -> None:
    """A day within half a percent by its high or its low counts once; days before the pivot do not."""
    highs, lows = np.array([100.0, 100, 100.5, 101, 100.4]), np.array([99.8, 90, 100, 100.4, 99.9])
    counts = count_touches(np.array([1]), np.array([100.0]), highs, lows, 0.005)
    assert counts.tolist() == [[0, 1, 2, 3, 4]]
    assert count_touches(np.array([1]), np.array([100.0]), highs, lows, 0.003).tolist() == [[0, 1, 2, 2, 3]]
    assert count_touches(np.array([1]), np.array([100.0]), highs, lows - 50, 0.005).tolist() == [[0, 1, 2, 2, 3]]


def test_a_derived_level_has_the_strength_of_its_touches(derived: Path) -> None:
    """Touches / (touches + 1): half at the first, never beyond one."""
    rows = [row for row in contents(derived)["levels.csv"][1:] if row[0] == "3375"]
    strengths = {float(row[3]) for row in rows}
    assert min(strengths) == 0.5
    assert max(strengths) < 1
    assert {round(1 / (1 - strength), 3) % 1 for strength in strengths} == {0.0}


def test_a_set_holds_the_newest_levels() -> None:
    """Of a zigzag that climbs, the last set has the twenty newest turns; a price comes once in a set."""
    middle = np.abs(np.arange(400) % 20 - 10) + np.arange(400) // 20 * 0.5 + 50
    days = Days((np.arange(400) + 1) * MICROSECONDS_A_DAY, middle + 1, middle - 1, middle)
    rows = list(level_rows(days))
    turned, prices = find_pivots(days.highs, days.lows, 5)
    last = [float(row[1]) for row in rows if row[0] == rows[-1][0]]
    assert len(turned) > 30
    assert last == sorted(set(prices[-20:].tolist()))
    assert len({row[:2] for row in rows}) == len(rows)


def test_a_price_met_twice_has_the_touches_since_its_first_turn() -> None:
    """Two equal highs are one level, which two days have touched."""
    highs = np.array([5.0, 5, 5, 5, 5, 5, 9, 5, 5, 5, 5, 5, 9, 5, 5, 5, 5, 5])
    days = Days((np.arange(18) + 1) * MICROSECONDS_A_DAY, highs, 8 - highs / 4, highs)
    rows = [row for row in level_rows(days) if row[1] == "9"]
    assert [(row[0][:10], row[2]) for row in rows] == [("1970-01-13", "0.5"), ("1970-01-19", "0.666667")]


def test_measures_are_those_of_an_account_that_holds_the_token() -> None:
    """On the thirtieth return and on the last one the figures are the formulas of `performance`."""
    prices = np.array(closes(200, 1))
    found, returns = measure_days(prices), (prices[1:] / prices[:-1] - 1).tolist()
    for day in (30, 199):
        some = returns[:day]
        assert found["sharpe"][day] == pytest.approx(sharpe(some, resolution=0).value, abs=1e-6)
        assert found["sortino"][day] == pytest.approx(sortino(some, resolution=0).value, abs=1e-6)
        assert found["cagr"][day] == pytest.approx(cagr(some).value, abs=1e-6)
        assert found["volatility"][day] == pytest.approx(np.std(some, ddof=1) * math.sqrt(365), abs=1e-6)
        so_far = prices[: day + 1]
        assert found["max_drawdown"][day] == pytest.approx(min(so_far / np.maximum.accumulate(so_far)) - 1, abs=1e-6)
    assert all(np.isnan(column[:30]).all() for column in found.values())


@pytest.mark.parametrize(
    ("prices", "unknown"),
    [
        ([1.0] * 40, {"sharpe", "sortino"}),
        ([round(1.01**day, 12) for day in range(40)], {"sharpe", "sortino"}),
        ([10.0 ** (day / 10) for day in range(40)], {"sharpe", "sortino", "cagr"}),
    ],
    ids=["flat", "steady", "explosive"],
)
def test_a_measure_that_no_formula_gives_is_left_empty(prices: list[float], unknown: set[str]) -> None:
    """No ratio to a deviation that is rounding only, and no figure beyond what a folder can hold."""
    last = {name: column[-1] for name, column in measure_days(np.array(prices)).items()}
    assert {name for name, figure in last.items() if np.isnan(figure)} == unknown
    assert math.copysign(1, last["max_drawdown"]) == 1


def test_a_cross_changes_the_stance_from_its_day_on() -> None:
    """The first fifty days say nothing; then each change of sides is one row, and equal averages are none."""
    rise, fall = [100.0] * 60 + [101 + day for day in range(30)], [130 - 2 * day for day in range(40)]
    rows, above = find_crosses(np.array(rise + fall))
    assert above.tolist() == [False]
    assert 90 < rows[0] < 120
    assert len(find_crosses(np.array(rise))[0]) == 0
    early = [100.0 + 9 * math.sin(day / 7) for day in range(50)]
    assert len(find_crosses(np.array(early))[0]) == 0
    assert len(find_crosses(np.array([100.0] * 50 + early))[0]) > 0


def test_equal_averages_are_no_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    """A touch and a return are none; a side that changes over equal averages changes on the first unequal day."""
    gaps = [0.0] * 40 + [1.0] * 20 + [0.0] * 2 + [1.0] + [0.0] * 2 + [-1.0] * 3
    averages = iter((np.array(gaps), np.zeros(len(gaps))))
    monkeypatch.setattr(figures_of_days, "_smooth", lambda *_: next(averages))
    rows, above = find_crosses(np.array(gaps))
    assert (rows.tolist(), above.tolist()) == ([65], [False])


def test_rows_are_dated_by_the_end_of_their_day(derived: Path) -> None:
    """A row counts from the instant at which its day's close is known."""
    assert all(row[1].endswith("T00:00:00Z") for rows in contents(derived).values() for row in rows[1:])
    assert contents(derived)["quantmetrics.csv"][1][:2] == ["3306", "2024-02-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (7.12e-06, "0.00000712"), (100.0, "100"), (0.1 + 0.2, "0.30000000000000004"), (-0.0, "0"), (math.nan, ""),
        (1e16, "10000000000000000"),
    ],
)  # fmt: skip
def test_a_number_is_written_with_its_shortest_digits(value: float, cell: str) -> None:
    """Plain decimals, without an exponent or a minus zero, that name the same float; unknown is an empty cell."""
    assert write_number(value) == cell
    assert not cell or float(cell) == value


def test_a_file_appears_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its bytes are on the disk a file has another name; then this very file has its own, not a copy."""
    flushed = []

    def note(number: int) -> None:
        assert not (tmp_path / "levels.csv").exists()
        flushed.append(os.fstat(number).st_ino)

    monkeypatch.setattr("bot.adapters.history.writing.os.fsync", note)
    put_file(tmp_path / "levels.csv", [b"token_id\n", b"1\n"])
    assert [(one.name, one.stat().st_ino) for one in tmp_path.iterdir()] == [("levels.csv", *flushed)]
