"""The figures of a run, computed from its ledger: each has a value or the reason why it has none.

They are read from the public views, so a run of the daemon and a replay are judged alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from bot.adapters.sql.reads import Reader
from bot.app.review.reports import require_run
from bot.app.telling.answers import Answer, Row
from bot.app.telling.printing import show_value
from bot.domain.numbers import to_float
from bot.figures import performance as of
from bot.figures.account import FALL, counts_of, fall_of, figures_of, is_ruined
from bot.figures.luck import Drawn, deflated_sharpe, figures_of_random_runs, sharpe_interval

SEED = 1
TOLD = ("run", "trades", "open_positions", "fees", "profit", "equity", "slot")
POINTS = (
    f"select slot, equity, high_water_mark, {', '.join(FALL)} from v_equity"  # noqa: S608
    " where run = :run order by slot"
)
BENCHMARK = "select slot, benchmark from v_equity_daily where run = :run order by slot"
TRADES = """
select opened_at, closed_at, notional, profit, r_multiple from v_trades where run = :run \
order by opened_at, position_id
"""
UNHELD = "the benchmark needs two UTC days with a mark"
UNKNOWN = (
    "the benchmark's worth is not known at the last day:"
    " a price has gone, or it is beyond what a ledger holds"
)
SUMMARY = """
select count(*) as trades, round(coalesce(sum(fees), 0), 6) as fees, \
round(coalesce(sum(profit), 0), 6) as profit,
       coalesce(sum(case when is_open then 1 else 0 end), 0) as open_positions
from v_trades where run = :run
"""
LAST_EQUITY = "select slot, equity, cash from v_equity where run = :run order by slot desc limit 1"
NEVER_FELL = "equity never fell"
# Printed beside the figures, because other programs compute some of them differently.
MEANINGS: Mapping[str, str] = {
    "total_return": "last equity / first - 1",
    "cagr": "compound growth a year of 365 days",
    "sharpe": ("daily returns of UTC days, mean / sample deviation x sqrt(365), no risk-free rate"),
    "sharpe_low": ("2.5 % of resampled histories have a lower Sharpe ratio (stationary bootstrap)"),
    "sharpe_high": "2.5 % of them have a higher one",
    "probabilistic_sharpe": ("probability that the true Sharpe ratio is above zero, for one trial"),
    "sortino": "mean / root of the mean squared loss over all days x sqrt(365)",
    "calmar": "cagr / max_drawdown",
    "max_drawdown": "deepest fall of marked equity below its high",
    "max_drawdown_amount": "the money lost in that fall, from its high to its lowest",
    "win_rate": "wins / (wins + losses) of closed trades",
    "profit_factor": "money won / money lost, net of fees",
    "expectancy": "mean profit of a closed trade in quote currency",
    "expectancy_r": "mean R-multiple of closed trades with a stop",
    "sqn": "sqrt(closed trades) x mean profit / sample deviation",
    "exposure_time": "share of the time with a position open",
    "turnover": "notional of all entries / mean daily equity",
    "hold_return": "total return of equal parts of the universe, kept without costs,"
    " by first slots of UTC days",
    "hold_sharpe": "its Sharpe ratio",
    "hold_max_drawdown": "its deepest fall, of the first slots of UTC days",
    "random_runs": "runs of the strategy in which each token's spells are turned round a circle"
    " of time by chance",
    "random_return_median": "median of their total returns",
    "random_return_low": "5 % of them return less",
    "random_return_high": "5 % of them return more",
    "random_sharpe_median": "median of their Sharpe ratios, of those that have one",
    "random_beaten": "share of them whose total return is lower than this run's",
}


def statistics(reader: Reader, run: str, drawn: Sequence[Drawn] | None = None) -> dict[str, object]:
    """Compute a run's figures, None with a reason; drawn: those of its runs with random entries."""
    rows = reader.rows(POINTS, {"run": run})
    points = [
        of.EquityPoint(_instant(row["slot"]), _float(row["equity"]), _float(row["high_water_mark"]))
        for row in rows
    ]
    # A release that did not store the deepest fall stored every mark: compute the fall from those.
    kept = bool(rows) and rows[-1][FALL[0]] is not None
    fall = fall_of(rows[-1]) if kept else of.drawdown(points)
    trades = [_trade(row) for row in reader.rows(TRADES, {"run": run})]
    days = of.day_marks(points)
    figures = {
        **figures_of(points, trades, fall),
        **_of_luck(days),
        **_of_holding(reader.rows(BENCHMARK, {"run": run}), days),
        **({} if drawn is None else figures_of_random_runs(drawn, of.total_return(days))),
    }
    instants, missing = _instants(fall)
    reasons = {name: figure.reason for name, figure in figures.items() if figure.reason}
    return {
        **counts_of(points, trades)._asdict(),
        **{name: figure.value for name, figure in figures.items()},
        **instants,
        "reasons": reasons | missing,
    }


def summary(reader: Reader, run: str) -> dict[str, object]:
    """Read the totals of a run, and its last slot, equity and cash."""
    totals = reader.rows(SUMMARY, {"run": run})[0]
    last = reader.rows(LAST_EQUITY, {"run": run})
    return {**totals, **(last[0] if last else {})}


