"""The views of the source: requests, attempts, refusals, holes and feeds."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

SYMBOL = "(SELECT min(i.symbol) FROM instruments i WHERE i.token_id = d.token_id) AS symbol"

# Of each feed: where its data are, when they were published, and how they say what is one datum.
_KEPT: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "trading-signals": ("signals", "published_at", "AND d.feed = 'daily'"),
        "hourly-trading-signals": ("signals", "published_at", "AND d.feed = 'hourly'"),
        "resistance-support": ("level_sets", "published_at", ""),
        "quantmetrics": ("quantmetrics", "published_at", ""),
        "tm-grade": ("grades", "published_at", ""),
        "tokens": ("markets", "known_at", ""),
        "price": ("prints", "closed_at", "AND d.timeframe = 'quote'"),
        "hourly-ohlcv": ("prints", "closed_at", "AND d.timeframe = '1h'"),
        "daily-ohlcv": ("prints", "closed_at", "AND d.timeframe = '1d'"),
    }
)


def _of_each_feed(text: str, feeds: Iterable[str]) -> str:
    """Build the CASE that asks the data of a call's feed; braces: table, instant, condition."""
    cases = (f"WHEN '{feed}' THEN ({text.format(*_KEPT[feed])})" for feed in feeds)
    return "CASE c.endpoint\n    " + "\n    ".join(cases) + " END"


_NEWEST = _of_each_feed("SELECT max(d.{1}) FROM {0} d WHERE 1 = 1 {2}", _KEPT)
_REVISED = _of_each_feed(
    """SELECT count(*) FROM {0} d
        WHERE d.known_at >= (SELECT [before max(b.at) | 24] FROM api_calls b) {2} AND EXISTS (
            SELECT 1 FROM {0} o WHERE o.token_id = d.token_id
              AND o.published_at = d.published_at AND o.known_at < d.known_at)""",
    [feed for feed, (_, instant, _) in _KEPT.items() if instant == "published_at"],
)

SOURCE_VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "v_api_calls": """
SELECT
    a.at, a.endpoint, a.query, a.status, a.attempts, a.seconds, a.size AS bytes, a.rows, a.credits, a.request_id,
    a.answer_hash, a.slot, a.known_at, [day a.at] AS day, a.provider_request_id, a.error
FROM api_calls a""",
        "v_api_attempts": """
SELECT
    a.at, a.slot, a.endpoint, t.request_id, t.number, t.status, t.seconds, t.error, t.retry_after,
    t.provider_request_id
FROM api_attempts t JOIN api_calls a ON a.request_id = t.request_id""",
        "v_refusals": f"""
SELECT
    a.known_at, a.slot, a.endpoint AS feed, d.token_id, {SYMBOL}, d.field, d.reason, d.value,
    d.whole AS is_row, d.request_id, a.answer_hash
FROM refusals d JOIN api_calls a ON a.request_id = d.request_id""",  # noqa: S608 - a constant
        # Of each hole its newest row counts.
        "v_holes": """
SELECT
    h.feed, h.missing, h.tokens, h.starts_at AS "from", h.ends_at AS "to", [word h.state] AS state,
    h.attempts, h.next_at, h.reason, h.known_at
FROM holes h
WHERE h.state <> 'filled' AND NOT EXISTS (
    SELECT 1 FROM holes n
    WHERE n.feed = h.feed AND n.tokens = h.tokens AND n.starts_at = h.starts_at AND n.ends_at = h.ends_at
      AND n.known_at > h.known_at
)""",
        # The calls of the seven days before the newest one; a percentile is the smallest duration that
        # so many of them reach at most.
        "v_feeds": f"""
SELECT
    c.endpoint AS feed,
    count(*) AS calls,
    sum(CASE WHEN c.error IS NULL THEN 0.0 ELSE 1.0 END) / count(*) AS error_rate,
    min(CASE WHEN c.place >= 0.50 * c.calls THEN c.seconds END) AS p50,
    min(CASE WHEN c.place >= 0.95 * c.calls THEN c.seconds END) AS p95,
    min(CASE WHEN c.place >= 0.99 * c.calls THEN c.seconds END) AS p99,
    sum(coalesce(c.rows, 0)) AS rows,
    sum(c.credits) AS credits,
    max(CASE WHEN c.error IS NULL THEN c.known_at END) AS last_good_at,
    {_NEWEST} AS freshest_at,
    {_REVISED} AS revisions
FROM (
    SELECT
        a.endpoint, a.error, a.seconds, a.rows, a.credits, a.known_at,
        row_number() OVER (PARTITION BY a.endpoint ORDER BY a.seconds, a.request_id) AS place,
        count(*) OVER (PARTITION BY a.endpoint) AS calls
    FROM api_calls a
    WHERE a.at >= (SELECT [before max(b.at) | 168] FROM api_calls b)
) c
GROUP BY c.endpoint""",  # noqa: S608 - constants
    }
)
