"""Finer bars: an hour that holds stop and target is decided by its minutes, where they tell of that very hour."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.domain.market import Bar
from bot.domain.orders import Role, Side
from bot.domain.positions import Closing
from bot.engine.rules import (
    Anchor,
    ExitRule,
    ExitRules,
    FillRules,
    PriceRule,
    Rules,
    SameBar,
    StopRules,
    TargetFill,
    TargetGap,
    TargetPart,
    TargetRules,
)
from tests.finer_paths import (
    BOTH,
    BOTH_IN_THE_THIRD,
    FREE,
    MINUTE,
    STOP_IN_THE_THIRD,
    TARGET_IN_THE_THIRD,
    after_entry,
    exits,
    fixed,
    minutes,
)
from tests.notation import DAY, HOUR, Tape, Token, at, bars, cycles, play, price, signal

HALF_AT_1R, REST_AT_2R = TargetPart(share=Decimal("0.5"), multiple=Decimal(1)), TargetPart(multiple=Decimal(2))


def told(rules: Rules, tape: Tape) -> list[str]:
    """Tell what came after the entry."""
    return play(rules, tape).splitlines()[1:]


@pytest.mark.parametrize(
    ("inside", "expected", "band"),
    [
        (STOP_IN_THE_THIRD, "01-01 02:02 EXIT T1 10 @ 95 stop_hit -50.000000", (-50, -50)),
        (TARGET_IN_THE_THIRD, "01-01 02:02 EXIT T1 10 @ 105 target_hit +50.000000", (50, 50)),
        (BOTH_IN_THE_THIRD, "01-01 02:02 EXIT T1 10 @ 95 stop_hit -50.000000", (-50, 50)),
    ],
)
def test_the_first_minute_that_touches_decides(inside: str, expected: str, band: tuple[int, int]) -> None:
    """Its opening is the exit's instant, and the band is one value unless that minute holds both."""
    tape = after_entry(BOTH, minutes(inside))
    assert told(fixed(), tape) == [expected]
    (fill,) = exits(fixed(), tape)
    assert (fill.profit_pessimistic, fill.profit_optimistic) == band
    assert fill.fill_model == "bars-3+1m"


@pytest.mark.parametrize(
    ("inside", "expected", "band"),
    [
        (
            "100 101 99 100 | 100 102 98 101 | 101 105 100 104 | 104 110 90 101",
            "01-01 02:02 EXIT T1 10 @ 105 stop_hit -50.000000",
            (-50, -50),
        ),
        (
            "100 101 99 100 | 100 102 98 99 | 99 100 95 96 | 96 110 90 101",
            "01-01 02:02 EXIT T1 10 @ 95 target_hit +50.000000",
            (50, 50),
        ),
        (BOTH_IN_THE_THIRD, "01-01 02:02 EXIT T1 10 @ 105 stop_hit -50.000000", (-50, 50)),
    ],
)
def test_a_short_is_decided_in_the_mirror(inside: str, expected: str, band: tuple[int, int]) -> None:
    """Its stop lies above and its target below; the same minutes tell the other story."""
    rules, tape = fixed(side=Side.SHORT), after_entry(BOTH, minutes(inside), Side.SHORT)
    assert told(rules, tape) == [expected]
    (fill,) = exits(rules, tape)
    assert (fill.profit_pessimistic, fill.profit_optimistic) == band


