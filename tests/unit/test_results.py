"""The statistics of `bot replay` on daily bars of two tokens, against figures computed from the views and the files."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import pytest

from bot.app.replay.tally import Tally
from bot.app.review.results import MEANINGS, describe_statistics, statistics
from bot.app.sweep.task import _figures as trial_figures
from bot.cli.main import main
from bot.figures.account import FALL
from bot.figures.luck import RANDOM_NAMES
from bot.figures.performance import Figure, curve

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 120
# Two saws of ten days, one rising, one falling; BBB comes ten days late.
CLOSES = {
    "AAA": [round(100 * 1.002**day * (1 + (day % 10) / 50), 4) for day in range(DAYS)],
    "BBB": [round(50 * 0.998**day * (1 + ((day + 5) % 10) / 40), 4) for day in range(10, DAYS)],
}
STRATEGY = """
[strategy]
name = "saws"
universe = "*"

[stop]
rule = "fraction"
fraction = 0.04

[target]
rule = "fraction"
fraction = 0.06

[sizing]
rule = "fixed_fraction"
fraction = 0.3
"""
Json = dict[str, object]
# Of a release that did not keep the deepest fall.
UNKNOWN = dict.fromkeys((*FALL, "benchmark"))


def stamp(day: int) -> str:
    """Write the midnight that begins a day."""
    return f"{START + timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}"


def write(folder: Path, closes: dict[str, list[float]], turns: Sequence[int]) -> None:
    """Write a history of daily bars, each opening at the close before it, with bullish and bearish turns in turn."""
    (folder / "bars" / "1d").mkdir(parents=True)
    listing = ["token_id,symbol,name", *(f"{number},{symbol},{symbol}" for number, symbol in enumerate(closes, 1))]
    (folder / "instruments.csv").write_text("\n".join(listing))
    for symbol, prices in closes.items():
        late = DAYS - len(prices)
        lines = ["time,open,high,low,close,volume"]
        for day, close in enumerate(prices):
            opened = prices[max(day - 1, 0)]
            lines.append(f"{stamp(day + late)},{opened},{max(opened, close)},{min(opened, close)},{close},1")
        (folder / "bars" / "1d" / f"{symbol}.csv").write_text("\n".join(lines))
    signals = [
        f"{token},{stamp(day)},{'bullish' if number % 2 == 0 else 'bearish'}"
        for number, day in enumerate(turns)
        for token in range(1, len(closes) + 1)
    ]
    (folder / "signals.csv").write_text("\n".join(["token_id,published_at,stance", *signals]))


@pytest.fixture
def answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Json:
    """Replay the two saws; returns the statistics that were printed."""
    write(tmp_path / "history", CLOSES, (*range(12, DAYS, 6), DAYS - 2))
    return replayed(tmp_path, capsys)


def replayed(place: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Json:
    """Replay the history of a place; returns the statistics that were printed."""
    (place / "saws.toml").write_text(STRATEGY)
    arguments = ["--strategy", str(place / "saws.toml"), "--history", str(place / "history"), *more]
    assert main(["replay", *arguments, "--ledger", str(place / "r.db"), "--json"]) == 0
    found: Json = json.loads(capsys.readouterr().out)["statistics"]
    return found


def test_the_figures_are_those_of_the_views(answer: Json, tmp_path: Path) -> None:
    """Ratios from the equity at each midnight and sums from the trades, with plain formulas."""
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        equity = [row[0] for row in connection.execute("select equity from v_equity order by slot")]
        trades = connection.execute("select profit, r_multiple, notional from v_trades where not is_open").fetchall()
        notional, deepest, still_open = connection.execute(
            "select sum(notional), (select max(drawdown) from v_equity), sum(is_open) from v_trades"
        ).fetchone()
    daily = [after / before - 1 for before, after in pairwise(equity)]
    profits = [profit for profit, _, _ in trades]
    won, lost = sum(one for one in profits if one > 0), sum(one for one in profits if one < 0)
    growth = (equity[-1] / equity[0]) ** (365 / len(daily)) - 1
    expected = {
        "days": DAYS - 1,
        "closed_trades": len(trades),
        "total_return": equity[-1] / equity[0] - 1,
        "cagr": growth,
        "sharpe": mean(daily) / stdev(daily) * sqrt(365),
        "sortino": mean(daily) / sqrt(mean(min(one, 0) ** 2 for one in daily)) * sqrt(365),
        "calmar": growth / deepest,
        "max_drawdown": deepest,
        "win_rate": sum(one > 0 for one in profits) / sum(one != 0 for one in profits),
        "profit_factor": won / -lost,
        "expectancy": mean(profits),
        "expectancy_r": mean(r_multiple for _, r_multiple, _ in trades),
        "sqn": sqrt(len(profits)) * mean(profits) / stdev(profits),
        "turnover": notional / mean(equity),
    }
    assert len(trades) > 10
    assert still_open == 2
    assert {name: answer[name] for name in expected} == pytest.approx(expected, rel=1e-9)


def test_the_interval_surrounds_the_ratio_and_time_in_the_market_is_a_share(answer: Json) -> None:
    """Low, ratio and high in this order; a share and a probability between nothing and one."""
    low, ratio, high, share, chance = (
        float(str(answer[name]))
        for name in ("sharpe_low", "sharpe", "sharpe_high", "exposure_time", "probabilistic_sharpe")
    )
    assert low < ratio < high
    assert 0 < share < 1
    assert 0 < chance < 1


def test_holding_is_equal_parts_from_the_first_close_on(answer: Json) -> None:
    """Half in AAA from the first day, half in cash until BBB has its first close ten days later."""
    worth = [
        (CLOSES["AAA"][day] / CLOSES["AAA"][0] + (CLOSES["BBB"][day - 10] / CLOSES["BBB"][0] if day >= 10 else 1)) / 2
        for day in range(DAYS)
    ]
    daily = [after / before - 1 for before, after in pairwise(worth)]
    assert answer["hold_return"] == pytest.approx(worth[-1] - 1)
    assert answer["hold_sharpe"] == pytest.approx(mean(daily) / stdev(daily) * sqrt(365))
    deepest = max(1 - one / max(worth[: number + 1]) for number, one in enumerate(worth))
    assert answer["hold_max_drawdown"] == pytest.approx(deepest)


def test_what_is_undefined_is_null_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twenty days without a trade: no ratio, no mean, and each says why; numbers stay numbers."""
    write(tmp_path / "history", CLOSES, [])
    found = replayed(tmp_path, capsys, "--to", stamp(21))
    assert found["total_return"] == found["max_drawdown"] == found["exposure_time"] == found["turnover"] == 0
    assert found["reasons"] == {
        "cagr": "needs 30 daily returns, has 20",
        "sharpe": "needs 30 daily returns, has 20",
        "sharpe_low": "needs 30 daily returns, has 20",
        "sharpe_high": "needs 30 daily returns, has 20",
        "probabilistic_sharpe": "needs 30 daily returns, has 20",
        "sortino": "needs 30 daily returns, has 20",
        "calmar": "needs 90 daily returns, has 20",
        "win_rate": "no closed trade",
        "profit_factor": "no closed trade",
        "expectancy": "no closed trade",
        "expectancy_r": "no closed trade",
        "sqn": "needs two closed trades",
        "hold_sharpe": "needs 30 daily returns, has 20",
        "drawdown_started_at": "equity never fell",
        "drawdown_trough_at": "equity never fell",
        "drawdown_recovered_at": "equity never fell",
    }
    reasons = found["reasons"]
    assert isinstance(reasons, dict)
    assert all(found[name] is None for name in reasons)


