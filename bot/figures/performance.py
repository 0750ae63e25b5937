"""Performance figures of an account: of its equity at the end of each UTC day and of its trades.

A figure that a formula cannot give is None with the reason in words; no number ever replaces it. A
year has 365 days, because crypto trades on all of them, and the risk-free rate is zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from bot.domain.instants import DAY, DAYS_A_YEAR, EPOCH

DAYS_MIN = 30
CALMAR_DAYS_MIN = 90
SQN_TRADES_MIN = 30
# The precision of an account, in quote currency: a smaller dispersion of money is only rounding.
MICRO_DOLLAR = 1e-6
UNMARKED = "no mark of equity"
UNTRADED = "no closed trade"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, or None with the reason; a number with a reason is not reliable."""

    value: float | None = None
    reason: str | None = None


RUINED = Figure(reason="equity fell to zero or below")


class EquityPoint(NamedTuple):
    """The equity of an account at an instant; high: the highest equity up to then."""

    at: datetime
    equity: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeResult:
    """The result of a trade, net of fees, in quote currency; closed_at is None while it is open."""

    opened_at: datetime
    closed_at: datetime | None
    notional: float
    profit: float
    r_multiple: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """The deepest fall of equity below its high, as a fraction of the high and in quote currency.

    started_at: the first mark with that high. recovered_at: None until the high is reached again.
    """

    fraction: float
    amount: float
    started_at: datetime
    trough_at: datetime
    recovered_at: datetime | None


def curve(marks: Sequence[tuple[datetime, float]]) -> tuple[EquityPoint, ...]:
    """Add to each mark the highest equity up to it."""
    points: list[EquityPoint] = []
    for at, equity in marks:
        points.append(EquityPoint(at, equity, max(equity, points[-1].high) if points else equity))
    return tuple(points)


