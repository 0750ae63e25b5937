"""Settlement of closed bars and quotes, in order of opening, against positions and orders.

At one opening exits go before entries, entries go in the order accepted, and what happens inside
the bars comes last. Whatever a bar leaves open is resolved against us.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from bot.domain.decisions import Reason
from bot.domain.ids import TokenId
from bot.domain.market import Bar
from bot.domain.numbers import ZERO, Price, Quantity, floor_to_step
from bot.domain.orders import Order, OrderState, Role
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason
from bot.engine.account import liquidation_price
from bot.engine.entries import fill_entry
from bot.engine.exits import accept_exit, time_stop_at
from bot.engine.fills import (
    ENTRY_WAIT,
    after_fill,
    charge_begun_days,
    drop_entry,
    exit_cash,
    exit_price,
    fill_exit,
    stretch,
)
from bot.engine.finer import bars_inside, extremes, name_timeframe
from bot.engine.halts import NEVER_TRADED, close_silent, last_active_price
from bot.engine.journal import Journal
from bot.engine.pending_prints import PendingPrints
from bot.engine.rules import ExitRule, SameBar, TargetFill, TargetGap
from bot.engine.stops import follow_bar


class Stop(NamedTuple):
    """A stop that applies to a bar: its order, its price, and the exit reason when it is hit.

    order: None for the liquidation of a short, which gets its order when hit and pays this price.
    """

    order: Order | None
    price: Price
    reason: ExitReason


def settle_prints(journal: Journal) -> None:
    """Settle every new bar and quote against the orders and positions of its token.

    A quiet bar touches none of them. A position whose token has been silent for too long is closed
    before any later print of any token, so that universe and slots do not change the trade.
    """
    views, traded = journal.views, last_active_price(journal.views)
    left = PendingPrints((token_id, bar) for token_id, view in views.items() for bar in view.prints)
    while left:
        prints, opened_at = [], left.next_opening
        for token_id, bar in left.take(opened_at):
            holding = journal.portfolio.holdings.get(token_id)
            # A position that was opened inside the bar lived only through a later part of it.
            part = after_fill(holding.position, bar) if holding else bar
            if part is not None and part.opened_at > opened_at:
                left.put(token_id, part)
            elif part is not None and not bar.is_quiet:
                prints.append((token_id, bar))
        close_silent(journal, traded, opened_at)
        charge_begun_days(journal, dict.fromkeys(dict(prints), opened_at))
        for token_id, bar in prints:
            _exit_at_open(journal, token_id, bar)
        _enter_at_open(journal, dict(prints), opened_at)
        for token_id in dict(prints):
            _put_closes_back(journal, left, token_id, opened_at)
        for token_id, bar in prints:
            _exit_inside(journal, token_id, bar)
            follow_bar(journal, token_id, bar)
            if token_id in journal.portfolio.holdings:
                before = traded.get(token_id, NEVER_TRADED)
                traded[token_id] = max(before, (bar.closed_at, bar.close))
    close_silent(journal, traded, journal.slot)
    charge_begun_days(journal, {token_id: closed_at for token_id, (closed_at, _) in traded.items()})


def expire(journal: Journal) -> None:
    """End the entries that found no price in time."""
    for order in journal.portfolio.waiting(Role.ENTRY):
        if journal.slot - order.slot >= ENTRY_WAIT:
            drop_entry(journal, order, OrderState.EXPIRED, Reason.EXPIRED)


def _put_closes_back(journal: Journal, left: PendingPrints, of: TokenId, at: datetime) -> None:
    """Put back, for a position just opened, the closes of bars that had opened before it."""
    holding = journal.portfolio.holdings.get(of)
    if holding is not None and holding.position.opened_at == at:
        for bar in journal.views[of].prints:
            lived = after_fill(holding.position, bar) if bar.opened_at < at else None
            if lived is not None:
                left.put(of, lived)


def _exit_at_open(journal: Journal, token_id: TokenId, bar: Bar) -> None:
    holding, at = journal.portfolio.holdings.get(token_id), bar.opened_at
    if holding is None:
        return
    liquidation = None if holding.sign > 0 else _liquidation(journal, holding)
    market = journal.portfolio.order_of(holding, Role.EXIT)
    due, stop = time_stop_at(holding.position, journal.rules), _own_stop(journal, holding, bar)
    if liquidation is not None and bar.open >= liquidation.price:
        _fill_stop(journal, holding, liquidation, at)
    elif market is not None and at >= _fillable_from(market):
        reason = ExitReason(market.reason or ExitReason.SIGNAL_FLIPPED)
        fill_exit(journal, market, bar.open, at, reason)
    elif due is not None and at >= due:
        resting = market or accept_exit(journal, holding, bar.open, ExitReason.TIME_STOP)
        fill_exit(journal, resting, bar.open, at, ExitReason.TIME_STOP)
    elif stop is not None and stop.order and holding.sign * (bar.open - stop.price) <= ZERO:
        fill_exit(journal, stop.order, bar.open, at, stop.reason)
    else:
        for order in _reached_targets(journal, holding, bar.open):
            raw = bar.open if journal.rules.fills.target_gap is TargetGap.OPEN else order.price
            _fill_target(journal, order, raw, at)


def _fillable_from(order: Order) -> datetime:
    """Find the earliest instant of a fill: the order's slot or, if later, its cycle's cut-off."""
    return max(order.slot, order.cut_off or order.slot)


def _enter_at_open(journal: Journal, prints: Mapping[TokenId, Bar], at: datetime) -> None:
    for order in journal.portfolio.waiting(Role.ENTRY):
        bar = prints.get(order.token_id)
        if bar is not None and _fillable_from(order) <= at < order.slot + ENTRY_WAIT:
            fill_entry(journal, order, bar.open, at)


def _exit_inside(journal: Journal, token_id: TokenId, bar: Bar) -> None:
    holding = journal.portfolio.holdings.get(token_id)
    if holding is None:
        return
    worst, best = holding.position.side.worst_and_best(bar.low, bar.high)
    stop, reached = _stop_for(journal, holding, bar), _reached_targets(journal, holding, best)
    if stop is not None and holding.sign * (worst - stop.price) > ZERO:
        stop = None
    if stop is not None and reached and _decide_inside(journal, stop, reached, bar):
        return
    stop_first = not reached or journal.rules.fills.same_bar is not SameBar.TARGET_FIRST
    if stop is None and not reached:
        _live_on(journal, stretch(holding, bar.low, bar.high))
    elif stop is not None and stop_first:
        # Before a stop the price was no worse than the stop.
        _live_on(journal, stretch(holding, bar.open))
        otherwise = _cash_after(journal, holding, reached, stop) if reached else None
        _fill_stop(journal, holding, stop, bar.opened_at, otherwise)
    else:
        # Before a target the price may have been at the bar's worst.
        _live_on(journal, stretch(holding, bar.open) if stop else stretch(holding, bar.open, worst))
        _exit_at_targets(journal, token_id, reached, stop, bar)


def _decide_inside(journal: Journal, stop: Stop, reached: Sequence[Order], bar: Bar) -> bool:
    """Let finer bars decide a bar that reaches stop and targets; False when they do not fit it."""
    token_id = reached[0].token_id
    holding, view = journal.portfolio.holdings[token_id], journal.views[token_id]
    inside = [one for one in bars_inside(view, bar) if not one.is_quiet]
    if not inside:
        return False
    sign, opened = holding.sign, inside[0].open
    worst, best = holding.position.side.worst_and_best(*extremes(inside))
    between = sign * stop.price < sign * opened < sign * reached[0].price
    touched = sign * (worst - stop.price) <= ZERO
    if not (between and touched and _reached_targets(journal, holding, best) == reached):
        return False
    tokens = {**journal.views, token_id: replace(view, finer=())}
    asked = Journal(journal.portfolio, replace(journal.snapshot, tokens=tokens), journal.rules)
    for one in inside:
        _exit_at_open(asked, token_id, one)
        _exit_inside(asked, token_id, one)
    journal.write(*name_timeframe(inside[0], asked.facts))
    return True


def _exit_at_targets(
    journal: Journal, token_id: TokenId, reached: Sequence[Order], stop: Stop | None, bar: Bar
) -> None:
    """Fill the targets that a bar reached; a stop that it also reached then takes the rest."""
    holdings = journal.portfolio.holdings
    otherwise = None if stop is None else _cash_after(journal, holdings[token_id], (), stop)
    for order in reached:
        _fill_target(journal, order, order.price, bar.opened_at, otherwise)
    if token_id not in holdings:
        return
    if stop is None:
        _live_on(journal, stretch(holdings[token_id], bar.low, bar.high))
    else:
        _fill_stop(journal, holdings[token_id], stop, bar.opened_at, otherwise)


def _fill_stop(
    journal: Journal, holding: Holding, stop: Stop, at: datetime, otherwise: Decimal | None = None
) -> None:
    """Exit at a stop's own price; a liquidation is accepted and filled at once."""
    order = stop.order or journal.portfolio.order_of(holding, Role.EXIT)
    order = order or accept_exit(journal, holding, stop.price, stop.reason)
    fill_exit(journal, order, stop.price, at, stop.reason, cash_otherwise=otherwise)


