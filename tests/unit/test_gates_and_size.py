"""Gates one by one and sizes with their bounds, on hand-made candidates at a reference of 100."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from bot.app.cycle.gather import gather
from bot.domain.decisions import Candidate, Outcome, Verdict
from bot.domain.ids import TokenId
from bot.domain.market import Grades, Level, LevelSet, MarketSize
from bot.domain.numbers import Price
from bot.domain.orders import Order, Role
from bot.domain.portfolio import Portfolio
from bot.engine.cycle import decide
from bot.engine.rules import (
    ActOn,
    EntryRules,
    FillRules,
    GateRules,
    LevelRules,
    LimitRules,
    PriceRule,
    Rank,
    Reentry,
    Rules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
    VolatilitySource,
)
from tests.notation import Tape, Token, at, bars, cycles, grades, levels, metrics, play, setup_of, signal

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
BASE = Rules(
    name="base",
    sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
    fills=FREE,
)
SLOT = at("2024-01-01 01:00")


def token(number: int = 1, **more: object) -> Token:
    """Make a token that turned bullish at 01:00 at a price of 100."""
    base = Token(bars=bars("2024-01-01", "100 | 100"), signals=[signal("2024-01-01 01:00", "bullish", number)])
    return replace(base, **more)  # type: ignore[arg-type]


def judge(rules: Rules, *tokens: Token) -> tuple[list[Candidate], dict[str, Verdict]]:
    """Run the first slot and return the candidates and the last one's verdicts by gate."""
    records, _ = cycles(rules, Tape(dict(enumerate(tokens, 1))), [SLOT])
    facts = records[0].facts
    candidates = [fact for fact in facts if isinstance(fact, Candidate)]
    last = candidates[-1].candidate_id
    return candidates, {f.gate: f for f in facts if isinstance(f, Verdict) and f.candidate_id == last}


METRICS = {"metrics": [metrics("2024-01-01", "0.8", sharpe="0.7", sortino="0.9", max_drawdown="-0.6", cagr="0.3")]}


@pytest.mark.parametrize(
    ("key", "gate", "passing", "failing", "value"),
    [
        ("sharpe_min", "sharpe", "0.7", "0.71", "0.7"),
        ("sortino_min", "sortino", "0.9", "0.91", "0.9"),
        ("cagr_min", "cagr", "0.3", "0.31", "0.3"),
        ("max_drawdown_limit", "max_drawdown", "0.6", "0.59", "0.6"),
        ("volatility_max", "volatility", "0.8", "0.79", "0.8"),
        ("trader_grade_min", "trader_grade", "55", "56", "55"),
        ("investor_grade_min", "investor_grade", "44", "45", "44"),
        ("resistance_distance_min", "resistance_distance", "0.05", "0.051", "0.05"),
    ],
)
def test_a_threshold_passes_at_equality_and_fails_beyond(
    key: str, gate: str, passing: str, failing: str, value: str
) -> None:
    """Each threshold gate passes at its value, fails just beyond, and flips no other verdict."""
    graded = Grades(
        token_id=TokenId(1),
        published_at=at("2024-01-01"),
        known_at=at("2024-01-01"),
        trader_grade=Decimal(55),
        investor_grade=Decimal(44),
    )
    known = token(**METRICS, grades=[graded], levels=[levels("2024-01-01", 105, 95)])
    _, good = judge(replace(BASE, gates=GateRules(**{key: Decimal(passing)})), known)
    candidates, bad = judge(replace(BASE, gates=GateRules(**{key: Decimal(failing)})), known)
    assert (good[gate].passed, good[gate].value) == (True, Decimal(value))
    assert (bad[gate].passed, candidates[0].first_reason, candidates[0].complete) == (False, gate, True)
    assert {name for name in good if good[name].passed != bad[name].passed} == {gate}


