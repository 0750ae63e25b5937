"""The placement of stops and targets, before a position exists; a short mirrors a long.

A price outside the allowed window is returned as found, so that its gate can show the number.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice

from bot.domain.amend import amend
from bot.domain.market import Bar, LevelSet
from bot.domain.numbers import PRICE_STEP, ZERO, Price, ceil_to_step, floor_to_step
from bot.domain.orders import Side
from bot.domain.snapshot import TokenView
from bot.engine.brackets import (
    Bracket,
    Found,
    Place,
    TargetShare,
    in_order,
    levels_ahead,
    levels_behind,
    reward_risk,
)
from bot.engine.indicators import atr, sigma
from bot.engine.needs import Declaration, Function, Input, Row, Wakes, table_of
from bot.engine.rules import Fallback, PriceRule, Rules, StopRules, TargetPart, TargetRules, TooFar

THARP = "Tharp, Trade Your Way to Financial Freedom"
Ranked = Sequence[Found | None]
# How far a stop lies from the reference price: its number in the rules, the reference, daily bars.
Distance = Callable[[Decimal, Price, Sequence[Bar]], Decimal | None]
# How far a target lies from it: its number, the reference price, the distance of the stop.
Reward = Callable[[Decimal, Price, Decimal | None], Decimal | None]


def _by_atr(multiple: Decimal, _reference: Price, days: Sequence[Bar]) -> Decimal | None:
    span = atr(days)
    return None if span is None else multiple * span


def _by_sigma(multiple: Decimal, reference: Price, days: Sequence[Bar]) -> Decimal | None:
    daily = sigma(days)
    return None if daily is None else reference * multiple * daily


def _price(
    table: str, rule: PriceRule, formula: str, ask: Function, *needs: Input
) -> tuple[PriceRule, Row[Function]]:
    # A fallback is tried where there is no level, so it cannot be one.
    paths = (table,) if rule is PriceRule.LEVEL else (table, f"{table}.fallback")
    keys = tuple(f'{path}.rule = "{rule}"' for path in paths)
    declared = Declaration(keys=keys, formula=formula, needs=needs, wakes=Wakes.CANDIDATES)
    return rule, Row(ask, declared)


# One row a rule. A level has no distance of its own: the window chooses among the levels.
STOPS: Mapping[PriceRule, Row[Distance | None]] = table_of(
    _price(
        "stop",
        PriceRule.LEVEL,
        "level x (1 - buffer_fraction), of the nearest level behind whose stop lies within"
        " the window [distance_min, distance_max] of the anchor price; nearer and farther"
        " ones are passed over",
        None,
        Input.LEVELS,
    ),
    _price(
        "stop",
        PriceRule.FRACTION,
        "anchor x (1 - fraction)",
        lambda fraction, reference, _days: reference * fraction,
    ),
    _price(
        "stop",
        PriceRule.ATR,
        "anchor - multiple x ATR; ATR = mean of the true ranges of the last 14 whole UTC"
        " days, true range = max(high, previous close) - min(low, previous close), of the"
        " first day on record high - low (Wilder 1978, with a plain mean)",
        _by_atr,
        Input.DAYS,
    ),
    _price(
        "stop",
        PriceRule.SIGMA,
        "anchor x (1 - multiple x sigma), the daily sigma of the bars whatever"
        " `sizing.volatility` says (EWM as in [sizing](#sizing-how-much), without floor);"
        " with fewer than 10 daily returns there is none, and without a fallback the"
        " candidate is refused (`no_stop`)",
        _by_sigma,
        Input.DAYS,
    ),
)
TARGETS: Mapping[PriceRule, Row[Reward | None]] = table_of(
    _price(
        "target",
        PriceRule.LEVEL,
        "level x (1 - buffer_fraction) of the nearest level ahead; if it is not ahead of"
        " the price any more it uses up a rank; if reward over risk is below"
        " `gates.reward_risk_min` the next is tried, up to `rank_max`",
        None,
        Input.LEVELS,
    ),
    _price(
        "target",
        PriceRule.FRACTION,
        "anchor x (1 + fraction)",
        lambda fraction, reference, _risk: fraction * reference,
    ),
    _price(
        "target",
        PriceRule.R_MULTIPLE,
        f"anchor + multiple x R, R = anchor - stop (R as in {THARP})",
        lambda multiple, _reference, risk: None if risk is None else multiple * risk,
    ),
)


def place_bracket(view: TokenView, reference: Price, side: Side, rules: Rules) -> Bracket:
    """Find the stop and the targets of an entry at the reference price."""
    place = Place(reference, side, view.instrument)
    stop = _stop(view, place, rules.stop)
    if stop is not None and (place.away(stop.price) <= ZERO or stop.price <= ZERO):
        stop = None  # rounding moved it to the reference price, or to zero
    bracket = Bracket(
        side=side,
        stop=stop and stop.price,
        stop_source=_source(stop, rules.stop.rule),
        stop_level=stop and stop.level,
    )
    if rules.target.parts:
        return _with_parts(bracket, view, place, rules)
    target = _target(view, place, bracket.stop, rules)
    ratio = None
    if bracket.stop is not None and target is not None:
        ratio = reward_risk(reference, bracket.stop, [TargetShare(target.price)], rules.fills, side)
    return amend(
        bracket,
        target=target and target.price,
        target_source=_source(target, rules.target.rule),
        target_level=target and target.level,
        reward_risk=ratio,
    )


def _source(found: Found | None, rule: PriceRule) -> str | None:
    """Name the rule behind a price; a price that is not wanted has the source `none`."""
    if found is not None:
        return found.source
    return rule.value if rule is PriceRule.NONE else None


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
    near = low is not None and distance < low * reference
    return not near and (high is None or distance <= high * reference)


def _stop(view: TokenView, place: Place, rules: StopRules) -> Found | None:
    if rules.rule is PriceRule.LEVEL:
        found = stop_at_level(view.levels, place, rules)
        if found is not None:
            return found
        for level in islice(levels_behind(view.levels, place.reference, place.side), 1):
            price = place.apply_buffer(level, rules.buffer_fraction)
            found = Found(price, rules.rule.value, level)
    else:
        found = _stop_without_level(rules, place, view)
        if found is not None and _inside(found.price, place, rules):
            return found
    if rules.fallback is not None:
        found = _stop_without_level(rules.fallback, place, view) or found
    if found and rules.too_far is TooFar.CLAMP and not _inside(found.price, place, rules):
        return _clamp(found, place, rules)
    return found


def _stop_without_level(rules: StopRules | Fallback, place: Place, view: TokenView) -> Found | None:
    row = STOPS.get(rules.rule)
    number = rules.fraction if rules.rule is PriceRule.FRACTION else rules.multiple
    if row is None or row.ask is None or number is None:
        return None
    days = view.days if Input.DAYS in row.declaration.needs else ()
    distance = row.ask(number, place.reference, days)
    if distance is None or (price := place.at(distance)) <= ZERO:
        return None
    return Found(place.on_tick(price), rules.rule.value)


def _clamp(found: Found, place: Place, rules: StopRules) -> Found | None:
    """Move a stop to the nearest edge of its window.

    The usual rounding could leave the window again, so the rounding points into the window.
    """
    low, high = rules.distance_min or ZERO, rules.distance_max
    is_far = high is not None and place.away(found.price) > high * place.reference
    edge = place.at((high if high is not None and is_far else low) * place.reference)
    # A long's far edge and a short's near edge are the lower bound of the window: round up there.
    rounded = ceil_to_step if is_far is (place.side is Side.LONG) else floor_to_step
    price = Price(rounded(edge, place.instrument.price_tick or PRICE_STEP))
    return Found(price, TooFar.CLAMP.value, found.level) if price > ZERO else None


def _target(view: TokenView, place: Place, stop: Price | None, rules: Rules) -> Found | None:
    target = rules.target
    if target.rule is not PriceRule.LEVEL:
        return _target_price(target, place, stop)
    last = None
    for found in islice(_at_levels(view.levels, place, target), target.rank_max):
        if found is None:
            continue
        last = found
        if _pays(place, stop, found.price, rules):
            return last
    return (target.fallback and _target_price(target.fallback, place, stop)) or last


def _at_levels(levels: LevelSet | None, place: Place, rules: TargetRules) -> Iterator[Found | None]:
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
    shares = [TargetShare(target)]
    return reward_risk(place.reference, stop, shares, rules.fills, place.side) >= least


def _target_price(rules: TargetRules | Fallback, place: Place, stop: Price | None) -> Found | None:
    """Compute a target that needs no level: a fraction of the reference price or an R-multiple."""
    rule = rules.rule
    number = rules.fraction if rule is PriceRule.FRACTION else rules.multiple
    row = TARGETS.get(rule)
    if row is None or row.ask is None or number is None:
        return None
    distance = row.ask(number, place.reference, None if stop is None else place.away(stop))
    rounded = None if distance is None else place.on_tick(place.at(-distance))
    return Found(rounded, rule.value) if rounded is not None and rounded > ZERO else None


def _with_parts(bracket: Bracket, view: TokenView, place: Place, rules: Rules) -> Bracket:
    """Add several targets, nearest first; add none when one of them cannot be placed."""
    by_rank = any(part.rank is not None for part in rules.target.parts)
    ranked = list(_at_levels(view.levels, place, rules.target)) if by_rank else []
    found: list[Found] = []
    for part in rules.target.parts:
        placed = _part(part, ranked, place, bracket.stop, rules.target)
        if placed is None:
            return bracket
        found.append(placed)
    both = zip(found, rules.target.parts, strict=True)
    parts = in_order(place, [TargetShare(one.price, part.share) for one, part in both])
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
    part: TargetPart, ranked: Ranked, place: Place, stop: Price | None, rules: TargetRules
) -> Found | None:
    if part.rank is None:
        alone = Fallback(rule=PriceRule.R_MULTIPLE, multiple=part.multiple)
        return _target_price(alone, place, stop)
    found = ranked[part.rank - 1] if part.rank <= len(ranked) else None
    return found or (rules.fallback and _target_price(rules.fallback, place, stop)) or None


def is_whole(bracket: Bracket, reference: Price, rules: Rules) -> bool:
    """Check whether a bracket has every price that the rules require, and a stop in the window."""
    if rules.target.rule is not PriceRule.NONE and bracket.target is None:
        return False
    if rules.stop.rule is PriceRule.NONE:
        return True
    return bracket.stop is not None and _in_window(
        bracket.side.sign * (reference - bracket.stop), reference, rules.stop
    )
