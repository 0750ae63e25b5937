"""The views of trades, positions, orders, fills, stop moves, equity and postings."""

TRADES = """
SELECT
    w.run, w.position_id, w.signal_id, w.symbol, w.token_id, w.side, w.is_open, w.opened_at, w.closed_at, w.quantity,
    w.entry_price, w.exit_price, w.notional, w.fees, w.profit,
    w.profit / w.notional AS profit_fraction,
    w.profit / NULLIF(w.quantity * abs(w.entry_price - w.stop_initial), 0) AS r_multiple,
    w.stop_initial, w.stop_last, w.target, w.stop_source, w.target_source, w.exit_reason,
    w.profit_pessimistic, w.profit_optimistic, w.mae, w.mfe, w.quantity_open, w.config_hash,
    w.stop_level, w.target_level
FROM (
    SELECT
        p.run, p.position_id, p.signal_id, i.symbol, p.token_id, p.side, (c.position_id IS NULL) AS is_open,
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
        p.stop_source, p.target_source, c.reason AS exit_reason,
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
) w"""

OPEN_POSITIONS = """
SELECT
    t.*,
    [number m.price] AS mark_price,
    ([number m.price] - t.entry_price) * t.quantity_open * CASE WHEN t.side = 'short' THEN -1 ELSE 1 END
        AS unrealised_profit,
    CASE WHEN m.slot < t.opened_at THEN 0 ELSE [seconds t.opened_at | m.slot] / 3600 END AS age_hours
FROM v_trades t
LEFT JOIN marks m ON m.position_id = t.position_id
    AND m.slot = (SELECT max(n.slot) FROM marks n WHERE n.position_id = t.position_id)
WHERE t.closed_at IS NULL"""

# The price of a stop order is the position's stop: the current one, or the last one of a closed
# position.
ORDERS = """
SELECT
    o.run, o.order_id, o.position_id, o.signal_id, o.token_id, i.symbol, o.side, o.role, o.ordinal,
    coalesce(z.state, a.state, 'planned') AS state,
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
    coalesce(o.anchor, CASE WHEN o.equity IS NOT NULL THEN 'fill' WHEN o.role = 'entry' THEN 'reference' END) AS anchor
FROM orders o
JOIN instruments i ON i.run = o.run AND i.token_id = o.token_id
JOIN cycles y ON y.run = o.run AND y.slot = o.slot
LEFT JOIN order_events a ON a.order_id = o.order_id AND a.state = 'accepted'
LEFT JOIN order_events z ON z.order_id = o.order_id AND z.state IN ('filled', 'cancelled', 'expired')
LEFT JOIN fills f ON f.order_id = o.order_id"""

FILLS = """
SELECT
    f.run, f.fill_id, f.order_id, f.position_id, f.token_id, i.symbol, o.side, f.role,
    v.state,
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
LEFT JOIN order_events v ON v.order_id = f.order_id AND v.state = 'filled'"""

STOP_MOVES = """
SELECT
    m.run, m.slot, i.symbol, p.token_id, m.position_id, m.number, m.moved_at,
    [number m.price] AS price,
    m.reason,
    [number m.level] AS level
FROM stop_moves m
JOIN positions p ON p.position_id = m.position_id
JOIN instruments i ON i.run = p.run AND i.token_id = p.token_id"""

EQUITY = """
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
FROM equity q"""

# The first marked slot of each UTC day, which replay and daemon have in common.
EQUITY_DAILY = """
SELECT
    [day q.slot] AS day, e.run, e.slot, e.cash, e.positions_value, e.equity, e.high_water_mark, e.drawdown,
    e.drawdown_deepest, e.exposure, e.open_positions,
    [amount q.benchmark] AS benchmark
FROM equity q
JOIN (SELECT f.run, min(f.slot) AS slot FROM equity f GROUP BY f.run, [day f.slot]) d
    ON d.run = q.run AND d.slot = q.slot
JOIN v_equity e ON e.run = q.run AND e.slot = q.slot"""

POSTINGS = """
SELECT g.entry_id, e.run, g.account, [amount g.amount] AS amount, e.at, e.slot, e.cause, e.position_id
FROM postings g JOIN journal_entries e ON e.entry_id = g.entry_id"""
