"""Breakers on marked equity, and operators' requests: what trips, what it does, how long, and over restarts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from bot.app.cycle.runner import Runner
from bot.domain.events import Act, EventState, Request, RunEvent
from bot.domain.ids import RequestId, RunName, TokenId
from bot.domain.orders import Order, OrderEvent, OrderState, Role
from bot.domain.portfolio import Portfolio
from bot.domain.record import CycleRecord
from bot.engine.fold import fold
from bot.engine.rules import (
    ActOn,
    Breaker,
    BreakerAction,
    EntryRules,
    FillRules,
    LimitRules,
    PriceRule,
    Reentry,
    Rules,
    SizeRule,
    SizingRules,
    StopRules,
)
from tests.memory_ledger import MemoryLedger
from tests.notation import HOUR, Tape, Token, at, bars, cycles, play, setup_of, signal, slots_of

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
WITHOUT = EntryRules(act_on=ActOn.STANCE, reentry=Reentry.ALWAYS)


def limited(**changes: object) -> Rules:
    """Buy 5000 worth at every turn, stop 50 % below."""
    rules = Rules(
        name="limited",
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.5")),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(5000)),
        fills=FREE,
    )
    return replace(rules, **changes)  # type: ignore[arg-type]


def breaking(**breakers: Breaker) -> Rules:
    """Limit by these breakers."""
    return limited(limits=LimitRules(**breakers))


def falling(text: str, second: str = "", turned: str = "2024-01-01 05:00", start: str = "2024-01-01") -> Tape:
    """Buy T1 at 100 in the second bar; T2 turns bullish later."""
    tokens = {1: Token(bars=bars(start, f"100 | 100 | {text}"), signals=[signal(f"{start} 01:00", "bullish")])}
    if second:
        tokens[2] = Token(bars=bars(start, second), signals=[signal(turned, "bullish", 2)])
    return Tape(tokens)


def events(records: Iterable[CycleRecord]) -> list[RunEvent]:
    """Return the events of a run."""
    return [fact for record in records for fact in record.facts if isinstance(fact, RunEvent)]


FLAT = " | ".join(["10"] * 12)


def test_a_drawdown_breaker_fires_on_open_losses() -> None:
    """Half the account in a token that falls 30 % is a drawdown of 15 %: entries are blocked, nothing was closed."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1"), hours=Decimal(100)))
    tape = falling("90 | 70 | 70 | 70 | 70 | 70", FLAT)
    records, portfolio = cycles(rules, tape)
    (event,) = events(records)
    assert (event.name, event.state, event.value, event.slot) == (
        "drawdown", EventState.TRIPPED, Decimal("0.15"), at("2024-01-01 04:00"),
    )  # fmt: skip
    assert event.until == at("2024-01-05 08:00")
    assert "stops, targets and other exits of open positions go on" in event.notice
    assert "SKIP T2 drawdown" in play(rules, tape)
    assert TokenId(1) in portfolio.holdings


def test_below_its_limit_nothing_trips() -> None:
    """A drawdown of 4.9999 % is below 5 %; at exactly 5 % it trips."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.05")))
    assert events(cycles(rules, falling("90.0002"))[0]) == []
    assert len(events(cycles(rules, falling("90"))[0])) == 1


def test_flatten_closes_everything_at_the_next_price() -> None:
    """The position leaves at the next open with reason risk_breaker."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1"), action=BreakerAction.FLATTEN))
    lines = play(rules, falling("90 | 70 | 68 | 68")).splitlines()
    assert lines[1:] == [
        "01-01 04:00 BREAKER drawdown tripped",
        "01-01 04:00 EXIT T1 50 @ 68 risk_breaker -1600.000000",
    ]


def test_tighten_halves_the_distance_of_every_stop() -> None:
    """With the stop at 50 and the price at 70 it moves to 60, and a hit of it is the breaker's."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1"), action=BreakerAction.TIGHTEN))
    lines = play(rules, falling("90 | 70 | 65 | 65 65 55 55")).splitlines()
    assert lines[1:] == [
        "01-01 04:00 BREAKER drawdown tripped",
        "01-01 04:00 STOP 60 risk_breaker",
        "01-01 05:00 EXIT T1 50 @ 60 risk_breaker -2000.000000",
    ]


def test_flatten_cancels_entries_that_wait() -> None:
    """An accepted entry without a price is cancelled with the same reason."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1"), action=BreakerAction.FLATTEN))
    tape = falling("90 | 70 | 68 | 68", "10 | 10 | 10 | - | - | - | 10", "2024-01-01 03:00")
    records, _ = cycles(rules, tape)
    cancelled = [
        fact.reason
        for record in records
        for fact in record.facts
        if isinstance(fact, OrderEvent) and fact.state is OrderState.CANCELLED
    ]
    assert "risk_breaker" in cancelled


