"""How an account did: figures of its equity at the end of each UTC day, and of its trades.

What a formula cannot give is None with the reason in words; no number ever stands for it. A year has 365 days, for
crypto trades on all of them, and the rate without risk is zero.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from bot.domain.instants import EPOCH

DAYS_A_YEAR = 365
DAYS_MIN = 30
CALMAR_DAYS_MIN = 90
SQN_TRADES_MIN = 30
# What an account is kept to, in quote currency: a smaller dispersion of money is what rounding left.
MICRO_DOLLAR = 1e-6
ONE_DAY = timedelta(days=1)
UNMARKED = "no mark of equity"
UNTRADED = "no closed trade"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, or None with the reason; a number with a reason is there, but not to be relied upon."""

    value: float | None = None
    reason: str | None = None


RUINED = Figure(reason="equity fell to zero or below")


class EquityPoint(NamedTuple):
    """An account marked at an instant; high: the highest equity up to then."""

    at: datetime
    equity: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeResult:
    """What a trade brought, net of fees, in quote currency; closed_at is None while it is open."""

    opened_at: datetime
    closed_at: datetime | None
    notional: float
    profit: float
    r_multiple: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """The deepest fall of equity below its high: as a fraction of the high, and in quote currency.

    started_at: the first mark that knew the high; recovered_at: None while the high is not reached again.
    """

    fraction: float
    amount: float
    started_at: datetime
    trough_at: datetime
    recovered_at: datetime | None


def curve(marks: Sequence[tuple[datetime, float]]) -> tuple[EquityPoint, ...]:
    """Return marks with the highest equity up to each of them."""
    points: list[EquityPoint] = []
    for at, equity in marks:
        points.append(EquityPoint(at, equity, max(equity, points[-1].high) if points else equity))
    return tuple(points)


