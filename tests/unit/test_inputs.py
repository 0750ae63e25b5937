"""What rules read: the files a replay asks for and the feeds a daemon fetches come from one list."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.app.settings.inputs import GATE_INPUTS, feeds_of, inputs_of
from bot.engine.rules import (
    Breaker,
    EntryRules,
    ExitRules,
    Fallback,
    FillRules,
    GateRules,
    Hooks,
    LevelRules,
    LimitRules,
    PriceRule,
    Rank,
    Rules,
    SameBar,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
    VolatilitySource,
)

PLAIN = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1))


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (Rules(name="none", sizing=PLAIN), {}),
        (Rules(name="level", sizing=PLAIN, stop=StopRules(rule=PriceRule.LEVEL)), {"levels": 'stop.rule = "level"'}),
        (
            Rules(name="target", sizing=PLAIN, target=TargetRules(rule=PriceRule.LEVEL)),
            {"levels": 'target.rule = "level"'},
        ),
        (
            Rules(name="atr", sizing=PLAIN, stop=StopRules(fallback=Fallback(rule=PriceRule.ATR))),
            {"days": 'stop.rule = "atr"'},
        ),
        (
            Rules(name="fresh", sizing=PLAIN, gates=GateRules(freshness_hours={"grades": Decimal(1)})),
            {"grades": "gates.freshness_hours.grades"},
        ),
        (
            Rules(name="rank", sizing=PLAIN, entry=EntryRules(rank=Rank.SORTINO)),
            {"quantmetrics": 'entry.rank = "sortino"'},
        ),
        (
            Rules(name="share", sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, volume_share_max=Decimal(1))),
            {"market": "sizing.volume_share_max"},
        ),
        (
            Rules(name="bars", sizing=SizingRules(volatility=VolatilitySource.BARS)),
            {"days": 'sizing.volatility = "bars"'},
        ),
        (
            Rules(name="larger", sizing=SizingRules()),
            {"quantmetrics": 'sizing.volatility = "larger"', "days": 'sizing.volatility = "larger"'},
        ),
        (
            Rules(
                name="normalised",
                sizing=SizingRules(
                    rule=SizeRule.NORMALISED_INVERSE_VOLATILITY, volatility=VolatilitySource.QUANTMETRICS
                ),
            ),
            {"quantmetrics": 'sizing.volatility = "quantmetrics"'},
        ),
        (
            Rules(name="haircut", sizing=replace(PLAIN, drawdown_haircut=Decimal(1))),
            {"quantmetrics": "sizing.drawdown_haircut"},
        ),
        (
            Rules(
                name="composite",
                sizing=PLAIN,
                entry=EntryRules(rank=Rank.COMPOSITE, weights={Rank.GRADE: Decimal(1), Rank.SHARPE: Decimal(2)}),
            ),
            {"trader_grades": "entry.weights.grade", "quantmetrics": "entry.weights.sharpe"},
        ),
        (
            Rules(
                name="reward",
                sizing=PLAIN,
                entry=EntryRules(rank=Rank.COMPOSITE, weights={Rank.REWARD_RISK: Decimal(1)}),
            ),
            {},
        ),
        (
            Rules(name="correlated", sizing=PLAIN, gates=GateRules(correlation_max=Decimal(1))),
            {"days": "gates.correlation_max"},
        ),
        (
            Rules(name="trailing", sizing=PLAIN, exits=ExitRules(trailing_atr=Decimal(3))),
            {"days": "exits.trailing_atr"},
        ),
        (
            Rules(name="ratchet", sizing=PLAIN, exits=ExitRules(ratchet_to_support=True)),
            {"levels": "exits.ratchet_to_support"},
        ),
        (
            Rules(name="shock", sizing=PLAIN, limits=LimitRules(volatility_shock=Breaker(at=Decimal(4)))),
            {"days": "limits.volatility_shock"},
        ),
        (
            Rules(name="strong", sizing=PLAIN, levels=LevelRules(strong_min=Decimal("0.5"))),
            {},
        ),
        (
            Rules(
                name="strong stops",
                sizing=PLAIN,
                stop=StopRules(rule=PriceRule.LEVEL),
                levels=LevelRules(strong_min=Decimal("0.5")),
            ),
            {"levels": 'stop.rule = "level"', "days": "levels.strong_min"},
        ),
        (
            Rules(name="finer", sizing=PLAIN, fills=FillRules(same_bar=SameBar.FINER_BARS)),
            {"finer": 'fills.same_bar = "finer_bars"'},
        ),
        (
            Rules(name="hooks", sizing=PLAIN, hooks=Hooks(digest="any")),
            {"days": "its hooks"},
        ),
        (
            Rules(
                name="prices",
                sizing=PLAIN,
                gates=GateRules(price_disagreement_max=Decimal(1), frozen_hours_max=Decimal(1)),
                exits=ExitRules(trailing_fraction=Decimal("0.1"), break_even_r=Decimal(1)),
            ),
            {},
        ),
    ],
)
def test_each_rule_names_what_it_reads(rules: Rules, expected: dict[str, str]) -> None:
    """A rule's input is listed with the key that needs it."""
    assert inputs_of(rules) == expected


@pytest.mark.parametrize("key", sorted(GATE_INPUTS))
def test_each_gate_names_what_it_reads(key: str) -> None:
    """Every gate with an input of its own is listed under its key."""
    gates = GateRules(**{key: Decimal(1)})
    assert inputs_of(Rules(name="gate", sizing=PLAIN, gates=gates)) == {GATE_INPUTS[key]: f"gates.{key}"}


def test_feeds_are_the_union_of_what_the_runs_read() -> None:
    """Prices and hourly bars always; signals by the run's feed; hourly runs ask grades of their own endpoint."""
    levels = Rules(name="levels", sizing=PLAIN, stop=StopRules(rule=PriceRule.LEVEL))
    graded = Rules(name="graded", sizing=PLAIN, feed="hourly", gates=GateRules(trader_grade_min=Decimal(1)))
    assert feeds_of([levels]) == {"price", "hourly-ohlcv", "trading-signals", "resistance-support"}
    assert feeds_of([levels, graded]) == feeds_of([levels]) | {"hourly-trading-signals", "tm-grade"}
    trailing = Rules(name="trailing", sizing=PLAIN, exits=ExitRules(trailing_atr=Decimal(3)))
    assert feeds_of([levels, trailing]) == feeds_of([levels]) | {"daily-ohlcv"}
