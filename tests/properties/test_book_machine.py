"""The whole engine under random acts, slot by slot, against a naive account that books every fill by itself.

The run goes through the daemon's own runner and archive; bars come late or never, quotes fail, cycles are slow, die or
lose the answer of their commit, operators interfere, and a new process goes on from the ledger at any moment.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.runner import Runner
from bot.app.cycle.setup import RunSetup
from bot.domain.errors import StorageError
from bot.domain.events import Act, Request, request_id_of
from bot.domain.ids import RunName, TokenId
from bot.domain.market import Level, LevelSet
from bot.domain.numbers import Price
from bot.domain.orders import Role, Side
from bot.domain.record import CycleRecord
from bot.domain.signals import Signal, Stance
from bot.engine.rules import (
    Breaker,
    BreakerAction,
    GateRules,
    LimitRules,
    Rules,
    ShortRules,
    SizeRule,
    SizingRules,
)
from tests.memory_ledger import MemoryLedger
from tests.notation import HOUR
from tests.properties.book_feed import LATE, SOON, Feed, Shape
from tests.properties.book_witness import Witness
from tests.properties.random_tapes import rules

CALM: list[Shape | None] = [(0, 0, 0, 0), (0, 5, 3, 3), (0, -5, 3, 3), (0, 12, 2, 2), (0, -12, 2, 2), (3, 0, 0, 0)]
WILD: list[Shape | None] = [
    (0, 50, 0, 0),
    (0, -40, 0, 0),
    (0, 20, 40, 70),
    (0, -50, 70, 10),
    (60, -10, 5, 5),
    (-60, 10, 5, 5),
    (-120, 0, 0, 0),
    (120, 0, 0, 0),
]
hours = st.tuples(*[st.sampled_from([*CALM, *CALM, *WILD, None])] * 3)
turns = st.tuples(*[st.sampled_from([None, None, Stance.BULLISH, Stance.BEARISH, Stance.NEUTRAL])] * 3)
SIZES = st.sampled_from(
    [
        SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal("33.3")),
        SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(500)),
        SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal("3333.33"), notional_min=Decimal(3000)),
        SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(6000)),
        SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal("0.35")),
    ]
)


@st.composite
def limits(draw: st.DrawFn) -> LimitRules:
    """Draw places and exposure, and seldom a breaker: one that is tripped leaves little to see."""
    breaks = draw(st.sampled_from([None, None, None, "drawdown", "daily_loss", "loss_streak"]))
    breaker = Breaker(
        at=Decimal(1 if breaks == "loss_streak" else "0.02"),
        action=draw(st.sampled_from(BreakerAction)),
        hours=draw(st.sampled_from([None, Decimal(4)])),
    )
    return LimitRules(
        positions_max=draw(st.sampled_from([1, 2, None])),
        exposure_max=draw(st.sampled_from([None, Decimal("0.4"), Decimal("0.7")])),
        **({breaks: breaker} if breaks else {}),
    )


@st.composite
def strategies(draw: st.DrawFn) -> Rules:
    """Draw a strategy with a size and limits of its own, and what a short costs."""
    borrow, margin = draw(st.sampled_from(["0", "0.003"])), draw(st.sampled_from(["0.2", "1"]))
    return replace(
        draw(rules()),
        bearish_exits=draw(st.sampled_from([True, True, False])),
        gates=GateRules(reward_risk_min=draw(st.sampled_from([None, None, Decimal("0.5")]))),
        sizing=draw(SIZES),
        limits=draw(limits()),
        short=ShortRules(borrow_fraction_per_day=Decimal(borrow), margin_fraction=Decimal(margin)),
    )


class Forgetful(MemoryLedger):
    """A ledger whose answer to a commit may be lost on its way back."""

    loses = False

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Store, and where the answer is lost fail all the same."""
        stored = super().commit_all(records)
        if self.loses:
            self.loses = False
            message = "the connection broke"
            raise StorageError(message)
        return stored


