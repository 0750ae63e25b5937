"""The five bar shapes that peers disagree about, each at the one price that could have been had: live and in replay.

Entered at 100 with the stop at 95 and the target at 105, costs zero; shorts are the same in a mirror at 100.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.history.folder import HistorySource, open_history
from bot.adapters.shelf.archive import MemoryArchive
from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.setup import RunSetup
from bot.domain.decisions import Fact
from bot.domain.ids import RunName, Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Quote, one_price
from bot.domain.numbers import Price
from bot.domain.orders import Fill, Role, Side
from bot.domain.portfolio import Portfolio
from bot.domain.signals import Signal, Stance
from bot.domain.tape import QUOTE, TokenPrint
from bot.engine.rules import FillRules, PriceRule, Rules, SizeRule, SizingRules, StopRules, TargetRules
from tests.acceptance import folder_reader
from tests.acceptance.history_folders import Tables, write_folder
from tests.history_runs import records
from tests.notation import HOUR, at

TOKEN = TokenId(1)
START = at("2024-01-01")
FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
LONG = Rules(
    name="shapes",
    sides=frozenset(Side),
    stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
    target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
    sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(10)),
    fills=FREE,
)
SETUP = RunSetup(
    name=RunName("shapes"),
    rules=LONG,
    universe=(TOKEN,),
    cash=Decimal(10000),
    interval=HOUR,
    config_hash="none",
    code_version="test",
)
# Open, high, low and close of the bar after the entry, and the price of its exit (reference/peers.md 4.1, last column).
SHAPES = [
    ("both touched", (100, 110, 90, 101), 95),
    ("both touched, closed above", (100, 110, 90, 106), 95),
    ("gap below the stop, recovers", (90, 101, 88, 99), 90),
    ("gap fully below", (80, 85, 78, 82), 80),
    ("gap above the target", (120, 125, 118, 121), 105),
]
SIDES = [Side.LONG, Side.SHORT]


def seen(side: Side, *prices: int) -> list[Price]:
    """Return open, high, low and close as they are, or in the mirror."""
    if side is Side.LONG:
        return [Price(Decimal(price)) for price in prices]
    opened, high, low, close = (Price(Decimal(200 - price)) for price in prices)
    return [opened, low, high, close]


def told(facts: Sequence[Fact]) -> list[tuple[Role, Decimal]]:
    """Return the exits."""
    return [(fact.role, fact.price) for fact in facts if isinstance(fact, Fill) and fact.role is not Role.ENTRY]


@dataclass
class Daemon:
    """What a live source has at each slot: bars two minutes after their close, and the prices that are asked for."""

    side: Side
    shape: Bar
    archive: MemoryArchive = field(
        default_factory=lambda: MemoryArchive(
            {TOKEN: Instrument(token_id=TOKEN, symbol=Symbol("T1"), name="Token 1")}, "daily"
        )
    )

    def __post_init__(self) -> None:
        """Know the turn and the hours, each from a minute after it on."""
        self.archive.add(
            Signal(
                provider="test",
                feed="daily",
                token_id=TOKEN,
                stance=Stance.BULLISH if self.side is Side.LONG else Stance.BEARISH,
                published_at=START + HOUR,
                known_at=START + HOUR,
            )
        )
        flat = [Bar(START + n * HOUR, START + (n + 1) * HOUR, *[Price(Decimal(100))] * 4) for n in (0, 1)]
        later = [Bar(START + n * HOUR, START + (n + 1) * HOUR, *[self.shape.close] * 4) for n in (3, 4)]
        for bar in (*flat, self.shape, *later):
            known_at = bar.closed_at + timedelta(minutes=1)
            self.archive.add(TokenPrint(token_id=TOKEN, timeframe="1h", known_at=known_at, bar=bar))

    def refresh(self, slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """End the fetch five seconds after the slot."""
        return slot + timedelta(seconds=5)

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Answer the second asking of the first slot with 100; later the provider is silent."""
        asked_at = START + HOUR + timedelta(minutes=2, seconds=6)
        quote = Quote(token_id=TOKEN, price=Price(Decimal(100)), known_at=asked_at)
        self.archive.add(
            TokenPrint(token_id=TOKEN, timeframe=QUOTE, known_at=asked_at, bar=one_price(asked_at, quote.price))
        )
        return (quote,) if tokens else ()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("slots", [(1, 2, 3), (1, 5)], ids=["hour by hour", "caught up"])
@pytest.mark.parametrize(("shape", "expected"), [case[1:] for case in SHAPES], ids=[case[0] for case in SHAPES])
def test_live_settlement_gives_the_price_that_could_be_had(
    shape: tuple[int, ...], expected: int, slots: tuple[int, ...], side: Side
) -> None:
    """Two minutes past each hour, and after hours in which the daemon was down: the same price, bar by bar."""
    opened_at = START + 2 * HOUR
    source = Daemon(side, Bar(opened_at, opened_at + HOUR, *seen(side, *shape)))
    portfolio, facts = Portfolio(run=SETUP.name), []
    for hour in slots:
        slot = START + hour * HOUR + timedelta(minutes=2)
        record, portfolio = run_cycle(SETUP, source, portfolio, slot, lambda: at("2030-01-01"))
        facts += record.facts
    role = Role.TARGET if expected > 100 else Role.STOP
    assert told(facts) == [(role, expected if side is Side.LONG else 200 - expected)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("shape", "expected"), [case[1:] for case in SHAPES], ids=[case[0] for case in SHAPES])
def test_a_replay_gives_the_price_that_could_be_had(
    tmp_path: Path, shape: tuple[int, ...], expected: int, side: Side
) -> None:
    """The same bars in a history folder give the same price."""
    stance = "bullish" if side is Side.LONG else "bearish"
    tables = Tables("1h")
    tables.instruments.append((1, "T1", "Token 1", ""))
    hours = [*[[Price(Decimal(100))] * 4] * 2, seen(side, *shape), *[[seen(side, *shape)[3]] * 4] * 2]
    tables.bars["T1"] = [
        folder_reader.Bar(START + n * HOUR, START + (n + 1) * HOUR, *prices) for n, prices in enumerate(hours)
    ]
    tables.signals.append((1, START + HOUR, stance, ""))
    history = open_history(write_folder(tmp_path, tables), timeframe="1h", universe="*")
    made = records(SETUP, HistorySource(history), history.closes)
    role = Role.TARGET if expected > 100 else Role.STOP
    facts = [fact for record in made for fact in record.facts]
    assert told(facts) == [(role, expected if side is Side.LONG else 200 - expected)]


def test_the_band_of_a_bar_that_touched_both_is_kept() -> None:
    """The first shape books the stop and keeps beside it what the target would have made: 95 to 105."""
    opened_at = START + 2 * HOUR
    source = Daemon(Side.LONG, Bar(opened_at, opened_at + HOUR, *seen(Side.LONG, 100, 110, 90, 101)))
    portfolio, fills = Portfolio(run=SETUP.name), []
    for hour in (1, 2, 3):
        slot = START + hour * HOUR + timedelta(minutes=2)
        record, portfolio = run_cycle(SETUP, source, portfolio, slot, lambda: at("2030-01-01"))
        fills += [fact for fact in record.facts if isinstance(fact, Fill) and fact.role is Role.STOP]
    assert [(fill.profit_pessimistic, fill.profit_optimistic) for fill in fills] == [(-50, 50)]
