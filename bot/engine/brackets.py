"""Stops and targets, placed before a position exists; a short mirrors a long.

A price outside the allowed window is returned as found, so that its gate can show the number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from bot.domain.amend import amend
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, LevelSet
from bot.domain.numbers import (
    ONE,
    PRICE_STEP,
    ZERO,
    Price,
    ceil_to_step,
    floor_to_step,
    price_half_even,
)
from bot.domain.orders import Side
from bot.domain.snapshot import TokenView
from bot.engine.indicators import atr, sigma
from bot.engine.rules import (
    Fallback,
    FillRules,
    PriceRule,
    Rules,
    StopRules,
    TargetPart,
    TargetRules,
    TooFar,
)


class TargetShare(NamedTuple):
    """One of several targets, with its share of the initial quantity.

    share: None means the rest.
    """

    price: Price
    share: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The stop and target prices of an entry, with the rule and the level behind each.

    A price is None when no rule found one. With several targets, target is the nearest, and parts
    holds all of them, nearest first.
    """

    side: Side = Side.LONG
    stop: Price | None = None
    target: Price | None = None
    stop_source: str | None = None
    target_source: str | None = None
    stop_level: Price | None = None
    target_level: Price | None = None
    reward_risk: Decimal | None = None
    parts: tuple[TargetShare, ...] = ()


def entry_per_unit(reference: Price, fills: FillRules, side: Side) -> Decimal:
    """Compute what a unit entered at the reference price costs a long or pays a short, with fee."""
    return fills.with_entry_fee(fills.entry_price(reference, side), side)


def cash_at_stop(stop: Price, fills: FillRules, side: Side) -> Decimal:
    """Compute what a unit closed at the stop pays a long or costs a short, with fee."""
    return fills.with_exit_fee(fills.exit_price(stop, side), side)


def reward_risk(
    reference: Price, stop: Price, targets: Sequence[TargetShare], fills: FillRules, side: Side
) -> Decimal:
    """Compute reward over risk after costs; several targets are weighted by their shares.

    For a long it is (target x (1 - fee) - paid) / (paid - stop proceeds); a short mirrors it.
    """
    paid = entry_per_unit(reference, fills, side)
    given = sum((part.share for part in targets if part.share is not None), ZERO)
    brought = sum(
        (part.price * (ONE - given if part.share is None else part.share) for part in targets), ZERO
    )
    return (fills.with_exit_fee(brought, side) - paid) / (paid - cash_at_stop(stop, fills, side))


def levels_behind(levels: LevelSet | None, reference: Price, side: Side) -> Iterator[Price]:
    """Yield the levels on the stop's side of the reference price, nearest first.

    For a long these are the supports.
    """
    if levels is None:
        return
    if side is Side.LONG:
        yield from (level.price for level in reversed(levels.levels) if level.price < reference)
    else:
        yield from (level.price for level in levels.levels if level.price > reference)


def levels_ahead(levels: LevelSet | None, reference: Price, side: Side) -> Iterator[Price]:
    """Yield the levels on the target's side of the reference price, nearest first.

    For a long these are the resistances.
    """
    return levels_behind(levels, reference, Side.SHORT if side is Side.LONG else Side.LONG)


class Placed(NamedTuple):
    """A stop or target price, with its rule and the level that it depends on, if there is one."""

    price: Price | None = None
    source: str | None = None
    level: Price | None = None


class Found(NamedTuple):
    """A price that was found, with its rule and its level if there is one."""

    price: Price
    source: str
    level: Price | None = None


class Place(NamedTuple):
    """The reference price, side and instrument that a bracket is placed for.

    Prices are rounded to the instrument's tick: up for a long, down for a short.
    """

    reference: Price
    side: Side
    instrument: Instrument

    def away(self, price: Decimal) -> Decimal:
        """Compute how far a price lies on the stop's side; negative on the target's side."""
        return self.side.sign * (self.reference - price)

    def at(self, distance: Decimal) -> Decimal:
        """Compute the price at a distance on the stop's side."""
        return self.reference - self.side.sign * distance

    def apply_buffer(self, level: Price, fraction: Decimal) -> Price:
        """Move a level by its buffer, down for a long and up for a short."""
        return self.on_tick(level * (ONE - self.side.sign * fraction))

    def on_tick(self, price: Decimal) -> Price:
        """Round a price to the tick."""
        tick = self.instrument.price_tick
        if tick is None or self.side is Side.LONG:
            return price_half_even(ceil_to_step(price, tick))
        return Price(floor_to_step(price, tick))


NOWHERE = Placed()
NOT_WANTED = Placed(source=PriceRule.NONE.value)


