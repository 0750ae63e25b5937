"""Every section of a strategy file becomes the rules that a reader sees in it; what contradicts itself is refused."""

from decimal import Decimal
from pathlib import Path

import pytest

from bot.app.settings.config import effective, load_config
from bot.domain.orders import Side
from bot.engine.rules import (
    Anchor,
    Breaker,
    BreakerAction,
    BreakerName,
    EntryRules,
    ExitRule,
    ExitRules,
    LevelRules,
    PriceRule,
    Rank,
    ShortRules,
    SizeRule,
    TargetPart,
)
from tests.strategy_texts import HEAD, SIZED, STOPPED, read, refusal

AT_LEVEL = '[stop]\nrule = "level"\n'
PARTED = HEAD + SIZED + STOPPED + '[target]\nrule = "level"\n'
RISKED = HEAD + SIZED + STOPPED + '[target]\nrule = "r_multiple"\n'
FORMED = '[exits]\nrules = ["stop_hit", "trailing_stop", "break_even"]\nbreak_even_r = 1\n'


def part(*lines: str) -> str:
    """Write a part of several targets."""
    return "[[target.part]]\n" + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("side", "sides"), [("long", {Side.LONG}), ("short", {Side.SHORT}), ("both", {Side.LONG, Side.SHORT})]
)
def test_a_side_says_which_positions_are_opened(tmp_path: Path, side: str, sides: set[Side]) -> None:
    """Long, short, or both."""
    assert read(tmp_path, f'{HEAD}side = "{side}"\n{SIZED}').rules.sides == sides


def test_what_a_short_costs_is_read_where_shorts_are_opened(tmp_path: Path) -> None:
    """Borrow fee and margin have defaults of nothing and of the whole notional."""
    text = f'{HEAD}side = "both"\n{SIZED}[short]\n'
    assert read(tmp_path, text).rules.short == ShortRules()
    written = read(tmp_path, text + "borrow_fraction_per_day = 0.0003\nmargin_fraction = 0.5\n").rules.short
    assert written == ShortRules(borrow_fraction_per_day=Decimal("0.0003"), margin_fraction=Decimal("0.5"))


def test_a_composite_rank_has_the_weights_that_were_written(tmp_path: Path) -> None:
    """Weights are kept by the score they weigh, and only those given."""
    text = HEAD + SIZED + '[entry]\nrank = "composite"\nweights = { grade = 2, reward_risk = 0.5 }\n'
    weights = {Rank.GRADE: Decimal(2), Rank.REWARD_RISK: Decimal("0.5")}
    assert read(tmp_path, text).rules.entry == EntryRules(rank=Rank.COMPOSITE, weights=weights)


def test_gates_of_portfolio_and_prices_are_read(tmp_path: Path) -> None:
    """Correlation, disagreement and standing still have their thresholds."""
    text = "[gates]\ncorrelation_max = -0.2\nprice_disagreement_max = 0.02\nfrozen_hours_max = 6\n"
    gates = read(tmp_path, HEAD + SIZED + text).rules.gates
    assert gates.correlation_max == Decimal("-0.2")
    assert gates.price_disagreement_max == Decimal("0.02")
    assert gates.frozen_hours_max == Decimal(6)


def test_levels_are_merged_weighed_and_aged_as_written(tmp_path: Path) -> None:
    """The three keys of levels arrive."""
    text = "[levels]\nmerge_fraction = 0.005\nstrong_min = 0.4\nage_max_days = 3\n"
    expected = LevelRules(merge_fraction=Decimal("0.005"), strong_min=Decimal("0.4"), age_max_days=Decimal(3))
    assert read(tmp_path, HEAD + SIZED + text).rules.levels == expected


@pytest.mark.parametrize("anchor", Anchor)
def test_a_bracket_is_anchored_where_it_was_written(tmp_path: Path, anchor: Anchor) -> None:
    """At the reference price or at the fill."""
    assert read(tmp_path, f'{HEAD}{SIZED}{STOPPED}anchor = "{anchor}"\n').rules.stop.anchor is anchor


