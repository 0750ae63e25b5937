"""Breakers and operator requests: they block entries, tighten stops or close positions.

A breaker measures marked equity, so open losses count. It stays tripped, across restarts, until its
hours are over or it is resumed by hand; then it measures from the equity of that slot.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

from bot.domain.decisions import EquityMark, Reason
from bot.domain.events import Act, EventKind, EventState
from bot.domain.ids import TokenId
from bot.domain.instants import DAY, MICROSECONDS_AN_HOUR
from bot.domain.market import Bar
from bot.domain.numbers import MICRO, fraction_half_even, plain
from bot.domain.orders import OrderState, Role
from bot.domain.portfolio import Portfolio
from bot.domain.positions import ExitReason
from bot.domain.snapshot import TokenView
from bot.engine.account import drawdown
from bot.engine.exits import leave
from bot.engine.fills import drop_entry
from bot.engine.indicators import sigma
from bot.engine.journal import Journal
from bot.engine.needs import Declaration, Input, Row, Wakes, table_of
from bot.engine.rules import Breaker, BreakerAction, BreakerName
from bot.engine.stops import tighten_stops

Views = Mapping[TokenId, TokenView]
Measure = Callable[[Portfolio, EquityMark, Views], Decimal | None]

BY_HAND = "resumed by hand"
EXITS_GO_ON = "stops, targets and other exits of open positions go on"
TIGHTENED = "no new entries, every stop moved halfway to its price"
ARMED = "tripped breakers are armed again from this slot's equity"
FROM_HIGH = "1 - equity / (highest equity marked since it was armed) >= at"
DONE: Mapping[BreakerAction, str] = MappingProxyType(
    {
        BreakerAction.BLOCK: f"no new entries; {EXITS_GO_ON}, and so do entries already accepted",
        BreakerAction.TIGHTEN: f"{TIGHTENED}; {EXITS_GO_ON}",
        BreakerAction.FLATTEN: "no new entries, accepted ones cancelled,"
        " every position leaves at its next price",
    }
)
NOTHING_TO_CLOSE = "close: the token has neither a position nor an accepted entry, nothing to do"
ASKED: Mapping[Act, str] = MappingProxyType(
    {
        Act.PAUSE: f"paused: no new entries until `bot resume`; {EXITS_GO_ON},"
        " and so do entries already accepted",
        Act.RESUME: f"resumed: entries again, {ARMED}",
        Act.CLOSE: "close: the token's position leaves at its next price,"
        " its accepted entry is cancelled; new entries go on, `bot pause` stops them",
        Act.FLATTEN: "flatten: every position leaves at its next price,"
        " accepted entries are cancelled; new entries go on, `bot pause` stops them",
    }
)


def _daily_loss(portfolio: Portfolio, mark: EquityMark, _views: Views) -> Decimal | None:
    return None if portfolio.day_start is None else drawdown(mark.equity, portfolio.day_start)


def _drawdown(portfolio: Portfolio, mark: EquityMark, _views: Views) -> Decimal | None:
    return drawdown(mark.equity, portfolio.risk_high)


def _loss_streak(portfolio: Portfolio, _mark: EquityMark, _views: Views) -> Decimal | None:
    return Decimal(portfolio.loss_streak)


def _volatility_shock(portfolio: Portfolio, _mark: EquityMark, views: Views) -> Decimal | None:
    """Find the largest move of a held token since the last whole day, in daily sigmas.

    The last whole day is the last before the price. A price at midnight belongs to the day that has
    just ended and is measured from the day before, because daily bars have no other prices. After a
    reset only days that ended later count, so that the same move does not trip the breaker again.
    """
    moves = [
        abs(view.price.price / before[-1].close - 1) / daily
        for token_id in portfolio.holdings
        if (view := views.get(token_id)) and view.price
        if (before := _days_before(view.days, view.price.known_at)) and (daily := sigma(before))
        if portfolio.shock_reset_at is None or before[-1].closed_at > portfolio.shock_reset_at
    ]
    return max(moves, default=None)


def _days_before(days: Sequence[Bar], at: datetime) -> Sequence[Bar]:
    """Select the whole days that ended before an instant."""
    return days[:-1] if days and days[-1].closed_at >= at else days


def _breaker(
    name: BreakerName, formula: str, ask: Measure, needs: tuple[Input, ...] = ()
) -> tuple[BreakerName, Row[Measure]]:
    """Declare a breaker; it is asked at every slot and reads held tokens only."""
    declared = Declaration(
        keys=(f"limits.{name}",), formula=formula, needs=needs, of_held=needs, wakes=Wakes.SLOTS
    )
    return name, Row(ask, declared)


BREAKERS: Mapping[BreakerName, Row[Measure]] = table_of(
    _breaker(
        BreakerName.DAILY_LOSS,
        "1 - equity / (equity of the last mark before 00:00 UTC) >= at; without `hours`"
        " until the next 00:00 UTC",
        _daily_loss,
    ),
    _breaker(BreakerName.DRAWDOWN, FROM_HIGH, _drawdown),
    _breaker(BreakerName.LOSS_STREAK, "net losing trades in a row >= at", _loss_streak),
    _breaker(
        BreakerName.VOLATILITY_SHOCK,
        "for a held token abs(price / close of the last whole day before that price - 1) /"
        " daily sigma up to that day >= at",
        _volatility_shock,
        (Input.DAYS,),
    ),
)


def watch(journal: Journal, mark: EquityMark) -> None:
    """Reset the breakers whose time is over, then trip those whose limit is reached."""
    configured = journal.rules.limits.breakers
    for name, tripped in sorted(journal.portfolio.breakers.items()):
        if name not in configured:
            _reset(journal, name, mark.equity, "is not configured any more")
        elif tripped.until is not None and journal.slot >= tripped.until:
            _reset(journal, name, mark.equity, "its hours are over")
    for name, breaker in configured.items():
        value = BREAKERS[name].ask(journal.portfolio, mark, journal.views)
        if name not in journal.portfolio.breakers and value is not None and value >= breaker.at:
            _trip(journal, name, breaker, value)


def _reset(journal: Journal, name: str, equity: Decimal, why: str) -> None:
    notice = f"{name} reset, {why}: entries again unless something else blocks them"
    # On a later day the daily loss keeps that day's start; on the day of the trip, or when resumed
    # by hand, it is measured from the equity of the reset.
    other_day = journal.portfolio.breakers[name].at.date() != journal.slot.date()
    kept = name == BreakerName.DAILY_LOSS and other_day and why != BY_HAND
    base = None if kept else equity
    journal.happen(EventKind.BREAKER, name, state=EventState.RESET, notice=notice, equity=base)


def _trip(journal: Journal, name: BreakerName, breaker: Breaker, value: Decimal) -> None:
    until = _until(journal.slot, name, breaker)
    lasts = "until `bot resume`" if until is None else f"until {until:%Y-%m-%d %H:%M}Z"
    reached = f"{name} {plain(value.quantize(MICRO))} reached {plain(breaker.at)}"
    journal.happen(
        EventKind.BREAKER,
        name,
        state=EventState.TRIPPED,
        notice=f"{reached}, {lasts}: {DONE[breaker.action]}",
        value=fraction_half_even(value),
        threshold=breaker.at,
        action=breaker.action.value,
        until=until,
    )
    if breaker.action is BreakerAction.FLATTEN:
        _flatten(journal, ExitReason.RISK_BREAKER, Reason.RISK_BREAKER, None)
    elif breaker.action is BreakerAction.TIGHTEN:
        tighten_stops(journal)


def _until(slot: datetime, name: BreakerName, breaker: Breaker) -> datetime | None:
    if breaker.hours is not None:
        return slot + timedelta(microseconds=int(breaker.hours * MICROSECONDS_AN_HOUR))
    if name is BreakerName.DAILY_LOSS:
        return slot.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    return None


def _flatten(journal: Journal, reason: ExitReason, dropped: Reason, only: TokenId | None) -> None:
    """Cancel accepted entries and close every position, or only those of one token."""
    for order in journal.portfolio.waiting(Role.ENTRY):
        if only in {None, order.token_id}:
            drop_entry(journal, order, OrderState.CANCELLED, dropped)
    for token_id in sorted(journal.portfolio.holdings):
        if only in {None, token_id}:
            leave(journal, token_id, reason)


def obey(journal: Journal, mark: EquityMark) -> None:
    """Apply the requests of operators in the order in which they were made."""
    for request in journal.snapshot.requests:
        notice = ASKED[request.act]
        if request.act is Act.CLOSE and not _is_concerned(journal, request.token_id):
            notice = NOTHING_TO_CLOSE
        journal.happen(
            EventKind.OPERATOR,
            request.act.value,
            state=EventState.APPLIED,
            notice=notice,
            token_id=request.token_id,
            request_id=request.request_id,
        )
        if request.act is Act.RESUME:
            for name in sorted(journal.portfolio.breakers):
                _reset(journal, name, mark.equity, BY_HAND)
        elif request.act in {Act.FLATTEN, Act.CLOSE}:
            _flatten(journal, ExitReason.MANUAL, Reason.MANUAL, request.token_id)


def _is_concerned(journal: Journal, token_id: TokenId | None) -> bool:
    waiting = [order.token_id for order in journal.portfolio.waiting(Role.ENTRY)]
    return token_id in journal.portfolio.holdings or token_id in waiting
