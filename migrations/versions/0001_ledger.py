"""The first ledger, in its own words: its tables, their indexes, and the triggers that refuse changes.

What it creates stays as it was released; from the second on, a revision says what it changes.
"""

from collections.abc import Mapping

from alembic import op

revision = "0001"
down_revision = None

# What the two databases spell differently.
SQLITE = {
    "exact": "TEXT",
    "whole": "INTEGER",
    "serial": "INTEGER",
    "instant": "TEXT",
    "flag": "INTEGER",
    "enum": "TEXT",
    "real": "REAL",
    "body": "BLOB",
}
POSTGRESQL = {
    "exact": "NUMERIC(38, 18)",
    "whole": "BIGINT",
    "serial": "BIGSERIAL",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "flag": "BOOLEAN",
    "enum": "VARCHAR",
    "real": "DOUBLE PRECISION",
    "body": "BYTEA",
}

TABLES: Mapping[str, str] = {
    "runs": """
        name TEXT NOT NULL, strategy TEXT NOT NULL, cash {whole} NOT NULL, identity TEXT,
        started_at {instant} NOT NULL,
        CONSTRAINT pk_runs PRIMARY KEY (name),
        CONSTRAINT ck_runs_cash_positive CHECK (cash > 0),
        CONSTRAINT ck_runs_cash_range CHECK (cash BETWEEN -100000000000000000 AND 100000000000000000)""",
    "instruments": """
        run TEXT NOT NULL, token_id {whole} NOT NULL, symbol TEXT NOT NULL, name TEXT NOT NULL,
        quantity_step {exact} NOT NULL, price_tick {exact}, category TEXT,
        CONSTRAINT pk_instruments PRIMARY KEY (run, token_id),
        CONSTRAINT fk_instruments_run_runs FOREIGN KEY(run) REFERENCES runs (name) ON DELETE RESTRICT,
        CONSTRAINT ck_instruments_quantity_step_positive CHECK (CAST(quantity_step AS REAL) > 0),
        CONSTRAINT ck_instruments_price_tick_positive CHECK (CAST(price_tick AS REAL) > 0)""",
    "config_versions": """
        config_hash TEXT NOT NULL, text TEXT NOT NULL,
        CONSTRAINT pk_config_versions PRIMARY KEY (config_hash)""",
    "cycles": """
        run TEXT NOT NULL, slot {instant} NOT NULL, state {enum} NOT NULL, cut_off {instant} NOT NULL,
        settled_until {instant} NOT NULL, started_at {instant} NOT NULL, finished_at {instant} NOT NULL,
        entries {whole} NOT NULL, exits {whole} NOT NULL, rejections {whole} NOT NULL, config_hash TEXT NOT NULL,
        code_version TEXT NOT NULL, contents TEXT NOT NULL, previous_hash TEXT NOT NULL, hash TEXT NOT NULL,
        CONSTRAINT pk_cycles PRIMARY KEY (run, slot),
        CONSTRAINT fk_cycles_run_runs FOREIGN KEY(run) REFERENCES runs (name) ON DELETE RESTRICT,
        CONSTRAINT fk_cycles_config_hash_config_versions FOREIGN KEY(config_hash) REFERENCES config_versions
            (config_hash) ON DELETE RESTRICT,
        CONSTRAINT uq_cycles_run_previous_hash UNIQUE (run, previous_hash),
        CONSTRAINT ck_cycles_state_known CHECK (state IN ('committed', 'missed', 'caught_up', 'failed')),
        CONSTRAINT ck_cycles_entries_not_negative CHECK (entries >= 0),
        CONSTRAINT ck_cycles_exits_not_negative CHECK (exits >= 0),
        CONSTRAINT ck_cycles_rejections_not_negative CHECK (rejections >= 0)""",
    "candidates": """
        seq {whole} NOT NULL, candidate_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        token_id {whole} NOT NULL, signal_id TEXT NOT NULL, outcome {enum} NOT NULL, first_reason TEXT,
        complete {flag} NOT NULL, rank {whole} NOT NULL, reference_price {exact}, stop {exact}, target {exact},
        stop_source TEXT, target_source TEXT, stop_level {exact}, target_level {exact}, reward_risk {exact},
        quantity {exact}, size_bound TEXT,
        CONSTRAINT pk_candidates PRIMARY KEY (candidate_id),
        CONSTRAINT fk_candidates_run_token_id_instruments FOREIGN KEY(run, token_id) REFERENCES instruments (run,
            token_id) ON DELETE RESTRICT,
        CONSTRAINT ck_candidates_outcome_known CHECK (outcome IN ('entered', 'rejected')),
        CONSTRAINT ck_candidates_reference_price_positive CHECK (CAST(reference_price AS REAL) > 0),
        CONSTRAINT fk_candidates_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_candidates_seq_not_negative CHECK (seq >= 0)""",
    "verdicts": """
        seq {whole} NOT NULL, candidate_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        number {whole} NOT NULL, gate TEXT NOT NULL, value {exact}, comparator {enum} NOT NULL, threshold {exact},
        passed {flag} NOT NULL, reason TEXT,
        CONSTRAINT pk_verdicts PRIMARY KEY (candidate_id, gate),
        CONSTRAINT fk_verdicts_candidate_id_candidates FOREIGN KEY(candidate_id) REFERENCES candidates
            (candidate_id) ON DELETE RESTRICT,
        CONSTRAINT ck_verdicts_comparator_known CHECK (comparator IN ('>=', '<=', '>', '=')),
        CONSTRAINT fk_verdicts_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_verdicts_seq_not_negative CHECK (seq >= 0)""",
    "orders": """
        seq {whole} NOT NULL, order_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        position_id TEXT NOT NULL, signal_id TEXT NOT NULL, token_id {whole} NOT NULL, side {enum} NOT NULL,
        role {enum} NOT NULL, ordinal {whole} NOT NULL, rank {whole} NOT NULL, quantity {exact} NOT NULL,
        price {exact} NOT NULL, reason TEXT, stop {exact}, target {exact}, stop_source TEXT, target_source TEXT,
        CONSTRAINT pk_orders PRIMARY KEY (order_id),
        CONSTRAINT fk_orders_run_token_id_instruments FOREIGN KEY(run, token_id) REFERENCES instruments (run,
            token_id) ON DELETE RESTRICT,
        CONSTRAINT ck_orders_side_known CHECK (side IN ('long', 'short')),
        CONSTRAINT ck_orders_role_known CHECK (role IN ('entry', 'stop', 'target', 'exit')),
        CONSTRAINT ck_orders_quantity_positive CHECK (CAST(quantity AS REAL) > 0),
        CONSTRAINT ck_orders_price_positive CHECK (CAST(price AS REAL) > 0),
        CONSTRAINT ck_orders_stop_positive CHECK (CAST(stop AS REAL) > 0),
        CONSTRAINT ck_orders_target_positive CHECK (CAST(target AS REAL) > 0),
        CONSTRAINT ck_orders_ordinal_not_negative CHECK (ordinal >= 0),
        CONSTRAINT fk_orders_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_orders_seq_not_negative CHECK (seq >= 0)""",
    "order_events": """
        seq {whole} NOT NULL, order_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        state {enum} NOT NULL, reason TEXT,
        CONSTRAINT pk_order_events PRIMARY KEY (order_id, state),
        CONSTRAINT fk_order_events_order_id_orders FOREIGN KEY(order_id) REFERENCES orders (order_id) ON DELETE
            RESTRICT,
        CONSTRAINT ck_order_events_state_known CHECK (state IN ('planned', 'accepted', 'filled', 'cancelled',
            'expired')),
        CONSTRAINT fk_order_events_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_order_events_seq_not_negative CHECK (seq >= 0)""",
    "positions": """
        seq {whole} NOT NULL, position_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        token_id {whole} NOT NULL, ordinal {whole} NOT NULL, order_ordinal {whole} NOT NULL,
        signal_id TEXT NOT NULL, side {enum} NOT NULL, quantity {exact} NOT NULL, entry_price {exact} NOT NULL,
        opened_at {instant} NOT NULL, stop_initial {exact}, target {exact}, stop_source TEXT NOT NULL,
        target_source TEXT NOT NULL,
        CONSTRAINT pk_positions PRIMARY KEY (position_id),
        CONSTRAINT fk_positions_run_token_id_instruments FOREIGN KEY(run, token_id) REFERENCES instruments (run,
            token_id) ON DELETE RESTRICT,
        CONSTRAINT uq_positions_run_token_id_ordinal UNIQUE (run, token_id, ordinal),
        CONSTRAINT ck_positions_side_known CHECK (side IN ('long', 'short')),
        CONSTRAINT ck_positions_quantity_positive CHECK (CAST(quantity AS REAL) > 0),
        CONSTRAINT ck_positions_entry_price_positive CHECK (CAST(entry_price AS REAL) > 0),
        CONSTRAINT ck_positions_stop_initial_positive CHECK (CAST(stop_initial AS REAL) > 0),
        CONSTRAINT ck_positions_target_positive CHECK (CAST(target AS REAL) > 0),
        CONSTRAINT ck_positions_ordinal_not_negative CHECK (ordinal >= 0),
        CONSTRAINT ck_positions_order_ordinal_not_negative CHECK (order_ordinal >= 0),
        CONSTRAINT fk_positions_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_positions_seq_not_negative CHECK (seq >= 0)""",
    "fills": """
        seq {whole} NOT NULL, fill_id TEXT NOT NULL, order_id TEXT NOT NULL, run TEXT NOT NULL,
        slot {instant} NOT NULL, position_id TEXT NOT NULL, token_id {whole} NOT NULL, role {enum} NOT NULL,
        quantity {exact} NOT NULL, price {exact} NOT NULL, fee {whole} NOT NULL, filled_at {instant} NOT NULL,
        fill_model TEXT NOT NULL, profit_pessimistic {whole}, profit_optimistic {whole},
        CONSTRAINT pk_fills PRIMARY KEY (fill_id),
        CONSTRAINT fk_fills_order_id_orders FOREIGN KEY(order_id) REFERENCES orders (order_id) ON DELETE RESTRICT,
        CONSTRAINT fk_fills_position_id_positions FOREIGN KEY(position_id) REFERENCES positions (position_id) ON
            DELETE RESTRICT,
        CONSTRAINT fk_fills_run_token_id_instruments FOREIGN KEY(run, token_id) REFERENCES instruments (run,
            token_id) ON DELETE RESTRICT,
        CONSTRAINT ck_fills_role_known CHECK (role IN ('entry', 'stop', 'target', 'exit')),
        CONSTRAINT ck_fills_quantity_positive CHECK (CAST(quantity AS REAL) > 0),
        CONSTRAINT ck_fills_price_positive CHECK (CAST(price AS REAL) > 0),
        CONSTRAINT ck_fills_fee_not_negative CHECK (fee >= 0),
        CONSTRAINT fk_fills_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_fills_seq_not_negative CHECK (seq >= 0),
        CONSTRAINT ck_fills_fee_range CHECK (fee BETWEEN -100000000000000000 AND 100000000000000000),
        CONSTRAINT ck_fills_profit_pessimistic_range CHECK (profit_pessimistic BETWEEN -100000000000000000 AND
            100000000000000000),
        CONSTRAINT ck_fills_profit_optimistic_range CHECK (profit_optimistic BETWEEN -100000000000000000 AND
            100000000000000000)""",
    "marks": """
        seq {whole} NOT NULL, position_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        price {exact} NOT NULL, low {exact} NOT NULL, high {exact} NOT NULL,
        CONSTRAINT pk_marks PRIMARY KEY (position_id, slot),
        CONSTRAINT fk_marks_position_id_positions FOREIGN KEY(position_id) REFERENCES positions (position_id) ON
            DELETE RESTRICT,
        CONSTRAINT ck_marks_price_positive CHECK (CAST(price AS REAL) > 0),
        CONSTRAINT ck_marks_low_positive CHECK (CAST(low AS REAL) > 0),
        CONSTRAINT ck_marks_high_positive CHECK (CAST(high AS REAL) > 0),
        CONSTRAINT fk_marks_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_marks_seq_not_negative CHECK (seq >= 0)""",
    "closings": """
        seq {whole} NOT NULL, position_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        closed_at {instant} NOT NULL, reason {enum} NOT NULL, profit {whole} NOT NULL, mae {exact} NOT NULL,
        mfe {exact} NOT NULL,
        CONSTRAINT pk_closings PRIMARY KEY (position_id),
        CONSTRAINT fk_closings_position_id_positions FOREIGN KEY(position_id) REFERENCES positions (position_id) ON
            DELETE RESTRICT,
        CONSTRAINT ck_closings_reason_known CHECK (reason IN ('stop_hit', 'trailing_stop', 'break_even',
            'target_hit', 'signal_flipped', 'time_stop', 'risk_breaker', 'manual', 'delisted')),
        CONSTRAINT fk_closings_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_closings_seq_not_negative CHECK (seq >= 0),
        CONSTRAINT ck_closings_profit_range CHECK (profit BETWEEN -100000000000000000 AND 100000000000000000)""",
    "journal_entries": """
        seq {whole} NOT NULL, entry_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        cause TEXT NOT NULL, position_id TEXT, at {instant} NOT NULL,
        CONSTRAINT pk_journal_entries PRIMARY KEY (entry_id),
        CONSTRAINT uq_journal_entries_run_cause UNIQUE (run, cause),
        CONSTRAINT fk_journal_entries_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_journal_entries_seq_not_negative CHECK (seq >= 0)""",
    "postings": """
        number {whole} NOT NULL, entry_id TEXT NOT NULL, account {enum} NOT NULL, amount {whole} NOT NULL,
        CONSTRAINT pk_postings PRIMARY KEY (entry_id, account),
        CONSTRAINT fk_postings_entry_id_journal_entries FOREIGN KEY(entry_id) REFERENCES journal_entries (entry_id)
            ON DELETE RESTRICT,
        CONSTRAINT ck_postings_account_known CHECK (account IN ('cash', 'capital', 'position', 'fees', 'profit')),
        CONSTRAINT ck_postings_number_not_negative CHECK (number >= 0),
        CONSTRAINT ck_postings_amount_range CHECK (amount BETWEEN -100000000000000000 AND 100000000000000000)""",
    "equity": """
        seq {whole} NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL, cash {whole} NOT NULL,
        positions_value {whole} NOT NULL, equity {whole} NOT NULL, high_water_mark {whole} NOT NULL,
        drawdown {exact} NOT NULL, exposure {exact} NOT NULL, open_positions {whole} NOT NULL,
        CONSTRAINT pk_equity PRIMARY KEY (run, slot),
        CONSTRAINT ck_equity_open_positions_not_negative CHECK (open_positions >= 0),
        CONSTRAINT fk_equity_run_slot_cycles FOREIGN KEY(run, slot) REFERENCES cycles (run, slot) ON DELETE
            RESTRICT,
        CONSTRAINT ck_equity_seq_not_negative CHECK (seq >= 0),
        CONSTRAINT ck_equity_cash_range CHECK (cash BETWEEN -100000000000000000 AND 100000000000000000),
        CONSTRAINT ck_equity_positions_value_range CHECK (positions_value BETWEEN -100000000000000000 AND
            100000000000000000),
        CONSTRAINT ck_equity_equity_range CHECK (equity BETWEEN -100000000000000000 AND 100000000000000000),
        CONSTRAINT ck_equity_high_water_mark_range CHECK (high_water_mark BETWEEN -100000000000000000 AND
            100000000000000000)""",
    "answers": """
        answer_hash TEXT NOT NULL, body {body} NOT NULL, size {whole} NOT NULL,
        CONSTRAINT pk_answers PRIMARY KEY (answer_hash)""",
    "api_calls": """
        request_id TEXT NOT NULL, at {instant} NOT NULL, known_at {instant} NOT NULL, slot {instant} NOT NULL,
        endpoint TEXT NOT NULL, "query" TEXT NOT NULL, status {whole}, attempts {whole} NOT NULL,
        seconds {real} NOT NULL, size {whole} NOT NULL, rows {whole}, credits {whole} NOT NULL, answer_hash TEXT,
        CONSTRAINT pk_api_calls PRIMARY KEY (request_id),
        CONSTRAINT fk_api_calls_answer_hash_answers FOREIGN KEY(answer_hash) REFERENCES answers (answer_hash) ON
            DELETE RESTRICT,
        CONSTRAINT ck_api_calls_attempts_not_negative CHECK (attempts >= 0),
        CONSTRAINT ck_api_calls_size_not_negative CHECK (size >= 0),
        CONSTRAINT ck_api_calls_credits_not_negative CHECK (credits >= 0)""",
    "signals": """
        signal_id TEXT NOT NULL, provider TEXT NOT NULL, feed TEXT NOT NULL, token_id {whole} NOT NULL,
        stance {enum} NOT NULL, published_at {instant} NOT NULL, known_at {instant} NOT NULL, grade {exact},
        confidence {exact},
        CONSTRAINT pk_signals PRIMARY KEY (provider, feed, token_id, published_at, known_at),
        CONSTRAINT ck_signals_stance_known CHECK (stance IN ('bullish', 'neutral', 'bearish'))""",
    "level_sets": """
        token_id {whole} NOT NULL, published_at {instant} NOT NULL, known_at {instant} NOT NULL,
        CONSTRAINT pk_level_sets PRIMARY KEY (token_id, published_at, known_at)""",
    "levels": """
        token_id {whole} NOT NULL, published_at {instant} NOT NULL, known_at {instant} NOT NULL,
        number {whole} NOT NULL, price {exact} NOT NULL, strength {exact},
        CONSTRAINT pk_levels PRIMARY KEY (token_id, published_at, known_at, number),
        CONSTRAINT fk_levels_token_id_published_at_known_at_level_sets FOREIGN KEY(token_id, published_at, known_at)
            REFERENCES level_sets (token_id, published_at, known_at) ON DELETE RESTRICT,
        CONSTRAINT ck_levels_price_positive CHECK (CAST(price AS REAL) > 0)""",
    "quantmetrics": """
        token_id {whole} NOT NULL, published_at {instant} NOT NULL, known_at {instant} NOT NULL, volatility {exact},
        sharpe {exact}, sortino {exact}, max_drawdown {exact}, cagr {exact},
        CONSTRAINT pk_quantmetrics PRIMARY KEY (token_id, published_at, known_at)""",
    "grades": """
        token_id {whole} NOT NULL, published_at {instant} NOT NULL, known_at {instant} NOT NULL,
        trader_grade {exact}, investor_grade {exact},
        CONSTRAINT pk_grades PRIMARY KEY (token_id, published_at, known_at)""",
    "markets": """
        token_id {whole} NOT NULL, known_at {instant} NOT NULL, market_cap {exact}, volume_24h {exact},
        CONSTRAINT pk_markets PRIMARY KEY (token_id, known_at)""",
    "prints": """
        token_id {whole} NOT NULL, timeframe TEXT NOT NULL, known_at {instant} NOT NULL,
        opened_at {instant} NOT NULL, closed_at {instant} NOT NULL, open {exact} NOT NULL, high {exact} NOT NULL,
        low {exact} NOT NULL, close {exact} NOT NULL,
        CONSTRAINT pk_prints PRIMARY KEY (token_id, timeframe, opened_at),
        CONSTRAINT ck_prints_open_positive CHECK (CAST(open AS REAL) > 0),
        CONSTRAINT ck_prints_high_positive CHECK (CAST(high AS REAL) > 0),
        CONSTRAINT ck_prints_low_positive CHECK (CAST(low AS REAL) > 0),
        CONSTRAINT ck_prints_close_positive CHECK (CAST(close AS REAL) > 0)""",
    "writer_lease": """
        number {serial} NOT NULL, epoch {whole} NOT NULL,
        CONSTRAINT pk_writer_lease PRIMARY KEY (number),
        CONSTRAINT ck_writer_lease_single CHECK (number = 1)""",
}

