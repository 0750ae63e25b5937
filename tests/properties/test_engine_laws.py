"""The laws of the engine, over random histories and strategies."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot.app.cycle.run_cycle import run_cycle
from bot.domain.books import JournalEntry
from bot.domain.decisions import Candidate, EquityMark, Outcome, Verdict
from bot.domain.events import EventState, RunEvent
from bot.domain.market import Bar
from bot.domain.numbers import Price
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role, Side
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Closing, ExitReason, Position, StopMove
from bot.domain.record import CycleRecord
from bot.engine.cycle import apply
from bot.engine.rules import (
    LimitRules,
    PriceRule,
    Reentry,
    Rules,
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
    VolatilitySource,
)
from tests.notation import Tape, Token, at, bars, cycles, metrics, setup_of, signal, slots_of
from tests.properties.random_tapes import FREE, HOURS, cut, later, rules, tapes


def all_of(records: list[CycleRecord], kind: type) -> list:
    """Return the facts of a kind in order."""
    return [fact for record in records for fact in record.facts if isinstance(fact, kind)]


@given(tape=tapes(), drawn=rules())
def test_money_is_conserved(tape: Tape, drawn: Rules) -> None:
    """Every entry sums to zero, and the cash is the capital plus what closed trades made and open ones cost."""
    records, portfolio = cycles(drawn, tape)
    assert all(sum(leg.amount for leg in entry.postings) == 0 for entry in all_of(records, JournalEntry))
    closed = sum((closing.profit for closing in all_of(records, Closing)), Decimal(0))
    open_cash = sum((holding.cash for holding in portfolio.holdings.values()), Decimal(0))
    assert portfolio.cash == Decimal(10000 if records else 0) + closed + open_cash


@given(tape=tapes(), drawn=rules())
def test_a_restart_lands_on_the_same_portfolio(tape: Tape, drawn: Rules) -> None:
    """Folding the stored facts gives the account that the cycles ended with."""
    records, portfolio = cycles(drawn, tape)
    facts = [fact for record in records for fact in record.facts]
    refolded = apply(Portfolio(run=portfolio.run), facts)
    assert replace(portfolio, settled_slot=None, settled_until=None) == refolded


@given(tape=tapes(), drawn=rules(), hours=st.integers(1, HOURS))
def test_a_truncated_history_gives_the_truncated_journal(tape: Tape, drawn: Rules, hours: int) -> None:
    """What comes later changes nothing that was decided before."""
    whole, _ = cycles(drawn, tape)
    part, _ = cycles(drawn, cut(tape, later(hours)))
    assert [record for record in whole if record.cycle.slot <= later(hours)] == part


@given(tape=tapes(), drawn=rules(), order=st.randoms(use_true_random=False))
def test_shuffled_rows_give_the_same_journal(tape: Tape, drawn: Rules, order: object) -> None:
    """The order of rows and tokens in a payload means nothing."""
    mixed = {}
    numbers = list(tape.tokens)
    order.shuffle(numbers)  # type: ignore[attr-defined]
    for number in numbers:
        token = tape.tokens[number]
        rows, candles = list(token.signals), list(token.bars)
        order.shuffle(rows)  # type: ignore[attr-defined]
        order.shuffle(candles)  # type: ignore[attr-defined]
        mixed[number] = replace(token, signals=rows, bars=candles)
    assert cycles(drawn, Tape(mixed))[0] == cycles(drawn, tape)[0]


@given(tape=tapes(), drawn=rules(fills=FREE).map(lambda one: replace(one, short=ShortRules())))
def test_r_is_minus_one_at_the_stop_when_nothing_costs(tape: Tape, drawn: Rules) -> None:
    """A stop that filled at its own price loses exactly one R, and a gap loses more."""
    records, _ = cycles(drawn, tape)
    positions = {position.position_id: position for position in all_of(records, Position)}
    fills = {fill.position_id: fill for fill in all_of(records, Fill) if fill.role is Role.STOP}
    for closing in all_of(records, Closing):
        if closing.reason is not ExitReason.STOP_HIT:
            continue
        position, fill = positions[closing.position_id], fills[closing.position_id]
        if fill.quantity < position.quantity:
            continue  # a part left before, at its target
        risk = position.quantity * abs(position.entry_price - position.stop_initial)
        if fill.price == position.stop_initial:
            assert abs(closing.profit + risk) <= Decimal("0.000002")
        else:
            assert position.side.sign * (fill.price - position.stop_initial) < 0


@given(tape=tapes(), drawn=rules())
def test_no_fill_is_at_a_price_that_the_bar_did_not_have(tape: Tape, drawn: Rules) -> None:
    """Before costs every fill lies within its bar, but for a target that a gap passed: that pays less than the bar."""
    records, _ = cycles(drawn, tape)
    sides = {position.position_id: position.side for position in all_of(records, Position)}
    for fill in all_of(records, Fill):
        token = tape.tokens[fill.token_id]
        decided = token.finer if "+" in fill.fill_model else token.bars
        bar = next((b for b in decided if b.opened_at == fill.filled_at), None)
        if bar is None:
            continue
        side = sides[fill.position_id]
        costs = {Role.ENTRY: drawn.fills.entry_price, Role.TARGET: lambda price, _side: price}
        raw = fill.price / costs.get(fill.role, drawn.fills.exit_price)(Decimal(1), side)
        gapped = fill.role is Role.TARGET
        assert raw <= bar.high + Decimal("1e-9") or (gapped and side is Side.SHORT)
        assert raw >= bar.low - Decimal("1e-9") or (gapped and side is Side.LONG)


@given(tape=tapes(), drawn=rules())
def test_limits_hold_at_every_acceptance(tape: Tape, drawn: Rules) -> None:
    """A long buys with cash only, and places held and granted never exceed positions_max."""
    records, _ = cycles(drawn, tape)
    most = drawn.limits.positions_max
    for mark in all_of(records, EquityMark):
        assert mark.cash >= 0 or Side.SHORT in drawn.sides
        assert most is None or mark.open_positions <= most


@given(tape=tapes(), drawn=rules())
def test_every_candidate_ends_in_one_outcome(tape: Tape, drawn: Rules) -> None:
    """Entered means that no gate failed and an order exists; rejected names the first failed gate's reason."""
    records, _ = cycles(drawn, tape)
    verdicts = all_of(records, Verdict)
    ordered = {(order.slot, order.token_id) for order in all_of(records, Order) if order.role is Role.ENTRY}
    for candidate in all_of(records, Candidate):
        failed = [v for v in verdicts if v.candidate_id == candidate.candidate_id and not v.passed]
        entered = candidate.outcome is Outcome.ENTERED
        assert entered == (not failed) == ((candidate.slot, candidate.token_id) in ordered)
        assert candidate.first_reason == (failed[0].reason if failed else None)


