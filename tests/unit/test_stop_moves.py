"""Stops on their way: each rule with numbers worked out by hand, from whole bars up to the one before."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import pytest

from bot.app.cycle.run_cycle import run_cycle
from bot.domain.ids import RunName, TokenId
from bot.domain.market import Bar, LevelSet, Quote, one_price
from bot.domain.orders import Order, Role, Side
from bot.domain.portfolio import Portfolio
from bot.domain.positions import StopMove
from bot.domain.reach import Reach
from bot.engine.rules import (
    ExitRule,
    ExitRules,
    FillRules,
    LevelRules,
    PriceRule,
    Rules,
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
)
from tests.notation import (
    DAY,
    HOUR,
    Tape,
    Token,
    at,
    bars,
    cycles,
    levels,
    play,
    price,
    setup_of,
    signal,
    tell,
)

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
TRAILING = ExitRules(rules=frozenset({ExitRule.STOP_HIT, ExitRule.TRAILING_STOP}), trailing_fraction=Decimal("0.05"))
EVEN = ExitRules(rules=frozenset({ExitRule.STOP_HIT, ExitRule.BREAK_EVEN}), break_even_r=Decimal(1))
RATCHET = ExitRules(rules=frozenset({ExitRule.STOP_HIT, ExitRule.TRAILING_STOP}), ratchet_to_support=True)


def trailed(exits: ExitRules = TRAILING, fills: FillRules = FREE, **changes: object) -> Rules:
    """Buy 1000 worth at every turn, stop 10 % below, no target."""
    rules = Rules(
        name="trailed",
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.1")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
        exits=exits,
        fills=fills,
    )
    return replace(rules, **changes)  # type: ignore[arg-type]


def after_entry(text: str, stance: str = "bullish", *sets: LevelSet) -> Tape:
    """Enter at 100 at 01:00, then live through the bars from 02:00 on."""
    return Tape(
        {
            1: Token(
                bars=bars("2024-01-01", f"100 | 100 | {text}"),
                signals=[signal("2024-01-01 01:00", stance)],
                levels=sets,
            )
        }
    )


def told(rules: Rules, tape: Tape) -> list[str]:
    """Tell what came after the entry."""
    return play(rules, tape).splitlines()[1:]


def test_a_trailing_stop_follows_the_highest_whole_bar() -> None:
    """5 % below 110 from the next bar on; a lower high later leaves it where it is; then it is hit at 104.5."""
    assert told(trailed(), after_entry("100 110 100 108 | 108 109 105 107 | 107 107 104 104")) == [
        "01-01 02:00 STOP 95 trailing_stop",
        "01-01 03:00 STOP 104.5 trailing_stop",
        "01-01 04:00 EXIT T1 10 @ 104.5 trailing_stop +45.000000",
    ]


def test_a_bar_is_not_judged_by_the_stop_it_made() -> None:
    """A bar from 100 up to 120 and back to 101 makes a stop at 114 and does not hit it; the next open does, at 101."""
    assert told(trailed(), after_entry("100 120 100 101 | 101 102 100 101"))[-2:] == [
        "01-01 03:00 STOP 114 trailing_stop",
        "01-01 03:00 EXIT T1 10 @ 101 trailing_stop +10.000000",
    ]


def test_a_trailing_stop_of_a_short_follows_the_lowest() -> None:
    """5 % above 90, hit from below."""
    rules = trailed(sides=frozenset({Side.SHORT}))
    assert told(rules, after_entry("100 100 90 92 | 92 95 91 94", "bearish"))[-2:] == [
        "01-01 03:00 STOP 94.5 trailing_stop",
        "01-01 03:00 EXIT T1 10 @ 94.5 trailing_stop +55.000000",
    ]


def test_an_initial_stop_that_is_hit_keeps_its_own_name() -> None:
    """Before any move the reason is stop_hit."""
    rules = trailed(replace(TRAILING, trailing_fraction=Decimal("0.2")))
    assert told(rules, after_entry("100 101 89 90")) == ["01-01 02:00 EXIT T1 10 @ 90 stop_hit -100.000000"]


def test_trailing_works_without_an_initial_stop() -> None:
    """With stop.rule = none the first whole bar gives the position its stop order."""
    rules = trailed(stop=StopRules())
    records, _ = cycles(rules, after_entry("100 104 99 103 | 103 103 98 98"))
    stops = [f for r in records for f in r.facts if isinstance(f, Order) and f.role is Role.STOP]
    assert [stop.price for stop in stops] == [95]
    assert told(rules, after_entry("100 104 99 103 | 103 103 98 98"))[-1] == (
        "01-01 03:00 EXIT T1 10 @ 98.8 trailing_stop -12.000000"
    )


def test_break_even_moves_the_stop_to_the_price_that_pays_the_round_trip() -> None:
    """Bought at 101 with costs of one percent each way: the stop goes to 101 x 1.01 / (0.99 x 0.99), and ends even."""
    fills = FillRules(fee_fraction=Decimal("0.01"), half_spread_fraction=Decimal(0), slippage_fraction=Decimal("0.01"))
    # R = 101 - 90 = 11; the high of 112 reaches entry + R
    lines = told(trailed(EVEN, fills), after_entry("100 112 100 111 | 111 111 100 101"))
    moved = Decimal(lines[0].split()[3])
    assert lines[0].startswith("01-01 03:00 STOP 104.0812")
    assert abs(moved - Decimal(101) * Decimal("1.01") / (Decimal("0.99") ** 2)) < Decimal("1e-15")
    exit_words = lines[1].split()
    assert exit_words[-2] == "break_even"
    assert abs(Decimal(exit_words[-1])) <= Decimal("0.000001")


def test_break_even_waits_for_its_r() -> None:
    """A high just below entry + R moves nothing."""
    assert told(trailed(EVEN), after_entry("100 109.99 100 109 | 109 109 99 100")) == []


def test_break_even_never_moves_back() -> None:
    """Once the stop is at the entry it stays, and a fall to it ends the trade even."""
    assert told(trailed(EVEN), after_entry("100 110 100 109 | 109 130 108 120 | 120 120 99 100")) == [
        "01-01 03:00 STOP 100 break_even",
        "01-01 04:00 EXIT T1 10 @ 100 break_even +0.000000",
    ]


def test_break_even_of_a_short() -> None:
    """At entry - R a short's stop goes to its entry."""
    rules = trailed(EVEN, sides=frozenset({Side.SHORT}))
    assert told(rules, after_entry("100 100 90 91 | 91 101 90 95", "bearish")) == [
        "01-01 03:00 STOP 100 break_even",
        "01-01 03:00 EXIT T1 10 @ 100 break_even +0.000000",
    ]