INDEXES: Mapping[str, tuple[str, ...]] = {
    "instruments": ("token_id",),
    "candidates": ("run, slot",),
    "verdicts": ("run, slot",),
    "orders": ("run, slot", "position_id"),
    "order_events": ("run, slot",),
    "positions": ("run, slot",),
    "fills": ("order_id", "run, slot", "position_id"),
    "marks": ("run, slot",),
    "closings": ("run, slot",),
    "journal_entries": ("run, slot", "cause", "position_id"),
    "equity": ("run, slot",),
    "api_calls": ("at",),
    "signals": ("signal_id", "known_at"),
    "level_sets": ("known_at",),
    "quantmetrics": ("known_at",),
    "grades": ("known_at",),
    "markets": ("known_at",),
    "prints": ("token_id, closed_at", "known_at"),
}

REFUSE_FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only';
END
$$
"""


def upgrade() -> None:
    """Create everything."""
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    spelling, suffix = (SQLITE, " STRICT") if sqlite else (POSTGRESQL, "")
    for table, body in TABLES.items():
        connection.exec_driver_sql(f"CREATE TABLE {table} ({body.format_map(spelling)}){suffix}")
    for table, indexed in INDEXES.items():
        for columns in indexed:
            name = f"ix_{table}_{columns.replace(', ', '_')}"
            connection.exec_driver_sql(f"CREATE INDEX {name} ON {table} ({columns})")
    connection.exec_driver_sql("INSERT INTO writer_lease (number, epoch) VALUES (1, 0)")
    if not sqlite:
        connection.exec_driver_sql(REFUSE_FUNCTION)
    for table in TABLES:
        if table != "writer_lease":
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
