"""Exits bar by bar: the rules of product.md section 7 with numbers worked out by hand, costs zero unless said."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.decisions import Verdict
from bot.domain.orders import Fill, Role
from bot.engine.rules import (
    ExitRule,
    ExitRules,
    FillRules,
    PriceRule,
    Rules,
    SameBar,
    SizeRule,
    SizingRules,
    StopRules,
    TargetCost,
    TargetFill,
    TargetGap,
    TargetRules,
)
from tests.notation import Tape, Token, bars, cycles, play, signal

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))


def fixed(fills: FillRules = FREE, **changes: object) -> Rules:
    """Buy 1000 worth at every turn, stop 5 % below, target 5 % above."""
    rules = Rules(
        name="fixed",
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
        fills=fills,
    )
    return replace(rules, **changes)  # type: ignore[arg-type]


def after_entry(text: str, *turns: tuple[str, str]) -> Tape:
    """Enter at 100 at 01:00, then live through the bars from 02:00 on."""
    flips = [signal("2024-01-01 01:00", "bullish"), *(signal(when, stance) for when, stance in turns)]
    return Tape({1: Token(bars=bars("2024-01-01", f"100 | 100 | {text}"), signals=flips)})


def exits(rules: Rules, tape: Tape) -> list[str]:
    """Tell only what came after the entry."""
    return [line for line in play(rules, tape).splitlines() if "ENTER" not in line]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("100 110 90 101", "@ 95 stop_hit -50.000000"),
        ("100 110 90 106", "@ 95 stop_hit -50.000000"),
        ("90 101 88 99", "@ 90 stop_hit -100.000000"),
        ("80 85 78 82", "@ 80 stop_hit -200.000000"),
        ("120 125 118 121", "@ 105 target_hit +50.000000"),
        ("100 105 96 100", "@ 105 target_hit +50.000000"),
        ("100 104 95 100", "@ 95 stop_hit -50.000000"),
    ],
)
def test_bar_shapes(shape: str, expected: str) -> None:
    """Each shape of a bar gives the one price that could have been had, the stop first where both were."""
    assert exits(fixed(), after_entry(shape)) == [f"01-01 02:00 EXIT T1 10 {expected}"]


def test_target_gap_open_pays_the_open() -> None:
    """With target_gap = open a gap above the target is paid in full."""
    rules = fixed(FillRules(**_costs(0), target_gap=TargetGap.OPEN))
    assert exits(rules, after_entry("120 125 118 121")) == ["01-01 02:00 EXIT T1 10 @ 120 target_hit +200.000000"]


def test_target_through_needs_more_than_a_touch() -> None:
    """With target_fill = through a high equal to the target does not fill it, one above does."""
    rules = fixed(FillRules(**_costs(0), target_fill=TargetFill.THROUGH))
    told = exits(rules, after_entry("100 105 96 100 | 100 105.01 96 100"))
    assert told == ["01-01 03:00 EXIT T1 10 @ 105 target_hit +50.000000"]


def test_same_bar_target_first_takes_the_target_and_keeps_the_band() -> None:
    """With same_bar = target_first the target fills, and the pessimistic profit is still the stop's."""
    rules = fixed(FillRules(**_costs(0), same_bar=SameBar.TARGET_FIRST))
    records, _ = cycles(rules, after_entry("100 110 90 101"))
    fill = next(f for r in records for f in r.facts if isinstance(f, Fill) and f.role is Role.TARGET)
    assert (fill.price, fill.profit_pessimistic, fill.profit_optimistic) == (105, -50, 50)


def test_the_band_is_recorded_where_a_bar_leaves_it_open() -> None:
    """A bar that holds stop and target books the stop and records the target as the optimistic profit."""
    records, _ = cycles(fixed(), after_entry("100 110 90 101"))
    fill = next(f for r in records for f in r.facts if isinstance(f, Fill) and f.role is Role.STOP)
    assert (fill.profit_pessimistic, fill.profit_optimistic) == (-50, 50)


def test_entry_bar_is_live_from_its_open() -> None:
    """The bar whose open filled the entry can stop the position out."""
    tape = Tape(
        {1: Token(bars=bars("2024-01-01", "100 | 100 101 94 99"), signals=[signal("2024-01-01 01:00", "bullish")])}
    )
    assert exits(fixed(), tape) == ["01-01 01:00 EXIT T1 10 @ 95 stop_hit -50.000000"]


def test_costs_are_paid_on_both_sides_and_a_target_keeps_its_price() -> None:
    """Bought at 100 x 1.01, sold at the target 105 with the fee of one percent on each notional."""
    rules = fixed(FillRules(**_costs("0.01")))
    told = play(rules, after_entry("100 105 96 100")).splitlines()
    assert told == [
        "01-01 01:00 ENTER T1 10 @ 101 stop 95 target 105",
        # 10 x 105 x 0.99 - 10 x 101 x 1.01 = 1039.5 - 1020.1
        "01-01 02:00 EXIT T1 10 @ 105 target_hit +19.400000",
    ]


def test_target_cost_market_sells_the_target_at_market() -> None:
    """With target_cost = market a target pays half spread and slippage too."""
    rules = fixed(FillRules(**_costs("0.01"), target_cost=TargetCost.MARKET))
    # 10 x 105 x 0.99 x 0.99 - 1020.1
    assert exits(rules, after_entry("100 105 96 100")) == ["01-01 02:00 EXIT T1 10 @ 103.95 target_hit +9.005000"]


