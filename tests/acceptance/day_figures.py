"""Figures of whole UTC days for the oracle: the true range and the volatility of returns.

Only days that ended by the slot may be handed in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

RETURNS_LEAST = 10
DAYS_OF_ATR = 14
SPAN = 35


@dataclass
class Day:
    """The whole of one UTC day of one token, as its bars add up."""

    high: Decimal
    low: Decimal
    close: Decimal


def add(terms: Iterable[Decimal]) -> Decimal:
    """Return the sum of exact terms."""
    return sum(terms, Decimal(0))


def annual_sigma(days: Sequence[Day]) -> Decimal | None:
    """Return the annualised deviation of daily returns, weighted with a span of 35 days."""
    closes = [day.close for day in days]
    returns = [after / before - 1 for before, after in pairwise(closes)]
    if len(returns) < RETURNS_LEAST:
        return None
    keep = 1 - Decimal(2) / (SPAN + 1)
    weights = [keep**age for age in reversed(range(len(returns)))]
    total, squares = add(weights), add(weight * weight for weight in weights)
    mean = add(w * r for w, r in zip(weights, returns, strict=True)) / total
    biased = add(w * (r - mean) ** 2 for w, r in zip(weights, returns, strict=True)) / total
    return (biased * total * total / (total * total - squares)).sqrt() * Decimal(365).sqrt()


def mean_true_range(days: Sequence[Day]) -> Decimal | None:
    """Return the mean true range of the last 14 days; the first day on record has its high less its low."""
    if len(days) < DAYS_OF_ATR:
        return None
    ranges = [days[0].high - days[0].low]
    for before, day in pairwise(days):
        ranges.append(max(day.high, before.close) - min(day.low, before.close))
    return add(ranges[-DAYS_OF_ATR:]) / DAYS_OF_ATR
