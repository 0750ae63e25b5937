"""Levels as a decision uses them: old ones left out, near ones merged, missing strengths computed.

The recorded levels do not change; the result depends on the view and the slot alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from bot.domain.decisions import CandidateLevel
from bot.domain.ids import CandidateId, RunName
from bot.domain.instants import HOURS_A_DAY
from bot.domain.market import Bar, Level, LevelSet
from bot.domain.numbers import EXACT, ONE, ZERO, from_float, price_half_even
from bot.domain.snapshot import TokenView
from bot.engine.ages import hours_between
from bot.engine.needs import Declaration, Input, Wakes
from bot.engine.rules import LevelRules

# By default a day's extreme touches a level within this fraction of it.
TOUCH_FRACTION = Decimal("0.005")
# Of a strength that was not, or was, computed.
SOURCES = ("provider", "bars")
# The weight of a touch halves over this time.
HALF_LIFE = timedelta(days=30)
# Few enough decimals that the math libraries of all machines give the same result.
STRENGTH_DIGITS = 6
STRENGTH = Declaration(
    keys=("levels.strong_min",),
    formula="a strength that the provider does not give is computed from daily bars",
    needs=(Input.DAYS,),
    of_held=(Input.DAYS,),
    only_with=Input.LEVELS,
    wakes=Wakes.CANDIDATES,
)


def read_levels(view: TokenView, rules: LevelRules, as_of: datetime) -> TokenView:
    """Drop levels that are too old at a slot, merge near ones, and compute missing strengths.

    A view whose levels are unknown or were not asked for stays as it is.
    """
    if not isinstance(view.levels, LevelSet):
        return view
    with localcontext(EXACT):
        if rules.age_max_days is not None:
            age = hours_between(view.levels.published_at, as_of)
            if age > rules.age_max_days * HOURS_A_DAY:
                return replace(view, levels=None)
        levels = view.levels.levels
        if rules.merge_fraction is not None:
            levels = tuple(_merge(group) for group in _groups(levels, rules.merge_fraction))
        if rules.strong_min is not None:
            tolerance = TOUCH_FRACTION if rules.merge_fraction is None else rules.merge_fraction
            levels = _weigh(levels, view.days, tolerance, as_of)
        if levels == view.levels.levels:
            return view
        return replace(view, levels=replace(view.levels, levels=levels))


def candidate_levels(
    candidate_id: CandidateId, run: RunName, slot: datetime, view: TokenView, rules: LevelRules
) -> tuple[CandidateLevel, ...]:
    """Build the rows of the levels that a candidate was judged by, lowest first.

    There are none when the levels are used as recorded.
    """
    used_as_recorded = rules.merge_fraction is None and rules.strong_min is None
    if used_as_recorded or not isinstance(view.levels, LevelSet):
        return ()
    return tuple(
        CandidateLevel(
            candidate_id=candidate_id,
            run=run,
            slot=slot,
            number=number,
            price=level.price,
            strength=level.strength,
            strength_source=None if level.strength is None else SOURCES[level.computed],
            merged=level.merged,
        )
        for number, level in enumerate(view.levels.levels)
    )


def _groups(levels: Iterable[Level], fraction: Decimal) -> list[list[Level]]:
    """Group each level with those below it while it is within the fraction of the lowest one."""
    groups: list[list[Level]] = []
    for level in levels:
        if groups and level.price <= groups[-1][0].price * (ONE + fraction):
            groups[-1].append(level)
        else:
            groups.append([level])
    return groups


def _merge(group: Sequence[Level]) -> Level:
    """Merge levels into one at their mean price, with the strength of the strongest."""
    if len(group) == 1:
        return group[0]
    price = price_half_even(sum((level.price for level in group), ZERO) / len(group))
    strengths = (level.strength for level in group if level.strength is not None)
    return Level(price, strength=max(strengths, default=None), merged=len(group))


def _weigh(
    levels: Sequence[Level], days: Sequence[Bar], tolerance: Decimal, as_of: datetime
) -> tuple[Level, ...]:
    """Compute the strength of the levels that have none."""
    weights = [0.5 ** ((as_of - day.closed_at) / HALF_LIFE) for day in days]
    return tuple(
        level._replace(strength=_strength(level, days, weights, tolerance), computed=True)
        if level.strength is None
        else level
        for level in levels
    )


def _strength(level: Level, days: Sequence[Bar], weights: list[float], near: Decimal) -> Decimal:
    """Compute the strength of a level, 0..1, from the number and recency of its touches.

    It is 1 - 0.5^(sum over the days that touched of 0.5^(age in days / 30)). A day touches a level
    when its low or its high is near, because the price turned there.
    """
    low, high = level.price * (ONE - near), level.price * (ONE + near)
    touches = math.fsum(
        weight
        for day, weight in zip(days, weights, strict=True)
        if low <= day.low <= high or low <= day.high <= high
    )
    return from_float(round(1 - 0.5**touches, STRENGTH_DIGITS))
