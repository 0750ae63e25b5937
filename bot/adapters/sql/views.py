"""The views, the ledger's public contract for SQL: names and columns stay, columns may be added.

One text serves both databases (spelling.py). Amounts are numbers in quote currency; instants have
the form that the tables have.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bot.adapters.sql.checks import LEDGER_CHECK
from bot.adapters.sql.schema.spelling import spell
from bot.adapters.sql.source_views import SOURCE_VIEWS, SYMBOL

# The close of the first print that ends `hours` after the signal or later, but before `end`.
_PRICE_AFTER = """(
    SELECT [number p.close] FROM prints p
    WHERE p.token_id = s.token_id
      AND p.closed_at >= [after s.had_at | {hours}] AND p.closed_at < [after s.had_at | {end}]
    ORDER BY p.closed_at LIMIT 1
)"""
_RETURNS = ",\n    ".join(
    f"{_PRICE_AFTER.format(hours=hours, end=2 * hours)} / {_PRICE_AFTER.format(hours=0, end=1)}"
    f" - 1 AS return_{name}"
    for name, hours in {"1h": 1, "4h": 4, "1d": 24, "7d": 168}.items()
)

# In order of creation: a view may read those above it.
VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "v_trades": """
SELECT
    w.run, w.position_id, w.signal_id, w.symbol, w.token_id, w.side, w.is_open, w.opened_at, w.closed_at, w.quantity,
    w.entry_price, w.exit_price, w.notional, w.fees, w.profit,
    w.profit / w.notional AS profit_fraction,
    w.profit / NULLIF(w.quantity * abs(w.entry_price - w.stop_initial), 0) AS r_multiple,
    w.stop_initial, w.stop_last, w.target, w.stop_source, w.target_source, w.exit_reason,
    w.profit_pessimistic, w.profit_optimistic, w.mae, w.mfe, w.quantity_open, w.config_hash,
    w.stop_level, w.target_level,
    [day w.closed_at] AS closed_day,
    [seconds w.opened_at | w.closed_at] / 3600 AS held_hours
FROM (
    SELECT
        p.run, p.position_id, p.signal_id, i.symbol, p.token_id, [word p.side] AS side,
        (c.position_id IS NULL) AS is_open,
        p.opened_at, c.closed_at,
        [number p.quantity] AS quantity,
        [number p.entry_price] AS entry_price,
        x.exit_price,
        [number p.quantity] * [number p.entry_price] AS notional,
        coalesce([amount b.fees], 0) AS fees,
        coalesce([amount c.profit], [amount b.profit], 0) AS profit,
        [number p.stop_initial] AS stop_initial,
        coalesce(
            (SELECT [number m.price] FROM stop_moves m WHERE m.position_id = p.position_id
             ORDER BY m.number DESC LIMIT 1),
            [number p.stop_initial]
        ) AS stop_last,
        [number p.target] AS target,
        p.stop_source, p.target_source, [word c.reason] AS exit_reason,
        [amount x.profit_pessimistic] AS profit_pessimistic,
        [amount x.profit_optimistic] AS profit_optimistic,
        [number c.mae] AS mae,
        [number c.mfe] AS mfe,
        CASE WHEN c.position_id IS NULL THEN [number p.quantity] - coalesce(x.exit_quantity, 0) ELSE 0 END
            AS quantity_open,
        y.config_hash,
        coalesce([number p.stop_level], [number k.stop_level]) AS stop_level,
        coalesce([number p.target_level], [number k.target_level]) AS target_level
    FROM positions p
    JOIN instruments i ON i.run = p.run AND i.token_id = p.token_id
    JOIN cycles y ON y.run = p.run AND y.slot = p.slot
    LEFT JOIN closings c ON c.position_id = p.position_id
    LEFT JOIN orders o
        ON o.position_id = p.position_id AND o.role = 'entry'
        AND o.signal_id = p.signal_id AND o.ordinal = p.order_ordinal
    LEFT JOIN candidates k ON k.run = o.run AND k.slot = o.slot AND k.signal_id = o.signal_id
        AND coalesce(o.anchor, CASE WHEN o.equity IS NULL THEN 'reference' ELSE 'fill' END) = 'reference'
    LEFT JOIN (
        SELECT
            f.position_id,
            sum([number f.quantity]) AS exit_quantity,
            CASE WHEN count(*) = 1 THEN min([number f.price])
                 ELSE sum([number f.quantity] * [number f.price]) / sum([number f.quantity]) END AS exit_price,
            sum(f.profit_pessimistic) AS profit_pessimistic,
            sum(f.profit_optimistic) AS profit_optimistic
        FROM fills f WHERE f.role <> 'entry' GROUP BY f.position_id
    ) x ON x.position_id = p.position_id
    LEFT JOIN (
        SELECT
            e.position_id,
            -sum(g.amount) AS profit,
            sum(CASE WHEN g.account = 'fees' THEN g.amount END) AS fees
        FROM journal_entries e JOIN postings g ON g.entry_id = e.entry_id
        WHERE g.account IN ('profit', 'fees') GROUP BY e.position_id
    ) b ON b.position_id = p.position_id
) w""",
        "v_open_positions": """
