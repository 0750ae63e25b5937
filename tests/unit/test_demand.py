"""What rules declare that they need: snapshots, files of a replay, feeds and slots all come from these rows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest

from bot.app.settings.providers import PROVIDERS, feeds_of
from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.strategy_kinds import STOP_MULTIPLES, STOP_PRICES
from bot.app.settings.tables import every
from bot.domain.errors import InvariantError
from bot.domain.snapshot import NotAskedFor
from bot.engine.breakers import BREAKERS
from bot.engine.candidates import SCORES
from bot.engine.demand import demand_of, families
from bot.engine.exits import EXITS
from bot.engine.gates.table import GATES
from bot.engine.needs import Declaration, Wakes
from bot.engine.placement import STOPS, TARGETS
from bot.engine.rules import (
    Breaker,
    BreakerName,
    EntryRules,
    ExitRule,
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
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
    VolatilitySource,
)
from bot.engine.sizing import SIZES

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
            {"days": 'stop.fallback.rule = "atr"'},
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
            {"close": "gates.price_disagreement_max", "moved_at": "gates.frozen_hours_max"},
        ),
    ],
)
def test_each_rule_names_what_it_reads(rules: Rules, expected: dict[str, str]) -> None:
    """A rule's input is listed with the key that needs it."""
    assert demand_of(rules).inputs == expected


OWN_INPUT = {name: row.declaration for name, row in GATES.items() if row.declaration.needs}


@pytest.mark.parametrize("name", OWN_INPUT)
def test_each_gate_names_what_it_reads(name: str) -> None:
    """Every gate with an input of its own is listed under its key, and asks for no slot."""
    (key,), (wanted,) = OWN_INPUT[name].keys, OWN_INPUT[name].needs
    *_, last = key.split(".")
    given = {"freshness_hours": {last: Decimal(1)}} if "freshness" in key else {last: Decimal(1)}
    found = demand_of(Rules(name="gate", sizing=PLAIN, gates=GateRules(**given)))  # type: ignore[arg-type]
    assert (found.inputs, found.is_restless) == ({wanted: key}, False)


@pytest.mark.parametrize(
    ("members", "rows"),
    [
        (ExitRule, EXITS),
        (SizeRule, SIZES),
        (BreakerName, BREAKERS),
        (set(Rank) - {Rank.TOKEN_ID, Rank.COMPOSITE}, SCORES),
        (set(PriceRule) - {PriceRule.NONE}, {**STOPS, **TARGETS}),
    ],
)
def test_every_rule_has_a_row(members: Iterable[str], rows: Mapping[str, object]) -> None:
    """No word of a strategy file goes without a declaration, and none is declared that is no word."""
    assert set(members) == set(rows)


def test_every_threshold_has_a_gate() -> None:
    """No threshold can be written that no gate of the table asks about."""
    asked = {key.split(".")[1] for row in GATES.values() for key in row.declaration.keys if key.startswith("gates.")}
    assert asked == {field.name for field in fields(GateRules)}


def test_every_breaker_that_is_set_is_watched() -> None:
    """Each name has its field among the limits, and its row."""
    tripping = {name.value: Breaker(at=Decimal(1)) for name in BreakerName}
    assert set(LimitRules(**tripping).breakers) == set(BREAKERS)  # type: ignore[arg-type]


SECTIONS = {
    "entry": EntryRules,
    "gates": GateRules,
    "levels": LevelRules,
    "stop": StopRules,
    "target": TargetRules,
    "sizing": SizingRules,
    "exits": ExitRules,
    "limits": LimitRules,
    "short": ShortRules,
    "fills": FillRules,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_the_rules_is_a_key_of_strategy_files(section: str) -> None:
    """Nothing that the engine would obey cannot be written, and nothing is written in vain."""
    written = {key.path.split(".")[1] for key in KEYS if key.path.startswith(f"{section}.")}
    named = {"parts" if name == "part" else name for name in written}
    assert named == {field.name for field in fields(SECTIONS[section])}


def test_every_key_of_an_exit_belongs_to_its_rule() -> None:
    """A number of a rule that is off is refused, not ignored."""
    assert [key.path for key in KEYS if key.section == "exits" and key.only is None] == ["exits.rules"]


def test_every_stop_that_is_no_level_has_its_number() -> None:
    """A distance is a fraction or a multiple, and the key of one of them may be written with it."""
    assert set(STOP_PRICES) == {PriceRule.FRACTION, *STOP_MULTIPLES}


def test_every_declared_key_is_a_key_of_strategy_files() -> None:
    """A row is switched on by keys and words that a strategy may write, and says what it computes."""
    known = {key.path: key.kind for key in every(KEYS)}
    for family, name, row in families():
        assert row.formula, (family, name)
        for key in (*row.keys, *row.among):
            path, _, word = key.partition(" = ")
            if family != "hook":
                assert path in known, key
                assert not word or word.strip('"') in known[path].describe(), key


def test_a_row_that_says_nothing_of_waking_is_asked_at_every_slot() -> None:
    """The default is slow and right."""
    assert Declaration().wakes is Wakes.SLOTS


@pytest.mark.parametrize("read", [bool, len, iter, lambda found: found.price, lambda found: found[0]])
def test_what_was_not_asked_for_cannot_be_read(read: Callable[[Any], object]) -> None:
    """It is an error that names the data and the mend: never None, which means unknown."""
    with pytest.raises(InvariantError, match="reads grades of a token for which no rule"):
        read(NotAskedFor("grades"))
    assert repr(NotAskedFor("grades")) == "<grades: not asked for>"


def test_feeds_are_the_union_of_what_the_runs_read() -> None:
    """Prices and hourly bars always; signals by the run's feed; hourly runs ask grades of their own endpoint."""
    levels = Rules(name="levels", sizing=PLAIN, stop=StopRules(rule=PriceRule.LEVEL))
    graded = Rules(name="graded", sizing=PLAIN, feed="hourly", gates=GateRules(trader_grade_min=Decimal(1)))

    def feeds(*rules: Rules) -> frozenset[str]:
        return feeds_of(PROVIDERS["tokenmetrics"], rules, rules)

    assert feeds(levels) == {"price", "hourly-ohlcv", "trading-signals", "resistance-support"}
    assert feeds(levels, graded) == feeds(levels) | {"hourly-trading-signals", "tm-grade"}
    trailing = Rules(name="trailing", sizing=PLAIN, exits=ExitRules(trailing_atr=Decimal(3)))
    assert feeds(levels, trailing) == feeds(levels) | {"daily-ohlcv"}
