"""What an order gets: prices with costs, the facts of a fill, and the band of profit that a bar left open.

Buying costs price x (1 + c), selling gives price x (1 - c); a target pays its own price. The fee is a fraction of the
fill's notional.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bot.domain.decisions import Reason
from bot.domain.ids import PositionId, fill_id, order_id, position_id
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
from bot.domain.orders import Fill, Order, OrderEvent, OrderState, Role
from bot.domain.portfolio import Holding
from bot.domain.positions import Closing, ExitReason, Position
from bot.engine.journal import Journal, bought, entry_of, sold
from bot.engine.rules import Rules, TargetCost

FILL_MODEL = "bars-1"
ENTRY_WAIT = timedelta(hours=72)


def event(order: Order, slot: datetime, state: OrderState, reason: str | None = None) -> OrderEvent:
    """Make the change of state of an order at a slot."""
    return OrderEvent(order_id=order.order_id, run=order.run, slot=slot, state=state, reason=reason)


def bracket_orders(journal: Journal, order: Order) -> list[Order]:
    """Return the live stop and target orders that belong to an entry."""
    wanted = [order_id(order.run, order.signal_id, role.value, order.ordinal) for role in (Role.STOP, Role.TARGET)]
    return [journal.portfolio.orders[key].order for key in wanted if key in journal.portfolio.orders]


def drop_entry(journal: Journal, order: Order, state: OrderState, reason: Reason) -> None:
    """End a waiting entry, and its bracket with it."""
    journal.write(event(order, journal.slot, state, reason))
    for child in bracket_orders(journal, order):
        journal.write(event(child, journal.slot, OrderState.CANCELLED, Reason.ENTRY_NOT_FILLED))


def fill_entry(journal: Journal, order: Order, raw: Price, at: datetime, rules: Rules, step: Decimal) -> None:
    """Fill a waiting entry at a raw price, or cancel it where its bracket or the cash no longer holds."""
    if (order.stop is not None and raw <= order.stop) or (order.target is not None and raw >= order.target):
        drop_entry(journal, order, OrderState.CANCELLED, Reason.BRACKET_INVALID_AT_FILL)
        return
    price = price_half_even(raw * rules.fills.buy)
    quantity = _affordable(journal.portfolio.cash, order.quantity, price, rules, step)
    if quantity is None:
        drop_entry(journal, order, OrderState.CANCELLED, Reason.CASH_AT_FILL)
        return
    fee = quantity * price * rules.fills.fee_fraction
    position = _position_of(journal, order, quantity, price, at)
    fill = _fill_of(journal, order, position.position_id, quantity, price, fee, at)
    entry = entry_of(order.run, journal.slot, fill.fill_id, position.position_id, at, bought(quantity * price, fee))
    journal.write(event(order, journal.slot, OrderState.FILLED), position, fill, entry)
    for child in bracket_orders(journal, order):
        journal.write(event(child, journal.slot, OrderState.ACCEPTED))


def _affordable(cash: Decimal, quantity: Quantity, price: Price, rules: Rules, step: Decimal) -> Quantity | None:
    """Cut a quantity to the cash there is; None where what is left is below the least notional."""
    unit = price * (ONE + rules.fills.fee_fraction)
    if quantity * unit <= cash:
        return quantity
    cut = Quantity(floor_to_step(max(cash, ZERO) / unit, step))
    return cut if cut > ZERO and cut * price >= (rules.sizing.notional_min or ZERO) else None


def _position_of(journal: Journal, order: Order, quantity: Quantity, price: Price, at: datetime) -> Position:
    ordinal = journal.portfolio.remembered(order.token_id).closed
    return Position(
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
    )


def _fill_of(
    journal: Journal,
    order: Order,
    position: PositionId,
    quantity: Quantity,
    price: Price,
    fee: Decimal,
    at: datetime,
    band: tuple[Decimal, Decimal] | None = None,
) -> Fill:
    return Fill(
        fill_id=fill_id(order.order_id, 0),
        order_id=order.order_id,
        run=order.run,
        slot=journal.slot,
        position_id=position,
        token_id=order.token_id,
        role=order.role,
        quantity=quantity,
        price=price,
        fee=micro_half_even(fee),
        filled_at=at,
        fill_model=FILL_MODEL,
        profit_pessimistic=band[0] if band else None,
        profit_optimistic=band[1] if band else None,
    )


def exit_price(role: Role, raw: Price, rules: Rules) -> Price:
    """Return what selling at a raw price gives: targets keep their price unless they are sold at market."""
    if role is Role.TARGET and rules.fills.target_cost is TargetCost.LIMIT:
        return raw
    return price_half_even(raw * rules.fills.sell)


def net_profit(holding: Holding, price: Price, rules: Rules) -> Decimal:
    """Return the trade's profit after all fees if the rest were sold at a price."""
    return holding.cash + micro_half_even(holding.quantity * price * (ONE - rules.fills.fee_fraction))


def fill_exit(
    journal: Journal,
    holding: Holding,
    order: Order,
    raw: Price,
    at: datetime,
    reason: ExitReason,
    rules: Rules,
    open_to: tuple[Role, Price] | None = None,
) -> None:
    """Close a position at a raw price; open_to is the other exit that the same bar could have meant."""
    position = holding.position
    price = exit_price(order.role, raw, rules)
    notional = holding.quantity * price
    fee = notional * rules.fills.fee_fraction
    profits = [net_profit(holding, price, rules)]
    if open_to is not None:
        profits.append(net_profit(holding, exit_price(*open_to, rules), rules))
    band = (min(profits), max(profits))
    fill = _fill_of(journal, order, position.position_id, holding.quantity, price, fee, at, band)
    entry = entry_of(
        position.run, journal.slot, fill.fill_id, position.position_id, at, sold(holding.cost, notional, fee)
    )
    journal.write(event(order, journal.slot, OrderState.FILLED, reason), fill, entry)
    profit = journal.portfolio.holdings[position.token_id].cash
    low, high = min(holding.low, raw), max(holding.high, raw)
    journal.write(
        Closing(
            position_id=position.position_id,
            run=position.run,
            slot=journal.slot,
            closed_at=at,
            reason=reason,
            profit=profit,
            mae=fraction_half_even(low / position.entry_price - ONE),
            mfe=fraction_half_even(high / position.entry_price - ONE),
        )
    )
    for live in [live for live in journal.portfolio.orders.values() if live.order.position_id == position.position_id]:
        journal.write(event(live.order, journal.slot, OrderState.CANCELLED, Reason.POSITION_CLOSED))


def stretch(holding: Holding, *prices: Price) -> Holding:
    """Widen a holding's extremes by prices it has lived through."""
    return replace(holding, low=min(holding.low, *prices), high=max(holding.high, *prices))


def after_fill(position: Position, bar: Bar) -> Bar | None:
    """Return the part of a bar that a position has lived through: of a bar that opened before the fill, its close."""
    if bar.opened_at >= position.opened_at:
        return bar
    if bar.closed_at <= position.opened_at:
        return None
    return Bar(bar.closed_at, bar.closed_at, bar.close, bar.close, bar.close, bar.close)
