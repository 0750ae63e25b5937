"""Measures of a token's whole UTC days.

The days given ended by the slot, so no measure looks ahead.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, localcontext
from itertools import pairwise

from bot.domain.instants import DAY, DAYS_A_YEAR, DAYS_MAX
from bot.domain.market import Bar
from bot.domain.numbers import EXACT, ONE, ZERO, Price, from_float, to_float

ATR_DAYS = 14
SPAN = 35
RETURNS_MIN = 10
FLOOR_VALUES_MIN, FLOOR_VALUES_MAX = 100, 500
FLOOR_PERCENT = 5
CORRELATION_DAYS = 60
Closes = tuple[datetime, Price, Price]


def atr(days: Sequence[Bar]) -> Decimal | None:
    """Compute the mean true range of the last 14 days in quote currency; None with fewer days.

    True range: max(high, previous close) - min(low, previous close); high - low for the first day
    on record (Wilder 1978, with a plain mean).
    """
    if len(days) < ATR_DAYS:
        return None
    with localcontext(EXACT):
        total = ZERO
        for at in range(len(days) - ATR_DAYS, len(days)):
            day = days[at]
            # The first day has no previous close; its own low leaves its range at high - low.
            before = days[at - 1].close if at else day.low
            total += max(day.high, before) - min(day.low, before)
        return total / ATR_DAYS


def daily_sigmas(days: Sequence[Bar]) -> list[float]:
    """Compute the exponentially weighted standard deviation of simple daily returns.

    One value after each return from the tenth on. Span 35: weights (1 - 2/36)^age, mean-centred and
    bias-corrected, as in pandas ewm(span=35).std(), which uses the same recursion of mean and
    variance by West (1979).
    """
    closes = [to_float(day.close) for day in days[-DAYS_MAX:]]
    decay = 1 - 2 / (SPAN + 1)
    # Sums of the weights and of their squares; weighted mean and variance.
    weight = squares = mean = spread = 0.0
    found = []
    for count, (before, after) in enumerate(pairwise(closes), 1):
        older = weight * decay
        weight, squares = older + 1, squares * decay * decay + 1
        gap = after / before - 1 - mean
        mean += gap / weight
        spread = older / weight * (spread + gap * gap / weight)
        if count >= RETURNS_MIN:
            found.append(math.sqrt(spread * weight * weight / (weight * weight - squares)))
    return found


def sigma(days: Sequence[Bar]) -> Decimal | None:
    """Compute the current daily sigma; None below 10 returns."""
    found = daily_sigmas(days)
    return from_float(found[-1]) if found else None


def annual_sigma(days: Sequence[Bar]) -> Decimal | None:
    """Compute the annual sigma that sizes entries; None below 10 returns.

    It is the daily sigma times sqrt(365), because crypto trades every day. With 100 values or more,
    the daily sigma is at least the 5 % quantile of its last 500 values (the volatility floor of
    pysystemtrade, Carver: Systematic Trading).
    """
    found = daily_sigmas(days)
    if not found:
        return None
    history = found[-FLOOR_VALUES_MAX:]
    floor = _quantile(history, FLOOR_PERCENT) if len(history) >= FLOOR_VALUES_MIN else 0.0
    return from_float(max(found[-1], floor) * math.sqrt(DAYS_A_YEAR))


def _quantile(values: Sequence[float], percent: int) -> float:
    """Compute a quantile with linear interpolation between neighbours, as numpy does by default."""
    ordered = sorted(values)
    place, rest = divmod((len(ordered) - 1) * percent, 100)
    low, high = ordered[place : place + 2]
    return low + (high - low) * (rest / 100)


def correlation(days: Sequence[Bar], others: Sequence[Bar]) -> Decimal | None:
    """Compute Pearson's correlation of two tokens' simple daily returns over 60 common days.

    The last 60 are used. A return needs two common days that follow each other on the calendar, so
    there are at most 59. None below 10 returns, or when one token did not move.
    """
    pairs = [
        (to_float(after[1]) / to_float(before[1]) - 1, to_float(after[2]) / to_float(before[2]) - 1)
        for before, after in pairwise(_common_closes(days, others)[-CORRELATION_DAYS:])
        if after[0] - before[0] == DAY
    ]
    if len(pairs) < RETURNS_MIN:
        return None
    mean, other_mean = (math.fsum(column) / len(pairs) for column in zip(*pairs, strict=True))
    spread = math.fsum((one - mean) ** 2 for one, _ in pairs)
    other_spread = math.fsum((other - other_mean) ** 2 for _, other in pairs)
    if spread <= 0 or other_spread <= 0:
        return None
    shared = math.fsum((one - mean) * (other - other_mean) for one, other in pairs)
    found = from_float(shared / (math.sqrt(spread) * math.sqrt(other_spread)))
    return max(-ONE, min(ONE, found))


def _common_closes(days: Sequence[Bar], others: Sequence[Bar]) -> list[Closes]:
    closes = {day.opened_at: day.close for day in others}
    common = (day for day in days if day.opened_at in closes)
    return [(day.opened_at, day.close, closes[day.opened_at]) for day in common]