def test_people_read_each_figure_with_what_it_is(answer: Json) -> None:
    """A value with its definition, a dash with its reason, and the drawdown with its instants."""
    told = describe_statistics(answer)
    assert "x sqrt(365), no risk-free rate" in told
    assert f"{answer['sharpe']:.4f}".rstrip("0") in told
    assert f"from {str(answer['drawdown_started_at'])[:10]}" in told
    told = describe_statistics({**answer, "sqn": None, "reasons": {"sqn": "needs two closed trades"}})
    assert "-  needs two closed trades" in told
    assert "sqrt(closed trades)" not in told
    flagged = describe_statistics({**answer, "reasons": {"sqn": "12 trades: not to be relied upon below 30"}})
    assert "sample deviation; 12 trades: not to be relied upon below 30" in flagged
    flat = {"drawdown_started_at": None, "drawdown_trough_at": None, "drawdown_recovered_at": None}
    assert "equity never fell" in describe_statistics({**answer, **flat})
    assert "not recovered" in describe_statistics({**answer, "drawdown_recovered_at": None})
    assert "recovered 2024-03-01 00:00:00Z" in describe_statistics(
        {**answer, "drawdown_recovered_at": "2024-03-01T00:00:00.000000Z"}
    )


def test_every_figure_has_a_meaning(answer: Json) -> None:
    """What is printed as JSON is what is told to people, but for counts, instants and reasons."""
    others = {"days", "closed_trades", "wins", "losses", "reasons"}
    told = {name for name in answer if name not in others and not name.endswith("_at")}
    assert told | {f"random_{name}" for name in RANDOM_NAMES} == set(MEANINGS)


