"""The view of sweeps: one row for each trial, which is a set of parameters and a window."""

SWEEP = """
SELECT
    t.trial_id, t.sweep, t.strategy, t.parameters, t.window_from, t.window_to, t.is_test, t.seed, t.code_version,
    t.strategy_hash, t.history_digest,
    [amount t.cash] AS cash,
    t.schedule, t.slots, t.days, t.trades, t.open_positions, t.wins, t.losses,
    [amount t.final_equity] AS final_equity,
    t.total_return, t.cagr, t.sharpe, t.sortino, t.calmar, t.max_drawdown, t.max_drawdown_amount, t.win_rate,
    t.profit_factor, t.expectancy, t.expectancy_r, t.sqn, t.exposure_time, t.turnover, t.skewness, t.kurtosis,
    t.reasons
FROM trials t"""