@pytest.mark.parametrize(
    ("key", "gate", "reason"),
    [
        ("sharpe_min", "sharpe", "missing_quantmetrics"),
        ("volatility_max", "volatility", "missing_quantmetrics"),
        ("max_drawdown_limit", "max_drawdown", "missing_quantmetrics"),
        ("trader_grade_min", "trader_grade", "missing_grade"),
        ("investor_grade_min", "investor_grade", "missing_grade"),
        ("volume_min", "volume", "missing_market"),
        ("market_cap_min", "market_cap", "missing_market"),
        ("resistance_distance_min", "resistance_distance", "missing_levels"),
    ],
)
def test_a_missing_input_fails_its_gate_and_keeps_the_candidate_open(key: str, gate: str, reason: str) -> None:
    """Value NULL, the reason names the input, and the candidate is not judged for good."""
    candidates, verdicts = judge(replace(BASE, gates=GateRules(**{key: Decimal("0.5")})), token())
    assert (verdicts[gate].value, verdicts[gate].reason, verdicts[gate].passed) == (None, reason, False)
    assert not candidates[0].complete


def test_an_absent_gate_gives_no_row() -> None:
    """Only the gates that no configuration can switch off speak."""
    _, verdicts = judge(BASE, token())
    assert list(verdicts) == ["signal_age", "reference_price", "already_held", "notional"]


def test_levels_known_but_none_above_pass_the_resistance_gate() -> None:
    """At a new high there is no resistance: the gate passes with no value."""
    rules = replace(BASE, gates=GateRules(resistance_distance_min=Decimal("0.05")))
    _, verdicts = judge(rules, token(levels=[levels("2024-01-01", 90, 100)]))
    assert (verdicts["resistance_distance"].passed, verdicts["resistance_distance"].value) == (True, None)


def test_only_strong_resistances_count_where_strength_is_asked() -> None:
    """A weak level at 101 is looked past; the strong one at 110 is 10 % away."""
    weighed = LevelSet(
        token_id=TokenId(1),
        published_at=at("2024-01-01"),
        known_at=at("2024-01-01"),
        levels=(
            Level(Price(Decimal(101)), Decimal("0.2")),
            Level(Price(Decimal(103))),
            Level(Price(Decimal(110)), Decimal("0.9")),
        ),
    )
    rules = replace(
        BASE,
        gates=GateRules(resistance_distance_min=Decimal("0.05")),
        levels=LevelRules(strong_min=Decimal("0.5")),
    )
    _, verdicts = judge(rules, token(levels=[weighed]))
    assert verdicts["resistance_distance"].value == Decimal("0.1")


def test_freshness_counts_hours_of_each_input() -> None:
    """Inputs one hour old pass at 1 and fail at 0.5, as a stale input that keeps the candidate open."""
    known = token(**METRICS, grades=[grades("2024-01-01", "50")], levels=[levels("2024-01-01", 105)])
    names = ("levels", "quantmetrics", "grades")
    for name in names:
        fresh = replace(BASE, gates=GateRules(freshness_hours={name: Decimal(1)}))
        stale = replace(BASE, gates=GateRules(freshness_hours={name: Decimal("0.5")}))
        assert judge(fresh, known)[1][f"freshness_{name}"].passed
        candidates, verdicts = judge(stale, known)
        assert (verdicts[f"freshness_{name}"].passed, candidates[0].complete) == (False, False)
        candidates, verdicts = judge(fresh, token())
        assert (verdicts[f"freshness_{name}"].value, candidates[0].complete) == (None, False)
    now = replace(BASE, gates=GateRules(freshness_hours={"signals": Decimal(0), "prices": Decimal(0)}))
    assert {"freshness_signals", "freshness_prices"} <= {n for n, v in judge(now, token())[1].items() if v.passed}


def test_an_old_episode_is_judged_and_never_again() -> None:
    """Older than age_max_hours at the first slot that knows it: rejected once, with the age."""
    rules = replace(BASE, entry=EntryRules(age_max_hours=Decimal("0.5")))
    tape = Tape({1: token(signals=[signal("2024-01-01 00:00", "bullish")], bars=bars("2024-01-01", "100 | 100 | 100"))})
    assert play(rules, tape) == "01-01 01:00 SKIP T1 signal_age"


