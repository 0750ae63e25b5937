"""Gates on hand-made candidates, longs and shorts: portfolio, data quality, breakers, hooks and mirrored brackets."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.domain.decisions import Comparator
from bot.domain.ids import TokenId
from bot.domain.market import Level, LevelSet, Quote
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Portfolio
from bot.domain.snapshot import NotAskedFor, TokenView
from bot.engine.gates.table import GATES, Finding
from bot.engine.needs import Input
from bot.engine.rules import (
    Breaker,
    EntryRules,
    GateRules,
    Hooks,
    LevelRules,
    LimitRules,
    PriceRule,
    Rules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
)
from bot.engine.sizing import Means
from tests.notation import DAY, HOUR, levels, price
from tests.proposals import ACCOUNT, FREE, SLOT, accepted, book, days_of, findings, holding, propose, turned, view_of

LONG, SHORT = Side.LONG, Side.SHORT
# The fields of a view that are read only where they were asked for; a trader grade is read from the grades.
READ_AS = {Input.TRADER_GRADES: Input.GRADES}
OF_A_VIEW = set(Input) - {Input.TRADER_GRADES, Input.CATEGORY}
BOTH = Rules(
    name="gates",
    sides=frozenset(Side),
    sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
    fills=FREE,
)
ALWAYS = ["signal_age", "reference_price", "already_held", "notional"]


def gated(**gates: str) -> Rules:
    """Make rules with these thresholds."""
    return replace(BOTH, gates=GateRules(**{key: Decimal(value) for key, value in gates.items()}))


def told(finding: Finding) -> tuple[object, ...]:
    """Return value, whether it passed, the reason and whether an input was missing."""
    value = None if finding.value is None else round(finding.value, 6)
    return value, finding.passed, finding.reason, finding.unready


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_gates_that_are_not_configured_give_no_row(side: Side) -> None:
    """Only those that no configuration can switch off speak, in the order of the table, and pass."""
    found = findings(BOTH, view_of(side=side))
    assert list(found) == ALWAYS
    assert all(finding.passed for finding in found.values())


# Correlations of their returns are worked out with the standard library's statistics.correlation.
SQUARE = [100, 110, 99, 108, 97, 110, 101, 112, 100, 108, 99, 111]
CLOSE = [50, 55, 49, 54, 49, 55, 50, 56, 50, 54, 49, 56]
AGAINST = [50, 45, 51, 46, 51, 45, 50, 44, 50, 46, 51, 44]


def correlated(closes: list[int], side: Side, held: Portfolio, most: str = "0.5", own: Side = LONG) -> Finding:
    """Judge a candidate with the days of SQUARE against a token 2 with these days."""
    assert held.holdings or held.orders
    other = view_of(2, side, days=days_of(closes))
    return findings(gated(correlation_max=most), view_of(side=own, days=days_of(SQUARE)), held, {2: other})[
        "correlation"
    ]


@pytest.mark.parametrize(
    ("closes", "own", "held", "value", "passed"),
    [
        (CLOSE, LONG, LONG, "0.995987", False),
        (CLOSE, LONG, SHORT, "-0.995987", True),
        (CLOSE, SHORT, LONG, "-0.995987", True),
        (CLOSE, SHORT, SHORT, "0.995987", False),
        (AGAINST, LONG, LONG, "-0.995756", True),
        (AGAINST, LONG, SHORT, "0.995756", False),
    ],
)
def test_correlation_with_what_is_held_the_other_way_counts_negated(
    closes: list[int],
    own: Side,
    held: Side,
    value: str,
    passed: bool,  # noqa: FBT001
) -> None:
    """Two longs that move together are one bet, a long and a short of them are none."""
    finding = correlated(closes, held, book(holding(2, held)), own=own)
    assert (round(finding.value or 0, 6), finding.passed) == (Decimal(value), passed)
    entering = correlated(closes, held, book(accepted(2, Role.ENTRY, held)), own=own)
    assert entering == finding


def test_correlation_is_the_largest_with_any_other_token() -> None:
    """Of two held tokens the nearer one counts, the token itself does not; with none held it passes unmeasured."""
    rules, own = gated(correlation_max="0.5"), view_of(days=days_of(SQUARE))
    others = {2: view_of(2, days=days_of(AGAINST)), 3: view_of(3, days=days_of(CLOSE))}
    both = findings(rules, own, book(holding(2), holding(3)), others)["correlation"]
    assert told(both) == (Decimal("0.995987"), False, None, False)
    assert told(findings(rules, own)["correlation"]) == (None, True, None, False)
    assert told(findings(rules, own, book(holding(1)))["correlation"]) == (None, True, None, False)
    exact = findings(gated(correlation_max=str(both.value)), own, book(holding(3)), others)["correlation"]
    assert exact.passed


def test_a_position_being_closed_correlates_with_nothing() -> None:
    """Its exit is accepted: it will be gone at the next price."""
    closing = book(holding(2), accepted(2, Role.EXIT))
    assert told(correlated(CLOSE, LONG, closing)) == (None, True, None, False)


def test_correlation_without_days_waits() -> None:
    """Nine returns of the held token, or no view of it at all: missing bars, and the candidate stays open."""
    missing = (None, False, "missing_bars", True)
    assert told(correlated(CLOSE[-10:], LONG, book(holding(2)))) == missing
    found = findings(gated(correlation_max="0.5"), view_of(days=days_of(SQUARE)), book(holding(2)))
    assert told(found["correlation"]) == missing


def quote(worth: str) -> Quote:
    """Make the close of the last bar."""
    return Quote(token_id=TokenId(1), price=price(worth), known_at=SLOT - HOUR)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (view_of(close=quote("102")), (Decimal("0.019608"), True, None, False)),  # 2 / 102
        (view_of(close=quote("98")), (Decimal("0.020408"), False, None, False)),  # 2 / 98
        (view_of(worth="1.02", close=quote("1")), (Decimal("0.02"), True, None, False)),
        (view_of(), (None, False, "missing_bars", True)),
        (view_of(worth=None, close=quote("98")), (None, False, "missing_price", True)),
    ],
)
def test_the_price_must_agree_with_the_last_bar(view: TokenView, expected: tuple[object, ...]) -> None:
    """At most 2 % from the close of the last bar, either way."""
    assert told(findings(gated(price_disagreement_max="0.02"), view)["price_disagreement"]) == expected


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (view_of(moved_at=SLOT - 6 * HOUR), (6, True, None, False)),
        (view_of(moved_at=SLOT - 6 * HOUR - timedelta(minutes=6)), (Decimal("6.1"), False, None, False)),
        (view_of(moved_at=SLOT + HOUR), (-1, True, None, False)),  # a quote after the slot
        (view_of(), (None, False, "missing_price", True)),
    ],
)
def test_a_frozen_feed_is_refused(view: TokenView, expected: tuple[object, ...]) -> None:
    """The price was another at most six hours ago."""
    assert told(findings(gated(frozen_hours_max="6"), view)["frozen_feed"]) == expected


def test_a_symbol_that_others_have_is_refused() -> None:
    """Three tokens of one symbol: nobody can tell which the signal meant. A symbol of its own gives no row."""
    found = findings(BOTH, view_of(namesakes=3))
    assert told(found["symbol_collision"]) == (3, False, None, False)
    assert (found["symbol_collision"].comparator, found["symbol_collision"].threshold) == (Comparator.IS, 1)
    assert "symbol_collision" not in findings(BOTH, view_of(namesakes=1))


def test_tripped_breakers_halt() -> None:
    """Both are counted, the first to trip is the reason; none tripped passes; none configured gives no row."""
    halting = replace(BOTH, limits=LimitRules(drawdown=Breaker(at=Decimal("0.2"))))
    tripped = book(breakers={"loss_streak": None, "drawdown": SLOT + DAY})
    assert told(findings(halting, view_of(), tripped)["halts"]) == (2, False, "loss_streak", False)
    assert told(findings(halting, view_of())["halts"]) == (0, True, None, False)
    assert "halts" not in findings(BOTH, view_of(), tripped)


def test_a_paused_run_enters_nothing() -> None:
    """The row is there only while an operator has paused."""
    assert told(findings(BOTH, view_of(), book(paused=True))["kill_switch"]) == (1, False, "paused", False)


def hooks(**functions: Callable[..., object]) -> Rules:
    """Make rules with hooks."""
    return replace(BOTH, hooks=Hooks(digest="none", **functions))


def test_a_hooks_word_is_the_reason() -> None:
    """A veto rejects with its text; hooks that have nothing to say pass; where none could speak there is no row."""
    quiet = hooks(veto=lambda _view, _bracket: None)
    assert told(findings(quiet, view_of())["veto"]) == (0, True, None, False)
    assert told(findings(quiet, view_of(), veto="too hot")["veto"]) == (1, False, "too hot", False)
    assert told(findings(BOTH, view_of(), veto="rank: ZeroDivisionError")["veto"])[1] is False
    for name in ("rank", "adjust_bracket"):
        assert findings(hooks(**{name: lambda *_: None}), view_of())["veto"].passed
    assert "veto" not in findings(hooks(extra_exits=lambda *_: None), view_of())


STRONG = (Level(price(99), Decimal("0.2")), Level(price(95)), Level(price(90), Decimal("0.9")))
SUPPORTS = LevelSet(token_id=TokenId(1), published_at=SLOT, known_at=SLOT, levels=tuple(sorted(STRONG)))


@pytest.mark.parametrize(
    ("side", "known", "value", "passed"),
    [
        (LONG, (105, 110, 90), "0.05", True),
        (LONG, (104, 90), "0.04", False),
        (SHORT, (95, 90, 110), "0.05", True),
        (SHORT, (96, 110), "0.04", False),
        (SHORT, (100, 101), None, True),  # equal to the price is neither, and below there is none
    ],
)
def test_no_entry_just_before_a_strong_level(
    side: Side,
    known: tuple[float, ...],
    value: str | None,
    passed: bool,  # noqa: FBT001
) -> None:
    """A long not within 5 % below a resistance, a short not within 5 % above a support."""
    view = view_of(side=side, levels=levels("2024-06-01", *known))
    found = findings(gated(resistance_distance_min="0.05"), view)["resistance_distance"]
    assert (found.value, found.passed) == (None if value is None else Decimal(value), passed)


def test_weak_levels_are_looked_past() -> None:
    """Below a short 99 is weak and 95 was never touched: the strong support at 90 is 10 % away."""
    rules = replace(gated(resistance_distance_min="0.05"), levels=LevelRules(strong_min=Decimal("0.5")))
    assert findings(rules, view_of(side=SHORT, levels=SUPPORTS))["resistance_distance"].value == Decimal("0.1")
    touched = view_of(side=SHORT, levels=SUPPORTS, days=days_of([95]))
    assert findings(rules, touched)["resistance_distance"].value == Decimal("0.05")


def test_levels_too_old_are_missing() -> None:
    """A set of two days ago counts as none where it may be one day old: missing, and the candidate stays open."""
    rules = replace(gated(resistance_distance_min="0.05"), levels=LevelRules(age_max_days=Decimal(1)))
    old = view_of(levels=levels("2024-05-30", 110))
    assert told(findings(rules, old)["resistance_distance"]) == (None, False, "missing_levels", True)


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_distances_are_free_of_the_side(side: Side) -> None:
    """A stop 5 % away, above or below, is 0.05; a target 10 % the other way pays 2 for 1."""
    rules = replace(
        gated(reward_risk_min="2.01"),
        stop=StopRules(
            rule=PriceRule.FRACTION,
            fraction=Decimal("0.05"),
            distance_min=Decimal("0.06"),
            distance_max=Decimal("0.04"),
        ),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1")),
    )
    found = findings(rules, view_of(side=side))
    failed = {name: finding.value for name, finding in found.items() if not finding.passed}
    assert failed == {"stop_distance_min": Decimal("0.05"), "stop_distance_max": Decimal("0.05"), "reward_risk": 2}


def test_a_turn_reverses_at_one_slot() -> None:
    """A long whose exit is accepted is no obstacle to a short; without the exit, or on the same side, it is."""
    held, closing = holding(1, LONG), accepted(1, Role.EXIT)
    cases = [
        (SHORT, book(held), False),
        (SHORT, book(held, closing), True),
        (LONG, book(held, closing), False),
        (SHORT, book(accepted(1, Role.ENTRY, LONG)), False),
        (SHORT, book(holding(2)), True),
    ]
    for side, portfolio, passed in cases:
        assert findings(BOTH, view_of(side=side), portfolio)["already_held"].passed is passed


def test_shorts_fill_places_and_exposure_as_longs_do() -> None:
    """A short of 1500 and a long of 500, one of them entering: with 1000 more three places and 0.3 of the equity."""
    limits = LimitRules(positions_max=2, exposure_max=Decimal("0.29"))
    portfolio = book(holding(2, SHORT, "15"), accepted(3, Role.ENTRY, LONG, "5"), holding(4), accepted(4, Role.EXIT))
    others = {number: view_of(number) for number in (2, 3, 4)}
    found = findings(replace(BOTH, limits=limits), view_of(side=SHORT), portfolio, others)
    assert told(found["positions"]) == (3, False, None, False)
    assert told(found["exposure"]) == (Decimal("0.3"), False, None, False)


def test_an_account_without_equity_is_exposed_without_measure() -> None:
    """Nothing can be a fraction of nothing: refused for good, by the gate's own name."""
    rules = replace(BOTH, limits=LimitRules(exposure_max=Decimal(1)))
    found = findings(rules, view_of(), account=ACCOUNT._replace(equity=Decimal(0)))
    assert told(found["exposure"]) == (None, False, None, False)


