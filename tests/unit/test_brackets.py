"""Stops and targets from levels, fractions and ranges, with prices worked out by hand around a reference of 100."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar
from bot.domain.numbers import plain
from bot.domain.orders import Side
from bot.domain.snapshot import TokenView
from bot.engine.brackets import TargetShare, reward_risk
from bot.engine.indicators import sigma
from bot.engine.placement import is_whole, place_bracket
from bot.engine.rules import (
    Fallback,
    FillRules,
    GateRules,
    PriceRule,
    Rules,
    SizingRules,
    StopRules,
    TargetPart,
    TargetRules,
    TooFar,
    VolatilitySource,
)
from tests.notation import DAY, bars, levels, metrics, price
from tests.proposals import FREE

REFERENCE = price(100)
LONG, SHORT = Side.LONG, Side.SHORT


def view(*known: float | str, days: tuple[Bar, ...] = (), tick: str | None = None) -> TokenView:
    """Make a token with levels (none known where none is given) and days."""
    instrument = Instrument(
        token_id=TokenId(1), symbol=Symbol("T1"), name="Token", price_tick=None if tick is None else Decimal(tick)
    )
    return TokenView(
        instrument=instrument,
        episode=None,
        price=None,
        levels=levels("2024-01-01", *known) if known else None,
        quantmetrics=None,
        grades=None,
        market=None,
        days=days,
        prints=(),
    )


def stop_of(rules: StopRules, token: TokenView, side: Side = LONG) -> tuple[str | None, str | None]:
    """Return the stop and its source."""
    found = place_bracket(token, REFERENCE, side, Rules(name="stop", stop=rules))
    return None if found.stop is None else plain(found.stop), found.stop_source


@pytest.mark.parametrize(
    ("rules", "known", "expected"),
    [
        (StopRules(rule=PriceRule.FRACTION, fraction=Decimal("1.5")), (), ("250", "fraction")),
        (StopRules(rule=PriceRule.FRACTION, fraction=Decimal(3)), (), ("400", "fraction")),
        (StopRules(rule=PriceRule.LEVEL, distance_min=Decimal("1.2")), (150, 230), ("230", "level")),
        (StopRules(rule=PriceRule.LEVEL, distance_max=Decimal("1.2")), (230, 210), ("210", "level")),
        (StopRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal(1)), (120,), ("240", "level")),
        (
            StopRules(
                rule=PriceRule.LEVEL, fallback=Fallback(rule=PriceRule.FRACTION, fraction=Decimal("1.25"))
            ),
            (),
            ("225", "fraction"),
        ),
    ],
)
def test_a_short_may_have_its_stop_beyond_twice_the_reference(
    rules: StopRules, known: tuple[int, ...], expected: tuple[str, str]
) -> None:
    """T11: a short's stop lies reference x (1 + fraction) away, or at a level that far up."""
    assert stop_of(rules, view(*known), SHORT) == expected


def target_of(rules: TargetRules, token: TokenView, side: Side = LONG, **more: object) -> tuple[str | None, str | None]:
    """Return the target and its source, with a stop 5 % away."""
    whole = Rules(name="target", stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")), target=rules)
    found = place_bracket(token, REFERENCE, side, replace(whole, **more))  # type: ignore[arg-type]
    return None if found.target is None else plain(found.target), found.target_source


LEVEL = StopRules(
    rule=PriceRule.LEVEL,
    buffer_fraction=Decimal("0.01"),
    distance_min=Decimal("0.02"),
    distance_max=Decimal("0.10"),
)
FLAT = bars("2024-01-01", " | ".join(["100 102 98 100"] * 14), DAY)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((99.5, 95, 80), ("94.05", "level")),  # 99.5 is too near, 95 x 0.99 fits
        ((100, 96), ("95.04", "level")),  # a level equal to the price is no support
        ((98.98,), ("97.9902", "level")),  # just inside the nearer edge
        ((99.5,), ("98.505", "level")),  # found, though too near: the gate will refuse it
        ((101, 100), (None, None)),  # nothing below
        ((), (None, None)),  # no levels known
    ],
)
def test_level_stop_takes_the_nearest_support_in_the_window(
    known: tuple[float, ...], expected: tuple[str | None, str | None]
) -> None:
    """The nearest support whose buffered price lies in the window is the stop; others are passed over."""
    assert stop_of(LEVEL, view(*known)) == expected


