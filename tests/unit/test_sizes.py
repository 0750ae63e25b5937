"""Sizes of longs and shorts at a reference of 100: each rule, each cap and the haircut, by hand."""

from dataclasses import replace
from decimal import Decimal, localcontext

import pytest

from bot.domain.ids import TokenId
from bot.domain.market import MarketSize
from bot.domain.numbers import EXACT, plain
from bot.domain.orders import Side
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket
from bot.engine.placement import place_bracket
from bot.engine.rules import (
    FillRules,
    LimitRules,
    PriceRule,
    Rules,
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
    VolatilitySource,
)
from bot.engine.sizing import Means, normalised_weights, risk_per_unit, size_entry
from tests.notation import metrics, price
from tests.proposals import FREE, SLOT, days_of, instrument, view_of

LONG, SHORT = Side.LONG, Side.SHORT
BOTH = frozenset(Side)
REFERENCE = price(100)
ACCOUNT = Means(equity=Decimal(10000), free_cash=Decimal(8000))
FIXED = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000))
NORMALISED = SizingRules(
    rule=SizeRule.NORMALISED_INVERSE_VOLATILITY, volatility=VolatilitySource.QUANTMETRICS, weight_max=Decimal(1)
)
DEAR = FillRules(fee_fraction=Decimal("0.01"), half_spread_fraction=Decimal("0.02"), slippage_fraction=Decimal(0))


def known(number: int = 1, volatility: str = "0.8", drawdown: str = "-0.6", category: str | None = None) -> TokenView:
    """Make a token with its measures and a volume of 30000."""
    return view_of(
        number,
        instrument=instrument(number, category=category),
        quantmetrics=metrics("2024-06-01", volatility, token=number, max_drawdown=drawdown),
        market=MarketSize(token_id=TokenId(number), known_at=SLOT, market_cap=None, volume_24h=Decimal(30000)),
    )


def sized(
    sizing: SizingRules,
    side: Side = LONG,
    account: Means = ACCOUNT,
    view: TokenView | None = None,
    **more: object,
) -> str | None:
    """Return quantity and bound of an entry with a stop 5 % away and four places, without costs unless told."""
    bare = Rules(
        name="sized",
        sides=BOTH,
        sizing=sizing,
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        limits=LimitRules(positions_max=4),
        fills=FREE,
    )
    rules = replace(bare, **more)  # type: ignore[arg-type]
    view = view or known()
    with localcontext(EXACT):
        found = size_entry(view, REFERENCE, place_bracket(view, REFERENCE, side, rules), account, rules)
    return None if found is None else f"{plain(found.quantity)} {found.bound}"


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize(
    ("sizing", "expected"),
    [
        # 10000 x 0.2 / 0.8 / 4 = 625
        (
            SizingRules(target_volatility=Decimal("0.2"), volatility=VolatilitySource.QUANTMETRICS),
            "6.25 inverse_volatility",
        ),
        (SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01")), "20 risk_fraction"),
        (SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal("0.3")), "30 fixed_fraction"),
        (SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal("1.234567899")), "1.23456789 fixed_quantity"),
        (FIXED, "10 fixed_notional"),
        (replace(FIXED, risk_fraction=Decimal("0.002")), "4 risk_budget"),  # 20 at 5 a unit
        (replace(FIXED, weight_max=Decimal("0.05")), "5 weight"),
        (replace(FIXED, volume_share_max=Decimal("0.01")), "3 volume_share"),
        (replace(FIXED, weight_max=Decimal("0.05"), volume_share_max=Decimal("0.01")), "3 volume_share"),
        (replace(FIXED, weight_max=Decimal("0.1")), "10 fixed_notional"),  # an equal bound does not take the name
    ],
)
def test_a_size_is_the_smallest_bound_and_says_which(sizing: SizingRules, expected: str, side: Side) -> None:
    """Equity 10000, price 100, sigma 0.8: the same on both sides where nothing costs."""
    assert sized(sizing, side) == expected


