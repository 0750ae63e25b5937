"""A simulated provider on loopback and a configuration that points at it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.app.live.demo import play
from bot.app.settings.shipped import starter_config, starter_strategy
from bot.cli.main import main
from bot.simulator.market import SEED, Market
from bot.simulator.server import SimulatorServer, serve
from tests.conftest import alone

KEY = "tm-live-4c1d-canary"
DEMO_DAYS = 6
BRIEF_DAYS = 3
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def market() -> Market:
    """One market for all, begun thirty days before this day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Market(seed=SEED, start=today - timedelta(days=30))


def play_once(name: str, days: int, factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Play simulated days into a ledger, once for all test processes: read it, or copy it."""
    folder = factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    with alone(folder / f"{name}.lock"):
        if not (folder / f"{name}.db").exists():
            play(folder / f"playing-{name}.db", days)
            (folder / f"playing-{name}.db").rename(folder / f"{name}.db")
    return folder / f"{name}.db"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Six days, with trades of every ending: read it, or copy it."""
    return play_once("demo", DEMO_DAYS, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The first days of the demo, for tests that go through all its slots: read it, or copy it."""
    return play_once("brief", BRIEF_DAYS, tmp_path_factory, worker_id)


@pytest.fixture
def provider(market: Market) -> Iterator[SimulatorServer]:
    """Serve the market in real time, for one key."""
    with serve(market, lambda: datetime.now(UTC), api_key=KEY) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, provider: SimulatorServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write what `bot init` writes, pointed at the provider, and work from there."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "levels_long.toml").write_text(starter_strategy())
    text = starter_config().replace("https://api.tokenmetrics.com/v2", provider.base_url)
    (tmp_path / "config.toml").write_text(text.replace("requests_per_minute = 60", "requests_per_minute = 6000"))
    key = tmp_path / "tokenmetrics.key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bot(capsys: pytest.CaptureFixture[str]) -> Command:
    """Call the command line in process; returns exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        told = capsys.readouterr()
        assert KEY not in told.out + told.err
        return code, told.out, told.err

    return call