def test_the_tighter_of_two_rules_names_the_stop() -> None:
    """Trailing at 104.5 is nearer than break-even at 100."""
    exits = replace(TRAILING, rules=frozenset({*TRAILING.rules, ExitRule.BREAK_EVEN}), break_even_r=Decimal(1))
    assert told(trailed(exits), after_entry("100 110 100 108"))[-1] == "01-01 03:00 STOP 104.5 trailing_stop"


def test_a_ratchet_goes_to_a_newly_known_support() -> None:
    """A support known at 03:00 and 1 % of buffer below it: the stop moves there at that slot, never to a lower one."""
    rules = trailed(
        RATCHET, stop=StopRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01"), distance_min=Decimal("0.02"))
    )
    tape = after_entry(
        "105 | 108 | 108 | 103 103 98 99",
        "bullish",
        levels("2024-01-01 00:30", 90, 120),
        levels("2024-01-01 03:30", 90, 104, 107.9, 120),
        levels("2024-01-01 04:30", 80, 120),
    )
    records, _ = cycles(rules, tape)
    moves = [fact for record in records for fact in record.facts if isinstance(fact, StopMove)]
    # 107.9 x 0.99 lies within two percent of 108: passed over
    assert [(move.price, move.level, move.moved_at) for move in moves] == [
        (Decimal("102.96"), 104, at("2024-01-01 04:00"))
    ]
    assert told(rules, tape)[-1] == "01-01 05:00 EXIT T1 10 @ 102.96 trailing_stop +29.600000"


def test_a_stop_moved_at_a_slot_does_not_judge_a_bar_that_had_opened() -> None:
    """Live, the hour that the slot fell into is settled by the stop of before; the next one by the new."""
    hours = bars("2024-01-01", "100 | 100 | 105 | 108 108 102 107 | 107 107 102 103")
    rules = trailed(
        RATCHET, stop=StopRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01"), distance_min=Decimal("0.02"))
    )
    tape = Tape(
        {
            1: Token(
                bars=hours,
                signals=[signal("2024-01-01 01:00", "bullish")],
                levels=[levels("2024-01-01 00:30", 90, 120), levels("2024-01-01 03:01", 90, 102.5, 120)],
            )
        }
    )
    slots = [at("2024-01-01 01:00") + number * HOUR + timedelta(minutes=2) for number in range(5)]
    records, _ = cycles(rules, tape, slots)
    move = next(fact for record in records for fact in record.facts if isinstance(fact, StopMove))
    assert (move.moved_at, move.price) == (at("2024-01-01 03:02"), Decimal("101.475"))
    lines = play(rules, tape, slots).splitlines()
    assert not any("EXIT" in line for line in lines)  # 102 is above 101.475: nothing was hit at all
    deep = replace(tape.tokens[1], bars=[*hours[:3], *bars("2024-01-01 03:00", "108 108 101 107 | 107 107 101 103")])
    lines = play(rules, Tape({1: deep}), slots).splitlines()
    assert lines[-1] == "01-01 04:00 EXIT T1 10 @ 101.475 trailing_stop -35.250000"


