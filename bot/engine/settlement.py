"""Settlement: closed bars and quotes, in order of opening, against open positions and waiting orders.

At one opening exits go before entries, entries in the order granted, and what happens inside the bars comes after all
of them. What a bar leaves open is resolved against us.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from bot.domain.decisions import Reason
from bot.domain.ids import TokenId
from bot.domain.market import Bar
from bot.domain.orders import Order, OrderState, Role
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason
from bot.domain.snapshot import TokenView
from bot.engine.exits import accept_exit, waiting_exit
from bot.engine.fills import ENTRY_WAIT, after_fill, drop_entry, fill_entry, fill_exit, stretch
from bot.engine.journal import Journal
from bot.engine.rules import ExitRule, Rules, SameBar, TargetFill, TargetGap

DELISTED_AFTER = timedelta(days=7)


def settle_prints(journal: Journal, views: Mapping[TokenId, TokenView], rules: Rules) -> None:
    """Let every print that was not settled yet meet the orders and positions it concerns."""
    for opened_at, together in groupby(_in_order(journal, views), key=lambda pair: pair[1].opened_at):
        prints = list(together)
        for token_id, bar in prints:
            _exit_at_open(journal, token_id, bar, rules)
        _enter_at_open(journal, dict(prints), opened_at, views, rules)
        for token_id, bar in prints:
            _exit_inside(journal, token_id, bar, rules)


def expire_and_delist(journal: Journal, views: Mapping[TokenId, TokenView], rules: Rules) -> None:
    """End entries that found no price in time, and positions whose token has none any more."""
    for order in journal.portfolio.waiting(Role.ENTRY):
        if journal.slot - order.slot >= ENTRY_WAIT:
            drop_entry(journal, order, OrderState.EXPIRED, Reason.EXPIRED)
    for token_id, holding in sorted(journal.portfolio.holdings.items()):
        view = views.get(token_id)
        if view is None or view.price is None or journal.slot - view.price.known_at < DELISTED_AFTER:
            continue
        order = waiting_exit(journal, holding) or accept_exit(journal, holding, view.price.price, ExitReason.DELISTED)
        fill_exit(journal, holding, order, view.price.price, journal.slot, ExitReason.DELISTED, rules)


def _in_order(journal: Journal, views: Mapping[TokenId, TokenView]) -> list[tuple[TokenId, Bar]]:
    """Return the prints of the tokens concerned, by opening, then by token."""
    found: list[tuple[TokenId, Bar]] = []
    for token_id, view in views.items():
        holding = journal.portfolio.holdings.get(token_id)
        for bar in view.prints:
            lived = after_fill(holding.position, bar) if holding else bar
            if lived is not None:
                found.append((token_id, lived))
    return sorted(found, key=lambda pair: (pair[1].opened_at, pair[0]))


def _exit_at_open(journal: Journal, token_id: TokenId, bar: Bar, rules: Rules) -> None:
    holding = journal.portfolio.holdings.get(token_id)
    if holding is None:
        return
    market = waiting_exit(journal, holding)
    if market is not None and bar.opened_at >= _fillable_from(journal, market):
        reason = ExitReason(market.reason or ExitReason.SIGNAL_FLIPPED)
        fill_exit(journal, holding, market, bar.open, bar.opened_at, reason, rules)
        return
    stop, target = _bracket(journal, holding, rules)
    if stop is not None and bar.open <= stop.price:
        fill_exit(journal, holding, stop, bar.open, bar.opened_at, ExitReason.STOP_HIT, rules)
    elif target is not None and bar.open >= target.price:
        raw = bar.open if rules.fills.target_gap is TargetGap.OPEN else target.price
        fill_exit(journal, holding, target, raw, bar.opened_at, ExitReason.TARGET_HIT, rules)


def _fillable_from(journal: Journal, order: Order) -> datetime:
    """Return the earliest price that an order can have: none from before the cut-off of the cycle that accepted it."""
    before = journal.portfolio
    if before.settled_slot != order.slot or before.settled_until is None:
        return order.slot
    return max(order.slot, before.settled_until)


def _enter_at_open(
    journal: Journal, prints: Mapping[TokenId, Bar], at: datetime, views: Mapping[TokenId, TokenView], rules: Rules
) -> None:
    for order in journal.portfolio.waiting(Role.ENTRY):
        bar = prints.get(order.token_id)
        if bar is not None and _fillable_from(journal, order) <= at < order.slot + ENTRY_WAIT:
            step = views[order.token_id].instrument.quantity_step
            fill_entry(journal, order, bar.open, at, rules, step)


def _exit_inside(journal: Journal, token_id: TokenId, bar: Bar, rules: Rules) -> None:
    holding = journal.portfolio.holdings.get(token_id)
    if holding is None:
        return
    stop, target = _bracket(journal, holding, rules)
    stopped = stop is not None and bar.low <= stop.price
    reached = target is not None and (
        bar.high > target.price if rules.fills.target_fill is TargetFill.THROUGH else bar.high >= target.price
    )
    stop_first = stopped and (not reached or rules.fills.same_bar is SameBar.STOP_FIRST)
    first, other = (stop, target) if stop_first else (target, stop)
    if first is None or not (stopped or reached):
        _live_on(journal, token_id, stretch(holding, bar.low, bar.high))
        return
    reason = ExitReason.STOP_HIT if first.role is Role.STOP else ExitReason.TARGET_HIT
    open_to = (other.role, other.price) if other is not None and stopped and reached else None
    # Before a target the bar may have been at its low; at a stop it was no lower than the stop.
    lived = stretch(holding, bar.open) if stopped else stretch(holding, bar.open, bar.low)
    fill_exit(journal, lived, first, first.price, bar.opened_at, reason, rules, open_to)


def _live_on(journal: Journal, token_id: TokenId, holding: Holding) -> None:
    """Keep the extremes of a position that lived through a bar; they become a fact with the slot's mark."""
    holdings = {**journal.portfolio.holdings, token_id: holding}
    journal.portfolio = replace(journal.portfolio, holdings=holdings)


def _bracket(journal: Journal, holding: Holding, rules: Rules) -> tuple[Order | None, Order | None]:
    """Return the live stop and target orders of a position, each only where its rule is on."""
    found = {
        live.order.role: live.order
        for live in journal.portfolio.orders.values()
        if live.order.position_id == holding.position.position_id
    }
    on = rules.exits.rules
    return (
        found.get(Role.STOP) if ExitRule.STOP_HIT in on else None,
        found.get(Role.TARGET) if ExitRule.TARGET_HIT in on else None,
    )