def test_bearish_turn_exits_at_the_next_open() -> None:
    """A turn to bearish at 03:00 sells at the open of the bar that starts then, even through a gap."""
    told = exits(fixed(), after_entry("100 | 93 94 92 93", ("2024-01-01 03:00", "bearish")))
    assert told == ["01-01 03:00 EXIT T1 10 @ 93 signal_flipped -70.000000"]


def test_neutral_closes_nothing() -> None:
    """A neutral stance ends the episode and leaves the position."""
    assert exits(fixed(), after_entry("100 | 100", ("2024-01-01 03:00", "neutral"))) == []


def test_time_stop_is_accepted_when_due_and_fills_at_the_next_open() -> None:
    """Opened at 01:00 with two hours: accepted at 03:00, filled at the open of that bar."""
    rules = fixed(exits=ExitRules(rules=frozenset({ExitRule.TIME_STOP, ExitRule.STOP_HIT}), time_stop_hours=Decimal(2)))
    assert exits(rules, after_entry("101 | 102 | 103")) == ["01-01 03:00 EXIT T1 10 @ 102 time_stop +20.000000"]


def test_entry_beyond_its_bracket_is_cancelled() -> None:
    """An open at the stop leaves nothing to protect: the entry is cancelled, with the reason."""
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 95"), signals=[signal("2024-01-01 01:00", "bullish")])})
    # The order of the earlier slot is told by its event alone.
    assert play(fixed(), tape) == "01-01 02:00 CANCELLED order bracket_invalid_at_fill"


def test_bearish_turn_cancels_a_waiting_entry() -> None:
    """An entry that found no price is cancelled by a turn to bearish."""
    other = Token(bars=bars("2024-01-01", "50 | 50 | 50 | 50"))
    flips = [signal("2024-01-01 01:00", "bullish"), signal("2024-01-01 03:00", "bearish")]
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | - | - | 100"), signals=flips), 2: other})
    assert play(fixed(), tape) == "01-01 03:00 CANCELLED order turned_bearish"


def test_waiting_entry_expires_after_72_hours() -> None:
    """An entry that found no price within 72 hours expires, and a later bar does not fill it."""
    hours = " | ".join(["50"] * 76)
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100" + " | -" * 73 + " | 100"),
                signals=[signal("2024-01-01 01:00", "bullish")],
            ),
            2: Token(bars=bars("2024-01-01", hours)),
        }
    )
    assert play(fixed(), tape) == "01-04 01:00 EXPIRED order expired"


def test_cash_at_fill_cuts_the_quantity() -> None:
    """An open above the reference that costs more than the cash buys what the cash buys."""
    rules = fixed(
        stop=StopRules(rule=PriceRule.NONE),
        target=TargetRules(rule=PriceRule.NONE),
        sizing=SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal(1)),
    )
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 125"), signals=[signal("2024-01-01 01:00", "bullish")])})
    assert play(rules, tape, cash="1000") == "01-01 01:00 ENTER T1 8 @ 125 stop - target -"


def test_cash_at_fill_cancels_below_the_least_notional() -> None:
    """Where the cut quantity is worth less than notional_min the entry is cancelled."""
    rules = fixed(
        stop=StopRules(rule=PriceRule.NONE),
        target=TargetRules(rule=PriceRule.NONE),
        sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(10), notional_min=Decimal(1000)),
    )
    pair = [signal("2024-01-01 01:00", "bullish", token) for token in (1, 2)]
    tape = Tape(
        {
            1: Token(bars=bars("2024-01-01", "100 | 150"), signals=pair[:1]),
            2: Token(bars=bars("2024-01-01", "100 | 100"), signals=pair[1:]),
        }
    )
    assert play(rules, tape, cash="2000") == (
        "01-01 01:00 ENTER T1 10 @ 150 stop - target -\n01-01 02:00 CANCELLED order cash_at_fill"
    )


def test_a_token_without_bars_for_a_week_is_closed_at_its_last_close() -> None:
    """Seven days after the last bar the position ends at the last close, reason delisted."""
    week = " | ".join(["50"] * 180)
    tape = Tape(
        {
            1: Token(bars=bars("2024-01-01", "100 | 100 102 100 102"), signals=[signal("2024-01-01 01:00", "bullish")]),
            2: Token(bars=bars("2024-01-01", week)),
        }
    )
    assert exits(fixed(), tape) == ["01-08 02:00 EXIT T1 10 @ 102 delisted +20.000000"]


def test_every_gate_has_one_verdict_on_each_candidate() -> None:
    """A candidate's verdicts have distinct gates and the failed ones name a reason."""
    records, _ = cycles(fixed(), after_entry("100"))
    verdicts = [fact for record in records for fact in record.facts if isinstance(fact, Verdict)]
    assert len({verdict.gate for verdict in verdicts}) == len(verdicts) > 0


def _costs(value: str | int) -> dict[str, Decimal]:
    return {
        "fee_fraction": Decimal(value),
        "half_spread_fraction": Decimal(value),
        "slippage_fraction": Decimal(0),
    }


def test_a_stop_counts_only_where_its_rule_is_on() -> None:
    """Without stop_hit among the rules the stop measures risk, and ends nothing."""
    rules = fixed(exits=ExitRules(rules=frozenset({ExitRule.TARGET_HIT})))
    assert exits(rules, after_entry("100 101 80 90")) == []
