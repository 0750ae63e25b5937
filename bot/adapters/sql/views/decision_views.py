"""The views that explain decisions: candidates, gates, levels, run events, parity and cycles.

The levels are those that the decision used.
"""

DECISIONS = """
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
    c.rank, c.complete, c.candidate_id, coalesce(c.side, 'long') AS side, y.config_hash
FROM candidates c
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id
JOIN cycles y ON y.run = c.run AND y.slot = c.slot"""

GATES = """
SELECT
    v.run, v.slot, i.symbol, c.token_id, v.gate,
    [number v.value] AS value,
    v.comparator,
    [number v.threshold] AS threshold,
    v.passed, v.reason, v.number, v.candidate_id, y.config_hash
FROM verdicts v
JOIN candidates c ON c.candidate_id = v.candidate_id
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id
JOIN cycles y ON y.run = v.run AND y.slot = v.slot"""

GATE_FUNNEL = """
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

NEAR_MISSES = """
SELECT
    c.run, c.slot, i.symbol, c.token_id, c.signal_id, v.gate,
    [number v.value] AS value,
    v.comparator,
    [number v.threshold] AS threshold,
    v.reason, c.candidate_id
FROM candidates c
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id
JOIN verdicts v ON v.candidate_id = c.candidate_id AND NOT v.passed
WHERE c.outcome = 'rejected' AND NOT EXISTS (
    SELECT 1 FROM verdicts n WHERE n.candidate_id = c.candidate_id AND NOT n.passed AND n.gate <> v.gate
)"""

SLOT_LEVELS = """
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
JOIN instruments i ON i.run = c.run AND i.token_id = c.token_id"""

RUN_EVENTS = """
SELECT
    e.run, e.slot, e.number, e.kind, e.name, e.state, e.notice,
    [number e.value] AS value,
    [number e.threshold] AS threshold,
    e.action, e.until,
    [amount e.equity] AS equity,
    e.token_id, i.symbol, e.request_id
FROM run_events e
LEFT JOIN instruments i ON i.run = e.run AND i.token_id = e.token_id"""

PARITY = """
SELECT
    p.run, p.checked_at, p.first_slot, p.last_slot, p.cycles, p.answers, (p.kind IS NULL) AS is_identical,
    p.row_hash, p.code_version, p.kind, p.differs_at, p.what, p.stored, p.derived
FROM parity_checks p"""

CYCLES = """
SELECT
    c.run, c.slot, c.cut_off, c.state, c.started_at, c.finished_at,
    [seconds c.started_at | c.finished_at] AS seconds,
    c.entries, c.exits, c.rejections, c.config_hash, c.code_version, c.settled_until, c.hash
FROM cycles c"""