def test_the_level_behind_a_price_is_kept() -> None:
    """The stop 94.05 hangs on 95, the target 103.95 on 105, a clamped stop on the level it was found at."""
    target = TargetRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01"))
    found = place_bracket(view(95, 105), REFERENCE, LONG, Rules(name="both", stop=LEVEL, target=target))
    assert (found.stop_level, found.target_level) == (95, 105)
    clamped = Rules(name="clamp", stop=replace(LEVEL, too_far=TooFar.CLAMP))
    assert place_bracket(view(50), REFERENCE, LONG, clamped).stop_level == 50
    fallback = replace(LEVEL, fallback=Fallback(rule=PriceRule.FRACTION, fraction=Decimal("0.05")))
    assert place_bracket(view(50), REFERENCE, LONG, Rules(name="fallback", stop=fallback)).stop_level is None


def test_fallback_serves_where_no_support_does() -> None:
    """Without a support in the window the fallback's range is asked: 100 - 2 x 4."""
    rules = replace(LEVEL, fallback=Fallback(rule=PriceRule.ATR, multiple=Decimal(2)))
    assert stop_of(rules, view(99.5, days=FLAT)) == ("92", "atr")
    assert stop_of(rules, view(99.5, days=FLAT[:13])) == ("98.505", "level")


@pytest.mark.parametrize(
    ("known", "expected"),
    [((50,), ("90", "clamp")), ((99.5,), ("98", "clamp")), ((95,), ("94.05", "level")), ((101,), (None, None))],
)
def test_clamp_moves_a_found_price_to_the_window(known: tuple[float], expected: tuple[str | None, str | None]) -> None:
    """With too_far = clamp a stop that was found outside is moved to the edge; nothing found stays nothing."""
    assert stop_of(replace(LEVEL, too_far=TooFar.CLAMP), view(*known)) == expected


def test_clamp_without_a_near_edge_keeps_a_near_stop() -> None:
    """Only the far edge is given: a stop within it is inside and stays."""
    rules = replace(LEVEL, too_far=TooFar.CLAMP, distance_min=None)
    assert stop_of(rules, view(99.5)) == ("98.505", "level")
    near_only = replace(LEVEL, too_far=TooFar.CLAMP, distance_max=None)
    assert stop_of(near_only, view(99.5)) == ("98", "clamp")


def test_fraction_atr_and_sigma_stops() -> None:
    """100 x 0.95; 100 - 3 x 4; 100 x (1 - 2 sigma)."""
    assert stop_of(StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")), view()) == ("95", "fraction")
    assert stop_of(StopRules(rule=PriceRule.ATR, multiple=Decimal(3)), view(days=FLAT)) == ("88", "atr")
    days = bars("2024-01-01", " | ".join(["100", "110"] * 6), DAY)
    found = sigma(days)
    assert found is not None
    expected = plain(100 * (1 - 2 * found))
    assert stop_of(StopRules(rule=PriceRule.SIGMA, multiple=Decimal(2)), view(days=days)) == (expected, "sigma")


@pytest.mark.parametrize("source", VolatilitySource)
def test_a_sigma_stop_is_of_the_bars_whatever_sizes_an_entry(source: VolatilitySource) -> None:
    """T12: the provider's volatility and `sizing.volatility` move no stop; below ten daily returns there is none."""
    days = bars("2024-01-01", " | ".join(["100", "110"] * 6), DAY)
    measured = replace(view(days=days), quantmetrics=metrics("2024-01-01", "5"))
    rules = Rules(
        name="sigma",
        stop=StopRules(rule=PriceRule.SIGMA, multiple=Decimal(2)),
        sizing=SizingRules(volatility=source),
    )
    daily = sigma(days)
    assert daily is not None
    assert place_bracket(measured, REFERENCE, LONG, rules).stop == 100 * (1 - 2 * daily)
    few = place_bracket(replace(measured, days=days[:10]), REFERENCE, LONG, rules)
    assert few.stop is None


def test_a_stop_that_would_not_be_positive_is_none() -> None:
    """A range wider than the price gives no stop, and neither does a missing measure."""
    assert stop_of(StopRules(rule=PriceRule.ATR, multiple=Decimal(25)), view(days=FLAT)) == (None, None)
    assert stop_of(StopRules(rule=PriceRule.ATR, multiple=Decimal(1)), view()) == (None, None)


def test_a_stop_and_a_target_are_rounded_up_to_the_tick() -> None:
    """On a tick of 0.5 the stop 94.05 becomes 94.5 and the target 103.95 becomes 104."""
    rules = Rules(
        name="tick",
        stop=LEVEL,
        target=TargetRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01")),
    )
    found = place_bracket(view(95, 105, tick="0.5"), REFERENCE, LONG, rules)
    assert (found.stop, found.target) == (Decimal("94.5"), Decimal(104))


LEVEL_TARGET = TargetRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01"), rank_max=2)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((105, 110), ("103.95", "level")),
        ((100.5, 110), ("108.9", "level")),  # 100.5 x 0.99 is not above the reference and uses up a rank
        ((100.4, 100.5, 110), (None, None)),  # both ranks used up
        ((100, 99), (None, None)),  # equal to the price is neither
        ((), (None, None)),
    ],
)
def test_level_target_takes_the_nearest_resistance(
    known: tuple[float, ...], expected: tuple[str | None, str | None]
) -> None:
    """The nearest resistance whose buffered price is above the reference is the target."""
    assert target_of(LEVEL_TARGET, view(*known)) == expected


