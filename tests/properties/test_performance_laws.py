"""Laws of the figures over random accounts and trades: what must not matter, does not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate, pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.figures.luck import deflated_sharpe, sharpe_interval
from bot.figures.performance import (
    EquityPoint,
    Figure,
    TradeResult,
    cagr,
    calmar,
    curve,
    day_marks,
    drawdown,
    exposure_time,
    profit_factor,
    returns_of,
    sharpe,
    sortino,
    sqn,
    total_return,
    turnover,
    win_rate,
)
from tests.notation import at

START = at("2024-01-01")
HOUR, ONE_DAY = timedelta(hours=1), timedelta(days=1)
# Of returns that are no account's, only the rounding of floats is left out.
EXACT = 1e-12
# Steps of a thousandth: returns either vary by far more than rounding, or not at all.
returns = st.lists(st.integers(-300, 300).map(lambda step: step / 1000), min_size=90, max_size=120)
hours = st.lists(st.integers(0, 24 * 40), min_size=1, max_size=40, unique=True).map(sorted)
trades = st.lists(
    st.builds(
        lambda start, length, profit: TradeResult(
            opened_at=START + start * HOUR,
            closed_at=START + (start + length) * HOUR,
            notional=100,
            profit=profit,
            r_multiple=None,
        ),
        st.integers(0, 500),
        st.integers(0, 100),
        st.integers(-50, 50),
    ),
    max_size=40,
)


def account(steps: Sequence[float], scale: float = 1000.0) -> tuple[EquityPoint, ...]:
    """Mark an account with these returns once a day."""
    equity = accumulate(steps, lambda worth, one: worth * (1 + one), initial=scale)
    return curve([(START + number * ONE_DAY, worth) for number, worth in enumerate(equity)])


def figures(points: Sequence[EquityPoint]) -> dict[str, Figure]:
    """Return every figure that hangs on equity alone."""
    days, fall = day_marks(points), drawdown(points)
    found = returns_of(days)
    low, high = sharpe_interval(found, 1, resolution=EXACT, resamples=50)
    return {
        "total_return": total_return(days),
        "cagr": cagr(found),
        "sharpe": sharpe(found, resolution=EXACT),
        "low": low,
        "high": high,
        "deflated": deflated_sharpe(found, resolution=EXACT, trials=5, variance=0.01),
        "sortino": sortino(found, resolution=EXACT),
        "calmar": calmar(found, fall.fraction if fall else 0.0, resolution=EXACT),
        "depth": Figure(fall.fraction if fall else 0.0),
    }


def same(ones: dict[str, Figure], others: dict[str, Figure]) -> bool:
    """Tell whether two sets of figures are equal but for rounding, with the same reasons."""
    return all(
        (one.value is None) == (others[name].value is None)
        and one.reason == others[name].reason
        and (one.value or 0) == pytest.approx(others[name].value or 0, rel=1e-6, abs=1e-9)
        for name, one in ones.items()
    )


@given(returns, st.sampled_from([0.001, 3.7, 1e6]))
def test_the_size_of_an_account_does_not_matter(steps: list[float], scale: float) -> None:
    """The same returns on a thousandth, or on a million times as much: the same figures."""
    assert same(figures(account(steps)), figures(account(steps, 1000 * scale)))


@given(returns, st.integers(0, 89))
def test_a_day_without_a_change_dilutes_and_does_nothing_else(steps: list[float], place: int) -> None:
    """Growth and depth stay; the Sortino ratio shrinks by the root of the days, annual growth spreads over one more."""
    before, after = figures(account(steps)), figures(account([*steps[:place], 0.0, *steps[place:]]))
    for name in ("total_return", "depth"):
        assert after[name].value == pytest.approx(before[name].value, abs=1e-9)
    shrunk = sqrt(len(steps) / (len(steps) + 1))
    if before["sortino"].value is not None:
        assert after["sortino"].value == pytest.approx(before["sortino"].value * shrunk)
    annual = (1 + (before["total_return"].value or 0)) ** (365 / (len(steps) + 1)) - 1
    assert after["cagr"].value == pytest.approx(annual)
    assert abs(after["sharpe"].value or 0) <= abs(before["sharpe"].value or 0) + 1e-9


@given(returns)
def test_worse_days_are_never_better(steps: list[float]) -> None:
    """A tenth of a percent taken from every day lowers growth and ratio, and makes no drawdown shallower."""
    before, after = figures(account(steps)), figures(account([one - 0.001 for one in steps]))
    for name in ("total_return", "cagr", "sharpe", "deflated"):
        assert (after[name].value or 0) <= (before[name].value or 0) + 1e-9
    assert (after["depth"].value or 0) >= (before["depth"].value or 0) - 1e-9


@given(hours)
def test_each_day_is_there_once_with_its_first_mark(instants: list[int]) -> None:
    """Days follow each other without a gap, each with the first equity marked in it; the last mark ends them."""
    points = curve([(START + hour * HOUR, 100.0 + hour) for hour in instants])
    days = day_marks(points)
    assert (days[0], days[-1].at, days[-1].equity) == (points[0], points[-1].at, points[-1].equity)
    for before, after in pairwise(days):
        assert timedelta() < after.at - before.at <= 2 * ONE_DAY
    for number, day in enumerate(days[:-1]):
        marked = [point.equity for point in points if point.at.date() == day.at.date()]
        assert day.equity == (marked[0] if marked else days[number - 1].equity)
    assert len(days) - 1 <= (points[-1].at - points[0].at) // ONE_DAY + 2


@given(returns)
def test_a_drawdown_lies_between_its_high_and_its_recovery(steps: list[float]) -> None:
    """No mark is deeper below the high before it, and the recovery is the first mark at the high again."""
    points = account(steps)
    found = drawdown(points)
    depths = [1 - point.equity / max(one.equity for one in points[: number + 1]) for number, point in enumerate(points)]
    assert (found.fraction if found else 0) == pytest.approx(max(depths), abs=1e-12)
    if found:
        high = next(point.equity for point in points if point.at == found.started_at)
        low = next(point.equity for point in points if point.at == found.trough_at)
        assert high - low == pytest.approx(found.amount)
        back = [point.at for point in points if point.at > found.trough_at and point.equity >= high]
        assert found.recovered_at == (back[0] if back else None)


@given(trades, st.sampled_from([0.5, 8.0, 1024.0]))
def test_neither_currency_nor_order_of_trades_matters(results: list[TradeResult], scale: float) -> None:
    """All profits in another currency, and the trades the other way round: the same ratios."""
    others = [replace(one, profit=one.profit * scale) for one in reversed(results)]
    for rule in (win_rate, profit_factor, sqn):
        ours, theirs = rule(results), rule(others)
        assert ours.reason == theirs.reason
        assert ours.value == pytest.approx(theirs.value)


@given(trades)
def test_time_in_the_market_is_that_of_counted_hours(results: list[TradeResult]) -> None:
    """Hour by hour, whether any position was open; and turnover counts every entry."""
    span = 600
    points = curve([(START, 1000.0), (START + span * HOUR, 1000.0)])
    open_hours = sum(
        any(one.opened_at <= START + hour * HOUR < (one.closed_at or one.opened_at) for one in results)
        for hour in range(span)
    )
    assert exposure_time(points, results).value == pytest.approx(open_hours / span)
    assert turnover(points, results).value == pytest.approx(len(results) / 10)
