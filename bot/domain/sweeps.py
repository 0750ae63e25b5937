"""What a sweep tried: one set of parameters over one window, and how it did.

The id names what was tried, never how it did: whoever tries it again finds the same row.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trial of a sweep, as the ledger keeps it; a figure that is not defined is None, and reasons says why.

    parameters: one JSON object, dotted strategy keys to values; window_from and window_to: first and last slot;
    is_test: the window is one that the parameters were not chosen on; days: daily returns; trades: closed ones;
    skewness and kurtosis: of the daily returns; reasons: one JSON object, figures to sentences.
    """

    trial_id: str
    sweep: str
    strategy: str
    parameters: str
    window_from: datetime
    window_to: datetime
    is_test: bool
    seed: int
    code_version: str
    strategy_hash: str
    history_digest: str
    cash: Decimal
    schedule: str | None
    slots: int
    days: int
    trades: int
    open_positions: int
    wins: int
    losses: int
    final_equity: Decimal
    total_return: float | None
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float | None
    max_drawdown_amount: float | None
    win_rate: float | None
    profit_factor: float | None
    expectancy: float | None
    expectancy_r: float | None
    sqn: float | None
    exposure_time: float | None
    turnover: float | None
    skewness: float | None
    kurtosis: float | None
    reasons: str
