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
from bot.domain.ids import OrderId, TokenId
from bot.domain.market import Bar
from bot.domain.numbers import ZERO, Price, Quantity, floor_to_step
from bot.domain.orders import Order, OrderState, Role
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason
from bot.domain.snapshot import TokenView
from bot.engine.account import liquidation_price
from bot.engine.entries import fill_entry
from bot.engine.exits import accept_exit, time_stop_at, waiting_exit
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
from bot.engine.rules import ExitRule, Rules, SameBar, TargetFill, TargetGap
from bot.engine.stops import follow_bar, live_stop


class Stop(NamedTuple):
    """A stop that applies to a bar: its order, its price, and the exit reason when it is hit.

    order: None for the liquidation of a short, which gets its order when hit and pays this price.
    """

    order: Order | None
    price: Price
    reason: ExitReason

    def price_after_costs(self, holding: Holding, rules: Rules) -> Price:
        """Compute what a hit of it pays, costs included."""
        return self.price if self.order is None else exit_price(Role.STOP, self.price, holding.position, rules)


def settle_prints(
    journal: Journal, views: Mapping[TokenId, TokenView], granted: Mapping[OrderId, TokenView], rules: Rules
) -> None:
    """Settle every new bar and quote against the orders and positions of its token.

    A quiet bar touches none of them. A position whose token has been silent for too long is closed
    before any later print of any token, so that universe and slots do not change the trade.
    """
    traded = last_active_price(views)
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
        close_silent(journal, traded, opened_at, rules)
        charge_begun_days(journal, dict.fromkeys(dict(prints), opened_at), rules)
        for token_id, bar in prints:
            _exit_at_open(journal, token_id, bar, views[token_id], rules)
        _enter_at_open(journal, dict(prints), opened_at, views, granted, rules)
        for token_id in dict(prints):
            _put_closes_back(journal, left, token_id, views[token_id], opened_at)
        for token_id, bar in prints:
            _exit_inside(journal, token_id, bar, views[token_id], rules)
            follow_bar(journal, token_id, bar, views[token_id], rules)
            if token_id in journal.portfolio.holdings:
                traded[token_id] = max(traded.get(token_id, NEVER_TRADED), (bar.closed_at, bar.close))
    close_silent(journal, traded, journal.slot, rules)
    charge_begun_days(journal, {token_id: closed_at for token_id, (closed_at, _) in traded.items()}, rules)


def expire(journal: Journal) -> None:
    """End the entries that found no price in time."""
    for order in journal.portfolio.waiting(Role.ENTRY):
        if journal.slot - order.slot >= ENTRY_WAIT:
            drop_entry(journal, order, OrderState.EXPIRED, Reason.EXPIRED)


def _put_closes_back(
    journal: Journal, left: PendingPrints, token_id: TokenId, view: TokenView, opened_at: datetime
) -> None:
    """Put back, for a position just opened, the closes of bars that had opened before it."""
    holding = journal.portfolio.holdings.get(token_id)
    if holding is not None and holding.position.opened_at == opened_at:
        for bar in view.prints:
            if bar.opened_at < opened_at and (lived := after_fill(holding.position, bar)) is not None:
                left.put(token_id, lived)


def _exit_at_open(journal: Journal, token_id: TokenId, bar: Bar, view: TokenView, rules: Rules) -> None:
    holding = journal.portfolio.holdings.get(token_id)
    if holding is None:
        return
    liquidation = None if holding.sign > 0 else _liquidation(holding, rules)
    if liquidation is not None and bar.open >= liquidation.price:
        _fill_stop(journal, holding, liquidation, bar.opened_at, rules)
        return
    market, due = waiting_exit(journal, holding), time_stop_at(holding.position, rules)
    if market is not None and bar.opened_at >= _fillable_from(market):
        reason = ExitReason(market.reason or ExitReason.SIGNAL_FLIPPED)
        fill_exit(journal, market, bar.open, bar.opened_at, reason, rules)
        return
    if due is not None and bar.opened_at >= due:
        resting = market or accept_exit(journal, holding, bar.open, ExitReason.TIME_STOP)
        fill_exit(journal, resting, bar.open, bar.opened_at, ExitReason.TIME_STOP, rules)
        return
    stop = _stop_for(journal, holding, bar, rules)
    if stop is not None and stop.order is not None and holding.sign * (bar.open - stop.price) <= ZERO:
        fill_exit(journal, stop.order, bar.open, bar.opened_at, stop.reason, rules)
        return
    gapped = [
        order for order in _targets(journal, holding, rules) if _is_reached(holding, order, bar.open, rules)
    ]
    for order in gapped:
        raw = bar.open if rules.fills.target_gap is TargetGap.OPEN else order.price
        _fill_target(journal, order, raw, bar.opened_at, view, rules)


