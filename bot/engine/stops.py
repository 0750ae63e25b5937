"""Moves of a stop: trailing, break-even, ratchet and a breaker's tightening.

A stop only moves towards the price. A bar moves it only after the bar is settled, so that no bar
meets a stop that it made itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from bot.domain.ids import TokenId
from bot.domain.market import Bar
from bot.domain.numbers import ONE, ZERO, Price
from bot.domain.orders import OrderState, Role
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason, Position, StopMove
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Place
from bot.engine.fills import child_order, event
from bot.engine.indicators import atr
from bot.engine.journal import Journal
from bot.engine.levels import read_levels
from bot.engine.placement import stop_at_level
from bot.engine.rules import ExitRule, ExitRules, FillRules, Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposed stop, the exit reason if it is hit, and the level that it depends on."""

    price: Price
    reason: ExitReason
    level: Price | None = None


Proposals = Iterator[Proposed]


def follow_bar(journal: Journal, token_id: TokenId, bar: Bar) -> None:
    """Move the stop of a position that was open for a whole bar."""
    holding = journal.portfolio.holdings.get(token_id)
    if holding is None or bar.closed_at == bar.opened_at:
        return
    position, view, rules = holding.position, journal.views[token_id], journal.rules
    place = Place(bar.close, position.side, view.instrument)
    _, best = position.side.worst_and_best(bar.low, bar.high)
    proposed = [*_break_even(position, best, place, rules)]
    if ExitRule.TRAILING_STOP in rules.exits.rules:
        proposed += _trail(best, bar, view, place, rules.exits)
    # The tightest stop is the highest for a long and the lowest for a short.
    tightest = max(proposed, key=lambda one: position.side.sign * one.price, default=None)
    if tightest is not None:
        move_stop(journal, holding, tightest, bar.closed_at)


def break_even_price(position: Position, fills: FillRules) -> Decimal:
    """Compute the stop that recovers the round trip's costs; mirrored for a short.

    For a long: entry x (1 + fee) / ((1 - c) x (1 - fee)). The entry price already includes the
    costs of the entry.
    """
    side = position.side
    return fills.with_entry_fee(position.entry_price, side) / fills.exit_amount(ONE, side)


def _break_even(position: Position, best: Price, place: Place, rules: Rules) -> Proposals:
    after, stop = rules.exits.break_even_r, position.stop_initial
    if ExitRule.BREAK_EVEN not in rules.exits.rules or after is None or stop is None:
        return
    price = place.on_tick(break_even_price(position, rules.fills))
    one_r = abs(position.entry_price - stop)
    reached = position.side.sign * (best - position.entry_price) >= after * one_r
    if reached and position.side.sign * (best - price) >= ZERO:
        yield Proposed(price=price, reason=ExitReason.BREAK_EVEN)


def _trail(best: Price, bar: Bar, view: TokenView, place: Place, rules: ExitRules) -> Proposals:
    distances = []
    if rules.trailing_fraction is not None:
        distances.append(best * rules.trailing_fraction)
    if rules.trailing_atr is not None:
        span = atr([day for day in view.days if day.closed_at <= bar.closed_at])
        distances += [] if span is None else [rules.trailing_atr * span]
    for distance in distances:
        price = place.on_tick(best - place.side.sign * distance)
        if price > ZERO:
            yield Proposed(price=price, reason=ExitReason.TRAILING_STOP)


def ratchet_stops(journal: Journal) -> None:
    """Move stops to the nearest level, as known at the slot, that lies in the stop's window.

    The level is a support for a long. A stop moves only when that brings it nearer to the price.
    """
    rules, reason = journal.rules, ExitReason.TRAILING_STOP
    if ExitRule.TRAILING_STOP not in rules.exits.rules or not rules.exits.ratchet_to_support:
        return
    for token_id, holding in sorted(journal.portfolio.holdings.items()):
        view = journal.views.get(token_id)
        closing = journal.portfolio.order_of(holding, Role.EXIT)
        if view is None or view.price is None or closing is not None:
            continue
        place = Place(view.price.price, holding.position.side, view.instrument)
        levels = read_levels(view, rules.levels, journal.slot).levels
        found = stop_at_level(levels, place, rules.stop)
        if found is not None:
            proposed = Proposed(price=found.price, reason=reason, level=found.level)
            move_stop(journal, holding, proposed, _decided_at(journal))


def _decided_at(journal: Journal) -> datetime:
    """Compute the instant of a slot's decisions: no earlier than the end of its fetch."""
    return max(journal.slot, journal.snapshot.cut_off)


def tighten_stops(journal: Journal) -> None:
    """Halve the distance of each stop to the price; a position without a stop is left alone."""
    prices = journal.mark_prices()
    for token_id, holding in sorted(journal.portfolio.holdings.items()):
        if holding.stop is not None:
            instrument = journal.views[token_id].instrument
            place = Place(prices[token_id], holding.position.side, instrument)
            halfway = place.on_tick((holding.stop + place.reference) / 2)
            proposed = Proposed(price=halfway, reason=ExitReason.RISK_BREAKER)
            move_stop(journal, holding, proposed, _decided_at(journal))


def move_stop(journal: Journal, holding: Holding, proposed: Proposed, at: datetime) -> None:
    """Move a stop if it comes nearer to the price; a position without a stop order gets one."""
    position = holding.position
    if holding.stop is not None and holding.sign * (proposed.price - holding.stop) <= ZERO:
        return
    move = StopMove(
        position_id=position.position_id,
        run=position.run,
        slot=journal.slot,
        number=len(holding.moves),
        moved_at=at,
        price=proposed.price,
        reason=proposed.reason,
        level=proposed.level,
    )
    journal.write(move)
    if journal.portfolio.order_of(holding, Role.STOP) is None:
        born = child_order(position, Role.STOP, holding.quantity, proposed.price, journal.slot)
        journal.write(born, event(born, journal.slot, OrderState.ACCEPTED))
