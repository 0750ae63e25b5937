"""How a run did, in figures from its ledger: each with what it is, or with the reason why there is none.

Read from the public views, so a run of the daemon and a replay are judged alike.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

import numpy as np

from bot.adapters.history.archive import History
from bot.adapters.history.reader import micros
from bot.adapters.sql.reads import Reader
from bot.app.figures import RUINED, counts_of, figures_of, is_ruined
from bot.app.random_entries import Drawn, figures_of_drawn
from bot.app.reports import shown
from bot.domain.numbers import to_float
from bot.domain.reach import Floats
from bot.engine.benchmark import buy_and_hold
from bot.engine.luck import deflated_sharpe, sharpe_interval
from bot.engine.performance import (
    Drawdown,
    EquityPoint,
    Figure,
    TradeResult,
    curve,
    day_ends,
    drawdown,
    returns_of,
    sharpe,
    total_return,
)

# The last price of each token (columns) at instants (rows), NaN before its first.
Closes = Callable[[Sequence[datetime]], Floats]

SEED = 1
POINTS = "select slot, equity, high_water_mark from v_equity where run = :run order by slot"
TRADES = """
select opened_at, closed_at, notional, profit, r_multiple from v_trades where run = :run order by opened_at, position_id
"""
NEVER_FELL = "equity never fell"
# Printed beside the figures, for others compute some of them otherwise.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "total_return": "last equity / first - 1",
        "cagr": "compound growth a year of 365 days",
        "sharpe": "daily returns of UTC days, mean / sample deviation x sqrt(365), no risk-free rate",
        "sharpe_low": "2.5 % of resampled histories have a lower Sharpe ratio (stationary bootstrap)",
        "sharpe_high": "2.5 % of them have a higher one",
        "probabilistic_sharpe": "probability that the true Sharpe ratio is above zero, for one trial",
        "sortino": "mean / root of the mean squared loss over all days x sqrt(365)",
        "calmar": "cagr / max_drawdown",
        "max_drawdown": "deepest fall of marked equity below its high",
        "max_drawdown_amount": "the same in quote currency",
        "win_rate": "wins / (wins + losses) of closed trades",
        "profit_factor": "money won / money lost, net of fees",
        "expectancy": "mean profit of a closed trade in quote currency",
        "expectancy_r": "mean R-multiple of closed trades with a stop",
        "sqn": "sqrt(closed trades) x mean profit / sample deviation",
        "exposure_time": "share of the time with a position open",
        "turnover": "notional of all entries / mean daily equity",
        "hold_return": "total return of equal parts of the universe, bought at the start and kept, without costs",
        "hold_sharpe": "its Sharpe ratio",
        "hold_max_drawdown": "its deepest fall at the end of a day",
        "random_runs": "runs of the strategy in which each token's spells are turned round a circle of time by chance",
        "random_return_median": "median of their total returns",
        "random_return_low": "5 % of them return less",
        "random_return_high": "5 % of them return more",
        "random_sharpe_median": "median of their Sharpe ratios, of those that have one",
        "random_beaten": "share of them whose total return is lower than this run's",
    }
)


def statistics(
    reader: Reader, run: str, closes: Closes | None = None, drawn: Sequence[Drawn] | None = None
) -> dict[str, object]:
    """Return the figures of a run by name, None where undefined, and under `reasons` why; counts and instants beside.

    closes: what buying and holding is computed from; drawn: what the same strategy came to with random entries. Without
    them their figures are left out.
    """
    points = [
        EquityPoint(_instant(row["slot"]), _float(row["equity"]), _float(row["high_water_mark"]))
        for row in reader.rows(POINTS, {"run": run})
    ]
    trades = [_trade(row) for row in reader.rows(TRADES, {"run": run})]
    days = day_ends(points)
    figures = {
        **figures_of(points, trades),
        **_of_luck(days),
        **(_of_holding(closes, days) if closes and days else {}),
        **({} if drawn is None else figures_of_drawn(drawn, total_return(days))),
    }
    instants, missing = _instants(drawdown(points))
    reasons = {name: figure.reason for name, figure in figures.items() if figure.reason}
    return {
        **counts_of(points, trades)._asdict(),
        **{name: figure.value for name, figure in figures.items()},
        **instants,
        "reasons": reasons | missing,
    }


def tell_statistics(found: Mapping[str, object]) -> str:
    """Tell the figures as lines: name, value, what it is, and what speaks against it."""
    reasons = found["reasons"] if isinstance(found["reasons"], dict) else {}
    lines = []
    for name, meaning in MEANINGS.items():
        if name in found:
            value = found[name]
            words = [meaning] if isinstance(value, int | float) else []
            told = shown(round(value, 4) + 0.0) if isinstance(value, int | float) else "-"
            lines.append((name, told, "; ".join([*words, *([reasons[name]] if name in reasons else [])])))
    lines.append(("drawdown", "", _drawdown_told(found)))
    names, values = (max(len(line[at]) for line in lines) for at in (0, 1))
    return "\n".join(f"{name.replace('_', ' '):<{names}}  {value:>{values}}  {words}" for name, value, words in lines)


def _drawdown_told(found: Mapping[str, object]) -> str:
    if found["drawdown_started_at"] is None:
        return NEVER_FELL
    back = found["drawdown_recovered_at"]
    end = f"recovered {shown(back)}" if back else "not recovered"
    return f"from {shown(found['drawdown_started_at'])}, lowest {shown(found['drawdown_trough_at'])}, {end}"


def _of_luck(days: Sequence[EquityPoint]) -> dict[str, Figure]:
    """Return how much of the Sharpe ratio may be luck; only while equity is positive."""
    if is_ruined(days):
        return dict.fromkeys(("sharpe_low", "sharpe_high", "probabilistic_sharpe"), RUINED)
    returns = returns_of(days)
    low, high = sharpe_interval(returns, SEED)
    return {"sharpe_low": low, "sharpe_high": high, "probabilistic_sharpe": deflated_sharpe(returns)}


def _of_holding(closes: Closes, days: Sequence[EquityPoint]) -> dict[str, Figure]:
    """Return the figures of buying and holding at the same instants as the account's own."""
    instants = [day.at for day in days]
    worth = buy_and_hold(closes(instants)).tolist()
    held = curve(list(zip(instants, worth, strict=True)))
    fall = drawdown(held)
    return {
        "hold_return": total_return(held),
        "hold_sharpe": sharpe(returns_of(held)),
        "hold_max_drawdown": Figure(fall.fraction if fall else 0.0),
    }