def place_bracket(view: TokenView, reference: Price, side: Side, rules: Rules) -> Bracket:
    """Find the stop and the targets of an entry at the reference price."""
    place = Place(reference, side, view.instrument)
    stop = _stop(view, place, rules.stop)
    if stop.price is not None and (place.away(stop.price) <= ZERO or stop.price <= ZERO):
        stop = NOWHERE  # rounding moved it to the reference price, or to zero
    bracket = Bracket(side=side, stop=stop.price, stop_source=stop.source, stop_level=stop.level)
    if rules.target.parts:
        return _with_parts(bracket, view, place, rules)
    target = _target(view, place, stop.price, rules)
    ratio = None
    if stop.price is not None and target.price is not None:
        ratio = reward_risk(reference, stop.price, [TargetShare(target.price)], rules.fills, side)
    return amend(
        bracket,
        target=target.price,
        target_source=target.source,
        target_level=target.level,
        reward_risk=ratio,
    )


def stop_at_level(levels: LevelSet | None, place: Place, rules: StopRules) -> Found | None:
    """Find the nearest stop at a level that lies inside the window."""
    for level in levels_behind(levels, place.reference, place.side):
        price = place.apply_buffer(level, rules.buffer_fraction)
        if _inside(price, place, rules):
            return Found(price, PriceRule.LEVEL.value, level)
    return None


def _inside(price: Price, place: Place, rules: StopRules) -> bool:
    return _in_window(place.away(price), place.reference, rules)


def _in_window(distance: Decimal, reference: Price, rules: StopRules) -> bool:
    low, high = rules.distance_min, rules.distance_max
    return (low is None or distance >= low * reference) and (
        high is None or distance <= high * reference
    )


def _stop(view: TokenView, place: Place, rules: StopRules) -> Placed:
    if rules.rule is PriceRule.NONE:
        return NOT_WANTED
    if rules.rule is PriceRule.LEVEL:
        inside = stop_at_level(view.levels, place, rules)
        if inside is not None:
            return Placed(*inside)
        nearest = islice(levels_behind(view.levels, place.reference, place.side), 1)
        found = [
            Found(place.apply_buffer(level, rules.buffer_fraction), rules.rule.value, level)
            for level in nearest
        ]
    else:
        found = _stop_without_level(rules, place, view.days)
        if found and _inside(found[0].price, place, rules):
            return Placed(*found[0])
    if rules.fallback is not None:
        found = _stop_without_level(rules.fallback, place, view.days) or found
    if not found:
        return NOWHERE
    if rules.too_far is TooFar.CLAMP and not _inside(found[0].price, place, rules):
        return _clamp(found[0], place, rules)
    return Placed(*found[0])


def _stop_without_level(
    rules: StopRules | Fallback, place: Place, days: Sequence[Bar]
) -> list[Found]:
    distance = _stop_distance(rules, place.reference, days)
    if distance is None or (price := place.at(distance)) <= ZERO:
        return []
    return [Found(place.on_tick(price), rules.rule.value)]


def _stop_distance(
    rules: StopRules | Fallback, reference: Price, days: Sequence[Bar]
) -> Decimal | None:
    """Compute the distance of a stop that needs no level; None when its measure is missing."""
    if rules.rule is PriceRule.FRACTION and rules.fraction is not None:
        return reference * rules.fraction
    if (
        rules.rule is PriceRule.ATR
        and rules.multiple is not None
        and (span := atr(days)) is not None
    ):
        return rules.multiple * span
    if (
        rules.rule is PriceRule.SIGMA
        and rules.multiple is not None
        and (daily := sigma(days)) is not None
    ):
        return reference * rules.multiple * daily
    return None


def _clamp(found: Found, place: Place, rules: StopRules) -> Placed:
    """Move a stop to the nearest edge of its window.

    The usual rounding could leave the window again, so the rounding points into the window.
    """
    low, high = (
        (edge or ZERO) * place.reference for edge in (rules.distance_min, rules.distance_max)
    )
    is_far = rules.distance_max is not None and place.away(found.price) > high
    edge = place.at(high if is_far else low)
    # A long's far edge and a short's near edge are the lower bound of the window: round up there.
    rounded = ceil_to_step if is_far is (place.side is Side.LONG) else floor_to_step
    price = Price(rounded(edge, place.instrument.price_tick or PRICE_STEP))
    return Placed(price, TooFar.CLAMP.value, found.level) if price > ZERO else NOWHERE


