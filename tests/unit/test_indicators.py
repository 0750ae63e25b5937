"""Measures of whole days: ranges, volatilities, their floor, and correlation, against sums written out by hand."""

import random
from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import pairwise
from math import sqrt
from statistics import correlation as plain_correlation
from statistics import quantiles

import pytest

from bot.domain.market import Bar
from bot.domain.numbers import EXACT
from bot.engine.indicators import annual_sigma, atr, correlation, daily_sigmas, sigma
from tests.acceptance.day_figures import Day
from tests.acceptance.day_figures import annual_sigma as plain_annual_sigma
from tests.notation import DAY, bars
from tests.proposals import SLOT, days_of

FLAT = bars("2024-01-01", " | ".join(["100 102 98 100"] * 14), DAY)


def walk(count: int, seed: int, spread: float = 0.02) -> list[float]:
    """Draw closes from 100 on."""
    chance = random.Random(seed)
    closes = [100.0]
    for _ in range(count - 1):
        closes.append(round(closes[-1] * (1 + chance.gauss(0, spread)), 6))
    return closes


def weighted(returns: Sequence[float]) -> float:
    """Write the weighted deviation out: weights (34/36)^age, centred on the weighted mean, corrected for bias."""
    weights = [(34 / 36) ** age for age in range(len(returns) - 1, -1, -1)]
    total, squares = sum(weights), sum(weight * weight for weight in weights)
    mean = sum(weight * value for weight, value in zip(weights, returns, strict=True)) / total
    biased = sum(weight * (value - mean) ** 2 for weight, value in zip(weights, returns, strict=True)) / total
    return sqrt(biased * total * total / (total * total - squares))


def returns_of(closes: Sequence[float]) -> list[float]:
    """Return simple returns."""
    return [after / before - 1 for before, after in pairwise(closes)]


def test_atr_is_the_mean_true_range_of_fourteen_days() -> None:
    """Thirteen ranges of 4 and a gap day of 10 give 62 / 14; the first day on record counts high - low."""
    days = (*FLAT[:13], *bars("2024-01-14", "108 110 106 108", DAY))
    with localcontext(EXACT):
        assert atr(days) == Decimal(62) / Decimal(14)
    assert atr(days[1:]) is None
    assert atr((*FLAT[:1], *FLAT)) == 4


def test_sigma_needs_ten_returns_and_matches_a_hand_computed_pair() -> None:
    """Ten returns of zero give zero; fewer give nothing; annual is daily x sqrt(365)."""
    flat = days_of([100] * 11)
    assert daily_sigmas(flat) == [0]
    assert daily_sigmas(flat[1:]) == []
    assert sigma(flat[1:]) is None
    assert annual_sigma(flat[1:]) is None
    moved = days_of([*[100] * 10, 110])
    # One return of 0.1, the newest of ten: weights w = (34/36)^age, W their sum, and by hand the variance is
    # 0.01 x (1/W)(1 - 1/W) / (1 - sum w^2 / W^2).
    weights = [(34 / 36) ** age for age in range(10)]
    total, squares = sum(weights), sum(weight * weight for weight in weights)
    variance = 0.01 * (1 / total) * (1 - 1 / total) / (1 - squares / total**2)
    assert float(sigma(moved) or 0) == pytest.approx(variance**0.5, rel=1e-12)
    assert float(annual_sigma(moved) or 0) == pytest.approx((variance * 365) ** 0.5, rel=1e-12)


def test_the_recursion_is_the_sum_written_out() -> None:
    """After each return of a random walk the deviation is that of all returns so far with their weights."""
    closes = walk(80, 1)
    found = daily_sigmas(days_of(closes))
    returns = returns_of(closes)
    assert len(found) == len(returns) - 9
    for number, value in enumerate(found, 10):
        assert value == pytest.approx(weighted(returns[:number]), rel=1e-12)


def test_a_quiet_month_does_not_make_a_token_calm() -> None:
    """From 100 values on the annual sigma is at least the 5 % quantile of its last 500; the stop's is not."""
    closes = [*walk(560, 2, 0.03), *([round(walk(560, 2, 0.03)[-1], 6)] * 60)]
    days = days_of(closes)
    values = daily_sigmas(days)
    floor = quantiles(values[-500:], n=20, method="inclusive")[0]
    assert values[-1] < floor / 2
    assert float(annual_sigma(days) or 0) == pytest.approx(floor * sqrt(365), rel=1e-12)
    assert float(sigma(days) or 0) == values[-1]


