"""A seeded synthetic market of hourly bars: regimes, jumps and a common factor.

The same seed and start always give the same prices: each token draws from its own streams, in order
of time, so neither another token, nor a longer market, nor the order of the calls changes a bar.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bot.simulator.listing import TOKENS, Token

SEED = 3
HISTORY_DAYS = 730
DAY_HOURS = 24
YEAR_DAYS = 365

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


class Candle(NamedTuple):
    """One bar as served; an unfinished one holds what has happened by an instant."""

    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleColumns:
    """Columns of bars without gaps, from the market's beginning."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def bar(self, at: int) -> Candle:
        """Build one whole bar."""
        return Candle(
            float(self.open[at]),
            float(self.high[at]),
            float(self.low[at]),
            float(self.close[at]),
            float(self.volume[at]),
        )


def stream(*key: int) -> np.random.RandomState:
    """Create the random stream of a key; numpy promises that its draws never change."""
    return np.random.RandomState(np.random.PCG64(np.random.SeedSequence(key)))


def smooth(values: Floats, share: float) -> Floats:
    """Compute the exponential moving average in which each value has the weight `share`."""

    def step(average: float, value: float) -> float:
        return average + share * (value - average)

    return np.array(list(accumulate(values.tolist(), step)))


def remember(store: dict[int, Value], key: int, make: Callable[[int], Value]) -> Value:
    """Get the value of a key, made on first use; two threads may make two equal ones."""
    if key not in store:
        store[key] = make(key)
    return store[key]


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


def _reverting(shocks: Floats) -> Floats:
    """Compute the walk of the shocks, which reverts to its start (an AR(1) process)."""
    kept = float(np.exp(-1 / REVERSION_HOURS))

    def step(level: float, shock: float) -> float:
        return kept * level + shock

    return np.array(list(accumulate(shocks.tolist(), step)))


def daily_from(hourly: CandleColumns) -> CandleColumns:
    """Aggregate hourly bars to daily ones."""
    days = (-1, DAY_HOURS)
    return CandleColumns(
        open=hourly.open[::DAY_HOURS],
        high=hourly.high.reshape(days).max(axis=1),
        low=hourly.low.reshape(days).min(axis=1),
        close=hourly.close[DAY_HOURS - 1 :: DAY_HOURS],
        volume=hourly.volume.reshape(days).sum(axis=1),
    )


