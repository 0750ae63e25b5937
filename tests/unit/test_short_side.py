"""Shorts: the long side mirrored by a sign, with a borrow fee, a margin and turns that reverse a position."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import Candidate, EquityMark
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.orders import Fill, Order, Role, Side
from bot.engine.rules import (
    ExitRule,
    ExitRules,
    FillRules,
    GateRules,
    LimitRules,
    PriceRule,
    Rules,
    SameBar,
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
)
from tests.notation import Tape, Token, bars, cycles, levels, play, signal

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
BOTH = frozenset({Side.LONG, Side.SHORT})


def fixed(fills: FillRules = FREE, **changes: object) -> Rules:
    """Sell 1000 worth at every bearish turn, stop 5 % above, target 5 % below."""
    rules = Rules(
        name="fixed",
        sides=frozenset({Side.SHORT}),
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
        fills=fills,
    )
    return replace(rules, **changes)  # type: ignore[arg-type]


def after_entry(text: str, *turns: tuple[str, str]) -> Tape:
    """Sell short at 100 at 01:00, then live through the bars from 02:00 on."""
    flips = [signal("2024-01-01 01:00", "bearish"), *(signal(when, stance) for when, stance in turns)]
    return Tape({1: Token(bars=bars("2024-01-01", f"100 | 100 | {text}"), signals=flips)})


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("100 110 90 99", "@ 105 stop_hit -50.000000"),
        ("100 110 90 94", "@ 105 stop_hit -50.000000"),
        ("110 112 99 101", "@ 110 stop_hit -100.000000"),
        ("120 122 115 118", "@ 120 stop_hit -200.000000"),
        ("80 82 75 79", "@ 95 target_hit +50.000000"),
        ("100 104 95 100", "@ 95 target_hit +50.000000"),
        ("100 105 96 100", "@ 105 stop_hit -50.000000"),
    ],
)
def test_bar_shapes_are_those_of_a_long_upside_down(shape: str, expected: str) -> None:
    """Each mirrored shape gives the mirrored price, the stop first where both were."""
    told = play(fixed(), after_entry(shape)).splitlines()
    assert told == [
        "01-01 01:00 SHORT T1 10 @ 100 stop 105 target 95",
        f"01-01 02:00 EXIT T1 10 {expected}",
    ]


def test_costs_of_a_short_are_paid_on_both_sides() -> None:
    """Sold at 100 x 0.99, covered at the stop 105 x 1.01, one percent of fee on each notional."""
    fills = FillRules(fee_fraction=Decimal("0.01"), half_spread_fraction=Decimal(0), slippage_fraction=Decimal("0.01"))
    told = play(fixed(fills), after_entry("100 106 99 100")).splitlines()
    assert told[0] == "01-01 01:00 SHORT T1 10 @ 99 stop 105 target 95"
    # 10 x 99 x 0.99 - 10 x 106.05 x 1.01 = 980.1 - 1071.105
    assert told[1] == "01-01 02:00 EXIT T1 10 @ 106.05 stop_hit -91.005000"


def test_the_books_of_a_short_are_those_of_the_contract() -> None:
    """Entry: cash +(N-f), position -N, fees +f; cover: cash -(M+f), position +cost, fees +f, profit the rest."""
    fills = FillRules(fee_fraction=Decimal("0.01"), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
    records, portfolio = cycles(fixed(fills), after_entry("100 101 94 100"))
    entries = [fact for record in records for fact in record.facts if isinstance(fact, JournalEntry)][1:]
    legs = [{posting.account: posting.amount for posting in entry.postings} for entry in entries]
    assert legs == [
        {Account.CASH: 990, Account.POSITION: -1000, Account.FEES: 10},
        {Account.CASH: Decimal("-959.5"), Account.POSITION: 1000, Account.FEES: Decimal("9.5"), Account.PROFIT: -50},
    ]
    assert portfolio.cash == Decimal("10030.5")


def test_equity_counts_a_short_as_owed() -> None:
    """At 96 a short of ten from 100 has earned 40: cash holds the proceeds, the position is negative."""
    records, _ = cycles(fixed(), after_entry("100 101 96 96"))
    marks = [fact for record in records for fact in record.facts if isinstance(fact, EquityMark)]
    assert (marks[-1].cash, marks[-1].positions_value, marks[-1].equity) == (11000, -960, 10040)
    assert marks[-1].exposure == Decimal("0.095617529880478088")  # 960 / 10040


def test_a_bullish_turn_closes_a_short() -> None:
    """The turn against a short is the bullish one."""
    told = play(fixed(), after_entry("100 | 100 | 98 | 97", ("2024-01-01 03:00", "bullish"))).splitlines()
    assert told[-1] == "01-01 03:00 EXIT T1 10 @ 100 signal_flipped +0.000000"


def test_a_turn_reverses_a_position_where_both_sides_are_allowed() -> None:
    """At one slot the long's exit and the short's entry are accepted, and both fill at the same open."""
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 100 | 102 | 102"),
                signals=[signal("2024-01-01 01:00", "bullish"), signal("2024-01-01 02:00", "bearish")],
            )
        }
    )
    rules = fixed(sides=BOTH)
    assert play(rules, tape).splitlines() == [
        "01-01 01:00 ENTER T1 10 @ 100 stop 95 target 105",
        "01-01 02:00 EXIT T1 10 @ 102 signal_flipped +20.000000",
        "01-01 02:00 SHORT T1 10 @ 102 stop 105 target 95",
    ]


def test_a_long_only_strategy_ignores_bearish_turns() -> None:
    """Without the side allowed a bearish turn makes no candidate."""
    records, _ = cycles(fixed(sides=frozenset({Side.LONG})), after_entry("100 | 100"))
    assert not [fact for record in records for fact in record.facts if isinstance(fact, Candidate)]


def test_each_begun_day_of_a_short_is_charged_for() -> None:
    """Opened at 01:00, closed 25 hours later: two begun days at 0.1 % of 1000, in the trade's profit and fees."""
    exits = ExitRules(rules=frozenset({ExitRule.TIME_STOP}), time_stop_hours=Decimal(25))
    rules = fixed(
        exits=exits, short=ShortRules(borrow_fraction_per_day=Decimal("0.001")), target=TargetRules(), stop=StopRules()
    )
    records, portfolio = cycles(rules, after_entry(" | ".join(["100"] * 28)))
    paid = [
        (f"{fact.at:%d %H:%M}", fact.postings[0].amount)
        for record in records
        for fact in record.facts
        if isinstance(fact, JournalEntry) and fact.cause.startswith("borrow")
    ]
    assert paid == [("01 01:00", -1), ("02 01:00", -1)]
    assert portfolio.cash == 9998
    assert play(rules, after_entry(" | ".join(["100"] * 28))).endswith("time_stop -2.000000")


