"""The tables of the tape: raw answers, and the data read from them.

They belong to no run: data is recorded once, for every run of the ledger.
"""

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint

from bot.adapters.sql.schema.column_types import (
    Real,
    enum,
    exact,
    flag,
    instant,
    not_negative,
    positive,
    real,
    references,
    table,
    text,
    whole,
    word,
)
from bot.domain.signals import Stance
from bot.domain.tape import HoleState

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
    *text("error", "provider_request_id", required=False),
    PrimaryKeyConstraint("request_id"),
    references("answers", "answer_hash"),
    *not_negative("attempts", "size", "credits"),
    Index(None, "at"),
)

api_attempts = table(
    "api_attempts",
    *text("request_id"),
    *whole("number"),
    *whole("status", required=False),
    Column("seconds", Real, nullable=False),
    *real("retry_after"),
    *text("error", "provider_request_id", required=False),
    PrimaryKeyConstraint("request_id", "number"),
    references("api_calls", "request_id"),
)

refusals = table(
    "refusals",
    *text("request_id"),
    *whole("number"),
    *whole("token_id", required=False),
    *text("field", "reason", "value"),
    *flag("whole"),
    PrimaryKeyConstraint("request_id", "number"),
    references("api_calls", "request_id"),
)

# One row for each change of a hole: the newest of its rows says how it stands.
holes = table(
    "holes",
    *text("feed", "missing", "tokens"),
    *instant("starts_at", "ends_at", "known_at"),
    word("state", HoleState),
    *whole("attempts"),
    *instant("next_at", required=False),
    *text("reason"),
    PrimaryKeyConstraint("feed", "starts_at", "ends_at", "tokens", "known_at"),
    *not_negative("attempts"),
    Index(None, "known_at"),
)

pauses = table(
    "pauses",
    *text("host", "key_digest"),
    *instant("known_at", "until"),
    PrimaryKeyConstraint("host", "key_digest", "known_at"),
)

signals = table(
    "signals",
    *text("signal_id", "provider", "feed"),
    *whole("token_id"),
    *enum("stance", Stance),
    *instant("published_at", "known_at"),
    *exact("grade", "confidence", required=False),
    PrimaryKeyConstraint("provider", "feed", "token_id", "published_at", "known_at"),
    Index(None, "known_at"),
    Index(None, "signal_id"),
)

level_sets = table(
    "level_sets",
    *whole("token_id"),
    *instant("published_at", "known_at"),
    *whole("unread", required=False),
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
    *exact("volume", required=False),
    PrimaryKeyConstraint("token_id", "timeframe", "opened_at"),
    *positive("open", "high", "low", "close"),
    Index(None, "known_at"),
    Index(None, "token_id", "closed_at"),
)
