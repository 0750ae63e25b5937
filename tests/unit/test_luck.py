"""How much of a Sharpe ratio may be luck: published examples, the theory of large samples, and the seed."""

import random
from itertools import pairwise
from math import sqrt

import pytest

from bot.figures.luck import _places, deflated_sharpe, expected_best, probability_above, sharpe_interval
from bot.figures.performance import sharpe

# Of returns that are no account's, only the rounding of floats is left out.
EXACT = 1e-12


def normal(count: int, seed: int = 7, mean: float = 0.001) -> list[float]:
    """Draw independent returns."""
    chance = random.Random(seed)
    return [chance.gauss(mean, 0.02) for _ in range(count)]


def test_the_best_of_worthless_trials_is_that_of_the_paper() -> None:
    """Bailey and Lopez de Prado 2014: 100 trials, annual variance 1/2, 250 days a year: a daily ratio of 0.1132."""
    assert expected_best(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert expected_best(1, 0.5) == 0


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "expected"), [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)]
)
def test_the_deflated_ratio_is_that_of_the_paper(
    trials: int, skewness: float, kurtosis: float, expected: float
) -> None:
    """Its example: an annual ratio of 2.5 over 1250 days, with three numbers of trials and shapes of returns."""
    found = probability_above(expected_best(trials, 0.5 / 250), 2.5 / sqrt(250), 1250, skewness, kurtosis)
    assert found.value == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("skewness", "kurtosis", "expected"), [(-2.448, 10.164, 0.913), (0, 3, 0.982)])
def test_the_probabilistic_ratio_is_that_of_the_paper(skewness: float, kurtosis: float, expected: float) -> None:
    """Bailey and Lopez de Prado 2012: 24 monthly returns with a ratio of 0.458, as they are and if they were normal."""
    assert probability_above(0, 0.458, 24, skewness, kurtosis).value == pytest.approx(expected, abs=5e-4)


def test_a_ratio_without_an_error_has_no_probability() -> None:
    """Where skewness 2, kurtosis 5 and a ratio of 1 meet, the error is zero and nothing can be divided by it."""
    found = probability_above(0, 1, 30, 2, 5)
    assert found.value is None
    assert found.reason == "the ratio's own error is zero: its returns take two values only"


def test_returns_give_their_own_moments() -> None:
    """Three days of 0.03, one of -0.05: mean 0.01, variance 48e-4 / 4, skewness -2 / sqrt(3), kurtosis 7/3 by hand."""
    returns = [0.03, 0.03, 0.03, -0.05] * 10
    ratio = 0.01 / sqrt(0.0048 / 4 * 40 / 39)
    expected = probability_above(0.05, ratio, 40, -2 / sqrt(3), 7 / 3).value
    # Two trials: Z^-1(1/2) is zero, so the best to expect is g x Z^-1(1 - 1/(2e)) deviations, 0.5195 of one.
    assert expected_best(2, 1) == pytest.approx(0.519, abs=1e-3)
    variance = (0.05 / expected_best(2, 1)) ** 2
    assert deflated_sharpe(returns, resolution=EXACT, trials=2, variance=variance).value == pytest.approx(expected)
    alone = probability_above(0, ratio, 40, -2 / sqrt(3), 7 / 3).value
    assert deflated_sharpe(returns, resolution=EXACT).value == pytest.approx(alone)
    assert deflated_sharpe(returns[:20], resolution=EXACT).reason == "needs 30 daily returns, has 20"


def test_more_trials_make_a_ratio_less_credible() -> None:
    """The same returns, as one of ten and as one of a thousand."""
    returns = normal(500)
    one, ten, many = (
        deflated_sharpe(returns, resolution=EXACT, trials=count, variance=0.001).value or 0 for count in (1, 10, 1000)
    )
    assert one > ten > many


