"""Whether a live run could be derived again: a table of its own, outside the chain of any run."""

from alembic import op

revision = "0004"
down_revision = "0003"

SQLITE = {"whole": "INTEGER", "instant": "TEXT"}
POSTGRESQL = {"whole": "BIGINT", "instant": "TIMESTAMP WITH TIME ZONE"}

CHECKS = """
CREATE TABLE parity_checks (
    run TEXT NOT NULL, checked_at {instant} NOT NULL, first_slot {instant} NOT NULL, last_slot {instant} NOT NULL,
    cycles {whole} NOT NULL, answers {whole} NOT NULL, row_hash TEXT NOT NULL, code_version TEXT NOT NULL, kind TEXT,
    differs_at {instant}, what TEXT, stored TEXT, derived TEXT,
    CONSTRAINT pk_parity_checks PRIMARY KEY (run, checked_at),
    CONSTRAINT fk_parity_checks_run_runs FOREIGN KEY(run) REFERENCES runs (name) ON DELETE RESTRICT,
    CONSTRAINT ck_parity_checks_cycles_not_negative CHECK (cycles >= 0),
    CONSTRAINT ck_parity_checks_answers_not_negative CHECK (answers >= 0)
)"""


def upgrade() -> None:
    """Add the table and the triggers that refuse changes to it."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(CHECKS.format_map(POSTGRESQL))
        connection.exec_driver_sql(
            "CREATE TRIGGER parity_checks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON parity_checks"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    connection.exec_driver_sql(f"{CHECKS.format_map(SQLITE)} STRICT")
    for change in ("update", "delete"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER parity_checks_no_{change} BEFORE {change.upper()} ON parity_checks"
            " BEGIN SELECT RAISE(ABORT, 'parity_checks is append-only'); END"
        )