def test_a_breaker_is_reset_after_its_hours_and_measures_from_there() -> None:
    """Two hours later entries are possible again; the same drawdown does not trip it again, a further fall does."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1"), hours=Decimal(2)))
    tape = falling("90 | 70 | 70 | 70 | 70 | 70 | 50.1 | 50.1")
    found = [(event.state, f"{event.slot:%H:%M}", event.value) for event in events(cycles(rules, tape)[0])]
    assert found == [
        (EventState.TRIPPED, "04:00", Decimal("0.15")),
        (EventState.RESET, "06:00", None),
        # 8500 at the reset, 7505 now
        (EventState.TRIPPED, "09:00", Decimal("0.117058823529411765")),
    ]


def test_a_daily_loss_is_measured_from_the_last_mark_before_midnight() -> None:
    """From 10500 at 23:00 to 9900 is a loss of 5.7 %; it lasts to the next midnight."""
    hours = ["100"] * 20 + ["110", "110", "98", "98"] + ["98"] * 25
    rules = breaking(daily_loss=Breaker(at=Decimal("0.05")))
    tape = falling(" | ".join(hours))
    found = events(cycles(rules, tape)[0])
    assert [(event.state, f"{event.slot:%d %H:%M}") for event in found] == [
        (EventState.TRIPPED, "02 01:00"),
        (EventState.RESET, "03 00:00"),
    ]
    assert found[0].value == Decimal("0.057142857142857143")  # 1 - 9900 / 10500
    assert found[0].until == at("2024-01-03")


def test_a_loss_streak_counts_net_losses_in_a_row() -> None:
    """Two losing trades trip a streak of two; a win between them would have started anew."""
    rules = replace(
        breaking(loss_streak=Breaker(at=Decimal(2), hours=Decimal(24))),
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        entry=WITHOUT,
    )
    tape = falling("100 | 94 | 94 | 88 | 88 | 88")
    lines = play(rules, tape).splitlines()
    assert sum("stop_hit" in line for line in lines) == 2
    assert lines[-2].endswith("BREAKER loss_streak tripped") or "BREAKER loss_streak tripped" in "\n".join(lines)
    assert lines[-1].endswith("SKIP T1 loss_streak")


def test_a_volatility_shock_is_a_move_in_daily_sigmas() -> None:
    """Twelve days of one percent up and down, then a held token falls far: many sigmas since the last whole day."""
    wobble = [100 + (number % 2) for number in range(12)]
    days = [
        bar
        for number, close in enumerate(wobble)
        for bar in bars(f"2024-01-{number + 1:02d}", " | ".join([str(close)] * 24))
    ]
    today = bars("2024-01-13", "101 | 101 | 95 | 95")
    tape = Tape({1: Token(bars=[*days, *today], signals=[signal("2024-01-12 23:00", "bullish")])})
    slots = [slot for slot in slots_of(tape) if slot >= at("2024-01-12 22:00")]
    rules = breaking(volatility_shock=Breaker(at=Decimal(4)))
    (event,) = events(cycles(rules, tape, slots)[0])
    assert event.slot == at("2024-01-13 03:00")
    assert event.value is not None
    assert Decimal(5) < event.value < Decimal(7)  # 5.9 % at a sigma of about 1.03 %


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_restart_in_a_drawdown_arms_nothing_again(cut: int) -> None:
    """Killed after any cycle and started on what the ledger kept, the run goes on as if it had never stopped."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1"), hours=Decimal(3)), daily_loss=Breaker(at=Decimal("0.12")))
    tape = falling("90 | 70 | 70 | 75 | 72 | 50.1 | 50.1", FLAT)
    whole, _ = cycles(rules, tape)
    ledger = MemoryLedger()
    setup = setup_of(rules, tape)
    slots = slots_of(tape)
    first = Runner(setup, tape, ledger, lambda: at("2030-01-01"))
    for slot in slots[:cut]:
        first.fire(slot, HOUR)
    again = Runner(setup, tape, ledger, lambda: at("2030-01-01"))
    for slot in slots[cut:]:
        again.fire(slot, HOUR)
    told = [
        event for record in ledger.records[RunName("test")] for event in record.facts if isinstance(event, RunEvent)
    ]
    assert told == events(whole)
    assert len(told) > 2


def asked(act: Act, when: str, token: int | None = None) -> dict[str, tuple[Request, ...]]:
    """Ask for an act at a slot."""
    request = Request(
        request_id=RequestId(f"req-{act}"),
        run=RunName("test"),
        act=act,
        token_id=None if token is None else TokenId(token),
        asked_at=at(when),
    )
    return {when: (request,)}


