"""A seeded synthetic market of hourly bars: regimes, jumps and a common factor.

The same seed and start always give the same prices: each token draws from its own streams, in order
of time, so neither another token, nor a longer market, nor the order of the calls changes a bar.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from itertools import accumulate
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bot.simulator.listing import TOKENS

SEED = 3
HISTORY_DAYS = 730
DAY_HOURS = 24
YEAR_DAYS = 365
YEAR_HOURS = YEAR_DAYS * DAY_HOURS
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

REGIME_DAYS = (2.0, 3.0)
REGIME_DRIFT = 0.8
SIDEWAYS_SHARE = 0.1
COMMON_DRIFT = 0.12
REVERSION_HOURS = 60 * DAY_HOURS
JUMP_SIGMAS = 3.2
GROWTH = 0.3
PEG_NOISE = 0.0004
TURNOVER = 0.015

Floats: TypeAlias = NDArray[np.float64]
Value = TypeVar("Value")


class Candle(NamedTuple, Generic[Value]):
    """One bar as served, of floats; or columns, of all the bars from the market's beginning."""

    open: Value
    high: Value
    low: Value
    close: Value
    volume: Value


def bar_at(bars: Candle[Floats], at: int) -> Candle[float]:
    """Build one whole bar from columns."""
    return Candle(*(float(column[at]) for column in bars))


def stream(*key: int) -> np.random.RandomState:
    """Create the random stream of a key; numpy promises that its draws never change."""
    return np.random.RandomState(np.random.PCG64(np.random.SeedSequence(key)))


def smooth(values: Floats, share: float) -> Floats:
    """Compute the exponential moving average in which each value has the weight `share`."""
    return _walk(values, lambda average, value: average + share * (value - average))


def _walk(values: Floats, step: Callable[[float, float], float]) -> Floats:
    """Compute a column in which each value is made from the one before and from its own input."""
    return np.array(list(accumulate(values.tolist(), step)))


def _regimes(draws: np.random.RandomState, hours: int, strength: float) -> Floats:
    """Draw the hourly drift of bull, bear and sideways spells; a long trend is likelier to turn."""
    drift = np.zeros(hours)
    at, gone = 0, 0.0
    shortest, spread = REGIME_DAYS
    while at < hours:
        length = int(DAY_HOURS * (shortest + spread * draws.random_sample()))
        bull = (1 - SIDEWAYS_SHARE) / 2 - 0.35 * float(np.tanh(gone / (DAY_HOURS * 5)))
        pick = draws.random_sample()
        # The sign of the drift (bull 1, bear -1, sideways 0): one product serves all three.
        slope = 1 if pick < bull else -1 if pick > bull + SIDEWAYS_SHARE else 0
        drift[at : at + length] = slope * strength / DAY_HOURS
        gone += slope * length
        at += length
    return drift


