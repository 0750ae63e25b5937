"""A position held over a halt like LUNA's: one trade, by a daemon that was down over it and by every replay (T1)."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bot.adapters.clock import SteppedClock
from bot.adapters.http.client import HttpClient, Waiting
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.tokenmetrics.fields import read_answer
from bot.adapters.tokenmetrics.provider import TOKEN_METRICS
from bot.adapters.tokenmetrics.source import TokenMetricsSource
from bot.app.cycle.runner import fire
from bot.app.live.wiring import live
from bot.app.settings.config import load_config
from bot.app.settings.keys import ring_of
from bot.app.settings.providers import PROVIDERS
from bot.cli.main import main
from bot.ports import Connection
from tests.unit.strict_provider import Provider

HOUR = timedelta(hours=1)
FIRST, BOUGHT = datetime(2022, 5, 8, tzinfo=UTC), datetime(2022, 5, 8, 7, tzinfo=UTC)
LAST, BACK, END = (datetime(2022, 5, day, hour, tzinfo=UTC) for day, hour in ((13, 1), (31, 6), (31, 20)))
LUNA, BTC = 3924, 3375
TRADE = (
    "select exit_reason, substr(opened_at, 1, 16), substr(closed_at, 1, 19), entry_price, exit_price, profit"
    " from v_trades where symbol = 'LUNA'"
)
STRATEGY = """
[strategy]
name = "luna"
universe = {universe}
feed = "hourly"

[stop]
rule = "none"

[target]
rule = "none"

[sizing]
rule = "fixed_notional"
notional = 1000

[fills]
fee_fraction = 0
half_spread_fraction = 0
slippage_fraction = 0
"""
CONFIG = """
[ledger]
url = "{ledger}"

[source]
base_url = "http://localhost/v2"

[[run]]
name = "luna"
strategy = "luna"
cash = 10000
schedule = "0 * * * *"
"""


def prices_of_luna(at: datetime) -> tuple[float, float, float, float] | None:
    """Return an hour as open, high, low and close: 64 until the crash, 0.00005 at its end, then a new coin at 8.5."""
    if at < datetime(2022, 5, 12, tzinfo=UTC):
        return 64, 64, 64, 64
    if at < LAST - HOUR:
        return 1, 1, 1, 1
    if at < LAST:
        return 1, 1, 0.00004, 0.00005
    return None if at < BACK else (8.5, 9, 8, 8.5)


def hours_of(token: int) -> dict[datetime, tuple[float, float, float, float]]:
    """Return the hours of a token; those of BTC have no hole."""
    span = [FIRST + number * HOUR for number in range((END - FIRST) // HOUR)]
    made = {at: prices_of_luna(at) if token == LUNA else (30000, 30000, 30000, 30000) for at in span}
    return {at: prices for at, prices in made.items() if prices is not None}


class Halted(Provider):
    """An API whose LUNA has no hours for eighteen days."""

    def _rows(self, endpoint: str, params: dict[str, str], span: list[date]) -> Iterable[dict[str, object]]:
        now = self.clock.now()
        if endpoint == "tokens":
            for token, symbol in ((LUNA, "LUNA"), (BTC, "BTC")):
                yield {"TOKEN_ID": token, "TOKEN_NAME": symbol, "TOKEN_SYMBOL": symbol, "MARKET_CAP": 1e9}
            return
        for token in map(int, params["token_id"].split(",")):
            closed = {at: prices for at, prices in hours_of(token).items() if at + HOUR <= now}
            if endpoint == "price":
                yield {"TOKEN_ID": token, "CURRENT_PRICE": closed[max(closed)][3]}
            elif endpoint == "hourly-ohlcv":
                for at, prices in sorted(closed.items(), reverse=True):
                    if span[0] <= at.date() <= span[1]:
                        named = zip(("OPEN", "HIGH", "LOW", "CLOSE"), prices, strict=True)
                        yield {"TOKEN_ID": token, "TIMESTAMP": at.isoformat(), **dict(named), "VOLUME": 5}
            elif token == LUNA and now >= BOUGHT:
                yield {"TOKEN_ID": token, "TIMESTAMP": (BOUGHT - HOUR).isoformat(), "SIGNAL": "1", "POSITION": "1"}


def strategy_in(place: Path, universe: str) -> Path:
    """Write the strategy."""
    (place / "strategies").mkdir(parents=True, exist_ok=True)
    path = place / "strategies" / "luna.toml"
    path.write_text(STRATEGY.format(universe=universe))
    return path


class WithoutHours(Halted):
    """The same, but it fails where hours are asked for."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer, unless hours are asked for."""
        if request.url.path.endswith("hourly-ohlcv"):
            return httpx.Response(500, stream=httpx.ByteStream(b'{"success": false}'))
        return super().__call__(request)