def test_missing_inputs_are_waited_for_until_too_old() -> None:
    """Judged at each slot while the grade is missing, then entered at the first slot that has it."""
    rules = replace(BASE, gates=GateRules(trader_grade_min=Decimal(50)))
    late = token(bars=bars("2024-01-01", "100 | 100 | 100 | 100"), grades=[grades("2024-01-01 03:00", "60")])
    assert play(rules, Tape({1: late})).splitlines() == [
        "01-01 01:00 SKIP T1 missing_grade",
        "01-01 02:00 SKIP T1 missing_grade",
        "01-01 03:00 ENTER T1 10 @ 100 stop - target -",
    ]


def test_the_signals_own_grade_serves_where_no_grade_is_known() -> None:
    """A grade carried by the signal row passes the trader grade gate."""
    rules = replace(BASE, gates=GateRules(trader_grade_min=Decimal(50)))
    _, verdicts = judge(rules, token(signals=[signal("2024-01-01 01:00", "bullish", grade="61")]))
    assert verdicts["trader_grade"].value == 61


def test_a_token_without_a_price_waits() -> None:
    """No bar yet: every price-bound gate fails with the missing price, and nothing is judged for good."""
    rules = replace(
        BASE,
        stop=StopRules(
            rule=PriceRule.FRACTION,
            fraction=Decimal("0.05"),
            distance_min=Decimal("0.01"),
            distance_max=Decimal("0.2"),
        ),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1")),
        gates=GateRules(reward_risk_min=Decimal(1), resistance_distance_min=Decimal("0.01")),
        limits=LimitRules(exposure_max=Decimal(1)),
    )
    candidates, verdicts = judge(rules, token(), token(2, bars=(), levels=[levels("2024-01-01", 105, token=2)]))
    missing = {name for name, verdict in verdicts.items() if verdict.reason == "missing_price"}
    assert missing == {
        "reference_price",
        "stop",
        "stop_distance_min",
        "stop_distance_max",
        "target",
        "reward_risk",
        "resistance_distance",
        "exposure",
        "notional",
    }
    assert not candidates[-1].complete


def test_no_stop_and_no_target_are_judgements() -> None:
    """A missing level for the stop rejects for good, with the same reason in each gate that needed it."""
    rules = replace(
        BASE,
        stop=StopRules(rule=PriceRule.LEVEL, distance_min=Decimal("0.01"), distance_max=Decimal("0.2")),
        target=TargetRules(rule=PriceRule.LEVEL),
        gates=GateRules(reward_risk_min=Decimal(1)),
    )
    candidates, verdicts = judge(rules, token())
    assert {n: v.reason for n, v in verdicts.items() if not v.passed} == {
        "stop": "no_stop",
        "stop_distance_min": "no_stop",
        "stop_distance_max": "no_stop",
        "target": "no_target",
        "reward_risk": "no_stop",
    }
    assert candidates[0].complete
    _, verdicts = judge(rules, token(levels=[levels("2024-01-01", 95)]))
    assert verdicts["reward_risk"].reason == "no_target"
    assert verdicts["stop_distance_min"].value == verdicts["stop_distance_max"].value == Decimal("0.05")


def test_reward_risk_gate_compares_the_ratio() -> None:
    """Stop 5 below, target 10 above, no costs: exactly 2."""
    rules = replace(
        BASE,
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.10")),
    )
    assert judge(replace(rules, gates=GateRules(reward_risk_min=Decimal(2))), token())[1]["reward_risk"].passed
    candidates, _ = judge(replace(rules, gates=GateRules(reward_risk_min=Decimal("2.01"))), token())
    assert (candidates[0].first_reason, candidates[0].reward_risk) == ("reward_risk", 2)