def test_several_targets_keep_their_order(tmp_path: Path) -> None:
    """By rank or by a multiple of R, the last without a share."""
    text = PARTED + part("share = 0.5", "rank = 1") + part("share = 0.25", "multiple = 2") + part("rank = 3")
    assert read(tmp_path, text).rules.target.parts == (
        TargetPart(share=Decimal("0.5"), rank=1),
        TargetPart(share=Decimal("0.25"), multiple=Decimal(2)),
        TargetPart(rank=3),
    )


def test_several_targets_need_no_single_one(tmp_path: Path) -> None:
    """With parts at multiples of R the rule asks for no multiple of its own, and shares may sum to one."""
    text = RISKED + part("share = 0.4", "multiple = 1") + part("share = 0.6", "multiple = 3")
    target = read(tmp_path, text).rules.target
    assert (target.rule, target.multiple, len(target.parts)) == (PriceRule.R_MULTIPLE, None, 2)


def test_normalised_inverse_volatility_is_sized_by_a_cap_and_no_target(tmp_path: Path) -> None:
    """It needs no target volatility and no number of places, and reads where sigma comes from."""
    rule = 'rule = "normalised_inverse_volatility"\nweight_max = 0.3\nvolatility = "bars"\nvolatility_floor = 0.2\n'
    sizing = read(tmp_path, f"{HEAD}[sizing]\n{rule}").rules.sizing
    assert (sizing.rule, sizing.weight_max) == (SizeRule.NORMALISED_INVERSE_VOLATILITY, Decimal("0.3"))


def test_caps_and_haircut_go_with_every_size(tmp_path: Path) -> None:
    """Category and drawdown cut any rule's size."""
    sizing = read(tmp_path, HEAD + SIZED + "category_max = 0.4\ndrawdown_haircut = 1.5\n").rules.sizing
    assert (sizing.category_max, sizing.drawdown_haircut) == (Decimal("0.4"), Decimal("1.5"))


def test_exits_that_move_the_stop_are_read(tmp_path: Path) -> None:
    """Three ways to trail at once, and break-even."""
    moves = "trailing_fraction = 0.08\ntrailing_atr = 3\nratchet_to_support = true\n"
    assert read(tmp_path, HEAD + SIZED + AT_LEVEL + FORMED + moves).rules.exits == ExitRules(
        rules=frozenset({ExitRule.STOP_HIT, ExitRule.TRAILING_STOP, ExitRule.BREAK_EVEN}),
        trailing_fraction=Decimal("0.08"),
        trailing_atr=Decimal(3),
        ratchet_to_support=True,
        break_even_r=Decimal(1),
    )


def test_a_stop_may_trail_without_having_been_placed(tmp_path: Path) -> None:
    """The first whole bar gives the position its stop, so that no rule has to."""
    exits = read(tmp_path, HEAD + SIZED + '[exits]\nrules = ["trailing_stop"]\ntrailing_fraction = 0.1\n').rules.exits
    assert exits.trailing_fraction == Decimal("0.1")


