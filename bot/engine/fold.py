"""The fold from facts to a portfolio.

It is the only way in which an account changes, both in a cycle and at a restart.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import Any

from bot.domain.amend import amend
from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import BenchmarkPart, Candidate, CandidateLevel, EquityMark, Fact, Verdict
from bot.domain.errors import InvariantError
from bot.domain.events import Act, EventKind, EventState, RunEvent
from bot.domain.ids import PositionId
from bot.domain.numbers import EXACT, ZERO, Quantity, to_float
from bot.domain.orders import FINAL, Fill, Order, OrderEvent, Role, check_transition
from bot.domain.portfolio import BenchmarkHolding, Fall, Holding, LiveOrder, Portfolio, Tripped
from bot.domain.positions import Closing, Mark, Position, StopMove
from bot.engine.equity import follow_equity
from bot.engine.rules import BreakerName


def fold(portfolio: Portfolio, facts: Iterable[Fact]) -> Portfolio:
    """Apply facts to a copy of the portfolio, in the order they happened."""
    moved = portfolio.copy()
    with localcontext(EXACT):
        for fact in facts:
            apply_fact(moved, fact)
    return moved


def apply_fact(portfolio: Portfolio, fact: Fact) -> None:
    """Apply one fact to a portfolio, under EXACT; facts that only explain change nothing.

    Raises InvariantError for a kind of fact that FOLDS does not have.
    """
    folded = FOLDS.get(type(fact))
    if folded is None:
        raise InvariantError(f"a portfolio cannot be folded from a {type(fact).__name__}")
    folded(portfolio, fact)


def only_explain(_portfolio: Portfolio, _fact: Fact) -> None:
    """Change nothing."""


def _fold_candidate(portfolio: Portfolio, candidate: Candidate) -> None:
    if candidate.complete:
        memory = portfolio.memory_of(candidate.token_id)
        judged = (candidate.signal_id, memory.entries(candidate.signal_id))
        portfolio.memory[candidate.token_id] = amend(memory, judged=judged)


def _fold_order(portfolio: Portfolio, order: Order) -> None:
    portfolio.keep(LiveOrder(order, None))
    if order.role is Role.ENTRY:
        memory = portfolio.memory_of(order.token_id)
        acted = {**memory.acted, order.signal_id: order.ordinal + 1}
        portfolio.memory[order.token_id] = amend(memory, acted=acted)


def _fold_order_event(portfolio: Portfolio, event: OrderEvent) -> None:
    live = portfolio.orders.get(event.order_id)
    if live is None:
        what = f"{event.state} is said of an order that is not live"
        raise InvariantError(f"order {event.order_id}: {what}")
    check_transition(event.order_id, live.state, event.state)
    if event.state in FINAL:
        portfolio.drop(live.order)
    else:
        portfolio.keep(LiveOrder(live.order, event.state))


def _fold_position(portfolio: Portfolio, position: Position) -> None:
    portfolio.holdings[position.token_id] = Holding(
        position=position,
        quantity=position.quantity,
        cost=ZERO,
        cash=ZERO,
        booked=ZERO,
        price=position.entry_price,
        low=position.entry_price,
        high=position.entry_price,
        stop=position.stop_initial,
    )


def _fold_fill(portfolio: Portfolio, fill: Fill) -> None:
    if fill.role is not Role.ENTRY:
        holding = portfolio.holdings[fill.token_id]
        left = Quantity(holding.quantity - fill.quantity)
        portfolio.holdings[fill.token_id] = amend(holding, quantity=left)


def _fold_entry(portfolio: Portfolio, entry: JournalEntry) -> None:
    change = _sum_of_account(entry, Account.CASH)
    portfolio.cash += change
    if entry.position_id is None:
        return
    holding = _open_holding(portfolio, entry.position_id)
    # The position account of a short is negative; its sign makes the cost positive on both sides.
    grown = holding.sign * _sum_of_account(entry, Account.POSITION)
    cash, cost = holding.cash + change, holding.cost + grown
    # Only an exit reduces the cost; cash plus the remaining cost is then the profit booked so far.
    portfolio.holdings[holding.position.token_id] = amend(
        holding,
        cash=cash,
        cost=cost,
        booked=cash + holding.sign * cost if grown < ZERO else holding.booked,
        borrowed_at=entry.at if not grown else holding.borrowed_at,
    )


def _sum_of_account(entry: JournalEntry, account: Account) -> Decimal:
    return sum((leg.amount for leg in entry.postings if leg.account is account), ZERO)


def _open_holding(portfolio: Portfolio, position_id: PositionId) -> Holding:
    """Find an open position; raise InvariantError when it is not open."""
    for held in portfolio.holdings.values():
        if held.position.position_id == position_id:
            return held
    raise InvariantError(f"position {position_id} is not open")


def _fold_mark(portfolio: Portfolio, mark: Mark) -> None:
    holding = _open_holding(portfolio, mark.position_id)
    portfolio.holdings[holding.position.token_id] = amend(
        holding, price=mark.price, low=mark.low, high=mark.high
    )


def _fold_stop_move(portfolio: Portfolio, move: StopMove) -> None:
    holding = _open_holding(portfolio, move.position_id)
    moves = (*holding.moves, move)
    portfolio.holdings[holding.position.token_id] = amend(holding, stop=move.price, moves=moves)


def _part_bought(portfolio: Portfolio, part: BenchmarkPart) -> None:
    if part.worth:
        units = 0.0 if part.price is None else to_float(part.worth) / to_float(part.price)
        portfolio.parts[part.token_id] = BenchmarkHolding(part.price, part.worth, units)
    else:
        portfolio.parts.pop(part.token_id, None)


def _equity(portfolio: Portfolio, mark: EquityMark) -> None:
    before = portfolio.marked
    if before is None:
        portfolio.day_start = mark.equity
    elif before[0].date() != mark.slot.date():
        portfolio.day_start = before[1]
    _, portfolio.high_at, portfolio.deepest = follow_equity(portfolio, mark.equity, mark.slot)
    if mark.drawdown_deepest is not None:  # the mark includes the slots that were not written
        portfolio.deepest = _fall_of(mark)
    portfolio.high_water_mark = mark.high_water_mark
    portfolio.benchmark = portfolio.benchmark if mark.benchmark is None else mark.benchmark
    portfolio.marked = (mark.slot, mark.equity)
    portfolio.risk_high = max(portfolio.risk_high, mark.equity)


def _fall_of(mark: EquityMark) -> Fall | None:
    depth, began, lowest = mark.drawdown_deepest, mark.drawdown_started_at, mark.drawdown_trough_at
    if not depth or began is None or lowest is None:
        return None
    high = mark.high_water_mark if mark.drawdown_high is None else mark.drawdown_high
    return Fall(depth, high, began, lowest, mark.drawdown_recovered_at)


def _fold_event(portfolio: Portfolio, event: RunEvent) -> None:
    if event.kind is EventKind.OPERATOR and event.name in {Act.PAUSE, Act.RESUME}:
        portfolio.paused = event.name == Act.PAUSE
    elif event.kind is EventKind.HOOK and event.token_id is not None:
        portfolio.told[event.token_id] = event.notice
    elif event.kind is EventKind.BREAKER and event.state is EventState.TRIPPED:
        portfolio.breakers[event.name] = Tripped(event.slot, event.until)
    elif event.kind is EventKind.BREAKER:
        portfolio.breakers.pop(event.name, None)
        _arm_again(portfolio, event)


def _arm_again(portfolio: Portfolio, event: RunEvent) -> None:
    """Make a breaker that was reset measure from its reset on.

    Without an equity in the event, it keeps its previous base.
    """
    match event.name, event.equity:
        case BreakerName.DRAWDOWN, Decimal() as equity:
            portfolio.risk_high = equity
        case BreakerName.DAILY_LOSS, Decimal() as equity:
            portfolio.day_start = equity
        case BreakerName.LOSS_STREAK, _:
            portfolio.loss_streak = 0
        case BreakerName.VOLATILITY_SHOCK, _:
            portfolio.shock_reset_at = event.slot


def _fold_closing(portfolio: Portfolio, closing: Closing) -> None:
    holding = _open_holding(portfolio, closing.position_id)
    token_id = holding.position.token_id
    memory = portfolio.memory_of(token_id)
    portfolio.memory[token_id] = amend(
        memory,
        closed=memory.closed + 1,
        last=closing,
        last_signal=holding.position.signal_id,
        last_ordinal=holding.position.order_ordinal,
        loss_at=closing.closed_at if closing.profit < ZERO else memory.loss_at,
    )
    del portfolio.holdings[token_id]
    portfolio.loss_streak = portfolio.loss_streak + 1 if closing.profit < ZERO else 0


# Every kind of fact, with what it changes.
FOLDS: Mapping[type[Fact], Callable[[Portfolio, Any], None]] = MappingProxyType(
    {
        Candidate: _fold_candidate,
        Verdict: only_explain,
        CandidateLevel: only_explain,
        Order: _fold_order,
        OrderEvent: _fold_order_event,
        Position: _fold_position,
        Fill: _fold_fill,
        JournalEntry: _fold_entry,
        StopMove: _fold_stop_move,
        Mark: _fold_mark,
        Closing: _fold_closing,
        BenchmarkPart: _part_bought,
        EquityMark: _equity,
        RunEvent: _fold_event,
    }
)
