"""How an order fills: its price with costs, the facts of the fill, and the profit band of its bar.

Buying costs price x (1 + c) and selling pays price x (1 - c); a target pays its own price. The fee
is a fraction of the fill's notional.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bot.domain.amend import amend
from bot.domain.books import Account, JournalEntry
from bot.domain.decisions import Reason
from bot.domain.ids import TokenId, fill_id, order_id, position_id
from bot.domain.instants import DAY
from bot.domain.market import Bar
from bot.domain.numbers import (
    ONE,
    ZERO,
    Price,
    Quantity,
    floor_to_step,
    fraction_half_even,
    micro_half_even,
    price_half_even,
)
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role, Side
from bot.domain.portfolio import Holding
from bot.domain.positions import Closing, ExitReason, Position
from bot.engine.account import check_amount, unlocked_cash, within_margin
from bot.engine.brackets import Bracket
from bot.engine.journal import Journal, entry_of
from bot.engine.rules import Rules, TargetCost

FILL_MODEL = "bars-3"
ENTRY_WAIT = timedelta(hours=72)
UNPLACED = Bracket()
BRACKET_ROLES = (Role.STOP, Role.TARGET)


def event(order: Order, slot: datetime, state: OrderState, reason: str | None = None) -> OrderEvent:
    """Build the change of an order's state at a slot."""
    return OrderEvent(order_id=order.order_id, run=order.run, slot=slot, state=state, reason=reason)


def bracket_orders(journal: Journal, order: Order) -> list[Order]:
    """List the live stop and target orders that belong to an entry."""
    entry = (order.signal_id, order.ordinal)
    return [
        child
        for child in journal.portfolio.orders_of(order.position_id)
        if child.role in BRACKET_ROLES and (child.signal_id, child.ordinal) == entry
    ]


def child_order(
    of: Order | Position, role: Role, quantity: Quantity, price: Price, slot: datetime, **more: Any
) -> Order:
    """Build an order that belongs to an entry or to its position.

    more: other fields of an order, for example part and share of one of several targets.
    """
    ordinal = of.ordinal if isinstance(of, Order) else of.order_ordinal
    return Order(
        order_id=order_id(of.run, of.signal_id, role.value, ordinal, more.get("part")),
        run=of.run,
        slot=slot,
        position_id=of.position_id,
        signal_id=of.signal_id,
        token_id=of.token_id,
        side=of.side,
        role=role,
        ordinal=ordinal,
        rank=of.rank if isinstance(of, Order) else 0,
        quantity=quantity,
        price=price,
        **more,
    )


def drop_entry(journal: Journal, order: Order, state: OrderState, reason: Reason) -> None:
    """End a waiting entry together with its bracket."""
    journal.write(event(order, journal.slot, state, reason))
    for child in bracket_orders(journal, order):
        journal.write(event(child, journal.slot, OrderState.CANCELLED, Reason.ENTRY_NOT_FILLED))


def open_position(
    journal: Journal, order: Order, raw: Price, at: datetime, placed: Bracket = UNPLACED
) -> Quantity:
    """Fill an entry at a raw price and return the quantity opened.

    Cancels the entry and returns zero when the cash is no longer enough.
    placed: the bracket, if it was placed at the fill.
    """
    price = journal.rules.fills.round_entry_price(raw, order.side)
    quantity = _affordable(journal, order, raw, price)
    if quantity is None:
        drop_entry(journal, order, OrderState.CANCELLED, Reason.CASH_AT_FILL)
        return Quantity(ZERO)
    ordinal = journal.portfolio.memory_of(order.token_id).closed
    position = Position(
        position_id=position_id(order.run, order.token_id, ordinal),
        run=order.run,
        slot=journal.slot,
        token_id=order.token_id,
        ordinal=ordinal,
        order_ordinal=order.ordinal,
        signal_id=order.signal_id,
        side=order.side,
        quantity=quantity,
        entry_price=price,
        opened_at=at,
        stop_initial=order.stop,
        target=order.target,
        stop_source=order.stop_source or "none",
        target_source=order.target_source or "none",
        stop_level=placed.stop_level,
        target_level=placed.target_level,
    )
    booked = _book(journal, order, position, quantity, price, quantity * price, at)
    journal.write(event(order, journal.slot, OrderState.FILLED), position, *booked)
    return quantity