def _target(view: TokenView, place: Place, stop: Price | None, rules: Rules) -> Placed:
    target = rules.target
    if target.rule is PriceRule.NONE:
        return NOT_WANTED
    if target.rule is not PriceRule.LEVEL:
        return _target_price(target, place, stop)
    last = NOWHERE
    for found in islice(_targets_at_levels(view.levels, place, target), target.rank_max):
        if found is None:
            continue
        last = Placed(*found)
        if _pays(place, stop, found.price, rules):
            return last
    if target.fallback is not None:
        fallback = _target_price(target.fallback, place, stop)
        return fallback if fallback.price is not None else last
    return last


def _targets_at_levels(
    levels: LevelSet | None, place: Place, rules: TargetRules
) -> Iterator[Found | None]:
    """Yield the targets at the levels ahead, by rank.

    Yields None for a level whose buffered price is not ahead any more; it still keeps its rank.
    """
    for level in levels_ahead(levels, place.reference, place.side):
        price = place.apply_buffer(level, rules.buffer_fraction)
        ahead = place.away(price) < ZERO and price > ZERO
        yield Found(price, PriceRule.LEVEL.value, level) if ahead else None


def _pays(place: Place, stop: Price | None, target: Price, rules: Rules) -> bool:
    least = rules.gates.reward_risk_min
    if least is None or stop is None:
        return True
    return (
        reward_risk(place.reference, stop, [TargetShare(target)], rules.fills, place.side) >= least
    )


def _target_price(
    rules: TargetRules | Fallback | TargetPart, place: Place, stop: Price | None
) -> Placed:
    """Compute a target that needs no level: a fraction of the reference price or an R-multiple."""
    if isinstance(rules, TargetPart):
        rule, fraction = PriceRule.R_MULTIPLE, None
    else:
        rule, fraction = rules.rule, rules.fraction
    if rule is PriceRule.FRACTION and fraction is not None:
        price = place.at(-fraction * place.reference)
    elif rule is PriceRule.R_MULTIPLE and rules.multiple is not None and stop is not None:
        price = place.at(-rules.multiple * place.away(stop))
    else:
        return NOWHERE
    rounded = place.on_tick(price)
    return Placed(rounded, rule.value) if rounded > ZERO else NOWHERE


def in_order(place: Place, parts: Sequence[TargetShare]) -> tuple[TargetShare, ...]:
    """Sort targets nearest first and give the last one the rest.

    A target without a share takes what the others leave.
    """
    rest = ONE - sum((part.share for part in parts if part.share is not None), ZERO)
    shared = [part._replace(share=rest) if part.share is None else part for part in parts]
    nearest_first = sorted(shared, key=lambda part: -place.away(part.price))
    return (*nearest_first[:-1], *(part._replace(share=None) for part in nearest_first[-1:]))


def _with_parts(bracket: Bracket, view: TokenView, place: Place, rules: Rules) -> Bracket:
    """Add several targets, nearest first; add none when one of them cannot be placed."""
    ranked = list(_targets_at_levels(view.levels, place, rules.target))
    found: list[Found] = []
    for part in rules.target.parts:
        placed = _part(part, ranked, place, bracket.stop, rules.target)
        if placed.price is None or placed.source is None:
            return bracket
        found.append(Found(placed.price, placed.source, placed.level))
    shares = (part.share for part in rules.target.parts)
    parts = in_order(
        place, [TargetShare(one.price, share) for one, share in zip(found, shares, strict=True)]
    )
    ratio = None
    if bracket.stop is not None:
        ratio = reward_risk(place.reference, bracket.stop, parts, rules.fills, place.side)
    first = max(found, key=lambda one: place.away(one.price))
    return amend(
        bracket,
        target=first.price,
        target_source=first.source,
        target_level=first.level,
        reward_risk=ratio,
        parts=parts,
    )


def _part(
    part: TargetPart,
    ranked: Sequence[Found | None],
    place: Place,
    stop: Price | None,
    rules: TargetRules,
) -> Placed:
    if part.rank is None:
        return _target_price(part, place, stop)
    found = ranked[part.rank - 1] if part.rank <= len(ranked) else None
    if found is not None:
        return Placed(*found)
    return _target_price(rules.fallback, place, stop) if rules.fallback else NOWHERE


def is_whole(bracket: Bracket, reference: Price, rules: Rules) -> bool:
    """Check whether a bracket has every price that the rules require, and a stop in the window."""
    if rules.target.rule is not PriceRule.NONE and bracket.target is None:
        return False
    if rules.stop.rule is PriceRule.NONE:
        return True
    return bracket.stop is not None and _in_window(
        bracket.side.sign * (reference - bracket.stop), reference, rules.stop
    )
