"""Figures of whole UTC days for the oracle: the true range and the volatility of returns.

Only days that ended by the slot may be handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

RETURNS_LEAST = 10
DAYS_OF_ATR = 14
SPAN = 35
DAYS_KEPT = 600
PAST_LEAST, PAST_MOST = 100, 500
LOW_END = Decimal("0.05")


@dataclass
class Day:
    """The whole of one UTC day of one token, as its bars add up."""

    high: Decimal
    low: Decimal
    close: Decimal


def annual_sigma(days: Sequence[Day]) -> Decimal | None:
    """Return the annualised deviation of daily returns, and from 100 of them on at least the low end of its past."""
    sigmas = daily_sigmas([day.close for day in days[-DAYS_KEPT:]])
    if not sigmas:
        return None
    past = sorted(sigmas[-PAST_MOST:])
    found = sigmas[-1]
    if len(past) >= PAST_LEAST:
        place = LOW_END * (len(past) - 1)
        below = int(place)
        found = max(found, past[below] + (past[below + 1] - past[below]) * (place - below))
    return found * Decimal(365).sqrt()


def daily_sigmas(closes: Sequence[Decimal]) -> list[Decimal]:
    """Return the deviation after each return from the tenth on, weighted with a span of 35 days.

    Kept are the weighted sums of ones, returns and squared returns; the correction for bias needs that of the weights.
    """
    keep = 1 - Decimal(2) / (SPAN + 1)
    ones = firsts = seconds = weights = Decimal(0)
    found = []
    for number, (before, after) in enumerate(pairwise(closes), 1):
        change = after / before - 1
        ones, firsts, seconds = ones * keep + 1, firsts * keep + change, seconds * keep + change * change
        weights = weights * keep * keep + 1
        if number >= RETURNS_LEAST:
            biased = seconds / ones - (firsts / ones) ** 2
            found.append((max(biased, Decimal(0)) * ones * ones / (ones * ones - weights)).sqrt())
    return found


def mean_true_range(days: Sequence[Day]) -> Decimal | None:
    """Return the mean true range of the last 14 days; the first day on record has its high less its low."""
    if len(days) < DAYS_OF_ATR:
        return None
    ranges = [days[0].high - days[0].low]
    for before, day in pairwise(days):
        ranges.append(max(day.high, before.close) - min(day.low, before.close))
    return sum(ranges[-DAYS_OF_ATR:], Decimal(0)) / DAYS_OF_ATR
