"""What hooks say is checked before anyone acts on it: a wrong answer rejects its candidate or leaves its position."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.decisions import Candidate
from bot.domain.events import RunEvent
from bot.domain.numbers import Price
from bot.domain.orders import Order, Role, Side
from bot.domain.portfolio import Holding
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket, TargetShare
from bot.engine.rules import (
    Anchor,
    FillRules,
    Hooks,
    LimitRules,
    PriceRule,
    Raised,
    Rules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
)
from tests.notation import Tape, Token, bars, cycles, play, signal

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
HIGHER = Price(Decimal(120))


def hooked(**hooks: Callable[..., object]) -> Rules:
    """Buy 1000 worth at every turn, stop 5 % below, target 10 % above, with these hooks."""
    return Rules(
        name="hooked",
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
        fills=FREE,
        hooks=Hooks(digest="none", **hooks),
    )


def rising(second: str = "") -> Tape:
    """Make a token that turns bullish at 100 at 01:00, and another beside it."""
    tokens = {
        1: Token(bars=bars("2024-01-01", "100 | 100 | 101 | 102"), signals=[signal("2024-01-01 01:00", "bullish")])
    }
    if second:
        tokens[2] = Token(bars=bars("2024-01-01", second), signals=[signal("2024-01-01 01:00", "bullish", 2)])
    return Tape(tokens)


def test_a_veto_rejects_with_its_own_words() -> None:
    """The reason is what the hook said; None lets the candidate pass."""
    assert play(hooked(veto=lambda _view, _bracket: "not on a Monday"), rising()) == (
        "01-01 01:00 SKIP T1 not on a Monday"
    )
    assert "ENTER" in play(hooked(veto=lambda _view, _bracket: None), rising())


def test_hooks_see_days_as_plain_values_and_no_prints() -> None:
    """However an archive keeps its days, and whichever slots were skipped, a hook is shown the same."""
    seen = []

    def look(view: TokenView, _given: object) -> None:
        seen.append((type(view.days), view.prints, view.finer))

    def keep(view: TokenView, bracket: Bracket) -> Bracket:
        look(view, bracket)
        return bracket

    play(hooked(veto=look, rank=look, adjust_bracket=keep, extra_exits=look), rising())
    assert len(seen) >= 4
    assert set(seen) == {(tuple, (), ())}


@pytest.mark.parametrize(
    ("words", "told"),
    [("two\nlines", "two lines"), ("a\x00b\ud800", "a b"), ("x" * 10_000, "x" * 200), ("\n", "veto")],
)
def test_a_veto_is_one_line_that_every_database_can_hold(words: str, told: str) -> None:
    """What cannot be printed is left out and the rest is cut; where nothing is left the gate's name is the reason."""
    assert play(hooked(veto=lambda _view, _bracket: words), rising()) == f"01-01 01:00 SKIP T1 {told}"


def test_a_hook_sees_the_view_and_the_bracket_of_its_candidate() -> None:
    """It is asked with the token's view and the bracket that would be placed."""
    seen: list[tuple[object, object]] = []
    play(hooked(veto=lambda view, bracket: seen.append((view, bracket))), rising())
    ((view, bracket),) = seen
    assert isinstance(view, TokenView)
    assert isinstance(bracket, Bracket)
    assert (bracket.stop, bracket.target) == (95, 110)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Raised("hook veto: ValueError: no"), "hook veto: ValueError: no"),
        (7, "hook veto: int is neither a reason nor None"),
    ],
)
def test_a_veto_that_fails_rejects_with_its_error(answer: object, reason: str) -> None:
    """An error and a wrong type are reasons too."""
    assert play(hooked(veto=lambda _view, _bracket: answer), rising()) == f"01-01 01:00 SKIP T1 {reason}"


def test_an_adjusted_bracket_is_placed_and_named() -> None:
    """A stop of the hook's is used, its source is the hook, and reward over risk is computed anew."""
    records, _ = cycles(
        hooked(adjust_bracket=lambda _view, bracket: replace(bracket, stop=Price(Decimal(90)))), rising()
    )
    (candidate,) = [fact for record in records for fact in record.facts if isinstance(fact, Candidate)]
    assert (candidate.stop, candidate.stop_source, candidate.target_source) == (90, "hook", "fraction")
    assert candidate.reward_risk == 1