class Market:
    """The synthetic market from `HISTORY_DAYS` before its start to `days` after it.

    Its columns are drawn on first use and kept; two threads may draw two equal ones. hourly, daily:
    the bars of a token by its id; those before its first day must not be shown.
    """

    def __init__(self, seed: int, start: datetime, days: int = 400) -> None:
        """Set up a market around `start`, a UTC midnight."""
        self.seed = seed
        self.begin = start - HISTORY_DAYS * DAY
        self.days = HISTORY_DAYS + days
        self.hours = self.days * DAY_HOURS
        self.tokens = {token.token_id: token for token in TOKENS}
        self.hourly = cache(self._draw_bars)
        self.daily = cache(self._join_days)
        self._logs = cache(self._draw_logs)

    def hour_of(self, instant: datetime) -> int:
        """Compute the number of the hour that holds an instant, counted from the beginning."""
        return (instant - self.begin) // HOUR

    def day_of(self, instant: datetime) -> int:
        """Compute the number of the UTC day that holds an instant, counted from the beginning."""
        return (instant - self.begin) // DAY

    def born_day(self, token_id: int) -> int:
        """Compute the number of the first day on which a token trades."""
        age = self.tokens[token_id].age_days
        return 0 if age is None else HISTORY_DAYS - age

    def price_at(self, token_id: int, instant: datetime) -> float:
        """Compute the price at an instant; at the opening of an hour it is the bar's open."""
        return self.hour_so_far(token_id, instant).close

    def hour_so_far(self, token_id: int, instant: datetime) -> Candle[float]:
        """Build the unfinished bar of the hour that holds an instant.

        The price moves from the open over both extremes to the close, a third of the hour each.
        """
        bar = bar_at(self.hourly(token_id), self.hour_of(instant))
        # A rising bar visits its low first, a falling one its high.
        extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
        corners = (bar.open, *extremes, bar.close)
        over = (instant - self.begin) % HOUR / HOUR
        leg, within = divmod(over * 3, 1)
        begun, ahead = corners[int(leg) : int(leg) + 2]
        price = round(begun + (ahead - begun) * within, self.tokens[token_id].decimals)
        reached = (*corners[: int(leg) + 1], price)
        return Candle(bar.open, max(reached), min(reached), price, float(round(bar.volume * over)))

    def day_so_far(self, token_id: int, instant: datetime) -> Candle[float]:
        """Build the unfinished bar of the UTC day that holds an instant."""
        bars, last = self.hourly(token_id), self.hour_so_far(token_id, instant)
        first, hour = self.day_of(instant) * DAY_HOURS, self.hour_of(instant)
        return Candle(
            float(bars.open[first]),
            float(bars.high[first:hour].max(initial=last.high)),
            float(bars.low[first:hour].min(initial=last.low)),
            last.close,
            float(bars.volume[first:hour].sum()) + last.volume,
        )

    def _draw_logs(self, token_id: int) -> Floats:
        """Draw the logarithms of hourly closes, scaled to the listed price at the start."""
        token, draws = self.tokens[token_id], self._normals(token_id)
        if token.follows is not None:
            return self._logs(token.follows) - 0.002 + smooth(PEG_NOISE * draws[:, 0], 0.1)
        hourly, daily = token.sigma(YEAR_HOURS), token.sigma(YEAR_DAYS)
        own, leap = draws[:, 0], draws[:, 1]
        alone = float(np.sqrt(1 - token.common**2))
        shocks = hourly * (token.common * self._normals(0)[:, 0] + alone * own)
        leaps = np.where(np.abs(leap) > JUMP_SIGMAS, daily * leap * 0.5, 0.0)
        drift = _regimes(stream(self.seed, token_id, 1), self.hours, REGIME_DRIFT * daily)
        shared = _regimes(stream(self.seed, 0, 1), self.hours, COMMON_DRIFT * daily)
        growth = GROWTH * token.volatility / YEAR_HOURS
        # The shocks revert to their start (an AR(1) process), the drift does not.
        kept = float(np.exp(-1 / REVERSION_HOURS))
        walk = _walk(shocks + leaps, lambda level, shock: kept * level + shock)
        path = walk + np.cumsum(drift + shared + growth)
        return path - float(path[HISTORY_DAYS * DAY_HOURS]) + float(np.log(token.price))

    def _normals(self, token_id: int) -> Floats:
        """Draw a token's normal numbers, one row per hour, so that a longer market only adds rows.

        Token 0 is the common factor.
        """
        return stream(self.seed, token_id, 0).standard_normal((self.hours, 1 if token_id == 0 else 6))

    def _draw_bars(self, token_id: int) -> Candle[Floats]:
        """Draw the hourly bars around a token's closes."""
        token, draws = self.tokens[token_id], self._normals(token_id)
        wick = 0.55 * token.sigma(YEAR_HOURS)
        exact = np.exp(self._logs(token_id))
        before = np.concatenate((exact[:1], exact[:-1]))
        close = np.round(exact, token.decimals)
        opened = np.round(before * (1 + 0.00005 * draws[:, 2]), token.decimals)
        top = np.maximum(opened, close) * np.exp(wick * np.abs(draws[:, 3]))
        bottom = np.minimum(opened, close) * np.exp(-wick * np.abs(draws[:, 4]))
        stirred = np.exp(0.4 * draws[:, 5]) * (1 + np.abs(np.log(close / opened)) / wick)
        return Candle(
            open=opened,
            high=np.round(top, token.decimals),
            low=np.round(bottom, token.decimals),
            close=close,
            volume=np.round(close * token.supply * TURNOVER / DAY_HOURS * stirred),
        )

    def _join_days(self, token_id: int) -> Candle[Floats]:
        """Join a token's hourly bars to daily ones."""
        hours = Candle(*(column.reshape(-1, DAY_HOURS) for column in self.hourly(token_id)))
        return Candle(
            open=hours.open[:, 0],
            high=hours.high.max(axis=1),
            low=hours.low.min(axis=1),
            close=hours.close[:, -1],
            volume=hours.volume.sum(axis=1),
        )
