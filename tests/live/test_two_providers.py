"""Prices of one provider and signals of another, in one configuration: each is one value."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest

from bot.adapters.clock import SteppedClock
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.sql.reads import Reader
from bot.adapters.tokenmetrics.provider import TOKEN_METRICS
from bot.app.cycle.runner import fire
from bot.app.live import wiring
from bot.app.live.wiring import live
from bot.app.settings.config import load_config
from bot.app.settings.keys import ring_of
from bot.app.settings.providers import PROVIDERS
from bot.app.settings.strategies import Strategy, load_strategy
from bot.app.settings.strategy_kinds import PROVIDER_NAMES
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Quote
from bot.domain.numbers import Price
from bot.domain.signals import Signal, Stance
from bot.domain.tape import Datum, Hole, HoleState, Refusal
from bot.ports import Archive, Connection, Provider
from tests.notation import signal

TEN, HOUR = datetime(2024, 3, 1, 10, tzinfo=UTC), timedelta(hours=1)
CONFIG = """
[ledger]
url = "book.db"

[[run]]
name = "mixed"
strategy = "mixed"
cash = 1000
schedule = "0 * * * *"
"""
STRATEGY = """
[strategy]
name = "mixed"
universe = ["ONE"]

[sizing]
rule = "fixed_notional"
notional = 100
"""


@dataclass
class Fake:
    """A provider that knows one token: its price, or its signals."""

    given: Connection
    price: str | None
    turn: datetime | None
    archive: MemoryArchive = field(default_factory=lambda: MemoryArchive({}))
    failures: Sequence[str] = ()
    refusals: Sequence[tuple[str, Refusal]] = ()

    def note(self, hole: Hole) -> None:
        self.archive.note(hole)

    def resolve(
        self, _universe: Sequence[str | int], _pinned: Collection[Instrument] = ()
    ) -> Mapping[TokenId, Instrument]:
        found = {TokenId(1): Instrument(token_id=TokenId(1), symbol=Symbol("ONE"), name="One")}
        self.archive.admit(found)
        return found

    def add(self, datum: Datum) -> bool:
        return self.archive.add(datum)

    def of_feed(self, _feed: str) -> "Fake":
        return self

    def refresh(self, _slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        now = self.given.clock.now()
        if self.turn is not None and self.turn <= now:
            self._keep(replace(signal("2024-03-01 09:30", "bullish"), provider="speaker", known_at=now))
        return now

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        now = self.given.clock.now()
        return tuple(Quote(token_id=one, price=Price(Decimal(str(self.price))), known_at=now) for one in tokens)

    def _keep(self, datum: Signal) -> None:
        if self.archive.add(datum):
            self.given.tape.rows((datum,))


class Priced(MemoryArchive):
    """An archive that has a price for whatever is asked, and no signal."""

    def price(self, token_id: TokenId, _as_of: datetime, cut_off: datetime) -> Quote | None:
        return Quote(token_id=token_id, price=Price(Decimal(50)), known_at=cut_off)


def provider(name: str, made: dict[str, Fake], price: str | None = None, turn: datetime | None = None) -> Provider:
    """Make a provider of a fake: connecting to it is all that it does."""

    @contextmanager
    def connect(given: Connection) -> Iterator[Fake]:
        made[name] = Fake(given, price, turn)
        if price is not None:
            made[name].archive = Priced({})
        yield made[name]

    signals = MappingProxyType({"daily": f"{name}-signals", "hourly": f"{name}-hourly"})
    return replace(TOKEN_METRICS, name=name, prices=f"{name}-price", signals=signals, connect=connect)


def test_prices_of_one_and_signals_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that only the speaker tells is bought at the price of the pricer, and each is asked for its own feeds."""
    made: dict[str, Fake] = {}
    monkeypatch.setitem(PROVIDERS, "pricer", provider("pricer", made, price="51"))
    monkeypatch.setitem(PROVIDERS, "speaker", provider("speaker", made, turn=TEN))
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mixed.toml").write_text(STRATEGY)
    (tmp_path / "config.toml").write_text(CONFIG)
    config = load_config(tmp_path / "config.toml", {})
    config = replace(config, source=replace(config.source, provider="pricer"))

    def spoken(name: str, folder: Path) -> Strategy:
        return replace(load_strategy(name, folder), provider="speaker")

    monkeypatch.setattr(wiring, "load_strategy", spoken)
    clock = SteppedClock(TEN - HOUR)
    with live(config, ring_of("any"), clock) as opened:
        for number in range(3):
            clock.set(TEN + (number - 1) * HOUR + timedelta(seconds=1))
            fire(opened.runs[0], TEN + (number - 1) * HOUR)
    reader = Reader(config.ledger_url)
    fills = reader.rows("select role, price, filled_at from v_fills", {})
    assert [(row["role"], str(row["filled_at"])[:13]) for row in fills] == [("entry", "2024-03-01T10")]
    assert float(str(fills[0]["price"])) == pytest.approx(51 * 1.0007)
    assert [row["provider"] for row in reader.rows("select provider from v_signals", {})] == ["speaker"]
    assert made["speaker"].given.needs == {"speaker-signals"}
    assert made["pricer"].given.needs == TOKEN_METRICS.always
    again = SteppedClock(TEN + 3 * HOUR)
    missed = Hole(
        feed="speaker-signals",
        missing="daily",
        tokens=(TokenId(1),),
        starts_at=TEN - 48 * HOUR,
        ends_at=TEN,
        known_at=TEN,
        state=HoleState.OPEN,
        attempts=1,
        next_at=None,
        reason="down",
    )
    made["pricer"].given.tape.note([missed])
    with live(config, ring_of("any"), again) as opened:
        archive: Archive = opened.runs[0].runner.source.archive
        episode = archive.episode(TokenId(1), again.now(), again.now())
    assert episode is not None
    assert (episode.turn.stance, episode.turn.provider) == (Stance.BULLISH, "speaker")
    assert episode.unsure  # a new process knows the holes of both


def test_the_names_of_providers_are_those_that_a_file_may_write() -> None:
    """The registry and the words of configuration and strategies are the same."""
    assert tuple(PROVIDERS) == PROVIDER_NAMES


def test_no_feed_is_of_two_providers() -> None:
    """A recorded call names its provider by its feed alone."""
    feeds = [feed for one in PROVIDERS.values() for feed in one.feeds]
    assert len(feeds) == len(set(feeds))