class Market:
    """The synthetic market from `HISTORY_DAYS` before its start to `days` after it.

    After its end the last prices persist.
    """

    def __init__(self, seed: int, start: datetime, days: int = 400) -> None:
        """Set up a market around the UTC day of `start`; prices are drawn on first use."""
        if start.tzinfo is None:
            raise ValueError("start must carry a zone")
        self.seed = seed
        self.start = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self.begin = self.start - timedelta(days=HISTORY_DAYS)
        self.days = HISTORY_DAYS + days
        self.hours = self.days * DAY_HOURS
        self.tokens: Mapping[int, Token] = MappingProxyType(
            {token.token_id: token for token in TOKENS}
        )
        self._logs: dict[int, Floats] = {}
        self._hourly: dict[int, CandleColumns] = {}
        self._daily: dict[int, CandleColumns] = {}

    def hour_of(self, instant: datetime) -> int:
        """Compute the number of the hour that holds an instant, counted from the beginning."""
        return (instant - self.begin) // timedelta(hours=1)

    def day_of(self, instant: datetime) -> int:
        """Compute the number of the UTC day that holds an instant, counted from the beginning."""
        return (instant - self.begin) // timedelta(days=1)

    def hour_opening(self, hour: int) -> datetime:
        """Compute the opening of an hour."""
        return self.begin + timedelta(hours=hour)

    def born_day(self, token_id: int) -> int:
        """Compute the number of the first day on which a token trades."""
        age = self.tokens[token_id].age_days
        return 0 if age is None else HISTORY_DAYS - age

    def hourly(self, token_id: int) -> CandleColumns:
        """Get the hourly bars of a token; those before its first day must not be shown."""
        return remember(self._hourly, token_id, self._draw_bars)

    def daily(self, token_id: int) -> CandleColumns:
        """Get the daily bars of a token."""
        return remember(self._daily, token_id, lambda key: daily_from(self.hourly(key)))

    def price_at(self, token_id: int, instant: datetime) -> float:
        """Compute the price at an instant; at the opening of an hour it is exactly the bar's open.

        Raises LookupError before the token's first day.
        """
        return self._walk(token_id, instant)[-1]

    def hour_so_far(self, token_id: int, instant: datetime) -> Candle:
        """Build the unfinished bar of the hour that holds an instant."""
        walked = self._walk(token_id, instant)
        hour = self.hour_of(instant)
        volume = 0.0
        if hour < self.hours:
            volume = float(self.hourly(token_id).volume[hour]) * self._hour_fraction(instant)
        return Candle(walked[0], max(walked), min(walked), walked[-1], float(round(volume)))

    def day_so_far(self, token_id: int, instant: datetime) -> Candle:
        """Build the unfinished bar of the UTC day that holds an instant."""
        last = self.hour_so_far(token_id, instant)
        hour = self.hour_of(instant)
        first = hour - hour % DAY_HOURS
        if first == hour or hour >= self.hours:
            return last
        bars, whole = self.hourly(token_id), slice(first, hour)
        return Candle(
            float(bars.open[first]),
            max(float(bars.high[whole].max()), last.high),
            min(float(bars.low[whole].min()), last.low),
            last.close,
            float(bars.volume[whole].sum()) + last.volume,
        )

    def _hour_fraction(self, instant: datetime) -> float:
        """Compute which fraction of the current hour is over."""
        return ((instant - self.begin) % timedelta(hours=1)) / timedelta(hours=1)

    def _walk(self, token_id: int, instant: datetime) -> list[float]:
        """List the turning points of the price in the hour so far, then the price at the instant.

        The price moves from the open over both extremes to the close, a third of the hour each.
        """
        hour = self.hour_of(instant)
        if hour < self.born_day(token_id) * DAY_HOURS:
            raise LookupError(f"token {token_id} does not trade at {instant.isoformat()}")
        bars = self.hourly(token_id)
        if hour >= self.hours:
            return [float(bars.close[-1])]
        bar = bars.bar(hour)
        # A rising bar visits its low first, a falling one its high.
        extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
        legs = tuple(pairwise((bar.open, *extremes, bar.close)))
        passed, within = divmod(self._hour_fraction(instant) * len(legs), 1)
        begun, ahead = legs[int(passed)]
        price = round(begun + (ahead - begun) * within, self.tokens[token_id].decimals)
        return [*(corner for corner, _ in legs[: int(passed) + 1]), price]

    def _log_closes(self, token_id: int) -> Floats:
        """Compute the logarithms of hourly closes, scaled to the listed price at the start."""
        token = self.tokens[token_id]
        if token.follows is not None:
            noise = PEG_NOISE * self._normals(token_id)[:, 0]
            return (
                remember(self._logs, token.follows, self._log_closes) - 0.002 + smooth(noise, 0.1)
            )
        hourly = token.volatility / float(np.sqrt(YEAR_DAYS * DAY_HOURS))
        daily = token.volatility / float(np.sqrt(YEAR_DAYS))
        draws = self._normals(token_id)
        own, leap = draws[:, 0], draws[:, 1]
        alone = float(np.sqrt(1 - token.common**2))
        shocks = hourly * (token.common * self._normals(0)[:, 0] + alone * own)
        leaps = np.where(np.abs(leap) > JUMP_SIGMAS, daily * leap * 0.5, 0.0)
        drift = _regimes(stream(self.seed, token_id, 1), self.hours, REGIME_DRIFT * daily)
        shared = _regimes(stream(self.seed, 0, 1), self.hours, COMMON_DRIFT * daily)
        growth = GROWTH * token.volatility / (YEAR_DAYS * DAY_HOURS)
        path = _reverting(shocks + leaps) + np.cumsum(drift + shared + growth)
        opening = HISTORY_DAYS * DAY_HOURS
        shifted: Floats = path - path[opening] + float(np.log(token.price))
        return shifted

    def _normals(self, token_id: int) -> Floats:
        """Draw a token's normal numbers, one row per hour, so that a longer market only adds rows.

        Token 0 is the common factor.
        """
        return stream(self.seed, token_id, 0).standard_normal(
            (self.hours, 1 if token_id == 0 else 6)
        )

    def _draw_bars(self, token_id: int) -> CandleColumns:
        """Draw the hourly bars around a token's closes."""
        token = self.tokens[token_id]
        draws = self._normals(token_id)
        wick = 0.55 * token.volatility / float(np.sqrt(YEAR_DAYS * DAY_HOURS))
        exact: Floats = np.exp(remember(self._logs, token_id, self._log_closes))
        close: Floats = np.round(exact, token.decimals)
        before = np.concatenate((exact[:1], exact[:-1]))
        opened = np.round(before * (1 + 0.00005 * draws[:, 2]), token.decimals)
        high = np.round(
            np.maximum(opened, close) * np.exp(wick * np.abs(draws[:, 3])), token.decimals
        )
        low = np.round(
            np.minimum(opened, close) * np.exp(-wick * np.abs(draws[:, 4])), token.decimals
        )
        stirred = np.exp(0.4 * draws[:, 5]) * (1 + np.abs(np.log(close / opened)) / wick)
        turnover = np.round(close * token.supply * TURNOVER / DAY_HOURS * stirred)
        return CandleColumns(open=opened, high=high, low=low, close=close, volume=turnover)
