"""The value of an account at given prices, and the cash that shorts and waiting entries leave free.

Shorts count negative in the net value and positive in the gross value.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

from bot.domain.errors import BadInputError
from bot.domain.ids import TokenId
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
from bot.engine.rules import Rules


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
    held = portfolio.holdings.items()
    values = (one.sign * micro_half_even(one.quantity * prices[token_id]) for token_id, one in held)
    return sum(values, ZERO)


def gross_value(portfolio: Portfolio, prices: Mapping[TokenId, Price]) -> Decimal:
    """Sum the sizes of all positions at these prices, longs and shorts alike."""
    held = portfolio.holdings.items()
    return sum((one.quantity * prices[token_id] for token_id, one in held), ZERO)


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


def entry_need(rules: Rules, side: Side) -> Decimal:
    """Compute the free cash that an entry ties up per unit of notional at the reference price.

    Costs are included. A long pays (1 + c) x (1 + fee). A short ties up its margin and the costs
    that reduce its proceeds.
    """
    paid = rules.fills.entry_amount(ONE, side)
    return paid if side is Side.LONG else rules.short.margin_fraction + ONE - paid


def unlocked_cash(portfolio: Portfolio, prices: Mapping[TokenId, Price], rules: Rules) -> Decimal:
    """Compute the cash left by open shorts: each ties up the price of its cover and its margin."""
    locked = (
        held.quantity * prices[token_id] * (ONE + rules.short.margin_fraction)
        for token_id, held in portfolio.holdings.items()
        if held.position.side is Side.SHORT
    )
    return portfolio.cash - sum(locked, ZERO)


def free_cash(portfolio: Portfolio, prices: Mapping[TokenId, Price], rules: Rules) -> Decimal:
    """Compute the cash that neither open shorts nor accepted entries tie up."""
    waiting = portfolio.waiting(Role.ENTRY)
    reserved = (order.quantity * order.price * entry_need(rules, order.side) for order in waiting)
    return unlocked_cash(portfolio, prices, rules) - sum(reserved, ZERO)


def coming_cash(portfolio: Portfolio, prices: Mapping[TokenId, Price], rules: Rules) -> Decimal:
    """Compute the free cash that accepted exits will add at these prices, after costs."""
    found = ZERO
    for order in portfolio.waiting(Role.EXIT):
        notional = portfolio.holdings[order.token_id].quantity * prices[order.token_id]
        locked = ZERO if order.side is Side.LONG else notional * (ONE + rules.short.margin_fraction)
        # A long brings its proceeds; a short frees the cash that it tied up and pays for its cover.
        found += locked + order.side.sign * rules.fills.exit_amount(notional, order.side)
    return found


def list_staying(portfolio: Portfolio) -> list[tuple[TokenId, Holding]]:
    """List the positions that no accepted exit is closing."""
    closing = {order.position_id for order in portfolio.waiting(Role.EXIT)}
    held = portfolio.holdings.items()
    return [(token_id, one) for token_id, one in held if one.position.position_id not in closing]


def sum_notional(
    portfolio: Portfolio,
    prices: Mapping[TokenId, Price],
    counts: Callable[[TokenId], bool] = lambda _token_id: True,
) -> Decimal:
    """Sum the notional of staying positions and waiting entries, of the tokens that count."""
    held = [one.quantity * prices[of] for of, one in list_staying(portfolio) if counts(of)]
    waiting = [one for one in portfolio.waiting(Role.ENTRY) if counts(one.token_id)]
    return sum((order.quantity * order.price for order in waiting), sum(held, ZERO))


def in_category(
    portfolio: Portfolio,
    prices: Mapping[TokenId, Price],
    views: Mapping[TokenId, TokenView],
    category: str | None,
) -> Decimal:
    """Sum the notional of a category's staying positions and waiting entries."""
    if category is None:
        return ZERO

    def belongs(token_id: TokenId) -> bool:
        return token_id in views and views[token_id].instrument.category == category

    return sum_notional(portfolio, prices, belongs)