def test_a_pause_blocks_entries_until_a_resume() -> None:
    """Paused at 04:00, T2's turn at 05:00 is refused; resumed at 06:00, a new turn enters."""
    tape = falling(" | ".join(["100"] * 8), FLAT)
    wishes = asked(Act.PAUSE, "2024-01-01 04:00") | asked(Act.RESUME, "2024-01-01 06:00")
    rules = limited(entry=replace(WITHOUT, age_max_hours=Decimal(72)))
    records, portfolio = cycles(rules, tape, asked=wishes)
    skipped = [
        f"{fact.slot:%H:%M} {fact.first_reason}"
        for record in records
        for fact in record.facts
        if type(fact).__name__ == "Candidate" and fact.token_id == 2 and fact.first_reason  # type: ignore[union-attr]
    ]
    assert skipped == ["05:00 paused"]
    assert TokenId(2) in portfolio.holdings
    assert [(event.name, event.request_id) for event in events(records)] == [
        ("pause", "req-pause"),
        ("resume", "req-resume"),
    ]


def test_close_leaves_one_token_at_its_next_price() -> None:
    """The named token's position leaves as manual; the other stays."""
    tape = falling("100 | 101 | 102 | 103 | 104 | 105 | 106 | 107", FLAT, "2024-01-01 02:00")
    records, portfolio = cycles(limited(), tape, asked=asked(Act.CLOSE, "2024-01-01 05:00", 1))
    assert list(portfolio.holdings) == [TokenId(2)]
    closing = next(fact for record in records for fact in record.facts if type(fact).__name__ == "Closing")
    assert (closing.reason, closing.closed_at) == ("manual", at("2024-01-01 05:00"))  # type: ignore[union-attr]


def test_closing_what_is_not_held_is_told_and_changes_nothing() -> None:
    """The request is applied with a notice that says so."""
    records, _ = cycles(limited(), falling("100 | 100", FLAT), asked=asked(Act.CLOSE, "2024-01-01 03:00", 2))
    assert "nothing to do" in events(records)[0].notice


def test_flatten_by_hand_closes_all_and_says_what_it_does_not_stop() -> None:
    """Every position leaves as manual; the notice names `bot pause`."""
    tape = falling("100 | 101 | 102 | 103 | 104 | 105 | 106 | 107", FLAT, "2024-01-01 02:00")
    records, portfolio = cycles(limited(), tape, asked=asked(Act.FLATTEN, "2024-01-01 05:00"))
    assert portfolio.holdings == {}
    assert "`bot pause` stops them" in events(records)[0].notice


