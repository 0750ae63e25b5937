"""The views: the ledger's public contract for SQL. Their names and columns stay; columns may be added.

One text serves both databases: what they spell differently stands in square brackets. Amounts are numbers in quote
currency, instants as the tables have them.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from bot.adapters.sql.checks import LEDGER_CHECK
from bot.adapters.sql.columns import POSTGRESQL

# [number x]: an exact decimal as a number; [amount x]: micro-dollars in quote currency; [seconds a | b]: from a to b;
# [after a | h]: h hours after a; [later a | b]: the later of two instants.
_SQLITE: Mapping[str, str] = MappingProxyType(
    {
        "number": "CAST({0} AS REAL)",
        "amount": "({0} / 1000000.0)",
        "seconds": "round((julianday({1}) - julianday({0})) * 86400.0, 3)",
        "after": "strftime('%Y-%m-%dT%H:%M:%f000Z', {0}, '+{1} hours')",
        "later": "max({0}, {1})",
    }
)
_POSTGRESQL: Mapping[str, str] = MappingProxyType(
    {
        "number": "{0}",
        "amount": "round({0} / 1000000.0, 6)",
        "seconds": "round(extract(epoch FROM {1} - {0}), 3)",
        "after": "({0} + interval '{1} hours')",
        "later": "greatest({0}, {1})",
    }
)

_TRADES = """
SELECT
    w.run, w.position_id, w.signal_id, w.symbol, w.token_id, w.side, w.is_open, w.opened_at, w.closed_at, w.quantity,
    w.entry_price, w.exit_price, w.notional, w.fees, w.profit,
    w.profit / w.notional AS profit_fraction,
    w.profit / NULLIF(w.quantity * abs(w.entry_price - w.stop_initial), 0) AS r_multiple,
    w.stop_initial, w.stop_last, w.target, w.stop_source, w.target_source, w.exit_reason,
    w.profit_pessimistic, w.profit_optimistic, w.mae, w.mfe, w.quantity_open
FROM (
    SELECT
        p.run, p.position_id, p.signal_id, i.symbol, p.token_id, p.side, (c.position_id IS NULL) AS is_open,
        p.opened_at, c.closed_at,
        [number p.quantity] AS quantity,
        [number p.entry_price] AS entry_price,
        x.exit_price,
        [number p.quantity] * [number p.entry_price] AS notional,
        coalesce([amount x.fees], 0) AS fees,
        coalesce([amount c.profit], [amount b.profit], 0) AS profit,
        [number p.stop_initial] AS stop_initial,
        coalesce(
            (SELECT [number o.price] FROM orders o
             WHERE o.position_id = p.position_id AND o.role = 'stop' AND o.signal_id = p.signal_id
             ORDER BY o.slot DESC, o.seq DESC LIMIT 1),
            [number p.stop_initial]
        ) AS stop_last,
        [number p.target] AS target,
        p.stop_source, p.target_source, c.reason AS exit_reason,
        [amount x.profit_pessimistic] AS profit_pessimistic,
        [amount x.profit_optimistic] AS profit_optimistic,
        [number c.mae] AS mae,
        [number c.mfe] AS mfe,
        CASE WHEN c.position_id IS NULL THEN [number p.quantity] - coalesce(x.exit_quantity, 0) ELSE 0 END
            AS quantity_open
    FROM positions p
    JOIN instruments i ON i.run = p.run AND i.token_id = p.token_id
    LEFT JOIN closings c ON c.position_id = p.position_id
    LEFT JOIN (
        SELECT
            f.position_id,
            sum(f.fee) AS fees,
            sum(CASE WHEN f.role <> 'entry' THEN [number f.quantity] END) AS exit_quantity,
            sum(CASE WHEN f.role <> 'entry' THEN [number f.quantity] * [number f.price] END)
                / sum(CASE WHEN f.role <> 'entry' THEN [number f.quantity] END) AS exit_price,
            sum(f.profit_pessimistic) AS profit_pessimistic,
            sum(f.profit_optimistic) AS profit_optimistic
        FROM fills f GROUP BY f.position_id
    ) x ON x.position_id = p.position_id
    LEFT JOIN (
        SELECT e.position_id, -sum(g.amount) AS profit
        FROM journal_entries e JOIN postings g ON g.entry_id = e.entry_id
        WHERE g.account IN ('profit', 'fees') GROUP BY e.position_id
    ) b ON b.position_id = p.position_id
) w"""

_OPEN_POSITIONS = """
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