def _fillable_from(order: Order) -> datetime:
    """Find the earliest instant of a fill: the order's slot or, if later, its cycle's cut-off."""
    return max(order.slot, order.cut_off or order.slot)


def _enter_at_open(
    journal: Journal,
    prints: Mapping[TokenId, Bar],
    at: datetime,
    views: Mapping[TokenId, TokenView],
    granted: Mapping[OrderId, TokenView],
    rules: Rules,
) -> None:
    for order in journal.portfolio.waiting(Role.ENTRY):
        bar = prints.get(order.token_id)
        if bar is not None and _fillable_from(order) <= at < order.slot + ENTRY_WAIT:
            fill_entry(journal, order, bar.open, at, views, granted.get(order.order_id), rules)


def _exit_inside(journal: Journal, token_id: TokenId, bar: Bar, view: TokenView, rules: Rules) -> None:
    holding = journal.portfolio.holdings.get(token_id)
    if holding is None:
        return
    worst, best = holding.position.side.worst_and_best(bar.low, bar.high)
    stop = _stop_for(journal, holding, bar, rules)
    if stop is not None and holding.sign * (worst - stop.price) > ZERO:
        stop = None
    reached = [order for order in _targets(journal, holding, rules) if _is_reached(holding, order, best, rules)]
    if stop is not None and reached and _decide_inside(journal, stop, reached, bar, view, rules):
        return
    if stop is None and not reached:
        _live_on(journal, stretch(holding, bar.low, bar.high))
    elif stop is not None and (not reached or rules.fills.same_bar is not SameBar.TARGET_FIRST):
        # Before a stop the price was no worse than the stop.
        _live_on(journal, stretch(holding, bar.open))
        otherwise = _optimistic_cash(holding, reached, stop, view, rules) if reached else None
        _fill_stop(journal, holding, stop, bar.opened_at, rules, otherwise)
    else:
        # Before a target the price may have been at the bar's worst.
        _live_on(journal, stretch(holding, bar.open) if stop else stretch(holding, bar.open, worst))
        _exit_at_targets(journal, reached, stop, bar, view, rules)


def _decide_inside(
    journal: Journal, stop: Stop, reached: Sequence[Order], bar: Bar, view: TokenView, rules: Rules
) -> bool:
    """Let finer bars decide a bar that reaches stop and targets; False when they do not fit it."""
    inside = [one for one in bars_inside(view, bar) if not one.is_quiet]
    if not inside:
        return False
    holding, opened = journal.portfolio.holdings[view.instrument.token_id], inside[0].open
    worst, best = holding.position.side.worst_and_best(*extremes(inside))
    between = holding.sign * (opened - stop.price) > ZERO > holding.sign * (opened - reached[0].price)
    touched = holding.sign * (worst - stop.price) <= ZERO and _is_reached(holding, reached[-1], best, rules)
    if not (between and touched):
        return False
    asked = Journal(journal.portfolio, journal.slot, journal.cut_off)
    for one in inside:
        _exit_at_open(asked, view.instrument.token_id, one, view, rules)
        _exit_inside(asked, view.instrument.token_id, one, replace(view, finer=()), rules)
    journal.write(*name_timeframe(inside[0], asked.facts))
    return True


def _is_reached(holding: Holding, order: Order, best: Price, rules: Rules) -> bool:
    beyond = holding.sign * (best - order.price)
    return beyond > ZERO if rules.fills.target_fill is TargetFill.THROUGH else beyond >= ZERO


def _exit_at_targets(
    journal: Journal, reached: Sequence[Order], stop: Stop | None, bar: Bar, view: TokenView, rules: Rules
) -> None:
    """Fill the targets that a bar reached; a stop that it also reached then takes the rest."""
    token_id = view.instrument.token_id
    before = journal.portfolio.holdings[token_id]
    otherwise = None
    if stop is not None:
        otherwise = before.cash + exit_cash(
            before, stop.price_after_costs(before, rules), before.quantity, rules
        )
    for order in reached:
        _fill_target(journal, order, order.price, bar.opened_at, view, rules, otherwise)
    holding = journal.portfolio.holdings.get(token_id)
    if holding is None:
        return
    if stop is None:
        _live_on(journal, stretch(holding, bar.low, bar.high))
    else:
        _fill_stop(journal, holding, stop, bar.opened_at, rules, otherwise)


