"""How much to buy: a rule's notional, cut by every cap; the bound that held is named.

Quantity is rounded down to the instrument's step and never bumped up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from bot.domain.numbers import ONE, QUANTITY_MAX, ZERO, Price, Quantity, floor_to_step
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket, paid_per_unit, proceeds_per_unit
from bot.engine.indicators import annual_sigma
from bot.engine.rules import FillRules, Rules, SizeRule, VolatilitySource


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A quantity in base units and the bound that set it."""

    quantity: Quantity
    bound: str


def volatility(view: TokenView, source: VolatilitySource) -> Decimal | None:
    """Return the annualised volatility to size by; None while an estimate that the source names is missing."""
    lifetime = view.quantmetrics.volatility if view.quantmetrics else None
    if source is VolatilitySource.QUANTMETRICS:
        return lifetime
    recent = annual_sigma(view.days)
    if source is VolatilitySource.BARS or recent is None:
        return recent
    return None if lifetime is None else max(lifetime, recent)


def lacks_volume(view: TokenView, rules: Rules) -> bool:
    """Tell whether a cap by traded volume has no volume to go by."""
    return rules.sizing.volume_share_max is not None and (view.market is None or view.market.volume_24h is None)


def needs_volatility(rules: Rules) -> bool:
    """Tell whether the size depends on volatility."""
    return rules.sizing.rule is SizeRule.INVERSE_VOLATILITY


def risk_per_unit(reference: Price, bracket: Bracket, fills: FillRules) -> Decimal | None:
    """Return what one unit loses at its stop, costs included; None without a stop."""
    if bracket.stop is None:
        return None
    return paid_per_unit(reference, fills) - proceeds_per_unit(bracket.stop, fills)


def size_entry(
    view: TokenView, reference: Price, bracket: Bracket, equity: Decimal, free_cash: Decimal, rules: Rules
) -> Size | None:
    """Return the size of an entry at the reference price; None where a needed measure is missing."""
    ruled = _ruled_notional(view, reference, bracket, equity, rules)
    if ruled is None or lacks_volume(view, rules):
        return None
    notional, bound = ruled, rules.sizing.rule.value
    for cap, name in _caps(view, reference, bracket, equity, free_cash, rules):
        if cap < notional:
            notional, bound = cap, name
    quantity = floor_to_step(max(notional, ZERO) / reference, view.instrument.quantity_step)
    return Size(quantity=Quantity(quantity), bound=bound)


def _ruled_notional(
    view: TokenView, reference: Price, bracket: Bracket, equity: Decimal, rules: Rules
) -> Decimal | None:
    sizing = rules.sizing
    match sizing.rule:
        case SizeRule.INVERSE_VOLATILITY:
            sigma = volatility(view, sizing.volatility)
            if sigma is None or sizing.target_volatility is None or not rules.limits.positions_max:
                return None
            floored = sigma if sizing.volatility_floor is None else max(sigma, sizing.volatility_floor)
            if floored <= ZERO:
                return None
            return equity * sizing.target_volatility / floored / rules.limits.positions_max
        case SizeRule.RISK_FRACTION:
            risk = risk_per_unit(reference, bracket, rules.fills)
            return (
                None
                if risk is None or sizing.risk_fraction is None
                else equity * sizing.risk_fraction / risk * reference
            )
        case SizeRule.FIXED_NOTIONAL:
            return sizing.notional
        case SizeRule.FIXED_FRACTION:
            return None if sizing.fraction is None else equity * sizing.fraction
        case _:
            return None if sizing.quantity is None else sizing.quantity * reference


def _caps(
    view: TokenView, reference: Price, bracket: Bracket, equity: Decimal, free_cash: Decimal, rules: Rules
) -> Iterator[tuple[Decimal, str]]:
    sizing, fills = rules.sizing, rules.fills
    risk = risk_per_unit(reference, bracket, fills)
    if sizing.risk_fraction is not None and risk is not None:
        yield equity * sizing.risk_fraction / risk * reference, "risk_budget"
    if sizing.weight_max is not None:
        yield equity * sizing.weight_max, "weight"
    if sizing.volume_share_max is not None and view.market and view.market.volume_24h is not None:
        yield view.market.volume_24h * sizing.volume_share_max, "volume_share"
    yield reference * QUANTITY_MAX, "quantity_max"
    yield free_cash / (fills.buy * (ONE + fills.fee_fraction)), "cash"