@pytest.mark.parametrize("name", BreakerName)
def test_a_breaker_may_be_a_table_or_written_in_a_line(tmp_path: Path, name: BreakerName) -> None:
    """Both give the same limits; without an action it blocks, without hours it has no end of its own."""
    at = "3" if name in {BreakerName.LOSS_STREAK, BreakerName.VOLATILITY_SHOCK} else "0.2"
    line = f'[limits]\n{name} = {{ at = {at}, action = "flatten", hours = 168 }}\n'
    table = f'[limits.{name}]\nat = {at}\naction = "flatten"\nhours = 168\n'
    expected = Breaker(at=Decimal(at), action=BreakerAction.FLATTEN, hours=Decimal(168))
    for text in (line, table):
        assert read(tmp_path, HEAD + SIZED + text).rules.limits.breakers == {name: expected}
    plain = read(tmp_path, f"{HEAD}{SIZED}[limits.{name}]\nat = {at}\n").rules.limits.breakers
    assert plain == {name: Breaker(at=Decimal(at))}
    assert isinstance(plain[name].at, Decimal)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("stop.fraction", "5", "5 is not below 1: write a fraction, 0.05 for 5 %"),
        ("stop.fraction", "-0.05", "-0.05 is not above 0"),
        ("stop.distance_max", "15", "write a fraction, 0.15 for 15 %"),
        ("stop.anchor", '"fil"', "did you mean `fill`?"),
        ("target.fraction", "25", "25 is not at most 10: write a fraction, 0.25 for 25 %"),
        ("target.fraction", "-0.1", "not above 0"),
        ("sizing.target_volatility", "20", "write a fraction, 0.2 for 20 %"),
        ("sizing.volatility_floor", "30", "write a fraction, 0.3 for 30 %"),
        ("sizing.weight_max", "15", "write a fraction, 0.15 for 15 %"),
        ("sizing.category_max", "-0.4", "not above 0"),
        ("sizing.category_max", "40", "write a fraction, 0.4 for 40 %"),
        ("sizing.drawdown_haircut", "0", "not above 0"),
        ("sizing.drawdown_haircut", "11", "not at most 10"),
        ("exits.trailing_fraction", "8", "write a fraction, 0.08 for 8 %"),
        ("exits.trailing_fraction", "1", "not below 1"),
        ("exits.trailing_fraction", "-0.1", "not above 0"),
        ("exits.trailing_atr", "0", "not above 0"),
        ("exits.break_even_r", "-1", "not above 0"),
        ("exits.ratchet_to_support", '"true"', "'true' is neither true nor false"),
        ("exits.ratchet_to_support", "1", "1 is neither true nor false"),
        ("limits.daily_loss.at", "5", "write a fraction, 0.05 for 5 %"),
        ("limits.drawdown.at", "20", "write a fraction, 0.2 for 20 %"),
        ("limits.drawdown.at", "1", "not below 1"),
        ("limits.drawdown.at", "-0.2", "not above 0"),
        ("limits.drawdown.action", '"blocks"', "did you mean `block`?"),
        ("limits.drawdown.hours", "0", "not above 0"),
        ("limits.loss_streak.at", "2.5", "no whole number"),
        ("limits.loss_streak.at", "0", "not at least 1"),
        ("limits.volatility_shock.at", "0", "not above 0"),
        ("short.borrow_fraction_per_day", "-0.1", "not at least 0"),
        ("short.borrow_fraction_per_day", "3", "write a fraction, 0.03 for 3 %"),
        ("short.margin_fraction", "0", "not above 0"),
        ("short.margin_fraction", "50", "write a fraction, 0.5 for 50 %"),
        ("entry.weights.grade", "0", "not above 0"),
        ("entry.weights.grade", "-1", "not above 0"),
    ],
)
def test_a_number_of_a_chosen_rule_out_of_bounds_is_refused(tmp_path: Path, path: str, value: str, reason: str) -> None:
    """A negative fraction, or a percentage where a fraction is meant, is refused with its path and what was meant."""
    chosen = {
        "strategy.name": '"plain"',
        "strategy.universe": '["BTC"]',
        "strategy.side": '"both"',
        "entry.rank": '"composite"',
        "entry.weights.sharpe": "1",
        "stop.rule": '"fraction"',
        "stop.fraction": "0.1",
        "target.rule": '"fraction"',
        "target.fraction": "0.1",
        "sizing.target_volatility": "0.2",
        "exits.rules": '["trailing_stop", "break_even"]',
        "exits.break_even_r": "1",
        "limits.positions_max": "2",
        **{f"limits.{name}.at": "0.2" for name in ("daily_loss", "drawdown") if name in path},
        path: value,
    }
    line = refusal(tmp_path, "".join(f"{key} = {written}\n" for key, written in chosen.items()))
    assert f": {path}: " in line
    assert reason in line


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (STOPPED + "distance_min = 0.2\ndistance_max = 0.1\n", "stop.distance_min", "above stop.distance_max"),
        ("risk_fraction = 0.01\n", "sizing.risk_fraction", "needs a stop"),
        ('[target]\nrule = "r_multiple"\nmultiple = 2\n', "target.rule", "needs a stop"),
        (
            '[target]\nrule = "level"\n[target.fallback]\nrule = "r_multiple"\nmultiple = 2\n',
            "target.rule",
            "needs a stop",
        ),
        (
            "[fills]\nhalf_spread_fraction = 0.5\nslippage_fraction = 0.5\n",
            "fills.slippage_fraction",
            "sum below 1",
        ),
        (
            '[target]\nrule = "level"\n[target.fallback]\nrule = "atr"\nmultiple = 2\n',
            "target.fallback.rule",
            'none of "fraction"',
        ),
        ('[stop]\nrule = "level"\n[stop.fallback]\nrule = "level"\n', "stop.fallback.rule", 'none of "fraction"'),
        ('[exits]\nrules = ["break_even"]\nbreak_even_r = 1\n', "exits.rules", "needs a stop to measure R"),
        (STOPPED + '[exits]\nrules = ["trailing_stop"]\n', "exits.rules", "trailing_fraction, trailing_atr, ratchet"),
        (
            AT_LEVEL + '[exits]\nrules = ["trailing_stop"]\nratchet_to_support = false\n',
            "exits.rules",
            '"trailing_stop" needs a distance',
        ),
        (
            STOPPED + '[exits]\nrules = ["trailing_stop"]\nratchet_to_support = true\n',
            "exits.ratchet_to_support",
            'stop.rule is "fraction": drop it',
        ),
        ('[entry]\nrank = "composite"\nweights = {}\n', "entry.weights", "at least one of grade, sortino"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tmp_path: Path, text: str, path: str, reason: str) -> None:
    """What is right alone and wrong together does not start."""
    line = refusal(tmp_path, HEAD + SIZED + text)
    assert f": {path}: " in line
    assert reason in line


