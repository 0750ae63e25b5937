"""The input and the answer of a gate.

A missing input fails its gate but leaves the candidate open, so that a later slot judges it again;
a price that no rule found is a final answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import eq, ge, gt, le
from types import MappingProxyType
from typing import Any, NamedTuple

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


Gate = Callable[[Proposal], Finding | None]
Bounded = Callable[[Proposal, Any], Finding]
COMPARED: Mapping[Comparator, Callable[[Decimal, Decimal], bool]] = MappingProxyType(
    {Comparator.AT_LEAST: ge, Comparator.AT_MOST: le, Comparator.ABOVE: gt, Comparator.IS: eq}
)


def compare(value: Decimal | None, how: Comparator, bound: Decimal, missing: Reason) -> Finding:
    """Compare a value with a bound.

    missing: why there is no value; a missing input leaves the candidate open, a missing stop or
    target does not.
    """
    if value is None:
        unready = missing not in {Reason.NO_STOP, Reason.NO_TARGET}
        return Finding(None, how, bound, passed=False, reason=missing, unready=unready)
    return Finding(value, how, bound, passed=COMPARED[how](value, bound))


def lacking(proposal: Proposal, reason: Reason) -> Reason:
    """Explain a missing value: without a price, it is not judged yet."""
    return Reason.MISSING_PRICE if proposal.reference is None else reason
