"""Laws of sizes, gates, brackets and levels over random candidates, longs and shorts."""

from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from bot.domain.ids import TokenId
from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize
from bot.domain.numbers import EXACT, Price
from bot.domain.orders import Role, Side
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket, TargetShare
from bot.engine.indicators import correlation
from bot.engine.levels import read_levels
from bot.engine.placement import place_bracket
from bot.engine.rules import (
    EntryRules,
    Fallback,
    FillRules,
    GateRules,
    LevelRules,
    LimitRules,
    PriceRule,
    Rules,
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetPart,
    TargetRules,
    TooFar,
    VolatilitySource,
)
from bot.engine.sizing import Means, normalised_weights, risk_per_unit, size_entry
from tests.notation import DAY, HOUR, metrics, price, signal
from tests.proposals import FREE, SLOT, accepted, book, days_of, findings, holding, instrument, turned, view_of

COSTS = FillRules()
sides = st.sampled_from(list(Side))


def decimals(low: str, high: str, places: int = 3) -> st.SearchStrategy[Decimal]:
    """Draw a decimal between two."""
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


fractions = decimals("0.001", "1")
accounts = st.builds(
    Means,
    equity=decimals("100", "100000"),
    free_cash=decimals("-1000", "100000"),
    category_notional=decimals("0", "50000"),
    drawdown=decimals("0", "1"),
    weight=fractions,
    raw=st.none(),
)
sizings = st.builds(
    SizingRules,
    rule=st.sampled_from(list(SizeRule)),
    target_volatility=fractions,
    volatility=st.just(VolatilitySource.QUANTMETRICS),
    volatility_floor=st.none() | fractions,
    risk_fraction=decimals("0.001", "0.1"),
    weight_max=st.none() | fractions,
    category_max=st.none() | fractions,
    volume_share_max=st.none() | fractions,
    notional=decimals("1", "200000"),
    fraction=decimals("0.001", "3"),
    quantity=decimals("0.001", "5000"),
    drawdown_haircut=st.none() | fractions,
)


def known(volatility: Decimal, drawdown: Decimal = Decimal("0.5"), number: int = 1) -> TokenView:
    """Make a token of a category with its measures and a volume of 30000."""
    return view_of(
        number,
        instrument=instrument(number, category="L1"),
        quantmetrics=metrics("2024-06-01", str(volatility), token=number, max_drawdown=str(-drawdown)),
        market=MarketSize(token_id=TokenId(number), known_at=SLOT, market_cap=None, volume_24h=Decimal(30000)),
    )


def sized(view: TokenView, side: Side, account: Means, rules: Rules) -> tuple[Decimal, str, Bracket]:
    """Size an entry at 100 and return quantity, bound and bracket."""
    reference = price(100)
    bracket = place_bracket(view, reference, side, rules)
    found = size_entry(view, reference, bracket, account, rules)
    assert found is not None
    return found.quantity, found.bound, bracket


def sizing_rules(sizing: SizingRules) -> Rules:
    """Make rules of a size, with a stop 5 % away and what the sizes need."""
    return Rules(
        name="sized",
        sizing=sizing,
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        limits=LimitRules(positions_max=4),
        short=ShortRules(margin_fraction=Decimal("0.5")),
        fills=COSTS,
    )


@given(sizing=sizings, account=accounts, side=sides, one=decimals("0.01", "5"), other=decimals("0.01", "5"))
def test_calmer_never_gets_less(
    sizing: SizingRules, account: Means, side: Side, one: Decimal, other: Decimal
) -> None:
    """Of two volatilities, or two drawdowns, the smaller is never given the smaller quantity, whatever caps it."""
    calm, wild = sorted((one, other))
    with localcontext(EXACT):
        rules = sizing_rules(sizing)
        assert sized(known(calm), side, account, rules)[0] >= sized(known(wild), side, account, rules)[0]
        shallow, deep = (sized(known(one, fall), side, account, rules)[0] for fall in (calm / 5, wild / 5))
        assert shallow >= deep


@given(others=st.lists(decimals("0.01", "5"), max_size=4), floor=st.none() | fractions, one=fractions, other=fractions)
def test_calmer_never_weighs_less(others: list[Decimal], floor: Decimal | None, one: Decimal, other: Decimal) -> None:
    """Normalised weights sum to one, and among the same others the calmer of two weighs no less."""
    rules = sizing_rules(
        SizingRules(
            rule=SizeRule.NORMALISED_INVERSE_VOLATILITY,
            volatility=VolatilitySource.QUANTMETRICS,
            volatility_floor=floor,
        )
    )
    around = {TokenId(number): known(sigma, number=number) for number, sigma in enumerate(others, 2)}
    with localcontext(EXACT):
        calm, wild = (normalised_weights({TokenId(1): known(sigma), **around}, rules) for sigma in sorted((one, other)))
        assert calm[TokenId(1)] >= wild[TokenId(1)]
        assert abs(sum(calm.values()) - 1) < Decimal("1e-50")
        together = normalised_weights({TokenId(1): known(one), TokenId(2): known(other, number=2)}, rules)
        assert (together[TokenId(1)] >= together[TokenId(2)]) or one > other