def test_places_go_in_rank_order() -> None:
    """Two places for three candidates: by token_id the third is refused, by grade the lowest, unknown ones last."""
    limited = replace(BASE, limits=LimitRules(positions_max=2))
    three = [token(n, grades=[grades("2024-01-01", g, n)] if g else []) for n, g in ((1, "10"), (2, None), (3, "90"))]
    assert [c.outcome for c in judge(limited, *three)[0]] == [Outcome.ENTERED, Outcome.ENTERED, Outcome.REJECTED]
    ranked = replace(limited, entry=EntryRules(rank=Rank.GRADE))
    candidates, verdicts = judge(ranked, *three)
    assert [candidate.token_id for candidate in candidates] == [3, 1, 2]
    assert (verdicts["positions"].value, candidates[-1].first_reason) == (3, "positions")


@pytest.mark.parametrize("rank", [Rank.SHARPE, Rank.SORTINO, Rank.REWARD_RISK])
def test_other_scores_rank_too(rank: Rank) -> None:
    """The token with the better measure or the better bracket goes first."""
    rules = replace(
        BASE,
        entry=EntryRules(rank=rank),
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.LEVEL),
    )
    worse = token(metrics=[metrics("2024-01-01", sharpe="0.1", sortino="0.1")], levels=[levels("2024-01-01", 105)])
    better = token(
        2,
        metrics=[metrics("2024-01-01", token=2, sharpe="0.9", sortino="0.9")],
        levels=[levels("2024-01-01", 120, token=2)],
    )
    assert [candidate.token_id for candidate in judge(rules, worse, better)[0]] == [2, 1]


def test_exposure_counts_what_was_granted_before() -> None:
    """1000 each on 10000: the third would make 0.3 of the equity, above 0.25."""
    rules = replace(BASE, limits=LimitRules(exposure_max=Decimal("0.25")))
    candidates, verdicts = judge(rules, token(1), token(2), token(3))
    assert [candidate.first_reason for candidate in candidates] == [None, None, "exposure"]
    assert verdicts["exposure"].value == Decimal("0.3")


def test_a_position_being_closed_frees_its_place_but_not_its_cash() -> None:
    """An exit accepted at the slot lets another token in; its money is not there yet."""
    rules = replace(
        BASE,
        sizing=SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal("0.6")),
        limits=LimitRules(positions_max=1, exposure_max=Decimal("0.9")),
    )
    flips = [signal("2024-01-01 01:00", "bullish"), signal("2024-01-01 02:00", "bearish")]
    second = [signal("2024-01-01 02:00", "bullish", 2)]
    tape = Tape(
        {
            1: Token(bars=bars("2024-01-01", "100 | 100 | 100"), signals=flips),
            2: Token(bars=bars("2024-01-01", "50 | 50 | 50"), signals=second),
        }
    )
    assert play(rules, tape).splitlines() == [
        "01-01 01:00 ENTER T1 60 @ 100 stop - target -",
        "01-01 02:00 EXIT T1 60 @ 100 signal_flipped +0.000000",
        "01-01 02:00 ENTER T2 80 @ 50 stop - target -",  # cut to the 4000 of free cash
    ]


def test_held_tokens_are_refused_and_stance_asks_again() -> None:
    """A new turn of a held token is refused once; with act_on = stance an unfilled wish returns at each slot."""
    flips = [signal(f"2024-01-01 0{hour}:00", s) for hour, s in ((1, "bullish"), (2, "neutral"), (3, "bullish"))]
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 100 | 100 | 100 | 100"), signals=flips)})
    assert play(BASE, tape).splitlines()[1:] == ["01-01 03:00 SKIP T1 already_held"]
    refusing = replace(BASE, entry=EntryRules(act_on=ActOn.STANCE), gates=GateRules(reward_risk_min=Decimal(1)))
    told = play(refusing, Tape({1: token(bars=bars("2024-01-01", "100 | 100 | 100"))}))
    assert told.splitlines() == [f"01-01 0{hour}:00 SKIP T1 no_stop" for hour in (1, 2, 3)]


