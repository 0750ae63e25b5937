"""The ledgers to test against: in memory, SQLite in a file, PostgreSQL in a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.adapters.sql.ledger import SqlLedger, writing
from tests.contract.decision_samples import BOTH
from tests.contract.ledger_samples import opened
from tests.memory_ledger import MemoryLedger

AnyLedger = SqlLedger | MemoryLedger


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger that does not exist yet, on either database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def book(ledger_url: str) -> Iterator[SqlLedger]:
    """A ledger in SQL with the sample run opened, on either database."""
    with writing(ledger_url, create=True) as book:
        yield opened(book)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyLedger]:
    """Every ledger there is, with the sample runs opened."""
    if request.param == "memory":
        yield MemoryLedger()
        return
    sqlite = f"sqlite:///{tmp_path}/ledger.db"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    with writing(url, create=True) as book:
        yield opened(opened(book), BOTH)