def test_the_interval_is_that_of_large_samples() -> None:
    """Lo 2002: the error of the daily ratio of independent returns is sqrt((1 + ratio^2 / 2) / n)."""
    returns = normal(1000)
    centre = sharpe(returns, resolution=EXACT).value or 0
    low, high = (figure.value or 0 for figure in sharpe_interval(returns, 1, resolution=EXACT))
    error = sqrt((1 + centre**2 / 365 / 2) / 1000) * sqrt(365)
    assert low == pytest.approx(centre - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(centre + 1.96 * error, abs=0.15 * error)


def test_the_interval_hangs_on_the_seed_alone() -> None:
    """The same seed gives the same interval on every machine, the one kept here; another seed gives another."""
    returns = normal(60)
    low, high = sharpe_interval(returns, 1, resolution=EXACT)
    assert (low.value, high.value) == pytest.approx((-4.1994338560679445, 5.156780726693759), rel=1e-9)
    assert sharpe_interval(returns, 1, resolution=EXACT) == (low, high)
    assert sharpe_interval(returns, 1, resolution=EXACT) != sharpe_interval(returns, 2, resolution=EXACT)


def test_blocks_keep_what_days_have_in_common() -> None:
    """Returns that come in runs have a wider interval than the same returns shuffled."""
    runs = [value for value in normal(100) for _ in range(5)]
    mixed = random.Random(1).sample(runs, len(runs))
    found = (sharpe_interval(runs, 1, resolution=EXACT), sharpe_interval(mixed, 1, resolution=EXACT))
    wide, narrow = ((high.value or 0) - (low.value or 0) for low, high in found)
    assert wide > 1.5 * narrow


def test_blocks_go_round_the_circle_and_begin_anew_as_often_as_they_should() -> None:
    """Of 1000 days a block has ten on average, all places are equally likely, and the last day leads to the first."""
    drawn = [place.astype(int).copy() for place in _places(1000, 200, 3)]
    fresh = sum(((after - before) % 1000 != 1).sum() for before, after in pairwise(drawn))
    assert len(drawn) == 1000
    assert fresh / (999 * 200) == pytest.approx(0.1, rel=0.02)
    assert any(((before == 999) & (after == 0)).any() for before, after in pairwise(drawn))
    tenths = [sum(((place // 100) == tenth).sum() for place in drawn) for tenth in range(10)]
    assert min(tenths) > 0.9 * 20_000
    assert max(tenths) < 1.1 * 20_000


def test_a_resample_without_movement_has_a_ratio_of_zero() -> None:
    """One return in a hundred days: a third of the resamples miss it, so the interval's lower end is zero."""
    low, high = sharpe_interval([0.05, *[0.0] * 99], 1, resolution=EXACT)
    assert low.value == 0
    assert (high.value or 0) > 0


def test_without_a_ratio_there_is_no_interval() -> None:
    """Twenty days, or thirty alike: both ends give the reason."""
    for returns in (normal(20), [0.0] * 30):
        undefined = sharpe(returns, resolution=EXACT)
        assert sharpe_interval(returns, 1, resolution=EXACT) == (undefined, undefined)


def test_luck_is_not_measured_in_what_rounding_left() -> None:
    """T9: returns that vary by less than a micro-dollar of 10,000 have no interval and no probability."""
    residue = [0.1 + 5e-11 * (-1) ** day for day in range(40)]
    for found in (*sharpe_interval(residue, 1, resolution=1e-10), deflated_sharpe(residue, resolution=1e-10)):
        assert (found.value, found.reason) == (None, "the daily returns do not vary")
    assert sharpe_interval(residue, 1, resolution=1e-11)[0].value is not None
    assert deflated_sharpe(residue, resolution=1e-11).value is not None


def test_a_resample_that_varies_by_rounding_alone_counts_as_zero() -> None:
    """T9: one return of 5 % among those that rounding alone makes differ: a resample without it has a ratio of 0."""
    residue = [0.05, *(1e-12 * (-1) ** day + 1e-11 for day in range(99))]
    assert sharpe_interval(residue, 1, resolution=1e-10)[0].value == 0
