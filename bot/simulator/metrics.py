"""Lifetime statistics of a token's daily returns, named and scaled as in Quantmetrics.

Each figure uses the closes from the token's first day to the day asked for, and no later one.
"""

from collections.abc import Mapping

import numpy as np

from bot.simulator.market import YEAR_DAYS, Market
from bot.simulator.signals import YOUNG_DAYS

FIELDS = (
    "VOLATILITY",
    "ALL_TIME_RETURN",
    "CAGR",
    "SHARPE",
    "SORTINO",
    "MAX_DRAWDOWN",
    "SKEW",
    "TAIL_RATIO",
    "RISK_REWARD_RATIO",
    "PROFIT_FACTOR",
    "KURTOSIS",
    "DAILY_VALUE_AT_RISK",
    "DAILY_RETURN_AVG",
    "DAILY_RETURN_STD",
)


def quantmetrics(market: Market, token_id: int, day: int) -> Mapping[str, float | None]:
    """Compute the statistics known after the close of a day, as the quantstats library does.

    They are fractions, annualised where customary; each is None while the token is young.
    """
    closes = market.daily(token_id).close[market.born_day(token_id) : day + 1]
    if len(closes) < YOUNG_DAYS:
        return dict.fromkeys(FIELDS)
    change = closes[1:] / closes[:-1] - 1
    mean, deviation = float(change.mean()), float(change.std(ddof=1))
    year = float(np.sqrt(YEAR_DAYS))
    total = float(closes[-1] / closes[0])
    gains, losses = change[change > 0], -change[change < 0]
    low, high = np.quantile(change, (0.05, 0.95)).tolist()
    standard = (change - mean) / float(change.std())
    figures = {
        "VOLATILITY": deviation * year,
        "ALL_TIME_RETURN": total - 1,
        "CAGR": total ** (YEAR_DAYS / len(change)) - 1,
        "SHARPE": mean / deviation * year,
        "SORTINO": mean / float(np.sqrt((np.minimum(change, 0) ** 2).mean())) * year,
        "MAX_DRAWDOWN": float((closes / np.maximum.accumulate(closes)).min()) - 1,
        "SKEW": float((standard**3).mean()),
        "TAIL_RATIO": abs(high / low),
        "RISK_REWARD_RATIO": float(gains.mean() / losses.mean()),
        "PROFIT_FACTOR": float(gains.sum() / losses.sum()),
        "KURTOSIS": float((standard**4).mean()) - 3,
        "DAILY_VALUE_AT_RISK": mean - 1.645 * deviation,
        "DAILY_RETURN_AVG": mean,
        "DAILY_RETURN_STD": deviation,
    }
    return {field: round(figure, 6) for field, figure in figures.items()}