def test_cash_and_margin_bound_each_their_side() -> None:
    """8000 free: a long pays 102 x 1.01 a unit; a short puts up half its notional and what it lacks of 98 x 0.99."""
    whole = SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal(9))
    assert sized(whole) == "80 cash"
    assert sized(whole, fills=DEAR) == "77.6548243 cash"  # 8000 / 103.02
    assert sized(whole, SHORT) == "80 margin"
    half = ShortRules(margin_fraction=Decimal("0.5"))
    assert sized(whole, SHORT, short=half) == "160 margin"
    assert sized(whole, SHORT, short=half, fills=DEAR) == "151.0003775 margin"  # 8000 / (50 + 100 - 97.02)


def test_a_risk_budget_counts_the_costs_of_both_sides() -> None:
    """A long pays 103.02 and gets 95 x 0.98 x 0.99; a short gets 97.02 and pays 105 x 1.02 x 1.01."""
    long, short = Bracket(side=LONG, stop=price(95)), Bracket(side=SHORT, stop=price(105))
    assert risk_per_unit(REFERENCE, long, DEAR) == Decimal("103.02") - Decimal("92.169")
    assert risk_per_unit(REFERENCE, short, DEAR) == Decimal("108.171") - Decimal("97.02")
    assert risk_per_unit(REFERENCE, Bracket(side=SHORT), DEAR) is None
    risk = SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01"))
    assert sized(risk, fills=DEAR) == "9.21574048 risk_fraction"  # 100 / 10.851
    assert sized(risk, SHORT, fills=DEAR) == "8.96780557 risk_fraction"  # 100 / 11.151


def test_a_category_has_a_share_of_the_equity() -> None:
    """A fifth of 10000 for its category, of which 1700 is taken, leaves 300; without a category nothing is capped."""
    sizing = replace(FIXED, category_max=Decimal("0.2"))
    taken = ACCOUNT._replace(category_notional=Decimal(1700))
    assert sized(sizing, account=taken, view=known(category="L1")) == "3 category"
    assert sized(sizing, account=taken._replace(category_notional=Decimal(2100)), view=known(category="L1")) == (
        "0 category"
    )
    assert sized(sizing, account=taken, view=known()) == "10 fixed_notional"
    assert sized(replace(sizing, category_max=Decimal("0.07")), view=known(category="L1")) == "7 category"


def test_a_quantity_has_an_end() -> None:
    """A token worth next to nothing is not bought by more than the ledger can hold."""
    dust, rules = price("0.000000000000000001"), Rules(name="dust", sizing=FIXED, fills=FREE)
    with localcontext(EXACT):
        found = size_entry(known(), dust, Bracket(), ACCOUNT, rules)
    assert found is not None
    assert (found.quantity, found.bound) == (10**18, "quantity_max")


@pytest.mark.parametrize(
    ("k", "book", "expected"),
    [
        ("0.5", "0", "7 fixed_notional+drawdown_haircut"),  # 1 - 0.5 x 0.6
        ("0.5", "0.8", "6 fixed_notional+drawdown_haircut"),  # the book's is the larger
        ("2", "0", "0 fixed_notional+drawdown_haircut"),  # never less than nothing
        ("0", "0.8", "10 fixed_notional"),
    ],
)
def test_a_haircut_follows_the_larger_drawdown(k: str, book: str, expected: str) -> None:
    """The token fell 60 % at most: the size shrinks by k times that, or times the book's drawdown."""
    sizing = replace(FIXED, drawdown_haircut=Decimal(k))
    for side in Side:
        assert sized(sizing, side, ACCOUNT._replace(drawdown=Decimal(book))) == expected


def test_a_haircut_comes_after_the_caps() -> None:
    """500 by weight, of which 40 % stay; the bound says both."""
    sizing = replace(FIXED, weight_max=Decimal("0.05"), drawdown_haircut=Decimal(1))
    assert sized(sizing) == "2 weight+drawdown_haircut"


