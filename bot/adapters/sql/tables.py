"""The ledger's tables, columns named as the fields of the facts they hold.

Every table but the writer's lease is append-only. Of a column added later the chain knows nothing as long as it is NULL
and stands last in its table.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

from bot.adapters.sql.columns import (
    Real,
    enum,
    exact,
    flag,
    instant,
    money,
    not_negative,
    one_of,
    positive,
    references,
    table,
    text,
    whole,
)
from bot.domain.books import Account
from bot.domain.decisions import Comparator, Outcome
from bot.domain.orders import OrderState, Role, Side
from bot.domain.positions import ExitReason
from bot.domain.record import CycleState
from bot.domain.signals import Stance

# Wider than the enum: the reasons are a public contract, and a new rule must not need a new table.
EXIT_REASONS = (
    "stop_hit",
    "trailing_stop",
    "break_even",
    "target_hit",
    "signal_flipped",
    "time_stop",
    "risk_breaker",
    "manual",
    "delisted",
)


def _fact_table(name: str, *parts: SchemaItem) -> Table:
    """Add what every fact of a cycle has: its place in the cycle, and the cycle it belongs to."""
    cycle = ForeignKeyConstraint(["run", "slot"], ["cycles.run", "cycles.slot"], ondelete="RESTRICT")
    return table(name, *whole("seq"), *parts, *not_negative("seq"), cycle, Index(None, "run", "slot"))


def _of_instrument() -> ForeignKeyConstraint:
    return references("instruments", "run", "token_id")


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
    enum("state", CycleState),
    *instant("cut_off", "settled_until", "started_at", "finished_at"),
    *whole("entries", "exits", "rejections"),
    *text("config_hash", "code_version", "contents", "previous_hash", "hash"),
    PrimaryKeyConstraint("run", "slot"),
    _of_run(),
    references("config_versions", "config_hash"),
    UniqueConstraint("run", "previous_hash"),
    one_of("state", CycleState),
    *not_negative("entries", "exits", "rejections"),
)

candidates = _fact_table(
    "candidates",
    *text("candidate_id", "run"),
    *instant("slot"),
    *whole("token_id"),
    *text("signal_id"),
    enum("outcome", Outcome),
    *text("first_reason", required=False),
    *flag("complete"),
    *whole("rank"),
    *exact("reference_price", "stop", "target", required=False),
    *text("stop_source", "target_source", required=False),
    *exact("stop_level", "target_level", "reward_risk", "quantity", required=False),
    *text("size_bound", required=False),
    PrimaryKeyConstraint("candidate_id"),
    _of_instrument(),
    one_of("outcome", Outcome),
    *positive("reference_price"),
)

verdicts = _fact_table(
    "verdicts",
    *text("candidate_id", "run"),
    *instant("slot"),
    *whole("number"),
    *text("gate"),
    *exact("value", required=False),
    enum("comparator", Comparator),
    *exact("threshold", required=False),
    *flag("passed"),
    *text("reason", required=False),
    PrimaryKeyConstraint("candidate_id", "gate"),
    references("candidates", "candidate_id"),
    one_of("comparator", Comparator),
)

orders = _fact_table(
    "orders",
    *text("order_id", "run"),
    *instant("slot"),
    *text("position_id", "signal_id"),
    *whole("token_id"),
    enum("side", Side),
    enum("role", Role),
    *whole("ordinal", "rank"),
    *exact("quantity", "price"),
    *text("reason", required=False),
    *exact("stop", "target", required=False),
    *text("stop_source", "target_source", required=False),
    PrimaryKeyConstraint("order_id"),
    _of_instrument(),
    one_of("side", Side),
    one_of("role", Role),
    *positive("quantity", "price", "stop", "target"),
    *not_negative("ordinal"),
    Index(None, "position_id"),
)

order_events = _fact_table(
    "order_events",
    *text("order_id", "run"),
    *instant("slot"),
    enum("state", OrderState),
    *text("reason", required=False),
    PrimaryKeyConstraint("order_id", "state"),
    references("orders", "order_id"),
    one_of("state", OrderState),
)

positions = _fact_table(
    "positions",
    *text("position_id", "run"),
    *instant("slot"),
    *whole("token_id", "ordinal", "order_ordinal"),
    *text("signal_id"),
    enum("side", Side),
    *exact("quantity", "entry_price"),
    *instant("opened_at"),
    *exact("stop_initial", "target", required=False),
    *text("stop_source", "target_source"),
    PrimaryKeyConstraint("position_id"),
    _of_instrument(),
    UniqueConstraint("run", "token_id", "ordinal"),
    one_of("side", Side),
    *positive("quantity", "entry_price", "stop_initial", "target"),
    *not_negative("ordinal", "order_ordinal"),
)

fills = _fact_table(
    "fills",
    *text("fill_id", "order_id", "run"),
    *instant("slot"),
    *text("position_id"),
    *whole("token_id"),
    enum("role", Role),
    *exact("quantity", "price"),
    *money("fee"),
    *instant("filled_at"),
    *text("fill_model"),
    *money("profit_pessimistic", "profit_optimistic", required=False),
    PrimaryKeyConstraint("fill_id"),
    references("orders", "order_id"),
    references("positions", "position_id"),
    _of_instrument(),
    one_of("role", Role),
    *positive("quantity", "price"),
    *not_negative("fee"),
    Index(None, "order_id"),
    Index(None, "position_id"),
)

marks = _fact_table(
    "marks",
    *text("position_id", "run"),
    *instant("slot"),
    *exact("price", "low", "high"),
    PrimaryKeyConstraint("position_id", "slot"),
    references("positions", "position_id"),
    *positive("price", "low", "high"),
)

closings = _fact_table(
    "closings",
    *text("position_id", "run"),
    *instant("slot", "closed_at"),
    enum("reason", ExitReason),
    *money("profit"),
    *exact("mae", "mfe"),
    PrimaryKeyConstraint("position_id"),
    references("positions", "position_id"),
    one_of("reason", EXIT_REASONS),
)

journal_entries = _fact_table(
    "journal_entries",
    *text("entry_id", "run"),
    *instant("slot"),
    *text("cause"),
    *text("position_id", required=False),
    *instant("at"),
    PrimaryKeyConstraint("entry_id"),
    UniqueConstraint("run", "cause"),
    Index(None, "cause"),
    Index(None, "position_id"),
)

postings = table(
    "postings",
    *whole("number"),
    *text("entry_id"),
    enum("account", Account),
    *money("amount"),
    PrimaryKeyConstraint("entry_id", "account"),
    references("journal_entries", "entry_id"),
    one_of("account", Account),
    *not_negative("number"),
)

equity = _fact_table(
    "equity",
    *text("run"),
    *instant("slot"),
    *money("cash", "positions_value", "equity", "high_water_mark"),
    *exact("drawdown", "exposure"),
    *whole("open_positions"),
    PrimaryKeyConstraint("run", "slot"),
    *not_negative("open_positions"),
)

answers = table(
    "answers",
    *text("answer_hash"),
    Column("body", LargeBinary(), nullable=False),
    *whole("size"),
    PrimaryKeyConstraint("answer_hash"),
)

api_calls = table(
    "api_calls",
    *text("request_id"),
    *instant("at", "known_at", "slot"),
    *text("endpoint", "query"),
    *whole("status", required=False),
    *whole("attempts"),
    Column("seconds", Real, nullable=False),
    *whole("size"),
    *whole("rows", required=False),
    *whole("credits"),
    *text("answer_hash", required=False),
    PrimaryKeyConstraint("request_id"),
    references("answers", "answer_hash"),
    *not_negative("attempts", "size", "credits"),
    Index(None, "at"),
)

signals = table(
    "signals",
    *text("signal_id", "provider", "feed"),
    *whole("token_id"),
    enum("stance", Stance),
    *instant("published_at", "known_at"),
    *exact("grade", "confidence", required=False),
    PrimaryKeyConstraint("provider", "feed", "token_id", "published_at", "known_at"),
    one_of("stance", Stance),
    Index(None, "known_at"),
    Index(None, "signal_id"),
)

level_sets = table(
    "level_sets",
    *whole("token_id"),
    *instant("published_at", "known_at"),
    PrimaryKeyConstraint("token_id", "published_at", "known_at"),
    Index(None, "known_at"),
)

levels = table(
    "levels",
    *whole("token_id"),
    *instant("published_at", "known_at"),
    *whole("number"),
    *exact("price"),
    *exact("strength", required=False),
    PrimaryKeyConstraint("token_id", "published_at", "known_at", "number"),
    references("level_sets", "token_id", "published_at", "known_at"),
    *positive("price"),
)

quantmetrics = table(
    "quantmetrics",
    *whole("token_id"),
    *instant("published_at", "known_at"),
    *exact("volatility", "sharpe", "sortino", "max_drawdown", "cagr", required=False),
    PrimaryKeyConstraint("token_id", "published_at", "known_at"),
    Index(None, "known_at"),
)

grades = table(
    "grades",
    *whole("token_id"),
    *instant("published_at", "known_at"),
    *exact("trader_grade", "investor_grade", required=False),
    PrimaryKeyConstraint("token_id", "published_at", "known_at"),
    Index(None, "known_at"),
)

markets = table(
    "markets",
    *whole("token_id"),
    *instant("known_at"),
    *exact("market_cap", "volume_24h", required=False),
    PrimaryKeyConstraint("token_id", "known_at"),
    Index(None, "known_at"),
)

prints = table(
    "prints",
    *whole("token_id"),
    *text("timeframe"),
    *instant("known_at", "opened_at", "closed_at"),
    *exact("open", "high", "low", "close"),
    PrimaryKeyConstraint("token_id", "timeframe", "opened_at"),
    *positive("open", "high", "low", "close"),
    Index(None, "known_at"),
    Index(None, "token_id", "closed_at"),
)

writer_lease = table(
    "writer_lease",
    *whole("number", "epoch"),
    PrimaryKeyConstraint("number"),
    CheckConstraint("number = 1", name="single"),
)
