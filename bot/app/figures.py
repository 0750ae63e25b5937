"""The figures of an account from its marks and its trades, wherever they were kept: in a ledger or in memory.

What a formula cannot give is None with a reason; a sweep and a replay get theirs from here, and so agree.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bot.engine.performance import (
    EquityPoint,
    Figure,
    TradeResult,
    cagr,
    calmar,
    day_ends,
    drawdown,
    expectancy,
    expectancy_r,
    exposure_time,
    profit_factor,
    returns_of,
    sharpe,
    sortino,
    sqn,
    total_return,
    turnover,
    win_rate,
)

RUINED = Figure(reason="equity fell to zero or below")


class Counts(NamedTuple):
    """How much there is to judge an account by; days: daily returns; wins and losses: of closed trades."""

    days: int
    closed_trades: int
    wins: int
    losses: int


def counts_of(points: Sequence[EquityPoint], trades: Sequence[TradeResult]) -> Counts:
    """Count days and trades, of marks in order of time."""
    closed = [trade for trade in trades if trade.closed_at is not None]
    return Counts(
        days=max(len(day_ends(points)) - 1, 0),
        closed_trades=len(closed),
        wins=sum(trade.profit > 0 for trade in closed),
        losses=sum(trade.profit < 0 for trade in closed),
    )


def figures_of(points: Sequence[EquityPoint], trades: Sequence[TradeResult]) -> dict[str, Figure]:
    """Return figures by name, of marks in order of time and trades in order of opening, open ones too."""
    closed = [trade for trade in trades if trade.closed_at is not None]
    days, fall = day_ends(points), drawdown(points)
    depth = fall.fraction if fall else 0.0
    return {
        "total_return": total_return(days),
        **_of_returns(days, depth),
        "max_drawdown": Figure(depth),
        "max_drawdown_amount": Figure(fall.amount if fall else 0.0),
        "win_rate": win_rate(closed),
        "profit_factor": profit_factor(closed),
        "expectancy": expectancy(closed),
        "expectancy_r": expectancy_r(closed),
        "sqn": sqn(closed),
        "exposure_time": exposure_time(points, trades),
        "turnover": turnover(days, trades),
    }


def is_ruined(days: Sequence[EquityPoint]) -> bool:
    """Tell whether equity was ever at zero or below: then there are no returns."""
    return any(day.equity <= 0 for day in days)


def _of_returns(days: Sequence[EquityPoint], depth: float) -> dict[str, Figure]:
    if is_ruined(days):
        return dict.fromkeys(("cagr", "sharpe", "sortino", "calmar"), RUINED)
    returns = returns_of(days)
    return {
        "cagr": cagr(returns),
        "sharpe": sharpe(returns),
        "sortino": sortino(returns),
        "calmar": calmar(returns, depth),
    }
