"""The fold from facts to a portfolio: the only way an account changes, in a cycle and at a restart alike."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from types import MappingProxyType
from typing import Any, TypeVar

from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import Candidate, EquityMark, Fact
from bot.domain.events import Act, EventKind, EventState, RunEvent
from bot.domain.ids import OrderId, PositionId, TokenId
from bot.domain.numbers import EXACT, ZERO, Quantity
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role, check_transition
from bot.domain.portfolio import Holding, LiveOrder, Portfolio, TokenMemory, Tripped
from bot.domain.positions import Closing, Mark, Position, StopMove
from bot.engine.rules import BreakerName

K = TypeVar("K")
V = TypeVar("V")

FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED})


def fold(portfolio: Portfolio, facts: Iterable[Fact]) -> Portfolio:
    """Apply facts in the order they happened."""
    with localcontext(EXACT):
        for fact in facts:
            portfolio = apply_fact(portfolio, fact)
    return portfolio


def apply_fact(portfolio: Portfolio, fact: Fact) -> Portfolio:
    """Return the portfolio after one fact, under EXACT; facts that only explain leave it as it is."""
    folded = _FOLDS.get(type(fact))
    return portfolio if folded is None else folded(portfolio, fact)


def _with(mapping: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return {**mapping, key: value}


def _remember(portfolio: Portfolio, token_id: TokenId, memory: TokenMemory) -> Portfolio:
    return replace(portfolio, memory=_with(portfolio.memory, token_id, memory))


def _judged(portfolio: Portfolio, candidate: Candidate) -> Portfolio:
    if not candidate.complete:
        return portfolio
    memory = portfolio.remembered(candidate.token_id)
    judged = (candidate.signal_id, memory.entries(candidate.signal_id))
    return _remember(portfolio, candidate.token_id, replace(memory, judged=judged))


def _born(portfolio: Portfolio, order: Order) -> Portfolio:
    live = LiveOrder(order=order, state=None)
    portfolio = replace(portfolio, orders=_with(portfolio.orders, order.order_id, live))
    if order.role is not Role.ENTRY:
        return portfolio
    memory = portfolio.remembered(order.token_id)
    others = tuple(pair for pair in memory.acted if pair[0] != order.signal_id)
    acted = (*others, (order.signal_id, order.ordinal + 1))
    return _remember(portfolio, order.token_id, replace(memory, acted=acted))


def _moved(portfolio: Portfolio, event: OrderEvent) -> Portfolio:
    live = portfolio.orders.get(event.order_id)
    check_transition(event.order_id, live.state if live else None, event.state)
    if live is None or event.state in FINAL:
        orders: Mapping[OrderId, LiveOrder] = {
            key: other for key, other in portfolio.orders.items() if key != event.order_id
        }
    else:
        orders = _with(portfolio.orders, event.order_id, replace(live, state=event.state))
    return replace(portfolio, orders=orders)


def _opened(portfolio: Portfolio, position: Position) -> Portfolio:
    holding = Holding(
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
    return _hold(portfolio, holding)


def _hold(portfolio: Portfolio, holding: Holding) -> Portfolio:
    return replace(portfolio, holdings=_with(portfolio.holdings, holding.position.token_id, holding))


def _filled(portfolio: Portfolio, fill: Fill) -> Portfolio:
    if fill.role is Role.ENTRY:
        return portfolio
    holding = portfolio.holdings[fill.token_id]
    return _hold(portfolio, replace(holding, quantity=Quantity(holding.quantity - fill.quantity)))


def _posted(portfolio: Portfolio, entry: JournalEntry) -> Portfolio:
    change = _posted_to(entry, Account.CASH)
    portfolio = replace(portfolio, cash=portfolio.cash + change)
    if entry.position_id is None:
        return portfolio
    holding = _held(portfolio, entry.position_id)
    grown = holding.sign * _posted_to(entry, Account.POSITION)
    cash, cost = holding.cash + change, holding.cost + grown
    return _hold(
        portfolio,
        replace(
            holding,
            cash=cash,
            cost=cost,
            booked=cash + holding.sign * cost if grown < ZERO else holding.booked,
            borrowed_at=entry.at if not grown else holding.borrowed_at,
        ),
    )


def _posted_to(entry: JournalEntry, account: Account) -> Decimal:
    return sum((leg.amount for leg in entry.postings if leg.account is account), ZERO)


def _held(portfolio: Portfolio, position_id: PositionId) -> Holding:
    """Find an open position; a fact about one that is not open is a contradiction, and crashes."""
    return next(held for held in portfolio.holdings.values() if held.position.position_id == position_id)


def _marked(portfolio: Portfolio, mark: Mark) -> Portfolio:
    holding = _held(portfolio, mark.position_id)
    return _hold(portfolio, replace(holding, price=mark.price, low=mark.low, high=mark.high))


def _stop_moved(portfolio: Portfolio, move: StopMove) -> Portfolio:
    holding = _held(portfolio, move.position_id)
    moved = replace(holding, stop=move.price, moves=(*holding.moves, move))
    return _hold(portfolio, moved)


def _equity(portfolio: Portfolio, mark: EquityMark) -> Portfolio:
    before = portfolio.marked
    day_start = portfolio.day_start
    if before is None:
        day_start = mark.equity
    elif before[0].date() != mark.slot.date():
        day_start = before[1]
    return replace(
        portfolio,
        high_water_mark=mark.high_water_mark,
        marked=(mark.slot, mark.equity),
        day_start=day_start,
        risk_high=max(portfolio.risk_high, mark.equity),
    )


def _happened(portfolio: Portfolio, event: RunEvent) -> Portfolio:
    if event.kind is EventKind.OPERATOR and event.name in {Act.PAUSE, Act.RESUME}:
        return replace(portfolio, paused=event.name == Act.PAUSE)
    if event.kind is EventKind.HOOK and event.token_id is not None:
        return replace(portfolio, told=_with(portfolio.told, event.token_id, event.notice))
    if event.kind is not EventKind.BREAKER:
        return portfolio
    if event.state is EventState.TRIPPED:
        return replace(portfolio, breakers=_with(portfolio.breakers, event.name, Tripped(event.slot, event.until)))
    others = {name: tripped for name, tripped in portfolio.breakers.items() if name != event.name}
    return _armed_again(replace(portfolio, breakers=others), event)


def _armed_again(portfolio: Portfolio, event: RunEvent) -> Portfolio:
    """Let a breaker that was reset measure from its reset on; without an equity it keeps what it measured from."""
    match event.name, event.equity:
        case BreakerName.DRAWDOWN, Decimal() as equity:
            return replace(portfolio, risk_high=equity)
        case BreakerName.DAILY_LOSS, Decimal() as equity:
            return replace(portfolio, day_start=equity)
        case BreakerName.LOSS_STREAK, _:
            return replace(portfolio, loss_streak=0)
        case BreakerName.VOLATILITY_SHOCK, _:
            return replace(portfolio, shock_reset_at=event.slot)
        case _:
            return portfolio


def _closed(portfolio: Portfolio, closing: Closing) -> Portfolio:
    holding = _held(portfolio, closing.position_id)
    token_id = holding.position.token_id
    memory = portfolio.remembered(token_id)
    memory = replace(
        memory,
        closed=memory.closed + 1,
        last=closing,
        last_signal=holding.position.signal_id,
        last_ordinal=holding.position.order_ordinal,
        loss_at=closing.closed_at if closing.profit < ZERO else memory.loss_at,
    )
    rest = {key: other for key, other in portfolio.holdings.items() if key != token_id}
    streak = portfolio.loss_streak + 1 if closing.profit < ZERO else 0
    return _remember(replace(portfolio, holdings=rest, loss_streak=streak), token_id, memory)


_FOLDS: Mapping[type[Fact], Callable[[Portfolio, Any], Portfolio]] = MappingProxyType(
    {
        Candidate: _judged,
        Order: _born,
        OrderEvent: _moved,
        Position: _opened,
        Fill: _filled,
        JournalEntry: _posted,
        StopMove: _stop_moved,
        Mark: _marked,
        Closing: _closed,
        EquityMark: _equity,
        RunEvent: _happened,
    }
)
