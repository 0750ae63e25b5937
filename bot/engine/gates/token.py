"""Gates on the token itself: its signal, the quality and age of its data, and its measures."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from operator import attrgetter

from bot.domain.decisions import Comparator, Reason
from bot.domain.numbers import ONE, ZERO
from bot.domain.snapshot import TokenView
from bot.engine.ages import hours_between
from bot.engine.gates.findings import Finding, Gate, Proposal, at_most

Value = Callable[[TokenView], Decimal | None]
Compare = Callable[[Decimal | None, Decimal, Reason], Finding]


def signal_age(proposal: Proposal) -> Finding:
    """Measure the hours since the turn."""
    age = hours_between(proposal.episode.turn.published_at, proposal.as_of)
    most = proposal.rules.entry.age_max_hours
    return Finding(age, Comparator.AT_MOST, most, passed=age <= most)


def lateness(proposal: Proposal) -> Finding | None:
    """Measure the hours from the slot to the cut-off."""
    most = proposal.interval_hours
    if most is None:
        return None
    late = proposal.lateness_hours > most
    return Finding(proposal.lateness_hours, Comparator.AT_MOST, most, passed=not late, unready=late)


def symbol_collision(proposal: Proposal) -> Finding | None:
    """Refuse a token that shares its symbol with other tokens; give no row otherwise."""
    namesakes = proposal.view.namesakes
    return None if namesakes <= 1 else Finding(Decimal(namesakes), Comparator.IS, ONE, passed=False)


def incomplete_history(proposal: Proposal) -> Finding | None:
    """Let a candidate wait while a turn may lie where nobody could read; give no row otherwise."""
    if not proposal.episode.unsure:
        return None
    why = Reason.INCOMPLETE_HISTORY
    return Finding(ONE, Comparator.IS, ZERO, passed=False, reason=why, unready=True)


def reference_price(proposal: Proposal) -> Finding:
    """Require a price."""
    missing = proposal.reference is None
    reason = Reason.MISSING_PRICE if missing else None
    return Finding(
        proposal.reference, Comparator.ABOVE, ZERO, passed=not missing, reason=reason, unready=missing
    )


def price_disagreement(proposal: Proposal) -> Finding | None:
    """Measure how far the price is from the last bar's close, as a fraction of the close."""
    most = proposal.rules.gates.price_disagreement_max
    if most is None:
        return None
    price, close = proposal.reference, proposal.view.close
    if price is None or close is None:
        return at_most(None, most, Reason.MISSING_PRICE if price is None else Reason.MISSING_BARS)
    return at_most(abs(price - close.price) / close.price, most, Reason.MISSING_BARS)


def frozen_feed(proposal: Proposal) -> Finding | None:
    """Measure the hours since the price last differed from the current one."""
    most = proposal.rules.gates.frozen_hours_max
    if most is None:
        return None
    moved_at = proposal.view.moved_at
    hours = None if moved_at is None else hours_between(moved_at, proposal.as_of)
    return at_most(hours, most, Reason.MISSING_PRICE)


def freshness(name: str, missing: Reason, dated: Callable[[Proposal], datetime | None]) -> Gate:
    """Build the gate on the age of an input."""

    def gate(proposal: Proposal) -> Finding | None:
        most = proposal.rules.gates.freshness_hours.get(name)
        if most is None:
            return None
        at = dated(proposal)
        if at is None:
            return at_most(None, most, missing)
        age = hours_between(at, proposal.as_of)
        return Finding(age, Comparator.AT_MOST, most, passed=age <= most, unready=age > most)

    return gate


def threshold(key: str, missing: Reason, value: Value, compare: Compare) -> Gate:
    """Build the gate that compares a value with the threshold under a key of [gates]."""
    configured = attrgetter(key)

    def gate(proposal: Proposal) -> Finding | None:
        bound = configured(proposal.rules.gates)
        return None if bound is None else compare(value(proposal.view), bound, missing)

    return gate


def trader_grade(view: TokenView) -> Decimal | None:
    """Choose the trader grade; the grade of the signal when there is no other."""
    if view.grades is not None and view.grades.trader_grade is not None:
        return view.grades.trader_grade
    return view.episode.latest.grade if view.episode else None


def measure(name: str) -> Value:
    """Build the function that reads one of a token's measures; None when there are none."""
    read = attrgetter(name)
    return lambda view: read(view.quantmetrics) if view.quantmetrics else None
