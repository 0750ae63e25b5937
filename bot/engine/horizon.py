"""When a position has to be looked at again: a scan of columns for the first bar that could touch its bracket.

It decides when to ask, never what the answer is: floats only select, every comparison widened towards waking, and the
bar that is found is settled in exact decimals. It may wake for nothing; it never lets anyone oversleep.
"""

import numpy as np
import numpy.typing as npt

from bot.domain.numbers import to_float
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Holding, Portfolio
from bot.domain.reach import EVERY_BAR, Reach
from bot.engine.rules import ExitRule, Rules

Floats = npt.NDArray[np.float64]

WIDENED = 1e-12
FOLLOWED_BY_BARS = (ExitRule.TRAILING_STOP, ExitRule.BREAK_EVEN)


def is_restless(rules: Rules) -> bool:
    """Tell whether something may happen at any slot: breakers, levels that pull a stop, hooks that close."""
    pulled = rules.exits.ratchet_to_support and ExitRule.TRAILING_STOP in rules.exits.rules
    hooked = rules.hooks is not None and rules.hooks.extra_exits is not None
    return bool(rules.limits.breakers) or pulled or hooked


def reach_of(portfolio: Portfolio, holding: Holding, rules: Rules) -> Reach:
    """Return what concerns a position; every bar does where bars move its stop."""
    if any(rule in rules.exits.rules for rule in FOLLOWED_BY_BARS):
        return EVERY_BAR
    live = portfolio.orders_of(holding.position.position_id)
    targets = [order.price for order in live if order.role is Role.TARGET]
    wanted = [holding.sign * price for price in targets] if ExitRule.TARGET_HIT in rules.exits.rules else []
    stop = holding.stop if ExitRule.STOP_HIT in rules.exits.rules else None
    behind = None if stop is None else to_float(stop)
    ahead = to_float(abs(min(wanted))) if wanted else None
    low, high = (behind, ahead) if holding.position.side is Side.LONG else (ahead, behind)
    return Reach(
        float("-inf") if low is None else low * (1 + WIDENED),
        float("inf") if high is None else high * (1 - WIDENED),
    )


def highest_places(equity: Floats, within: float) -> list[int]:
    """Return where a curve is highest, with all places so near below that rounding may have put them there."""
    if not len(equity):
        return []
    return [int(place) for place in np.flatnonzero(equity >= equity.max() - within)]