@given(sizing=sizings, account=accounts, side=sides)
def test_caps_are_never_exceeded(sizing: SizingRules, account: Means, side: Side) -> None:
    """Whatever the rule: weight, category, volume, risk budget, cash and margin hold; no size is negative."""
    with localcontext(EXACT):
        rules = sizing_rules(sizing)
        quantity, _, bracket = sized(known(Decimal("0.8")), side, account, rules)
        notional = quantity * 100
        risk = risk_per_unit(price(100), bracket, COSTS)
        assert risk is not None
        per_unit = COSTS.entry_amount(price(100), side)
        tied_up = per_unit if side is Side.LONG else 150 - per_unit
        assert quantity >= 0
        assert quantity * tied_up <= max(account.free_cash, Decimal(0))
        assert quantity * risk <= account.equity * (sizing.risk_fraction or 1)
        assert sizing.weight_max is None or notional <= account.equity * sizing.weight_max
        assert sizing.volume_share_max is None or notional <= 30000 * sizing.volume_share_max
        room = account.equity * (sizing.category_max or 1) - account.category_notional
        assert sizing.category_max is None or notional <= max(room, Decimal(0))


@given(sizing=sizings, account=accounts, side=sides)
def test_the_bound_that_is_named_is_the_one_that_held(sizing: SizingRules, account: Means, side: Side) -> None:
    """Loosening any cap but the one that is named changes nothing."""
    names = {
        "weight": "weight_max",
        "category": "category_max",
        "volume_share": "volume_share_max",
        "risk_budget": "risk_fraction",
    }
    with localcontext(EXACT):
        quantity, bound, _ = sized(known(Decimal("0.8")), side, account, sizing_rules(sizing))
        held = bound.removesuffix("+drawdown_haircut")
        for name, key in names.items():
            if name != held and sizing.rule is not SizeRule.RISK_FRACTION:
                loose = replace(sizing, **{key: None})
                assert sized(known(Decimal("0.8")), side, account, sizing_rules(loose))[:2] == (quantity, bound)


THRESHOLDS = {
    "trader_grade": ("trader_grade_min", 1),
    "investor_grade": ("investor_grade_min", 1),
    "sharpe": ("sharpe_min", 1),
    "sortino": ("sortino_min", 1),
    "cagr": ("cagr_min", 1),
    "max_drawdown": ("max_drawdown_limit", -1),
    "volatility": ("volatility_max", -1),
    "volume": ("volume_min", 1),
    "market_cap": ("market_cap_min", 1),
    "resistance_distance": ("resistance_distance_min", 1),
    "reward_risk": ("reward_risk_min", 1),
    "correlation": ("correlation_max", -1),
    "price_disagreement": ("price_disagreement_max", -1),
    "frozen_feed": ("frozen_hours_max", -1),
}
HOURS = ("signals", "levels", "quantmetrics", "grades", "prices")
OTHERS = {
    "signal_age": ("entry", "age_max_hours", -1),
    "cooldown": ("entry", "cooldown_hours", 1),
    "stop_distance_min": ("stop", "distance_min", 1),
    "stop_distance_max": ("stop", "distance_max", -1),
    "exposure": ("limits", "exposure_max", -1),
    "notional": ("sizing", "notional_min", 1),
}
LITTLE = Decimal("1e-12")


@st.composite
def candidates(draw: st.DrawFn) -> tuple[TokenView, TokenView]:
    """Draw a candidate of which everything is known, and another token that is held."""
    side = draw(sides)
    closes = st.lists(decimals("50", "150", 1), min_size=20, max_size=30)
    row = signal((SLOT - draw(st.integers(1, 50)) * HOUR).strftime("%Y-%m-%d %H:%M"), "bullish")
    view = view_of(
        side=side,
        episode=turned(side, when=row.published_at.strftime("%Y-%m-%d %H:%M")),
        quantmetrics=metrics(
            "2024-05-31",
            str(draw(decimals("0.1", "3"))),
            **{name: str(draw(decimals("-1", "3"))) for name in ("sharpe", "sortino", "cagr")},
            max_drawdown=str(-draw(fractions)),
        ),
        grades=Grades(
            token_id=TokenId(1),
            published_at=SLOT - DAY,
            known_at=SLOT - DAY,
            trader_grade=draw(decimals("1", "99")),
            investor_grade=draw(decimals("1", "99")),
        ),
        market=MarketSize(
            token_id=TokenId(1),
            known_at=SLOT,
            market_cap=draw(decimals("1", "1000000")),
            volume_24h=draw(decimals("1", "1000000")),
        ),
        levels=level_set(draw(st.sets(st.integers(850, 1150), min_size=1, max_size=9) | st.just({900, 1100}))),
        days=days_of([str(close) for close in draw(closes)]),
        close=replace(view_of().price, price=price(str(draw(decimals("90", "110"))))),  # type: ignore[type-var]
        moved_at=SLOT - draw(st.integers(1, 99)) * HOUR,
    )
    return view, view_of(2, draw(sides), days=days_of([str(close) for close in draw(closes)]))