STOPPED = bars("2024-01-01", "100 | 100 100 94 96 | 96 | 96 96 96 96 | 96")
FIXED_STOP = StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"))


@pytest.mark.parametrize(("policy", "entries"), [(Reentry.NEVER, 1), (Reentry.AFTER_STOP, 2), (Reentry.ALWAYS, 2)])
def test_reentry_policies_after_a_stop(policy: Reentry, entries: int) -> None:
    """Stopped out inside the episode: never means never, the others enter again with the next ordinal."""
    rules = replace(BASE, stop=FIXED_STOP, entry=EntryRules(reentry=policy))
    records, _ = cycles(rules, Tape({1: token(bars=STOPPED)}))
    born = [f for r in records for f in r.facts if isinstance(f, Order) and f.role is Role.ENTRY]
    assert [order.ordinal for order in born] == list(range(entries))


def test_reentry_after_stop_ignores_other_exits() -> None:
    """A target is no stop: after_stop stays out, always enters again."""
    target = TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05"))
    tape = Tape({1: token(bars=bars("2024-01-01", "100 | 100 106 99 101 | 101 | 101"))})
    for policy, entries in ((Reentry.AFTER_STOP, 1), (Reentry.ALWAYS, 2)):
        rules = replace(BASE, target=target, entry=EntryRules(reentry=policy))
        assert play(rules, tape).count("ENTER") == entries


def test_an_entry_that_never_filled_is_acted_on_all_the_same() -> None:
    """Cancelled at its fill: even reentry = always waits for an exit, and there was none."""
    tape = Tape({1: token(bars=bars("2024-01-01", "100 | 90 | 100 | 100"))})
    rules = replace(BASE, stop=FIXED_STOP, entry=EntryRules(reentry=Reentry.ALWAYS))
    assert play(rules, tape) == "01-01 02:00 CANCELLED order bracket_invalid_at_fill"


def test_cooldown_counts_hours_since_the_losing_exit() -> None:
    """After a loss at 01:00 a cool-down of 3 hours refuses the slot at 02:00; a token without a loss passes."""
    rules = replace(BASE, stop=FIXED_STOP, entry=EntryRules(reentry=Reentry.ALWAYS, cooldown_hours=Decimal(3)))
    assert play(rules, Tape({1: token(bars=STOPPED)})).splitlines()[-1] == "01-01 02:00 SKIP T1 cooldown"
    assert judge(rules, token())[1]["cooldown"].passed


def test_a_late_cycle_makes_no_entry_and_leaves_the_candidate_open() -> None:
    """Cut off two hours after its slot with an interval of one: refused, not judged."""
    tape = Tape({1: token()})
    late, hour = SLOT + timedelta(hours=2), timedelta(hours=1)
    setup = replace(setup_of(BASE, tape), interval=hour)
    portfolio = Portfolio(run=setup.name, cash=Decimal(10000))
    snapshot = gather(tape, setup, portfolio, SLOT, late)
    facts = decide(snapshot, portfolio, BASE).facts
    candidate = next(fact for fact in facts if isinstance(fact, Candidate))
    assert (candidate.first_reason, candidate.complete) == ("lateness", False)
    in_time = gather(tape, setup, portfolio, SLOT, SLOT + hour)
    assert decide(in_time, portfolio, BASE).portfolio.waiting(Role.ENTRY)


INVERSE = SizingRules(
    rule=SizeRule.INVERSE_VOLATILITY,
    target_volatility=Decimal("0.2"),
    volatility=VolatilitySource.QUANTMETRICS,
)