def test_small_is_not_nothing() -> None:
    """A price, a stop, a target, a notional and an equity below one pass as any other."""
    rules = replace(
        BOTH,
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal("0.25")),
        limits=LimitRules(exposure_max=Decimal(1)),
    )
    found = findings(rules, view_of(worth="0.5"), account=Means(Decimal("0.5"), Decimal("0.5")))
    measured = {name: found[name].value for name in ("reference_price", "stop", "target", "notional", "exposure")}
    assert measured == {
        "reference_price": Decimal("0.5"),
        "stop": Decimal("0.475"),
        "target": Decimal("0.55"),
        "notional": Decimal("0.25"),
        "exposure": Decimal("0.5"),
    }
    assert all(finding.passed for finding in found.values())
    nowhere = findings(replace(rules, stop=StopRules(rule=PriceRule.LEVEL)), view_of())["stop"]
    assert (nowhere.value, nowhere.threshold, nowhere.reason) == (None, 0, "no_stop")


@pytest.mark.parametrize(
    ("sizing", "reason"),
    [
        ({"drawdown_haircut": Decimal(1)}, "missing_quantmetrics"),
        ({"volume_share_max": Decimal(1)}, "missing_market"),
        ({"rule": SizeRule.NORMALISED_INVERSE_VOLATILITY}, "missing_volatility"),
    ],
)
def test_a_size_that_lacks_a_measure_waits(sizing: dict[str, object], reason: str) -> None:
    """The notional has no value, the reason names the input, and the candidate stays open."""
    rules = replace(BOTH, sizing=replace(BOTH.sizing, **sizing))  # type: ignore[arg-type]
    assert told(findings(rules, view_of())["notional"]) == (None, False, reason, True)


