"""The snapshot of a cycle, taken from an archive.

It holds only the tokens that a settlement or a decision looks at, as known by the cut-off.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from bot.app.cycle.setup import RunSetup
from bot.domain.events import Request
from bot.domain.ids import OrderId, TokenId
from bot.domain.market import Bar, Quote
from bot.domain.orders import Role
from bot.domain.portfolio import AT_MARKET, Portfolio
from bot.domain.reach import EVERY_BAR, NO_BAR
from bot.domain.signals import Episode
from bot.domain.snapshot import NotAskedFor, Snapshot, TokenView
from bot.engine.candidates import is_due
from bot.engine.finer import worth_asking
from bot.engine.horizon import reach_of
from bot.engine.needs import Input
from bot.ports import Archive

Now = tuple[datetime, datetime]


class Told(NamedTuple):
    """The parts of a token's view that are read before the view is built; see TokenView."""

    episode: Episode | None
    prints: tuple[Bar, ...] = ()
    finer: tuple[Bar, ...] = ()
    last_traded: Quote | None = None
    followed: bool = True


# What hooks read is unknown, so they get all of these of a candidate.
HOOKED = frozenset({Input.LEVELS, Input.QUANTMETRICS, Input.GRADES, Input.MARKET, Input.DAYS})
UNREAD: Mapping[Input, Any] = MappingProxyType({name: NotAskedFor(name.value) for name in Input})


def gather(
    archive: Archive,
    setup: RunSetup,
    portfolio: Portfolio,
    as_of: datetime,
    cut_off: datetime,
    requests: Iterable[Request] = (),
    asked: Iterable[TokenId] | None = None,
) -> Snapshot:
    """Build a slot's snapshot; asked: the tokens to look at, None means all followed or held."""
    rules, demand, now = setup.rules, setup.demand, (as_of, cut_off)
    seen = _last_settlement(portfolio)
    waiting = frozenset(order.token_id for role in AT_MARKET for order in portfolio.waiting(role))
    busy = waiting | portfolio.holdings.keys()
    followed = frozenset(setup.universe)
    of_candidate = _inputs_to_read(frozenset(demand.inputs).union(HOOKED if rules.hooks else ()))
    of_held = _inputs_to_read(demand.of_held) & of_candidate
    views: dict[TokenId, TokenView] = {}
    candidates = False
    for token_id in sorted(busy.union(followed) if asked is None else waiting.union(asked)):
        episode = archive.episode(token_id, *now)
        due = token_id in followed and is_due(portfolio, episode, rules)
        candidates |= due
        if due or token_id in busy:
            told = Told(episode, followed=token_id in followed)
            if seen is not None and token_id in busy:
                # A waiting order needs every bar, and so does a stop that follows bars.
                full = token_id in waiting or demand.takes_every_bar
                told = _add_prints(archive, setup, portfolio, told, token_id, seen, now, full=full)
            wanted = of_candidate if due else of_held
            view = _view(archive, token_id, now, wanted, told)
            # Nothing is bought at a price from before: the newest fetch must have brought one.
            lacking = token_id not in busy and archive.lacks_quote(token_id, cut_off)
            views[token_id] = replace(view, price=None) if lacking else view
    return Snapshot(
        as_of=as_of,
        cut_off=cut_off,
        interval=setup.interval,
        tokens=_with_namesakes(archive, followed | busy, views) if candidates else views,
        requests=tuple(requests),
        granted=_anchored_views(archive, portfolio, of_candidate),
        passed={
            token_id: archive.prints(token_id, seen, *now, NO_BAR)
            for token_id in portfolio.holdings
            if seen is not None and token_id not in views
        },
        benchmark=_first_prices(archive, portfolio, followed, now),
    )


def _inputs_to_read(inputs: frozenset[Input]) -> frozenset[Input]:
    """Add the grades where trader grades are needed: these stand in the grades or in the signal."""
    return inputs | {Input.GRADES} if Input.TRADER_GRADES in inputs else inputs


def _add_prints(
    archive: Archive,
    setup: RunSetup,
    portfolio: Portfolio,
    told: Told,
    token_id: TokenId,
    seen: Now,
    now: Now,
    *,
    full: bool,
) -> Told:
    """Add the prints of a held or waiting token that were not settled yet."""
    holding = portfolio.holdings.get(token_id)
    reach = EVERY_BAR
    if holding is not None and not full:
        reach = reach_of(portfolio, holding, setup.rules)
    prints = archive.prints(token_id, seen, *now, reach)
    finer: tuple[Bar, ...] = ()
    if Input.FINER in setup.demand.inputs:
        within = worth_asking(portfolio, token_id, prints)
        finer = tuple(one for bar in within for one in archive.finer(token_id, bar, *now))
    traded = None if holding is None else archive.active_price(token_id, *seen)
    return told._replace(prints=prints, finer=finer, last_traded=traded)


def _first_prices(
    archive: Archive, portfolio: Portfolio, followed: Iterable[TokenId], now: Now
) -> Mapping[TokenId, float | None]:
    """Read the last prices at the first marked slot of a UTC day; nothing at any other slot."""
    if portfolio.marked is not None and portfolio.marked[0].date() == now[0].date():
        return {}
    return archive.last_prices(sorted(followed), *now)


def _last_settlement(portfolio: Portfolio) -> Now | None:
    if portfolio.settled_slot is None or portfolio.settled_until is None:
        return None
    return portfolio.settled_slot, portfolio.settled_until


def _view(
    archive: Archive, token_id: TokenId, now: Now, wanted: frozenset[Input], told: Told
) -> TokenView:
    """Build a token's view; what is not wanted of it cannot be read."""

    def read(name: Input, ask: Callable[[TokenId, datetime, datetime], Any]) -> Any:
        return ask(token_id, *now) if name in wanted else UNREAD[name]

    return TokenView(
        instrument=archive.instruments[token_id],
        episode=told.episode,
        price=archive.price(token_id, *now),
        levels=read(Input.LEVELS, archive.levels),
        quantmetrics=read(Input.QUANTMETRICS, archive.quantmetrics),
        grades=read(Input.GRADES, archive.grades),
        market=read(Input.MARKET, archive.market),
        days=read(Input.DAYS, archive.days),
        close=read(Input.CLOSE, archive.close),
        moved_at=read(Input.MOVED_AT, archive.moved_at),
        prints=told.prints,
        finer=told.finer,
        last_traded=told.last_traded,
        followed=told.followed,
    )


def _with_namesakes(
    archive: Archive, tokens: Iterable[TokenId], views: dict[TokenId, TokenView]
) -> dict[TokenId, TokenView]:
    """Set on each view how many of the run's tokens share its symbol, if more than one does."""
    symbols = Counter(archive.instruments[token_id].symbol for token_id in tokens)
    found = dict(views)
    for token_id, view in views.items():
        if (count := symbols[view.instrument.symbol]) > 1:
            found[token_id] = replace(view, namesakes=count)
    return found


def _anchored_views(
    archive: Archive, portfolio: Portfolio, wanted: frozenset[Input]
) -> dict[OrderId, TokenView]:
    """Build again the views that waiting entries anchored at their fill were decided on."""
    found: dict[OrderId, TokenView] = {}
    for order in portfolio.waiting(Role.ENTRY):
        if order.is_anchored_at_fill and order.cut_off is not None:
            then = (order.slot, order.cut_off)
            told = Told(archive.episode(order.token_id, *then))
            found[order.order_id] = _view(archive, order.token_id, then, wanted, told)
    return found