DISTANCES = [
    ("stop.fraction", '[stop]\nrule = "fraction"\nfraction = {}\n'),
    ("stop.fallback.fraction", AT_LEVEL + '[stop.fallback]\nrule = "fraction"\nfraction = {}\n'),
    ("stop.buffer_fraction", AT_LEVEL + "buffer_fraction = {}\n"),
    ("stop.distance_min", AT_LEVEL + "distance_min = {}\n"),
    ("stop.distance_max", AT_LEVEL + "distance_max = {}\n"),
    ("exits.trailing_fraction", '[exits]\nrules = ["trailing_stop"]\ntrailing_fraction = {}\n'),
]


@pytest.mark.parametrize(("path", "text"), DISTANCES)
def test_a_short_alone_may_have_its_stop_at_twice_the_entry_or_higher(tmp_path: Path, path: str, text: str) -> None:
    """T11: with side = "short" each distance of a stop may be 1.5; a long's stop would be below zero."""
    section, _, name = path.partition(".")
    *tables, name = name.split(".")
    found = getattr(read(tmp_path, f'{HEAD}side = "short"\n{SIZED}{text.format("1.5")}').rules, section)
    for table in tables:
        found = getattr(found, table)
    assert getattr(found, name) == Decimal("1.5")
    for side in ("long", "both"):
        line = refusal(tmp_path, f'{HEAD}side = "{side}"\n{SIZED}{text.format("1.5")}')
        bound = "at most 1" if path == "stop.distance_max" else "below 1"
        assert f": {path}: 1.5 is not {bound}: write a fraction, 0.015 for 1.5 %" in line
        assert 'strategy.side = "short"' in line
    assert "not at most 10" in refusal(tmp_path, f'{HEAD}side = "short"\n{SIZED}{text.format("10.1")}')


def test_a_shorts_margin_may_be_a_multiple_of_its_notional(tmp_path: Path) -> None:
    """T11: margin_fraction is above 0 and at most 10, so a short's stop may lie beyond twice its entry."""
    text = f'{HEAD}side = "short"\n{SIZED}[short]\nmargin_fraction = '
    assert read(tmp_path, f"{text}10\n").rules.short.margin_fraction == Decimal(10)
    assert "10.5 is not at most 10" in refusal(tmp_path, f"{text}10.5\n")