def test_costs_are_those_of_the_exit_that_it_turned_out_to_be() -> None:
    """A target pays its fee alone: 10 x 105 x 0.001 = 1.05, after 10 x 100.07 and a fee of 1.0007 for the entry."""
    costly = FillRules(half_spread_fraction=Decimal("0.0002"), slippage_fraction=Decimal("0.0005"))
    rules = fixed(costly, target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")))
    (fill,) = exits(rules, after_entry(BOTH, minutes(TARGET_IN_THE_THIRD)))
    assert (fill.price, fill.fee) == (105, Decimal("1.05"))
    assert fill.profit_pessimistic == fill.profit_optimistic == Decimal("47.2493")


def _without(place: int) -> list[Bar]:
    made = minutes(TARGET_IN_THE_THIRD)
    del made[place]
    return made


@pytest.mark.parametrize(
    "finer",
    [
        [],
        _without(0),
        _without(40),
        _without(59),
        minutes("100 101 99 100 | 100 105 100 104 | 104 110.1 90 101"),
        minutes("100 101 99 100 | 100 105 100 104 | 104 110 89.9 101"),
        minutes("100 101 99 100 | 100 102 98 101"),
        minutes("100 101 99 100 | 100 110 98 101"),
        minutes("100 101 99 100 | 100 104.9 90 101"),
        minutes("106 107 99 100 | 100 110 90 101"),
        minutes("94 101 93 100 | 100 110 90 101"),
    ],
    ids=[
        "no minutes",
        "the first is missing",
        "one in the middle is missing",
        "the last is missing",
        "one goes above the hour",
        "one goes below the hour",
        "they touch neither",
        "they never touch the stop",
        "they never touch the target",
        "they open beyond the target",
        "they open beyond the stop",
    ],
)
def test_minutes_that_do_not_tell_of_the_hour_decide_nothing(finer: list[Bar]) -> None:
    """The rule of the bar holds, the stop with the whole band at the hour's open, and the fill model says so."""
    (fill,) = exits(fixed(), after_entry(BOTH, finer))
    assert (fill.role, fill.price, fill.filled_at) == (Role.STOP, 95, at("2024-01-01 02:00"))
    assert (fill.profit_pessimistic, fill.profit_optimistic, fill.fill_model) == (-50, 50, "bars-3")


def test_minutes_of_the_neighbouring_hours_do_not_count() -> None:
    """The hours before and after have minutes that touch too; only those inside are asked."""
    others = [*minutes("110", start="2024-01-01 01:00"), *minutes("90", start="2024-01-01 03:00")]
    tape = after_entry(BOTH, [*others, *minutes(TARGET_IN_THE_THIRD)])
    assert told(fixed(), tape) == ["01-01 02:02 EXIT T1 10 @ 105 target_hit +50.000000"]


@pytest.mark.parametrize(
    ("inside", "fills", "expected"),
    [
        ("100 101 97 97 | 93 110 90 101", FREE, "01-01 02:01 EXIT T1 10 @ 93 stop_hit -70.000000"),
        ("100 101 97 97 | 107 110 90 101", FREE, "01-01 02:01 EXIT T1 10 @ 105 target_hit +50.000000"),
        (
            "100 101 97 97 | 107 110 90 101",
            replace(FREE, target_gap=TargetGap.OPEN),
            "01-01 02:01 EXIT T1 10 @ 107 target_hit +70.000000",
        ),
    ],
)
def test_a_gap_between_minutes_is_a_gap(inside: str, fills: FillRules, expected: str) -> None:
    """A minute that opens below the stop fills at its open: the stop's price could not have been had."""
    assert told(fixed(fills), after_entry(BOTH, minutes(inside))) == [expected]


def test_through_is_asked_of_each_minute() -> None:
    """With target_fill = through a minute that only touches 105 passes; the next one falls to the stop."""
    inside = minutes("100 101 99 100 | 100 105 100 104 | 104 104 95 96 | 96 110 90 101")
    rules = fixed(replace(FREE, target_fill=TargetFill.THROUGH))
    assert told(rules, after_entry(BOTH, inside)) == ["01-01 02:02 EXIT T1 10 @ 95 stop_hit -50.000000"]
    touching = minutes("100 101 99 100 | 100 105 100 104 | 104 104 90 96")
    assert exits(rules, after_entry(BOTH, touching))[0].fill_model == "bars-3"  # never through: another bar's minutes


def test_the_entry_bar_is_decided_too() -> None:
    """Filled at the hour's open, the bracket is live from its first minute on."""
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", f"100 | {BOTH}"),
                finer=minutes(TARGET_IN_THE_THIRD, start="2024-01-01 01:00"),
                signals=[signal("2024-01-01 01:00", "bullish")],
            )
        }
    )
    expected = ["01-01 01:02 EXIT T1 10 @ 105 target_hit +50.000000"]
    assert told(fixed(), tape) == expected
    anchored = StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"), anchor=Anchor.FILL)
    assert told(fixed(stop=anchored), tape) == expected


@pytest.mark.parametrize(
    ("inside", "expected", "bands"),
    [
        (
            "100 101 99 100 | 100 106 99 105 | 105 106 104 105 | 105 110 104 109 | 109 109 90 101",
            [
                "01-01 02:01 PART T1 5 @ 105 target +25.000000",
                "01-01 02:03 EXIT T1 5 @ 110 target_hit +75.000000",
            ],
            [(25, 25), (50, 50)],
        ),
        (
            "100 101 99 100 | 100 106 99 105 | 105 106 104 105 | 105 105 95 96 | 96 110 90 101",
            [
                "01-01 02:01 PART T1 5 @ 105 target +25.000000",
                "01-01 02:03 EXIT T1 5 @ 95 stop_hit +0.000000",
            ],
            [(25, 25), (-25, -25)],
        ),
        (
            "100 101 99 100 | 100 106 94 101 | 101 110 90 101",
            ["01-01 02:01 EXIT T1 10 @ 95 stop_hit -50.000000"],
            [(-50, 0)],
        ),
        (
            "100 101 99 100 | 100 106 99 105 | 105 111 94 101 | 101 109 90 101",
            ["01-01 02:00 EXIT T1 10 @ 95 stop_hit -50.000000"],
            [(-50, 75)],
        ),
        (
            "100 101 99 100 | 100 106 99 105 | 105 109 94 101 | 101 109 90 101",
            ["01-01 02:00 EXIT T1 10 @ 95 stop_hit -50.000000"],
            [(-50, 75)],
        ),
    ],
    ids=["both, then the stop", "one, then the stop", "one and the stop", "beyond the hour", "short of the second"],
)
def test_several_targets_leave_in_the_order_of_the_minutes(
    inside: str, expected: list[str], bands: list[tuple[int, int]]
) -> None:
    """Each minute fills what it reaches; only the one that also touches the stop leaves a band."""
    rules = fixed(target=TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(1), parts=(HALF_AT_1R, REST_AT_2R)))
    tape = after_entry(BOTH, minutes(inside))
    assert told(rules, tape) == expected
    fills = exits(rules, tape)
    assert [(fill.profit_pessimistic, fill.profit_optimistic) for fill in fills] == bands
    assert len({fill.fill_model for fill in fills}) == 1


