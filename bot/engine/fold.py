"""The fold from facts to a portfolio: the only way an account changes, in a cycle and at a restart alike."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import localcontext
from typing import TypeVar

from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import Candidate, EquityMark, Fact
from bot.domain.ids import OrderId, PositionId, TokenId
from bot.domain.numbers import EXACT, ZERO, Quantity, micro_half_even
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role, check_transition
from bot.domain.portfolio import Holding, LiveOrder, Portfolio, TokenMemory
from bot.domain.positions import Closing, Mark, Position

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
    match fact:
        case Candidate():
            return _judged(portfolio, fact)
        case Order():
            return _born(portfolio, fact)
        case OrderEvent():
            return _moved(portfolio, fact)
        case Position():
            return _opened(portfolio, fact)
        case Fill():
            return _filled(portfolio, fact)
        case JournalEntry():
            return _posted(portfolio, fact)
        case Mark():
            return _marked(portfolio, fact)
        case Closing():
            return _closed(portfolio, fact)
        case EquityMark():
            return replace(portfolio, high_water_mark=fact.high_water_mark)
        case _:
            return portfolio


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
        cost=micro_half_even(position.quantity * position.entry_price),
        cash=ZERO,
        low=position.entry_price,
        high=position.entry_price,
    )
    return replace(portfolio, holdings=_with(portfolio.holdings, position.token_id, holding))


def _filled(portfolio: Portfolio, fill: Fill) -> Portfolio:
    if fill.role is Role.ENTRY:
        return portfolio
    holding = portfolio.holdings[fill.token_id]
    left = replace(holding, quantity=Quantity(holding.quantity - fill.quantity))
    return replace(portfolio, holdings=_with(portfolio.holdings, fill.token_id, left))


def _posted(portfolio: Portfolio, entry: JournalEntry) -> Portfolio:
    change = sum((leg.amount for leg in entry.postings if leg.account is Account.CASH), ZERO)
    portfolio = replace(portfolio, cash=portfolio.cash + change)
    if entry.position_id is None:
        return portfolio
    token_id, holding = _held(portfolio, entry.position_id)
    paid = replace(holding, cash=holding.cash + change)
    return replace(portfolio, holdings=_with(portfolio.holdings, token_id, paid))


def _held(portfolio: Portfolio, position_id: PositionId) -> tuple[TokenId, Holding]:
    """Find an open position; a fact about one that is not open is a contradiction, and crashes."""
    return next(pair for pair in portfolio.holdings.items() if pair[1].position.position_id == position_id)


def _marked(portfolio: Portfolio, mark: Mark) -> Portfolio:
    token_id, holding = _held(portfolio, mark.position_id)
    seen = replace(holding, low=mark.low, high=mark.high)
    return replace(portfolio, holdings=_with(portfolio.holdings, token_id, seen))


def _closed(portfolio: Portfolio, closing: Closing) -> Portfolio:
    token_id, holding = _held(portfolio, closing.position_id)
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
    return _remember(replace(portfolio, holdings=rest), token_id, memory)
