"""The snapshot of a cycle, taken from an archive.

It holds only the tokens that a settlement or a decision looks at, as known by the cut-off.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from bot.domain.events import Request
from bot.domain.ids import OrderId, TokenId
from bot.domain.market import Bar, Quote
from bot.domain.orders import Role
from bot.domain.portfolio import AT_MARKET, Portfolio
from bot.domain.reach import EVERY_BAR, NO_BAR
from bot.domain.signals import Episode
from bot.domain.snapshot import Snapshot, TokenView
from bot.engine.candidates import is_due
from bot.engine.finer import worth_asking
from bot.engine.horizon import reach_of
from bot.engine.rules import Reentry, Rules, SameBar
from bot.ports import Archive

Now = tuple[datetime, datetime]


class Wanted(NamedTuple):
    """Which data a token's view needs beside its episode, price and prints.

    days: daily bars. measures: quantmetrics, grades and market size.
    """

    levels: bool = False
    days: bool = False
    measures: bool = False


class Told(NamedTuple):
    """The parts of a token's view that are read before the view is built; see TokenView."""

    episode: Episode | None
    prints: tuple[Bar, ...] = ()
    finer: tuple[Bar, ...] = ()
    last_traded: Quote | None = None
    followed: bool = True


EVERYTHING = Wanted(levels=True, days=True, measures=True)


def gather(
    archive: Archive,
    universe: Iterable[TokenId],
    portfolio: Portfolio,
    rules: Rules,
    as_of: datetime,
    cut_off: datetime,
    interval: timedelta | None,
    requests: Iterable[Request] = (),
    asked: Iterable[TokenId] | None = None,
) -> Snapshot:
    """Build a slot's snapshot; asked: the tokens to look at, None means all followed or held."""
    now, seen = (as_of, cut_off), _last_settlement(portfolio)
    waiting = frozenset(order.token_id for role in AT_MARKET for order in portfolio.waiting(role))
    busy = waiting | portfolio.holdings.keys()
    followed = frozenset(universe)
    of_busy = _busy_needs(rules)
    views: dict[TokenId, TokenView] = {}
    candidates = False
    for token_id in sorted(busy.union(followed) if asked is None else waiting.union(asked)):
        episode = archive.episode(token_id, *now)
        due = token_id in followed and is_due(portfolio, episode, rules)
        candidates |= due
        if due or token_id in busy:
            prints: tuple[Bar, ...] = ()
            if seen is not None and token_id in busy:
                # A waiting order needs every bar, a position only those that may touch its bracket.
                holding = None if token_id in waiting else portfolio.holdings.get(token_id)
                reach = EVERY_BAR if holding is None else reach_of(portfolio, holding, rules)
                prints = archive.prints(token_id, seen, *now, reach)
            finer = _finer(archive, token_id, prints, portfolio, rules, now)
            traded = archive.active_price(token_id, *seen) if seen and token_id in portfolio.holdings else None
            told = Told(episode, prints, finer, traded, token_id in followed)
            views[token_id] = _view(archive, token_id, now, EVERYTHING if due else of_busy, told, rules)
    return Snapshot(
        as_of=as_of,
        cut_off=cut_off,
        interval=interval,
        tokens=_with_namesakes(archive, followed | busy, views) if candidates else views,
        requests=tuple(requests),
        granted=_anchored_views(archive, portfolio, rules),
        passed={
            token_id: archive.prints(token_id, seen, *now, NO_BAR)
            for token_id in portfolio.holdings
            if seen is not None and token_id not in views
        },
        benchmark=(
            archive.last_prices(sorted(followed), *now) if _starts_day(portfolio, as_of) else {}
        ),
    )


def _starts_day(portfolio: Portfolio, slot: datetime) -> bool:
    """Check whether a slot is the first marked slot of its UTC day."""
    return portfolio.marked is None or portfolio.marked[0].date() != slot.date()


def may_look_at_held(rules: Rules) -> bool:
    """Check whether a decision may need more than bars of a held token that nothing concerns."""
    return _busy_needs(rules) != Wanted() or rules.sizing.category_max is not None


def _last_settlement(portfolio: Portfolio) -> Now | None:
    if portfolio.settled_slot is None or portfolio.settled_until is None:
        return None
    return portfolio.settled_slot, portfolio.settled_until


def _busy_needs(rules: Rules) -> Wanted:
    """Find which data a token needs that is held or has a waiting order, and is no candidate."""
    hooks, ratchets = rules.hooks, rules.exits.ratchet_to_support
    if rules.entry.reentry is not Reentry.NEVER or (
        hooks is not None and hooks.extra_exits is not None
    ):
        # A position that closes in this cycle may make its token a candidate again.
        return EVERYTHING
    days = (
        hooks is not None
        or rules.gates.correlation_max is not None
        or rules.exits.trailing_atr is not None
        or rules.limits.volatility_shock is not None
        or (ratchets and rules.levels.strong_min is not None)
    )
    return Wanted(levels=ratchets, days=days)


def _view(
    archive: Archive, token_id: TokenId, now: Now, wanted: Wanted, told: Told, rules: Rules
) -> TokenView:
    compared = wanted.measures and rules.gates.price_disagreement_max is not None
    watched = wanted.measures and rules.gates.frozen_hours_max is not None
    return TokenView(
        instrument=archive.instruments[token_id],
        episode=told.episode,
        price=archive.price(token_id, *now),
        levels=archive.levels(token_id, *now) if wanted.levels else None,
        quantmetrics=archive.quantmetrics(token_id, *now) if wanted.measures else None,
        grades=archive.grades(token_id, *now) if wanted.measures else None,
        market=archive.market(token_id, *now) if wanted.measures else None,
        days=archive.days(token_id, *now) if wanted.days else (),
        prints=told.prints,
        finer=told.finer,
        last_traded=told.last_traded,
        close=archive.close(token_id, *now) if compared else None,
        moved_at=archive.moved_at(token_id, *now) if watched else None,
        followed=told.followed,
    )


def _finer(
    archive: Archive,
    token_id: TokenId,
    prints: Iterable[Bar],
    portfolio: Portfolio,
    rules: Rules,
    now: Now,
) -> tuple[Bar, ...]:
    """Read the finer bars of prints that may hold stop and target, if the strategy uses them."""
    if rules.fills.same_bar is not SameBar.FINER_BARS:
        return ()
    asked = worth_asking(portfolio, token_id, prints)
    return tuple(one for bar in asked for one in archive.finer(token_id, bar, *now))


def _with_namesakes(
    archive: Archive, tokens: Iterable[TokenId], views: dict[TokenId, TokenView]
) -> dict[TokenId, TokenView]:
    """Set on each view how many of the run's tokens share its symbol, if more than one does."""
    if not views:
        return views
    symbols = Counter(archive.instruments[token_id].symbol for token_id in tokens)
    return {
        token_id: (
            replace(view, namesakes=count)
            if (count := symbols[view.instrument.symbol]) > 1
            else view
        )
        for token_id, view in views.items()
    }


def _anchored_views(
    archive: Archive, portfolio: Portfolio, rules: Rules
) -> dict[OrderId, TokenView]:
    """Build again the views that waiting entries anchored at their fill were decided on."""
    found: dict[OrderId, TokenView] = {}
    for order in portfolio.waiting(Role.ENTRY):
        # Only an entry whose bracket is anchored at its fill carries the equity of its slot.
        if order.equity is not None and order.cut_off is not None:
            then = (order.slot, order.cut_off)
            told = Told(archive.episode(order.token_id, *then))
            found[order.order_id] = _view(archive, order.token_id, then, EVERYTHING, told, rules)
    return found
