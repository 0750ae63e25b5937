"""The input and the answer of a gate.

A missing input fails its gate but leaves the candidate open, so that a later slot judges it again;
a price that no rule found is a final answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypedDict

from bot.domain.decisions import Comparator, Reason
from bot.domain.ids import TokenId
from bot.domain.numbers import Price
from bot.domain.portfolio import Portfolio
from bot.domain.signals import Episode
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket
from bot.engine.rules import Rules
from bot.engine.sizing import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An entry as it would be placed now.

    portfolio: as earlier candidates of this slot have left it.
    views: of all tokens of the snapshot.
    veto: why a hook refused the entry, or how a hook failed.
    """

    as_of: datetime
    lateness_hours: Decimal
    interval_hours: Decimal | None
    view: TokenView
    views: Mapping[TokenId, TokenView]
    episode: Episode
    portfolio: Portfolio
    prices: Mapping[TokenId, Price]
    equity: Decimal
    reference: Price | None
    bracket: Bracket
    size: Size | None
    rules: Rules
    veto: str | None = None


class Finding(NamedTuple):
    """The answer of a gate; unready means that a needed input was missing or stale."""

    value: Decimal | None
    comparator: Comparator
    threshold: Decimal | None
    passed: bool
    reason: str | None = None
    unready: bool = False


class Lacking(TypedDict):
    """Why a finding has no value."""

    reason: Reason
    unready: bool


Gate = Callable[[Proposal], Finding | None]


def at_least(value: Decimal | None, least: Decimal, missing: Reason) -> Finding:
    """Compare a value with a minimum; a missing value fails and leaves the candidate open."""
    if value is None:
        return Finding(None, Comparator.AT_LEAST, least, passed=False, reason=missing, unready=True)
    return Finding(value, Comparator.AT_LEAST, least, passed=value >= least)


def at_most(value: Decimal | None, most: Decimal, missing: Reason) -> Finding:
    """Compare a value with a maximum; a missing value fails and leaves the candidate open."""
    if value is None:
        return Finding(None, Comparator.AT_MOST, most, passed=False, reason=missing, unready=True)
    return Finding(value, Comparator.AT_MOST, most, passed=value <= most)


def lacking(proposal: Proposal, reason: Reason) -> Lacking:
    """Explain a missing value: final when there is a price, otherwise not judged yet."""
    if proposal.reference is None:
        return {"reason": Reason.MISSING_PRICE, "unready": True}
    return {"reason": reason, "unready": False}
