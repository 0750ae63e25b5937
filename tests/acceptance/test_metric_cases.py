"""Figures with expected values from the tests of empyrical, pyalgotrade and LEAN, and of two peers on real candles.

Where a case asks for a rule that we have otherwise, it is listed with the rule that differs.
"""

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from bot.figures.performance import (
    EquityPoint,
    Figure,
    TradeResult,
    cagr,
    calmar,
    curve,
    deviation,
    drawdown,
    expectancy,
    profit_factor,
    returns_of,
    sharpe,
    sortino,
    sqn,
    total_return,
    win_rate,
)
from tests.notation import at

START = at("2024-01-01")
ONE_DAY = timedelta(days=1)
# Of returns that are no account's, only the rounding of floats is left out.
EXACT = 1e-12
Case = dict[str, Any]

HURDLE = "the required return is zero"
INFINITE = "what does not vary has no ratio: undefined, not infinite"
DIFFERENT: Mapping[str, str] = {
    "empyrical-sharpe_ratio-7": INFINITE,
    "empyrical-sortino-2": HURDLE,
    "empyrical-sortino-4": HURDLE,
}


def cases_of(shared: Path, name: str) -> list[Case]:
    """Read the cases of a file."""
    found: list[Case] = json.loads((shared / "data" / "metric-cases" / f"{name}.json").read_text())["cases"]
    return found


def daily(equity: Sequence[float]) -> tuple[EquityPoint, ...]:
    """Mark an account once a day."""
    return curve([(START + number * ONE_DAY, value) for number, value in enumerate(equity)])


def grown(returns: Sequence[float]) -> tuple[EquityPoint, ...]:
    """Return the account that has these returns; none at all where there are none."""
    return daily(list(accumulate(returns, lambda equity, one: equity * (1 + one), initial=1.0))) if returns else ()


def depth(points: Sequence[EquityPoint]) -> float:
    """Return the depth of the deepest drawdown."""
    found = drawdown(points)
    return found.fraction if found else 0.0


def of_calmar(returns: Sequence[float], year: int) -> Figure:
    """Return the Calmar ratio of returns alone."""
    return calmar(returns, depth(grown(returns)), resolution=EXACT, year=year, least=1)


RULES: Mapping[str, Callable[[Sequence[float], int], Figure]] = {
    "total_return": lambda returns, _: total_return(grown(returns)),
    "max_drawdown": lambda returns, _: Figure(-depth(grown(returns))),
    "annual_return": lambda returns, year: cagr(returns, year=year, least=1),
    "cagr": lambda returns, year: cagr(returns, year=year, least=1),
    "sharpe": lambda returns, year: sharpe(returns, resolution=EXACT, year=year, least=2),
    "sortino": lambda returns, year: sortino(returns, resolution=EXACT, year=year, least=1),
    "calmar": of_calmar,
    "annual_volatility": lambda returns, year: Figure(deviation(returns) * sqrt(year)),
}


def test_figures_of_returns_are_those_of_empyrical(shared: Path) -> None:
    """Each case of a figure that we have gives the expected value, or none with a reason where none is expected."""
    met = set()
    for case in cases_of(shared, "returns_empyrical"):
        if case["metric"] not in RULES or case["id"] in DIFFERENT:
            continue
        returns = [one for one in case["input"]["returns"] if one is not None]
        found = RULES[case["metric"]](returns, case["input"].get("periods_per_year", 365))
        if case["expected"] is None:
            assert found.value is None, case["id"]
            assert found.reason, case["id"]
        else:
            assert found.value == pytest.approx(case["expected"], abs=0.5 * 10 ** -case["decimals"]), case["id"]
        met.add(case["metric"])
    assert met == set(RULES)


def test_a_case_is_called_different_only_where_it_is(shared: Path) -> None:
    """No listed case meets its expected value, so none is passed over for nothing."""
    listed = [case for case in cases_of(shared, "returns_empyrical") if case["id"] in DIFFERENT]
    assert len(listed) == len(DIFFERENT)
    for case in listed:
        returns = [one for one in case["input"]["returns"] if one is not None]
        found = RULES[case["metric"]](returns, case["input"]["periods_per_year"])
        assert found.value != pytest.approx(case["expected"]), case["id"]


def test_figures_on_real_candles_are_those_that_peers_agree_on(shared: Path) -> None:
    """Twelve spans of six coins, with our own least numbers of days and our own year."""
    for case in cases_of(shared, "peers_on_crypto"):
        given, expected = case["input"], case["expected"]
        with gzip.open(shared / "data" / given["candles"], "rt") as lines:
            rows = [row for row in csv.DictReader(lines) if given["first"] <= row["time"][:10] <= given["last"]]
        points = daily([float(row["close"]) for row in rows])
        returns = returns_of(points)
        assert len(returns) == expected["days"]
        figures = {
            "total_return": total_return(points),
            "annual_return": cagr(returns),
            "sharpe": sharpe(returns, resolution=EXACT),
            "sortino": sortino(returns, resolution=EXACT),
            "calmar": calmar(returns, depth(points), resolution=EXACT),
            "max_drawdown": Figure(-depth(points)),
        }
        for name, figure in figures.items():
            assert figure.value == pytest.approx(expected[name], rel=1e-8), (case["id"], name)


def test_drawdowns_are_those_of_pyalgotrade(shared: Path) -> None:
    """The deepest fall after each step, and the longest time below a high, over their whole runs."""
    for case in cases_of(shared, "drawdown_pyalgotrade"):
        if "steps" in case:
            points = daily([step["equity_low"] for step in case["steps"]])
            for count, step in enumerate(case["steps"], 1):
                assert -depth(points[:count]) == pytest.approx(step["expect"]["max_drawdown"]), case["id"]
        else:
            found, expected = drawdown(daily(case["equity_daily"])), case["expected"]
            assert (found.fraction if found else 0) == pytest.approx(expected["max_drawdown_magnitude"], abs=0.005)
            days = ((found.recovered_at or found.trough_at) - found.started_at).days if found else 0
            assert days <= expected["longest_drawdown_days"]


def test_figures_of_trades_are_those_of_lean(shared: Path) -> None:
    """Win rate, mean profit, profit factor where a trade lost, and the ratio per trade times the root of the count."""
    for case in cases_of(shared, "trades_lean"):
        trades = [
            TradeResult(opened_at=START, closed_at=START, notional=1, profit=trade["profit_loss"], r_multiple=None)
            for trade in case["input"]["trades"]
        ]
        expected = case["expected"]
        assert win_rate(trades).value == pytest.approx(expected["win_rate"])
        assert expectancy(trades).value == pytest.approx(expected["average_profit_loss"])
        assert sqn(trades).value == pytest.approx(expected["sharpe_per_trade"] * sqrt(expected["trades"]))
        if expected["losing"]:
            assert profit_factor(trades).value == pytest.approx(expected["profit_factor"])
        else:  # LEAN writes 10 there
            assert profit_factor(trades).value is None


def test_deviations_are_those_of_lean(shared: Path) -> None:
    """The sample deviation, made annual by the root of the year, with 202 and with 365 days."""
    for case in cases_of(shared, "annualising_lean"):
        given = case["input"]
        found = deviation(given["returns"]) * sqrt(given["periods_per_year"])
        assert found == pytest.approx(case["expected"]["annual_std"], abs=1e-12)
