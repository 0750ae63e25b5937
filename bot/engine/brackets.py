"""Stops and targets, placed before a position exists.

A price outside the allowed window is returned as it was found; the gates refuse it, so that a refusal shows its number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bot.domain.market import Bar, LevelSet
from bot.domain.numbers import ONE, ZERO, Price, ceil_to_step, floor_to_step, price_half_even
from bot.domain.snapshot import TokenView
from bot.engine.indicators import atr, sigma
from bot.engine.rules import Fallback, FillRules, PriceRule, Rules, StopRules, TargetRules, TooFar


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The two prices that end a position and which rule gave each; None where no rule found one."""

    stop: Price | None = None
    target: Price | None = None
    stop_source: str | None = None
    target_source: str | None = None
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


def place_bracket(view: TokenView, reference: Price, rules: Rules) -> Bracket:
    """Find stop and target of a long entry at the reference price."""
    stop, stop_source = _stop(view, reference, rules.stop)
    if stop is not None and stop >= reference:  # rounded up to the price, or a range of nothing: no stop at all
        stop = stop_source = None
    target, target_source = _target(view, reference, stop, rules)
    ratio = None
    if stop is not None and target is not None and stop < reference:
        ratio = reward_risk(reference, stop, target, rules.fills)
    return Bracket(stop=stop, target=target, stop_source=stop_source, target_source=target_source, reward_risk=ratio)


def _inside(stop: Price, reference: Price, rules: StopRules) -> bool:
    distance = reference - stop
    low, high = rules.distance_min, rules.distance_max
    return (low is None or distance >= low * reference) and (high is None or distance <= high * reference)


def _stop(view: TokenView, reference: Price, rules: StopRules) -> tuple[Price | None, str | None]:
    tick = view.instrument.price_tick
    found: list[tuple[Price, str]] = []
    if rules.rule is PriceRule.LEVEL:
        stops = [_on_tick(level * (ONE - rules.buffer_fraction), tick) for level in supports(view.levels, reference)]
        chosen = next((stop for stop in stops if _inside(stop, reference, rules)), None)
        if chosen is not None:
            return chosen, rules.rule.value
        found = [(stop, rules.rule.value) for stop in stops[:1]]
    elif rules.rule is not PriceRule.NONE:
        found = _priced(_stop_price(rules, reference, view.days), rules.rule, tick)
    if not found or not _inside(found[0][0], reference, rules):
        found = _fallback_stop(rules.fallback, reference, view.days, tick) or found
    if not found:
        return None, PriceRule.NONE.value if rules.rule is PriceRule.NONE else None
    if rules.too_far is TooFar.CLAMP and not _inside(found[0][0], reference, rules):
        return _clamped(found[0][0], reference, rules, tick), TooFar.CLAMP.value
    return found[0]


def _on_tick(price: Decimal, tick: Decimal | None) -> Price:
    return price_half_even(ceil_to_step(price, tick))


def _priced(price: Price | None, rule: PriceRule, tick: Decimal | None) -> list[tuple[Price, str]]:
    return [] if price is None else [(_on_tick(price, tick), rule.value)]


def _fallback_stop(
    fallback: Fallback | None, reference: Price, days: Sequence[Bar], tick: Decimal | None
) -> list[tuple[Price, str]]:
    return [] if fallback is None else _priced(_stop_price(fallback, reference, days), fallback.rule, tick)


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


def _clamped(stop: Price, reference: Price, rules: StopRules, tick: Decimal | None) -> Price:
    low, high = rules.distance_min, rules.distance_max
    if high is not None and reference - stop > high * reference:
        return _on_tick(reference * (ONE - high), tick)
    edge = reference * (ONE - (low or ZERO))  # up from this edge would leave the window
    return Price(edge if tick is None else floor_to_step(edge, tick))


def _target(view: TokenView, reference: Price, stop: Price | None, rules: Rules) -> tuple[Price | None, str | None]:
    target = rules.target
    tick = view.instrument.price_tick
    if target.rule is PriceRule.NONE:
        return None, PriceRule.NONE.value
    if target.rule is not PriceRule.LEVEL:
        price = _target_price(target, reference, stop, tick)
        return price, None if price is None else target.rule.value
    last: Price | None = None
    for level in resistances(view.levels, reference)[: target.rank_max]:
        price = price_half_even(ceil_to_step(level * (ONE - target.buffer_fraction), tick))
        if price <= reference:
            continue
        last = price
        if _pays(reference, stop, price, rules):
            return price, PriceRule.LEVEL.value
    if target.fallback is not None:
        price = _target_price(target.fallback, reference, stop, tick)
        if price is not None:
            return price, target.fallback.rule.value
    return last, None if last is None else PriceRule.LEVEL.value


def _pays(reference: Price, stop: Price | None, target: Price, rules: Rules) -> bool:
    least = rules.gates.reward_risk_min
    if least is None or stop is None or stop >= reference:
        return True
    return reward_risk(reference, stop, target, rules.fills) >= least


def _target_price(
    rules: TargetRules | Fallback, reference: Price, stop: Price | None, tick: Decimal | None
) -> Price | None:
    if rules.rule is PriceRule.FRACTION and rules.fraction is not None:
        return price_half_even(ceil_to_step(reference * (ONE + rules.fraction), tick))
    if rules.rule is PriceRule.R_MULTIPLE and rules.multiple is not None and stop is not None:
        return price_half_even(ceil_to_step(reference + rules.multiple * (reference - stop), tick))
    return None
