"""Asking a ledger in SQL, with answers that are alike on both databases."""

from datetime import datetime
from decimal import Decimal

from bot.adapters.sql.ledger import SqlLedger
from bot.adapters.sql.reads import Reader


def ask(book: SqlLedger, statement: str) -> list[dict[str, object]]:
    """Ask, and bring PostgreSQL's exact numbers and instants to SQLite's."""
    found = Reader(book.engine.url.render_as_string(hide_password=False)).rows(statement, {})
    return [{name: _alike(value) for name, value in row.items()} for row in found]


def _alike(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value