def test_excursions_end_where_the_minutes_ended_them() -> None:
    """Up to the target in minute three the price was between 98 and 105; the fall to 90 came after."""
    records, _ = cycles(fixed(), after_entry(BOTH, minutes(TARGET_IN_THE_THIRD)))
    (closing,) = [fact for record in records for fact in record.facts if isinstance(fact, Closing)]
    assert (closing.mae, closing.mfe) == (Decimal("-0.02"), Decimal("0.05"))
    assert (closing.closed_at, closing.slot) == (at("2024-01-01 02:02"), at("2024-01-01 03:00"))


def test_a_stop_that_earlier_bars_moved_counts_for_the_minutes() -> None:
    """Trailed to 98.8 by the hour before, it is hit in the first minute that falls so far, before the target."""
    trailing = ExitRules(
        rules=frozenset({ExitRule.TARGET_HIT, ExitRule.TRAILING_STOP}), trailing_fraction=Decimal("0.05")
    )
    inside = minutes("100 101 99 100 | 100 102 98.8 101 | 101 105 100 104", start="2024-01-01 03:00")
    tape = after_entry("100 104 99 100 | 100 110 90 101", inside)
    assert told(fixed(exits=trailing), tape)[-1] == "01-01 03:01 EXIT T1 10 @ 98.8 trailing_stop -12.000000"


def test_an_exit_that_waits_takes_the_first_minute_after_its_slot() -> None:
    """Accepted at 02:30 within an hour that holds both later on, it leaves at that minute's open."""
    stopping = ExitRules(
        rules=frozenset({ExitRule.STOP_HIT, ExitRule.TARGET_HIT, ExitRule.TIME_STOP}), time_stop_hours=Decimal("1.5")
    )
    inside = minutes(" | ".join(["100"] * 30 + ["101"] + ["101 110 90 101"]))
    slots = [at("2024-01-01 01:00"), at("2024-01-01 02:00"), at("2024-01-01 02:30"), at("2024-01-01 03:00")]
    (fill,) = exits(fixed(exits=stopping), after_entry(BOTH, inside), slots)
    assert (fill.role, fill.price, fill.filled_at) == (Role.EXIT, 101, at("2024-01-01 02:30"))
    assert fill.fill_model == "bars-3+1m"


@pytest.mark.parametrize(("same_bar", "expected"), [(SameBar.STOP_FIRST, 95), (SameBar.TARGET_FIRST, 105)])
def test_minutes_are_asked_only_by_those_who_want_them(same_bar: SameBar, expected: int) -> None:
    """Under the other two rules the bar is decided as if there were none."""
    inside = TARGET_IN_THE_THIRD if same_bar is SameBar.STOP_FIRST else STOP_IN_THE_THIRD
    rules = replace(fixed(), fills=replace(FREE, same_bar=same_bar))
    (fill,) = exits(rules, after_entry(BOTH, minutes(inside)))
    assert (fill.price, fill.filled_at, fill.fill_model) == (expected, at("2024-01-01 02:00"), "bars-3")


def test_a_bar_that_holds_one_of_the_two_is_left_alone() -> None:
    """Only the stop was touched: nothing was open, and the minutes are not asked."""
    inside = minutes("100 101 99 100 | 100 102 98 99 | 93 95 90 101")
    (fill,) = exits(fixed(), after_entry("100 102 90 101", inside))
    assert (fill.price, fill.filled_at, fill.fill_model) == (95, at("2024-01-01 02:00"), "bars-3")


@pytest.mark.parametrize(
    ("step", "name", "hour"), [(5 * MINUTE, "5m", "02:10"), (15 * MINUTE, "15m", "02:30"), (HOUR, "1h", "02:00")]
)
def test_the_fill_model_names_the_timeframe_that_decided(step: timedelta, name: str, hour: str) -> None:
    """Five minutes, a quarter, and the hours of a day."""
    if step == HOUR:
        start = "2024-01-03 00:00"
        days = bars("2024-01-01", f"100 | 100 | {BOTH}", DAY)
        inside = minutes(TARGET_IN_THE_THIRD, start, HOUR, DAY)
        tape = Tape({1: Token(bars=days, finer=inside, signals=[signal("2024-01-02", "bullish")])})
    else:
        tape = after_entry(BOTH, minutes(TARGET_IN_THE_THIRD, step=step))
    (fill,) = exits(fixed(), tape)
    assert (fill.price, f"{fill.filled_at:%H:%M}", fill.fill_model) == (price(105), hour, f"bars-3+{name}")
