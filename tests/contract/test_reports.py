"""`bot why` and `bot explain` on both databases: what was decided, what nearly was, what stops a run, and why."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.adapters.sql.ledger import writing
from bot.adapters.sql.reads import Reader
from bot.app.review.digest import describe_digest, digest, in_force
from bot.app.review.explaining import _is_about, describe_order, explain
from bot.app.review.why import describe_decision, token_in, why
from bot.app.telling.answers import Row
from bot.app.telling.printing import text_of_parts, to_json
from bot.domain.errors import ConfigError
from bot.domain.record import Run
from bot.engine.rules import ActOn, EntryRules, GateRules, PriceRule, Rules, SizeRule, SizingRules, StopRules
from tests.contract.decision_samples import BOTH, SHORT_STOP, THIRTEEN, TWELVE, both_ways
from tests.contract.ledger_samples import TEN, opened
from tests.notation import Tape, Token, at, bars, cycles, grades, levels, signal

EVER = (None, None)
RULES = Rules(
    name="graded",
    entry=EntryRules(act_on=ActOn.STANCE),
    gates=GateRules(trader_grade_min=Decimal(60)),
    stop=StopRules(rule=PriceRule.LEVEL),
    sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(100)),
)
SEVEN = bars("2024-01-01", " | ".join(["100"] * 7))


def graded(token: int, *given: str) -> Token:
    """Make a token that is bullish from one o'clock on, graded each two hours, with levels that we had anew at five."""
    repainted = levels("2024-01-01 05:00", 80, 85, 91, 97, 99, 101, token=token)
    return Token(
        bars=SEVEN,
        signals=[signal("2024-01-01 01:00", "bullish", token)],
        levels=[
            levels("2024-01-01 00:00", 90, 98, 105, token=token),
            replace(repainted, published_at=at("2024-01-01 03:30")),
        ],
        grades=[grades(f"2024-01-01 {2 * number:02d}:00", grade, token) for number, grade in enumerate(given)],
    )


# T1 is entered at its first slot; T2 and T3 are refused at each slot for their grades; of T4 no grade is known; T5 is
# refused at its first slot and entered at its second.
def told_of(decision: Row) -> str:
    """Print a decision."""
    return text_of_parts(describe_decision(decision))


TAPE = Tape({1: graded(1, "70"), 2: graded(2, "30"), 3: graded(3, "57"), 4: graded(4), 5: graded(5, "50", "70")})


def plainly(answer: object) -> Any:
    """Return an answer as its JSON has it, alike on both databases."""
    return json.loads(to_json(answer))


@pytest.fixture
def refused(made_url: str) -> Reader:
    """A ledger of seven cycles of five tokens."""
    records, _ = cycles(RULES, TAPE)
    with writing(made_url, create=True) as book:
        run = Run(name=records[0].cycle.run, strategy="graded", cash=Decimal(10000), identity=None, started_at=TEN)
        book.open_run(run, TAPE.instruments)
        book.keep_config("none", "{}")
        book.commit_all(records)
    return Reader(made_url)


@pytest.fixture
def moved(made_url: str) -> Reader:
    """A ledger with a short and a long, moved stops, a breaker and a request."""
    with writing(made_url, create=True) as book:
        opened(book, BOTH).commit_all(both_ways())
    return Reader(made_url)


def test_the_digest_counts_each_episode_once(refused: Reader) -> None:
    """Twenty-four decisions are five candidates: two entries, two refused for their grade, one without a grade."""
    (row,) = digest(refused, EVER, None)
    counts = {name: row[name] for name in ("run", "cycles", "entries", "candidates", "refused")}
    assert counts == {
        "run": "test",
        "cycles": 7,
        "entries": 2,
        "candidates": 5,
        "refused": {"trader_grade": 2, "missing_grade": 1},
    }
    told = text_of_parts(describe_digest([row])).splitlines()
    assert told[0] == "test: 2 entries in 7 cycles: 5 candidates, 2 trader_grade, 1 missing_grade"
    assert told[-1].startswith("(each episode counts once")


