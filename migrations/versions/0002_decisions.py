"""What decisions need: sides, several targets, brackets anchored at the fill, moved stops, breakers, and requests.

Every column that is added may be NULL and stands last: the chain of what was committed before stays as it is.
"""

from collections.abc import Mapping

from alembic import op

revision = "0002"
down_revision = "0001"

# The range of micro-dollars, and what the two databases spell differently.
RANGE = {"least": "-100000000000000000", "most": "100000000000000000"}
SQLITE = {**RANGE, "exact": "TEXT", "whole": "INTEGER", "instant": "TEXT", "enum": "TEXT"}
POSTGRESQL = {
    **RANGE,
    "exact": "NUMERIC(38, 18)",
    "whole": "BIGINT",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "enum": "VARCHAR",
}

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "candidates": ("side {enum} CONSTRAINT ck_candidates_side_known CHECK (side IN ('long', 'short'))",),
    "orders": (
        "part {whole} CONSTRAINT ck_orders_part_positive CHECK (CAST(part AS REAL) > 0)",
        "share {exact} CONSTRAINT ck_orders_share_positive CHECK (CAST(share AS REAL) > 0)",
        "equity {whole} CONSTRAINT ck_orders_equity_range CHECK (equity BETWEEN {least} AND {most})",
        "cut_off {instant}",
        "drawdown {exact}",
        "weight {exact}",
    ),
    "positions": ("stop_level {exact}", "target_level {exact}"),
}

TABLES: Mapping[str, str] = {
    "requests": """
        request_id TEXT NOT NULL, run TEXT NOT NULL, act {enum} NOT NULL, token_id {whole}, asked_at {instant} NOT NULL,
        CONSTRAINT pk_requests PRIMARY KEY (request_id),
        CONSTRAINT fk_requests_run_runs FOREIGN KEY(run) REFERENCES runs (name) ON DELETE RESTRICT,
        CONSTRAINT ck_requests_act_known CHECK (act IN ('pause', 'resume', 'close', 'flatten'))""",
    "candidate_levels": """
        seq {whole} NOT NULL, candidate_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        number {whole} NOT NULL, price {exact} NOT NULL, strength {exact}, strength_source TEXT,
        merged {whole} NOT NULL,
        CONSTRAINT pk_candidate_levels PRIMARY KEY (candidate_id, number),
        CONSTRAINT fk_candidate_levels_candidate_id_candidates FOREIGN KEY(candidate_id)
            REFERENCES candidates (candidate_id) ON DELETE RESTRICT,
        CONSTRAINT ck_candidate_levels_price_positive CHECK (CAST(price AS REAL) > 0),
        CONSTRAINT ck_candidate_levels_merged_positive CHECK (CAST(merged AS REAL) > 0),
        CONSTRAINT ck_candidate_levels_number_not_negative CHECK (number >= 0),
        CONSTRAINT fk_candidate_levels_run_slot_cycles FOREIGN KEY(run, slot)
            REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_candidate_levels_seq_not_negative CHECK (seq >= 0)""",
    "stop_moves": """
        seq {whole} NOT NULL, position_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        number {whole} NOT NULL, moved_at {instant} NOT NULL, price {exact} NOT NULL, reason {enum} NOT NULL,
        level {exact},
        CONSTRAINT pk_stop_moves PRIMARY KEY (position_id, number),
        CONSTRAINT fk_stop_moves_position_id_positions FOREIGN KEY(position_id)
            REFERENCES positions (position_id) ON DELETE RESTRICT,
        CONSTRAINT ck_stop_moves_reason_known CHECK (reason IN ('stop_hit', 'trailing_stop', 'break_even',
            'target_hit', 'signal_flipped', 'time_stop', 'risk_breaker', 'manual', 'delisted')),
        CONSTRAINT ck_stop_moves_price_positive CHECK (CAST(price AS REAL) > 0),
        CONSTRAINT ck_stop_moves_level_positive CHECK (CAST(level AS REAL) > 0),
        CONSTRAINT ck_stop_moves_number_not_negative CHECK (number >= 0),
        CONSTRAINT fk_stop_moves_run_slot_cycles FOREIGN KEY(run, slot)
            REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_stop_moves_seq_not_negative CHECK (seq >= 0)""",
    "run_events": """
        seq {whole} NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL, number {whole} NOT NULL, kind {enum} NOT NULL,
        name TEXT NOT NULL, state {enum} NOT NULL, notice TEXT NOT NULL, value {exact}, threshold {exact}, action TEXT,
        until {instant}, equity {whole}, token_id {whole}, request_id TEXT,
        CONSTRAINT pk_run_events PRIMARY KEY (run, slot, number),
        CONSTRAINT ck_run_events_kind_known CHECK (kind IN ('breaker', 'operator', 'hook')),
        CONSTRAINT ck_run_events_state_known CHECK (state IN ('tripped', 'reset', 'applied', 'raised')),
        CONSTRAINT ck_run_events_number_not_negative CHECK (number >= 0),
        CONSTRAINT ck_run_events_equity_range CHECK (equity BETWEEN {least} AND {most}),
        CONSTRAINT fk_run_events_run_slot_cycles FOREIGN KEY(run, slot)
            REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_run_events_seq_not_negative CHECK (seq >= 0)""",
}

INDEXES: Mapping[str, tuple[str, ...]] = {
    "requests": ("run",),
    "candidate_levels": ("run, slot",),
    "stop_moves": ("run, slot",),
    "run_events": ("run, slot", "request_id"),
}


def upgrade() -> None:
    """Add columns, then tables with their indexes and triggers."""
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    spelling, suffix = (SQLITE, " STRICT") if sqlite else (POSTGRESQL, "")
    for table, columns in COLUMNS.items():
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {column.format_map(spelling)}")
    for table, body in TABLES.items():
        connection.exec_driver_sql(f"CREATE TABLE {table} ({body.format_map(spelling)}){suffix}")
        for indexed in INDEXES[table]:
            name = f"ix_{table}_{indexed.replace(', ', '_')}"
            connection.exec_driver_sql(f"CREATE INDEX {name} ON {table} ({indexed})")
        guard(table, sqlite=sqlite)


def guard(table: str, *, sqlite: bool) -> None:
    """Create the triggers that refuse changes to a table."""
    connection = op.get_bind()
    if not sqlite:
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    for change in ("update", "delete"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