def closes_at(history: History, instants: Sequence[datetime]) -> Floats:
    """Return the last close of each token of the universe (columns) at each instant (rows), NaN before its first."""
    ends = np.array([micros(at) for at in instants])
    closes = np.full((len(ends), len(history.universe)), np.nan)
    for number, token_id in enumerate(history.universe):
        columns = history.archive.columns[token_id]
        rows = columns.opened_at.searchsorted(ends - columns.span, side="right") - 1
        known = rows >= 0
        closes[known, number] = columns.prices[3, rows[known]]
    return closes


def _instants(fall: Drawdown | None) -> tuple[dict[str, object], dict[str, str]]:
    """Return when the deepest drawdown began, ended and was made good, and why that is unknown."""
    names = ("drawdown_started_at", "drawdown_trough_at", "drawdown_recovered_at")
    if fall is None:
        return dict.fromkeys(names), dict.fromkeys(names, NEVER_FELL)
    found = dict(zip(names, (fall.started_at, fall.trough_at, fall.recovered_at), strict=True))
    return {**found}, {} if fall.recovered_at else {names[2]: "not recovered"}


def _trade(row: Mapping[str, object]) -> TradeResult:
    return TradeResult(
        opened_at=_instant(row["opened_at"]),
        closed_at=None if row["closed_at"] is None else _instant(row["closed_at"]),
        notional=_float(row["notional"]),
        profit=_float(row["profit"]),
        r_multiple=None if row["r_multiple"] is None else _float(row["r_multiple"]),
    )


def _instant(value: object) -> datetime:
    """Read an instant as the database has it."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _float(value: object) -> float:
    return to_float(value if isinstance(value, Decimal) else Decimal(str(value)))
