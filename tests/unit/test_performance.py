"""Figures of equity and trades, against tables worked out by hand; where there is none, the reason says why."""

from collections.abc import Callable
from math import sqrt

import pytest

from bot.figures.performance import (
    Drawdown,
    EquityPoint,
    Figure,
    TradeResult,
    cagr,
    calmar,
    curve,
    day_marks,
    drawdown,
    expectancy,
    expectancy_r,
    exposure_time,
    profit_factor,
    resolution_of,
    returns_of,
    sharpe,
    sortino,
    sqn,
    total_return,
    turnover,
    win_rate,
)
from tests.notation import at

# Of returns that are no account's, only the rounding of floats is left out.
EXACT = 1e-12
ALTERNATING = (0.02, -0.01) * 15


def points(*marks: tuple[str, float]) -> tuple[EquityPoint, ...]:
    """Mark an account at some instants."""
    return curve([(at(when), equity) for when, equity in marks])


def trade(
    profit: float, r_multiple: float | None = None, opened: str = "2024-01-01", closed: str | None = "2024-01-02"
) -> TradeResult:
    """Make a trade of a thousand."""
    return TradeResult(
        opened_at=at(opened),
        closed_at=None if closed is None else at(closed),
        notional=1000,
        profit=profit,
        r_multiple=r_multiple,
    )


# Won 30 and 20, lost 10, broke even once: a mean of 10, squares of deviations 400 + 100 + 400 + 100.
FOUR = (trade(30, 3), trade(20, None), trade(-10, -1), trade(0, 0))


def test_a_day_is_known_by_its_first_mark() -> None:
    """The first mark of each day, whatever follows in it; a day without one keeps the day before; the last mark too."""
    marks = points(
        ("2024-01-01 01:00", 100),
        ("2024-01-01 13:00", 150),
        ("2024-01-02 00:00", 110),
        ("2024-01-02 00:05", 111),
        ("2024-01-02 23:55", 121),
        ("2024-01-05 06:00", 90),
        ("2024-01-05 07:00", 99),
    )
    days = day_marks(marks)
    assert [(day.at, day.equity) for day in days] == [
        (at("2024-01-01 01:00"), 100),
        (at("2024-01-02 00:00"), 110),
        (at("2024-01-03 00:00"), 110),
        (at("2024-01-04 00:00"), 110),
        (at("2024-01-05 06:00"), 90),
        (at("2024-01-05 07:00"), 99),
    ]
    assert returns_of(days) == pytest.approx((0.1, 0, 0, 90 / 110 - 1, 0.1))
    assert days[-1].high == 150


def test_marks_once_a_day_are_the_series() -> None:
    """Marks once a day give each of them, and nothing is added in front."""
    marks = points(("2024-01-02", 100), ("2024-01-03", 101))
    assert day_marks(marks) == marks
    assert day_marks(marks[:1]) == marks[:1]
    assert day_marks(()) == ()


def test_growth_is_from_the_first_mark_to_the_last() -> None:
    """From 100 by 90 to 120 is 20 %; without a mark there is none."""
    marks = points(("2024-01-01", 100), ("2024-01-02", 90), ("2024-01-03", 120))
    assert total_return(marks).value == pytest.approx(0.2)
    assert total_return(()).reason == "no mark of equity"


def test_annual_growth_compounds_over_365_days() -> None:
    """Thirty days of 2 % and -1 % in turn compound to (1.02 x 0.99)^15, to the power of 365 / 30 in a year."""
    assert cagr(ALTERNATING).value == pytest.approx((1.02 * 0.99) ** (15 * 365 / 30) - 1)
    assert cagr(ALTERNATING[:29]).reason == "needs 30 daily returns, has 29"


def test_the_sharpe_ratio_is_of_sample_deviation_and_365_days() -> None:
    """A mean of 0.5 % and 30 deviations of 1.5 %, divided by 29."""
    assert sharpe(ALTERNATING, resolution=EXACT).value == pytest.approx(0.005 / (0.015 * sqrt(30 / 29)) * sqrt(365))
    assert sharpe(ALTERNATING[:29], resolution=EXACT).reason == "needs 30 daily returns, has 29"
    assert sharpe((0.01, 0.01 + 1e-15) * 15, resolution=EXACT).reason == "the daily returns do not vary"