def _fill_target(
    journal: Journal, order: Order, raw: Price, at: datetime, otherwise: Decimal | None = None
) -> None:
    holding = journal.portfolio.holdings.get(order.token_id)
    if holding is None or (quantity := _part_of(journal, holding, order)) <= ZERO:
        return
    other, reason = otherwise if quantity == holding.quantity else None, ExitReason.TARGET_HIT
    fill_exit(journal, order, raw, at, reason, quantity=quantity, cash_otherwise=other)


def _part_of(journal: Journal, holding: Holding, order: Order) -> Quantity:
    """Compute what a target takes: its share of the initial quantity, at most the rest."""
    if order.share is None:
        return holding.quantity
    step = journal.views[order.token_id].instrument.quantity_step
    share = floor_to_step(holding.position.quantity * order.share, step)
    return min(Quantity(share), holding.quantity)


def _cash_after(journal: Journal, holding: Holding, hit: Sequence[Order], stop: Stop) -> Decimal:
    """Compute a position's cash if its bar reached these targets first and the stop after them."""
    position, rules = holding.position, journal.rules
    cash, left = holding.cash, holding.quantity
    for order in hit:
        part = _part_of(journal, replace(holding, quantity=left), order)
        paid = exit_price(ExitReason.TARGET_HIT, order.price, position, rules)
        cash += exit_cash(holding, paid, part, rules)
        left = Quantity(left - part)
    paid = exit_price(stop.reason, stop.price, position, rules)
    return cash + exit_cash(holding, paid, left, rules)


