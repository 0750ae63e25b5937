"""Measures of a token's whole UTC days. Only days that ended by the slot are given, so nothing here looks ahead."""

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import pairwise

from bot.domain.market import Bar
from bot.domain.numbers import EXACT, ZERO, from_float, to_float

ATR_DAYS = 14
SPAN = 35
RETURNS_MIN = 10
DAYS_A_YEAR = 365


def atr(days: Sequence[Bar]) -> Decimal | None:
    """Return the mean true range of the last 14 days in quote currency; None with fewer days.

    True range: max(high, previous close) - min(low, previous close); of the first day on record high - low
    (Wilder 1978, with a plain mean).
    """
    if len(days) < ATR_DAYS:
        return None
    with localcontext(EXACT):
        total = ZERO
        for at in range(len(days) - ATR_DAYS, len(days)):
            day = days[at]
            before = days[at - 1].close if at else day.low  # a low of its own leaves the first day's range as it is
            total += max(day.high, before) - min(day.low, before)
        return total / ATR_DAYS


def daily_sigma(days: Sequence[Bar]) -> float | None:
    """Return the exponentially weighted standard deviation of simple daily returns, span 35; None below 10 returns.

    Weights (1 - 2/36)^age, mean-centred and bias-corrected, as pandas ewm(span=35).std().
    """
    closes = [to_float(day.close) for day in days]
    returns = [later / earlier - 1 for earlier, later in pairwise(closes)]
    if len(returns) < RETURNS_MIN:
        return None
    decay = 1 - 2 / (SPAN + 1)
    weights = [decay**age for age in range(len(returns) - 1, -1, -1)]
    total = math.fsum(weights)
    squares = math.fsum(weight * weight for weight in weights)
    mean = math.fsum(weight * value for weight, value in zip(weights, returns, strict=True)) / total
    spread = math.fsum(weight * (value - mean) ** 2 for weight, value in zip(weights, returns, strict=True)) / total
    return math.sqrt(spread * total * total / (total * total - squares))


def sigma(days: Sequence[Bar]) -> Decimal | None:
    """Return the daily sigma as an exact number."""
    value = daily_sigma(days)
    return None if value is None else from_float(value)


def annual_sigma(days: Sequence[Bar]) -> Decimal | None:
    """Return sigma annualised by sqrt(365): crypto trades every day."""
    value = daily_sigma(days)
    return None if value is None else from_float(value * math.sqrt(DAYS_A_YEAR))
