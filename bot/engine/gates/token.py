"""Gates on the token itself: its signal, the quality and age of its data, and its measures."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from bot.domain.decisions import Comparator, Reason
from bot.domain.numbers import ONE, ZERO
from bot.domain.snapshot import TokenView
from bot.engine.ages import hours_between
from bot.engine.gates.findings import Bounded, Finding, Proposal, compare
from bot.engine.needs import value_at

Value = Callable[[TokenView], Decimal | None]


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
    return compare(proposal.reference, Comparator.ABOVE, ZERO, Reason.MISSING_PRICE)


def price_disagreement(proposal: Proposal, most: Decimal) -> Finding:
    """Measure how far the price is from the last bar's close, as a fraction of the close."""
    price, close = proposal.reference, proposal.view.close
    missing = Reason.MISSING_PRICE if price is None else Reason.MISSING_BARS
    distance = None
    if price is not None and close is not None:
        distance = abs(price - close.price) / close.price
    return compare(distance, Comparator.AT_MOST, most, missing)


def frozen_feed(proposal: Proposal, most: Decimal) -> Finding:
    """Measure the hours since the price last differed from the current one."""
    moved_at = proposal.view.moved_at
    hours = None if moved_at is None else hours_between(moved_at, proposal.as_of)
    return compare(hours, Comparator.AT_MOST, most, Reason.MISSING_PRICE)


def freshness(missing: Reason, read_at: Callable[[object], datetime | None]) -> Bounded:
    """Build the gate on the age of an input; one that is too old leaves the candidate open."""

    def gate(proposal: Proposal, most: Decimal) -> Finding:
        at = read_at(proposal.view)
        age = None if at is None else hours_between(at, proposal.as_of)
        found = compare(age, Comparator.AT_MOST, most, missing)
        return found._replace(unready=not found.passed)

    return gate


def threshold(missing: Reason, value: Value, comparator: Comparator) -> Bounded:
    """Build the gate that compares a value of the token with its threshold."""
    return lambda proposal, bound: compare(value(proposal.view), comparator, bound, missing)


def trader_grade(view: TokenView) -> Decimal | None:
    """Choose the trader grade; the grade of the signal when there is no other."""
    if view.grades is not None and view.grades.trader_grade is not None:
        return view.grades.trader_grade
    return view.episode.latest.grade if view.episode else None


def read(path: str) -> Callable[[object], Any]:
    """Build the function that reads one value by its path; None when it is not known."""
    names = tuple(path.split("."))
    return lambda view: value_at(view, names)