@pytest.mark.parametrize(
    ("sizing", "quantity", "bound"),
    [
        (INVERSE, "6.25", "inverse_volatility"),  # 10000 x 0.2 / 0.8 / 4 = 625
        (replace(INVERSE, volatility_floor=Decimal(1)), "5", "inverse_volatility"),
        (replace(INVERSE, weight_max=Decimal("0.05")), "5", "weight"),
        (replace(INVERSE, risk_fraction=Decimal("0.002")), "4", "risk_budget"),  # 20 at 5 a unit
        (replace(INVERSE, volume_share_max=Decimal("0.01")), "3", "volume_share"),
        (SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01")), "20", "risk_fraction"),
        (SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal(2)), "100", "cash"),
        (SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal("1.234567899")), "1.23456789", "fixed_quantity"),
        (SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(50)), "0.5", "fixed_notional"),
    ],
)
def test_size_is_the_smallest_bound_and_says_which(sizing: SizingRules, quantity: str, bound: str) -> None:
    """Each rule and cap by hand: equity 10000, price 100, stop 95, sigma 0.8, four places, 30000 of daily volume."""
    rules = replace(BASE, sizing=sizing, stop=FIXED_STOP, limits=LimitRules(positions_max=4))

    class Traded(Tape):
        def market(self, token_id: TokenId, *_now: object) -> MarketSize:  # type: ignore[override]
            return MarketSize(token_id=token_id, known_at=SLOT, market_cap=None, volume_24h=Decimal(30000))

    records, _ = cycles(rules, Traded({1: token(**METRICS)}), [SLOT])
    candidate = next(fact for fact in records[0].facts if isinstance(fact, Candidate))
    assert (candidate.quantity, candidate.size_bound) == (Decimal(quantity), bound)


@pytest.mark.parametrize("source", list(VolatilitySource))
def test_volatility_sources(source: VolatilitySource) -> None:
    """Ten quiet days make bars' sigma small: quantmetrics and larger give 625, bars are bounded by the cash."""
    quiet = bars("2024-01-01", " | ".join(["100", "100.1"] * 6), timedelta(days=1))
    rules = replace(BASE, sizing=replace(INVERSE, volatility=source), limits=LimitRules(positions_max=4))
    turned = [signal("2024-01-13 00:00", "bullish")]
    records, _ = cycles(rules, Tape({1: Token(bars=quiet, signals=turned, **METRICS)}), [at("2024-01-13")])
    candidate = next(fact for fact in records[0].facts if isinstance(fact, Candidate))
    assert candidate.size_bound == ("cash" if source is VolatilitySource.BARS else "inverse_volatility")


@pytest.mark.parametrize("source", list(VolatilitySource))
def test_a_missing_volatility_keeps_the_candidate_open(source: VolatilitySource) -> None:
    """Neither metrics nor days: the size is unknown, and the candidate waits."""
    rules = replace(
        BASE,
        sizing=replace(INVERSE, volatility=source),
        limits=LimitRules(positions_max=4, exposure_max=Decimal(1)),
    )
    candidates, verdicts = judge(rules, token())
    assert verdicts["notional"].reason == verdicts["exposure"].reason == "missing_volatility"
    assert not candidates[0].complete


def test_a_volatility_of_zero_is_no_size() -> None:
    """A measure of zero would buy without bound: it counts as missing."""
    rules = replace(BASE, sizing=INVERSE, limits=LimitRules(positions_max=4))
    assert judge(rules, token(metrics=[metrics("2024-01-01", "0")]))[1]["notional"].value is None


def test_the_least_notional_rejects_and_never_bumps() -> None:
    """1000 of notional against a least of 1000.01: rejected by notional with the value."""
    rules = replace(BASE, sizing=replace(BASE.sizing, notional_min=Decimal("1000.01")))
    candidates, verdicts = judge(rules, token())
    assert (candidates[0].first_reason, verdicts["notional"].value) == ("notional", 1000)


def test_risk_sizing_without_a_stop_is_a_judgement() -> None:
    """Where no stop was found a size by risk is none, with the reason."""
    rules = replace(
        BASE,
        stop=StopRules(rule=PriceRule.LEVEL),
        sizing=SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01")),
    )
    candidates, verdicts = judge(rules, token())
    assert (verdicts["notional"].reason, candidates[0].complete) == ("no_stop", True)