def test_a_long_borrows_nothing() -> None:
    """The borrow fee is a short's."""
    rules = fixed(sides=BOTH, short=ShortRules(borrow_fraction_per_day=Decimal("0.5")))
    tape = Tape(
        {1: Token(bars=bars("2024-01-01", " | ".join(["100"] * 30)), signals=[signal("2024-01-01 01:00", "bullish")])}
    )
    _, portfolio = cycles(rules, tape)
    assert portfolio.cash == 9000


def test_the_margin_limits_a_short() -> None:
    """With a margin of one half, 10000 of cash carry 20000 of shorts and no more."""
    sizing = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(50000))
    rules = fixed(sizing=sizing, short=ShortRules(margin_fraction=Decimal("0.5")))
    records, _ = cycles(rules, after_entry("100"))
    entry = next(fact for record in records for fact in record.facts if isinstance(fact, Order))
    candidate = next(fact for record in records for fact in record.facts if isinstance(fact, Candidate))
    assert (entry.quantity, candidate.size_bound) == (200, "margin")


def test_the_proceeds_of_a_short_buy_nothing() -> None:
    """A short of all the cash leaves no free cash for a long beside it."""
    sizing = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(10000))
    tape = Tape(
        {
            1: Token(bars=bars("2024-01-01", "100 | 100 | 100 | 100"), signals=[signal("2024-01-01 01:00", "bearish")]),
            2: Token(bars=bars("2024-01-01", "50 | 50 | 50 | 50"), signals=[signal("2024-01-01 02:00", "bullish", 2)]),
        }
    )
    told = play(fixed(sides=BOTH, sizing=sizing), tape).splitlines()
    assert told == ["01-01 01:00 SHORT T1 100 @ 100 stop 105 target 95", "01-01 02:00 SKIP T2 notional"]


