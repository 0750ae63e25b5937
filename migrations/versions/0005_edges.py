"""What the edges need: the deepest drawdown and the benchmark of a slot, volumes, and reasons that may grow.

Every column that is added may be NULL and stands last: the chain of what was committed before stays as it is.
"""

from collections.abc import Mapping

from alembic import op

revision = "0005"
down_revision = "0004"

RANGE = {"least": "-100000000000000000", "most": "100000000000000000"}
SQLITE = {**RANGE, "exact": "TEXT", "whole": "INTEGER", "instant": "TEXT", "enum": "TEXT"}
POSTGRESQL = {
    **RANGE,
    "exact": "NUMERIC(38, 18)",
    "whole": "BIGINT",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "enum": "VARCHAR",
}

COLUMNS = (
    ("equity", "drawdown_deepest", "{exact}"),
    ("equity", "drawdown_high", "{money}"),
    ("equity", "drawdown_started_at", "{instant}"),
    ("equity", "drawdown_trough_at", "{instant}"),
    ("equity", "drawdown_recovered_at", "{instant}"),
    ("equity", "benchmark", "{money}"),
    ("prints", "volume", "{exact}"),
)
MONEY = "{whole} CONSTRAINT ck_{table}_{name}_range CHECK ({name} BETWEEN {least} AND {most})"

TABLES: Mapping[str, str] = {
    "benchmark_parts": """
        seq {whole} NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL, token_id {whole} NOT NULL, price {exact},
        worth {exact} NOT NULL,
        CONSTRAINT pk_benchmark_parts PRIMARY KEY (run, token_id, slot),
        CONSTRAINT fk_benchmark_parts_run_token_id_instruments FOREIGN KEY(run, token_id)
            REFERENCES instruments (run, token_id) ON DELETE RESTRICT,
        CONSTRAINT ck_benchmark_parts_price_positive CHECK (CAST(price AS REAL) > 0),
        CONSTRAINT fk_benchmark_parts_run_slot_cycles FOREIGN KEY(run, slot)
            REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_benchmark_parts_seq_not_negative CHECK (seq >= 0)""",
}

# Tables whose CHECK of a reason goes. SQLite cannot drop one: the table is made anew, and its rows are copied.
WITHOUT_CHECK: Mapping[str, str] = {
    "stop_moves": """
        seq {whole} NOT NULL, position_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        number {whole} NOT NULL, moved_at {instant} NOT NULL, price {exact} NOT NULL, reason {enum} NOT NULL,
        level {exact},
        CONSTRAINT pk_stop_moves PRIMARY KEY (position_id, number),
        CONSTRAINT fk_stop_moves_position_id_positions FOREIGN KEY(position_id)
            REFERENCES positions (position_id) ON DELETE RESTRICT,
        CONSTRAINT ck_stop_moves_price_positive CHECK (CAST(price AS REAL) > 0),
        CONSTRAINT ck_stop_moves_level_positive CHECK (CAST(level AS REAL) > 0),
        CONSTRAINT ck_stop_moves_number_not_negative CHECK (number >= 0),
        CONSTRAINT fk_stop_moves_run_slot_cycles FOREIGN KEY(run, slot)
            REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_stop_moves_seq_not_negative CHECK (seq >= 0)""",
    "closings": """
        seq {whole} NOT NULL, position_id TEXT NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL,
        closed_at {instant} NOT NULL, reason {enum} NOT NULL, profit {whole} NOT NULL, mae {exact} NOT NULL,
        mfe {exact} NOT NULL,
        CONSTRAINT pk_closings PRIMARY KEY (position_id),
        CONSTRAINT fk_closings_position_id_positions FOREIGN KEY(position_id)
            REFERENCES positions (position_id) ON DELETE RESTRICT,
        CONSTRAINT ck_closings_profit_range CHECK (profit BETWEEN {least} AND {most}),
        CONSTRAINT fk_closings_run_slot_cycles FOREIGN KEY(run, slot)
            REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_closings_seq_not_negative CHECK (seq >= 0)""",
}


def upgrade() -> None:
    """Add the columns and the table, and let reasons grow."""
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    spelling, suffix = (SQLITE, " STRICT") if sqlite else (POSTGRESQL, "")
    for table, name, kind in COLUMNS:
        money = MONEY.format_map({**spelling, "table": table, "name": name})
        column = kind.format_map({**spelling, "money": money})
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {name} {column}")
    for table, body in TABLES.items():
        connection.exec_driver_sql(f"CREATE TABLE {table} ({body.format_map(spelling)}){suffix}")
        _finish(table, sqlite=sqlite)
    for table, body in WITHOUT_CHECK.items():
        if sqlite:
            connection.exec_driver_sql(f"CREATE TABLE {table}_anew ({body.format_map(spelling)}){suffix}")
            connection.exec_driver_sql(f"INSERT INTO {table}_anew SELECT * FROM {table}")  # noqa: S608 - our own names
            connection.exec_driver_sql(f"DROP TABLE {table}")
            connection.exec_driver_sql(f"ALTER TABLE {table}_anew RENAME TO {table}")
            _finish(table, sqlite=sqlite)
        else:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_reason_known")


def _finish(table: str, *, sqlite: bool) -> None:
    """Create a table's index, and the triggers that refuse changes to it."""
    connection = op.get_bind()
    connection.exec_driver_sql(f"CREATE INDEX ix_{table}_run_slot ON {table} (run, slot)")
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
