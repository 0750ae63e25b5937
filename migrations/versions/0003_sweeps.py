"""What sweeps tried: a table of its own, outside the chain of any run."""

from alembic import op

revision = "0003"
down_revision = "0002"

SQLITE = {"whole": "INTEGER", "instant": "TEXT", "flag": "INTEGER", "real": "REAL"}
POSTGRESQL = {
    "whole": "BIGINT",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "flag": "BOOLEAN",
    "real": "DOUBLE PRECISION",
}

TRIALS = """
CREATE TABLE trials (
    trial_id TEXT NOT NULL, sweep TEXT NOT NULL, strategy TEXT NOT NULL, parameters TEXT NOT NULL,
    window_from {instant} NOT NULL, window_to {instant} NOT NULL, is_test {flag} NOT NULL, seed {whole} NOT NULL,
    code_version TEXT NOT NULL, strategy_hash TEXT NOT NULL, history_digest TEXT NOT NULL, cash {whole} NOT NULL,
    schedule TEXT, slots {whole} NOT NULL, days {whole} NOT NULL, trades {whole} NOT NULL,
    open_positions {whole} NOT NULL, wins {whole} NOT NULL, losses {whole} NOT NULL, final_equity {whole} NOT NULL,
    total_return {real}, cagr {real}, sharpe {real}, sortino {real}, calmar {real}, max_drawdown {real},
    max_drawdown_amount {real}, win_rate {real}, profit_factor {real}, expectancy {real}, expectancy_r {real},
    sqn {real}, exposure_time {real}, turnover {real}, skewness {real}, kurtosis {real}, reasons TEXT NOT NULL,
    CONSTRAINT pk_trials PRIMARY KEY (trial_id),
    CONSTRAINT ck_trials_cash_positive CHECK (cash > 0),
    CONSTRAINT ck_trials_seed_not_negative CHECK (seed >= 0),
    CONSTRAINT ck_trials_slots_not_negative CHECK (slots >= 0),
    CONSTRAINT ck_trials_days_not_negative CHECK (days >= 0),
    CONSTRAINT ck_trials_trades_not_negative CHECK (trades >= 0),
    CONSTRAINT ck_trials_open_positions_not_negative CHECK (open_positions >= 0),
    CONSTRAINT ck_trials_wins_not_negative CHECK (wins >= 0),
    CONSTRAINT ck_trials_losses_not_negative CHECK (losses >= 0),
    CONSTRAINT ck_trials_cash_range CHECK (cash BETWEEN -100000000000000000 AND 100000000000000000),
    CONSTRAINT ck_trials_final_equity_range CHECK (final_equity BETWEEN -100000000000000000 AND 100000000000000000)
)"""


def upgrade() -> None:
    """Add the table with its index and triggers."""
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql(TRIALS.format_map(SQLITE if sqlite else POSTGRESQL) + (" STRICT" if sqlite else ""))
    connection.exec_driver_sql("CREATE INDEX ix_trials_sweep ON trials (sweep)")
    if not sqlite:
        connection.exec_driver_sql(
            "CREATE TRIGGER trials_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON trials"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        return
    for change in ("update", "delete"):
        connection.exec_driver_sql(
            f"CREATE TRIGGER trials_no_{change} BEFORE {change.upper()} ON trials"
            " BEGIN SELECT RAISE(ABORT, 'trials is append-only'); END"
        )
