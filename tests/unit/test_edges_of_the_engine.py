"""Edges that only live running, ticks or re-entry reach."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import cast

import pytest

from bot.app.cycle.run_cycle import run_cycle
from bot.domain.decisions import Candidate, Fact
from bot.domain.errors import InvariantError
from bot.domain.ids import RunName, Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.orders import Order, OrderEvent, Role
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Closing, Mark
from bot.engine.cycle import apply
from bot.engine.fold import fold
from bot.engine.rules import (
    EntryRules,
    FillRules,
    PriceRule,
    Reentry,
    Rules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
    TooFar,
)
from tests.notation import DAY, HOUR, Tape, Token, at, bars, cycles, levels, play, price, setup_of, signal

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
RULES = Rules(
    name="edges",
    stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
    sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
    fills=FREE,
)
TURN = [signal("2024-01-01 01:00", "bullish")]


class LateTape(Tape):
    """A source whose fetch ends half an hour after each slot."""

    def refresh(self, slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """Move to a slot, late."""
        return super().refresh(slot) + HOUR / 2


def test_an_order_never_gets_a_price_from_before_its_decision() -> None:
    """The bar that opened before the cut-off does not fill the entry; the first one after it does."""
    tape = LateTape({1: Token(bars=bars("2024-01-01", "100 | 90 | 101 | 101"), signals=TURN)})
    assert play(replace(RULES, stop=StopRules()), tape).splitlines() == [
        "01-01 02:00 ENTER T1 10 @ 101 stop - target -"
    ]


def test_a_held_token_that_left_the_universe_keeps_its_stop() -> None:
    """Dropped from the universe while held: its stop still fills, and it is no candidate any more."""
    rows = [*TURN, signal("2024-01-01 04:00", "neutral"), signal("2024-01-01 05:00", "bullish")]
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 100 | 100 | 90 | 90 | 90"), signals=rows)})
    setup = setup_of(RULES, tape)
    portfolio, facts = Portfolio(run=setup.name), []
    for hour in range(1, 7):
        following = setup if hour < 3 else replace(setup, universe=())
        slot = at(f"2024-01-01 0{hour}:00")
        record, portfolio = run_cycle(following, tape, portfolio, slot, lambda: at("2030-01-01"))
        facts.extend(record.facts)
    closings = [fact for fact in facts if isinstance(fact, Closing)]
    assert [(closing.reason, closing.profit) for closing in closings] == [("stop_hit", -100)]
    assert len([fact for fact in facts if isinstance(fact, Candidate)]) == 1


def ticked(tick: str, reference: str, *known: str, days: int = 1) -> Tape:
    """Make a token on a price grid that turned bullish at a reference price."""
    instrument = Instrument(
        token_id=TokenId(1), symbol=Symbol("T1"), name="Token", price_tick=Decimal(tick), quantity_step=Decimal(1)
    )
    turned = signal("2024-01-01 01:00", "bullish")
    candles = bars("2024-01-01", f"{reference} | {reference}")
    if days > 1:
        candles = bars("2024-01-01", " | ".join([reference] * days), DAY)
        turned = replace(turned, published_at=at("2024-01-01") + days * DAY)
    given = [levels("2024-01-01", *known)] if known else []
    return Tape({1: Token(bars=candles, signals=[turned], levels=given, instrument=instrument)})


def judged(rules: Rules, tape: Tape) -> Candidate:
    """Return the one candidate of a tape."""
    records, _ = cycles(rules, tape)
    return next(fact for record in records for fact in record.facts if isinstance(fact, Candidate))


def test_a_stop_rounded_up_to_the_price_is_no_stop() -> None:
    """Ten, tick one: five percent below rounds up to the price itself, and the candidate is refused for it."""
    risked = replace(RULES, sizing=SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01")))
    for rules in (RULES, risked):
        found = judged(rules, ticked("1", "10"))
        assert (found.first_reason, found.stop) == ("no_stop", None)


def test_a_range_of_nothing_is_no_stop() -> None:
    """Fourteen flat days: two true ranges below the price is the price."""
    rules = replace(RULES, stop=StopRules(rule=PriceRule.ATR, multiple=Decimal(2)))
    assert judged(rules, ticked("0.01", "100", days=14)).first_reason == "no_stop"


def test_the_window_holds_for_the_stop_as_it_is_placed() -> None:
    """98.9 rounds up to 99 and is too near, so 95 serves; clamping to the near edge rounds away from the price."""
    near = StopRules(rule=PriceRule.LEVEL, distance_min=Decimal("0.02"), distance_max=Decimal("0.2"))
    assert judged(replace(RULES, stop=near), ticked("0.5", "101", "98.9", "95")).stop == 95
    clamped = replace(near, too_far=TooFar.CLAMP)
    found = judged(replace(RULES, stop=clamped), ticked("0.5", "101", "100"))
    assert (found.stop, found.stop_source, found.first_reason) == (Decimal("98.5"), "clamp", None)


def test_one_exit_licenses_one_reentry() -> None:
    """Stopped, entered again but cancelled at the fill: without another exit there is no third entry."""
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 100 100 94 96 | 80 | 96 | 96 | 96"), signals=TURN)})
    records, _ = cycles(replace(RULES, entry=EntryRules(reentry=Reentry.ALWAYS)), tape)
    born = [fact for record in records for fact in record.facts if isinstance(fact, Order) and fact.role is Role.ENTRY]
    assert [order.ordinal for order in born] == [0, 1]


def test_a_position_is_marked_from_the_cycle_that_opened_it() -> None:
    """Filled at the price asked after the decision: the same cycle stores its mark."""
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 100"), signals=TURN)}, lambda _slot, _token: price(99))
    records, _ = cycles(RULES, tape)
    marks = [fact for fact in records[0].facts if isinstance(fact, Mark)]
    assert [(mark.price, mark.slot) for mark in marks] == [(100, at("2024-01-01 01:00"))]


def test_a_target_exit_counts_the_low_it_may_have_seen() -> None:
    """Before the target at 105 the bar may have been at 96: the adverse excursion is 4 percent."""
    rules = replace(RULES, target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")))
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 100 110 96 108"), signals=TURN)})
    records, _ = cycles(rules, tape)
    closing = next(fact for record in records for fact in record.facts if isinstance(fact, Closing))
    assert (closing.mae, closing.mfe) == (Decimal("-0.04"), Decimal("0.05"))


def test_a_fact_of_an_unknown_kind_stops_the_fold() -> None:
    """No fact is passed over because nobody said what it changes."""
    with pytest.raises(InvariantError, match="cannot be folded from a str"):
        fold(Portfolio(run=RunName("edges")), [cast("Fact", "news")])


def test_facts_about_what_is_not_there_are_contradictions() -> None:
    """A change of an order that ended before, and a mark of a position that is closed, stop the fold by name."""
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 100 | 100 | 90 | 90"), signals=TURN)})
    records, portfolio = cycles(RULES, tape)
    facts = [fact for record in records for fact in record.facts]
    for kind, told in ((OrderEvent, "is said of an order that is not live"), (Mark, "is not open")):
        last = [fact for fact in facts if isinstance(fact, kind)][-1]
        with pytest.raises(InvariantError, match=told):
            apply(portfolio, [last])


def test_a_volume_cap_without_a_volume_waits_for_it() -> None:
    """A cap by traded volume with no volume known keeps the candidate open instead of vanishing."""
    sizing = replace(RULES.sizing, volume_share_max=Decimal("0.01"))
    found = judged(replace(RULES, sizing=sizing), Tape({1: Token(bars=bars("2024-01-01", "100"), signals=TURN)}))
    assert (found.first_reason, found.complete) == ("missing_market", False)