_ORDERS = """
SELECT
    o.run, o.order_id, o.position_id, o.signal_id, o.token_id, i.symbol, o.side, o.role, o.ordinal,
    coalesce(z.state, a.state, 'planned') AS state,
    coalesce(z.reason, a.reason, o.reason) AS reason,
    [number o.quantity] AS quantity,
    [number o.price] AS price,
    [amount f.fee] AS fee,
    f.fill_model,
    [number f.price] AS fill_price,
    o.slot AS planned_at, a.slot AS accepted_at, f.filled_at, z.slot AS ended_at
FROM orders o
JOIN instruments i ON i.run = o.run AND i.token_id = o.token_id
LEFT JOIN order_events a ON a.order_id = o.order_id AND a.state = 'accepted'
LEFT JOIN order_events z ON z.order_id = o.order_id AND z.state IN ('filled', 'cancelled', 'expired')
LEFT JOIN fills f ON f.order_id = o.order_id"""

_FILLS = """
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
    f.slot, f.filled_at
FROM fills f
JOIN orders o ON o.order_id = f.order_id
JOIN instruments i ON i.run = f.run AND i.token_id = f.token_id
LEFT JOIN order_events v ON v.order_id = f.order_id AND v.state = 'filled'"""

_DECISIONS = """
SELECT
    c.run, c.slot, i.symbol, c.token_id, c.signal_id, c.outcome, c.first_reason,
    [number c.reference_price] AS reference_price,
    [number c.stop] AS stop,
    [number c.target] AS target,
    [number c.reward_risk] AS reward_risk,
    [number c.quantity] AS quantity,
    c.size_bound, c.stop_source, c.target_source,
    [number c.stop_level] AS stop_level,
    [number c.target_level] AS target_level,
    c.rank, c.complete, c.candidate_id
FROM candidates c
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id"""

_GATES = """
SELECT
    v.run, v.slot, i.symbol, c.token_id, v.gate,
    [number v.value] AS value,
    v.comparator,
    [number v.threshold] AS threshold,
    v.passed, v.reason, v.number, v.candidate_id
FROM verdicts v
JOIN candidates c ON c.candidate_id = v.candidate_id
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id"""

_GATE_FUNNEL = """
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
GROUP BY v.run, v.gate"""

_EQUITY = """
SELECT
    q.run, q.slot,
    [amount q.cash] AS cash,
    [amount q.positions_value] AS positions_value,
    [amount q.equity] AS equity,
    [amount q.high_water_mark] AS high_water_mark,
    [number q.drawdown] AS drawdown,
    [number q.exposure] AS exposure,
    q.open_positions
FROM equity q"""

_CYCLES = """
SELECT
    c.run, c.slot, c.cut_off, c.state, c.started_at, c.finished_at,
    [seconds c.started_at | c.finished_at] AS seconds,
    c.entries, c.exits, c.rejections, c.config_hash, c.code_version, c.settled_until, c.hash
FROM cycles c"""

_API_CALLS = """
SELECT
    a.at, a.endpoint, a.query, a.status, a.attempts, a.seconds, a.size AS bytes, a.rows, a.credits, a.request_id,
    a.answer_hash, a.slot, a.known_at
FROM api_calls a"""

_SYMBOL = "(SELECT min(i.symbol) FROM instruments i WHERE i.token_id = d.token_id) AS symbol"

_SIGNALS = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at, d.provider, d.feed, d.stance,
    [number d.grade] AS grade, [number d.confidence] AS confidence, d.signal_id
FROM signals d"""  # noqa: S608 - a constant

_LEVELS = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at, d.number,
    [number d.price] AS price, [number d.strength] AS strength
FROM levels d"""  # noqa: S608 - a constant