class BookMachine(RuleBasedStateMachine):
    """A run under random acts."""

    @initialize(
        drawn=strategies(), tokens=st.integers(1, 3), is_live=st.booleans(), cash=st.sampled_from(["10000", "4000"])
    )
    def open(self, drawn: Rules, tokens: int, is_live: bool, cash: str) -> None:  # noqa: FBT001 - hypothesis draws it
        """Open a run."""
        self.feed = Feed(tokens, is_live=is_live)
        self.setup = RunSetup(
            name=RunName("machine"),
            rules=drawn,
            universe=tuple(self.feed.market),
            cash=Decimal(cash),
            interval=None,
            config_hash="none",
            code_version="test",
        )
        self.ledger = Forgetful()
        self.witness = Witness(drawn, self.feed)
        self.seen = 0
        self.asked: list[Request] = []
        self.count = 0
        for token_id in self.feed.market:
            self.draw_levels(token_id, {-9, -4, 5, 11})
            self.turn(token_id, Stance.BEARISH if drawn.sides == {Side.SHORT} else Stance.BULLISH)
        self.restart()

    @rule()
    def restart(self) -> None:
        """Begin a new process: what it reads from the ledger is the account that the old one had."""
        before = getattr(self, "runner", None)
        self.runner = Runner(self.setup, self.feed, self.ledger, lambda: self.feed.now)
        assert before is None or before._unsure or before.portfolio == self.runner.portfolio

    @rule(drawn=st.lists(hours, min_size=1, max_size=6))
    def sleep(self, drawn: list[tuple[Shape | None, ...]]) -> None:
        """Let hours go by without a cycle."""
        for hour in drawn:
            self.feed.live_hour(hour)

    @rule(hours=st.sampled_from([22, 23, 24, 47, 75, 180]))
    @precondition(lambda self: self.witness.book.lots or self.witness.book.waiting)
    def lie_still(self, hours: int) -> None:
        """Let days go by without a price of anything."""
        self.feed.now = self.feed.now.replace(minute=0, second=0) + hours * HOUR

    @rule(silent=st.frozensets(st.integers(1, 3), max_size=2), slips=hours)
    def change(self, silent: frozenset[int], slips: tuple[Shape | None, ...]) -> None:
        """Choose which tokens' prices do not come, and what the second asking answers."""
        self.feed.silent, self.feed.slips = silent, slips

    def turn(self, token_id: TokenId, stance: Stance) -> None:
        """Publish a stance."""
        now = self.feed.now
        row = Signal(provider="test", feed="daily", token_id=token_id, stance=stance, published_at=now, known_at=now)
        self.feed.archive.add(row)

    @rule(token=st.integers(1, 3), places=st.sets(st.integers(-15, 15), min_size=1, max_size=6))
    def draw_levels(self, token: int, places: set[int]) -> None:
        """Publish levels so many hundredths from the price."""
        token_id, now = self._token(token), self.feed.now
        price = self.feed.market[token_id]
        made = tuple(Level(Price(price * (100 + place) / 100)) for place in sorted(places))
        self.feed.archive.add(LevelSet(token_id=token_id, published_at=now, known_at=now, levels=made))

    def _token(self, number: int) -> TokenId:
        return TokenId((number - 1) % len(self.feed.market) + 1)

    @rule(act=st.sampled_from([Act.RESUME, Act.RESUME, *Act]), token=st.integers(1, 3))
    def ask(self, act: Act, token: int) -> None:
        """Let an operator ask for something."""
        self.count += 1
        name, now = self.setup.name, self.feed.now + timedelta(microseconds=self.count)
        concerned = self._token(token) if act is Act.CLOSE else None
        request = Request(
            request_id=request_id_of(name, act, concerned, now), run=name, act=act, token_id=concerned, asked_at=now
        )
        self.ledger.put([request])
        self.asked.append(request)

    @rule(drawn=st.lists(st.tuples(turns, hours), min_size=3, max_size=10))
    def live_on(self, drawn: list[tuple[tuple[Stance | None, ...], tuple[Shape | None, ...]]]) -> None:
        """Let hours go by, some with a turn, and run the slot of each."""
        for turned, hour in drawn:
            for token_id, stance in zip(self.feed.market, turned, strict=False):
                if stance is not None:
                    self.turn(token_id, stance)
            self.feed.live_hour(hour)
            self._fire()

    @rule()
    def be_slow(self) -> None:
        """Run a slot whose fetch takes longer than an interval."""
        self.feed.takes = LATE
        self._fire()
        self.feed.takes = SOON

    @rule()
    def die(self) -> None:
        """Compute a cycle and lose it."""
        slot = self._slot()
        done = self.runner.portfolio.settled_slot
        if done is None or done < slot:
            setup = replace(self.setup, interval=HOUR)
            requests = self.ledger.requests(setup.name)
            run_cycle(setup, self.feed, self.runner.portfolio, slot, lambda: self.feed.now, requests)

    @rule()
    def lose_the_answer(self) -> None:
        """Commit a slot whose answer is lost: the run knows of it from the ledger."""
        done = self.runner.portfolio.settled_slot
        if done is None or done < self._slot():
            self.ledger.loses = True
            with pytest.raises(StorageError):
                self._fire()

    def _slot(self) -> datetime:
        return self.feed.now.replace(minute=0, second=0, microsecond=0)

    def _fire(self) -> None:
        """Run the newest slot as the daemon does, with the slots that were missed."""
        slot, done = self._slot(), self.runner.portfolio.settled_slot
        hours = 0 if done is None else int((slot - done) / HOUR)
        missed = [slot - number * HOUR for number in range(hours - 1, 0, -1)]
        before = len(self.ledger.records.get(self.setup.name, ()))
        record = self.runner.fire(slot, HOUR, missed)
        assert (record is None) == (done is not None and slot <= done) or self.runner._unsure
        assert record is not None or len(self.ledger.records[self.setup.name]) == before
        self.the_books_are_those_of_the_reference()

    @rule()
    @precondition(lambda self: self.seen)
    def fire_again(self) -> None:
        """Run the last slot once more: nothing happens."""
        stored, now = list(self.ledger.records[self.setup.name]), self.feed.now
        assert self.runner.fire(stored[-1].cycle.slot, HOUR) is None
        assert (self.ledger.records[self.setup.name], self.feed.now) == (stored, now)

    @invariant()
    def the_books_are_those_of_the_reference(self) -> None:
        """Read what was committed since; cash, sizes, orders and what was asked for are as the reference has them."""
        if not hasattr(self, "ledger"):
            return
        stored = self.ledger.records.get(self.setup.name, [])
        for record in stored[self.seen :]:
            if record.facts:
                self.witness.read(record)
        if len(stored) > self.seen:
            self._compare()
        self.seen = len(stored)

    def _compare(self) -> None:
        book = self.witness.book
        if self.runner._unsure:
            self.restart()
        portfolio = self.runner.portfolio
        assert portfolio.cash == book.cash
        sizes = {token_id: held.sign * held.quantity for token_id, held in portfolio.holdings.items()}
        assert sizes == {token_id: lot.sign * lot.quantity for token_id, lot in book.lots.items()}
        assert {order.order_id for order in portfolio.waiting(Role.ENTRY)} == set(book.waiting)
        tripped = {name: one.until for name, one in portfolio.breakers.items()}
        assert (portfolio.paused, tripped) == (book.paused, book.tripped)
        assert self.ledger.requests(self.setup.name) == ()
        for request in self.asked:
            self._is_obeyed(request)
        self.asked.clear()

    def _is_obeyed(self, request: Request) -> None:
        """Assert that what was asked to close is closed or leaves, and that no entry of before waits."""
        slot, book = self.witness.slot, self.witness.book
        if request.act in {Act.CLOSE, Act.FLATTEN}:
            concerned = {request.token_id} if request.token_id else set(self.feed.market)
            for token_id in concerned & set(book.lots):
                lot = book.lots[TokenId(token_id or 0)]
                assert lot.leaving or lot.opened_at >= slot
            waiting = [self.witness.orders[name] for name in book.waiting]
            assert all(order.slot == slot for order in waiting if order.token_id in concerned)


BookMachine.TestCase.settings = settings(stateful_step_count=60)
TestBookMachine = BookMachine.TestCase