@given(tape=tapes(), drawn=rules())
def test_an_episode_is_acted_on_once(tape: Tape, drawn: Rules) -> None:
    """No order id is born twice, and no episode has two entries."""
    records, _ = cycles(drawn, tape)
    orders = all_of(records, Order)
    assert len({order.order_id for order in orders}) == len(orders)
    entries = [order.signal_id for order in orders if order.role is Role.ENTRY]
    assert drawn.entry.reentry is not Reentry.NEVER or len(set(entries)) == len(entries)


@given(tape=tapes(), drawn=rules())
def test_a_stop_never_loosens(tape: Tape, drawn: Rules) -> None:
    """Every move of a stop brings it nearer to the price than the one before, from the initial stop on."""
    records, _ = cycles(drawn, tape)
    stops = {position.position_id: (position.side, position.stop_initial) for position in all_of(records, Position)}
    for move in all_of(records, StopMove):
        side, before = stops[move.position_id]
        assert before is None or side.sign * (move.price - before) > 0
        stops[move.position_id] = (side, move.price)


@given(tape=tapes(), drawn=rules())
def test_the_bands_of_a_trade_hold_its_profit(tape: Tape, drawn: Rules) -> None:
    """Summed over its exits, the pessimistic profit is at most what was booked, and the optimistic at least."""
    records, _ = cycles(drawn, tape)
    exits = [fill for fill in all_of(records, Fill) if fill.role is not Role.ENTRY]
    for closing in all_of(records, Closing):
        own = [fill for fill in exits if fill.position_id == closing.position_id]
        assert sum(fill.profit_pessimistic for fill in own) <= closing.profit
        assert sum(fill.profit_optimistic for fill in own) >= closing.profit
        assert sum(fill.quantity for fill in own) == next(
            one.quantity for one in all_of(records, Position) if one.position_id == closing.position_id
        )


