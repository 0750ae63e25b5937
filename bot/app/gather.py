"""The snapshot of a cycle, taken from an archive: only tokens that a decision or a settlement will look at."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from bot.domain.ids import TokenId
from bot.domain.portfolio import Portfolio
from bot.domain.signals import Episode, Stance
from bot.domain.snapshot import Snapshot, TokenView
from bot.engine.candidates import is_due
from bot.engine.rules import Reentry, Rules
from bot.ports import Archive


def gather(
    archive: Archive,
    universe: Iterable[TokenId],
    portfolio: Portfolio,
    rules: Rules,
    as_of: datetime,
    cut_off: datetime,
    interval: timedelta | None,
) -> Snapshot:
    """Freeze what may be known at a slot."""
    busy = {*portfolio.holdings, *(live.order.token_id for live in portfolio.orders.values())}
    views = {}
    followed = frozenset(universe)
    seen = None
    if portfolio.settled_slot is not None and portfolio.settled_until is not None:
        seen = (portfolio.settled_slot, portfolio.settled_until)
    for token_id in sorted(followed | busy):
        episode = archive.episode(token_id, as_of, cut_off)
        if token_id not in followed and episode is not None and episode.turn.stance is Stance.BULLISH:
            episode = None  # what is no longer followed is only settled and closed
        due = token_id in followed and is_due(portfolio, episode, rules)
        if due or token_id in busy:
            # A position that closes in this very cycle may make its token a candidate again.
            judged = due or rules.entry.reentry is not Reentry.NEVER
            views[token_id] = _view(archive, token_id, episode, seen, (as_of, cut_off), judged=judged)
    return Snapshot(as_of=as_of, cut_off=cut_off, interval=interval, tokens=views)


def _view(
    archive: Archive,
    token_id: TokenId,
    episode: Episode | None,
    seen: tuple[datetime, datetime] | None,
    now: tuple[datetime, datetime],
    *,
    judged: bool,
) -> TokenView:
    return TokenView(
        instrument=archive.instruments[token_id],
        episode=episode,
        price=archive.price(token_id, *now),
        levels=archive.levels(token_id, *now) if judged else None,
        quantmetrics=archive.quantmetrics(token_id, *now) if judged else None,
        grades=archive.grades(token_id, *now) if judged else None,
        market=archive.market(token_id, *now) if judged else None,
        days=archive.days(token_id, *now) if judged else (),
        prints=archive.prints(token_id, seen, *now) if seen else (),
    )
