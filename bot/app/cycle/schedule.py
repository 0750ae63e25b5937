"""The slots of five-field crons, in UTC; all arithmetic on schedules is here.

Weekdays count as in cron (0 and 7 are Sunday). A day of month together with a day of week is
refused, because cron joins the two by "or" and the scheduler by "and".
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bot.domain.errors import ConfigError
from bot.domain.instants import MICROSECOND

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_BOUNDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_ITEM = re.compile(r"(?:\*|(\d{1,9})(?:-(\d{1,9}))?)(?:/(\d{1,9}))?")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # of the months, at most
_WORDS: Mapping[str, str] = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "midnight": "0 0 * * *",
    "nightly": "0 3 * * *",
    "weekly": "0 0 * * 0",
    "monthly": "0 0 1 * *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
# Short spans first: a frequent schedule is found without listing years of slots.
_LOOK_BACK = tuple(timedelta(hours=hours) for hours in (0.05, 2, 48, 840, 8_784, 43_920))


def read_cron(cron: str) -> list[list[int]]:
    """List the numbers of each field; raises ValueError, with the mend, for what is no cron."""
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
        mend = "not both: write * for one of them"
        raise ValueError(f"{cron!r}: give a day of month or a day of week, {mend}")
    found: list[list[int]] = [[] for _ in fields]
    numbered = zip(_BOUNDS, _number_names(fields), found, strict=True)
    for (name, low, high), field, numbers in numbered:
        for item in field.split(","):
            try:
                numbers.extend(_read_item(item, low, high))
            except ValueError as error:
                raise ValueError(f"{cron!r}: {name} {item[:20]} {error}") from None
    return found


def refuse_never(cron: str) -> None:
    """Raise ValueError for what is no cron, and for days that come in none of its months."""
    _, _, days, months, _ = read_cron(cron)
    if min(days) > max(_DAYS[month - 1] for month in months):
        day, month = (",".join(map(str, numbers)) for numbers in (days, months))
        mend = "choose another day or month"
        raise ValueError(f"{cron!r}: day {day} never comes in month {month}: {mend}")


def _number_names(fields: list[str]) -> list[str]:
    """Write months and weekdays as numbers, and the last day of a month as one that it may be."""
    found = [field.lower() for field in fields]
    for at, names, first in ((3, _MONTHS, 1), (4, _WEEKDAYS, 0)):
        numbers = {name: number for number, name in enumerate(names, first)}  # the later sun, 7
        for name, number in numbers.items():
            found[at] = re.sub(rf"(?<![/\w]){name}\b", str(number), found[at])
    found[2] = re.sub(r"(?<![-/\w])last(?![-/\w])", "28", found[2])
    return found


def _read_item(item: str, low: int, high: int) -> range:
    """List the numbers of an item of a field; raises ValueError with what is wrong with it."""
    found = _ITEM.fullmatch(item)
    if found is None:
        raise ValueError("is none of *, a number, a range a-b or a step */n: write one of these")
    first, last, step = (None if text is None else int(text) for text in found.groups())
    start = low if first is None else first
    stop = last if last is not None else start if first is not None and step is None else high
    if not low <= min(start, stop) <= max(start, stop) <= high:
        raise ValueError(f"is out of range: write {low} to {high}")
    if stop < start:
        raise ValueError("goes backwards: swap its ends")
    if step is not None and not 1 <= step <= stop - start:
        raise ValueError(f"has no such step: write 1 to {stop - start}")
    return range(start, stop + 1, step or 1)


def trigger_of(cron: str) -> "CronTrigger":
    """Parse a five-field cron; raises ConfigError that names it."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow, and seldom needed

    try:
        _, _, _, months, weekdays = read_cron(cron)
    except ValueError as error:
        raise ConfigError(f"schedule {error}") from None
    fields = cron.split()
    if fields[3] != "*":
        fields[3] = ",".join(map(str, months))
    if fields[4] != "*":  # the scheduler numbers the days from Monday, cron from Sunday
        fields[4] = ",".join(dict.fromkeys(_WEEKDAYS[day] for day in weekdays))
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