@given(tape=tapes(), drawn=rules())
def test_no_entry_is_accepted_while_a_breaker_is_tripped(tape: Tape, drawn: Rules) -> None:
    """Between a trip and its reset no entry order is born."""
    records, _ = cycles(drawn, tape)
    tripped: set[str] = set()
    for record in records:
        for fact in record.facts:
            if isinstance(fact, RunEvent):
                (tripped.add if fact.state is EventState.TRIPPED else tripped.discard)(fact.name)
            assert not (tripped and isinstance(fact, Order) and fact.role is Role.ENTRY)


@given(tape=tapes(), drawn=rules(), hours=st.integers(1, HOURS))
def test_a_slot_run_again_makes_the_same_facts(tape: Tape, drawn: Rules, hours: int) -> None:
    """A cycle that died is run again from the same portfolio and lands on the same rows."""
    slots = [slot for slot in slots_of(tape) if slot <= later(hours)]
    if not slots:
        return
    _, before = cycles(drawn, tape, slots[:-1] or slots[:1])
    setup = setup_of(drawn, tape)
    first, _ = run_cycle(setup, tape, before, slots[-1], lambda: at("2030-01-01"))
    again, _ = run_cycle(setup, tape, before, slots[-1], lambda: at("2030-01-01"))
    assert first == again


@given(tape=tapes(), drawn=rules())
def test_final_orders_stay_final(tape: Tape, drawn: Rules) -> None:
    """Of every order at most one event is final, and none follows it."""
    records, _ = cycles(drawn, tape)
    final = {OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED}
    ended = set()
    for event in all_of(records, OrderEvent):
        assert event.order_id not in ended
        if event.state in final:
            ended.add(event.order_id)


@given(calm=st.integers(5, 200), wild=st.integers(5, 200))
def test_calmer_never_gets_less(calm: int, wild: int) -> None:
    """Of two volatilities the lower one is never given the smaller quantity."""
    calm, wild = sorted((calm, wild))
    assert _quantity(calm) >= _quantity(wild)


def _quantity(percent: int) -> Decimal:
    drawn = Rules(
        name="calm",
        stop=StopRules(rule=PriceRule.NONE),
        target=TargetRules(rule=PriceRule.NONE),
        sizing=SizingRules(
            rule=SizeRule.INVERSE_VOLATILITY,
            target_volatility=Decimal("0.2"),
            volatility=VolatilitySource.QUANTMETRICS,
            weight_max=Decimal("0.5"),
        ),
        limits=LimitRules(positions_max=4),
    )
    tape = Tape(
        {
            1: Token(
                bars=bars("2024-01-01", "100 | 100"),
                signals=[signal("2024-01-01 01:00", "bullish")],
                metrics=[metrics("2024-01-01 00:00", str(Decimal(percent) / 100))],
            )
        }
    )
    records, _ = cycles(drawn, tape)
    return next(fact.quantity for fact in all_of(records, Order) if fact.role is Role.ENTRY)


def test_bars_are_exact_decimals() -> None:
    """The notation makes prices, not floats: the laws above compare exact numbers."""
    assert bars("2024-01-01", "0.1")[0] == Bar(at("2024-01-01"), at("2024-01-01 01:00"), *[Price(Decimal("0.1"))] * 4)