def level_set(tenths: set[int]) -> LevelSet:
    """Make a set of levels of a day ago."""
    made = tuple(Level(Price(Decimal(tenth) / 10)) for tenth in sorted(tenths))
    return LevelSet(token_id=TokenId(1), published_at=SLOT - DAY, known_at=SLOT - DAY, levels=made)


def everything() -> Rules:
    """Make rules that ask every threshold and let everything pass."""
    wide = {key: Decimal(-(10**9) if sign > 0 else 10**9) for key, sign in THRESHOLDS.values()}
    return Rules(
        name="wide",
        sides=frozenset(Side),
        entry=EntryRules(age_max_hours=Decimal(10**6), cooldown_hours=Decimal(0)),
        gates=GateRules(**wide, freshness_hours=dict.fromkeys(HOURS, Decimal(10**6))),
        stop=StopRules(
            rule=PriceRule.FRACTION, fraction=Decimal("0.05"), distance_min=Decimal(0), distance_max=Decimal(1)
        ),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000), notional_min=Decimal(1)),
        limits=LimitRules(positions_max=9, exposure_max=Decimal(9)),
    )


def with_threshold(rules: Rules, gate: str, value: Decimal) -> Rules:
    """Set the threshold of one gate."""
    if gate in THRESHOLDS:
        return replace(rules, gates=replace(rules.gates, **{THRESHOLDS[gate][0]: value}))
    if gate.startswith("freshness_"):
        hours = {**rules.gates.freshness_hours, gate.removeprefix("freshness_"): value}
        return replace(rules, gates=replace(rules.gates, freshness_hours=hours))
    section, key, _ = OTHERS[gate]
    changed: dict[str, Any] = {section: replace(getattr(rules, section), **{key: value})}
    return replace(rules, **changed)


@given(drawn=candidates())
def test_flipping_one_threshold_flips_exactly_its_verdict(drawn: tuple[TokenView, TokenView]) -> None:
    """At its own value each gate passes, a little beyond it alone fails; every other verdict stays as it was."""
    view, other = drawn
    assert other.episode is not None
    side = Side.LONG if other.episode.turn.stance == "bullish" else Side.SHORT
    memory = {TokenId(1): replace(book().memory_of(TokenId(1)), loss_at=SLOT - 5 * HOUR)}
    portfolio = book(holding(2, side), accepted(3, Role.STOP), memory=memory)
    rules = everything()
    wide = findings(rules, view, portfolio, {2: other})
    assume(wide["correlation"].value is not None)
    assert all(finding.passed for finding in wide.values())
    signs = {gate: sign for gate, (_, sign) in THRESHOLDS.items()} | {gate: sign for gate, (*_, sign) in OTHERS.items()}
    for gate, sign in {**signs, **{f"freshness_{name}": -1 for name in HOURS}}.items():
        value = wide[gate].value
        if value is None:
            continue  # nothing ahead: no resistance
        with localcontext(EXACT):
            at_value = with_threshold(rules, gate, value)
            beyond = with_threshold(rules, gate, value + sign * LITTLE)
        just = findings(at_value, view, portfolio, {2: other})[gate]
        assert (just.passed, just.unready) == (True, False)
        found = findings(beyond, view, portfolio, {2: other})
        assert [name for name, finding in found.items() if finding.passed != wide[name].passed] == [gate]
        assert all(finding.value == wide[name].value for name, finding in found.items())


TARGETS = st.sampled_from(
    [
        TargetRules(rule=PriceRule.LEVEL, rank_max=3),
        TargetRules(
            rule=PriceRule.LEVEL, fallback=Fallback(rule=PriceRule.R_MULTIPLE, multiple=Decimal("1.5")), rank_max=2
        ),
        TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.07")),
        TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal("2.5")),
        TargetRules(
            rule=PriceRule.LEVEL,
            parts=(TargetPart(share=Decimal("0.3"), rank=1), TargetPart(multiple=Decimal(2))),
            fallback=Fallback(rule=PriceRule.FRACTION, fraction=Decimal("0.2")),
        ),
    ]
)
STOPS = st.sampled_from(
    [
        StopRules(rule=PriceRule.LEVEL, distance_min=Decimal("0.02"), distance_max=Decimal("0.1")),
        StopRules(
            rule=PriceRule.LEVEL,
            distance_min=Decimal("0.03"),
            distance_max=Decimal("0.08"),
            fallback=Fallback(rule=PriceRule.ATR, multiple=Decimal("1.5")),
            too_far=TooFar.CLAMP,
        ),
        StopRules(rule=PriceRule.ATR, multiple=Decimal(2)),
        StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.04")),
    ]
)
CENTRE = Decimal(100)