def test_the_sortino_ratio_counts_days_without_a_loss_as_zero() -> None:
    """Fifteen losses of 1 % over thirty days: the root of 0.0001 / 2."""
    assert sortino(ALTERNATING, resolution=EXACT).value == pytest.approx(0.005 / sqrt(0.0001 / 2) * sqrt(365))
    assert sortino(ALTERNATING[:29], resolution=EXACT).reason == "needs 30 daily returns, has 29"
    assert sortino((0.01, 0.02) * 15, resolution=EXACT).reason == "no day lost anything"


def test_the_calmar_ratio_is_annual_growth_over_depth() -> None:
    """Ninety days that grew, with a fall of a quarter between."""
    grown = (1.02 * 0.99) ** (45 * 365 / 90) - 1
    assert calmar(ALTERNATING * 3, 0.25, resolution=EXACT).value == pytest.approx(grown / 0.25)
    assert calmar(ALTERNATING, 0.25, resolution=EXACT).reason == "needs 90 daily returns, has 30"
    assert calmar(ALTERNATING * 3, 0, resolution=EXACT).reason == "equity never fell"


def test_an_account_shows_no_dispersion_below_a_micro_dollar_of_its_smallest_equity() -> None:
    """T9: of 10,000, 2,500 and 40,000 the smallest counts; what lies below is the rounding of the marks."""
    marks = points(("2024-01-01", 10_000), ("2024-01-02", 2_500), ("2024-01-03", 40_000))
    assert resolution_of(marks) == pytest.approx(4e-10)
    assert resolution_of(()) == 1


@pytest.mark.parametrize(
    ("ratio", "reason"),
    [
        (lambda least: sharpe([0.1 + 5e-11 * (-1) ** day for day in range(30)], resolution=least), "do not vary"),
        (lambda least: sortino([-5e-11, 0.1] * 15, resolution=least), "no day lost anything"),
        (lambda least: calmar(ALTERNATING * 3, 5e-11, resolution=least), "equity never fell"),
    ],
)
def test_what_rounding_left_makes_no_ratio(ratio: Callable[[float], Figure], reason: str) -> None:
    """T9: a deviation, a loss and a depth of half a micro-dollar of 10,000 are none; of twice 100,000 they are some."""
    assert ratio(1e-10).value is None
    assert reason in str(ratio(1e-10).reason)
    assert ratio(5e-12).value is not None


def test_a_drawdown_has_its_high_its_trough_and_its_recovery() -> None:
    """From 120 to 90 and back to 120: a quarter, 30 in money; a later fall as deep changes nothing."""
    marks = [("2024-01-01", 100), ("2024-01-02", 120), ("2024-01-03", 90), ("2024-01-04", 100), ("2024-01-05", 120)]
    expected = Drawdown(
        fraction=0.25,
        amount=30,
        started_at=at("2024-01-02"),
        trough_at=at("2024-01-03"),
        recovered_at=at("2024-01-05"),
    )
    assert drawdown(points(*marks)) == expected
    assert drawdown(points(*marks, ("2024-01-06", 90))) == expected


def test_a_drawdown_that_is_not_made_good_has_no_recovery() -> None:
    """At the end equity is below its high; where it only rose there is no drawdown, nor without a mark."""
    found = drawdown(points(("2024-01-01", 100), ("2024-01-02", 50), ("2024-01-03", 99)))
    assert found is not None
    assert (found.fraction, found.recovered_at) == (0.5, None)
    assert drawdown(points(("2024-01-01", 100), ("2024-01-02", 100))) is None
    assert drawdown(()) is None


def test_a_drawdown_counts_a_high_between_two_marks() -> None:
    """A high of 200 and one of 250 that no mark shows: the fall is from 200, and 250 was a recovery."""
    marks = (
        EquityPoint(at("2024-01-01"), 100, 100),
        EquityPoint(at("2024-01-02"), 150, 200),
        EquityPoint(at("2024-01-03"), 100, 200),
        EquityPoint(at("2024-01-04"), 180, 250),
    )
    found = drawdown(marks)
    assert found is not None
    assert (found.fraction, found.amount, found.started_at) == (0.5, 100, at("2024-01-02"))
    assert (found.trough_at, found.recovered_at) == (at("2024-01-03"), at("2024-01-04"))