def test_an_adjusted_target_replaces_the_parts() -> None:
    """A new target stands alone; new parts stand as they are, nearest first in `target`."""
    parts = (TargetShare(Price(Decimal(105)), Decimal("0.5")), TargetShare(HIGHER))

    def split(_view: TokenView, bracket: Bracket) -> Bracket:
        return replace(bracket, parts=parts, target=parts[0].price)

    records, _ = cycles(hooked(adjust_bracket=split), rising())
    (candidate,) = [fact for record in records for fact in record.facts if isinstance(fact, Candidate)]
    assert (candidate.target, candidate.target_source, candidate.reward_risk) == (105, "hook", Decimal("2.5"))


SIDES = "its stop and targets do not lie on both sides of the price"
PRICES = "write prices as Decimals above zero, with at most 18 digits before the point"
SHARES = "write shares as Decimals above 0, at most 1"


def parted(*parts: object) -> Callable[..., object]:
    """Answer with these parts."""
    return lambda _view, bracket: replace(bracket, parts=parts)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda _view, bracket: replace(bracket, stop=Price(Decimal(101))), SIDES),
        (lambda _view, bracket: replace(bracket, target=Price(Decimal(99))), SIDES),
        (lambda _view, bracket: replace(bracket, stop=Price(Decimal("NaN"))), PRICES),
        (lambda _view, bracket: replace(bracket, stop=Price(Decimal(-1))), PRICES),
        (lambda _view, bracket: replace(bracket, stop=90.0), PRICES),
        (lambda _view, bracket: replace(bracket, target=Price(Decimal("1E+25"))), PRICES),
        (parted(110), "parts must be a tuple of Part"),
        (parted(TargetShare(HIGHER, 0.5)), SHARES),  # type: ignore[arg-type]
        (parted(TargetShare(HIGHER, Decimal("NaN"))), SHARES),
        (parted(TargetShare(HIGHER, Decimal(2))), SHARES),
        (parted(*[TargetShare(HIGHER, Decimal("0.6"))] * 2), "the shares sum to more than 1"),
    ],
)
def test_a_bracket_that_cannot_be_placed_is_refused(wrong: Callable[..., object], told: str) -> None:
    """Whatever a hook answers, the candidate is rejected with what is wrong, and the cycle goes on."""
    assert play(hooked(adjust_bracket=wrong), rising()) == f"01-01 01:00 SKIP T1 hook adjust_bracket: {told}"


def test_the_parts_of_a_hook_are_put_in_order() -> None:
    """The nearest comes first and is the target, the farthest takes the rest."""
    answer = parted(TargetShare(HIGHER, Decimal("0.5")), TargetShare(Price(Decimal(110))))
    records, _ = cycles(hooked(adjust_bracket=answer), rising())
    targets = [
        (fact.price, fact.share)
        for record in records
        for fact in record.facts
        if isinstance(fact, Order) and fact.role is Role.TARGET
    ]
    assert targets == [(110, Decimal("0.5")), (120, None)]
    (candidate,) = [fact for record in records for fact in record.facts if isinstance(fact, Candidate)]
    assert (candidate.target, candidate.target_source) == (110, "hook")


def test_a_bracket_anchored_at_the_fill_is_adjusted_there_too() -> None:
    """The hook is asked again at the fill, with the bracket of that price."""

    def nearer(_view: TokenView, bracket: Bracket) -> Bracket:
        return replace(bracket, stop=Price((bracket.stop or Price(Decimal(0))) + 1))

    rules = hooked(adjust_bracket=nearer)
    rules = replace(rules, stop=replace(rules.stop, anchor=Anchor.FILL))
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 102 | 102"), signals=[signal("2024-01-01 01:00", "bullish")])})
    assert play(rules, tape) == "01-01 01:00 ENTER T1 9.80392156 @ 102 stop 97.9 target 112.2"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, "hook adjust_bracket: NoneType is no Bracket"), (Raised("hook adjust_bracket: KeyError: 'x'"), None)],
)
def test_what_is_no_bracket_is_refused(answer: object, reason: str | None) -> None:
    """Another type and an error reject the candidate, each by name."""
    assert play(hooked(adjust_bracket=lambda _view, _bracket: answer), rising()) == (
        f"01-01 01:00 SKIP T1 {reason or answer}"
    )