def test_a_stop_moved_at_two_slots_inside_a_bar_judges_it_by_neither() -> None:
    """A day that fell to 94 before supports at 95 (05:00) and 97 (07:00) were known is settled by its stop at 90."""
    days = bars("2024-01-01", "100 | 100 101 99 100 | 100 101 94 100 | 100", DAY)
    token = Token(
        bars=days,
        signals=[signal("2024-01-02 00:00", "bullish")],
        levels=[levels("2024-01-01 00:00", 90), levels("2024-01-03 05:00", 95), levels("2024-01-03 07:00", 97)],
    )
    rules = trailed(RATCHET, stop=StopRules(rule=PriceRule.LEVEL))
    slots = [at("2024-01-02") + number * HOUR for number in range(49)]
    assert play(rules, Tape({1: token}), slots).splitlines()[1:] == [
        "01-03 05:00 STOP 95 trailing_stop",
        "01-03 07:00 STOP 97 trailing_stop",
    ]


def _days(count: int, ranges: str) -> list[Bar]:
    """Make flat whole days that end at 2024-02-01, each of one range around 100."""
    half = Decimal(ranges) / 2
    first = at("2024-02-01") - count * DAY
    return [
        Bar(first + n * DAY, first + (n + 1) * DAY, price(100), price(100 + half), price(100 - half), price(100))
        for n in range(count)
    ]


def test_a_trailing_atr_uses_the_days_before_the_bar() -> None:
    """Two ATR of 4 below the bar's high of 110 is 102."""
    exits = replace(TRAILING, trailing_fraction=None, trailing_atr=Decimal(2))
    hourly = bars("2024-02-01", "100 | 100 | 100 110 100 109 | 109 109 101 102")
    tape = Tape({1: Token(bars=[*_days(14, "4"), *hourly], signals=[signal("2024-02-01 01:00", "bullish")])})
    slots = [at("2024-02-01 01:00") + number * HOUR for number in range(4)]
    assert play(trailed(exits), tape, slots).splitlines()[-2:] == [
        "02-01 03:00 STOP 102 trailing_stop",
        "02-01 03:00 EXIT T1 10 @ 102 trailing_stop +20.000000",
    ]


@pytest.mark.parametrize("rule", [ExitRule.TRAILING_STOP, ExitRule.BREAK_EVEN])
def test_a_key_without_its_rule_moves_nothing(rule: ExitRule) -> None:
    """The set of rules decides, not the keys."""
    exits = ExitRules(
        rules=frozenset({ExitRule.STOP_HIT, ExitRule.TRAILING_STOP, ExitRule.BREAK_EVEN} - {rule}),
        trailing_fraction=Decimal("0.05") if rule is ExitRule.TRAILING_STOP else None,
        break_even_r=Decimal(1) if rule is ExitRule.BREAK_EVEN else None,
    )
    assert told(trailed(exits, levels=LevelRules()), after_entry("100 130 100 129")) == []


def test_a_trailing_distance_below_nothing_moves_nothing() -> None:
    """Thirty ATR of 4 below 110 is no price."""
    exits = replace(TRAILING, trailing_fraction=None, trailing_atr=Decimal(30))
    hourly = bars("2024-02-01", "100 | 100 | 100 110 100 109 | 109 109 101 102")
    tape = Tape({1: Token(bars=[*_days(14, "4"), *hourly], signals=[signal("2024-02-01 01:00", "bullish")])})
    slots = [at("2024-02-01 01:00") + number * HOUR for number in range(4)]
    assert not any("STOP" in line for line in play(trailed(exits), tape, slots).splitlines())


