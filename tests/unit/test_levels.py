"""Levels as a decision reads them: too old, merged, weighed by their touches, and written down."""

from decimal import Decimal

import pytest

from bot.domain.ids import CandidateId, TokenId
from bot.domain.market import Bar, Level, LevelSet
from bot.domain.numbers import plain
from bot.domain.snapshot import TokenView
from bot.engine.levels import candidate_levels, read_levels
from bot.engine.rules import LevelRules
from tests.notation import DAY, HOUR, price
from tests.proposals import RUN, SLOT, view_of


def known(*levels: str, days: tuple[Bar, ...] = (), age_hours: int = 0) -> TokenView:
    """Make a token with levels, each a price and where given its strength: `95 0.4`."""
    words = [text.split() for text in levels]
    made = tuple(Level(price(first), Decimal(rest[0]) if rest else None) for first, *rest in words)
    at = SLOT - age_hours * HOUR
    return view_of(levels=LevelSet(token_id=TokenId(1), published_at=at, known_at=at, levels=made), days=days)


def read(view: TokenView, **rules: str) -> list[str]:
    """Read the levels and tell them as `price strength (source) xN`."""
    found = read_levels(view, LevelRules(**{key: Decimal(value) for key, value in rules.items()}), SLOT)
    assert found.levels is not None
    return [
        " ".join(
            [
                plain(level.price),
                *([] if level.strength is None else [plain(level.strength), "bars" if level.computed else "given"]),
                *([f"x{level.merged}"] if level.merged > 1 else []),
            ]
        )
        for level in found.levels.levels
    ]


def test_without_rules_the_view_stays_as_it_is() -> None:
    """Nothing set, or nothing known: the same view, whatever its age."""
    view = known("95", "95.1", age_hours=9999)
    assert read_levels(view, LevelRules(), SLOT) is view
    unknown = view_of()
    assert read_levels(unknown, LevelRules(merge_fraction=Decimal("0.01")), SLOT) is unknown
    apart = known("90", "100")
    assert read_levels(apart, LevelRules(merge_fraction=Decimal("0.01")), SLOT) is apart


def test_a_set_too_old_counts_as_none() -> None:
    """Published 48 hours before the slot it still counts at two days; a little older, or at fewer days, it does not."""
    two = LevelRules(age_max_days=Decimal(2))
    assert read_levels(known("95", age_hours=48), two, SLOT).levels is not None
    assert read_levels(known("95", age_hours=49), two, SLOT).levels is None
    assert read_levels(known("95", age_hours=48), LevelRules(age_max_days=Decimal("1.99")), SLOT).levels is None


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (("100", "101"), ["100.5 x2"]),  # 101 is within one percent of 100
        (("100", "101.01"), ["100", "101.01"]),
        (("100", "101", "101.5"), ["100.5 x2", "101.5"]),  # near 101, but not near the lowest of its group
        (("100", "100.4", "101", "120", "121"), ["100.466666666666666667 x3", "120.5 x2"]),
        (("100 0.2", "101 0.7", "200 0.1"), ["100.5 0.7 given x2", "200 0.1 given"]),
        (("100", "101 0.3"), ["100.5 0.3 given x2"]),  # one of them has a strength: that is theirs
    ],
)
def test_near_levels_are_one(levels: tuple[str, ...], expected: list[str]) -> None:
    """Within one percent of the lowest of their group: one level at their plain mean, as strong as the strongest."""
    assert read(known(*levels), merge_fraction="0.01") == expected


def day(age: int, low: str, high: str) -> Bar:
    """Make a day that ended so many days before the slot."""
    end = SLOT - age * DAY
    return Bar(end - DAY, end, price(low), price(high), price(low), price(high))


TOUCHED = (day(60, "100", "110"), day(30, "100.5", "104"), day(0, "90", "99.5"), day(0, "100.6", "110"))


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ((), "100 0 bars"),
        (TOUCHED[2:3], "100 0.5 bars"),  # 1 - 0.5^1: its high is on the edge of half a percent
        (TOUCHED[3:], "100 0 bars"),  # just outside
        (TOUCHED[1:2], "100 0.292893 bars"),  # 1 - 0.5^0.5
        (TOUCHED[:1], "100 0.159104 bars"),  # 1 - 0.5^0.25
        (TOUCHED, "100 0.702698 bars"),  # 1 - 0.5^1.75
        ((day(0, "99.9", "100.1"),), "100 0.5 bars"),  # low and high near: one touch
        ((day(0, "99.5", "110"),), "100 0.5 bars"),
        ((day(0, "90", "100.5"),), "100 0.5 bars"),
        ((day(0, "99.4", "110"), day(0, "90", "100.6")), "100 0 bars"),
    ],
)
def test_a_level_without_a_strength_gets_one_from_its_touches(days: tuple[Bar, ...], expected: str) -> None:
    """A touch of today weighs 1, one of thirty days ago a half; the strength is 1 - 0.5^(their sum)."""
    assert read(known("100", days=days), strong_min="0.5") == [expected]


def test_the_reach_of_a_touch_is_that_of_merging() -> None:
    """With a merge fraction of one percent a day that turned at 100.9 has touched 100; the merged price is touched."""
    today = (day(0, "100.9", "110"),)
    assert read(known("100", days=today), strong_min="0.5") == ["100 0 bars"]
    assert read(known("100", days=today), strong_min="0.5", merge_fraction="0.01") == ["100 0.5 bars"]
    assert read(known("100", "101", days=today), strong_min="0.5", merge_fraction="0.01") == ["100.5 0.5 bars x2"]


def test_the_providers_strength_stays() -> None:
    """Only the levels without a strength are weighed, and none where no strength is asked for."""
    assert read(known("95 0.4", "100", days=TOUCHED), strong_min="0.5") == ["95 0.4 given", "100 0.702698 bars"]
    assert read(known("95 0.4", "100", days=TOUCHED), age_max_days="9") == ["95 0.4 given", "100"]


def test_the_levels_of_a_candidate_are_written_where_they_differ_from_what_was_recorded() -> None:
    """With merging or strengths each level is a row, numbered from the lowest; without, or without levels, none is."""
    rules = LevelRules(merge_fraction=Decimal("0.01"), strong_min=Decimal("0.5"))
    view = read_levels(known("90 0.4", "100", "101", days=TOUCHED[2:3]), rules, SLOT)
    name = CandidateId("cand-1")
    rows = candidate_levels(name, RUN, SLOT, view, rules)
    assert [(row.number, row.price, row.strength, row.strength_source, row.merged) for row in rows] == [
        (0, Decimal(90), Decimal("0.4"), "provider", 1),
        (1, Decimal("100.5"), Decimal("0.5"), "bars", 2),
    ]
    assert {(row.candidate_id, row.run, row.slot) for row in rows} == {(name, RUN, SLOT)}
    merging = LevelRules(merge_fraction=Decimal("0.01"))
    assert [row.strength_source for row in candidate_levels(name, RUN, SLOT, known("100"), merging)] == [None]
    assert candidate_levels(name, RUN, SLOT, view, LevelRules(age_max_days=Decimal(3))) == ()
    assert candidate_levels(name, RUN, SLOT, view_of(), rules) == ()