def show_figures(url: str, run: str | None) -> Answer:
    """Answer with the statistics of one run of a ledger, or of each, as a replay prints them."""
    reader = Reader(url)
    require_run(reader, run)
    names = [str(row["name"]) for row in reader.rows("select name from v_runs order by name", {})]
    found = [
        {"run": name, **summary(reader, name), "statistics": statistics(reader, name)}
        for name in names
        if run in {None, name}
    ]
    text = "\n\n".join(describe_run(one, TOLD) for one in found) or "no run yet"
    return Answer(payload=found, parts=(text,))


def describe_run(result: Row, names: Sequence[str]) -> str:
    """Format the result of a run as text: the named figures, then its statistics."""
    width = max(len(name) for name in names)
    lines = [f"{name.replace('_', ' '):<{width}}  {_figure(result.get(name))}" for name in names]
    return "\n".join([*lines, "", describe_statistics(result["statistics"])])


def _figure(value: object) -> str:
    return f"{float(value):,.2f}" if isinstance(value, float | Decimal) else show_value(value)


def describe_statistics(found: Row) -> str:
    """Format the figures as lines: name, value, meaning, and why it is missing or doubtful."""
    reasons = found["reasons"]
    lines = []
    for name, meaning in MEANINGS.items():
        if name in found:
            value, words = found[name], [reasons[name]] if name in reasons else []
            told = "-"
            if isinstance(value, int | float):
                told, words = show_value(round(value, 4) + 0.0), [meaning, *words]
            lines.append((name.replace("_", " "), told, "; ".join(words)))
    lines.append(("drawdown", "", _describe_drawdown(found)))
    names, values = (max(len(line[at]) for line in lines) for at in (0, 1))
    return "\n".join(f"{name:<{names}}  {told:>{values}}  {words}" for name, told, words in lines)


def _describe_drawdown(found: Mapping[str, object]) -> str:
    if found["drawdown_started_at"] is None:
        return NEVER_FELL
    back = found["drawdown_recovered_at"]
    end = f"recovered {show_value(back)}" if back else "not recovered"
    start, lowest = (show_value(found[f"drawdown_{name}_at"]) for name in ("started", "trough"))
    return f"from {start}, lowest {lowest}, {end}"


def _of_luck(days: Sequence[of.EquityPoint]) -> dict[str, of.Figure]:
    """Compute how much of the Sharpe ratio may be luck; undefined unless equity stayed positive."""
    if is_ruined(days):
        return dict.fromkeys(("sharpe_low", "sharpe_high", "probabilistic_sharpe"), of.RUINED)
    returns, resolution = of.returns_of(days), of.resolution_of(days)
    low, high = sharpe_interval(returns, SEED, resolution=resolution)
    above_zero = deflated_sharpe(returns, resolution=resolution)
    return {"sharpe_low": low, "sharpe_high": high, "probabilistic_sharpe": above_zero}


def _of_holding(rows: Sequence[Row], days: Sequence[of.EquityPoint]) -> dict[str, of.Figure]:
    """Compute the figures of buying and holding, from the first marked slot of each UTC day.

    A ledger of an older release may hold the benchmark for some days only; the figures say so.
    """
    known = [row for row in rows if row["benchmark"] is not None]
    held = of.curve([(_instant(row["slot"]), _float(row["benchmark"])) for row in known])
    if len(held) < 2 or known[-1] is not rows[-1]:  # noqa: PLR2004 - one value has no return
        reason = UNHELD if len(held) < 2 else UNKNOWN  # noqa: PLR2004
        names = ("hold_return", "hold_sharpe", "hold_max_drawdown")
        return dict.fromkeys(names, of.Figure(reason=reason))
    fall, since = of.drawdown(held), held[0].at
    late = f"from {since:%Y-%m-%d} on, it was not kept before" if since > days[0].at else None
    return {
        "hold_return": replace(of.total_return(held), reason=late),
        "hold_sharpe": of.sharpe(of.returns_of(held), resolution=of.resolution_of(held)),
        "hold_max_drawdown": of.Figure(fall.fraction if fall else 0.0),
    }


def _instants(fall: of.Drawdown | None) -> tuple[dict[str, object], dict[str, str]]:
    """Find when the deepest drawdown began, was deepest and recovered, and why one is unknown."""
    names = ("drawdown_started_at", "drawdown_trough_at", "drawdown_recovered_at")
    if fall is None:
        return dict.fromkeys(names), dict.fromkeys(names, NEVER_FELL)
    found = dict(zip(names, (fall.started_at, fall.trough_at, fall.recovered_at), strict=True))
    return {**found}, {} if fall.recovered_at else {names[2]: "not recovered"}


def _trade(row: Mapping[str, object]) -> of.TradeResult:
    return of.TradeResult(
        opened_at=_instant(row["opened_at"]),
        closed_at=None if row["closed_at"] is None else _instant(row["closed_at"]),
        notional=_float(row["notional"]),
        profit=_float(row["profit"]),
        r_multiple=None if row["r_multiple"] is None else _float(row["r_multiple"]),
    )


def _instant(value: object) -> datetime:
    """Read an instant in the form that the database returns."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _float(value: object) -> float:
    return to_float(value if isinstance(value, Decimal) else Decimal(str(value)))