def _affordable(journal: Journal, order: Order, raw: Price, price: Price) -> Quantity | None:
    """Cut a quantity to the available cash; None when the rest is below the minimum notional."""
    rules = journal.rules
    marks = {token_id: held.price for token_id, held in journal.portfolio.holdings.items()}
    cash = unlocked_cash(journal.portfolio, marks, rules)
    unit = rules.fills.with_entry_fee(price, order.side)
    if order.side is Side.SHORT:  # a short ties up its margin and the costs, not the notional
        unit = raw * (ONE + rules.short.margin_fraction) - unit
    if order.quantity * unit <= cash:
        return order.quantity
    step = journal.views[order.token_id].instrument.quantity_step
    cut = Quantity(floor_to_step(max(cash, ZERO) / unit, step))
    return cut if cut > ZERO and cut * price >= (rules.sizing.notional_min or ZERO) else None


def _book(
    journal: Journal,
    order: Order,
    position: Position,
    quantity: Quantity,
    price: Price,
    cost: Decimal,
    at: datetime,
    profits: tuple[Decimal, ...] = (),
) -> tuple[Fill, JournalEntry]:
    """Build the fill of an order and its journal entry; the cost moves on the position's account.

    Entry: long cash -(N+f), position +N, fees +f; short cash +(N-f), position -N, fees +f.
    Exit: long cash +(N-f), position -cost; short cash -(N+f), position +cost; fees +f, rest profit.
    """
    notional = quantity * price
    fee = notional * journal.rules.fills.fee_fraction
    sign = -position.side.sign if order.role is Role.ENTRY else position.side.sign
    fill = Fill(
        fill_id=fill_id(order.order_id, 0),
        order_id=order.order_id,
        run=order.run,
        slot=journal.slot,
        position_id=position.position_id,
        token_id=order.token_id,
        role=order.role,
        quantity=quantity,
        price=price,
        fee=micro_half_even(fee),
        filled_at=at,
        fill_model=FILL_MODEL,
        profit_pessimistic=min(profits, default=None),
        profit_optimistic=max(profits, default=None),
    )
    cash, held = (Account.CASH, sign * notional - fee), (Account.POSITION, -sign * cost)
    legs = (cash, held, (Account.FEES, fee))
    return fill, entry_of(order.run, journal.slot, fill.fill_id, position.position_id, at, legs)


def charge_begun_days(journal: Journal, until: Mapping[TokenId, datetime]) -> None:
    """Charge each short for the 24-hour days since its opening that began before an instant.

    until: for each token, the earliest instant at which its next bar can open, so that no day after
    a cover is charged. A short covered at the instant at which a day begins does not pay for that
    day: ceil(hours / 24) days in all.
    """
    if not journal.rules.short.borrow_fraction_per_day:
        return
    for token_id, holding in sorted(journal.portfolio.holdings.items()):
        if holding.position.side is Side.LONG or token_id not in until:
            continue
        opened_at, charged_at = holding.position.opened_at, holding.borrowed_at
        day = 0 if charged_at is None else (charged_at - opened_at) // DAY + 1
        while opened_at + day * DAY < until[token_id]:
            _charge_borrow(journal, holding, day)
            day += 1


def _charge_borrow(journal: Journal, holding: Holding, day: int) -> None:
    """Charge a short one day of borrowing on the entry notional that is left."""
    position = holding.position
    fraction = journal.rules.short.borrow_fraction_per_day
    fee = holding.quantity * position.entry_price * fraction
    if micro_half_even(fee) > ZERO:
        cause, at = f"borrow {position.position_id} {day}", position.opened_at + day * DAY
        legs = ((Account.CASH, -fee), (Account.FEES, fee))
        journal.write(entry_of(position.run, journal.slot, cause, position.position_id, at, legs))


