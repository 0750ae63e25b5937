"""Gates on an entry's stop and target, and on a hook's veto.

Distances are fractions of the reference price, positive when a price is on its own side of it.
"""

from dataclasses import replace
from decimal import Decimal

from bot.domain.decisions import Comparator, Reason
from bot.domain.market import LevelSet
from bot.domain.numbers import ONE, ZERO, Price
from bot.engine.brackets import levels_ahead
from bot.engine.gates.findings import Finding, Proposal, at_least, lacking
from bot.engine.rules import PriceRule


def resistance_distance(proposal: Proposal) -> Finding | None:
    """Measure the distance to the next strong level ahead.

    That level is the resistance above a long, or the support below a short.
    """
    least = proposal.rules.gates.resistance_distance_min
    if least is None:
        return None
    levels, reference = proposal.view.levels, proposal.reference
    if levels is None or reference is None:
        return at_least(None, least, Reason.MISSING_LEVELS if levels is None else Reason.MISSING_PRICE)
    strong = _strong(levels, proposal.rules.levels.strong_min)
    nearest = next(levels_ahead(strong, reference, proposal.bracket.side), None)
    if nearest is None:
        return Finding(None, Comparator.AT_LEAST, least, passed=True)
    return at_least(abs(nearest - reference) / reference, least, Reason.MISSING_LEVELS)


def _strong(levels: LevelSet, least: Decimal | None) -> LevelSet:
    if least is None:
        return levels
    kept = tuple(level for level in levels.levels if level.strength is not None and level.strength >= least)
    return replace(levels, levels=kept)


def stop(proposal: Proposal) -> Finding | None:
    """Require a stop when the strategy has a stop rule."""
    if proposal.rules.stop.rule is PriceRule.NONE:
        return None
    return _require_price(proposal, proposal.bracket.stop, Reason.NO_STOP)


def target(proposal: Proposal) -> Finding | None:
    """Require a target when the strategy has a target rule."""
    if proposal.rules.target.rule is PriceRule.NONE:
        return None
    return _require_price(proposal, proposal.bracket.target, Reason.NO_TARGET)


def _require_price(proposal: Proposal, price: Price | None, reason: Reason) -> Finding:
    if price is not None:
        return Finding(price, Comparator.ABOVE, ZERO, passed=True)
    return Finding(None, Comparator.ABOVE, ZERO, passed=False, **lacking(proposal, reason))


def _stop_distance(proposal: Proposal) -> Decimal | None:
    price, reference = proposal.bracket.stop, proposal.reference
    if price is None or reference is None:
        return None
    return proposal.bracket.side.sign * (reference - price) / reference


def stop_distance_min(proposal: Proposal) -> Finding | None:
    """Compare the distance of the stop with its minimum."""
    least = proposal.rules.stop.distance_min
    if least is None:
        return None
    return _compare(proposal, _stop_distance(proposal), Comparator.AT_LEAST, least, Reason.NO_STOP)


def stop_distance_max(proposal: Proposal) -> Finding | None:
    """Compare the distance of the stop with its maximum."""
    most = proposal.rules.stop.distance_max
    if most is None:
        return None
    return _compare(proposal, _stop_distance(proposal), Comparator.AT_MOST, most, Reason.NO_STOP)


def reward_risk(proposal: Proposal) -> Finding | None:
    """Compare reward over risk, costs included, with its minimum."""
    least = proposal.rules.gates.reward_risk_min
    if least is None:
        return None
    reason = Reason.NO_STOP if proposal.bracket.stop is None else Reason.NO_TARGET
    return _compare(proposal, proposal.bracket.reward_risk, Comparator.AT_LEAST, least, reason)


def _compare(
    proposal: Proposal, value: Decimal | None, comparator: Comparator, threshold: Decimal, reason: Reason
) -> Finding:
    if value is None:
        return Finding(None, comparator, threshold, passed=False, **lacking(proposal, reason))
    passed = value >= threshold if comparator is Comparator.AT_LEAST else value <= threshold
    return Finding(value, comparator, threshold, passed=passed)


def veto(proposal: Proposal) -> Finding | None:
    """Refuse a candidate that a hook vetoed or failed on; give no row without such a hook."""
    hooks, said = proposal.rules.hooks, proposal.veto
    if said is None and (hooks is None or not (hooks.veto or hooks.adjust_bracket or hooks.rank)):
        return None
    return Finding(ZERO if said is None else ONE, Comparator.IS, ZERO, passed=said is None, reason=said)
