"""Stops and targets from levels, fractions and ranges, with prices worked out by hand around a reference of 100."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar
from bot.domain.numbers import plain
from bot.domain.snapshot import TokenView
from bot.engine.brackets import place_bracket, reward_risk
from bot.engine.indicators import annual_sigma, atr, daily_sigma, sigma
from bot.engine.rules import Fallback, FillRules, GateRules, PriceRule, Rules, StopRules, TargetRules, TooFar
from tests.notation import DAY, bars, levels, price

REFERENCE = price(100)


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


def stop_of(rules: StopRules, token: TokenView) -> tuple[str | None, str | None]:
    """Return the stop and its source."""
    found = place_bracket(token, REFERENCE, Rules(name="stop", stop=rules))
    return None if found.stop is None else plain(found.stop), found.stop_source


def target_of(rules: TargetRules, token: TokenView, **more: object) -> tuple[str | None, str | None]:
    """Return the target and its source, with a stop 5 % below."""
    whole = Rules(name="target", stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")), target=rules)
    found = place_bracket(token, REFERENCE, replace(whole, **more))  # type: ignore[arg-type]
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
    found = place_bracket(view(95, 105), REFERENCE, Rules(name="both", stop=LEVEL, target=target))
    assert (found.stop_level, found.target_level) == (95, 105)
    clamped = Rules(name="clamp", stop=replace(LEVEL, too_far=TooFar.CLAMP))
    assert place_bracket(view(50), REFERENCE, clamped).stop_level == 50
    fallback = replace(LEVEL, fallback=Fallback(rule=PriceRule.FRACTION, fraction=Decimal("0.05")))
    assert place_bracket(view(50), REFERENCE, Rules(name="fallback", stop=fallback)).stop_level is None


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
    found = place_bracket(view(95, 105, tick="0.5"), REFERENCE, rules)
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
    assert abs(reward_risk(REFERENCE, price(95), price(110), fills) - expected) < Decimal("1e-24")


def test_atr_is_the_mean_true_range_of_fourteen_days() -> None:
    """Thirteen ranges of 4 and a gap day of 10 give 62 / 14; the first day on record counts high - low."""
    days = (*FLAT[:13], *bars("2024-01-14", "108 110 106 108", DAY))
    assert atr(days) == Decimal(62) / Decimal(14) or abs(atr(days) - Decimal(62) / 14) < Decimal("1e-26")
    assert atr(days[1:]) is None
    assert atr((*FLAT[:1], *FLAT)) == 4


def test_sigma_needs_ten_returns_and_matches_a_hand_computed_pair() -> None:
    """Ten returns of zero give zero; fewer give nothing; annual is daily x sqrt(365)."""
    flat = bars("2024-01-01", " | ".join(["100"] * 11), DAY)
    assert daily_sigma(flat) == 0
    assert daily_sigma(flat[1:]) is None
    assert sigma(flat[1:]) is None
    assert annual_sigma(flat[1:]) is None
    moved = bars("2024-01-01", " | ".join(["100"] * 10 + ["110"]), DAY)
    # One return of 0.1, the newest of ten: weights w = (34/36)^age, W their sum, and by hand the variance is
    # 0.01 x (1/W)(1 - 1/W) / (1 - sum w^2 / W^2).
    weights = [(34 / 36) ** age for age in range(10)]
    total, squares = sum(weights), sum(weight * weight for weight in weights)
    variance = 0.01 * (1 / total) * (1 - 1 / total) / (1 - squares / total**2)
    assert daily_sigma(moved) == pytest.approx(variance**0.5, rel=1e-12)
    assert float(annual_sigma(moved) or 0) == pytest.approx((variance * 365) ** 0.5, rel=1e-12)