def exit_price(reason: ExitReason, raw: Price, position: Position, rules: Rules) -> Price:
    """Compute the price after costs of an exit at a raw price.

    A target keeps its price unless targets are sold at market. The cover of a short costs at most
    the price that uses up its margin, costs included: the price of a liquidation.
    """
    is_limit = reason is ExitReason.TARGET_HIT and rules.fills.target_cost is TargetCost.LIMIT
    if is_limit or reason is ExitReason.LIQUIDATED:
        return raw
    paid = price_half_even(rules.fills.exit_price(raw, position.side))
    return within_margin(paid, position, rules)


def exit_cash(holding: Holding, paid: Price, quantity: Decimal, rules: Rules) -> Decimal:
    """Compute what an exit adds to cash, given its price after costs; negative for a short."""
    side = holding.position.side
    return micro_half_even(side.sign * rules.fills.with_exit_fee(quantity * paid, side))


def fill_exit(
    journal: Journal,
    order: Order,
    raw: Price,
    at: datetime,
    reason: ExitReason,
    *,
    quantity: Quantity | None = None,
    cash_otherwise: Decimal | None = None,
) -> None:
    """Close a quantity at a raw price, and end the position when nothing is left.

    quantity: None means all that is left.
    cash_otherwise: the position's cash after another exit that the bar allows; it gives the other
    end of the profit band.
    Raises BadInputError when the exit is worth more than a ledger can hold.
    """
    holding, rules = journal.portfolio.holdings[order.token_id], journal.rules
    position = holding.position
    quantity = holding.quantity if quantity is None else quantity
    price = exit_price(reason, raw, position, rules)
    check_amount(quantity * price, position.token_id, journal.slot)
    is_last = quantity == holding.quantity
    # A part of a position takes its share of the initial cost.
    cost = holding.cost if is_last else micro_half_even(quantity * position.entry_price)
    cash = holding.cash + exit_cash(holding, price, quantity, rules)
    # The profit of this exit: cash so far and the cost left, less what earlier exits have booked.
    profits = [cash + holding.sign * (holding.cost - cost) - holding.booked]
    if cash_otherwise is not None:
        profits.append(cash_otherwise - holding.booked)
    booked = _book(journal, order, position, quantity, price, cost, at, tuple(profits))
    journal.write(event(order, journal.slot, OrderState.FILLED, reason), *booked)
    if is_last:
        _close(journal, stretch(holding, raw), at, reason)


def _close(journal: Journal, holding: Holding, at: datetime, reason: ExitReason) -> None:
    """Write the end of a position that has nothing left, and cancel its remaining orders."""
    position = holding.position
    worst, best = position.side.worst_and_best(holding.low, holding.high)
    closing = Closing(
        position_id=position.position_id,
        run=position.run,
        slot=journal.slot,
        closed_at=at,
        reason=reason,
        profit=journal.portfolio.holdings[position.token_id].cash,
        mae=fraction_half_even(holding.sign * (worst / position.entry_price - ONE)),
        mfe=fraction_half_even(holding.sign * (best / position.entry_price - ONE)),
    )
    journal.write(closing)
    for order in journal.portfolio.orders_of(position.position_id):
        journal.write(event(order, journal.slot, OrderState.CANCELLED, Reason.POSITION_CLOSED))


def stretch(holding: Holding, *prices: Price) -> Holding:
    """Widen the extremes of a holding by prices that occurred while it was open."""
    return amend(holding, low=min(holding.low, *prices), high=max(holding.high, *prices))


def after_fill(position: Position, bar: Bar) -> Bar | None:
    """Cut a bar to the part after a position's fill; None when nothing of it came after.

    A bar that opened before the fill is cut to its close.
    """
    if bar.opened_at >= position.opened_at:
        return bar
    if bar.closed_at <= position.opened_at:
        return None
    return Bar(bar.closed_at, bar.closed_at, bar.close, bar.close, bar.close, bar.close, bar.volume)
