"""The views of recorded calls and data, and of the returns after each turn of a signal."""

from collections.abc import Mapping
from types import MappingProxyType

API_CALLS = """
SELECT
    a.at, a.endpoint, a.query, a.status, a.attempts, a.seconds, a.size AS bytes, a.rows, a.credits, a.request_id,
    a.answer_hash, a.slot, a.known_at
FROM api_calls a"""

_SYMBOL = "(SELECT min(i.symbol) FROM instruments i WHERE i.token_id = d.token_id) AS symbol"

SIGNALS = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at, d.provider, d.feed, d.stance,
    [number d.grade] AS grade, [number d.confidence] AS confidence, d.signal_id
FROM signals d"""  # noqa: S608 - a constant

LEVELS = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at, d.number,
    [number d.price] AS price, [number d.strength] AS strength
FROM levels d"""  # noqa: S608 - a constant

QUANTMETRICS = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at,
    [number d.volatility] AS volatility, [number d.sharpe] AS sharpe, [number d.sortino] AS sortino,
    [number d.max_drawdown] AS max_drawdown, [number d.cagr] AS cagr
FROM quantmetrics d"""  # noqa: S608 - a constant

GRADES = f"""
SELECT d.token_id, {_SYMBOL}, d.published_at, d.known_at,
    [number d.trader_grade] AS trader_grade, [number d.investor_grade] AS investor_grade
FROM grades d"""  # noqa: S608 - a constant

BARS = f"""
SELECT d.token_id, {_SYMBOL}, d.timeframe, d.opened_at, d.closed_at,
    [number d.open] AS o, [number d.high] AS h, [number d.low] AS l, [number d.close] AS c,
    [number d.volume] AS volume, d.known_at
FROM prints d"""  # noqa: S608 - a constant

# The close of the first print that ends `hours` after the signal or later, but before `end`.
_PRICE_AFTER = """(
    SELECT [number p.close] FROM prints p
    WHERE p.token_id = s.token_id
      AND p.closed_at >= [after s.had_at | {hours}] AND p.closed_at < [after s.had_at | {end}]
    ORDER BY p.closed_at LIMIT 1
)"""
_HORIZONS: Mapping[str, int] = MappingProxyType({"1h": 1, "4h": 4, "1d": 24, "7d": 168})
_RETURNS = ",\n    ".join(
    f"{_PRICE_AFTER.format(hours=hours, end=2 * hours)} / {_PRICE_AFTER.format(hours=0, end=1)}"
    f" - 1 AS return_{name}"
    for name, hours in _HORIZONS.items()
)

SIGNAL_SCORECARD = f"""
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
