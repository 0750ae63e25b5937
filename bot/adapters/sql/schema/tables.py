"""The tables of runs, cycles, requests, trials and checks, and the writer's lease.

Every table except the writer's lease is append-only. A column that is added later comes last in its
table; the hash chain does not cover it while it is NULL.
"""

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, UniqueConstraint

from bot.adapters.sql.schema.column_types import (
    enum,
    exact,
    flag,
    instant,
    money,
    not_negative,
    positive,
    real,
    references,
    table,
    text,
    whole,
    word,
)
from bot.domain.events import Act
from bot.domain.record import CycleState


def _of_run() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["run"], ["runs.name"], ondelete="RESTRICT")


runs = table(
    "runs",
    *text("name", "strategy"),
    *money("cash"),
    *text("identity", required=False),
    *instant("started_at"),
    PrimaryKeyConstraint("name"),
    CheckConstraint("cash > 0", name="cash_positive"),
)

instruments = table(
    "instruments",
    *text("run"),
    *whole("token_id"),
    *text("symbol", "name"),
    *exact("quantity_step"),
    *exact("price_tick", required=False),
    *text("category", required=False),
    PrimaryKeyConstraint("run", "token_id"),
    _of_run(),
    *positive("quantity_step", "price_tick"),
    Index(None, "token_id"),
)

config_versions = table("config_versions", *text("config_hash", "text"), PrimaryKeyConstraint("config_hash"))

cycles = table(
    "cycles",
    *text("run"),
    *instant("slot"),
    *enum("state", CycleState),
    *instant("cut_off", "settled_until", "started_at", "finished_at"),
    *whole("entries", "exits", "rejections"),
    *text("config_hash", "code_version", "contents", "previous_hash", "hash"),
    PrimaryKeyConstraint("run", "slot"),
    _of_run(),
    references("config_versions", "config_hash"),
    UniqueConstraint("run", "previous_hash"),
    *not_negative("entries", "exits", "rejections"),
)

# Requests are added beside the writer: they are not facts of a cycle, and the chain does not cover
# them.
requests = table(
    "requests",
    *text("request_id", "run"),
    word("act", Act),
    *whole("token_id", required=False),
    *instant("asked_at"),
    PrimaryKeyConstraint("request_id"),
    _of_run(),
    Index(None, "run"),
)

# Trials are added beside the writer too, and belong to no run.
trials = table(
    "trials",
    *text("trial_id", "sweep", "strategy", "parameters"),
    *instant("window_from", "window_to"),
    *flag("is_test"),
    *whole("seed"),
    *text("code_version", "strategy_hash", "history_digest"),
    *money("cash"),
    *text("schedule", required=False),
    *whole("slots", "days", "trades", "open_positions", "wins", "losses"),
    *money("final_equity"),
    *real(
        "total_return", "cagr", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_amount", "win_rate"
    ),
    *real(
        "profit_factor",
        "expectancy",
        "expectancy_r",
        "sqn",
        "exposure_time",
        "turnover",
        "skewness",
        "kurtosis",
    ),
    *text("reasons"),
    PrimaryKeyConstraint("trial_id"),
    CheckConstraint("cash > 0", name="cash_positive"),
    *not_negative("seed", "slots", "days", "trades", "open_positions", "wins", "losses"),
    Index(None, "sweep"),
)

# Parity checks are made later and added beside the writer: they are not facts of a cycle either.
parity_checks = table(
    "parity_checks",
    *text("run"),
    *instant("checked_at", "first_slot", "last_slot"),
    *whole("cycles", "answers"),
    *text("row_hash", "code_version"),
    *text("kind", required=False),
    *instant("differs_at", required=False),
    *text("what", "stored", "derived", required=False),
    PrimaryKeyConstraint("run", "checked_at"),
    _of_run(),
    *not_negative("cycles", "answers"),
)

# Tries of a slot that committed nothing: added beside the writer, before any cycle of the slot.
failed_tries = table(
    "failed_tries",
    *text("run"),
    *instant("slot"),
    *whole("attempt"),
    *instant("at"),
    *text("reason"),
    PrimaryKeyConstraint("run", "slot", "attempt", "at"),
    _of_run(),
)

writer_lease = table(
    "writer_lease",
    *whole("number", "epoch"),
    PrimaryKeyConstraint("number"),
    CheckConstraint("number = 1", name="single"),
)
