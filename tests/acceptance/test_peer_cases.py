"""Cases with expected numbers from peers' own tests, driven through our orders, settlement and books.

Where a case asks for a rule that we do not have, or have otherwise, it is listed with the rule that differs.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from bot.domain.ids import RunName, SignalId, TokenId, order_id, position_id
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Quote
from bot.domain.numbers import EXACT, Price, Quantity
from bot.domain.orders import Fill, Order, OrderState, Role, Side
from bot.domain.portfolio import Portfolio
from bot.domain.positions import ExitReason, Position
from bot.domain.snapshot import Snapshot, TokenView
from bot.engine.account import net_value
from bot.engine.cycle import settle
from bot.engine.exits import accept_exit
from bot.engine.fills import event, fill_exit, open_position
from bot.engine.journal import Journal, opening
from bot.engine.rules import FillRules, Rules
from bot.engine.stops import Proposed, move_stop
from tests.notation import at

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
RULES = Rules(name="peer", sides=frozenset(Side), fills=FREE)
RUN, TOKEN, SIGNAL = RunName("peer"), TokenId(1), SignalId("sig")
INSTRUMENT = Instrument(token_id=TOKEN, symbol="T1", name="Token 1")  # type: ignore[arg-type]
START = at("2011-01-01")

LIMIT_ENTRY = "entries are market orders: we have no limit entries"
STOP_ENTRY = "entries are market orders: we have no stop entries"
VOLUME = "fills are not limited by a bar's volume: volume_share_max limits the size before"
CUT = "an entry that costs more than the cash is cut to it, not left waiting or refused"
ONE_ENTRY = "a position has one entry: it is not averaged in, nor turned round by one order"
DIFFERENT: Mapping[str, str] = {
    "pyalgotrade-BrokerTestCase-testCancelationEvent": LIMIT_ENTRY,
    "pyalgotrade-BrokerTestCase-testPartialFillAndCancel": VOLUME,
    "pyalgotrade-BrokerTestCase-testVolumeLimitPerBar1": VOLUME,
    "pyalgotrade-LimitOrderTestCase-testBuyAndSell_GappingBars": LIMIT_ENTRY,
    "pyalgotrade-LimitOrderTestCase-testBuyAndSell_HitTargetPrice": LIMIT_ENTRY,
    "pyalgotrade-LimitOrderTestCase-testBuy_GTC": LIMIT_ENTRY,
    "pyalgotrade-MarketOrderTestCase-testBuySellPartial": VOLUME,
    "pyalgotrade-MarketOrderTestCase-testBuy_GTC": CUT,
    "pyalgotrade-MarketOrderTestCase-testFailToBuy": CUT,
    "pyalgotrade-MarketOrderTestCase-testSellShort_3": ONE_ENTRY,
    "pyalgotrade-StopLimitOrderTestCase-testBuySellPartial_ActivateAndFill": STOP_ENTRY,
    "pyalgotrade-StopLimitOrderTestCase-testFillLimit": STOP_ENTRY,
    "pyalgotrade-StopLimitOrderTestCase-testFillOpen_GappingBars": STOP_ENTRY,
    "pyalgotrade-StopLimitOrderTestCase-testInvertedPrices_FillLimit": STOP_ENTRY,
    "pyalgotrade-StopLimitOrderTestCase-testInvertedPrices_FillOpen_GappingBars": STOP_ENTRY,
    "pyalgotrade-StopLimitOrderTestCase-testRegressionBarGapsAboveStop": STOP_ENTRY,
    "pyalgotrade-StopOrderTestCase-testBuySellPartial_ActivateAndFill": STOP_ENTRY,
    "pyalgotrade-StopOrderTestCase-testStopHitWithoutVolume": STOP_ENTRY,
    "pyalgotrade-position-testBuySellBuy": ONE_ENTRY,
    "pyalgotrade-position-testSellBuySell": ONE_ENTRY,
    "jesse-avg-long": ONE_ENTRY,
    "jesse-trade-two-entries-two-exits-short": ONE_ENTRY,
    "jesse-increase-then-exit": ONE_ENTRY,
}
SIDES = {"buy": Side.LONG, "sell_short": Side.SHORT, "sell": Side.LONG, "buy_to_cover": Side.SHORT}


def cases_of(shared: Path, *names: str) -> Iterator[dict[str, Any]]:
    """Yield the cases of some files, numbers as written."""
    for name in names:
        text = (shared / "data" / "exit-cases" / f"{name}.json").read_text()
        yield from json.loads(text, parse_float=Decimal, parse_int=Decimal)["cases"]


def begin(portfolio: Portfolio, slot: datetime) -> Journal:
    """Begin a stage at a slot that knows no new bar."""
    return Journal(portfolio, known_at(slot), RULES)


def known_at(slot: datetime, *prints: Bar) -> Snapshot:
    """Make what is known at a slot: the bars of the token."""
    price = Quote(token_id=TOKEN, price=prints[-1].close, known_at=slot) if prints else None
    view = TokenView(
        instrument=INSTRUMENT,
        episode=None,
        price=price,
        levels=None,
        quantmetrics=None,
        grades=None,
        market=None,
        days=(),
        prints=prints,
    )
    return Snapshot(as_of=slot, cut_off=slot, interval=None, tokens={TOKEN: view})


def account(cash: Decimal) -> Journal:
    """Open an account."""
    journal = begin(Portfolio(run=RUN), START)
    journal.write(opening(RUN, cash, START))
    return journal


def entry_order(side: Side, quantity: Decimal, slot: datetime) -> Order:
    """Make an entry order without a bracket."""
    return Order(
        order_id=order_id(RUN, SIGNAL, Role.ENTRY.value, 0),
        run=RUN,
        slot=slot,
        position_id=position_id(RUN, TOKEN, 0),
        signal_id=SIGNAL,
        token_id=TOKEN,
        side=side,
        role=Role.ENTRY,
        ordinal=0,
        rank=0,
        quantity=Quantity(quantity),
        price=Price(Decimal(1)),
    )


def place(portfolio: Portfolio, step: dict[str, Any], slot: datetime) -> Portfolio:
    """Submit an order of a case between two bars."""
    journal = begin(portfolio, slot)
    holding = portfolio.holdings.get(TOKEN)
    if holding is None:
        order = entry_order(SIDES[step["side"]], step["quantity"], slot)
        journal.write(order, event(order, slot, OrderState.ACCEPTED))
    elif step["type"] == "stop":
        move_stop(journal, holding, Proposed(price=Price(step["stop"]), reason=ExitReason.STOP_HIT), slot)
    else:
        accept_exit(journal, holding, holding.price, ExitReason.MANUAL)
    return journal.portfolio


def live_through(portfolio: Portfolio, bar: Bar) -> tuple[Portfolio, list[Fill]]:
    """Settle one bar at its close."""
    facts = settle(known_at(bar.closed_at, bar), portfolio, RULES).facts
    journal = begin(portfolio, bar.closed_at)
    journal.write(*facts)
    return journal.portfolio, [fact for fact in facts if isinstance(fact, Fill)]


def play_orders(case: dict[str, Any]) -> None:
    """Play a case of orders and bars, comparing fills, cash, equity and position after each bar."""
    span = timedelta(seconds=int(case["bar_seconds"]))
    portfolio = account(case["cash"]).portfolio
    for step in case["steps"]:
        if step["op"] == "order":
            portfolio = place(portfolio, step, portfolio.settled_slot or START)
            continue
        opened_at = datetime.fromisoformat(step["time"])
        prices = [Price(step[name]) for name in ("open", "high", "low", "close")]
        if not prices[0]:
            continue  # a price of nothing: our parsers refuse it
        portfolio, fills = live_through(portfolio, Bar(opened_at, opened_at + span, *prices))
        portfolio = replace(portfolio, settled_slot=opened_at + span, settled_until=opened_at + span)
        expected = step["expect"]
        assert [(fill.price, fill.quantity) for fill in fills] == [
            (fill["price"], fill["quantity"]) for fill in expected["fills"]
        ]
        held = portfolio.holdings.get(TOKEN)
        assert portfolio.cash == expected["cash"]
        assert portfolio.cash + net_value(portfolio, {TOKEN: prices[3]}) == expected["equity"]
        assert (held.sign * held.quantity if held else 0) == expected["position"]


class Ledger:
    """A position being filled, and what is asked of it."""

    def __init__(self) -> None:
        """Begin flat."""
        self.journal = account(Decimal(1_000_000))
        self.filled = 0
        self.orders = 0

    def fill(self, step: dict[str, Any]) -> None:
        """Book a fill: the first opens, the others leave with a quantity."""
        quantity, raw = Quantity(Decimal(step["quantity"])), Price(Decimal(step["price"]))
        fee = Decimal(step.get("commission", 0)) / (quantity * raw)
        self.journal.rules = replace(RULES, fills=replace(FREE, fee_fraction=fee))
        if not self.filled:
            order = entry_order(Side.LONG if step["op"] == "buy" else Side.SHORT, quantity, START)
            self.journal.write(order, event(order, START, OrderState.ACCEPTED))
            open_position(self.journal, order, raw, START)
        else:
            order = replace(
                entry_order(self.position.side, quantity, START),
                order_id=order_id(RUN, SIGNAL, Role.EXIT.value, self.filled),
                role=Role.EXIT,
            )
            self.journal.write(order, event(order, START, OrderState.ACCEPTED))
            fill_exit(self.journal, order, raw, START, ExitReason.MANUAL, quantity=quantity)
        self.filled += 1

    @property
    def position(self) -> Position:
        """The one position there was."""
        return next(fact for fact in self.journal.facts if isinstance(fact, Position))

    def profit(self, mark: Decimal | None) -> Decimal:
        """Return what the account made, marked at a price; without one the position is worth what it cost."""
        held = self.journal.portfolio.holdings.get(TOKEN)
        value = Decimal(0) if held is None else held.sign * held.quantity * (mark or held.position.entry_price)
        return self.journal.portfolio.cash + value - 1_000_000

    def answer(self, question: str, mark: Decimal | None) -> Decimal:
        """Answer a question of a case."""
        held = self.journal.portfolio.holdings.get(TOKEN)
        notional = self.position.quantity * self.position.entry_price
        answers: dict[str, Callable[[], Decimal]] = {
            "average_price": lambda: held.position.entry_price if held else Decimal(0),
            "position": lambda: held.sign * held.quantity if held else Decimal(0),
            "pnl": lambda: self.profit(mark),
            "return": lambda: self.profit(mark) / notional,
            "return_pct": lambda: self.profit(mark) / notional * 100,
            "market_value": lambda: held.quantity * (mark or 0) if held else Decimal(0),
            "cost": lambda: held.cost if held else Decimal(0),
        }
        return answers[question]()


def play_position(case: dict[str, Any]) -> None:
    """Play a case of fills, comparing what is asked between them and the trade they make."""
    ledger = Ledger()
    for step in case["steps"]:
        if "op" in step:
            ledger.fill(step)
        else:
            found = ledger.answer(step["ask"], step.get("mark_price"))
            assert abs(found - step["expect"]) <= Decimal("1e-9"), (step, found)
    if trade := case.get("expected_trade"):
        exits = [f for f in ledger.journal.facts if isinstance(f, Fill) and f.role is not Role.ENTRY]
        sold = sum((fill.quantity for fill in exits), Decimal(0))
        assert ledger.position.side == trade["side"]
        assert (sold, ledger.position.entry_price) == (trade["quantity"], trade["entry_price"])
        weighted = sum((fill.quantity * fill.price for fill in exits), Decimal(0)) / sold
        assert abs(weighted - trade["exit_price"]) <= Decimal("1e-9")
        assert TOKEN not in ledger.journal.portfolio.holdings


def test_orders_fill_as_in_the_peers_tests(shared: Path) -> None:
    """Market entries and exits, stops of longs and shorts: the same prices, cash and equity after every bar."""
    played = []
    with localcontext(EXACT):
        for case in cases_of(shared, "order-fills_pyalgotrade"):
            if case["id"] not in DIFFERENT:
                play_orders(case)
                played.append(case["id"].rpartition("-")[2])
    assert played == [
        "testBuyAndSell",
        "testPortfolioValue",
        "testSellShort_1",
        "testLongPosStopLoss",
        "testShortPosStopLoss",
    ]


def test_positions_are_accounted_as_in_the_peers_tests(shared: Path) -> None:
    """Averages, profit at a mark, part exits of longs and shorts, and the trade they make."""
    played = []
    with localcontext(EXACT):
        for case in cases_of(shared, "position-accounting_pyalgotrade", "position-accounting_jesse"):
            if case["id"] not in DIFFERENT:
                play_position(case)
                played.append(case["id"])
    assert {"jesse-pnl-long-win", "jesse-pnl-short-win", "jesse-target-moved-after-part-exit"} <= set(played)
    assert len([name for name in played if "testBuyAndSell" in name]) == 3


def test_every_case_is_played_or_listed(shared: Path) -> None:
    """No case is passed over in silence: each is played above or listed with the rule that differs."""
    names = ("order-fills_pyalgotrade", "position-accounting_pyalgotrade", "position-accounting_jesse")
    there = {case["id"] for case in cases_of(shared, *names)}
    assert set(DIFFERENT) <= there
    assert len(there) == 14 + len(DIFFERENT)
    # Slippage by a share of the volume: ours is a fraction of the price, on every fill.
    assert all("zipline" in case["id"] for case in cases_of(shared, "slippage_zipline"))