def test_a_ratio_is_not_made_of_what_rounding_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """T9: all cash in a price that rises 10 % a day for 35 days has no Sharpe ratio and no luck, and says why."""
    folder = tmp_path / "h"
    (folder / "bars" / "1d").mkdir(parents=True)
    (folder / "instruments.csv").write_text("token_id,symbol,name\n1,AAA,AAA\n")
    (folder / "signals.csv").write_text("token_id,published_at,stance\n1,2023-12-31,bullish\n")
    prices = [round(100 * 1.1**day, 8) for day in range(37)]
    bars = [f"{stamp(day)},{one},{two},{one},{two},1000" for day, (one, two) in enumerate(pairwise(prices))]
    (folder / "bars" / "1d" / "AAA.csv").write_text("\n".join(["time,open,high,low,close,volume", *bars]))
    (tmp_path / "s.toml").write_text(
        '[strategy]\nname = "s"\nuniverse = ["AAA"]\n[sizing]\nrule = "fixed_fraction"\nfraction = 1\n'
        "[fills]\nfee_fraction = 0\nhalf_spread_fraction = 0\nslippage_fraction = 0\n"
    )
    arguments = ["--strategy", str(tmp_path / "s.toml"), "--history", str(folder)]
    assert main(["replay", *arguments, "--ledger", str(tmp_path / "l.db"), "--cash", "10000", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["statistics"]
    assert figures["total_return"] > 20
    assert figures["days"] >= 34
    for name in ("sharpe", "sharpe_low", "sharpe_high", "probabilistic_sharpe", "hold_sharpe"):
        assert (name, figures[name], figures["reasons"][name]) == (name, None, "the daily returns do not vary")
    assert (figures["sortino"], figures["reasons"]["sortino"]) == (None, "no day lost anything")


class MarkedReader:
    """A ledger with the marks of an account, in the order of days."""

    def __init__(self, *marks: float) -> None:
        """Keep the equity of each day."""
        self.marks = marks

    def rows(self, statement: str, _parameters: object) -> list[Json]:
        """Return the marks for the question after equity, and nothing else."""
        if "v_equity" not in statement:
            return []
        highs = accumulate(self.marks, max)
        return [
            {**UNKNOWN, "slot": START + timedelta(days=day), "equity": equity, "high_water_mark": high, "benchmark": 1}
            for day, (equity, high) in enumerate(zip(self.marks, highs, strict=True))
        ]


def test_the_money_of_a_drawdown_is_that_of_the_deepest_fraction() -> None:
    """T12: 500 of 1,000 is deeper than 1,000 of 10,000, and the line says which money it is."""
    found = statistics(MarkedReader(1000, 500, 10_000, 9_000), "deep")  # type: ignore[arg-type]
    assert (found["max_drawdown"], found["max_drawdown_amount"]) == (0.5, 500)
    (line,) = [line for line in describe_statistics(found).splitlines() if line.startswith("max drawdown amount")]
    assert line.endswith("500  the money lost in that fall, from its high to its lowest")


def test_a_trial_has_no_moments_of_what_rounding_left() -> None:
    """T9: skewness and kurtosis are undefined where the Sharpe ratio is, for the same reason."""
    marks = [(START + timedelta(days=day), 10_000 * 1.1**day + 1e-7 * (-1) ** day) for day in range(40)]
    tally = Tally()
    tally.points.extend(curve(marks))
    found = trial_figures(tally, [])
    for name in ("sharpe", "skewness", "kurtosis"):
        assert found[name] == Figure(reason="the daily returns do not vary")


class RuinedReader:
    """A ledger whose account lost more than it had, as a short can."""

    def rows(self, statement: str, _parameters: object) -> list[Json]:
        if "v_equity" not in statement:
            return []
        marks = ((1, 100), (2, -50), (3, 20))
        return [
            {**UNKNOWN, "slot": START + timedelta(days=day), "equity": equity, "high_water_mark": 100, "benchmark": 1}
            for day, equity in marks
        ]


def test_ratios_end_where_equity_does() -> None:
    """From 100 by -50 to 20: the loss and the depth are there, a ratio of such returns is not."""
    found = statistics(RuinedReader(), "ruined")  # type: ignore[arg-type]
    assert (found["total_return"], found["max_drawdown"], found["max_drawdown_amount"]) == (-0.8, 1.5, 150)
    reasons = found["reasons"]
    assert isinstance(reasons, dict)
    for name in ("cagr", "sharpe", "sharpe_low", "sharpe_high", "probabilistic_sharpe", "sortino", "calmar"):
        assert (found[name], reasons[name]) == (None, "equity fell to zero or below")


def test_a_small_loss_is_told_as_nothing() -> None:
    """What rounds to zero has no sign."""
    answer = {**dict.fromkeys(("drawdown_started_at", "drawdown_trough_at", "drawdown_recovered_at")), "reasons": {}}
    (line, _) = describe_statistics({**answer, "expectancy": -0.00001}).splitlines()
    assert line.split()[:2] == ["expectancy", "0"]
