"""The trials of a sweep; the id of each comes from its inputs, so a repeat finds the same row."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trial of a sweep, as the ledger stores it.

    parameters: one JSON object from dotted strategy keys to values.
    window_from, window_to: the first and the last slot. days: the number of daily returns.
    is_test: the parameters were not chosen on this window.
    reasons: one JSON object from each undefined figure (None) to a sentence that says why.
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
