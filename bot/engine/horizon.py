"""When a position has to be looked at again: a scan of columns for the first bar that could touch its bracket.

It decides when to ask, never what the answer is: floats only select, every comparison widened towards waking, and the
bar that is found is settled in exact decimals. It may wake for nothing; it never lets anyone oversleep.
"""

import numpy as np

from bot.domain.numbers import to_float
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Holding, Portfolio
from bot.domain.reach import EVERY_BAR, NO_BAR, Floats, Reach
from bot.engine.rules import FOLLOWED_BY_BARS, ExitRule, Rules

WIDENED = 1e-12


def is_restless(rules: Rules) -> bool:
    """Tell whether something may happen at any slot: breakers, levels that pull a stop, hooks that close."""
    pulled = rules.exits.ratchet_to_support and ExitRule.TRAILING_STOP in rules.exits.rules
    hooked = rules.hooks is not None and rules.hooks.extra_exits is not None
    return bool(rules.limits.breakers) or pulled or hooked


def reach_of(portfolio: Portfolio, holding: Holding, rules: Rules) -> Reach:
    """Return what concerns a position; every bar does where bars move its stop."""
    if not FOLLOWED_BY_BARS.isdisjoint(rules.exits.rules):
        return EVERY_BAR
    below, above, _ = NO_BAR
    is_long = holding.position.side is Side.LONG
    if holding.stop is not None and ExitRule.STOP_HIT in rules.exits.rules:
        below, above = (to_float(holding.stop), above) if is_long else (below, to_float(holding.stop))
    if ExitRule.TARGET_HIT in rules.exits.rules:
        for order in portfolio.orders_of(holding.position.position_id):
            if order.role is Role.TARGET and is_long:
                above = min(above, to_float(order.price))
            elif order.role is Role.TARGET:
                below = max(below, to_float(order.price))
    return Reach(below * (1 + WIDENED), above * (1 - WIDENED))


def highest_places(equity: Floats, within: float) -> list[int]:
    """Return where a curve is highest, with all places so near below that rounding may have put them there."""
    if not len(equity):
        return []
    return [int(place) for place in np.flatnonzero(equity >= equity.max() - within)]