class Late(Tape):
    """A tape whose fetch ends fifty minutes after the slot, with a quote of that moment."""

    quoted_at: Mapping[datetime, str] = MappingProxyType({})

    def refresh(self, slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """Move to a slot, and come late."""
        return super().refresh(slot) + timedelta(minutes=50)

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the quote of the late moment where there is one, else the last close."""
        late = self.quoted_at.get(as_of)
        if late is None:
            return super().price(token_id, as_of, cut_off)
        return Quote(token_id=token_id, price=price(late), known_at=cut_off)


def test_a_stop_moved_late_does_not_reach_back() -> None:
    """The slot of 04:00 ran at 04:50 and moved the stop to 104.94: it does not judge the hour that began at 04:00."""
    rules = trailed(RATCHET, stop=StopRules(rule=PriceRule.LEVEL, buffer_fraction=Decimal("0.01")))
    tape = Late(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 100 | 100 | 100 | 100 111 99 110 | 110 110 104 104"),
                signals=[signal("2024-01-01 01:00", "bullish")],
                levels=[levels("2024-01-01 00:30", 90, 120), levels("2024-01-01 03:30", 90, 106, 120)],
            )
        }
    )
    tape.quoted_at = {at("2024-01-01 04:00"): "110"}
    slots = [at(f"2024-01-01 {hour:02d}:00") for hour in range(1, 7)]
    records, _ = cycles(rules, tape, slots)
    (move,) = [fact for record in records for fact in record.facts if isinstance(fact, StopMove)]
    assert (move.moved_at, move.price) == (at("2024-01-01 04:50"), Decimal("104.94"))
    assert play(rules, tape, slots).splitlines()[-1] == "01-01 05:00 EXIT T1 10 @ 104.94 trailing_stop +49.400000"


def test_a_position_opened_within_a_batch_meets_the_close_of_its_bar() -> None:
    """Quote and bar arrive together: the entry fills by the quote of 02:30, and the bar closes below the stop."""
    rules = trailed(ExitRules(), stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")))
    tape = after_entry("100 100 89 90 | 90 90 90 90")

    def at_once(
        token_id: TokenId, seen: tuple[datetime, datetime] | None, as_of: datetime, cut_off: datetime, _reach: Reach
    ) -> tuple[Bar, ...]:
        found = Tape.prints(tape, token_id, seen, as_of, cut_off)
        quote = one_price(at("2024-01-01 02:30"), price(99))
        kept = tuple(bar for bar in found if bar.opened_at != at("2024-01-01 01:00"))
        return (*kept, quote) if any(bar.opened_at == at("2024-01-01 02:00") for bar in found) else kept

    def late(slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        return slot + timedelta(minutes=15)

    tape.prints = at_once  # type: ignore[method-assign]
    tape.refresh = late  # type: ignore[method-assign]
    accepted = replace(tape.tokens[1], signals=[signal("2024-01-01 02:00", "bullish")])
    tape.tokens = {1: accepted}
    slots = [at(f"2024-01-01 {hour:02d}:00") for hour in (1, 2, 3, 4)]
    setup = setup_of(rules, tape)
    portfolio = Portfolio(run=setup.name)
    lines = []
    for slot in slots:
        record, portfolio = run_cycle(setup, tape, portfolio, slot, lambda: at("2030-01-01"))
        lines += tell(record.facts)
    assert lines == [
        "01-01 02:30 ENTER T1 10 @ 99 stop 95 target -",
        "01-01 03:00 EXIT T1 10 @ 90 stop_hit -90.000000",
    ]


def test_an_entry_never_fills_at_a_price_from_before_its_decision() -> None:
    """Decided at 02:50 for the slot of 02:00, it found no price for hours: the late hour of 02:00 is not its price."""
    rules = trailed(ExitRules(), stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")))
    tape = Late({1: Token(bars=bars("2024-01-01", "100 | 100"), signals=[signal("2024-01-01 02:00", "bullish")])})
    setup, portfolio, lines = setup_of(rules, tape), Portfolio(run=RunName("test")), []
    late = bars("2024-01-01", "100 | 100 | 97 | 98 99 97 98")[2:]
    for hour in (2, 3, 4):
        if hour == 4:
            tape.prints = lambda *_asked: late  # type: ignore[method-assign]
        record, portfolio = run_cycle(setup, tape, portfolio, at(f"2024-01-01 {hour:02d}:00"), lambda: at("2030-01-01"))
        lines += tell(record.facts)
    assert lines == ["01-01 03:00 ENTER T1 10 @ 98 stop 95 target -"]


def test_a_short_that_was_opened_late_pays_for_every_begun_day() -> None:
    """Its bars came thirty hours late: the day that begins within them is charged with their settlement."""
    rules = Rules(
        name="late",
        sides=frozenset({Side.SHORT}),
        short=ShortRules(borrow_fraction_per_day=Decimal("0.001")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
        fills=FREE,
    )
    flat = bars("2024-01-01", " | ".join(["100"] * 26))
    tape = Tape({1: Token(bars=flat[:1], signals=[signal("2024-01-01 01:00", "bearish")])})
    setup, portfolio = setup_of(rules, tape), Portfolio(run=RunName("test"))
    for number, slot in enumerate(["2024-01-01 01:00", "2024-01-02 06:00", "2024-01-02 07:00"]):
        if number == 2:
            tape.prints = lambda *_asked: flat[1:]  # type: ignore[method-assign]
        _, portfolio = run_cycle(setup, tape, portfolio, at(slot), lambda: at("2030-01-01"))
    assert portfolio.cash == 10998  # proceeds of 1000, less two begun days of 1
