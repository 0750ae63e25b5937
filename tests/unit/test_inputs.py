"""What rules read: the files a replay asks for and the feeds a daemon fetches come from one list."""

from decimal import Decimal

import pytest

from bot.app.inputs import GATE_INPUTS, inputs_of
from bot.app.wiring import feeds_of
from bot.engine.rules import (
    EntryRules,
    Fallback,
    GateRules,
    PriceRule,
    Rank,
    Rules,
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