SELECT
    t.*,
    [number m.price] AS mark_price,
    ([number m.price] - t.entry_price) * t.quantity_open * CASE WHEN t.side = 'short' THEN -1 ELSE 1 END
        AS unrealised_profit,
    CASE WHEN m.slot < t.opened_at THEN 0 ELSE [seconds t.opened_at | m.slot] / 3600 END AS age_hours
FROM v_trades t
LEFT JOIN marks m ON m.position_id = t.position_id
    AND m.slot = (SELECT max(n.slot) FROM marks n WHERE n.position_id = t.position_id)
WHERE t.closed_at IS NULL""",
        # The price of a stop order is the position's stop: the current one, or the last one of a closed
        # position.
        "v_orders": """
SELECT
    o.run, o.order_id, o.position_id, o.signal_id, o.token_id, i.symbol,
    [word o.side] AS side, [word o.role] AS role, o.ordinal,
    [word coalesce(z.state, a.state, 'planned')] AS state,
    coalesce(z.reason, a.reason, o.reason) AS reason,
    [number o.quantity] AS quantity,
    coalesce(
        (SELECT [number m.price] FROM stop_moves m
         JOIN positions p ON p.position_id = m.position_id
         WHERE o.role = 'stop' AND m.position_id = o.position_id
           AND p.signal_id = o.signal_id AND p.order_ordinal = o.ordinal
         ORDER BY m.number DESC LIMIT 1),
        [number o.price]
    ) AS price,
    [amount f.fee] AS fee,
    f.fill_model,
    [number f.price] AS fill_price,
    o.slot AS planned_at, a.slot AS accepted_at, f.filled_at, z.slot AS ended_at,
    o.part, y.config_hash,
    [word coalesce(o.anchor, CASE WHEN o.equity IS NOT NULL THEN 'fill' WHEN o.role = 'entry' THEN 'reference' END)]
        AS anchor
FROM orders o
JOIN instruments i ON i.run = o.run AND i.token_id = o.token_id
JOIN cycles y ON y.run = o.run AND y.slot = o.slot
LEFT JOIN order_events a ON a.order_id = o.order_id AND a.state = 'accepted'
LEFT JOIN order_events z ON z.order_id = o.order_id AND z.state IN ('filled', 'cancelled', 'expired')
LEFT JOIN fills f ON f.order_id = o.order_id""",
        "v_fills": """
SELECT
    f.run, f.fill_id, f.order_id, f.position_id, f.token_id, i.symbol, [word o.side] AS side, [word f.role] AS role,
    [word v.state] AS state,
    coalesce(v.reason, o.reason) AS reason,
    [number f.quantity] AS quantity,
    [number f.price] AS price,
    [amount f.fee] AS fee,
    f.fill_model,
    [amount f.profit_pessimistic] AS profit_pessimistic,
    [amount f.profit_optimistic] AS profit_optimistic,
    f.slot, f.filled_at, y.config_hash
