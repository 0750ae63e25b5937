"""When a replay must look at a position again: a scan for the first bar that may touch its bracket.

It decides only when to ask, never the answer. Floats select the bar, with every comparison widened
towards waking, and the bar is then settled in exact decimals. It may wake for nothing, never late.
"""

import numpy as np

from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.numbers import to_float
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Holding, Portfolio
from bot.domain.reach import EVERY_BAR, NEVER, NO_BAR, Floats, Reach
from bot.engine.account import liquidation_price
from bot.engine.exits import time_stop_at
from bot.engine.rules import FOLLOWED_BY_BARS, ExitRule, Rules

WIDENED = 1e-12

# The exit rules that a replay can foresee; any other rule is asked at every bar and slot.
KNOWN_EXITS: frozenset[ExitRule] = frozenset(
    {
        ExitRule.SIGNAL_FLIPPED,  # only at a turn: `app/replay/waking.py` wakes at every turn
        ExitRule.STOP_HIT,  # only by a bar that reaches the stop: `reach_of` has the stop's price
        ExitRule.TARGET_HIT,  # only by a bar that reaches it: `reach_of` has the nearest target
        ExitRule.TIME_STOP,  # only from opened_at + time_stop_hours on: `app/replay/waking.py` wakes there
        # Whole bars move it: `reach_of` asks for every bar, and `is_restless` covers the ratchet.
        ExitRule.TRAILING_STOP,
        ExitRule.BREAK_EVEN,  # whole bars move it: `reach_of` asks for every bar
    }
)


def is_restless(rules: Rules) -> bool:
    """Check whether something may happen at any slot.

    Reasons are breakers, ratchets to levels, hooks that close positions and unknown exit rules.
    """
    ratchets = rules.exits.ratchet_to_support and ExitRule.TRAILING_STOP in rules.exits.rules
    hooked = rules.hooks is not None and rules.hooks.extra_exits is not None
    return bool(rules.limits.breakers) or ratchets or hooked or not rules.exits.rules <= KNOWN_EXITS


def reach_of(portfolio: Portfolio, holding: Holding, rules: Rules) -> Reach:
    """Compute the prices and the instant from which a bar matters to a position.

    Every bar matters when bars move its stop or when an exit rule is unknown.
    """
    if not (FOLLOWED_BY_BARS.isdisjoint(rules.exits.rules) and rules.exits.rules <= KNOWN_EXITS):
        return EVERY_BAR
    below, above, _ = NO_BAR
    is_long = holding.position.side is Side.LONG
    liquidation, due = (
        liquidation_price(holding.position, rules),
        time_stop_at(holding.position, rules),
    )
    if liquidation is not None:
        above = to_float(liquidation)
    if holding.stop is not None and ExitRule.STOP_HIT in rules.exits.rules:
        below, above = (
            (to_float(holding.stop), above)
            if is_long
            else (below, min(above, to_float(holding.stop)))
        )
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
    maybe, surely = (
        np.flatnonzero(equity[start:] >= level + wrong)[:1] for wrong in (-within, within)
    )
    if not len(maybe):
        return range(0)
    return range(start + int(maybe[0]), start + int(surely[0]) + 1 if len(surely) else len(equity))
