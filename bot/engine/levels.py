"""Levels as a decision reads them: those too old left out, near ones merged, and their strength where none was given.

What was recorded stays as it is; what is read from it is a function of the view and the slot alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext

from bot.domain.decisions import CandidateLevel
from bot.domain.ids import CandidateId, RunName
from bot.domain.market import Bar, Level
from bot.domain.numbers import EXACT, ONE, ZERO, from_float, price_half_even
from bot.domain.snapshot import TokenView
from bot.engine.ages import hours_between
from bot.engine.rules import LevelRules

HOURS_A_DAY = 24
# How far a day's extreme may lie from a level that it touches, as a fraction of the level, where none is set.
TOUCH_FRACTION = Decimal("0.005")
# A touch counts half after so many days.
HALF_LIFE = timedelta(days=30)
# So few decimals that the powers of another machine's library make no difference.
STRENGTH_DIGITS = 6


def read_levels(view: TokenView, rules: LevelRules, as_of: datetime) -> TokenView:
    """Return the view with the levels that count at a slot; without rules, the same view."""
    if view.levels is None:
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
        return view if levels == view.levels.levels else replace(view, levels=replace(view.levels, levels=levels))


def candidate_levels(
    candidate_id: CandidateId, run: RunName, slot: datetime, view: TokenView, rules: LevelRules
) -> tuple[CandidateLevel, ...]:
    """Return the levels that a candidate was judged by, lowest first; nothing where they are as recorded."""
    if view.levels is None or (rules.merge_fraction is None and rules.strong_min is None):
        return ()
    return tuple(
        CandidateLevel(
            candidate_id=candidate_id,
            run=run,
            slot=slot,
            number=number,
            price=level.price,
            strength=level.strength,
            strength_source=None if level.strength is None else "bars" if level.computed else "provider",
            merged=level.merged,
        )
        for number, level in enumerate(view.levels.levels)
    )


def _groups(levels: Iterable[Level], fraction: Decimal) -> list[list[Level]]:
    """Put each level to those below it while it is within the fraction of the lowest of them."""
    groups: list[list[Level]] = []
    for level in levels:
        if groups and level.price <= groups[-1][0].price * (ONE + fraction):
            groups[-1].append(level)
        else:
            groups.append([level])
    return groups


def _merge(group: Sequence[Level]) -> Level:
    """Stand one level for several: at their mean price, as strong as the strongest."""
    if len(group) == 1:
        return group[0]
    return Level(
        price_half_even(sum((level.price for level in group), ZERO) / len(group)),
        strength=max((level.strength for level in group if level.strength is not None), default=None),
        merged=len(group),
    )


def _weigh(levels: Sequence[Level], days: Sequence[Bar], tolerance: Decimal, as_of: datetime) -> tuple[Level, ...]:
    """Give a strength to the levels that have none."""
    weights = [0.5 ** ((as_of - day.closed_at) / HALF_LIFE) for day in days]
    return tuple(
        level._replace(strength=_strength(level, days, weights, tolerance), computed=True)
        if level.strength is None
        else level
        for level in levels
    )


def _strength(level: Level, days: Sequence[Bar], weights: Sequence[float], tolerance: Decimal) -> Decimal:
    """Return 1 - 0.5^(sum over the days that touched of 0.5^(age in days / 30)): touches and their recency, 0..1.

    A day touches a level where its low or its high is near: there the price turned.
    """
    low, high = level.price * (ONE - tolerance), level.price * (ONE + tolerance)
    touches = math.fsum(
        weight for day, weight in zip(days, weights, strict=True) if low <= day.low <= high or low <= day.high <= high
    )
    return from_float(round(1 - 0.5**touches, STRENGTH_DIGITS))