def test_resume_resets_tripped_breakers() -> None:
    """A breaker without hours waits for a resume, and then measures from that slot's equity."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1")))
    tape = falling("90 | 70 | 70 | 70 | 70 | 70")
    records, portfolio = cycles(rules, tape, asked=asked(Act.RESUME, "2024-01-01 06:00"))
    assert [event.state for event in events(records)] == [EventState.TRIPPED, EventState.APPLIED, EventState.RESET]
    assert portfolio.breakers == {}
    assert portfolio.risk_high == 8500


def test_a_breaker_taken_out_of_the_strategy_is_reset() -> None:
    """What is not configured any more does not block for ever."""
    rules = breaking(drawdown=Breaker(at=Decimal("0.1")))
    tape = falling("90 | 70 | 70 | 70")
    setup, ledger = setup_of(rules, tape), MemoryLedger()
    slots: list[datetime] = slots_of(tape)
    runner = Runner(setup, tape, ledger, lambda: at("2030-01-01"))
    for slot in slots[:4]:
        runner.fire(slot, HOUR)
    other = Runner(replace(setup, rules=limited()), tape, ledger, lambda: at("2030-01-01"))
    for slot in slots[4:]:
        other.fire(slot, HOUR)
    portfolio = fold(Portfolio(run=setup.name), ledger.facts(setup.name))
    assert portfolio.breakers == {}


def test_flatten_by_hand_cancels_the_entry_of_the_token_closed() -> None:
    """A close of a token whose entry still waits cancels that entry, and no other."""
    tape = falling("- | - | - | 100", "10 | 10 | 10 | - | - | - | 10", "2024-01-01 03:00")
    tokens = {**tape.tokens, 3: replace(tape.tokens[2], signals=[signal("2024-01-01 03:00", "bullish", 3)])}
    rules = limited(sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)))
    records, portfolio = cycles(rules, Tape(tokens), asked=asked(Act.CLOSE, "2024-01-01 06:00", 2))
    cancelled = [
        (fact.reason, f"{fact.slot:%H:%M}")
        for record in records
        for fact in record.facts
        if isinstance(fact, OrderEvent) and fact.state is OrderState.CANCELLED and fact.reason == "manual"
    ]
    assert cancelled == [("manual", "06:00")]
    assert TokenId(3) in portfolio.holdings
    assert TokenId(2) not in portfolio.holdings


def test_tightening_passes_over_a_position_without_a_stop() -> None:
    """Without a stop there is nothing to tighten: entries are blocked, the position stays as it is."""
    rules = replace(breaking(drawdown=Breaker(at=Decimal("0.1"), action=BreakerAction.TIGHTEN)), stop=StopRules())
    lines = play(rules, falling("90 | 70 | 65 | 60")).splitlines()
    assert lines[1:] == ["01-01 04:00 BREAKER drawdown tripped"]


def test_a_volatility_shock_that_is_over_does_not_trip_again() -> None:
    """After its hours the same move does not trip it again; a move since a later whole day does."""
    days = [
        bar
        for number in range(12)
        for bar in bars(f"2024-01-{number + 1:02d}", " | ".join([str(100 + number % 2)] * 24))
    ]
    today = bars("2024-01-13", "101 | 101 | 95 | 95 | 95 | 95 | 101 | 101 | 101")
    tape = Tape({1: Token(bars=[*days, *today], signals=[signal("2024-01-12 23:00", "bullish")])})
    slots = [slot for slot in slots_of(tape) if slot >= at("2024-01-12 22:00")]
    rules = breaking(volatility_shock=Breaker(at=Decimal(4), hours=Decimal(2)))
    found = [(event.state, f"{event.slot:%H:%M}") for event in events(cycles(rules, tape, slots)[0])]
    assert found == [(EventState.TRIPPED, "03:00"), (EventState.RESET, "05:00")]
    later = bars("2024-01-13 09:00", " | ".join(["101"] * 15 + ["101", "80", "80"]))
    longer = Tape({1: replace(tape.tokens[1], bars=[*tape.tokens[1].bars, *later])})
    slots = [slot for slot in slots_of(longer) if slot >= at("2024-01-12 22:00")]
    found = [(event.state, f"{event.slot:%d %H:%M}") for event in events(cycles(rules, longer, slots)[0])]
    assert found[2:] == [(EventState.TRIPPED, "14 02:00")]


def test_a_daily_loss_is_measured_anew_the_next_day() -> None:
    """Tripped in the evening, it is over at midnight, and the next day's own loss trips it again."""
    hours = ["100"] * 18 + ["70"] * 6 + ["70", "70", "50", "50"]
    rules = breaking(daily_loss=Breaker(at=Decimal("0.1")))
    found = [
        (event.state, f"{event.slot:%d %H:%M}", event.value)
        for event in events(cycles(rules, falling(" | ".join(hours)))[0])
    ]
    assert found == [
        (EventState.TRIPPED, "01 21:00", Decimal("0.15")),
        (EventState.RESET, "02 00:00", None),
        (EventState.TRIPPED, "02 05:00", Decimal("0.117647058823529412")),  # 1 - 7500 / 8500
    ]


def test_a_daily_loss_that_is_over_within_the_day_measures_from_there() -> None:
    """With two hours the day's loss so far does not trip it again; a further one does."""
    hours = ["100"] * 4 + ["70"] * 6 + ["50"] * 2
    rules = breaking(daily_loss=Breaker(at=Decimal("0.1"), hours=Decimal(2)))
    found = [(event.state, f"{event.slot:%H:%M}") for event in events(cycles(rules, falling(" | ".join(hours)))[0])]
    assert found == [
        (EventState.TRIPPED, "07:00"),
        (EventState.RESET, "09:00"),
        (EventState.TRIPPED, "13:00"),
    ]


def test_a_second_flatten_leaves_an_accepted_exit_alone() -> None:
    """Asked twice before the next price, each position leaves once."""
    tape = falling("100 | 101 | 102 | - | - | 105 | 106 | 107")
    wishes = asked(Act.FLATTEN, "2024-01-01 05:00") | asked(Act.CLOSE, "2024-01-01 06:00", 1)
    slots = [at(f"2024-01-01 {hour:02d}:00") for hour in range(1, 10)]
    records, _ = cycles(limited(), tape, slots, asked=wishes)
    exits = [fact for record in records for fact in record.facts if isinstance(fact, Order) and fact.role is Role.EXIT]
    assert [(order.reason, f"{order.slot:%H:%M}") for order in exits] == [("manual", "05:00")]
