"""Gates on the whole book: whether it may enter at all, what it holds, and what it can still add.

A position that an accepted exit is closing does not count; a waiting accepted entry does.
"""

from decimal import Decimal

from bot.domain.decisions import Comparator, Reason
from bot.domain.ids import TokenId
from bot.domain.numbers import MICRO, ONE, ZERO
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Holding
from bot.engine.ages import hours_between
from bot.engine.candidates import is_held
from bot.engine.gates.findings import Finding, Lacking, Proposal, at_most, lacking
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


def cooldown(proposal: Proposal) -> Finding | None:
    """Measure the hours since the token's last losing exit."""
    least = proposal.rules.entry.cooldown_hours
    if least is None:
        return None
    loss_at = proposal.portfolio.memory_of(proposal.view.instrument.token_id).loss_at
    if loss_at is None:
        return Finding(None, Comparator.AT_LEAST, least, passed=True)
    since = hours_between(loss_at, proposal.as_of)
    return Finding(since, Comparator.AT_LEAST, least, passed=since >= least)


def positions(proposal: Proposal) -> Finding | None:
    """Count the positions that would be open, with the waiting entries and this one."""
    most = proposal.rules.limits.positions_max
    if most is None:
        return None
    places = len(_staying(proposal)) + len(proposal.portfolio.waiting(Role.ENTRY)) + 1
    return Finding(Decimal(places), Comparator.AT_MOST, Decimal(most), passed=places <= most)


def exposure(proposal: Proposal) -> Finding | None:
    """Compute the exposure with this entry: the notional of longs and shorts over equity."""
    most = proposal.rules.limits.exposure_max
    if most is None:
        return None
    if proposal.size is None or proposal.reference is None:
        return Finding(None, Comparator.AT_MOST, most, passed=False, **_why_no_size(proposal))
    if proposal.equity <= ZERO:
        return Finding(None, Comparator.AT_MOST, most, passed=False)
    held = sum((holding.quantity * proposal.prices[token] for token, holding in _staying(proposal)), ZERO)
    granted = sum((order.quantity * order.price for order in proposal.portfolio.waiting(Role.ENTRY)), ZERO)
    total = (held + granted + proposal.size.quantity * proposal.reference) / proposal.equity
    return Finding(total, Comparator.AT_MOST, most, passed=total <= most)


def correlation(proposal: Proposal) -> Finding | None:
    """Find the largest correlation with another token that is held or entering.

    The correlation with a position on the other side is negated.
    """
    most = proposal.rules.gates.correlation_max
    if most is None:
        return None
    found: list[Decimal] = []
    for token_id, side in _others(proposal):
        view = proposal.views.get(token_id)
        measured = correlation_of(proposal.view.days, view.days) if view else None
        if measured is None:
            return at_most(None, most, Reason.MISSING_BARS)
        # Two positions on opposite sides offset each other when their tokens move together.
        found.append(measured * proposal.bracket.side.sign * side.sign)
    if not found:
        return Finding(None, Comparator.AT_MOST, most, passed=True)
    return at_most(max(found), most, Reason.MISSING_BARS)


def _others(proposal: Proposal) -> list[tuple[TokenId, Side]]:
    """List the other tokens that are held or entering, with their sides."""
    held = [(token_id, holding.position.side) for token_id, holding in _staying(proposal)]
    entering = [(order.token_id, order.side) for order in proposal.portfolio.waiting(Role.ENTRY)]
    own = proposal.view.instrument.token_id
    return [(token_id, side) for token_id, side in (*held, *entering) if token_id != own]


def notional(proposal: Proposal) -> Finding:
    """Compare the notional with its minimum; without one, with the smallest step of money."""
    least = proposal.rules.sizing.notional_min or ZERO
    comparator = Comparator.AT_LEAST if least else Comparator.ABOVE
    if proposal.size is None or proposal.reference is None:
        return Finding(None, comparator, least, passed=False, **_why_no_size(proposal))
    found = proposal.size.quantity * proposal.reference
    return Finding(found, comparator, least, passed=found >= max(least, MICRO))


def _why_no_size(proposal: Proposal) -> Lacking:
    if lacks_volume(proposal.view, proposal.rules):
        return {"reason": Reason.MISSING_MARKET, "unready": True}
    if lacks_drawdown(proposal.view, proposal.rules):
        return {"reason": Reason.MISSING_QUANTMETRICS, "unready": True}
    if needs_volatility(proposal.rules) and proposal.reference is not None:
        return {"reason": Reason.MISSING_VOLATILITY, "unready": True}
    return lacking(proposal, Reason.NO_STOP)


def _staying(proposal: Proposal) -> list[tuple[TokenId, Holding]]:
    """List the positions that no accepted exit is closing."""
    closing = {order.position_id for order in proposal.portfolio.waiting(Role.EXIT)}
    return [
        (token_id, holding)
        for token_id, holding in proposal.portfolio.holdings.items()
        if holding.position.position_id not in closing
    ]