def day_marks(points: Sequence[EquityPoint]) -> tuple[EquityPoint, ...]:
    """Return the first mark of each UTC day, in order, then the last mark of all: the last day as far as it went.

    A replay writes fewer marks than a daemon, but the first of each day always. A day without a mark keeps the equity
    of the day before.
    """
    if not points:
        return ()
    firsts: dict[int, EquityPoint] = {}
    for point in points:
        firsts.setdefault((point.at - EPOCH) // ONE_DAY, point)
    found: list[EquityPoint] = []
    for day in range(min(firsts), max(firsts) + 1):
        found.append(firsts[day] if day in firsts else found[-1]._replace(at=EPOCH + day * ONE_DAY))
    return tuple(found) if found[-1].at == points[-1].at else (*found, points[-1])


def returns_of(days: Sequence[EquityPoint]) -> tuple[float, ...]:
    """Return the simple returns from each day to the next; of positive equity only."""
    return tuple(after.equity / before.equity - 1 for before, after in pairwise(days))


def resolution_of(days: Sequence[EquityPoint]) -> float:
    """Return the least dispersion of daily returns that an account can show: a micro-dollar over its smallest equity.

    Of positive equity only. Below it returns are the same, and differ by the rounding of the marks alone.
    """
    return MICRO_DOLLAR / min((day.equity for day in days), default=MICRO_DOLLAR)


def total_return(days: Sequence[EquityPoint]) -> Figure:
    """Return the last equity over the first, less 1."""
    return Figure(days[-1].equity / days[0].equity - 1) if days else Figure(reason=UNMARKED)


def cagr(returns: Sequence[float], *, year: int = DAYS_A_YEAR, least: int = DAYS_MIN) -> Figure:
    """Return the compound annual growth rate: product(1 + r)^(year / n) - 1; undefined below 30 days.

    As annual_return of empyrical 0.5.5.
    """
    if len(returns) < least:
        return Figure(reason=_too_short(returns, least))
    return Figure(math.prod(1 + one for one in returns) ** (year / len(returns)) - 1)


def sharpe(returns: Sequence[float], *, resolution: float, year: int = DAYS_A_YEAR, least: int = DAYS_MIN) -> Figure:
    """Return the annual Sharpe ratio: mean / sample standard deviation (n - 1) x sqrt(year); undefined below 30 days.

    Sharpe 1994, The Sharpe Ratio, Journal of Portfolio Management 21(1), with a rate without risk of zero. resolution:
    a smaller deviation is none, see `resolution_of`.
    """
    if len(returns) < least:
        return Figure(reason=_too_short(returns, least))
    spread = deviation(returns)
    if spread < resolution:
        return Figure(reason="the daily returns do not vary")
    return Figure(_mean(returns) / spread * math.sqrt(year))


def sortino(returns: Sequence[float], *, resolution: float, year: int = DAYS_A_YEAR, least: int = DAYS_MIN) -> Figure:
    """Return the annual Sortino ratio: mean / downside deviation x sqrt(year); undefined below 30 days.

    The downside deviation is the root of the mean of min(r, 0)^2 over all days, those without a loss too (Sortino and
    Price 1994, Performance Measurement in a Downside Risk Framework, with a target of zero). resolution: a smaller
    deviation is none, see `resolution_of`.
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
    """Return the compound annual growth rate over the depth of the deepest drawdown; undefined below 90 days.

    Young 1991, Calmar Ratio: A Smoother Tool, Futures 20(1), over the whole time instead of the last 36 months.
    resolution: a smaller depth is none, see `resolution_of`.
    """
    if len(returns) < least:
        return Figure(reason=_too_short(returns, least))
    if depth < resolution:
        return Figure(reason="equity never fell")
    grown = cagr(returns, year=year, least=least)
    return Figure((grown.value or 0.0) / depth)


def drawdown(points: Sequence[EquityPoint]) -> Drawdown | None:
    """Return the deepest fall below the high-water mark, the first of equally deep ones; None where equity never fell.

    Depth = 1 - equity / high at each mark (Magdon-Ismail and Atiya 2004, Maximum Drawdown, Risk 17(10)).
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
    """Return wins / (wins + losses); trades that broke even count for neither."""
    wins, losses = _wins(trades), _losses(trades)
    if not wins and not losses:
        return Figure(reason="no closed trade won or lost" if trades else UNTRADED)
    return Figure(len(wins) / (len(wins) + len(losses)))


def profit_factor(trades: Sequence[TradeResult]) -> Figure:
    """Return the money won over the money lost, as freqtrade and LEAN do, but undefined where no trade lost."""
    if not trades:
        return Figure(reason=UNTRADED)
    losses = _losses(trades)
    return Figure(math.fsum(_wins(trades)) / -math.fsum(losses)) if losses else Figure(reason="no closed trade lost")


def expectancy(trades: Sequence[TradeResult]) -> Figure:
    """Return the mean profit of a trade in quote currency (Tharp 1998, Trade Your Way to Financial Freedom)."""
    return Figure(_mean([trade.profit for trade in trades])) if trades else Figure(reason=UNTRADED)


def expectancy_r(trades: Sequence[TradeResult]) -> Figure:
    """Return the mean R-multiple of the trades that had a stop (Tharp 1998, as above)."""
    multiples = [trade.r_multiple for trade in trades if trade.r_multiple is not None]
    if not multiples:
        return Figure(reason="no closed trade had a stop" if trades else UNTRADED)
    return Figure(_mean(multiples))


def sqn(trades: Sequence[TradeResult]) -> Figure:
    """Return the system quality number: sqrt(n) x mean / sample standard deviation (n - 1) of the trades' profits.

    Tharp 2008, Definitive Guide to Position Sizing, in money instead of R, as backtrader and freqtrade have it. Below
    30 trades it is not to be relied upon, and says so. A deviation below the micro-dollar, which profits are kept to,
    is none.
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
    """Return the share of the time between the first mark and the last in which a position was open.

    Measured by instants, not by bars; positions side by side count once.
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
    """Return how often the mean daily equity was put into positions, open ones too, over the whole time.

    The entries' notional over the mean equity, not made annual: the portfolio turnover rate of the SEC's Form N-1A.
    """
    if not days:
        return Figure(reason=UNMARKED)
    mean = _mean([day.equity for day in days])
    if mean <= 0:
        return RUINED
    return Figure(math.fsum(trade.notional for trade in trades) / mean)


def deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation (n - 1) of two values or more."""
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
