"""Exits decided at a slot and filled at the next price: a turn against a position, time, a hook."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from bot.domain.decisions import Reason
from bot.domain.ids import TokenId
from bot.domain.instants import MICROSECONDS_AN_HOUR
from bot.domain.numbers import Price
from bot.domain.orders import Order, OrderState, Role, Side
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason, Position
from bot.domain.signals import Stance
from bot.domain.snapshot import TokenView
from bot.engine.fills import child_order, drop_entry, event
from bot.engine.hooks import extra_exit
from bot.engine.journal import Journal
from bot.engine.needs import Declaration, Input, Row, Wakes, table_of
from bot.engine.rules import ExitRule, Rules

BEARISH = (Stance.BEARISH, Reason.TURNED_BEARISH)
BULLISH = (Stance.BULLISH, Reason.TURNED_BULLISH)
AGAINST = MappingProxyType({Side.LONG: BEARISH, Side.SHORT: BULLISH})


def accept_exit(journal: Journal, holding: Holding, reference: Price, reason: ExitReason) -> Order:
    """Accept a market exit of a whole position."""
    position, slot, quantity = holding.position, journal.slot, holding.quantity
    more = {"reason": reason, "cut_off": journal.snapshot.cut_off}
    order = child_order(position, Role.EXIT, quantity, reference, slot, **more)
    journal.write(order, event(order, journal.slot, OrderState.ACCEPTED, reason))
    return order


def time_stop_at(position: Position, rules: Rules) -> datetime | None:
    """Compute the instant from which a position's time stop fills at the next open.

    Returns None without a time stop. It counts from the fill, so the choice of slots does not
    change it; one that is due at a slot frees the position's place at that slot.
    """
    hours = rules.exits.time_stop_hours
    if hours is None or ExitRule.TIME_STOP not in rules.exits.rules:
        return None
    return position.opened_at + _span_of(hours)


@lru_cache
def _span_of(hours: Decimal) -> timedelta:
    """Convert hours to a timedelta, rounded up to a microsecond."""
    return timedelta(microseconds=int((hours * MICROSECONDS_AN_HOUR).to_integral_value(ROUND_UP)))


def leave(journal: Journal, token_id: TokenId, reason: ExitReason) -> None:
    """Accept the exit of a token's position at the last known price, unless one waits already."""
    holding, view = journal.portfolio.holdings[token_id], journal.views.get(token_id)
    if journal.portfolio.order_of(holding, Role.EXIT) is None:
        known = view.price.price if view and view.price else holding.price
        accept_exit(journal, holding, known, reason)


def is_against(view: TokenView, side: Side) -> bool:
    """Check whether a token's stance has turned against a side."""
    stance, _ = AGAINST[side]
    return view.episode is not None and view.episode.turn.stance is stance


def _flips(view: TokenView, holding: Holding, _slot: datetime, rules: Rules) -> bool:
    return rules.bearish_exits and is_against(view, holding.position.side)


def _time_stop(_view: TokenView, holding: Holding, slot: datetime, rules: Rules) -> bool:
    due = time_stop_at(holding.position, rules)
    return due is not None and slot >= due


class SlotExit(NamedTuple):
    """An exit that is decided at a slot: its reason, and the check whether it is due."""

    reason: ExitReason
    is_due: Callable[[TokenView, Holding, datetime, Rules], bool]


def _exit(
    rule: ExitRule,
    formula: str,
    wakes: Wakes = Wakes.SLOTS,
    ask: SlotExit | None = None,
    needs: tuple[Input, ...] = (),
) -> tuple[ExitRule, Row[SlotExit | None]]:
    """Declare an exit; what it needs, it reads of held tokens. No ask: settlement or a bar acts."""
    keys = (f'exits.rules = "{rule}"',)
    declared = Declaration(keys=keys, formula=formula, needs=needs, of_held=needs, wakes=wakes)
    return rule, Row(ask, declared)


BREAKS_EVEN = "the stop moves to the price that pays the round trip back"
# One row a rule, in order of precedence: the first that is due at a slot gives the reason.
EXITS: Mapping[ExitRule, Row[SlotExit | None]] = table_of(
    _exit(
        ExitRule.SIGNAL_FLIPPED,
        "a turn against the position, accepted at the slot, filled at the next price; only"
        ' with `bearish = "exit"`',
        Wakes.BRACKET,
        SlotExit(ExitReason.SIGNAL_FLIPPED, _flips),
    ),
    _exit(
        ExitRule.TIME_STOP,
        "rests from the fill on, and fills at the first open at or after opened_at +"
        " time_stop_hours, whatever slots lie between",
        Wakes.BRACKET,
        SlotExit(ExitReason.TIME_STOP, _time_stop),
    ),
    _exit(
        ExitRule.STOP_HIT,
        "the initial stop is live; without it a stop only counts once another rule has moved it",
        Wakes.BRACKET,
    ),
    _exit(ExitRule.TARGET_HIT, "targets are live", Wakes.BRACKET),
    _exit(
        ExitRule.TRAILING_STOP,
        "the stop follows the price, at least one of three ways, the nearest to the price holding",
        Wakes.BARS,
    ),
    _exit(ExitRule.BREAK_EVEN, BREAKS_EVEN, Wakes.BARS),
)
# What moving stops read beside the bars.
STOP_MOVES = (
    Declaration(
        keys=("exits.trailing_atr",),
        formula="trailing_atr x ATR(14) of the daily bars",
        needs=(Input.DAYS,),
        of_held=(Input.DAYS,),
        wakes=Wakes.BARS,
    ),
    Declaration(
        keys=("exits.ratchet_to_support",),
        formula="the stop moves to the nearest level, as known at the slot, in the stop's window",
        needs=(Input.LEVELS,),
        of_held=(Input.LEVELS,),
        wakes=Wakes.SLOTS,
    ),
)


def decide_exits(journal: Journal) -> None:
    """Accept the exits that are due at this slot.

    Also cancel waiting entries whose token turned against them, unless the strategy ignores turns.
    """
    for order in journal.portfolio.waiting(Role.ENTRY):
        view = journal.views.get(order.token_id)
        if journal.rules.bearish_exits and view and is_against(view, order.side):
            drop_entry(journal, order, OrderState.CANCELLED, AGAINST[order.side][1])
    for token_id, holding in sorted(journal.portfolio.holdings.items()):
        view = journal.views.get(token_id)
        if view is None or journal.portfolio.order_of(holding, Role.EXIT) is not None:
            continue
        reason = _due(journal, view, holding) or extra_exit(journal, view, holding)
        if reason is not None:
            leave(journal, token_id, reason)


def _due(journal: Journal, view: TokenView, holding: Holding) -> ExitReason | None:
    slot, rules = journal.slot, journal.rules
    for rule, (ask, _) in EXITS.items():
        if ask is not None and rule in rules.exits.rules and ask.is_due(view, holding, slot, rules):
            return ask.reason
    return None