def test_a_resistance_that_does_not_pay_is_passed_over() -> None:
    """With a least ratio of 1 the target 103.95 is passed over for 108.9; with 3 none pays and the last stays."""
    gates = GateRules(reward_risk_min=Decimal(1))
    assert target_of(LEVEL_TARGET, view(105, 110), gates=gates) == ("108.9", "level")
    gates = GateRules(reward_risk_min=Decimal(3))
    assert target_of(LEVEL_TARGET, view(105, 110), gates=gates) == ("108.9", "level")
    fallback = replace(LEVEL_TARGET, fallback=Fallback(rule=PriceRule.R_MULTIPLE, multiple=Decimal(4)))
    assert target_of(fallback, view(105, 110), gates=gates) == ("120", "r_multiple")


def test_fraction_and_multiple_targets() -> None:
    """100 x 1.08; 100 + 2 x 5; a multiple without a stop is none."""
    assert target_of(TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.08")), view()) == ("108", "fraction")
    double = TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(2))
    assert target_of(double, view()) == ("110", "r_multiple")
    assert target_of(double, view(), stop=StopRules()) == (None, None)
    fallback = replace(LEVEL_TARGET, fallback=Fallback(rule=PriceRule.R_MULTIPLE, multiple=Decimal(2)))
    assert target_of(fallback, view(), stop=StopRules()) == (None, None)
    assert target_of(LEVEL_TARGET, view(105), stop=StopRules()) == ("103.95", "level")


def test_reward_risk_counts_every_cost() -> None:
    """Half spread 0.1 %, fee 1 %: (110 x 0.99 - 101.101) / (101.101 - 95 x 0.999 x 0.99)."""
    fills = FillRules(fee_fraction=Decimal("0.01"), half_spread_fraction=Decimal("0.001"), slippage_fraction=Decimal(0))
    expected = (Decimal("108.9") - Decimal("101.101")) / (Decimal("101.101") - Decimal("93.95595"))
    assert abs(reward_risk(REFERENCE, price(95), [TargetShare(price(110))], fills, LONG) - expected) < Decimal("1e-24")


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((100.5, 105, 120), ("106.05", "level")),  # 100.5 is too near, 105 x 1.01 fits
        ((100, 104), ("105.04", "level")),  # a level equal to the price is no resistance
        ((101,), ("102.01", "level")),  # just inside the nearer edge
        ((100.5,), ("101.505", "level")),  # found, though too near: the gate will refuse it
        ((99, 100), (None, None)),  # nothing above
        ((), (None, None)),
    ],
)
def test_a_shorts_level_stop_is_the_nearest_resistance_in_the_window(
    known: tuple[float, ...], expected: tuple[str | None, str | None]
) -> None:
    """Mirrored: above the price, moved up by the buffer, within 2 to 10 percent."""
    assert stop_of(LEVEL, view(*known), SHORT) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")), ("105", "fraction")),
        (StopRules(rule=PriceRule.ATR, multiple=Decimal(3)), ("112", "atr")),
        (StopRules(rule=PriceRule.ATR, multiple=Decimal(25)), ("200", "atr")),  # above, no price is too high
        (replace(LEVEL, fallback=Fallback(rule=PriceRule.ATR, multiple=Decimal(2))), ("108", "atr")),
        (replace(LEVEL, too_far=TooFar.CLAMP), ("102", "clamp")),
    ],
)
def test_other_stops_of_a_short(rules: StopRules, expected: tuple[str, str]) -> None:
    """100 x 1.05; 100 + 3 x 4; 100 + 25 x 4; 100 + 2 x 4 and the near edge where 100.5 x 1.01 is outside."""
    assert stop_of(rules, view(100.5, days=FLAT), SHORT) == expected