FROM fills f
JOIN orders o ON o.order_id = f.order_id
JOIN instruments i ON i.run = f.run AND i.token_id = f.token_id
JOIN cycles y ON y.run = f.run AND y.slot = f.slot
LEFT JOIN order_events v ON v.order_id = f.order_id AND v.state = 'filled'""",
        "v_stop_moves": """
SELECT
    m.run, m.slot, i.symbol, p.token_id, m.position_id, m.number, m.moved_at,
    [number m.price] AS price,
    [word m.reason] AS reason,
    [number m.level] AS level
FROM stop_moves m
JOIN positions p ON p.position_id = m.position_id
JOIN instruments i ON i.run = p.run AND i.token_id = p.token_id""",
        "v_decisions": """
SELECT
    c.run, c.slot, i.symbol, c.token_id, c.signal_id, [word c.outcome] AS outcome, c.first_reason,
    [number c.reference_price] AS reference_price,
    [number c.stop] AS stop,
    [number c.target] AS target,
    [number c.reward_risk] AS reward_risk,
    [number c.quantity] AS quantity,
    c.size_bound, c.stop_source, c.target_source,
    [number c.stop_level] AS stop_level,
    [number c.target_level] AS target_level,
    c.rank, c.complete, c.candidate_id, [word coalesce(c.side, 'long')] AS side, y.config_hash
FROM candidates c
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id
JOIN cycles y ON y.run = c.run AND y.slot = c.slot""",
        "v_gates": """
SELECT
    v.run, v.slot, i.symbol, c.token_id, v.gate,
    [number v.value] AS value,
    [word v.comparator] AS comparator,
    [number v.threshold] AS threshold,
    v.passed, v.reason, v.number, v.candidate_id, y.config_hash
FROM verdicts v
JOIN candidates c ON c.candidate_id = v.candidate_id
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id
JOIN cycles y ON y.run = v.run AND y.slot = v.slot""",
        "v_gate_funnel": """
SELECT
    v.run, v.gate,
    count(*) AS candidates,
    sum(CASE WHEN v.passed THEN 1 ELSE 0 END) AS passed,
    sum(CASE WHEN v.passed THEN 0 ELSE 1 END) AS failed,
    sum(CASE WHEN NOT v.passed AND n.failures = 1 THEN 1 ELSE 0 END) AS only_failure
FROM verdicts v
JOIN (
    SELECT candidate_id, sum(CASE WHEN passed THEN 0 ELSE 1 END) AS failures FROM verdicts GROUP BY candidate_id
) n ON n.candidate_id = v.candidate_id
GROUP BY v.run, v.gate""",
        "v_near_misses": """
SELECT
    c.run, c.slot, i.symbol, c.token_id, c.signal_id, v.gate,
    [number v.value] AS value,
    [word v.comparator] AS comparator,
    [number v.threshold] AS threshold,
    v.reason, c.candidate_id
FROM candidates c
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id
JOIN verdicts v ON v.candidate_id = c.candidate_id AND NOT v.passed
WHERE c.outcome = 'rejected' AND NOT EXISTS (
    SELECT 1 FROM verdicts n WHERE n.candidate_id = c.candidate_id AND NOT n.passed AND n.gate <> v.gate
)""",
        "v_slot_levels": """
SELECT
    l.run, l.slot, i.symbol, c.token_id, l.candidate_id, l.number,
    [number l.price] AS price,
    [number l.strength] AS strength,
    l.strength_source, l.merged,
    CASE WHEN [number l.price] < [number c.reference_price] THEN 'support'
         WHEN [number l.price] > [number c.reference_price] THEN 'resistance'
         WHEN c.reference_price IS NOT NULL THEN 'equal' END AS kind