def test_a_short_stops_at_the_resistance_and_covers_at_the_support() -> None:
    """Its stop is above the nearest resistance by the buffer, its target above the nearest support by its own."""
    rules = fixed(
        stop=StopRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01")),
        target=TargetRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.02")),
        gates=GateRules(reward_risk_min=Decimal(1)),
    )
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 100 | 100"),
                signals=[signal("2024-01-01 01:00", "bearish")],
                levels=[levels("2024-01-01 00:30", 80, 90, 100, 105, 120)],
            )
        }
    )
    # 105 x 1.01 and 90 x 1.02; reward 100 - 91.8 over risk 106.05 - 100 is 1.36
    assert play(rules, tape).splitlines() == ["01-01 01:00 SHORT T1 10 @ 100 stop 106.05 target 91.8"]


def test_extremes_of_a_short_are_turned_round() -> None:
    """A rise is adverse, a fall favourable: MAE -4 %, MFE +3 % on a short that saw 104 and 97."""
    records, _ = cycles(
        fixed(fills=replace(FREE, same_bar=SameBar.STOP_FIRST)), after_entry("100 104 97 100 | 95 96 94 95")
    )
    closing = next(fact for record in records for fact in record.facts if type(fact).__name__ == "Closing")
    assert (closing.mae, closing.mfe) == (Decimal("-0.04"), Decimal("0.05"))  # type: ignore[union-attr]


def test_positions_max_counts_both_sides() -> None:
    """A short takes a place like a long."""
    tape = Tape(
        {
            1: Token(bars=bars("2024-01-01", "100 | 100 | 100 | 100"), signals=[signal("2024-01-01 01:00", "bearish")]),
            2: Token(bars=bars("2024-01-01", "50 | 50 | 50 | 50"), signals=[signal("2024-01-01 02:00", "bullish", 2)]),
        }
    )
    told = play(fixed(sides=BOTH, limits=LimitRules(positions_max=1)), tape).splitlines()
    assert told[-1] == "01-01 02:00 SKIP T2 positions"


def test_a_short_that_was_cut_to_its_margin_is_smaller() -> None:
    """The price rose between decision and fill: the quantity is cut to what the margin carries."""
    sizing = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(10000))
    tape = Tape(
        {1: Token(bars=bars("2024-01-01", "100 | 103 103 103 103"), signals=[signal("2024-01-01 01:00", "bearish")])}
    )
    records, _ = cycles(fixed(sizing=sizing), tape)
    fill = next(fact for record in records for fact in record.facts if isinstance(fact, Fill))
    assert (fill.role, fill.quantity) == (Role.ENTRY, Decimal("97.08737864"))  # 10000 / 103, down to 1e-8


def test_a_category_is_filled_by_longs_and_shorts_together() -> None:
    """Half the equity for a category: the second token gets what the first left, the third is of another one."""

    def token(number: int, stance: str, category: str, hour: str) -> Token:
        listed = Instrument(
            token_id=TokenId(number), symbol=Symbol(f"T{number}"), name=f"Token {number}", category=category
        )
        return Token(
            bars=bars("2024-01-01", "100 | 100 | 100 | 100"),
            signals=[signal(f"2024-01-01 {hour}", stance, number)],
            instrument=listed,
        )

    tape = Tape(
        {
            1: token(1, "bearish", "l1", "01:00"),
            2: token(2, "bullish", "l1", "02:00"),
            3: token(3, "bullish", "meme", "02:00"),
        }
    )
    sizing = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(3000), category_max=Decimal("0.5"))
    records, _ = cycles(fixed(sides=BOTH, sizing=sizing, target=TargetRules()), tape)
    entered = {
        fact.token_id: (fact.quantity, fact.size_bound)
        for record in records
        for fact in record.facts
        if isinstance(fact, Candidate)
    }
    assert entered == {1: (30, "fixed_notional"), 2: (20, "category"), 3: (30, "fixed_notional")}


def test_a_target_that_rounds_to_nothing_is_none() -> None:
    """Nine tenths below 0.05 on a tick of a cent is no price: the candidate has no target."""
    coarse = Instrument(token_id=TokenId(1), symbol=Symbol("T1"), name="Token 1", price_tick=Decimal("0.01"))
    rules = fixed(
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.5")),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.9")),
    )
    token = Token(
        bars=bars("2024-01-01", "0.05 | 0.05 | 0.05"),
        signals=[signal("2024-01-01 01:00", "bearish")],
        instrument=coarse,
    )
    assert play(rules, Tape({1: token})) == "01-01 01:00 SKIP T1 no_target"