def test_near_misses_come_nearest_first_each_episode_once(refused: Reader) -> None:
    """57 of 60 is off by a twentieth, 50 by a sixth, 30 by a half; what has no value has no distance."""
    (row,) = plainly(digest(refused, EVER, "test"))
    misses = [(miss["symbol"], miss["gate"], miss["value"], miss["distance"]) for miss in row["near_misses"]]
    assert misses == [
        ("T3", "trader_grade", 57, 0.05),
        ("T5", "trader_grade", 50, pytest.approx(1 / 6)),
        ("T2", "trader_grade", 30, 0.5),
    ]
    assert "16.7%" in text_of_parts(describe_digest([row]))


def test_a_turn_that_is_too_old_is_no_near_miss(made_url: str) -> None:
    """U11: refused for its grade at its turn and for its age alone later, it missed by its grade."""
    entry = EntryRules(act_on=ActOn.STANCE, age_max_hours=Decimal("0.5"))
    tape = Tape({3: graded(3, "57", "70")})
    records, _ = cycles(replace(RULES, entry=entry), tape)
    with writing(made_url, create=True) as book:
        run = Run(name=records[0].cycle.run, strategy="graded", cash=Decimal(10000), identity=None, started_at=TEN)
        book.open_run(run, tape.instruments)
        book.keep_config("none", "{}")
        book.commit_all(records)
    reader = Reader(made_url)
    assert "signal_age" in {row["gate"] for row in reader.rows("select gate from v_near_misses", {})}
    (row,) = digest(reader, EVER, None)
    assert [miss["gate"] for miss in row["near_misses"]] == ["trader_grade"]


def test_a_digest_has_a_window(refused: Reader) -> None:
    """Slots before and after it count for nothing; a run without candidates says so."""
    (row,) = digest(refused, (at("2024-01-01 02:00"), at("2024-01-01 03:00")), None)
    assert (row["cycles"], row["entries"], row["candidates"]) == (2, 1, 4)
    (row,) = digest(refused, (at("2024-02-01"), None), None)
    assert text_of_parts(describe_digest([row])).startswith("test: 0 entries in 0 cycles: 0 candidates\n")
    assert text_of_parts(describe_digest([])).startswith("no run yet")


def test_repeats_under_a_decision_are_one_line(refused: Reader) -> None:
    """Six refusals for one reason before the newest are told as one, with their first and last slot."""
    answer = why(refused, "T2", EVER, None)
    assert answer is not None
    (earlier,) = plainly(answer["earlier"])
    assert (earlier["decisions"], earlier["outcome"], earlier["first_reason"]) == (6, "rejected", "trader_grade")
    assert told_of(answer).splitlines()[-1] == "before: 6 x rejected trader_grade, 2024-01-01 01:00 to 06:00"
    first = why(refused, "T2", (None, at("2024-01-01 02:30")), None)
    assert first is not None
    assert told_of(first).splitlines()[-1] == "before: 1 x rejected trader_grade, 2024-01-01 01:00"
    assert why(refused, "T2", (None, at("2024-01-01")), None) is None


def test_a_decision_shows_the_levels_of_its_slot(refused: Reader) -> None:
    """Before the levels were repainted the old ones, then the new ones, nearest first on each side."""
    old, new = (why(refused, "T3", (None, at(f"2024-01-01 {slot}")), None) for slot in ("04:00", "05:00"))
    assert old is not None
    assert new is not None
    assert [row["price"] for row in plainly(old["levels"])] == [90, 98, 105]
    assert "nearest of 3 levels: supports 98, 90; resistances 105" in told_of(old)
    assert "nearest of 6 levels: supports 99, 97, 91; resistances 101" in told_of(new)


