"""Slots of a cron: cron's own weekdays, UTC, both ends inclusive, and one clear line for a bad schedule."""

from contextlib import suppress
from datetime import timedelta
from random import Random

import pytest

from bot.app.cycle.schedule import interval_of, newest_slot, slots_between, trigger_of
from bot.domain.errors import ConfigError
from tests.notation import at


def test_both_ends_are_slots() -> None:
    """Hourly from 00:00 to 03:00 has four slots."""
    found = slots_between("0 * * * *", at("2024-01-01"), at("2024-01-01 03:00"))
    assert [slot.hour for slot in found] == [0, 1, 2, 3]


@pytest.mark.parametrize(("weekday", "day"), [("0", 7), ("7", 7), ("1", 1), ("sun", 7), ("5", 5)])
def test_weekdays_are_crons(weekday: str, day: int) -> None:
    """0 and 7 are Sunday, 1 is Monday: 2024-01-01 was a Monday."""
    found = slots_between(f"0 0 * * {weekday}", at("2024-01-01"), at("2024-01-07 12:00"))
    assert [slot.day for slot in found] == [day]


def test_ranges_and_steps_of_weekdays() -> None:
    """1-5 are the working days; */2 counts from Sunday."""
    week = at("2024-01-01"), at("2024-01-07 12:00")
    days = {
        "1-5": [1, 2, 3, 4, 5],
        "*/2": [2, 4, 6, 7],
        "0-6": [1, 2, 3, 4, 5, 6, 7],
        "0-7": [1, 2, 3, 4, 5, 6, 7],
        "1-7/2": [1, 3, 5, 7],
        "1,3": [1, 3],
        "mon-wed": [1, 2, 3],
        "0-Tue": [1, 2, 7],
        "fri-SUN": [5, 6, 7],
        "*/5,*/3": [3, 5, 6, 7],
    }
    for field, expected in days.items():
        assert [slot.day for slot in slots_between(f"0 0 * * {field}", *week)] == expected, field


@pytest.mark.parametrize(
    ("cron", "slot"),
    [
        ("* * * * *", "2024-03-10 10:17"),
        ("*/5 * * * *", "2024-03-10 10:15"),
        ("2 * * * *", "2024-03-10 10:02"),
        ("30 12 * * *", "2024-03-09 12:30"),
        ("0 0 1 * *", "2024-03-01 00:00"),
        ("0 0 29 2 *", "2024-02-29 00:00"),
    ],
)
def test_newest_slot(cron: str, slot: str) -> None:
    """The last slot at or before 10:17:30, however far back."""
    assert newest_slot(cron, at("2024-03-10 10:17") + timedelta(seconds=30)) == at(slot)


def test_a_schedule_that_never_fires_has_no_newest_slot() -> None:
    """The thirtieth of February has not come in five years."""
    assert newest_slot("0 0 30 2 *", at("2024-03-10")) is None


def test_interval_reaches_to_the_next_slot() -> None:
    """Twice a day: eight hours, then sixteen."""
    assert interval_of("0 8,16 * * *", at("2024-01-01 08:00")) == timedelta(hours=8)
    assert interval_of("0 8,16 * * *", at("2024-01-01 16:00")) == timedelta(hours=16)


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "a * * * *", "0 0 1 * 1", "0 0 * * 8", "0 0 * * 3-1"])
def test_a_bad_schedule_is_one_clear_line(cron: str) -> None:
    """Wrong field counts, values, and day of month with day of week are refused by name."""
    with pytest.raises(ConfigError, match="schedule"):
        slots_between(cron, at("2024-01-01"), at("2024-01-02"))


@pytest.mark.parametrize(
    "cron", ["0 0 last feb *", "0 9-17/2 * JAN-mar,12 *", "59 * * * *", "*/59 23 31 12 *", "0 0 29 2 *"]
)
def test_what_is_let_through_is_a_schedule(cron: str) -> None:
    """Names, steps, ranges and the last day: what the check accepts the scheduler can follow."""
    assert interval_of(cron, at("2024-01-01")) > timedelta(0)


def test_no_cron_gets_past_the_check_that_the_scheduler_refuses() -> None:
    """Drawn fields, of which one in six is a schedule: none ends in an error of the scheduler's own."""
    random, accepted = Random(1), 0
    atoms = [*map(str, range(62)), "*", "jan", "Dec", "mon", "SUN", "last", "x", ""]
    for _ in range(3000):
        first, last, step = (random.choice(atoms) for _ in range(3))
        fields = ["*"] * 5
        forms = (first, f"{first}-{last}", f"{first}/{step}", f"{first}-{last}/{step}")
        fields[random.randrange(5)] = random.choice(forms)
        with suppress(ConfigError):
            trigger_of(" ".join(fields))
            accepted += 1
    assert accepted > 300


def test_a_schedule_without_a_next_slot_is_refused() -> None:
    """A date that never comes again has no interval."""
    with pytest.raises(ConfigError, match="no slot after"):
        interval_of("0 0 30 2 *", at("2024-01-01"))
