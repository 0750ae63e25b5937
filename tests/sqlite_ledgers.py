"""The fixtures of the contract tests with SQLite alone: a plugin for runs that start no PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.adapters.sql.ledger import SqlLedger, writing
from tests.contract.ledger_samples import opened


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """A ledger that does not exist yet."""
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def book(ledger_url: str) -> Iterator[SqlLedger]:
    """A ledger with the sample run opened."""
    with writing(ledger_url, create=True) as book:
        yield opened(book)
