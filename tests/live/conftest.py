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
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def market() -> Market:
    """One market for all, begun thirty days before this day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Market(seed=SEED, start=today - timedelta(days=30))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Play simulated days into a ledger, once for all test processes: read it, or copy it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    with alone(folder / "demo.lock"):
        if not (folder / "demo.db").exists():
            play(folder / "playing.db", DEMO_DAYS)
            (folder / "playing.db").rename(folder / "demo.db")
    return folder / "demo.db"


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
