"""What did not come: asked again after ever longer waits, filled, lost or final, as of each cut-off."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.adapters.shelf.gaps import Gaps
from bot.adapters.tokenmetrics.calls import ApiQuery, Heard, Reply
from bot.adapters.tokenmetrics.feeds import dated_queries, plain_queries, timed_queries
from bot.adapters.tokenmetrics.fields import PlanError
from bot.adapters.tokenmetrics.holes import Holes, Lack, lack_of
from bot.adapters.tokenmetrics.parse import Question
from bot.domain.errors import UpstreamError
from bot.domain.ids import TokenId
from bot.domain.tape import Hole, HoleState

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SLOT = datetime(2025, 4, 10, 9, tzinfo=UTC)
TOKENS = [TokenId(1), TokenId(2)]
NEEDS = frozenset({"trading-signals", "hourly-trading-signals", "price"})


def days(start: int, end: int) -> ApiQuery:
    """Ask for the daily signals of some days of April."""
    (query,) = dated_queries("trading-signals", TOKENS, SLOT.replace(day=start).date(), SLOT.replace(day=end).date())
    return query


def failed(query: ApiQuery, error: Exception | None = None) -> Lack:
    """Let a query fail."""
    made: Any = error or UpstreamError("down")
    lack = lack_of(Heard(query=query, error=made))
    assert lack is not None
    return lack


def test_a_hole_is_asked_again_after_ever_longer_waits() -> None:
    """At the next slot, then after 2, 4, 8 intervals, at most a day; other slots leave it alone."""
    holes, query, slot, waits = Holes(HOUR), days(1, 8), SLOT, []
    for attempt in range(1, 9):
        (hole,) = holes.judge(slot, slot, [], [failed(query)])
        assert (hole.attempts, hole.state) == (attempt, HoleState.OPEN)
        assert hole.next_at is not None
        assert holes.due(hole.next_at - HOUR / 2, NEEDS, []) == []
        (query,) = holes.due(hole.next_at, NEEDS, [])
        waits.append((hole.next_at - slot) // HOUR)
        slot = hole.next_at
    assert waits == [1, 2, 4, 8, 16, 24, 24, 24]


def test_a_hole_is_not_asked_twice_at_one_slot() -> None:
    """A planned query that covers a hole asks for it too, and fills it."""
    holes = Holes(HOUR)
    holes.judge(SLOT, SLOT, [], [failed(days(3, 4))])
    planned = days(1, 8)
    assert holes.due(SLOT + HOUR, NEEDS, [planned]) == []
    assert len(holes.due(SLOT + HOUR, NEEDS, [days(4, 8)])) == 1
    assert holes.due(SLOT + HOUR, frozenset({"price"}), []) == []
    (filled,) = holes.judge(SLOT + HOUR, SLOT + HOUR, [Heard(query=planned)], [])
    assert (filled.state, filled.next_at) == (HoleState.FILLED, None)
    assert holes.due(SLOT + DAY, NEEDS, []) == []


def test_what_the_plan_refuses_is_final() -> None:
    """It is asked no more, and history begins behind it: it hides nothing."""
    (hole,) = Holes(HOUR).judge(SLOT, SLOT, [], [failed(days(1, 8), PlanError("plan"))])
    assert (hole.state, hole.next_at, hole.is_unsure) == (HoleState.FINAL, None, False)


def hourly(*hours: int) -> Heard:
    """Hear hourly signals of these hours of the slot's day."""
    (query,) = timed_queries("hourly-trading-signals", TOKENS, SLOT - 4 * HOUR, SLOT)
    rows = tuple({"TIMESTAMP": SLOT.replace(hour=hour).isoformat()} for hour in hours)
    asked = Question(tokens=frozenset(TOKENS), started_at=SLOT, known_at=SLOT)
    return Heard(query=query, pages=[Reply(request_id="a", asked=asked, rows=rows)], ended=True)


@pytest.mark.parametrize(
    ("heard", "state"), [(hourly(9, 8, 7, 6, 5), HoleState.FILLED), (hourly(9, 8), HoleState.LOST)]
)
def test_a_feed_without_dates_fills_a_hole_only_back_to_what_is_known(heard: Heard, state: HoleState) -> None:
    """An answer that overlaps what was known fills it; one that begins later leaves what lies between lost for good."""
    holes = Holes(HOUR)
    holes.judge(SLOT - HOUR, SLOT - HOUR, [], [failed(heard.query)])
    found = holes.judge(SLOT, SLOT, [heard], [])
    assert found[-1].state is state
    assert holes.due(SLOT + DAY, NEEDS, []) == []
    gaps = Gaps()
    for hole in found:
        gaps.add(hole)
    assert gaps.is_unsure("hourly", None, SLOT) is (state is HoleState.LOST)


def test_a_price_that_did_not_come_is_one_hole_until_one_comes() -> None:
    """Slot after slot without a price is another try of one hole, and the first price fills it."""
    holes, (query,) = Holes(HOUR), plain_queries("price", TOKENS)
    lack = Lack(query=query, tokens={TokenId(2)}, reason="no price")
    first, second = (holes.judge(SLOT + n * HOUR, SLOT + n * HOUR, [Heard(query=query)], [lack])[-1] for n in range(2))
    assert (first.name, first.attempts, second.attempts) == (second.name, 1, 2)
    (filled,) = holes.judge(SLOT + 2 * HOUR, SLOT + 2 * HOUR, [Heard(query=query)], [])
    assert (filled.name, filled.state) == (first.name, HoleState.FILLED)


def test_a_hole_counts_as_it_stood_by_a_cut_off() -> None:
    """What was filled later was missing before: a derivation of the earlier slot sees it so."""
    hole = Hole(
        feed="trading-signals",
        missing="daily",
        tokens=(TokenId(1),),
        starts_at=SLOT - 4 * DAY,
        ends_at=SLOT - 2 * DAY,
        known_at=SLOT,
        state=HoleState.OPEN,
        attempts=1,
        next_at=SLOT + HOUR,
        reason="down",
    )
    gaps = Gaps()
    gaps.add(hole)
    gaps.add(replace(hole, known_at=SLOT + HOUR, state=HoleState.FILLED))
    assert [gaps.is_unsure("daily", None, SLOT + n * HOUR / 2) for n in range(-1, 3)] == [False, True, True, False]
    assert not gaps.is_unsure("daily", SLOT - DAY, SLOT)
    assert gaps.is_unsure("daily", SLOT - DAY - HOUR, SLOT)
    assert not gaps.is_unsure("1d", None, SLOT)