def test_a_young_token_has_no_floor() -> None:
    """At 99 values the sigma stands as it is, at 100 the quantile of all of them holds it up."""
    closes = [*walk(49, 3, 0.03), *([50.0] * 60)]
    values = daily_sigmas(days_of(closes))
    assert len(values) == 99
    assert float(annual_sigma(days_of(closes)) or 0) == pytest.approx(values[-1] * sqrt(365), rel=1e-12)
    older = days_of([*closes, 50.0])
    floor = quantiles(daily_sigmas(older), n=20, method="inclusive")[0]
    assert daily_sigmas(older)[-1] < floor
    assert float(annual_sigma(older) or 0) == pytest.approx(floor * sqrt(365), rel=1e-12)


def test_a_wild_token_stands_above_its_floor() -> None:
    """Where the sigma of today is above the quantile it is what counts."""
    days = days_of([*walk(300, 4, 0.01), *walk(40, 5, 0.08)])
    assert float(annual_sigma(days) or 0) == pytest.approx(daily_sigmas(days)[-1] * sqrt(365), rel=1e-12)


@pytest.mark.parametrize("count", [11, 120, 400, 700])
def test_the_plain_figures_of_the_oracle_agree(count: int) -> None:
    """The loop that the acceptance tests go by, written from the description alone, gives the same annual sigma."""
    closes = [*walk(count - 9, count), *[100.0] * 9]
    days = days_of(closes)
    with localcontext(prec=50):
        plain = plain_annual_sigma([Day(day.high, day.low, day.close) for day in days])
    assert plain is not None
    assert float(annual_sigma(days) or 0) == pytest.approx(float(plain), rel=1e-9)


def test_only_six_hundred_days_count() -> None:
    """What lies further back changes nothing, whichever archive still has it."""
    closes = walk(900, 6)
    assert annual_sigma(days_of(closes)) == annual_sigma(days_of(closes[-600:]))
    assert annual_sigma(days_of(closes[-601:])) == annual_sigma(days_of(closes[-600:]))


def test_correlation_is_pearsons_of_daily_returns() -> None:
    """Against the standard library's over the same returns, and one or minus one for a token and its mirror."""
    one, other = walk(60, 7), walk(60, 8)
    mixed = [round(a + b, 6) for a, b in zip(one, other, strict=True)]
    expected = plain_correlation(returns_of(one), returns_of(mixed))
    found = correlation(days_of(one), days_of(mixed))
    assert float(found or 0) == pytest.approx(expected, rel=1e-9)
    assert correlation(days_of(mixed), days_of(one)) == found
    ten = [100, 110, 99, 108.9, 98.01, 107.811, 97.0299, 106.73289, 96.059601, 105.6655611, 95.09900499]
    tenth = [100, 90, 99, 89.1, 98.01, 88.209, 97.0299, 87.32691, 96.059601, 86.4536409, 95.09900499]
    assert correlation(days_of(ten), days_of(ten)) == pytest.approx(Decimal(1))
    assert correlation(days_of(ten), days_of(tenth)) == pytest.approx(Decimal(-1))


def test_correlation_looks_at_the_last_sixty_common_days() -> None:
    """Sixty days of which 59 returns are made: what lies before changes nothing, a 61st common day would."""
    one, other = walk(200, 9), walk(200, 10)
    found = correlation(days_of(one), days_of(other))
    assert found == correlation(days_of(one[-60:]), days_of(other[-60:]))
    assert found == correlation(days_of(one[-60:]), days_of(other))
    assert found != correlation(days_of(one[-59:]), days_of(other[-59:]))


def without(days: tuple[Bar, ...], *numbers: int) -> tuple[Bar, ...]:
    """Leave out days by their number."""
    return tuple(day for number, day in enumerate(days) if number not in numbers)


def test_a_gap_in_one_token_breaks_the_return_of_both() -> None:
    """A day that one of them lacks is no day of the pair: neither of the two returns around it is used."""
    one, other = walk(30, 11), walk(30, 12)
    gapped = without(days_of(one), 15)
    pairs = [pair for n, pair in enumerate(zip(returns_of(one), returns_of(other), strict=True)) if n not in {14, 15}]
    expected = plain_correlation(*(list(column) for column in zip(*pairs, strict=True)))
    assert float(correlation(gapped, days_of(other)) or 0) == pytest.approx(expected, rel=1e-9)


def test_correlation_needs_ten_returns_of_both() -> None:
    """Nine returns say nothing, nor do two tokens without a common day, nor one that did not move."""
    one, other = walk(11, 13), walk(11, 14)
    assert correlation(days_of(one), days_of(other)) is not None
    assert correlation(days_of(one[1:]), days_of(other)) is None
    assert correlation(without(days_of(one), 5), days_of(other)) is None
    assert correlation(days_of(one, SLOT - 20 * DAY), days_of(other)) is None
    assert correlation(days_of(one), days_of([100] * 11)) is None
    assert correlation(days_of([100] * 11), days_of(one)) is None
