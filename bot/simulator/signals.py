"""Trend-following calls and grades on a token's closes, as the provider would make them.

A call depends on no close later than that of its own day or hour.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.simulator.market import DAY_HOURS, YEAR_DAYS, Floats, Market, smooth, stream

FAST_SHARE, SLOW_SHARE = 0.6, 0.3
TURN_SCORE = 0.03
FIRST_CALL_DAY = 4
MISSING_SHARE = 0.01
YOUNG_DAYS = 30
GRADED_DAYS = 14

Steps = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """One token's calls by day or hour, from the market's beginning.

    made: false in a row without a call. signal: the new stance at a turn, else zero.
    trend: the stance: 1 bullish, -1 bearish, 0 before the first.
    """

    made: NDArray[np.bool_]
    signal: Steps
    trend: Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeColumns:
    """One token's grades by day, 0 to 100; NaN while the token is too young for them."""

    trader: Floats
    investor: Floats
    quant: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """Cumulative returns since the first close, by day, as fractions.

    following: of following the calls. holding: of holding the token.
    """

    following: Floats
    holding: Floats


def _score(logs: Floats, fast: float, slow: float, sigma: float) -> Floats:
    """Compute the distance of a fast from a slow average of log prices, in sigmas."""
    return (smooth(logs, fast) - smooth(logs, slow)) / sigma


def _standing(turning: Steps) -> Steps:
    """Fill each row with the last value that was not zero; zero before the first."""
    rows = np.arange(len(turning))
    latest = np.maximum.accumulate(np.where(turning != 0, rows, 0))
    return turning[latest]


def _calls(score: Floats, made: NDArray[np.bool_], threshold: float) -> Calls:
    """Derive calls from a score: a stance lasts until the score crosses the opposite threshold."""
    turning = np.where((np.abs(score) > threshold) & made, np.sign(score), 0).astype(np.int64)
    trend = _standing(turning)
    before = np.concatenate(([0], trend[:-1]))
    return Calls(made=made & (trend != 0), signal=np.where(trend != before, trend, 0), trend=trend)


def daily_score(market: Market, token_id: int) -> Floats:
    """Compute the trend score of each day from its close; zero before the token's first day."""
    born, closes = market.born_day(token_id), market.daily(token_id).close
    sigma = market.tokens[token_id].volatility / float(np.sqrt(YEAR_DAYS))
    score = np.zeros(len(closes))
    score[born:] = _score(np.log(closes[born:]), FAST_SHARE, SLOW_SHARE, sigma)
    return score


def daily_calls(market: Market, token_id: int) -> Calls:
    """Compute the daily calls; a day whose run failed has none, and its turn waits a day."""
    drawn = stream(market.seed, token_id, 2).random_sample(market.days)
    days = np.arange(market.days)
    made = (drawn >= MISSING_SHARE) & (days >= market.born_day(token_id) + FIRST_CALL_DAY)
    return _calls(daily_score(market, token_id), made, TURN_SCORE)


def hourly_calls(market: Market, token_id: int) -> Calls:
    """Compute calls of the same kind from hourly closes."""
    first = market.born_day(token_id) * DAY_HOURS
    closes = market.hourly(token_id).close
    sigma = market.tokens[token_id].volatility / float(np.sqrt(YEAR_DAYS * DAY_HOURS))
    score = np.zeros(len(closes))
    score[first:] = _score(np.log(closes[first:]), 0.1, 0.02, sigma)
    return _calls(score, np.arange(len(closes)) >= first + DAY_HOURS, 1.5)


def returns(market: Market, token_id: int, calls: Calls) -> Returns:
    """Compute both cumulative returns; a day's stance earns the next day's change."""
    born, closes = market.born_day(token_id), market.daily(token_id).close
    change = np.zeros(len(closes))
    change[born + 1 :] = closes[born + 1 :] / closes[born:-1] - 1
    # A stance is 1, 0 or -1, so one product serves long, flat and short.
    held: Floats = np.concatenate(([0.0], calls.trend[:-1].astype(np.float64)))
    following: Floats = np.cumprod(1 + held * change, dtype=np.float64) - 1
    holding: Floats = np.cumprod(1 + change, dtype=np.float64) - 1
    return Returns(following=following, holding=holding)


def grades(market: Market, token_id: int, calls: Calls) -> GradeColumns:
    """Compute the grades: the trader's follows the trend, the others the month, all with noise."""
    born, closes = market.born_day(token_id), market.daily(token_id).close
    sigma = market.tokens[token_id].volatility / float(np.sqrt(YEAR_DAYS))
    noise = stream(market.seed, token_id, 3).standard_normal((market.days, 3))
    score = daily_score(market, token_id)
    month = np.zeros(len(closes))
    month[born:] = _score(np.log(closes[born:]), 0.2, 0.03, sigma)
    age = np.arange(market.days) - born
    trader = _limit_grades(
        50 + 15 * calls.trend + 20 * np.tanh(score) + 6 * noise[:, 0], age >= GRADED_DAYS
    )
    investor = _limit_grades(
        52 + 24 * np.tanh(month / 3) + 5 * smooth(noise[:, 1], 0.2), age >= YOUNG_DAYS
    )
    quant = _limit_grades(
        50 + 30 * np.tanh(month / 4) + 6 * smooth(noise[:, 2], 0.2), age >= YOUNG_DAYS
    )
    return GradeColumns(trader=trader, investor=investor, quant=quant)


def _limit_grades(raw: Floats, old_enough: NDArray[np.bool_]) -> Floats:
    """Limit grades to 0..100 and two decimals; NaN while the token is too young."""
    graded: Floats = np.where(old_enough, np.round(np.clip(raw, 0.0, 100.0), 2), np.nan)
    return graded
