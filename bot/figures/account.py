"""The figures of an account, computed from its marks and trades in a ledger or in memory.

An undefined figure is None with a reason. Sweep and replay both compute their figures here, so
that they agree.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bot.figures.performance import (
    RUINED,
    Drawdown,
    EquityPoint,
    Figure,
    TradeResult,
    cagr,
    calmar,
    day_marks,
    expectancy,
    expectancy_r,
    exposure_time,
    profit_factor,
    resolution_of,
    returns_of,
    sharpe,
    sortino,
    sqn,
    total_return,
    turnover,
    win_rate,
)

MICRO_DIGITS = 6
# The fields of a mark that describe the deepest drawdown so far; facts and v_equity share them.
FALL = tuple(f"drawdown_{name}" for name in ("deepest", "high", "started_at", "trough_at", "recovered_at"))


class Counts(NamedTuple):
    """How many observations an account is judged by.

    days: daily returns. wins, losses: closed trades with a profit above and below zero.
    """

    days: int
    closed_trades: int
    wins: int
    losses: int


def counts_of(points: Sequence[EquityPoint], trades: Sequence[TradeResult]) -> Counts:
    """Count the daily returns and the trades; points: marks in order of time."""
    closed = [trade for trade in trades if trade.closed_at is not None]
    return Counts(
        days=max(len(day_marks(points)) - 1, 0),
        closed_trades=len(closed),
        wins=sum(trade.profit > 0 for trade in closed),
        losses=sum(trade.profit < 0 for trade in closed),
    )


def fall_of(mark: Mapping[str, object]) -> Drawdown | None:
    """Read the deepest drawdown from an account's last mark; returns None if equity never fell.

    mark: the fields of FALL, as values or as the text of a database.
    """
    depth, high = (float(str(mark[name] or 0)) for name in FALL[:2])
    started_at, trough_at, recovered_at = (
        datetime.fromisoformat(str(mark[name])) if mark[name] else None for name in FALL[2:]
    )
    if started_at is None or trough_at is None:
        return None
    return Drawdown(
        fraction=depth,
        amount=round(depth * high, MICRO_DIGITS),
        started_at=started_at,
        trough_at=trough_at,
        recovered_at=recovered_at,
    )


def figures_of(
    points: Sequence[EquityPoint], trades: Sequence[TradeResult], fall: Drawdown | None
) -> dict[str, Figure]:
    """Compute the figures that need only the account, by name.

    points: marks in order of time. trades: in order of opening, open ones too. fall: the deepest
    drawdown, which may lie at a slot that a replay skipped and so wrote no mark of.
    """
    closed = [trade for trade in trades if trade.closed_at is not None]
    days = day_marks(points)
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
    """Check whether equity was ever at or below zero, which makes returns undefined."""
    return any(day.equity <= 0 for day in days)


def _of_returns(days: Sequence[EquityPoint], depth: float) -> dict[str, Figure]:
    if is_ruined(days):
        return dict.fromkeys(("cagr", "sharpe", "sortino", "calmar"), RUINED)
    returns, resolution = returns_of(days), resolution_of(days)
    return {
        "cagr": cagr(returns),
        "sharpe": sharpe(returns, resolution=resolution),
        "sortino": sortino(returns, resolution=resolution),
        "calmar": calmar(returns, depth, resolution=resolution),
    }
