"""When a position has to be looked at again: a scan of columns for the first bar that could touch its bracket.

It decides when to ask, never what the answer is: floats only select, every comparison widened towards waking, and the
bar that is found is settled in exact decimals. It may wake for nothing; it never lets anyone oversleep.
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

# The exit rules that a replay knows when to ask. A rule that is not listed here is asked at every slot and bar.
KNOWN_EXITS: frozenset[ExitRule] = frozenset(
    {
        ExitRule.SIGNAL_FLIPPED,  # only a turn can make it due, and `app/replay/waking.py` wakes at every turn
        ExitRule.STOP_HIT,  # only a bar that reaches the stop, and `reach_of` returns the stop's price
        ExitRule.TARGET_HIT,  # only a bar that reaches a target, and `reach_of` returns the nearest target's price
        ExitRule.TIME_STOP,  # only from opened_at + time_stop_hours on, and `app/replay/waking.py` wakes there
        ExitRule.TRAILING_STOP,  # follows whole bars: `reach_of` asks for every bar; `is_restless` knows the ratchet
        ExitRule.BREAK_EVEN,  # follows whole bars: `reach_of` asks for every bar
    }
)


def is_restless(rules: Rules) -> bool:
    """Tell whether something may happen at any slot: breakers, ratchets to levels, hooks that close, unknown exits."""
    ratchets = rules.exits.ratchet_to_support and ExitRule.TRAILING_STOP in rules.exits.rules
    hooked = rules.hooks is not None and rules.hooks.extra_exits is not None
    return bool(rules.limits.breakers) or ratchets or hooked or not rules.exits.rules <= KNOWN_EXITS


def reach_of(portfolio: Portfolio, holding: Holding, rules: Rules) -> Reach:
    """Return what concerns a position; every bar does where bars move its stop, or where an exit rule is unknown."""
    if not (FOLLOWED_BY_BARS.isdisjoint(rules.exits.rules) and rules.exits.rules <= KNOWN_EXITS):
        return EVERY_BAR
    below, above, _ = NO_BAR
    is_long = holding.position.side is Side.LONG
    liquidation, due = liquidation_price(holding.position, rules), time_stop_at(holding.position, rules)
    if liquidation is not None:
        above = to_float(liquidation)
    if holding.stop is not None and ExitRule.STOP_HIT in rules.exits.rules:
        below, above = (to_float(holding.stop), above) if is_long else (below, min(above, to_float(holding.stop)))
    if ExitRule.TARGET_HIT in rules.exits.rules:
        for order in portfolio.orders_of(holding.position.position_id):
            if order.role is Role.TARGET and is_long:
                above = min(above, to_float(order.price))
            elif order.role is Role.TARGET:
                below = max(below, to_float(order.price))
    after = NEVER if due is None else (due - EPOCH) // MICROSECOND
    return Reach(below * (1 + WIDENED), above * (1 - WIDENED), after)


def telling_places(equity: Floats, within: float, high: float, depth: float) -> list[int]:
    """Return the places of a curve that may move an account's high-water mark, its deepest fall, or end that fall.

    equity: in floats, each wrong by at most within; high, depth: those of before. Followed in exact decimals, these
    places lead to the same high and the same fall as all of them.
    """
    top = float(equity.max())
    rises = top + within >= high
    deepens = 1 - (float(equity.min()) - within) / max(high, top + within) > depth
    if not rises and not deepens:
        return []
    found: set[int] = set()
    if rises:
        # The first that reaches the old high ends a fall; the highest are the new high.
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
    """Return where a curve may first reach a level: from the first place within the error to the first sure one.

    The places count from the whole curve's beginning, the search begins at start; none where it never comes near.
    """
    maybe, surely = (np.flatnonzero(equity[start:] >= level + wrong)[:1] for wrong in (-within, within))
    if not len(maybe):
        return range(0)
    return range(start + int(maybe[0]), start + int(surely[0]) + 1 if len(surely) else len(equity))
