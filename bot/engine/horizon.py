"""When a replay must look at a position again: a scan for the first bar that may touch its bracket.

It decides only when to ask, never the answer. Floats select the bar, with every comparison widened
towards waking, and the bar is then settled in exact decimals. It may wake for nothing, never late.
"""

import numpy as np

from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.numbers import to_float
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Holding, Portfolio
from bot.domain.reach import NEVER, NO_BAR, Floats, Reach
from bot.engine.account import liquidation_price
from bot.engine.exits import time_stop_at
from bot.engine.rules import ExitRule, Rules

WIDENED = 1e-12


def reach_of(portfolio: Portfolio, holding: Holding, rules: Rules) -> Reach:
    """Compute the prices and the instant from which a bar matters to a position.

    It holds for rules that wake no more often than at a bracket.
    """
    below, above, _ = NO_BAR
    is_long = holding.position.side is Side.LONG
    liquidation = liquidation_price(holding.position, rules)
    due = time_stop_at(holding.position, rules)
    if liquidation is not None:
        above = to_float(liquidation)
    if holding.stop is not None and ExitRule.STOP_HIT in rules.exits.rules:
        stop = to_float(holding.stop)
        below, above = (stop, above) if is_long else (below, min(above, stop))
    if ExitRule.TARGET_HIT in rules.exits.rules:
        for order in portfolio.orders_of(holding.position.position_id):
            if order.role is Role.TARGET and is_long:
                above = min(above, to_float(order.price))
            elif order.role is Role.TARGET:
                below = max(below, to_float(order.price))
    after = NEVER if due is None else (due - EPOCH) // MICROSECOND
    # Widen both prices towards waking, so that float rounding cannot hide a touch.
    return Reach(below * (1 + WIDENED), above * (1 - WIDENED), after)


def telling_places(equity: Floats, within: float, high: float, depth: float) -> list[int]:
    """Find the places of an equity curve that may change the high-water mark or deepest fall.

    equity: in floats, each off by at most within. high, depth: the account's before the curve. In
    exact decimals these places give the same high and the same fall as all places do.
    """
    top = float(equity.max())
    rises = top + within >= high
    deepens = 1 - (float(equity.min()) - within) / max(high, top + within) > depth
    if not rises and not deepens:
        return []
    found: set[int] = set()
    if rises:
        # The first place at the old high ends a fall; the highest places are the new high.
        found.update(np.flatnonzero(equity >= top - within).tolist())
        found.update(_first_at(equity, 0, high, within))
    if deepens:
        highs = np.maximum.accumulate(np.maximum(equity, high))
        falls = 1 - equity / highs
        wrong = 4 * within / high
        deepest = falls.max()
        for trough in np.flatnonzero((falls >= deepest - wrong) & (falls + wrong > depth)).tolist():
            before = equity[: trough + 1]
            fell_from = max(float(before.max()), high)
            found.update([trough, *np.flatnonzero(before >= fell_from - within).tolist()])
            found.update(_first_at(equity, trough + 1, fell_from, within))
    return sorted(found)


def _first_at(equity: Floats, start: int, level: float, within: float) -> range:
    """Find where a curve may first reach a level.

    The range goes from the first place within the error to the first certain one; it is empty when
    the curve never comes near. The search begins at start; places count from the curve's beginning.
    """
    rest, bounds = equity[start:], (level - within, level + within)
    maybe, surely = (np.flatnonzero(rest >= bound)[:1] for bound in bounds)
    if not len(maybe):
        return range(0)
    return range(start + int(maybe[0]), start + int(surely[0]) + 1 if len(surely) else len(equity))