def test_an_unknown_symbol_or_run_names_the_nearest(refused: Reader) -> None:
    """A slip is refused with what was probably meant; lower case is no slip."""
    assert token_in(refused, "t2") == {"symbol": "T2"}
    named, numbered = (why(refused, given, EVER, None) for given in ("T2", "2"))
    assert named == numbered is not None
    with pytest.raises(ConfigError, match=r"no token T22 .*did you mean `T2`"):
        why(refused, "T22", EVER, None)
    with pytest.raises(ConfigError, match=r"no token XYZ .*knows T1, T2, T3, T4, T5"):
        why(refused, "XYZ", EVER, None)
    with pytest.raises(ConfigError, match=r"no run tset .*did you mean `test`"):
        digest(refused, EVER, "tset")


def test_a_decision_shows_its_side_its_own_levels_and_how_the_stop_moved(moved: Reader) -> None:
    """A short with merged levels, its trade, and both moves of its stop; the second decision tells of the first."""
    answer = why(moved, "SOL", (None, TEN), None)
    assert answer is not None
    assert answer["side"] == "short"
    assert [(row["price"], row["merged"]) for row in plainly(answer["levels"])] == [(95, 2), (100, 1), (110, 1)]
    assert [(row["price"], row["reason"]) for row in plainly(answer["stop_moves"])] == [
        (103, "trailing_stop"),
        (101, "break_even"),
    ]
    assert told_of(answer).startswith("SOL short at 2024-03-01 10:00:00Z, run both_ways: entered")
    newest = why(moved, "SOL", EVER, "both_ways")
    assert newest is not None
    assert told_of(newest).splitlines()[-1] == "before: 1 x entered, 2024-03-01 10:00"


def test_a_tripped_breaker_is_in_force_until_it_is_reset(moved: Reader) -> None:
    """As of twelve the daily loss stops entries, until tomorrow noon; as of thirteen nothing does."""
    (stop,) = plainly(in_force(moved, TWELVE, None))
    assert (stop["name"], stop["until"]) == ("daily_loss", "2024-03-02T12:00:00.000000Z")
    (row,) = digest(moved, (None, TWELVE), None)
    assert "both_ways: in force since 2024-03-01 12:00:00Z: daily_loss tripped" in text_of_parts(describe_digest([row]))
    assert in_force(moved, THIRTEEN, None) == []
    assert in_force(moved, TWELVE - timedelta(hours=1), None) == []


def test_an_order_is_explained_from_its_decision_to_its_books(moved: Reader) -> None:
    """The stop of a short: the decision that its entry had, its gates and levels, its fill and the four legs of it."""
    answer = plainly(explain(moved, SHORT_STOP.order_id))
    assert (answer["order"]["role"], answer["decision"]["slot"]) == ("stop", "2024-03-01T10:00:00.000000Z")
    assert len(answer["gates"]) == 2
    assert len(answer["levels"]) == 3
    assert [(fill["price"], fill["reason"]) for fill in answer["fills"]] == [(101.07, "break_even")]
    legs = {leg["account"]: leg["amount"] for leg in answer["postings"]}
    assert legs == {"cash": -1011.7107, "fees": 1.0107, "position": 999, "profit": 11.7}
    told = text_of_parts(describe_order(answer))
    assert told.startswith("SOL short stop of run both_ways: filled, break_even; 10 at 101,")
    with pytest.raises(ConfigError, match=r"no order ord-0 .*bot orders"):
        explain(moved, "ord-0")


@pytest.mark.parametrize(
    ("query", "concerned"),
    [
        ("token_id=3,2", True),
        ("token_id=2&limit=100&page=1", True),
        ("token_id=22,12&limit=2", False),
        ("symbol=2&limit=2", False),
    ],
)
def test_an_answer_is_named_for_the_tokens_it_was_asked_about(query: str, concerned: bool) -> None:  # noqa: FBT001 - a table
    """Of several answers of one instant, those whose question named the token."""
    assert _is_about({"query": query}, "2") is concerned