FROM candidate_levels l
JOIN candidates c ON c.candidate_id = l.candidate_id
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id""",
        "v_run_events": """
SELECT
    e.run, e.slot, e.number, [word e.kind] AS kind, e.name, [word e.state] AS state, e.notice,
    [number e.value] AS value,
    [number e.threshold] AS threshold,
    e.action, e.until,
    [amount e.equity] AS equity,
    e.token_id, i.symbol, e.request_id
FROM run_events e
LEFT JOIN instruments i ON i.run = e.run AND i.token_id = e.token_id""",
        "v_parity": """
SELECT
    p.run, p.checked_at, p.first_slot, p.last_slot, p.cycles, p.answers, (p.kind IS NULL) AS is_identical,
    p.row_hash, p.code_version, p.kind, p.differs_at, p.what, p.stored, p.derived
FROM parity_checks p""",
        "v_equity": """
SELECT
    q.run, q.slot,
    [amount q.cash] AS cash,
    [amount q.positions_value] AS positions_value,
    [amount q.equity] AS equity,
    [amount q.high_water_mark] AS high_water_mark,
    [number q.drawdown] AS drawdown,
    [number q.exposure] AS exposure,
    q.open_positions,
    [number q.drawdown_deepest] AS drawdown_deepest,
    [amount q.drawdown_high] AS drawdown_high,
    q.drawdown_started_at, q.drawdown_trough_at, q.drawdown_recovered_at
FROM equity q""",
        # The first marked slot of each UTC day, which replay and daemon have in common.
        "v_equity_daily": """
SELECT
    [day q.slot] AS day, e.run, e.slot, e.cash, e.positions_value, e.equity, e.high_water_mark, e.drawdown,
    e.drawdown_deepest, e.exposure, e.open_positions,
    [amount q.benchmark] AS benchmark
FROM equity q
JOIN (SELECT f.run, min(f.slot) AS slot FROM equity f GROUP BY f.run, [day f.slot]) d
    ON d.run = q.run AND d.slot = q.slot
JOIN v_equity e ON e.run = q.run AND e.slot = q.slot""",
        "v_runs": """
SELECT
    r.name, r.strategy,
    [amount r.cash] AS cash,
    r.started_at,
    CASE WHEN r.identity IS NULL THEN 'live' ELSE 'replay' END AS kind,
    r.identity
FROM runs r""",
        "v_instruments": """
SELECT i.run, i.token_id, i.symbol, i.name, i.category,
    [number i.quantity_step] AS quantity_step,
    [number i.price_tick] AS price_tick
FROM instruments i""",
        "v_configurations": """
SELECT v.config_hash AS hash, v.text FROM config_versions v""",
        "v_cycles": """
SELECT
    c.run, c.slot, c.cut_off, [word c.state] AS state, c.started_at, c.finished_at,
    [seconds c.started_at | c.finished_at] AS seconds,
    c.entries, c.exits, c.rejections, c.config_hash, c.code_version, c.settled_until, c.hash,
    NULL AS reason
FROM cycles c
UNION ALL
SELECT
    f.run, f.slot, NULL, 'failed', min(f.at), max(f.at), [seconds min(f.at) | max(f.at)],
    0, 0, 0, NULL, NULL, NULL, NULL,
    (SELECT l.reason FROM failed_tries l WHERE l.run = f.run AND l.slot = f.slot
     ORDER BY l.at DESC, l.attempt DESC LIMIT 1)
FROM failed_tries f
WHERE NOT EXISTS (SELECT 1 FROM cycles c WHERE c.run = f.run AND c.slot = f.slot)
GROUP BY f.run, f.slot""",
        "v_failed_tries": """
SELECT f.run, f.slot, f.attempt, f.at, f.reason FROM failed_tries f""",
        **SOURCE_VIEWS,
        "v_signals": f"""
SELECT d.token_id, {SYMBOL}, d.published_at, d.known_at, d.provider, d.feed, [word d.stance] AS stance,
    [number d.grade] AS grade, [number d.confidence] AS confidence, d.signal_id