def test_a_short_is_clamped_to_the_far_edge() -> None:
    """151.5 is farther than 10 percent: 110, and the level it was found at is kept."""
    clamped = Rules(name="clamp", stop=replace(LEVEL, too_far=TooFar.CLAMP))
    found = place_bracket(view(150), REFERENCE, SHORT, clamped)
    assert (found.stop, found.stop_source, found.stop_level) == (110, "clamp", 150)


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize("known", ["0.000000000001", "0.0000000000012345", "0.0000000000012346", "0.000000000002"])
def test_a_clamped_stop_lies_on_eighteen_decimals_inside_its_window(side: Side, known: str) -> None:
    """At a price of few digits left both edges are rounded into the window: what is stored is what was decided on."""
    window = replace(LEVEL, distance_min=Decimal("0.0123456789"), distance_max=Decimal("0.0555555555"))
    rules = Rules(name="clamp", stop=replace(window, too_far=TooFar.CLAMP))
    reference = price("0.000000000001234567")
    found = place_bracket(view(known), reference, side, rules)
    if found.stop is not None:
        assert found.stop == found.stop.quantize(Decimal("1e-18"))
        assert is_whole(found, reference, rules)


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_a_price_that_the_tick_rounds_to_nothing_is_none(side: Side) -> None:
    """At 8 on a tick of 10 neither a stop nor a target of zero comes out: what is not above zero was not found."""
    target = TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.9"))
    rules = Rules(name="tick", stop=replace(LEVEL, too_far=TooFar.CLAMP), target=target)
    found = place_bracket(view("7.99", "8.01", tick="10"), price(8), side, rules)
    assert all(one is None or one > 0 for one in (found.stop, found.target))


@pytest.mark.parametrize(
    ("side", "tick", "known", "expected"),
    [
        (LONG, "0.5", (95, 105), ("94.5", "104")),  # 94.05 and 103.95 up
        (SHORT, "0.5", (95, 105), ("106", "95.5")),  # 106.05 and 95.95 down
        (SHORT, "4", (150, 90), ("108", "88")),  # the far edge 110 down, towards the price
        (SHORT, "4", (100.5, 90), ("104", "88")),  # the near edge 102 up, away from the price
        (LONG, "4", (50, 110), ("92", "112")),  # the far edge 90 up
        (LONG, "4", (99.5, 110), ("96", "112")),  # the near edge 98 down
    ],
)
def test_prices_lie_on_the_tick(side: Side, tick: str, known: tuple[float, ...], expected: tuple[str, str]) -> None:
    """A long's prices are rounded up and a short's down, a clamped stop never out of its window."""
    rules = Rules(
        name="tick",
        stop=replace(LEVEL, too_far=TooFar.CLAMP),
        target=TargetRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01")),
    )
    found = place_bracket(view(*known, tick=tick), REFERENCE, side, rules)
    assert (found.stop, found.target) == (Decimal(expected[0]), Decimal(expected[1]))


@pytest.mark.parametrize(
    ("rules", "known", "expected"),
    [
        (LEVEL_TARGET, (95, 90), ("95.95", "level")),
        (LEVEL_TARGET, (99.5, 90), ("90.9", "level")),  # 99.5 x 1.01 is not below the reference and uses up a rank
        (LEVEL_TARGET, (99.6, 99.5, 90), (None, None)),  # both ranks used up
        (LEVEL_TARGET, (100, 101), (None, None)),
        (TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.08")), (), ("92", "fraction")),
        (TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(2)), (), ("90", "r_multiple")),
        (TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(20)), (), (None, None)),  # no price is zero
    ],
)
def test_targets_of_a_short(
    rules: TargetRules, known: tuple[float, ...], expected: tuple[str | None, str | None]
) -> None:
    """Mirrored: the nearest support, moved up by the buffer; 100 x 0.92; 100 - 2 x 5."""
    assert target_of(rules, view(*known), SHORT) == expected


def test_a_support_that_does_not_pay_is_passed_over() -> None:
    """With a least ratio of 1 a short's target 95.95 is passed over for 90.9."""
    gates = GateRules(reward_risk_min=Decimal(1))
    assert target_of(LEVEL_TARGET, view(95, 90), SHORT, gates=gates) == ("90.9", "level")


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize("distance", ["0.02", "0.1"])
def test_the_window_holds_its_edges(side: Side, distance: str) -> None:
    """A level exactly 2 or 10 percent away serves, and one a little outside is passed over for it."""
    edge = 100 * (1 - side.sign * Decimal(distance))
    outside = 100 * (1 - side.sign * (Decimal("0.0199") if distance == "0.02" else Decimal("0.1001")))
    rules = replace(LEVEL, buffer_fraction=Decimal(0))
    assert stop_of(rules, view(str(edge), str(outside)), side) == (plain(edge), "level")