def test_a_bracket_without_stop_and_target_is_judged_by_the_gates() -> None:
    """A hook may take prices away; the gates then say that there is none."""
    nothing = hooked(adjust_bracket=lambda _view, bracket: replace(bracket, stop=None, target=None))
    assert play(nothing, rising()) == "01-01 01:00 SKIP T1 no_stop"


def test_a_bracket_left_as_it_is_changes_nothing() -> None:
    """The same bracket keeps its sources."""
    assert play(hooked(adjust_bracket=lambda _view, bracket: bracket), rising()) == play(hooked(), rising())


def test_a_rank_hook_orders_the_candidates() -> None:
    """With one place the token that the hook scores highest gets it."""
    rules = replace(hooked(rank=lambda view, _bracket: view.instrument.token_id), limits=LimitRules(positions_max=1))
    assert play(rules, rising("50 | 50 | 50 | 50")).splitlines() == [
        "01-01 01:00 SKIP T1 positions",
        "01-01 01:00 ENTER T2 20 @ 50 stop 47.5 target 55",
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Raised("hook rank: ZeroDivisionError: x"), "hook rank: ZeroDivisionError: x"),
        (0.5, "hook rank: float is neither a whole number, a finite Decimal nor None"),
        (True, "hook rank: True is neither a whole number, a finite Decimal nor None"),
        (Decimal("NaN"), "hook rank: NaN is neither a whole number, a finite Decimal nor None"),
    ],
)
def test_a_rank_that_fails_rejects_only_its_candidate(answer: object, reason: str) -> None:
    """The other candidate enters, scored or not."""
    rules = hooked(rank=lambda view, _bracket: answer if view.instrument.token_id == 1 else None)
    assert play(rules, rising("50 | 50 | 50 | 50")).splitlines() == [
        f"01-01 01:00 SKIP T1 {reason}",
        "01-01 01:00 ENTER T2 20 @ 50 stop 47.5 target 55",
    ]


def test_an_extra_exit_closes_with_the_reason_it_names() -> None:
    """The position leaves at the next open."""

    def at_a_gain(view: TokenView, holding: Holding) -> str | None:
        price = view.price.price if view.price else holding.price
        return "time_stop" if price > holding.position.entry_price else None

    assert play(hooked(extra_exits=at_a_gain), rising()).splitlines()[-1] == (
        "01-01 03:00 EXIT T1 10 @ 102 time_stop +20.000000"
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Raised("hook extra_exits: KeyError: 1"), "hook extra_exits: KeyError: 1"),
        ("stop_hit", "'stop_hit' is none of manual, risk_breaker, signal_flipped, time_stop"),
        ([], "list is none of manual"),
    ],
)
def test_an_extra_exit_that_fails_leaves_the_position_and_is_told(answer: object, told: str) -> None:
    """An error or a reason that only the engine may give becomes an event that says what goes on."""
    records, portfolio = cycles(hooked(extra_exits=lambda _view, _holding: answer), rising())
    events = [fact for record in records for fact in record.facts if isinstance(fact, RunEvent)]
    assert len(portfolio.holdings) == 1
    assert len(events) == 1  # said once, not at every slot
    assert told in events[0].notice
    assert events[0].notice.endswith("stays open, its stops, targets and other exits go on")


def test_the_prices_of_a_hook_are_those_that_the_ledger_keeps() -> None:
    """A stop of endless digits is rounded to the ledger's eighteen, so that a restart has the same price."""
    third = Price(Decimal(290) / Decimal(3))
    records, _ = cycles(hooked(adjust_bracket=lambda _view, bracket: replace(bracket, stop=third)), rising())
    (candidate,) = [fact for record in records for fact in record.facts if isinstance(fact, Candidate)]
    assert str(candidate.stop) == "96.666666666666666667"


def test_a_short_is_adjusted_on_its_own_side() -> None:
    """For a short the stop must lie above the price and the target below."""
    tape = Tape({1: Token(bars=bars("2024-01-01", "100 | 100 | 99"), signals=[signal("2024-01-01 01:00", "bearish")])})
    rules = replace(
        hooked(adjust_bracket=lambda _view, bracket: replace(bracket, stop=Price(Decimal(103)))),
        sides=frozenset({Side.SHORT}),
    )
    assert play(rules, tape) == "01-01 01:00 SHORT T1 10 @ 100 stop 103 target 90"
