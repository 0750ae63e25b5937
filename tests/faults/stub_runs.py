"""Runs of the daemon's own cycle against the stub API: in one process, with a clock that only the test moves."""

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bot.adapters.clock import SteppedClock
from bot.adapters.http.client import HttpClient, Limits, Waiting
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.tokenmetrics.fields import read_answer
from bot.adapters.tokenmetrics.provider import TOKEN_METRICS
from bot.adapters.tokenmetrics.source import TokenMetricsSource
from bot.app.cycle.runner import fire
from bot.app.live.wiring import live
from bot.app.settings.config import load_config
from bot.app.settings.keys import ring_of
from bot.app.settings.providers import PROVIDERS
from bot.app.settings.shipped import shipped_strategies
from bot.cli.main import main
from bot.domain.errors import BotError
from bot.domain.record import FailedTry
from bot.ports import Connection
from tests.faults.stub_api import HOUR, NAMES, StubApi

START = datetime(2025, 4, 10, 9, tzinfo=UTC)
KEY = "tm-canary-of-the-fault-suite"
CONFIG = """
[ledger]
url = "{ledger}"

[source]
base_url = "http://localhost/v2"

[[run]]
name = "levels_long"
strategy = "levels_long"
cash = 10000
schedule = "0 * * * *"
"""
POSITIONS = "select symbol from v_trades where is_open order by symbol"


def rows(ledger: Path, statement: str) -> list[tuple[object, ...]]:
    """Ask a ledger."""
    with closing(sqlite3.connect(ledger)) as connection:
        return connection.execute(statement).fetchall()


def held(ledger: Path) -> list[str]:
    """List the symbols of the open positions."""
    return [str(symbol) for (symbol,) in rows(ledger, POSITIONS)]


def stub(turns: dict[int, date] | None = None) -> StubApi:
    """Make an API in which all tokens but two turned bullish yesterday."""
    yesterday = (START - timedelta(days=1)).date()
    return StubApi(SteppedClock(START), dict.fromkeys(list(NAMES)[:8], yesterday) if turns is None else turns)


class Life:
    """A daemon that is started and stopped as the test says, on one ledger."""

    def __init__(self, place: Path, api: StubApi, universe: Sequence[str | int] = (*NAMES.values(),)) -> None:
        """Write the configuration; nothing runs yet."""
        self.api, self.ledger, self.place = api, place / "stub.db", place
        self.errors: list[BotError] = []
        (place / "strategies").mkdir(parents=True, exist_ok=True)
        self.write(universe)
        (place / "config.toml").write_text(CONFIG.format(ledger=f"sqlite:///{self.ledger}"))

    def write(self, universe: Sequence[str | int], **replaced: str) -> None:
        """Write the shipped levels_long for a universe, with lines replaced."""
        text = shipped_strategies()["levels_long"].read_text()
        begin, end = text.index("universe = ["), text.index("]\n", text.index('    "BTC"')) + 2
        text = f"{text[:begin]}universe = {list(universe)!r}\n{text[end:]}"
        for old, new in replaced.items():
            text = text.replace(old.replace("__", " "), new)
        (self.place / "strategies" / "levels_long.toml").write_text(text)

    def run(self, *slots: datetime, before: Callable[[datetime], None] = lambda _slot: None) -> None:
        """Start a process of the daemon, run slots, and stop; a failed slot is kept as a failed try."""
        self.api.clock.set(slots[0] + timedelta(seconds=1))
        with self.open() as turn:
            for slot in slots:
                before(slot)
                self.api.clock.set(slot + timedelta(seconds=2))
                turn(slot)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Let whatever connects inside the block meet the stub."""
        clock, waited = self.api.clock, [0.0]

        def sleep(seconds: float) -> None:
            waited[0] += seconds

        @contextmanager
        def connect(given: Connection) -> Iterator[TokenMetricsSource]:
            passed = lambda: waited[0] + (clock.at - START).total_seconds()  # noqa: E731
            waiting = Waiting(sleep=sleep, monotonic=passed, chance=random.Random(1))
            until = max((one.until for one in given.pauses), default=None)
            wired = {"waiting": waiting, "read": read_answer, "transport": httpx.MockTransport(self.api)}
            limits = Limits(side_by_side=1, paused_until=until)
            with closing(HttpClient(given.base_url, {"x-api-key": KEY}, clock=clock, limits=limits, **wired)) as http:
                yield TokenMetricsSource(
                    http, archive=MemoryArchive({}), tape=given.tape, clock=clock, needs=given.needs, interval=HOUR
                )

        provider = replace(TOKEN_METRICS, connect=connect)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PROVIDERS, provider.name, provider)
            yield

    @contextmanager
    def open(self) -> Iterator[Callable[[datetime], None]]:
        """Start a process of the daemon; yields what runs a slot."""
        clock = self.api.clock
        with self.served(), live(load_config(self.place / "config.toml", {}), ring_of(KEY), clock) as opened:

            def turn(slot: datetime) -> None:
                for run in opened.runs:
                    try:
                        fire(run, slot)
                    except BotError as error:
                        self.errors.append(error)
                        tried = {"attempt": 1, "at": clock.now(), "reason": str(error)}
                        opened.book.keep_try(FailedTry(run=run.runner.setup.name, slot=slot, **tried))

            yield turn

    def call(self, *words: str) -> int:
        """Call a command of the command line, and return its exit code."""
        with self.served(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("BOT_API_KEY", KEY)
            return main([*words, "--config", str(self.place / "config.toml")])