def mirrored(value: Decimal) -> Price:
    """Reflect a price at the centre."""
    return Price(2 * CENTRE - value)


@given(
    stop=STOPS,
    target=TARGETS,
    tenths=st.sets(st.integers(800, 1200), max_size=12),
    ranges=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=14, max_size=16),
    tick=st.sampled_from([None, "0.1", "0.5", "4"]),
    least=st.none() | st.just(Decimal("0.8")),
)
def test_mirrored_prices_give_mirrored_brackets(
    stop: StopRules,
    target: TargetRules,
    tenths: set[int],
    ranges: list[tuple[int, int]],
    tick: str | None,
    least: Decimal | None,
) -> None:
    """Reflected at the price, without costs and buffers, a short's stop, targets and ratio are those of the long."""
    rules = Rules(name="mirror", stop=stop, target=target, gates=GateRules(reward_risk_min=least), fills=FREE)
    days = [
        replace_extremes(day, up, down) for day, (up, down) in zip(days_of([100] * len(ranges)), ranges, strict=True)
    ]
    view = view_of(instrument=instrument(tick=tick), levels=level_set(tenths), days=tuple(days))
    turned_round = replace(
        view,
        levels=level_set({2000 - tenth for tenth in tenths}),
        days=tuple(
            day._replace(low=mirrored(day.high), high=mirrored(day.low), close=mirrored(day.close)) for day in days
        ),
    )
    with localcontext(EXACT):
        long = place_bracket(view, price(100), Side.LONG, rules)
        short = place_bracket(turned_round, price(100), Side.SHORT, rules)
    assert short == reflected(long)


def replace_extremes(day: Bar, up: int, down: int) -> Bar:
    """Widen a flat day by tenths."""
    return day._replace(high=Price(day.close + Decimal(up) / 10), low=Price(day.close - Decimal(down) / 10))


def reflected(bracket: Bracket) -> Bracket:
    """Reflect the prices of a long's bracket."""
    prices = {
        name: None if (value := getattr(bracket, name)) is None else mirrored(value)
        for name in ("stop", "target", "stop_level", "target_level")
    }
    parts = tuple(TargetShare(mirrored(part.price), part.share) for part in bracket.parts)
    return replace(bracket, side=Side.SHORT, parts=parts, **prices)


@given(
    tenths=st.sets(st.integers(900, 1100), min_size=1, max_size=20),
    merge=st.none() | decimals("0.001", "0.05"),
    closes=st.lists(decimals("85", "115", 1), max_size=40),
)
def test_levels_read_stay_levels(tenths: set[int], merge: Decimal | None, closes: list[Decimal]) -> None:
    """Ascending, each within what it stands for, each recorded one counted once, strengths within 0..1."""
    view = view_of(levels=level_set(tenths), days=days_of([str(close) for close in closes]))
    found = read_levels(view, LevelRules(merge_fraction=merge, strong_min=Decimal("0.5")), SLOT).levels
    assert found is not None
    prices = [level.price for level in found.levels]
    assert prices == sorted(set(prices))
    assert sum(level.merged for level in found.levels) == len(tenths)
    left = [Decimal(tenth) / 10 for tenth in sorted(tenths)]
    for level in found.levels:
        group, left = left[: level.merged], left[level.merged :]
        assert group[0] <= level.price <= group[-1] <= group[0] * (1 + (merge or 0))
        assert level.strength is not None
        assert 0 <= level.strength < 1
        assert level.computed


@given(one=st.lists(decimals("50", "150", 1), min_size=11, max_size=70), data=st.data())
def test_correlation_is_a_correlation(one: list[Decimal], data: st.DataObject) -> None:
    """Within -1 and 1, the same both ways round, one with itself, and blind to the scale of the prices."""
    other = data.draw(st.lists(decimals("50", "150", 1), min_size=len(one), max_size=len(one)))
    days, others = days_of([str(close) for close in one]), days_of([str(close) for close in other])
    found = correlation(days, others)
    assume(found is not None)
    assert found is not None
    assert -1 <= found <= 1
    assert correlation(others, days) == found
    tenfold = days_of([str(close * 1000) for close in one])
    assert abs((correlation(tenfold, others) or 0) - found) < Decimal("1e-9")
    assert abs((correlation(days, days) or 0) - 1) < Decimal("1e-9")
