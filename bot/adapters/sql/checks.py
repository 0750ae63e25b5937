"""The checks behind v_ledger_check: each selects what is inconsistent in a ledger.

Consistent books give no row, and the name of a check is public. In place of `[amount ...]` and the
like, spelling.py writes the SQL of each database.
"""

from collections.abc import Mapping
from types import MappingProxyType

from bot.adapters.sql.schema.column_types import MICRO_LIMIT

# Each statement selects a subject (an id or a run) and a detail.
CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "entry_balance": """
            SELECT g.entry_id AS subject, 'its postings sum to ' || sum(g.amount) || ' micro-dollars' AS detail
            FROM postings g GROUP BY g.entry_id HAVING sum(g.amount) <> 0""",
        "amount_range": f"""
            SELECT g.entry_id AS subject, g.account || ' is out of range' AS detail
            FROM postings g WHERE g.amount NOT BETWEEN -{MICRO_LIMIT} AND {MICRO_LIMIT}""",  # noqa: S608 - a constant
        "opening_cash": """
            SELECT r.name AS subject, 'its cash is ' || r.cash || ' micro-dollars, its opening ' || g.amount AS detail
            FROM runs r
            JOIN journal_entries e ON e.run = r.name AND e.cause = 'opening'
            JOIN postings g ON g.entry_id = e.entry_id AND g.account = 'cash'
            WHERE g.amount <> r.cash""",
        "fill_entry": """
            SELECT f.fill_id AS subject, 'a fill without a journal entry' AS detail
            FROM fills f LEFT JOIN journal_entries e ON e.cause = f.fill_id WHERE e.entry_id IS NULL""",
        "order_fill": """
            SELECT v.order_id AS subject, 'a filled order without a fill' AS detail
            FROM order_events v LEFT JOIN fills f ON f.order_id = v.order_id
            WHERE v.state = 'filled' AND f.fill_id IS NULL""",
        "fill_event": """
            SELECT f.order_id AS subject, 'a fill of an order that is not filled' AS detail
            FROM fills f LEFT JOIN order_events v ON v.order_id = f.order_id AND v.state = 'filled'
            WHERE v.order_id IS NULL""",
        "order_left_open": """
            SELECT o.order_id AS subject, 'an order that outlived its position' AS detail
            FROM orders o JOIN closings c ON c.position_id = o.position_id
            WHERE NOT EXISTS (
                SELECT 1 FROM order_events v
                WHERE v.order_id = o.order_id AND v.state IN ('filled', 'cancelled', 'expired')
            )""",
        "position_entry": """
            SELECT p.position_id AS subject,
                   CASE WHEN f.fill_id IS NULL THEN 'a position without its entry fill'
                        ELSE 'its quantity is not that of its entry fill' END AS detail
            FROM positions p LEFT JOIN fills f ON f.position_id = p.position_id AND f.role = 'entry'
            WHERE f.fill_id IS NULL OR f.quantity <> p.quantity""",
        "exit_quantity": """
            SELECT p.position_id AS subject,
                   'exits sum to ' || coalesce(sum([number f.quantity]), 0) || ' of ' || p.quantity AS detail
            FROM positions p
            LEFT JOIN closings c ON c.position_id = p.position_id
            LEFT JOIN fills f ON f.position_id = p.position_id AND f.role <> 'entry'
            GROUP BY p.position_id, p.quantity, c.position_id
            HAVING coalesce(sum([number f.quantity]), 0) > [number p.quantity] * 1.000000001
                OR (c.position_id IS NOT NULL
                    AND coalesce(sum([number f.quantity]), 0) < [number p.quantity] * 0.999999999)""",
        "one_open_position": """
            SELECT p.run AS subject, 'token ' || p.token_id || ' has ' || count(*) || ' open positions' AS detail
            FROM positions p LEFT JOIN closings c ON c.position_id = p.position_id
            WHERE c.position_id IS NULL GROUP BY p.run, p.token_id HAVING count(*) > 1""",
        "closing_profit": """
            SELECT c.position_id AS subject,
                   'its profit is ' || c.profit || ' micro-dollars, its cash ' || coalesce(sum(g.amount), 0) AS detail
            FROM closings c
            LEFT JOIN journal_entries e ON e.position_id = c.position_id
            LEFT JOIN postings g ON g.entry_id = e.entry_id AND g.account = 'cash'
            GROUP BY c.position_id, c.profit HAVING c.profit <> coalesce(sum(g.amount), 0)""",
        "position_account": """
            SELECT c.position_id AS subject,
                   'it is closed with ' || sum(g.amount) || ' micro-dollars on its position account' AS detail
            FROM closings c
            JOIN journal_entries e ON e.position_id = c.position_id
            JOIN postings g ON g.entry_id = e.entry_id AND g.account = 'position'
            GROUP BY c.position_id HAVING sum(g.amount) <> 0""",
        "stop_loosened": """
            SELECT m.position_id AS subject, 'its stop move ' || m.number || ' is not nearer to the price' AS detail
            FROM (
                SELECT s.position_id, s.number, s.price, p.side, coalesce(
                    (SELECT b.price FROM stop_moves b WHERE b.position_id = s.position_id AND b.number < s.number
                     ORDER BY b.number DESC LIMIT 1),
                    p.stop_initial) AS earlier
                FROM stop_moves s JOIN positions p ON p.position_id = s.position_id
            ) m
            WHERE m.price = m.earlier
                OR (m.side = 'long' AND [number m.price] < [number m.earlier])
                OR (m.side = 'short' AND [number m.price] > [number m.earlier])""",
        "equity_sum": """
            SELECT q.run AS subject, 'cash and positions are not the equity at ' || q.slot AS detail
            FROM equity q WHERE q.cash + q.positions_value <> q.equity""",
        "cash": """
            SELECT q.run AS subject,
                   'cash at ' || q.slot || ' is ' || q.cash || ' micro-dollars, posted ' || coalesce(sum(g.amount), 0)
                   AS detail
            FROM equity q
            LEFT JOIN journal_entries e
                ON e.run = q.run AND (e.slot < q.slot OR (e.slot = q.slot AND e.seq < q.seq))
            LEFT JOIN postings g ON g.entry_id = e.entry_id AND g.account = 'cash'
            WHERE q.slot = (SELECT max(n.slot) FROM equity n WHERE n.run = q.run)
            GROUP BY q.run, q.slot, q.cash HAVING q.cash <> coalesce(sum(g.amount), 0)""",
    }
)

LEDGER_CHECK = "\nUNION ALL\n".join(
    f"SELECT '{name}' AS check_name, found.subject, found.detail"  # noqa: S608 - constants
    f" FROM ({statement}\n) AS found"
    for name, statement in CHECKS.items()
)
