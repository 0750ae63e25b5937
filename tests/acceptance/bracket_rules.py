"""Stop and target prices for the oracle, by the description alone.

A rule that finds no price says so; it never bends one.
"""

from decimal import Decimal
from typing import Any

Odds = tuple[Decimal, Decimal]


def reward_risk(reference: Decimal, stop: Decimal, target: Decimal, odds: Odds) -> Decimal:
    """Return what is gained at the target over what is lost at the stop, after cost and fee."""
    cost, fee = odds
    paid = reference * (1 + cost) * (1 + fee)
    return (target * (1 - fee) - paid) / (paid - stop * (1 - cost) * (1 - fee))


def stop_by_distance(rule: dict[str, Any], reference: Decimal, atr: Decimal | None) -> Decimal | None:
    """Return the stop of a rule that needs no level."""
    if rule["rule"] == "fraction":
        return reference * (1 - Decimal(rule["fraction"]))
    return None if atr is None else reference - Decimal(rule["multiple"]) * atr


def find_stop(
    strategy: dict[str, Any], reference: Decimal, levels: list[Decimal], atr: Decimal | None
) -> Decimal | None:
    """Return the stop price, or None where no rule gives one that is allowed."""
    rule = strategy["stop"]

    def is_allowed(stop: Decimal) -> bool:
        distance = (reference - stop) / reference
        return rule.get("distance_min", 0) <= distance <= rule.get("distance_max", 1) and 0 < stop < reference

    if rule["rule"] == "level":
        for level in sorted((level for level in levels if level < reference), reverse=True):
            stop = level * (1 - Decimal(rule.get("buffer_fraction", 0)))
            if is_allowed(stop):
                return stop
        if "fallback" not in rule:
            return None
        rule_used = rule["fallback"]
    else:
        rule_used = rule
    stop_found = stop_by_distance(rule_used, reference, atr)
    return stop_found if stop_found is not None and is_allowed(stop_found) else None


def target_by_distance(rule: dict[str, Any], reference: Decimal, stop: Decimal) -> Decimal | None:
    """Return the target of a rule that needs no level; None for the rule of that name."""
    if rule["rule"] == "fraction":
        return reference * (1 + Decimal(rule["fraction"]))
    if rule["rule"] == "r_multiple":
        return reference + Decimal(rule["multiple"]) * (reference - stop)
    return None


def find_target(
    strategy: dict[str, Any], reference: Decimal, stop: Decimal, levels: list[Decimal], odds: Odds
) -> tuple[bool, Decimal | None]:
    """Return whether a rule was met, and the target price where it is not `none`."""
    rule = strategy["target"]
    if rule["rule"] != "level":
        return True, target_by_distance(rule, reference, stop)
    least = strategy.get("gates", {}).get("reward_risk_min")
    for level in sorted(level for level in levels if level > reference)[: rule.get("rank_max", 1)]:
        target = level * (1 - Decimal(rule.get("buffer_fraction", 0)))
        if target > reference and (least is None or reward_risk(reference, stop, target, odds) >= least):
            return True, target
    if "fallback" not in rule:
        return False, None
    return True, target_by_distance(rule["fallback"], reference, stop)
