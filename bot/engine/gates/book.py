"""Gates on the whole book: whether it may enter at all, what it holds, and what it can still add.

A position that an accepted exit is closing does not count; a waiting accepted entry does.
"""

from decimal import Decimal

from bot.domain.decisions import Comparator, Reason
from bot.domain.ids import TokenId
from bot.domain.numbers import MICRO, ONE, ZERO
from bot.domain.orders import Role, Side
from bot.engine.account import list_staying, sum_notional
from bot.engine.ages import hours_between
from bot.engine.candidates import is_held
from bot.engine.gates.findings import Finding, Proposal, compare, lacking
from bot.engine.indicators import correlation as correlation_of
from bot.engine.sizing import lacks_drawdown, lacks_volume, needs_volatility


def kill_switch(proposal: Proposal) -> Finding | None:
    """Refuse every entry while an operator has paused the run; give no row otherwise."""
    if not proposal.portfolio.paused:
        return None
    return Finding(ONE, Comparator.IS, ZERO, passed=False, reason="paused")


def halts(proposal: Proposal) -> Finding | None:
    """Count the tripped breakers; the reason is the one that tripped first."""
    if not proposal.rules.limits.breakers:
        return None
    tripped = list(proposal.portfolio.breakers)
    reason = tripped[0] if tripped else None
    return Finding(Decimal(len(tripped)), Comparator.IS, ZERO, passed=not tripped, reason=reason)


def no_position(proposal: Proposal) -> Finding:
    """Refuse a token that is held or waits for its entry."""
    held = is_held(proposal.portfolio, proposal.view.instrument.token_id, proposal.bracket.side)
    return Finding(ONE if held else ZERO, Comparator.IS, ZERO, passed=not held)


def cooldown(proposal: Proposal, least: Decimal) -> Finding:
    """Measure the hours since the token's last losing exit."""
    loss_at = proposal.portfolio.memory_of(proposal.view.instrument.token_id).loss_at
    since = None if loss_at is None else hours_between(loss_at, proposal.as_of)
    return Finding(since, Comparator.AT_LEAST, least, passed=since is None or since >= least)


def positions(proposal: Proposal, most: int) -> Finding:
    """Count the positions that would be open, with the waiting entries and this one."""
    portfolio = proposal.portfolio
    places = len(list_staying(portfolio)) + len(portfolio.waiting(Role.ENTRY)) + 1
    return Finding(Decimal(places), Comparator.AT_MOST, Decimal(most), passed=places <= most)


def exposure(proposal: Proposal, most: Decimal) -> Finding:
    """Compute the exposure with this entry: the notional of longs and shorts over equity."""
    if proposal.size is None or proposal.reference is None:
        return compare(None, Comparator.AT_MOST, most, _why_no_size(proposal))
    if proposal.equity <= ZERO:
        return Finding(None, Comparator.AT_MOST, most, passed=False)
    before = sum_notional(proposal.portfolio, proposal.prices)
    total = (before + proposal.size.quantity * proposal.reference) / proposal.equity
    return Finding(total, Comparator.AT_MOST, most, passed=total <= most)


def correlation(proposal: Proposal, most: Decimal) -> Finding:
    """Find the largest correlation with another token that is held or entering.

    The correlation with a position on the other side is negated.
    """
    found: list[Decimal] = []
    for token_id, side in _others(proposal):
        view = proposal.views.get(token_id)
        measured = correlation_of(proposal.view.days, view.days) if view else None
        if measured is None:
            return compare(None, Comparator.AT_MOST, most, Reason.MISSING_BARS)
        # Two positions on opposite sides offset each other when their tokens move together.
        found.append(measured * proposal.bracket.side.sign * side.sign)
    largest = max(found, default=None)
    return Finding(largest, Comparator.AT_MOST, most, passed=largest is None or largest <= most)


def _others(proposal: Proposal) -> list[tuple[TokenId, Side]]:
    """List the other tokens that are held or entering, with their sides."""
    portfolio, own = proposal.portfolio, proposal.view.instrument.token_id
    held = [(token_id, holding.position.side) for token_id, holding in list_staying(portfolio)]
    entering = [(order.token_id, order.side) for order in portfolio.waiting(Role.ENTRY)]
    return [(token_id, side) for token_id, side in (*held, *entering) if token_id != own]


def notional(proposal: Proposal) -> Finding:
    """Compare the notional with its minimum; without one, with the smallest step of money."""
    least = proposal.rules.sizing.notional_min or ZERO
    comparator = Comparator.AT_LEAST if least else Comparator.ABOVE
    if proposal.size is None or proposal.reference is None:
        return compare(None, comparator, least, _why_no_size(proposal))
    found = proposal.size.quantity * proposal.reference
    return Finding(found, comparator, least, passed=found >= max(least, MICRO))


def _why_no_size(proposal: Proposal) -> Reason:
    if lacks_volume(proposal.view, proposal.rules):
        return Reason.MISSING_MARKET
    if lacks_drawdown(proposal.view, proposal.rules):
        return Reason.MISSING_QUANTMETRICS
    if needs_volatility(proposal.rules) and proposal.reference is not None:
        return Reason.MISSING_VOLATILITY
    return lacking(proposal, Reason.NO_STOP)