@pytest.mark.parametrize(
    ("sizing", "lacking"),
    [
        (replace(FIXED, drawdown_haircut=Decimal(1)), {"quantmetrics": None}),
        (replace(FIXED, drawdown_haircut=Decimal(1)), {"quantmetrics": metrics("2024-06-01", "0.8")}),
        (replace(FIXED, volume_share_max=Decimal(1)), {"market": None}),
        (
            SizingRules(target_volatility=Decimal("0.2"), volatility=VolatilitySource.QUANTMETRICS),
            {"quantmetrics": metrics("2024-06-01", "0")},
        ),
        (SizingRules(target_volatility=Decimal("0.2"), volatility=VolatilitySource.BARS), {}),
        (SizingRules(target_volatility=Decimal("0.2")), {"quantmetrics": None, "days": days_of(range(100, 112))}),
    ],
)
def test_a_missing_measure_is_no_size(sizing: SizingRules, lacking: dict[str, object]) -> None:
    """Without the drawdown, the volume or the volatility that a size needs there is none; zero volatility is none."""
    assert sized(sizing, view=replace(known(), **lacking)) is None  # type: ignore[arg-type]


def test_a_size_by_volatility_needs_places_to_share_among() -> None:
    """Without positions_max there is nothing to divide by, and without a target nothing to aim at."""
    sizing = SizingRules(target_volatility=Decimal("0.2"), volatility=VolatilitySource.QUANTMETRICS)
    assert sized(sizing, limits=LimitRules()) is None
    assert sized(replace(sizing, target_volatility=None)) is None


def test_normalised_weights_share_by_inverse_volatility() -> None:
    """Sigmas of 0.4, 0.8 and 0.8 share 1/2, 1/4 and 1/4; one without a sigma has no weight, a floor evens them out."""
    views = {TokenId(number): known(number, sigma) for number, sigma in ((1, "0.4"), (2, "0.8"), (3, "0.8"))}
    views[TokenId(4)] = view_of(4)
    rules = Rules(name="shared", sizing=NORMALISED)
    with localcontext(EXACT):
        assert normalised_weights(views, rules) == {1: Decimal("0.5"), 2: Decimal("0.25"), 3: Decimal("0.25")}
        floored = replace(rules, sizing=replace(NORMALISED, volatility_floor=Decimal("0.8")))
        assert {round(weight, 9) for weight in normalised_weights(views, floored).values()} == {Decimal("0.333333333")}
        assert normalised_weights({TokenId(4): view_of(4)}, rules) == {}
        assert normalised_weights(views, Rules(name="other", sizing=FIXED)) == {}


def test_a_normalised_size_is_its_weight_of_what_may_be_exposed() -> None:
    """A quarter of 10000, or of 60 % of it; capped by its weight; without a weight there is no size."""
    weighed = ACCOUNT._replace(weight=Decimal("0.25"))
    for side in Side:
        assert sized(NORMALISED, side, weighed) == "25 normalised_inverse_volatility"
        exposed = LimitRules(exposure_max=Decimal("0.6"))
        assert sized(NORMALISED, side, weighed, limits=exposed) == "15 normalised_inverse_volatility"
        assert sized(replace(NORMALISED, weight_max=Decimal("0.1")), side, weighed) == "10 weight"
        assert sized(NORMALISED, side) is None


def test_quantities_are_rounded_down_to_the_step() -> None:
    """1000 at 100 on a step of 3 are 9, never 12."""
    coarse = replace(instrument(), quantity_step=Decimal(3))
    assert sized(FIXED, view=replace(known(), instrument=coarse)) == "9 fixed_notional"


def test_an_account_under_water_buys_nothing() -> None:
    """No free cash, or an equity below zero: a size of nothing, not a negative one."""
    assert sized(FIXED, account=ACCOUNT._replace(free_cash=Decimal(-5))) == "0 cash"
    short = SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal("0.5"))
    assert sized(short, SHORT, ACCOUNT._replace(equity=Decimal(-5))) == "0 fixed_fraction"
