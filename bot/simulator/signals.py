"""Trend-following calls and grades on a token's closes, as the provider would make them.

A call depends on no close later than that of its own day or hour.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.simulator.market import DAY_HOURS, YEAR_DAYS, YEAR_HOURS, Floats, Market, smooth, stream

TURN_SCORE = 0.03
FIRST_CALL_DAY = 4
MISSING_SHARE = 0.01
YOUNG_DAYS = 30
GRADED_DAYS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """One token's calls by day or hour, from the market's beginning.

    made: false in a row without a call. signal: the new stance at a turn, else zero.
    trend: the stance: 1 bullish, -1 bearish, 0 before the first.
    """

    made: NDArray[np.bool_]
    signal: NDArray[np.int64]
    trend: NDArray[np.int64]


def _score(closes: Floats, born: int, sigma: float, fast: float, slow: float) -> Floats:
    """Compute the distance of a fast from a slow average of log closes, in sigmas.

    It is zero before the token is born.
    """
    logs = np.log(closes[born:])
    return np.concatenate((np.zeros(born), (smooth(logs, fast) - smooth(logs, slow)) / sigma))


def _daily_score(market: Market, token_id: int, fast: float, slow: float) -> Floats:
    """Compute the trend score of each day from its close."""
    closes, sigma = market.daily(token_id).close, market.tokens[token_id].sigma(YEAR_DAYS)
    return _score(closes, market.born_day(token_id), sigma, fast, slow)


def _make_calls(score: Floats, made: NDArray[np.bool_], threshold: float) -> Calls:
    """Derive calls from a score: a stance lasts until the score crosses the opposite threshold."""
    turning = np.where((np.abs(score) > threshold) & made, np.sign(score), 0).astype(np.int64)
    # Each row has the last stance that was not zero.
    latest = np.maximum.accumulate(np.where(turning != 0, np.arange(len(turning)), 0))
    trend = turning[latest]
    signal = np.where(np.diff(trend, prepend=0) != 0, trend, 0)
    return Calls(made=made & (trend != 0), signal=signal, trend=trend)


def daily_calls(market: Market, token_id: int) -> Calls:
    """Compute the daily calls; a day whose run failed has none, and its turn waits a day."""
    drawn = stream(market.seed, token_id, 2).random_sample(market.days)
    first = market.born_day(token_id) + FIRST_CALL_DAY
    made = (drawn >= MISSING_SHARE) & (np.arange(market.days) >= first)
    return _make_calls(_daily_score(market, token_id, 0.6, 0.3), made, TURN_SCORE)


def hourly_calls(market: Market, token_id: int) -> Calls:
    """Compute calls of the same kind from hourly closes."""
    born, sigma = market.born_day(token_id) * DAY_HOURS, market.tokens[token_id].sigma(YEAR_HOURS)
    made = np.arange(market.hours) >= born + DAY_HOURS
    return _make_calls(_score(market.hourly(token_id).close, born, sigma, 0.1, 0.02), made, 1.5)


def returns(market: Market, token_id: int, trend: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Compute the cumulative returns of following a token's calls and of holding it.

    They are fractions by day, since the first close; a day's stance earns the next day's change.
    """
    born, closes = market.born_day(token_id), market.daily(token_id).close
    change = np.concatenate((np.zeros(born + 1), closes[born + 1 :] / closes[born:-1] - 1))
    # A stance is 1, 0 or -1, so one product serves long, flat and short.
    held = np.concatenate(([0], trend[:-1]))
    growth = (1 + held * change, 1 + change)
    following, holding = (np.cumprod(each, dtype=np.float64) - 1 for each in growth)
    return following, holding


def grades(market: Market, token_id: int, trend: NDArray[np.int64]) -> tuple[Floats, ...]:
    """Compute the trader, the investor and the quant grades: the trend or the month, with noise.

    They go by day from 0 to 100; NaN while the token is too young for them.
    """
    noise = stream(market.seed, token_id, 3).standard_normal((market.days, 3))
    score = _daily_score(market, token_id, 0.6, 0.3)
    month = _daily_score(market, token_id, 0.2, 0.03)
    raw = (
        (GRADED_DAYS, 50 + 15 * trend + 20 * np.tanh(score) + 6 * noise[:, 0]),
        (YOUNG_DAYS, 52 + 24 * np.tanh(month / 3) + 5 * smooth(noise[:, 1], 0.2)),
        (YOUNG_DAYS, 50 + 30 * np.tanh(month / 4) + 6 * smooth(noise[:, 2], 0.2)),
    )
    age = np.arange(market.days) - market.born_day(token_id)
    return tuple(
        np.where(age >= least, np.round(np.clip(grade, 0.0, 100.0), 2), np.nan) for least, grade in raw
    )