FROM signals d""",  # noqa: S608 - a constant
        "v_levels": f"""
SELECT d.token_id, {SYMBOL}, d.published_at, d.known_at, d.number,
    [number d.price] AS price, [number d.strength] AS strength, coalesce(u.unread, 0) AS unread
FROM levels d
JOIN level_sets u ON u.token_id = d.token_id AND u.published_at = d.published_at AND u.known_at = d.known_at""",  # noqa: S608 - a constant
        "v_quantmetrics": f"""
SELECT d.token_id, {SYMBOL}, d.published_at, d.known_at,
    [number d.volatility] AS volatility, [number d.sharpe] AS sharpe, [number d.sortino] AS sortino,
    [number d.max_drawdown] AS max_drawdown, [number d.cagr] AS cagr
FROM quantmetrics d""",  # noqa: S608 - a constant
        "v_grades": f"""
SELECT d.token_id, {SYMBOL}, d.published_at, d.known_at,
    [number d.trader_grade] AS trader_grade, [number d.investor_grade] AS investor_grade
FROM grades d""",  # noqa: S608 - a constant
        "v_bars": f"""
SELECT d.token_id, {SYMBOL}, d.timeframe, d.opened_at, d.closed_at,
    [number d.open] AS o, [number d.high] AS h, [number d.low] AS l, [number d.close] AS c,
    [number d.volume] AS volume, d.known_at
FROM prints d""",  # noqa: S608 - a constant
        "v_signal_scorecard": f"""
SELECT
    s.signal_id, s.token_id, s.symbol, [word s.stance] AS stance, s.published_at, s.known_at, s.grade,
    CASE WHEN s.grade < 20 THEN '0-20' WHEN s.grade < 40 THEN '20-40' WHEN s.grade < 60 THEN '40-60'
         WHEN s.grade < 80 THEN '60-80' WHEN s.grade >= 80 THEN '80-100' END AS grade_bucket,
    EXISTS (SELECT 1 FROM orders o WHERE o.signal_id = s.signal_id AND o.role = 'entry') AS taken,
    {_RETURNS}
FROM (
    SELECT d.signal_id, d.token_id, {SYMBOL}, d.stance, d.published_at, d.known_at, [number d.grade] AS grade,
        [later d.published_at | d.known_at] AS had_at
    FROM signals d
    WHERE d.stance <> coalesce(
        (SELECT b.stance FROM signals b
         WHERE b.provider = d.provider AND b.feed = d.feed AND b.token_id = d.token_id
           AND b.published_at < d.published_at
         ORDER BY b.published_at DESC, b.known_at DESC LIMIT 1), '')
) s""",  # noqa: S608 - constants
        "v_postings": """
SELECT g.entry_id, e.run, [word g.account] AS account, [amount g.amount] AS amount, e.at, e.slot, e.cause, e.position_id
FROM postings g JOIN journal_entries e ON e.entry_id = g.entry_id""",
        "v_sweep": """
SELECT
    t.trial_id, t.sweep, t.strategy, t.parameters, t.window_from, t.window_to, t.is_test, t.seed, t.code_version,
    t.strategy_hash, t.history_digest,
    [amount t.cash] AS cash,
    t.schedule, t.slots, t.days, t.trades, t.open_positions, t.wins, t.losses,
    [amount t.final_equity] AS final_equity,
    t.total_return, t.cagr, t.sharpe, t.sortino, t.calmar, t.max_drawdown, t.max_drawdown_amount, t.win_rate,
    t.profit_factor, t.expectancy, t.expectancy_r, t.sqn, t.exposure_time, t.turnover, t.skewness, t.kurtosis,
    t.reasons
FROM trials t""",
        "v_ledger_check": LEDGER_CHECK,
    }
)


def view_text(name: str, dialect: str) -> str:
    """Build the statement that creates a view on a database."""
    return f"CREATE VIEW {name} AS {spell(VIEWS[name], dialect).strip()}"
