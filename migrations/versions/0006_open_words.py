"""Words that grow are no CHECKs any more, and an entry names its anchor.

The column that is added may be NULL and stands last: the chain of what was committed before stays as it is.
"""

from collections.abc import Mapping

from alembic import op

revision = "0006"
down_revision = "0005"

SQLITE = {"exact": "TEXT", "whole": "INTEGER", "instant": "TEXT", "enum": "TEXT"}
# Tables whose CHECK of a word goes. SQLite cannot drop one: the table is made anew, and its rows are copied.
WITHOUT_CHECK: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "run_events": (
        "kind",
        ("run, slot", "request_id"),
        """
        seq {whole} NOT NULL, run TEXT NOT NULL, slot {instant} NOT NULL, number {whole} NOT NULL, kind {enum} NOT NULL,
        name TEXT NOT NULL, state {enum} NOT NULL, notice TEXT NOT NULL, value {exact}, threshold {exact}, action TEXT,
        until {instant}, equity {whole}, token_id {whole}, request_id TEXT,
        CONSTRAINT pk_run_events PRIMARY KEY (run, slot, number),
        CONSTRAINT ck_run_events_state_known CHECK (state IN ('tripped', 'reset', 'applied', 'raised')),
        CONSTRAINT ck_run_events_number_not_negative CHECK (number >= 0),
        CONSTRAINT ck_run_events_equity_range CHECK (equity BETWEEN -100000000000000000 AND 100000000000000000),
        CONSTRAINT fk_run_events_run_slot_cycles FOREIGN KEY(run, slot)
            REFERENCES cycles (run, slot) ON DELETE RESTRICT,
        CONSTRAINT ck_run_events_seq_not_negative CHECK (seq >= 0)""",
    ),
    "requests": (
        "act",
        ("run",),
        """
        request_id TEXT NOT NULL, run TEXT NOT NULL, act {enum} NOT NULL, token_id {whole}, asked_at {instant} NOT NULL,
        CONSTRAINT pk_requests PRIMARY KEY (request_id),
        CONSTRAINT fk_requests_run_runs FOREIGN KEY(run) REFERENCES runs (name) ON DELETE RESTRICT""",
    ),
}


def upgrade() -> None:
    """Let event kinds and operators' acts grow, and add the anchor of an entry."""
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql(f"ALTER TABLE orders ADD COLUMN anchor {'TEXT' if is_sqlite else 'VARCHAR'}")
    for table, (column, indexes, body) in WITHOUT_CHECK.items():
        if not is_sqlite:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{column}_known")
            continue
        connection.exec_driver_sql(f"CREATE TABLE {table}_anew ({body.format_map(SQLITE)}) STRICT")
        connection.exec_driver_sql(f"INSERT INTO {table}_anew SELECT * FROM {table}")  # noqa: S608 - our own names
        connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql(f"ALTER TABLE {table}_anew RENAME TO {table}")
        for indexed in indexes:
            name = f"ix_{table}_{indexed.replace(', ', '_')}"
            connection.exec_driver_sql(f"CREATE INDEX {name} ON {table} ({indexed})")
        for change in ("update", "delete"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_no_{change} BEFORE {change.upper()} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
