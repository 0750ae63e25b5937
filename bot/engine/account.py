"""The value of an account at given prices, and the cash that shorts and waiting entries leave free.

Shorts count negative in the net value and positive in the gross value.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from bot.domain.errors import BadInputError
from bot.domain.ids import TokenId
from bot.domain.market import Bar
from bot.domain.numbers import (
    AMOUNT_MAX,
    ONE,
    ZERO,
    Price,
    fraction_half_even,
    micro_half_even,
    price_half_even,
)
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Holding, Portfolio
from bot.domain.positions import Position
from bot.domain.snapshot import TokenView
from bot.engine.rules import FillRules, Rules

NOTHING_PASSED: Mapping[TokenId, tuple[Bar, ...]] = MappingProxyType({})


def mark_prices(
    portfolio: Portfolio,
    views: Mapping[TokenId, TokenView],
    rules: Rules,
    passed: Mapping[TokenId, tuple[Bar, ...]] = NOTHING_PASSED,
) -> dict[TokenId, Price]:
    """Choose the mark price of each held token: the last known price, or else its last mark.

    A short is never marked beyond the price that uses up its margin, even by a quiet bar.
    """
    found: dict[TokenId, Price] = {}
    for token_id, holding in portfolio.holdings.items():
        view = views.get(token_id)
        prints = passed.get(token_id)
        known = view.price.price if view and view.price else holding.price
        found[token_id] = within_margin(prints[-1].close if prints else known, holding.position, rules)
    return found


def liquidation_price(position: Position, rules: Rules) -> Price | None:
    """Compute the price that uses up the margin of a short: entry x (1 + margin).

    Returns None for a long. The margin is isolated: the short is covered at this price however far
    the market moved, so no more than the margin is lost.
    """
    if position.side is Side.LONG:
        return None
    return price_half_even(position.entry_price * (ONE + rules.short.margin_fraction))


def within_margin(price: Price, position: Position, rules: Rules) -> Price:
    """Cap the price of a short at its liquidation price, because no more can be lost beyond it."""
    most = liquidation_price(position, rules)
    return price if most is None else min(price, most)


def net_value(portfolio: Portfolio, prices: Mapping[TokenId, Price]) -> Decimal:
    """Sum the values of the positions at these prices; shorts count negative."""
    values = (
        held.sign * micro_half_even(held.quantity * prices[token_id])
        for token_id, held in portfolio.holdings.items()
    )
    return sum(values, ZERO)


def gross_value(portfolio: Portfolio, prices: Mapping[TokenId, Price]) -> Decimal:
    """Sum the sizes of all positions at these prices, longs and shorts alike."""
    return sum((held.quantity * prices[token_id] for token_id, held in portfolio.holdings.items()), ZERO)


def check_amount(amount: Decimal, token_id: TokenId, slot: datetime) -> None:
    """Raise BadInputError when a token's price makes an amount larger than a ledger can hold."""
    if abs(amount) > AMOUNT_MAX:
        raise BadInputError(
            f"token_id {token_id} at {slot:%Y-%m-%dT%H:%MZ}:"
            f" an amount of {micro_half_even(amount):,} is beyond the {AMOUNT_MAX:,}"
            " that a ledger holds: correct the price, or trade a smaller quantity"
        )


def drawdown(equity: Decimal, high: Decimal) -> Decimal:
    """Compute the fall from a high as a fraction of it; zero when equity did not fall."""
    return fraction_half_even(max(ZERO, ONE - equity / high)) if high > ZERO else ZERO


def entry_need(fills: FillRules, side: Side, margin: Decimal) -> Decimal:
    """Compute the free cash that an entry ties up per unit of notional at the reference price.

    Costs are included. A long pays (1 + c) x (1 + fee). A short ties up its margin and the costs
    that reduce its proceeds.
    """
    paid = fills.with_entry_fee(fills.entry_price(ONE, side), side)
    return paid if side is Side.LONG else margin + ONE - paid


def unlocked_cash(portfolio: Portfolio, prices: Mapping[TokenId, Price], rules: Rules) -> Decimal:
    """Compute the cash that open shorts do not tie up.

    Each short ties up the price of its cover and its margin.
    """
    locked = (
        held.quantity * prices[token_id] * (ONE + rules.short.margin_fraction)
        for token_id, held in portfolio.holdings.items()
        if held.position.side is Side.SHORT
    )
    return portfolio.cash - sum(locked, ZERO)


def free_cash(portfolio: Portfolio, prices: Mapping[TokenId, Price], rules: Rules) -> Decimal:
    """Compute the cash that neither open shorts nor accepted entries tie up."""
    reserved = (
        order.quantity * order.price * entry_need(rules.fills, order.side, rules.short.margin_fraction)
        for order in portfolio.waiting(Role.ENTRY)
    )
    return unlocked_cash(portfolio, prices, rules) - sum(reserved, ZERO)


def coming_cash(portfolio: Portfolio, prices: Mapping[TokenId, Price], rules: Rules) -> Decimal:
    """Compute the free cash that accepted exits will add at these prices, after costs."""
    fills, found = rules.fills, ZERO
    for order in portfolio.waiting(Role.EXIT):
        side, notional = (order.side, portfolio.holdings[order.token_id].quantity * prices[order.token_id])
        locked = ZERO if side is Side.LONG else notional * (ONE + rules.short.margin_fraction)
        # A long brings its proceeds; a short frees the cash that it tied up and pays for its cover.
        found += locked + side.sign * fills.with_exit_fee(fills.exit_price(notional, side), side)
    return found


def is_closing(portfolio: Portfolio, holding: Holding) -> bool:
    """Check whether an accepted exit is closing a position."""
    return any(order.position_id == holding.position.position_id for order in portfolio.waiting(Role.EXIT))


def in_category(
    portfolio: Portfolio,
    prices: Mapping[TokenId, Price],
    views: Mapping[TokenId, TokenView],
    category: str | None,
) -> Decimal:
    """Sum the notional of a category's positions and waiting entries.

    Positions that an accepted exit is closing are left out.
    """
    if category is None:
        return ZERO

    def belongs(token_id: TokenId) -> bool:
        return token_id in views and views[token_id].instrument.category == category

    held = (
        holding.quantity * prices[token_id]
        for token_id, holding in portfolio.holdings.items()
        if belongs(token_id) and not is_closing(portfolio, holding)
    )
    waiting = (
        order.quantity * order.price for order in portfolio.waiting(Role.ENTRY) if belongs(order.token_id)
    )
    return sum(held, ZERO) + sum(waiting, ZERO)