def test_trades_that_broke_even_count_neither_way() -> None:
    """Two wins, one loss and one at zero: two thirds."""
    assert win_rate(FOUR).value == pytest.approx(2 / 3)
    assert win_rate(()).reason == "no closed trade"
    assert win_rate(FOUR[3:]).reason == "no closed trade won or lost"


def test_the_profit_factor_is_of_money_and_needs_a_loss() -> None:
    """Fifty won and ten lost; without a loss it is undefined, without a win zero."""
    assert profit_factor(FOUR).value == 5
    assert profit_factor(FOUR[:2]).reason == "no closed trade lost"
    assert profit_factor(FOUR[2:3]).value == 0
    assert profit_factor(()).reason == "no closed trade"


def test_expectancy_is_a_mean_in_money_and_in_r() -> None:
    """Forty over four trades; of R two over the three that had a stop."""
    assert expectancy(FOUR).value == 10
    assert expectancy(()).reason == "no closed trade"
    assert expectancy_r(FOUR).value == pytest.approx(2 / 3)
    assert expectancy_r(FOUR[1:2]).reason == "no closed trade had a stop"
    assert expectancy_r(()).reason == "no closed trade"


def test_system_quality_says_when_it_rests_on_few_trades() -> None:
    """A mean of 10 over a deviation of sqrt(1000 / 3), times two; from thirty trades on nothing is said."""
    few = sqn(FOUR)
    assert few.value == pytest.approx(2 * 10 / sqrt(1000 / 3))
    assert few.reason == "4 trades: not to be relied upon below 30"
    many = sqn(FOUR * 8)
    assert many.value is not None
    assert many.reason is None
    assert sqn(FOUR[:1]).reason == "needs two closed trades"
    assert sqn([trade(33.333333)] * 7).reason == "the profits do not vary"
    # T9: profits are kept to the micro-dollar, so that a deviation of 0.55 of them is rounding.
    assert sqn([trade(33.333333), trade(33.333334)] * 5).reason == "the profits do not vary"
    assert sqn([trade(33.333333), trade(33.333336)] * 5).value is not None


def test_time_in_the_market_counts_positions_side_by_side_once() -> None:
    """Of ten days two and a half: one day, half of it shared; two inside others; one open to the end from day nine."""
    marks = points(("2024-01-01", 100), ("2024-01-11", 100))
    trades = (
        trade(1, opened="2024-01-10", closed=None),
        trade(1, opened="2024-01-02", closed="2024-01-03"),
        trade(1, opened="2024-01-02 12:00", closed="2024-01-03 12:00"),
        trade(1, opened="2024-01-02 13:00", closed="2024-01-02 14:00"),
        trade(1, opened="2024-01-02 15:00", closed="2024-01-02 16:00"),
    )
    assert exposure_time(marks, trades).value == pytest.approx(0.25)
    assert exposure_time(marks, ()).value == 0
    assert exposure_time(marks[:1], trades).reason == "the marks span no time"
    assert exposure_time((), trades).reason == "no mark of equity"


def test_time_in_the_market_lies_between_the_marks() -> None:
    """What was open before the first mark or closes after the last counts only between them."""
    marks = points(("2024-01-02", 100), ("2024-01-04", 100))
    assert exposure_time(marks, [trade(1, opened="2023-12-01", closed="2024-01-03")]).value == 0.5
    assert exposure_time(marks, [trade(1, opened="2024-01-03", closed="2024-02-01")]).value == 0.5


def test_turnover_is_the_entries_over_the_mean_equity() -> None:
    """Three entries of a thousand over a mean of 1500."""
    days = points(("2024-01-01", 1000), ("2024-01-02", 2000))
    assert turnover(days, (*FOUR[:2], trade(0, closed=None))).value == 2
    assert turnover((), FOUR).reason == "no mark of equity"
    ruined = points(("2024-01-01", 1000), ("2024-01-02", -1000))
    assert turnover(ruined, FOUR) == Figure(reason="equity fell to zero or below")
