"""The tables of a cycle's facts; a column has the name of the field that it holds.

A column that is added later comes last in its table and may be NULL, so that the hash chain of
earlier cycles stays the same. New reasons and kinds of events appear over time: only the code
lists them, no CHECK does.
"""

from sqlalchemy import Index, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.schema import SchemaItem

from bot.adapters.sql.schema.column_types import (
    enum,
    exact,
    flag,
    instant,
    money,
    not_negative,
    positive,
    references,
    table,
    text,
    whole,
    word,
)
from bot.domain.books import Account
from bot.domain.decisions import Comparator, Outcome
from bot.domain.events import EventKind, EventState
from bot.domain.orders import Anchor, OrderState, Role, Side
from bot.domain.positions import ExitReason


def _fact_table(name: str, *parts: SchemaItem) -> Table:
    """Make a table with what every fact of a cycle has: its cycle, and its place in the cycle."""
    return table(
        name,
        *whole("seq"),
        *parts,
        *not_negative("seq"),
        references("cycles", "run", "slot"),
        Index(None, "run", "slot"),
    )


candidates = _fact_table(
    "candidates",
    *text("candidate_id", "run"),
    *instant("slot"),
    *whole("token_id"),
    *text("signal_id"),
    *enum("outcome", Outcome),
    *text("first_reason", required=False),
    *flag("complete"),
    *whole("rank"),
    *exact("reference_price", "stop", "target", required=False),
    *text("stop_source", "target_source", required=False),
    *exact("stop_level", "target_level", "reward_risk", "quantity", required=False),
    *text("size_bound", required=False),
    *enum("side", Side, required=False),
    PrimaryKeyConstraint("candidate_id"),
    references("instruments", "run", "token_id"),
    *positive("reference_price"),
)

candidate_levels = _fact_table(
    "candidate_levels",
    *text("candidate_id", "run"),
    *instant("slot"),
    *whole("number"),
    *exact("price"),
    *exact("strength", required=False),
    *text("strength_source", required=False),
    *whole("merged"),
    PrimaryKeyConstraint("candidate_id", "number"),
    references("candidates", "candidate_id"),
    *positive("price", "merged"),
    *not_negative("number"),
)

verdicts = _fact_table(
    "verdicts",
    *text("candidate_id", "run"),
    *instant("slot"),
    *whole("number"),
    *text("gate"),
    *exact("value", required=False),
    *enum("comparator", Comparator),
    *exact("threshold", required=False),
    *flag("passed"),
    *text("reason", required=False),
    PrimaryKeyConstraint("candidate_id", "gate"),
    references("candidates", "candidate_id"),
)

orders = _fact_table(
    "orders",
    *text("order_id", "run"),
    *instant("slot"),
    *text("position_id", "signal_id"),
    *whole("token_id"),
    *enum("side", Side),
    *enum("role", Role),
    *whole("ordinal", "rank"),
    *exact("quantity", "price"),
    *text("reason", required=False),
    *exact("stop", "target", required=False),
    *text("stop_source", "target_source", required=False),
    *whole("part", required=False),
    *exact("share", required=False),
    *money("equity", required=False),
    *instant("cut_off", required=False),
    *exact("drawdown", "weight", required=False),
    word("anchor", Anchor, required=False),
    PrimaryKeyConstraint("order_id"),
    references("instruments", "run", "token_id"),
    *positive("quantity", "price", "stop", "target", "part", "share"),
    *not_negative("ordinal"),
    Index(None, "position_id"),
)

order_events = _fact_table(
    "order_events",
    *text("order_id", "run"),
    *instant("slot"),
    *enum("state", OrderState),
    *text("reason", required=False),
    PrimaryKeyConstraint("order_id", "state"),
    references("orders", "order_id"),
)

positions = _fact_table(
    "positions",
    *text("position_id", "run"),
    *instant("slot"),
    *whole("token_id", "ordinal", "order_ordinal"),
    *text("signal_id"),
    *enum("side", Side),
    *exact("quantity", "entry_price"),
    *instant("opened_at"),
    *exact("stop_initial", "target", required=False),
    *text("stop_source", "target_source"),
    *exact("stop_level", "target_level", required=False),
    PrimaryKeyConstraint("position_id"),
    references("instruments", "run", "token_id"),
    UniqueConstraint("run", "token_id", "ordinal"),
    *positive("quantity", "entry_price", "stop_initial", "target"),
    *not_negative("ordinal", "order_ordinal"),
)

fills = _fact_table(
    "fills",
    *text("fill_id", "order_id", "run"),
    *instant("slot"),
    *text("position_id"),
    *whole("token_id"),
    *enum("role", Role),
    *exact("quantity", "price"),
    *money("fee"),
    *instant("filled_at"),
    *text("fill_model"),
    *money("profit_pessimistic", "profit_optimistic", required=False),
    PrimaryKeyConstraint("fill_id"),
    references("orders", "order_id"),
    references("positions", "position_id"),
    references("instruments", "run", "token_id"),
    *positive("quantity", "price"),
    *not_negative("fee"),
    Index(None, "order_id"),
    Index(None, "position_id"),
)

stop_moves = _fact_table(
    "stop_moves",
    *text("position_id", "run"),
    *instant("slot"),
    *whole("number"),
    *instant("moved_at"),
    *exact("price"),
    word("reason", ExitReason),
    *exact("level", required=False),
    PrimaryKeyConstraint("position_id", "number"),
    references("positions", "position_id"),
    *positive("price", "level"),
    *not_negative("number"),
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
    word("reason", ExitReason),
    *money("profit"),
    *exact("mae", "mfe"),
    PrimaryKeyConstraint("position_id"),
    references("positions", "position_id"),
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
    *enum("account", Account),
    *money("amount"),
    PrimaryKeyConstraint("entry_id", "account"),
    references("journal_entries", "entry_id"),
    *not_negative("number"),
)

equity = _fact_table(
    "equity",
    *text("run"),
    *instant("slot"),
    *money("cash", "positions_value", "equity", "high_water_mark"),
    *exact("drawdown", "exposure"),
    *whole("open_positions"),
    *exact("drawdown_deepest", required=False),
    *money("drawdown_high", required=False),
    *instant("drawdown_started_at", "drawdown_trough_at", "drawdown_recovered_at", required=False),
    *money("benchmark", required=False),
    PrimaryKeyConstraint("run", "slot"),
    *not_negative("open_positions"),
)

benchmark_parts = _fact_table(
    "benchmark_parts",
    *text("run"),
    *instant("slot"),
    *whole("token_id"),
    *exact("price", required=False),
    *exact("worth"),
    PrimaryKeyConstraint("run", "token_id", "slot"),
    references("instruments", "run", "token_id"),
    *positive("price"),
)

run_events = _fact_table(
    "run_events",
    *text("run"),
    *instant("slot"),
    *whole("number"),
    word("kind", EventKind),
    *text("name"),
    *enum("state", EventState),
    *text("notice"),
    *exact("value", "threshold", required=False),
    *text("action", required=False),
    *instant("until", required=False),
    *money("equity", required=False),
    *whole("token_id", required=False),
    *text("request_id", required=False),
    PrimaryKeyConstraint("run", "slot", "number"),
    *not_negative("number"),
    Index(None, "request_id"),
)
