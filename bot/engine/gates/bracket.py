"""Gates on an entry's stop and target, and on a hook's veto.

Distances are fractions of the reference price, positive when a price is on its own side of it.
"""

from dataclasses import replace
from decimal import Decimal

from bot.domain.decisions import Comparator, Reason
from bot.domain.market import LevelSet
from bot.domain.numbers import ONE, ZERO
from bot.engine.brackets import levels_ahead
from bot.engine.gates.findings import Bounded, Finding, Proposal, compare, lacking
from bot.engine.rules import PriceRule


def resistance_distance(proposal: Proposal, least: Decimal) -> Finding:
    """Measure the distance to the next strong level ahead.

    That level is the resistance above a long, or the support below a short.
    """
    levels, reference = proposal.view.levels, proposal.reference
    if levels is None or reference is None:
        missing = Reason.MISSING_LEVELS if levels is None else Reason.MISSING_PRICE
        return compare(None, Comparator.AT_LEAST, least, missing)
    strong = _strong(levels, proposal.rules.levels.strong_min)
    nearest = next(levels_ahead(strong, reference, proposal.bracket.side), None)
    room = None if nearest is None else abs(nearest - reference) / reference
    return Finding(room, Comparator.AT_LEAST, least, passed=room is None or room >= least)


def _strong(levels: LevelSet, least: Decimal | None) -> LevelSet:
    if least is None:
        return levels
    kept = (one for one in levels.levels if one.strength is not None and one.strength >= least)
    return replace(levels, levels=tuple(kept))


def stop(proposal: Proposal) -> Finding | None:
    """Require a stop when the strategy has a stop rule."""
    if proposal.rules.stop.rule is PriceRule.NONE:
        return None
    missing = lacking(proposal, Reason.NO_STOP)
    return compare(proposal.bracket.stop, Comparator.ABOVE, ZERO, missing)


def target(proposal: Proposal) -> Finding | None:
    """Require a target when the strategy has a target rule."""
    if proposal.rules.target.rule is PriceRule.NONE:
        return None
    missing = lacking(proposal, Reason.NO_TARGET)
    return compare(proposal.bracket.target, Comparator.ABOVE, ZERO, missing)


def stop_distance(comparator: Comparator) -> Bounded:
    """Build the gate that compares the distance of the stop with its minimum or maximum."""

    def gate(proposal: Proposal, bound: Decimal) -> Finding:
        price, reference, distance = proposal.bracket.stop, proposal.reference, None
        if price is not None and reference is not None:
            distance = proposal.bracket.side.sign * (reference - price) / reference
        return compare(distance, comparator, bound, lacking(proposal, Reason.NO_STOP))

    return gate


def reward_risk(proposal: Proposal, least: Decimal) -> Finding:
    """Compare reward over risk, costs included, with its minimum."""
    bracket = proposal.bracket
    reason = lacking(proposal, Reason.NO_STOP if bracket.stop is None else Reason.NO_TARGET)
    return compare(bracket.reward_risk, Comparator.AT_LEAST, least, reason)


def veto(proposal: Proposal) -> Finding | None:
    """Refuse a candidate that a hook vetoed or failed on; give no row without such a hook."""
    hooks, said = proposal.rules.hooks, proposal.veto
    if said is None and (hooks is None or not (hooks.veto or hooks.adjust_bracket or hooks.rank)):
        return None
    value = ZERO if said is None else ONE
    return Finding(value, Comparator.IS, ZERO, passed=said is None, reason=said)
