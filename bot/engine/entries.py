"""Entries from acceptance to fill, with the stop and target orders that belong to them.

A bracket anchored at the reference price is planned when its entry is accepted. A bracket anchored
at the fill is placed at the fill, from what was known when the entry was accepted.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from bot.domain.amend import amend
from bot.domain.decisions import Candidate, Reason
from bot.domain.ids import TokenId, order_id, position_id
from bot.domain.numbers import ZERO, Price, Quantity, floor_to_step, fraction_half_even, price_half_even
from bot.domain.orders import Anchor, Order, OrderState, Role
from bot.domain.snapshot import TokenView
from bot.engine.account import entry_need, free_cash, in_category, is_closing
from bot.engine.brackets import Bracket, TargetShare
from bot.engine.fills import bracket_orders, child_order, drop_entry, event, is_overtaken, open_position
from bot.engine.hooks import adjusted_bracket
from bot.engine.journal import Journal
from bot.engine.levels import read_levels
from bot.engine.placement import is_whole, place_bracket
from bot.engine.rules import Rules
from bot.engine.sizing import Means, size_entry


class Grant(NamedTuple):
    """What an entry is accepted with.

    means: the account of its slot. cut_off: of its data. step: the instrument's quantity step.
    """

    means: Means
    cut_off: datetime
    step: Decimal


def accept_entry(
    journal: Journal, candidate: Candidate, bracket: Bracket, quantity: Quantity, grant: Grant, rules: Rules
) -> None:
    """Accept the entry of a candidate.

    A bracket anchored at the reference price is created with it, in the state planned.
    """
    portfolio = journal.portfolio
    memory = portfolio.memory_of(candidate.token_id)
    ordinal = memory.entries(candidate.signal_id)
    # A token that is still held is held on the other side, and closes before this entry fills.
    closed = memory.closed + (candidate.token_id in portfolio.holdings)
    anchored = rules.stop.anchor is Anchor.FILL
    means, weight = grant.means, grant.means.weight
    born = Order(
        order_id=order_id(candidate.run, candidate.signal_id, Role.ENTRY.value, ordinal),
        run=candidate.run,
        slot=candidate.slot,
        position_id=position_id(candidate.run, candidate.token_id, closed),
        signal_id=candidate.signal_id,
        token_id=candidate.token_id,
        side=bracket.side,
        role=Role.ENTRY,
        ordinal=ordinal,
        rank=candidate.rank,
        quantity=quantity,
        price=Price(candidate.reference_price or ZERO),
        stop=candidate.stop,
        target=candidate.target,
        stop_source=candidate.stop_source,
        target_source=candidate.target_source,
        equity=means.equity if anchored else None,
        cut_off=grant.cut_off,
        drawdown=means.drawdown if anchored else None,
        weight=fraction_half_even(weight) if anchored and weight is not None else None,
        anchor=rules.stop.anchor,
    )
    journal.write(born, event(born, journal.slot, OrderState.ACCEPTED))
    if not anchored:
        _bear_children(journal, born, born.quantity, bracket, grant.step, OrderState.PLANNED)


def _bear_children(
    journal: Journal, entry: Order, whole: Quantity, bracket: Bracket, step: Decimal, state: OrderState
) -> None:
    """Write the stop and target orders of a bracket for an entry of this whole quantity."""
    children = (
        [] if bracket.stop is None else [child_order(entry, Role.STOP, whole, bracket.stop, journal.slot)]
    )
    targets = bracket.parts or (() if bracket.target is None else (TargetShare(bracket.target),))
    left = whole
    for number, target in enumerate(targets):
        share = left if target.share is None else Quantity(floor_to_step(whole * target.share, step))
        children.append(
            child_order(
                entry,
                Role.TARGET,
                share,
                target.price,
                journal.slot,
                part=number or None,  # only the second and later targets are counted
                share=target.share,
            )
        )
        left = Quantity(left - share)
    for child in children:
        if child.quantity > ZERO:
            journal.write(child, event(child, journal.slot, state))


def fill_entry(
    journal: Journal,
    order: Order,
    raw: Price,
    at: datetime,
    views: Mapping[TokenId, TokenView],
    granted: TokenView | None,
    rules: Rules,
) -> None:
    """Fill a waiting entry at a raw price; cancel it when bracket or cash no longer holds."""
    step = views[order.token_id].instrument.quantity_step
    if granted is not None:
        _fill_at_anchor(journal, order, raw, at, views, granted, rules)
    elif is_overtaken(order.side, order.stop, order.target, raw):
        drop_entry(journal, order, OrderState.CANCELLED, Reason.BRACKET_INVALID_AT_FILL)
    elif open_position(journal, order, raw, at, rules, step):
        for child in bracket_orders(journal, order):
            journal.write(event(child, journal.slot, OrderState.ACCEPTED))


def _fill_at_anchor(
    journal: Journal,
    order: Order,
    raw: Price,
    at: datetime,
    views: Mapping[TokenId, TokenView],
    granted: TokenView,
    rules: Rules,
) -> None:
    """Place the bracket and size the entry at the fill price, then fill it.

    Both use what was known when the entry was accepted.
    """
    paid = price_half_even(rules.fills.entry_price(raw, order.side))
    known = read_levels(granted, rules.levels, order.slot)
    bracket, refused = adjusted_bracket(known, place_bracket(known, paid, order.side, rules), paid, rules)
    overtaken = is_overtaken(order.side, bracket.stop, bracket.target, raw)
    if refused is not None or overtaken or not is_whole(bracket, paid, rules):
        drop_entry(journal, order, OrderState.CANCELLED, Reason.BRACKET_INVALID_AT_FILL)
        return
    means = _means(journal, order, views, known, rules)._replace(raw=raw)
    size = size_entry(known, paid, bracket, means, rules)
    step = known.instrument.quantity_step
    room = _room(journal, order, rules)
    quantity = ZERO if size is None else size.quantity
    if room is not None and quantity * paid > room:
        quantity = floor_to_step(max(room, ZERO) / paid, step)
        if not quantity:
            drop_entry(journal, order, OrderState.CANCELLED, Reason.EXPOSURE_AT_FILL)
            return
    if quantity <= ZERO or quantity * paid < (rules.sizing.notional_min or ZERO):
        drop_entry(journal, order, OrderState.CANCELLED, Reason.CASH_AT_FILL)
        return
    placed = amend(
        order,
        quantity=Quantity(quantity),
        stop=bracket.stop,
        target=bracket.target,
        stop_source=bracket.stop_source,
        target_source=bracket.target_source,
    )
    opened = open_position(
        journal, placed, raw, at, rules, step, levels=(bracket.stop_level, bracket.target_level)
    )
    _bear_children(journal, placed, opened, bracket, step, OrderState.ACCEPTED)


def _means(
    journal: Journal, order: Order, views: Mapping[TokenId, TokenView], known: TokenView, rules: Rules
) -> Means:
    """Build the account that sizes an entry at its fill.

    Equity, drawdown and weight are those of the order's slot; cash and category are current and
    leave out what the order itself reserved.
    """
    portfolio = journal.portfolio
    marks = {token_id: held.price for token_id, held in portfolio.holdings.items()}
    category = known.instrument.category
    own = order.quantity * order.price
    reserved = own * entry_need(rules.fills, order.side, rules.short.margin_fraction)
    return Means(
        equity=order.equity or ZERO,
        free_cash=free_cash(portfolio, marks, rules) + reserved,
        category_notional=in_category(portfolio, marks, views, category)
        - (own if category is not None else ZERO),
        drawdown=order.drawdown or ZERO,
        weight=order.weight,
    )


def _room(journal: Journal, order: Order, rules: Rules) -> Decimal | None:
    """Compute the notional that exposure_max leaves for an entry; None without a limit."""
    if rules.limits.exposure_max is None:
        return None
    portfolio = journal.portfolio
    held = (
        holding.quantity * holding.price
        for holding in portfolio.holdings.values()
        if not is_closing(portfolio, holding)
    )
    others = (
        other.quantity * other.price
        for other in portfolio.waiting(Role.ENTRY)
        if other.order_id != order.order_id
    )
    return rules.limits.exposure_max * (order.equity or ZERO) - sum(held, ZERO) - sum(others, ZERO)