def lived(
    place: Path, universe: str, stretches: Iterable[tuple[datetime, datetime]], api: type[Halted] = Halted
) -> Path:
    """Let a daemon live through some stretches, each a process of its own, and return its ledger."""
    strategy_in(place, universe)
    ledger = place / "luna.db"
    (place / "config.toml").write_text(CONFIG.format(ledger=f"sqlite:///{ledger}"))
    config, clock = load_config(place / "config.toml", {}), SteppedClock(FIRST)
    for start, end in stretches:
        clock.set(start)
        transport = httpx.MockTransport(api(clock))

        @contextmanager
        def connect(given: Connection, transport: httpx.MockTransport = transport) -> Iterator[TokenMetricsSource]:
            waiting = Waiting(sleep=lambda _: None)
            wired = {"waiting": waiting, "read": read_answer, "transport": transport}
            http = HttpClient(given.base_url, {}, clock=given.clock, **wired)
            with closing(http):
                archive = MemoryArchive({})
                yield TokenMetricsSource(http, archive=archive, tape=given.tape, clock=given.clock, needs=given.needs)

        provider = replace(TOKEN_METRICS, connect=connect)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PROVIDERS, provider.name, provider)
            with live(config, ring_of("key"), clock) as opened:
                for number in range((end - start) // HOUR + 1):
                    clock.set(start + number * HOUR + timedelta(seconds=2))
                    for run in opened.runs:
                        fire(run, start + number * HOUR)
    return ledger


def replayed(place: Path, universe: str, *options: str) -> Path:
    """Replay the same hours from a history folder, and return the ledger."""
    strategy, folder = strategy_in(place, universe), place / "history"
    (folder / "bars" / "1h").mkdir(parents=True)
    (folder / "instruments.csv").write_text(f"token_id,symbol,name\n{LUNA},LUNA,LUNA\n{BTC},BTC,BTC\n")
    (folder / "signals.csv").write_text(f"token_id,published_at,stance\n{LUNA},{BOUGHT:%Y-%m-%dT%H:%M:%SZ},bullish\n")
    for token, symbol in ((LUNA, "LUNA"), (BTC, "BTC")):
        lines = [f"{at:%Y-%m-%dT%H:%M:%SZ},{','.join(map(str, bar))},5" for at, bar in hours_of(token).items()]
        (folder / "bars" / "1h" / f"{symbol}.csv").write_text("\n".join(["time,open,high,low,close,volume", *lines]))
    ledger = place / "luna.db"
    asked = ["replay", "--strategy", str(strategy), "--history", str(folder), "--ledger", str(ledger), "--json"]
    assert main([*asked, *options]) == 0
    return ledger


def trade_in(ledger: Path) -> tuple[object, ...]:
    """Return the one trade of LUNA."""
    with closing(sqlite3.connect(ledger)) as connection:
        (trade,) = connection.execute(TRADE).fetchall()
    return tuple(trade)


ALONE, BESIDE = '["LUNA"]', '["LUNA", "BTC"]'
REPLAYS: Mapping[str, tuple[str, ...]] = {
    "alone": (ALONE,),
    "beside": (BESIDE,),
    "hourly": (ALONE, "--schedule", "0 * * * *"),
    "daily": (ALONE, "--schedule", "0 7 * * *"),
    "monthly": (ALONE, "--schedule", "0 7 8 * *"),
}


@pytest.mark.parametrize("universe", [ALONE, BESIDE], ids=["alone", "beside"])
def test_a_halt_gives_one_trade_everywhere(tmp_path: Path, universe: str) -> None:
    """Bought at 64, crashed to 0.00005, halted for 18 days: delisted a week after the last hour, -999.999219 of 1,000.

    The daemon's last cycle is an hour before the halt, its next one two hours after it.
    """
    found = {name: trade_in(replayed(tmp_path / name, *options)) for name, options in REPLAYS.items()}
    stretches = ((BOUGHT - HOUR, LAST - HOUR), (BACK + 2 * HOUR, BACK + 4 * HOUR))
    found["daemon"] = trade_in(lived(tmp_path / "daemon", universe, stretches))
    expected = ("delisted", "2022-05-08T07:00", "2022-05-20T01:00:00", 64, 0.00005, -999.999219)
    assert found == dict.fromkeys(found, expected)


def test_a_daemon_that_had_no_hours_takes_no_silence_for_a_halt(tmp_path: Path) -> None:
    """Down for eighteen days, and back with prices but no hours: whether it was traded meanwhile is not known."""
    stretches = ((BOUGHT - HOUR, LAST - HOUR), (BACK + 2 * HOUR, BACK + 4 * HOUR))
    ledger = lived(tmp_path, BESIDE, stretches, WithoutHours)
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("select symbol, is_open, exit_reason from v_trades").fetchall() == [("LUNA", 1, None)]
