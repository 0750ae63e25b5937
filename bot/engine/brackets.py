"""Stops and targets, placed before a position exists.

A price outside the allowed window is returned as it was found; the gates refuse it, so that a refusal shows its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from bot.domain.market import Bar, LevelSet
from bot.domain.numbers import ONE, ZERO, Price, ceil_to_step, floor_to_step, price_half_even
from bot.domain.snapshot import TokenView
from bot.engine.indicators import atr, sigma
from bot.engine.rules import Fallback, FillRules, PriceRule, Rules, StopRules, TargetRules, TooFar


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The two prices that end a position, which rule gave each and from which level; None where no rule found one."""

    stop: Price | None = None
    target: Price | None = None
    stop_source: str | None = None
    target_source: str | None = None
    stop_level: Price | None = None
    target_level: Price | None = None
    reward_risk: Decimal | None = None


def paid_per_unit(reference: Price, fills: FillRules) -> Decimal:
    """Return what one unit bought at the reference price costs, fee included."""
    return reference * fills.buy * (ONE + fills.fee_fraction)


def proceeds_per_unit(stop: Price, fills: FillRules) -> Decimal:
    """Return what one unit sold at its stop brings, fee deducted."""
    return stop * fills.sell * (ONE - fills.fee_fraction)


def reward_risk(reference: Price, stop: Price, target: Price, fills: FillRules) -> Decimal:
    """Return reward over risk after costs: (target x (1 - fee) - paid) / (paid - stop proceeds)."""
    paid = paid_per_unit(reference, fills)
    return (target * (ONE - fills.fee_fraction) - paid) / (paid - proceeds_per_unit(stop, fills))


def supports(levels: LevelSet | None, reference: Price) -> list[Price]:
    """Return the levels below the reference price, nearest first."""
    return [level.price for level in reversed(levels.levels) if level.price < reference] if levels else []


def resistances(levels: LevelSet | None, reference: Price) -> list[Price]:
    """Return the levels above the reference price, nearest first."""
    return [level.price for level in levels.levels if level.price > reference] if levels else []


class Placed(NamedTuple):
    """A price with the rule that gave it, and the level that it hangs on where there is one."""

    price: Price | None = None
    source: str | None = None
    level: Price | None = None


NOWHERE = Placed()
NOT_WANTED = Placed(source=PriceRule.NONE.value)


def place_bracket(view: TokenView, reference: Price, rules: Rules) -> Bracket:
    """Find stop and target of a long entry at the reference price."""
    stop = _stop(view, reference, rules.stop)
    if stop.price is not None and stop.price >= reference:
        stop = NOWHERE  # rounded up to the price, or a range of nothing
    target = _target(view, reference, stop.price, rules)
    ratio = None
    if stop.price is not None and target.price is not None:
        ratio = reward_risk(reference, stop.price, target.price, rules.fills)
    return Bracket(
        stop=stop.price,
        target=target.price,
        stop_source=stop.source,
        target_source=target.source,
        stop_level=stop.level,
        target_level=target.level,
        reward_risk=ratio,
    )


def _inside(placed: Placed, reference: Price, rules: StopRules) -> bool:
    distance = reference - (placed.price or ZERO)
    low, high = rules.distance_min, rules.distance_max
    return (low is None or distance >= low * reference) and (high is None or distance <= high * reference)


def _stop(view: TokenView, reference: Price, rules: StopRules) -> Placed:
    if rules.rule is PriceRule.NONE:
        return NOT_WANTED
    tick = view.instrument.price_tick
    if rules.rule is PriceRule.LEVEL:
        found = [
            Placed(_on_tick(level * (ONE - rules.buffer_fraction), tick), rules.rule.value, level)
            for level in supports(view.levels, reference)
        ]
    else:
        found = _unlevelled(rules, reference, view.days, tick)
    inside = next((placed for placed in found if _inside(placed, reference, rules)), None)
    if inside is not None:
        return inside
    if rules.fallback is not None:
        found = _unlevelled(rules.fallback, reference, view.days, tick) or found
    if not found:
        return NOWHERE
    if rules.too_far is TooFar.CLAMP and not _inside(found[0], reference, rules):
        return _clamped(found[0], reference, rules, tick)
    return found[0]


def _on_tick(price: Decimal, tick: Decimal | None) -> Price:
    return price_half_even(ceil_to_step(price, tick))


def _unlevelled(
    rules: StopRules | Fallback, reference: Price, days: Sequence[Bar], tick: Decimal | None
) -> list[Placed]:
    price = _stop_price(rules, reference, days)
    return [] if price is None else [Placed(_on_tick(price, tick), rules.rule.value)]


def _stop_price(rules: StopRules | Fallback, reference: Price, days: Sequence[Bar]) -> Price | None:
    """Return a stop that needs no level; None where its measure is missing or it would not be positive."""
    if rules.rule is PriceRule.FRACTION and rules.fraction is not None:
        price = reference * (ONE - rules.fraction)
    elif rules.rule is PriceRule.ATR and rules.multiple is not None and (span := atr(days)) is not None:
        price = reference - rules.multiple * span
    elif rules.rule is PriceRule.SIGMA and rules.multiple is not None and (daily := sigma(days)) is not None:
        price = reference * (ONE - rules.multiple * daily)
    else:
        return None
    return Price(price) if price > ZERO else None


def _clamped(placed: Placed, reference: Price, rules: StopRules, tick: Decimal | None) -> Placed:
    low, high = rules.distance_min, rules.distance_max
    if high is not None and reference - (placed.price or ZERO) > high * reference:
        return Placed(_on_tick(reference * (ONE - high), tick), TooFar.CLAMP.value, placed.level)
    edge = reference * (ONE - (low or ZERO))  # up from this edge would leave the window
    return Placed(Price(edge if tick is None else floor_to_step(edge, tick)), TooFar.CLAMP.value, placed.level)


def _target(view: TokenView, reference: Price, stop: Price | None, rules: Rules) -> Placed:
    target, tick = rules.target, view.instrument.price_tick
    if target.rule is PriceRule.NONE:
        return NOT_WANTED
    if target.rule is not PriceRule.LEVEL:
        return _target_price(target, reference, stop, tick)
    last = NOWHERE
    for level in resistances(view.levels, reference)[: target.rank_max]:
        price = _on_tick(level * (ONE - target.buffer_fraction), tick)
        if price <= reference:
            continue
        last = Placed(price, target.rule.value, level)
        if _pays(reference, stop, price, rules):
            return last
    if target.fallback is not None:
        fallback = _target_price(target.fallback, reference, stop, tick)
        return fallback if fallback.price is not None else last
    return last


def _pays(reference: Price, stop: Price | None, target: Price, rules: Rules) -> bool:
    least = rules.gates.reward_risk_min
    if least is None or stop is None:
        return True
    return reward_risk(reference, stop, target, rules.fills) >= least


def _target_price(
    rules: TargetRules | Fallback, reference: Price, stop: Price | None, tick: Decimal | None
) -> Placed:
    if rules.rule is PriceRule.FRACTION and rules.fraction is not None:
        return Placed(_on_tick(reference * (ONE + rules.fraction), tick), rules.rule.value)
    if rules.rule is PriceRule.R_MULTIPLE and rules.multiple is not None and stop is not None:
        return Placed(_on_tick(reference + rules.multiple * (reference - stop), tick), rules.rule.value)
    return NOWHERE
