"""The views that list runs, their instruments and their configurations."""

RUNS = """
SELECT
    r.name, r.strategy,
    [amount r.cash] AS cash,
    r.started_at,
    CASE WHEN r.identity IS NULL THEN 'live' ELSE 'replay' END AS kind,
    r.identity
FROM runs r"""

INSTRUMENTS = """
SELECT i.run, i.token_id, i.symbol, i.name, i.category,
    [number i.quantity_step] AS quantity_step,
    [number i.price_tick] AS price_tick
FROM instruments i"""

CONFIGURATIONS = """
SELECT v.config_hash AS hash, v.text FROM config_versions v"""