_QUANTMETRICS = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at,
    [number d.volatility] AS volatility, [number d.sharpe] AS sharpe, [number d.sortino] AS sortino,
    [number d.max_drawdown] AS max_drawdown, [number d.cagr] AS cagr
FROM quantmetrics d"""  # noqa: S608 - a constant

_GRADES = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at,
    [number d.trader_grade] AS trader_grade, [number d.investor_grade] AS investor_grade
FROM grades d"""  # noqa: S608 - a constant

_POSTINGS = """
SELECT g.entry_id, e.run, g.account, [amount g.amount] AS amount, e.at, e.slot, e.cause, e.position_id
FROM postings g JOIN journal_entries e ON e.entry_id = g.entry_id"""

# The price at an instant: the close of the first print that ended at it or within so many hours after it.
_PRICE_AFTER = """(
    SELECT [number p.close] FROM prints p
    WHERE p.token_id = s.token_id
      AND p.closed_at >= [after s.had_at | {hours}] AND p.closed_at < [after s.had_at | {end}]
    ORDER BY p.closed_at LIMIT 1
)"""
_HORIZONS: Mapping[str, int] = MappingProxyType({"1h": 1, "4h": 4, "1d": 24, "7d": 168})
_RETURNS = ",\n    ".join(
    f"{_PRICE_AFTER.format(hours=hours, end=2 * hours)} / {_PRICE_AFTER.format(hours=0, end=1)} - 1 AS return_{name}"
    for name, hours in _HORIZONS.items()
)

_SIGNAL_SCORECARD = f"""
SELECT
    s.signal_id, s.token_id, s.symbol, s.stance, s.published_at, s.known_at, s.grade,
    CASE WHEN s.grade < 20 THEN '0-20' WHEN s.grade < 40 THEN '20-40' WHEN s.grade < 60 THEN '40-60'
         WHEN s.grade < 80 THEN '60-80' WHEN s.grade >= 80 THEN '80-100' END AS grade_bucket,
    EXISTS (SELECT 1 FROM orders o WHERE o.signal_id = s.signal_id AND o.role = 'entry') AS taken,
    {_RETURNS}
FROM (
    SELECT d.signal_id, d.token_id, {_SYMBOL}, d.stance, d.published_at, d.known_at, [number d.grade] AS grade,
        [later d.published_at | d.known_at] AS had_at
    FROM signals d
    WHERE d.stance <> coalesce(
        (SELECT b.stance FROM signals b
         WHERE b.provider = d.provider AND b.feed = d.feed AND b.token_id = d.token_id
           AND b.published_at < d.published_at
         ORDER BY b.published_at DESC, b.known_at DESC LIMIT 1), '')
) s"""  # noqa: S608 - constants

# In order of creation: a view may read those before it.
VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "v_trades": _TRADES,
        "v_open_positions": _OPEN_POSITIONS,
        "v_orders": _ORDERS,
        "v_fills": _FILLS,
        "v_decisions": _DECISIONS,
        "v_gates": _GATES,
        "v_gate_funnel": _GATE_FUNNEL,
        "v_equity": _EQUITY,
        "v_cycles": _CYCLES,
        "v_api_calls": _API_CALLS,
        "v_signals": _SIGNALS,
        "v_levels": _LEVELS,
        "v_quantmetrics": _QUANTMETRICS,
        "v_grades": _GRADES,
        "v_signal_scorecard": _SIGNAL_SCORECARD,
        "v_postings": _POSTINGS,
        "v_ledger_check": LEDGER_CHECK,
    }
)

_BRACKETED = re.compile(r"\[(\w+) ([^\[\]]+)\]")


def spelled(text: str, dialect: str) -> str:
    """Return a statement as a database spells it."""
    spelling = _POSTGRESQL if dialect == POSTGRESQL else _SQLITE
    return _BRACKETED.sub(lambda found: spelling[found[1]].format(*found[2].split(" | ")), text)


def view_text(name: str, dialect: str) -> str:
    """Return the statement that creates a view on a database."""
    return f"CREATE VIEW {name} AS {spelled(VIEWS[name], dialect).strip()}"