def test_near_prices_are_prices() -> None:
    """A stop half a percent away, a stop or a short's target worth half a unit: small, but there."""
    half = Decimal("0.005")
    assert stop_of(StopRules(rule=PriceRule.FRACTION, fraction=half), view()) == ("99.5", "fraction")
    assert stop_of(StopRules(rule=PriceRule.ATR, multiple=Decimal("24.875")), view(days=FLAT)) == ("0.5", "atr")
    deep = TargetRules(rule=PriceRule.FRACTION, fraction=1 - half)
    assert target_of(deep, view(), SHORT) == ("0.5", "fraction")
    assert target_of(TargetRules(rule=PriceRule.LEVEL), view(0.5), SHORT) == ("0.5", "level")


def test_a_target_exactly_at_the_least_ratio_pays() -> None:
    """110 against a stop of 95 is 2 for 1, which is enough; buffered to the price itself a level is no target."""
    gates = GateRules(reward_risk_min=Decimal(2))
    two = TargetRules(rule=PriceRule.LEVEL, rank_max=2)
    assert target_of(two, view(110, 120), gates=gates, fills=FREE) == ("110", "level")
    assert target_of(replace(two, buffer_fraction=Decimal("0.2")), view(125, 150)) == ("120", "level")
    assert target_of(replace(two, buffer_fraction=Decimal("0.25")), view(80, 60), SHORT) == ("75", "level")


def test_a_shorts_reward_risk_counts_every_cost() -> None:
    """Half spread 0.1 %, fee 1 %: got 98.901, covered at the target for 90.9, at the stop for 106.15605."""
    fills = FillRules(fee_fraction=Decimal("0.01"), half_spread_fraction=Decimal("0.001"), slippage_fraction=Decimal(0))
    expected = (Decimal("98.901") - Decimal("90.9")) / (Decimal("106.15605") - Decimal("98.901"))
    assert abs(reward_risk(REFERENCE, price(105), [TargetShare(price(90))], fills, SHORT) - expected) < Decimal("1e-24")


HALF = TargetPart(share=Decimal("0.5"), rank=1)


@pytest.mark.parametrize(
    ("side", "parts", "expected", "ratio"),
    [
        (LONG, (HALF, TargetPart(rank=2)), [("110", "0.5"), ("120", None)], "3"),
        (SHORT, (HALF, TargetPart(rank=2)), [("95", "0.5"), ("80", None)], "2.5"),
        (LONG, (replace(HALF, rank=2), TargetPart(multiple=Decimal(2))), [("110", "0.5"), ("120", None)], "3"),
        (
            SHORT,
            (TargetPart(share=Decimal("0.25"), multiple=Decimal(4)), TargetPart(multiple=Decimal(1))),
            [("95", "0.75"), ("80", None)],
            "1.75",
        ),
        (LONG, (HALF, TargetPart(rank=3)), [("110", "0.5"), ("115", None)], "2.5"),  # no third: the fallback
    ],
)
def test_several_targets_come_nearest_first(
    side: Side, parts: tuple[TargetPart, ...], expected: list[tuple[str, str | None]], ratio: str
) -> None:
    """Each part has its level or its R; the last takes the rest; reward over risk weighs them by their shares."""
    target = TargetRules(
        rule=PriceRule.LEVEL, parts=parts, fallback=Fallback(rule=PriceRule.R_MULTIPLE, multiple=Decimal(3))
    )
    stop = StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"))
    known = view(80, 95, 110, 120)
    found = place_bracket(known, REFERENCE, side, Rules(name="parts", stop=stop, target=target, fills=FREE))
    assert [(plain(part.price), part.share and plain(part.share)) for part in found.parts] == expected
    assert (found.target, found.reward_risk) == (found.parts[0].price, Decimal(ratio))


def test_a_part_that_finds_no_price_leaves_no_target() -> None:
    """The second resistance is missing and there is no fallback: the candidate has no target at all, but its stop."""
    target = TargetRules(rule=PriceRule.LEVEL, parts=(HALF, TargetPart(rank=2)))
    stop = StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"))
    found = place_bracket(view(110), REFERENCE, LONG, Rules(name="parts", stop=stop, target=target))
    assert (found.stop, found.target, found.parts, found.reward_risk) == (95, None, (), None)


def test_parts_without_a_stop_have_no_ratio() -> None:
    """Levels need no stop; reward over risk does."""
    rules = Rules(name="parts", target=TargetRules(rule=PriceRule.LEVEL, parts=(HALF, TargetPart(rank=2))))
    found = place_bracket(view(110, 120), REFERENCE, LONG, rules)
    assert ([part.price for part in found.parts], found.reward_risk) == ([110, 120], None)