def _fill_stop(
    journal: Journal, holding: Holding, stop: Stop, at: datetime, rules: Rules, otherwise: Decimal | None = None
) -> None:
    """Exit at a stop's own price; a liquidation is accepted and filled at once."""
    order = (
        stop.order or waiting_exit(journal, holding) or accept_exit(journal, holding, stop.price, stop.reason)
    )
    paid = stop.price_after_costs(holding, rules)
    fill_exit(journal, order, stop.price, at, stop.reason, rules, paid=paid, cash_otherwise=otherwise)


def _fill_target(
    journal: Journal,
    order: Order,
    raw: Price,
    at: datetime,
    view: TokenView,
    rules: Rules,
    otherwise: Decimal | None = None,
) -> None:
    holding = journal.portfolio.holdings.get(order.token_id)
    quantity = _part_of(holding, order, view) if holding else ZERO
    if holding is None or quantity <= ZERO:
        return
    closes = quantity == holding.quantity
    fill_exit(
        journal,
        order,
        raw,
        at,
        ExitReason.TARGET_HIT,
        rules,
        quantity=Quantity(quantity),
        cash_otherwise=otherwise if closes else None,
    )


def _part_of(holding: Holding, order: Order, view: TokenView) -> Decimal:
    """Compute what a target takes: its share of the initial quantity, at most the rest."""
    if order.share is None:
        return holding.quantity
    share = floor_to_step(holding.position.quantity * order.share, view.instrument.quantity_step)
    return min(share, holding.quantity)


def _optimistic_cash(
    holding: Holding, reached: Sequence[Order], stop: Stop, view: TokenView, rules: Rules
) -> Decimal:
    """Compute a position's cash if its bar reached the targets first and the stop after them."""
    cash, left = holding.cash, holding.quantity
    for order in reached:
        part = _part_of(replace(holding, quantity=left), order, view)
        cash += exit_cash(holding, exit_price(Role.TARGET, order.price, holding.position, rules), part, rules)
        left = Quantity(left - part)
    return cash + exit_cash(holding, stop.price_after_costs(holding, rules), left, rules)


def _live_on(journal: Journal, holding: Holding) -> None:
    """Store the extremes of a position after a bar; the mark of the slot makes them a fact."""
    journal.portfolio.holdings[holding.position.token_id] = holding


def _stop_for(journal: Journal, holding: Holding, bar: Bar, rules: Rules) -> Stop | None:
    """Choose the stop that the price reaches first: the position's own or a short's liquidation."""
    own = _own_stop(journal, holding, bar, rules)
    liquidation = None if holding.sign > 0 else _liquidation(holding, rules)
    if own is None or liquidation is None:
        return own or liquidation
    return own if own.price <= liquidation.price else liquidation


def _liquidation(holding: Holding, rules: Rules) -> Stop | None:
    """Build the stop of a short whose margin is used up; covering costs exactly its price."""
    price = liquidation_price(holding.position, rules)
    return None if price is None else Stop(None, price, ExitReason.LIQUIDATED)


def _own_stop(journal: Journal, holding: Holding, bar: Bar, rules: Rules) -> Stop | None:
    """Find the stop order for a bar; a move made after the bar opened does not count yet."""
    order, stood = live_stop(journal, holding), None
    if holding.moves:
        stood = next((move for move in reversed(holding.moves) if move.moved_at <= bar.opened_at), None)
    price = holding.position.stop_initial if stood is None else stood.price
    reason = ExitReason.STOP_HIT if stood is None else stood.reason
    if order is None or price is None:
        return None
    if reason is ExitReason.STOP_HIT and ExitRule.STOP_HIT not in rules.exits.rules:
        return None
    return Stop(order, price, reason)


def _targets(journal: Journal, holding: Holding, rules: Rules) -> list[Order]:
    """List the live targets of a position, nearest first, when their exit rule is on."""
    if ExitRule.TARGET_HIT not in rules.exits.rules:
        return []
    live = journal.portfolio.orders_of(holding.position.position_id)
    found = [order for order in live if order.role is Role.TARGET]
    return (
        sorted(found, key=lambda order: (holding.sign * order.price, order.part or 0))
        if len(found) > 1
        else found
    )