@pytest.mark.parametrize("table", ["[target]", "[target.fallback]"])
@pytest.mark.parametrize("side", ["short", "both"])
def test_a_short_has_no_target_at_zero(tmp_path: Path, table: str, side: str) -> None:
    """A target a whole price away exists above and not below."""
    rule = 'rule = "fraction"\nfraction = 1\n'
    text = f"[target]\n{rule}" if table == "[target]" else f'[target]\nrule = "level"\n{table}\n{rule}'
    head = HEAD + 'side = "{}"\n' + SIZED + text
    assert f": {table[1:-1]}.fraction: 1 puts a short's target" in refusal(tmp_path, head.format(side))
    assert read(tmp_path, head.format("long")).rules.sides == {Side.LONG}


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (PARTED + part("share = 0.5"), "target.part", "number 1 must name its level's rank or a multiple"),
        (PARTED + part("rank = 1", "multiple = 2"), "target.part", "number 1 must name"),
        (PARTED + part("rank = 1") + part("rank = 2"), "target.part", "number 1 has no share: only the last"),
        (
            PARTED + part("share = 0.6", "rank = 1") + part("share = 0.6", "rank = 2"),
            "target.part",
            "the shares sum to 1.2: keep their sum at 1 or below",
        ),
        (PARTED + part("share = 1", "rank = 1") + part("rank = 2"), "target.part", "leave it nothing"),
        (PARTED + part("share = 50", "rank = 1"), "[[target.part]] 1: target.part.share", "0.5 for 50 %"),
        (
            PARTED + part("share = 0.5", "rank = 1") + part("rnk = 1"),
            "[[target.part]] 2: target.part.rnk",
            "did you mean `rank`?",
        ),
        (PARTED + part("rank = 0"), "target.part.rank", "not at least 1"),
        (PARTED + part("multiple = 0"), "target.part.multiple", "not above 0"),
        (PARTED + "rank_max = 2\n" + part("rank = 1"), "target.rank_max", "target.part takes its place"),
        (RISKED + "multiple = 2\n" + part("multiple = 1"), "target.multiple", "target.part takes its place"),
        (RISKED + part("rank = 1"), "target.part.rank", 'target.rule is "r_multiple"'),
        (RISKED.replace(STOPPED, "") + part("multiple = 1"), "target.rule", "needs a stop"),
        (PARTED.replace(STOPPED, "") + part("multiple = 1"), "target.part", "needs a stop"),
        (PARTED + "[target.part]\nrank = 1\n", "target.part", "a table is no list of tables: write [[target.part]]"),
        (PARTED + "part = []\n", "target.part", "[] is no list of tables"),
        (PARTED + "part = [1]\n", "target.part", "is no list of tables"),
    ],
)
def test_several_targets_that_do_not_add_up_are_refused(tmp_path: Path, text: str, place: str, reason: str) -> None:
    """Each part has one place and a share of its own, the single target's keys are not ignored, and the sum is one."""
    line = refusal(tmp_path, text)
    assert f"{place}: " in line
    assert reason in line


def test_hooks_are_part_of_a_strategy_and_of_its_text(tmp_path: Path) -> None:
    """The file beside the strategy arrives with the rules, and a changed one changes text and configuration hash."""
    config = tmp_path / "config.toml"
    config.write_text('[[run]]\nname = "one"\nstrategy = "plain"\ncash = 1\nschedule = "2 * * * *"\n')
    plain = read(tmp_path, HEAD + SIZED)
    seen = {(plain.text, effective(load_config(config, {}), {"one": plain}))}
    assert (plain.text, plain.rules.hooks) == (HEAD + SIZED, None)
    for reason in ("first", "second"):
        source = f'"""Hooks."""\n\n\ndef veto(view, bracket):\n    """Refuse all."""\n    return "{reason}"\n'
        (tmp_path / "plain.py").write_text(source)
        hooked = read(tmp_path, HEAD + SIZED)
        assert hooked.rules.hooks is not None
        assert hooked.rules.hooks.digest in hooked.text
        seen.add((hooked.text, effective(load_config(config, {}), {"one": hooked})))
    assert len({text for text, _ in seen}) == len({stored for _, stored in seen}) == 3
    (tmp_path / "plain.py").unlink()
    assert read(tmp_path, hooked.text).rules == plain.rules
