"""What the source did not give: attempts, refusals, holes, pauses and failed tries, each a row.

Every column that is added may be NULL and stands last.
"""

from collections.abc import Mapping

from alembic import op

revision = "0008"
down_revision = "0007"

SQLITE = {"whole": "INTEGER", "instant": "TEXT", "real": "REAL", "flag": "INTEGER", "word": "TEXT"}
POSTGRESQL = {
    "whole": "BIGINT",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "real": "DOUBLE PRECISION",
    "flag": "BOOLEAN",
    "word": "VARCHAR",
}

COLUMNS = (
    ("api_calls", "error", "TEXT"),
    ("api_calls", "provider_request_id", "TEXT"),
    ("level_sets", "unread", "{whole}"),
)

TABLES: Mapping[str, str] = {
    "api_attempts": """
        request_id TEXT NOT NULL, number {whole} NOT NULL, status {whole}, seconds {real} NOT NULL, retry_after {real},
        error TEXT, provider_request_id TEXT,
        CONSTRAINT pk_api_attempts PRIMARY KEY (request_id, number),
        CONSTRAINT fk_api_attempts_request_id_api_calls FOREIGN KEY(request_id)
            REFERENCES api_calls (request_id) ON DELETE RESTRICT""",
    "refusals": """
        request_id TEXT NOT NULL, number {whole} NOT NULL, token_id {whole}, field TEXT NOT NULL, reason TEXT NOT NULL,
        value TEXT NOT NULL, whole {flag} NOT NULL,
        CONSTRAINT pk_refusals PRIMARY KEY (request_id, number),
        CONSTRAINT fk_refusals_request_id_api_calls FOREIGN KEY(request_id)
            REFERENCES api_calls (request_id) ON DELETE RESTRICT""",
    "holes": """
        feed TEXT NOT NULL, missing TEXT NOT NULL, tokens TEXT NOT NULL, starts_at {instant} NOT NULL,
        ends_at {instant} NOT NULL, known_at {instant} NOT NULL, state {word} NOT NULL, attempts {whole} NOT NULL,
        next_at {instant}, reason TEXT NOT NULL,
        CONSTRAINT pk_holes PRIMARY KEY (feed, starts_at, ends_at, tokens, known_at),
        CONSTRAINT ck_holes_attempts_not_negative CHECK (attempts >= 0)""",
    "pauses": """
        host TEXT NOT NULL, key_digest TEXT NOT NULL, known_at {instant} NOT NULL, until {instant} NOT NULL,
        CONSTRAINT pk_pauses PRIMARY KEY (host, key_digest, known_at)""",
    "failed_tries": """
        run TEXT NOT NULL, slot {instant} NOT NULL, attempt {whole} NOT NULL, at {instant} NOT NULL,
        reason TEXT NOT NULL,
        CONSTRAINT pk_failed_tries PRIMARY KEY (run, slot, attempt, at),
        CONSTRAINT fk_failed_tries_run_runs FOREIGN KEY(run) REFERENCES runs (name) ON DELETE RESTRICT""",
}


def upgrade() -> None:
    """Add the columns, and the tables with their triggers that refuse changes."""
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    spelling, suffix = (SQLITE, " STRICT") if sqlite else (POSTGRESQL, "")
    for table, name, kind in COLUMNS:
        connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {name} {kind.format_map(spelling)}")
    for table, body in TABLES.items():
        connection.exec_driver_sql(f"CREATE TABLE {table} ({body.format_map(spelling)}){suffix}")
        _refuse_changes(table, sqlite=sqlite)
    connection.exec_driver_sql("CREATE INDEX ix_holes_known_at ON holes (known_at)")


def _refuse_changes(table: str, *, sqlite: bool) -> None:
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