def test_a_late_cycle_leaves_the_candidate_open() -> None:
    """Two hours after its slot with an interval of one: refused, not judged; in time it passes."""
    for late, passed in ((2, False), (1, True)):
        found = findings(BOTH, view_of(), lateness_hours=Decimal(late), interval_hours=Decimal(1))
        assert told(found["lateness"]) == (late, passed, None, not passed)


def everything() -> Rules:
    """Configure every gate."""
    one = Decimal(1)
    thresholds = {name: one for name in GateRules.__dataclass_fields__ if name != "freshness_hours"}
    hours = dict.fromkeys(("signals", "levels", "quantmetrics", "grades", "prices"), one)
    return replace(
        hooks(veto=lambda *_: None),
        entry=EntryRules(cooldown_hours=one),
        gates=GateRules(**thresholds, freshness_hours=hours),
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1"), distance_min=one, distance_max=one),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1")),
        limits=LimitRules(positions_max=1, exposure_max=one, daily_loss=Breaker(at=one)),
    )


def test_every_gate_can_speak() -> None:
    """With everything configured each gate of the table has exactly one finding, in the order of the table."""
    unsure = replace(turned(), unsure=True)
    view = view_of(namesakes=2, episode=unsure)
    found = findings(everything(), view, book(paused=True), interval_hours=Decimal(1))
    assert list(found) == list(GATES)


@pytest.mark.parametrize("name", GATES)
def test_no_gate_reads_what_it_does_not_declare(name: str) -> None:
    """A gate finds something about a token of which nothing was asked for but what its row says it needs."""
    row = GATES[name]
    read = {READ_AS.get(one, one) for one in row.declaration.needs}
    unread = {one.value: NotAskedFor(one.value) for one in OF_A_VIEW if one not in read}
    made = propose(everything(), view_of(), book(paused=True), interval_hours=Decimal(1))
    unsure = replace(made.episode, unsure=True)
    assert row.ask(replace(made, episode=unsure, view=view_of(namesakes=2, **unread))) is not None


def test_a_proposal_is_sized_as_a_cycle_would() -> None:
    """The hand-made candidates of these tests carry the bracket of their side and the size of their rules."""
    rules = replace(BOTH, stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")))
    made = propose(rules, view_of(side=SHORT))
    assert made.size is not None
    assert (made.bracket.side, made.bracket.stop, made.size.quantity) == (SHORT, 105, 10)