def day_marks(points: Sequence[EquityPoint]) -> tuple[EquityPoint, ...]:
    """Select the first mark of each UTC day, in order, and then the last mark of all.

    The last mark closes the last, unfinished day. A replay writes fewer marks than a daemon, but
    always the first of each day. A day without a mark keeps the equity of the day before.
    """
    if not points:
        return ()
    firsts: dict[int, EquityPoint] = {}
    for point in points:
        firsts.setdefault((point.at - EPOCH) // DAY, point)
    found: list[EquityPoint] = []
    for day in range(min(firsts), max(firsts) + 1):
        found.append(firsts[day] if day in firsts else found[-1]._replace(at=EPOCH + day * DAY))
    return tuple(found) if found[-1].at == points[-1].at else (*found, points[-1])


def returns_of(days: Sequence[EquityPoint]) -> tuple[float, ...]:
    """Compute the simple returns from each day to the next; every equity must be positive."""
    return tuple(after.equity / before.equity - 1 for before, after in pairwise(days))


def resolution_of(days: Sequence[EquityPoint]) -> float:
    """Compute the smallest dispersion of daily returns that an account can show.

    It is a micro-dollar over the smallest equity; every equity must be positive. Below it returns
    are equal and differ only by the rounding of the marks.
    """
    return MICRO_DOLLAR / min((day.equity for day in days), default=MICRO_DOLLAR)


def total_return(days: Sequence[EquityPoint]) -> Figure:
    """Compute the last equity over the first, less 1."""
    return Figure(days[-1].equity / days[0].equity - 1) if days else Figure(reason=UNMARKED)


def cagr(returns: Sequence[float], *, year: int = DAYS_A_YEAR, least: int = DAYS_MIN) -> Figure:
    """Compute the compound annual growth rate: product(1 + r)^(year / n) - 1.

    Undefined below 30 days. As annual_return of empyrical 0.5.5.
    """
    if len(returns) < least:
        return Figure(reason=_too_short(returns, least))
    return Figure(math.prod(1 + one for one in returns) ** (year / len(returns)) - 1)


def sharpe(
    returns: Sequence[float], *, resolution: float, year: int = DAYS_A_YEAR, least: int = DAYS_MIN
) -> Figure:
    """Compute the annual Sharpe ratio: mean / sample standard deviation (n - 1) x sqrt(year).

    Undefined below 30 days. Sharpe 1994, The Sharpe Ratio, Journal of Portfolio Management 21(1),
    with a risk-free rate of zero.
    resolution: a smaller deviation counts as zero, see `resolution_of`.
    """
    if len(returns) < least:
        return Figure(reason=_too_short(returns, least))
    spread = deviation(returns)
    if spread < resolution:
        return Figure(reason="the daily returns do not vary")
    return Figure(_mean(returns) / spread * math.sqrt(year))


def sortino(
    returns: Sequence[float], *, resolution: float, year: int = DAYS_A_YEAR, least: int = DAYS_MIN
) -> Figure:
    """Compute the annual Sortino ratio: mean / downside deviation x sqrt(year).

    Undefined below 30 days. The downside deviation is the root of the mean of min(r, 0)^2 over all
    days, including those without a loss (Sortino and Price 1994, Performance Measurement in a
    Downside Risk Framework, with a target of zero).
    resolution: a smaller deviation counts as zero, see `resolution_of`.
    """
    if len(returns) < least:
        return Figure(reason=_too_short(returns, least))
    downside = math.sqrt(_mean([min(one, 0) ** 2 for one in returns]))
    if downside < resolution:
        return Figure(reason="no day lost anything")
    return Figure(_mean(returns) / downside * math.sqrt(year))


def calmar(
    returns: Sequence[float],
    depth: float,
    *,
    resolution: float,
    year: int = DAYS_A_YEAR,
    least: int = CALMAR_DAYS_MIN,
) -> Figure:
    """Compute the compound annual growth rate over the depth of the deepest drawdown.

    Undefined below 90 days. Young 1991, Calmar Ratio: A Smoother Tool, Futures 20(1), over the
    whole time instead of the last 36 months.
    resolution: a smaller depth counts as zero, see `resolution_of`.
    """
    if len(returns) < least:
        return Figure(reason=_too_short(returns, least))
    if depth < resolution:
        return Figure(reason="equity never fell")
    grown = cagr(returns, year=year, least=least)
    return Figure((grown.value or 0.0) / depth)


def drawdown(points: Sequence[EquityPoint]) -> Drawdown | None:
    """Find the deepest fall below the high-water mark, the first of equally deep ones.

    Returns None when equity never fell. Depth = 1 - equity / high at each mark (Magdon-Ismail and
    Atiya 2004, Maximum Drawdown, Risk 17(10)).
    """
    trough = max(points, key=lambda point: 1 - point.equity / point.high, default=None)
    if trough is None or trough.equity >= trough.high:
        return None
    after = (point for point in points if point.at > trough.at)
    back = (point.at for point in after if point.equity >= trough.high or point.high > trough.high)
    return Drawdown(
        fraction=1 - trough.equity / trough.high,
        amount=trough.high - trough.equity,
        started_at=next(point.at for point in points if point.high >= trough.high),
        trough_at=trough.at,
        recovered_at=next(back, None),
    )


def win_rate(trades: Sequence[TradeResult]) -> Figure:
    """Compute wins / (wins + losses); trades that broke even count as neither."""
    wins, losses = _wins(trades), _losses(trades)
    if not wins and not losses:
        return Figure(reason="no closed trade won or lost" if trades else UNTRADED)
    return Figure(len(wins) / (len(wins) + len(losses)))


def profit_factor(trades: Sequence[TradeResult]) -> Figure:
    """Compute the money won over the money lost, as freqtrade and LEAN do.

    Unlike there, it is undefined when no trade lost.
    """
    if not trades:
        return Figure(reason=UNTRADED)
    losses = _losses(trades)
    return (
        Figure(math.fsum(_wins(trades)) / -math.fsum(losses))
        if losses
        else Figure(reason="no closed trade lost")
    )


def expectancy(trades: Sequence[TradeResult]) -> Figure:
    """Compute the mean profit of a trade in quote currency.

    Tharp 1998, Trade Your Way to Financial Freedom.
    """
    return Figure(_mean([trade.profit for trade in trades])) if trades else Figure(reason=UNTRADED)


def expectancy_r(trades: Sequence[TradeResult]) -> Figure:
    """Compute the mean R-multiple of the trades that had a stop (Tharp 1998, as above)."""
    multiples = [trade.r_multiple for trade in trades if trade.r_multiple is not None]
    if not multiples:
        return Figure(reason="no closed trade had a stop" if trades else UNTRADED)
    return Figure(_mean(multiples))


def sqn(trades: Sequence[TradeResult]) -> Figure:
    """Compute the system quality number of the trades' profits: sqrt(n) x mean / deviation (n - 1).

    The deviation is that of a sample. Tharp 2008, Definitive Guide to Position Sizing, in money
    instead of R, as in backtrader and freqtrade. Below 30 trades the figure has a reason that says
    it is not reliable. A deviation below a micro-dollar, the precision of profits, counts as zero.
    """
    profits = [trade.profit for trade in trades]
    if len(profits) < 2:  # noqa: PLR2004 - one profit has no deviation
        return Figure(reason="needs two closed trades")
    spread = deviation(profits)
    if spread < MICRO_DOLLAR:
        return Figure(reason="the profits do not vary")
    few = f"{len(profits)} trades: not to be relied upon below {SQN_TRADES_MIN}"
    value = math.sqrt(len(profits)) * _mean(profits) / spread
    return Figure(value, few if len(profits) < SQN_TRADES_MIN else None)


def exposure_time(points: Sequence[EquityPoint], trades: Sequence[TradeResult]) -> Figure:
    """Compute the share of the time between the first and the last mark with a position open.

    Measured by instants, not by bars; simultaneous positions count once.
    """
    if not points or points[0].at >= points[-1].at:
        return Figure(reason="the marks span no time" if points else UNMARKED)
    start, end = points[0].at, points[-1].at
    held, until = timedelta(), start
    for trade in sorted(trades, key=lambda one: one.opened_at):
        closed = min(trade.closed_at or end, end)
        held += max(closed - max(trade.opened_at, until), timedelta())
        until = max(until, closed)
    return Figure(held / (end - start))


def turnover(days: Sequence[EquityPoint], trades: Sequence[TradeResult]) -> Figure:
    """Compute how often the mean daily equity was put into positions over the whole time.

    The entries' notional, open positions included, over the mean equity, not annualised: the
    portfolio turnover rate of the SEC's Form N-1A.
    """
    if not days:
        return Figure(reason=UNMARKED)
    mean = _mean([day.equity for day in days])
    if mean <= 0:
        return RUINED
    return Figure(math.fsum(trade.notional for trade in trades) / mean)


def deviation(values: Sequence[float]) -> float:
    """Compute the sample standard deviation (n - 1) of at least two values."""
    mean = _mean(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _too_short(returns: Sequence[float], least: int) -> str:
    return f"needs {least} daily returns, has {len(returns)}"


def _wins(trades: Sequence[TradeResult]) -> list[float]:
    return [trade.profit for trade in trades if trade.profit > 0]


def _losses(trades: Sequence[TradeResult]) -> list[float]:
    return [trade.profit for trade in trades if trade.profit < 0]
