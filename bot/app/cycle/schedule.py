"""The slots of five-field crons, in UTC; all arithmetic on schedules is here.

Weekdays count as in cron (0 and 7 are Sunday). A day of month together with a day of week is
refused, because cron joins the two by "or" and the scheduler by "and".
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from bot.domain.errors import ConfigError
from bot.domain.instants import MICROSECOND

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY = re.compile(r"(?<![/\d])([0-7])(?:-([0-7]))?(?:/([1-7]))?(?!\d)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_BOUNDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_ITEM = re.compile(r"(?:\*|(\d{1,9})(?:-(\d{1,9}))?)(?:/(\d{1,9}))?")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # of the months, at most
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "hourly": "0 * * * *",
        "daily": "0 0 * * *",
        "midnight": "0 0 * * *",
        "nightly": "0 3 * * *",
        "weekly": "0 0 * * 0",
        "monthly": "0 0 1 * *",
        "yearly": "0 0 1 1 *",
        "annually": "0 0 1 1 *",
    }
)
# Short spans first: a frequent schedule is found without listing years of slots.
_LOOK_BACK = tuple(timedelta(hours=hours) for hours in (0.05, 2, 48, 24 * 35, 24 * 366, 24 * 366 * 5))


def _name_weekdays(item: re.Match[str]) -> str:
    """Convert a cron weekday, range or step to names, as the scheduler numbers days otherwise."""
    first, last, step = item.groups()
    days = range(int(first), int(last or (7 if step else first)) + 1, int(step or 1))
    return ",".join(dict.fromkeys(_WEEKDAYS[day] for day in days))


def refuse_cron(cron: str) -> None:
    """Raise ValueError, with the value and the mend, for what is no cron of five fields."""
    fields = cron.split()
    if len(fields) != len(_BOUNDS):
        word = _WORDS.get(cron.strip().lower().removeprefix("@"))
        if word is None and len(fields) == len(_BOUNDS) + 1:
            word = " ".join(fields[1:])  # the first was meant as seconds
        count = f", it has {len(fields)}" if len(fields) > 1 else ""
        raise ValueError(
            f"{cron[:40]!r} is no cron of five fields (minute hour day month weekday, UTC){count}:"
            f' write "{word or "0 * * * *"}"{"" if word else ", say"}'
        )
    if fields[2] != "*" and fields[4] != "*":
        raise ValueError(f"{cron!r}: give a day of month or a day of week, not both: write * for one of them")
    for (name, low, high), field in zip(_BOUNDS, _number_names(fields), strict=True):
        for item in field.split(","):
            if reason := _find_fault(item, low, high):
                raise ValueError(f"{cron!r}: {name} {item[:20]} {reason}")


def refuse_never(cron: str) -> None:
    """Raise ValueError for a cron whose days come in none of its months."""
    _, _, day, month, _ = _number_names(cron.split())
    days, months = ([int(number) for number in re.findall(r"(?<![/\d])\d+", field)] for field in (day, month))
    if days and months and "-" not in month and min(days) > max(_DAYS[one - 1] for one in months):
        raise ValueError(f"{cron!r}: day {day} never comes in month {month}: choose another day or month")


def _number_names(fields: list[str]) -> list[str]:
    """Write months and weekdays as numbers, and the last day of a month as one that it may be."""
    found = [field.lower() for field in fields]
    for at, names, first in ((3, _MONTHS, 1), (4, _WEEKDAYS, 0)):
        numbers = {name: number for number, name in enumerate(names, first)}  # the later sun, 7
        for name, number in numbers.items():
            found[at] = re.sub(rf"(?<![/\w]){name}\b", str(number), found[at])
    found[2] = re.sub(r"(?<![-/\w])last(?![-/\w])", "28", found[2])
    return found


def _find_fault(item: str, low: int, high: int) -> str | None:
    """Say what is wrong with an item of a field; None if nothing is."""
    found = _ITEM.fullmatch(item)
    if found is None:
        return "is none of *, a number, a range a-b or a step */n: write one of these"
    numbers = [int(text) for text in found.groups()[:2] if text]
    if any(not low <= number <= high for number in numbers):
        return f"is out of range: write {low} to {high}"
    if numbers != sorted(numbers):
        return "goes backwards: swap its ends"
    widest = (numbers[1:] or [high])[0] - (numbers or [low])[0]
    return f"has no such step: write 1 to {widest}" if found[3] and not 1 <= int(found[3]) <= widest else None


def trigger_of(cron: str) -> "CronTrigger":
    """Parse a five-field cron; raises ConfigError that names it."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow, most replays need none

    try:
        refuse_cron(cron)
    except ValueError as error:
        raise ConfigError(f"schedule {error}") from None
    fields = cron.split()
    fields[3:] = _number_names(fields)[3:]
    # Every n-th day counts from Sunday in cron, and from Monday in the scheduler.
    fields[4] = _WEEKDAY.sub(_name_weekdays, re.sub(r"^\*/", "0-6/", fields[4]))
    return CronTrigger.from_crontab(" ".join(fields), timezone=UTC)


def slots_between(cron: str, start: datetime, end: datetime) -> list[datetime]:
    """List the slots from start to end, both inclusive."""
    trigger = trigger_of(cron)
    found = []
    slot = trigger.get_next_fire_time(None, start)
    while slot is not None and slot <= end:
        found.append(slot)
        slot = trigger.get_next_fire_time(slot, slot + MICROSECOND)
    return found


def newest_slot(cron: str, now: datetime) -> datetime | None:
    """Find the last slot at or before now; None where the schedule has had none in five years."""
    for span in _LOOK_BACK:
        found = slots_between(cron, now - span, now)
        if found:
            return found[-1]
    return None


def interval_of(cron: str, slot: datetime) -> timedelta:
    """Compute the time from a slot to the next one; raises ConfigError where none follows."""
    following: datetime | None = trigger_of(cron).get_next_fire_time(slot, slot + MICROSECOND)
    if following is None:
        raise ConfigError(f"schedule {cron!r} has no slot after {slot:%Y-%m-%d %H:%M}Z")
    return following - slot