def _live_on(journal: Journal, holding: Holding) -> None:
    """Store the extremes of a position after a bar; the mark of the slot makes them a fact."""
    journal.portfolio.holdings[holding.position.token_id] = holding


def _stop_for(journal: Journal, holding: Holding, bar: Bar) -> Stop | None:
    """Choose the stop that the price reaches first: the position's own or a short's liquidation."""
    own = _own_stop(journal, holding, bar)
    liquidation = None if holding.sign > 0 else _liquidation(journal, holding)
    if own is None or liquidation is None:
        return own or liquidation
    return own if own.price <= liquidation.price else liquidation


def _liquidation(journal: Journal, holding: Holding) -> Stop | None:
    """Build the stop of a short whose margin is used up; covering costs exactly its price."""
    price = liquidation_price(holding.position, journal.rules)
    return None if price is None else Stop(None, price, ExitReason.LIQUIDATED)


def _own_stop(journal: Journal, holding: Holding, bar: Bar) -> Stop | None:
    """Find the stop order for a bar; a move made after the bar opened does not count yet."""
    order, at = journal.portfolio.order_of(holding, Role.STOP), bar.opened_at
    moves = reversed(holding.moves)
    stood = next((one for one in moves if one.moved_at <= at), None) if holding.moves else None
    price, reason = holding.position.stop_initial, ExitReason.STOP_HIT
    if stood is not None:
        price, reason = stood.price, stood.reason
    is_off = reason is ExitReason.STOP_HIT and ExitRule.STOP_HIT not in journal.rules.exits.rules
    return None if order is None or price is None or is_off else Stop(order, price, reason)


def _reached_targets(journal: Journal, holding: Holding, best: Price) -> list[Order]:
    """List the live targets that a price reaches, nearest first, when their exit rule is on."""
    if ExitRule.TARGET_HIT not in journal.rules.exits.rules:
        return []
    sign, touch = holding.sign, journal.rules.fills.target_fill is TargetFill.TOUCH
    found = [
        order
        for order in journal.portfolio.orders_of(holding.position.position_id)
        if order.role is Role.TARGET
        if (beyond := sign * (best - order.price)) > ZERO or (touch and not beyond)
    ]
    return sorted(found, key=lambda order: (sign * order.price, order.part or 0))
