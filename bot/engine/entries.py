"""Entries from acceptance to fill, with the stop and target orders that belong to them.

A bracket anchored at the reference price is planned when its entry is accepted. A bracket anchored
at the fill is placed at the fill, from what was known when the entry was accepted.
"""

from datetime import datetime
from decimal import Decimal

from bot.domain.amend import amend
from bot.domain.decisions import Candidate, Reason
from bot.domain.ids import order_id, position_id
from bot.domain.numbers import ZERO, Price, Quantity, floor_to_step, fraction_half_even
from bot.domain.orders import Anchor, Order, OrderState, Role, Side
from bot.domain.snapshot import TokenView
from bot.engine.account import entry_need, free_cash, in_category, sum_notional
from bot.engine.brackets import Bracket
from bot.engine.fills import bracket_orders, child_order, drop_entry, event, open_position
from bot.engine.hooks import adjusted_bracket
from bot.engine.journal import Journal
from bot.engine.levels import read_levels
from bot.engine.placement import is_whole, place_bracket
from bot.engine.sizing import Means, size_entry


def accept_entry(
    journal: Journal, candidate: Candidate, bracket: Bracket, quantity: Quantity, means: Means
) -> None:
    """Accept the entry of a candidate.

    A bracket anchored at the reference price is created with it, in the state planned.
    means: the account of its slot.
    """
    anchor, memory = journal.rules.stop.anchor, journal.portfolio.memory_of(candidate.token_id)
    at_fill, weight = anchor is Anchor.FILL, means.weight
    ordinal = memory.entries(candidate.signal_id)
    # A token that is still held is held on the other side, and closes before this entry fills.
    closed = memory.closed + (candidate.token_id in journal.portfolio.holdings)
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
        equity=means.equity if at_fill else None,
        cut_off=journal.snapshot.cut_off,
        drawdown=means.drawdown if at_fill else None,
        weight=fraction_half_even(weight) if at_fill and weight is not None else None,
        anchor=anchor,
    )
    journal.write(born, event(born, journal.slot, OrderState.ACCEPTED))
    if not at_fill:
        _bear_children(journal, born, quantity, bracket, OrderState.PLANNED)


def _bear_children(
    journal: Journal, entry: Order, whole: Quantity, bracket: Bracket, state: OrderState
) -> None:
    """Write the stop and target orders of a bracket for an entry of this whole quantity."""
    slot, step = journal.slot, journal.views[entry.token_id].instrument.quantity_step
    children = []
    if bracket.stop is not None:
        children.append(child_order(entry, Role.STOP, whole, bracket.stop, slot))
    left = whole
    for number, (price, share) in enumerate(bracket.targets):
        quantity = left if share is None else Quantity(floor_to_step(whole * share, step))
        # Only the second and later targets are counted.
        more = {"part": number or None, "share": share}
        children.append(child_order(entry, Role.TARGET, quantity, price, slot, **more))
        left = Quantity(left - quantity)
    for child in children:
        if child.quantity > ZERO:
            journal.write(child, event(child, slot, state))


def fill_entry(journal: Journal, order: Order, raw: Price, at: datetime) -> None:
    """Fill a waiting entry at a raw price; cancel it when bracket or cash no longer holds."""
    if order.order_id in journal.snapshot.granted:
        _place_at_fill(journal, order, raw, at)
    elif _is_overtaken(order.side, order.stop, order.target, raw):
        drop_entry(journal, order, OrderState.CANCELLED, Reason.BRACKET_INVALID_AT_FILL)
    elif open_position(journal, order, raw, at):
        for child in bracket_orders(journal, order):
            journal.write(event(child, journal.slot, OrderState.ACCEPTED))


def _is_overtaken(side: Side, stop: Price | None, target: Price | None, raw: Price) -> bool:
    """Check whether a price lies at or beyond an entry's stop or its nearest target."""
    beyond_stop = stop is not None and side.sign * (raw - stop) <= ZERO
    return beyond_stop or (target is not None and side.sign * (raw - target) >= ZERO)


def _place_at_fill(journal: Journal, order: Order, raw: Price, at: datetime) -> None:
    """Place the bracket and size the entry at the fill price, then fill it.

    Both use what was known when the entry was accepted.
    """
    rules, side = journal.rules, order.side
    paid = rules.fills.round_entry_price(raw, side)
    granted = journal.snapshot.granted[order.order_id]
    known = read_levels(granted, rules.levels, order.slot)
    bracket, refused = adjusted_bracket(known, place_bracket(known, paid, side, rules), paid, rules)
    overtaken = _is_overtaken(side, bracket.stop, bracket.target, raw)
    if refused is not None or overtaken or not is_whole(bracket, paid, rules):
        drop_entry(journal, order, OrderState.CANCELLED, Reason.BRACKET_INVALID_AT_FILL)
        return
    size = size_entry(known, paid, bracket, _means(journal, order, known, raw), rules)
    room = _room(journal, order)
    quantity = ZERO if size is None else size.quantity
    if room is not None and quantity * paid > room:
        quantity = floor_to_step(max(room, ZERO) / paid, known.instrument.quantity_step)
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
    opened = open_position(journal, placed, raw, at, bracket)
    _bear_children(journal, placed, opened, bracket, OrderState.ACCEPTED)


def _means(journal: Journal, order: Order, known: TokenView, raw: Price) -> Means:
    """Build the account that sizes an entry at its fill.

    Equity, drawdown and weight are those of the order's slot; cash and category are current and
    leave out what the order itself reserved.
    """
    portfolio, rules, category = journal.portfolio, journal.rules, known.instrument.category
    marks = {token_id: held.price for token_id, held in portfolio.holdings.items()}
    own = order.quantity * order.price
    reserved = own * entry_need(rules, order.side)
    others = in_category(portfolio, marks, journal.views, category)
    return Means(
        equity=order.equity or ZERO,
        free_cash=free_cash(portfolio, marks, rules) + reserved,
        category_notional=others - (ZERO if category is None else own),
        drawdown=order.drawdown or ZERO,
        weight=order.weight,
        raw=raw,
    )


def _room(journal: Journal, order: Order) -> Decimal | None:
    """Compute the notional that exposure_max leaves for an entry; None without a limit."""
    portfolio, most = journal.portfolio, journal.rules.limits.exposure_max
    if most is None:
        return None
    marks = {token_id: held.price for token_id, held in portfolio.holdings.items()}
    own = order.quantity * order.price
    return most * (order.equity or ZERO) - sum_notional(portfolio, marks) + own
