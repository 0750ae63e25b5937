"""How much of a Sharpe ratio may be luck: its interval by resampling, and its deflated probability.

The results are deterministic: numpy promises to keep the bits of PCG64 for a given seed (NEP 19).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist, median

import numpy as np
import numpy.typing as npt

from bot.domain.instants import DAYS_A_YEAR
from bot.figures.performance import DAYS_MIN, Figure, deviation, sharpe

RESAMPLES = 1000
COVERED_PERCENT = 95
EULER_MASCHERONI = 0.5772156649015329
HALF_BITS = 32
HALF = 1 << HALF_BITS
NORMAL = NormalDist()
# The squared error of a ratio is near 1; below this limit it is zero apart from float rounding.
ERROR_MIN = 1e-12
RANDOM_TAIL_PERCENT = 5
RANDOM_NAMES = ("runs", "return_median", "return_low", "return_high", "sharpe_median", "beaten")
# What one run with random entries came to, figures by name.
Drawn = Mapping[str, Figure]


def sharpe_interval(
    returns: Sequence[float],
    seed: int,
    *,
    resolution: float,
    resamples: int = RESAMPLES,
    year: int = DAYS_A_YEAR,
    least: int = DAYS_MIN,
) -> tuple[Figure, Figure]:
    """Compute the 95 % interval of the annual Sharpe ratio by resampling the daily returns.

    The interval is the percentiles 2.5 and 97.5 of the ratios of the resampled returns. The method
    is the stationary bootstrap of Politis and Romano 1994, Journal of the American Statistical
    Association 89(428): blocks start at uniform places on a circle of days, and their lengths are
    geometric with a mean of n^(1/3) days, the best order for a mean. A resample whose deviation is
    below the resolution has a ratio of zero. The interval is undefined when the ratio is.
    """
    found = sharpe(returns, resolution=resolution, year=year, least=least)
    if found.value is None:
        return found, found
    count = len(returns)
    # Subtract the mean before squaring, so that two large sums do not cancel.
    centre = math.fsum(returns) / count
    days = np.array(returns) - centre
    total, squares = np.zeros(resamples), np.zeros(resamples)
    for place in _places(count, resamples, seed):
        drawn = days[place]
        total += drawn
        squares += drawn * drawn
    mean = total / count
    spread = np.sqrt(np.maximum(squares - total * mean, 0) / (count - 1))
    moves = spread >= resolution
    ratios = np.where(moves, (mean + centre) / np.where(moves, spread, 1), 0) * math.sqrt(year)
    tail = (100 - COVERED_PERCENT) / 2
    low, high = np.percentile(ratios, [tail, 100 - tail])
    return Figure(float(low)), Figure(float(high))


def _places(count: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.uint64]]:
    """Yield, for each day to draw, the place that each resample takes it from.

    It is the next place, or that of a new block. The upper half of 64 bits decides whether a block
    begins, and the lower half decides where.
    """
    bits = np.random.PCG64(seed)
    fresh_below = int(HALF * count ** (-1 / 3))
    place = np.zeros(resamples, dtype=np.uint64)
    for number in range(count):
        drawn = bits.random_raw(resamples)
        start = (drawn & (HALF - 1)) * count >> HALF_BITS
        place = (place + 1) % count
        # The first day always begins a block; HALF is above every upper half.
        np.copyto(place, start, where=drawn >> HALF_BITS < (fresh_below if number else HALF))
        yield place


def deflated_sharpe(
    returns: Sequence[float],
    *,
    resolution: float,
    trials: int = 1,
    variance: float = 0.0,
    least: int = DAYS_MIN,
) -> Figure:
    """Compute the probability that the true Sharpe ratio beats the best of n worthless trials.

    variance: of the trials' daily Sharpe ratios (annual variance / 365). With one trial it is the
    probabilistic Sharpe ratio: the probability that the true ratio is above zero. Bailey and Lopez
    de Prado 2014, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5). Undefined when
    the Sharpe ratio is.
    """
    found = sharpe(returns, resolution=resolution, year=1, least=least)
    if found.value is None:
        return found
    return probability_above(expected_best(trials, variance), found.value, len(returns), *shape(returns))


def shape(returns: Sequence[float]) -> tuple[float, float]:
    """Compute the skewness and the kurtosis (3 if normal) of returns that vary.

    They are the mean third and fourth powers of the standard scores: moments of the sample itself
    (n, not n - 1), the default of scipy.stats. Use them only when the Sharpe ratio is defined:
    below the resolution they would measure rounding.
    """
    mean = math.fsum(returns) / len(returns)
    gaps = [one - mean for one in returns]
    spread = deviation(returns) * math.sqrt((len(returns) - 1) / len(returns))
    skewness = math.fsum((gap / spread) ** 3 for gap in gaps) / len(gaps)
    return skewness, math.fsum((gap / spread) ** 4 for gap in gaps) / len(gaps)


def expected_best(trials: int, variance: float) -> float:
    """Compute the expected best Sharpe ratio of n worthless trials; zero for one trial.

    sqrt(variance) x ((1 - g) x Z^-1(1 - 1/n) + g x Z^-1(1 - 1/(n e))), n = trials, g =
    Euler-Mascheroni (Bailey and Lopez de Prado 2014, as above).
    """
    if trials <= 1:
        return 0.0
    first, second = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def probability_above(threshold: float, ratio: float, days: int, skewness: float, kurtosis: float) -> Figure:
    """Compute the probability that the true daily Sharpe ratio is above a daily threshold.

    Z((ratio - threshold) sqrt(days - 1) / sqrt(1 - skewness ratio + (kurtosis - 1) / 4 ratio^2)),
    with kurtosis 3 if normal: the probabilistic Sharpe ratio of Bailey and Lopez de Prado 2012, The
    Sharpe Ratio Efficient Frontier, Journal of Risk 15(2).
    """
    error = 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2
    if error < ERROR_MIN:
        return Figure(reason="the ratio's own error is zero: its returns take two values only")
    return Figure(NORMAL.cdf((ratio - threshold) * math.sqrt(days - 1) / math.sqrt(error)))


def figures_of_random_runs(drawn: Sequence[Drawn], own: Figure) -> dict[str, Figure]:
    """Compute the figures of random runs, and the share of them that a run's own return beats.

    own: the total return of the run itself.
    """
    returns, ratios = (
        [value for one in drawn if (value := one[name].value) is not None]
        for name in ("total_return", "sharpe")
    )
    low, high = np.percentile(returns, [RANDOM_TAIL_PERCENT, 100 - RANDOM_TAIL_PERCENT]).tolist()
    beaten = None if own.value is None else sum(one < own.value for one in returns) / len(returns)
    found = (
        Figure(len(returns)),
        Figure(median(returns)),
        Figure(low),
        Figure(high),
        Figure(median(ratios)) if ratios else Figure(reason="none of the random runs has a Sharpe ratio"),
        Figure(beaten, own.reason),
    )
    return {f"random_{name}": figure for name, figure in zip(RANDOM_NAMES, found, strict=True)}
