"""Slots of a five-field cron, all in UTC: the only arithmetic on schedules.

Weekdays are cron's (0 and 7 are Sunday); day of month and day of week together are refused, since cron joins them by or
and the scheduler by and.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bot.domain.errors import ConfigError
from bot.domain.instants import MICROSECOND

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY = re.compile(r"(?<![/\d])([0-7])(?:-([0-7]))?(?:/([1-7]))?(?!\d)")
_LOOK_BACK = tuple(timedelta(hours=hours) for hours in (0.05, 2, 48, 24 * 35, 24 * 366, 24 * 366 * 5))


def _name_weekdays(item: re.Match[str]) -> str:
    """Spell a weekday, a range of them or every so many of them by name, as cron means them."""
    first, last, step = item.groups()
    days = range(int(first), int(last or (7 if step else first)) + 1, int(step or 1))
    return ",".join(dict.fromkeys(_WEEKDAYS[day] for day in days))


def trigger_of(cron: str) -> "CronTrigger":
    """Read a five-field cron; raises ConfigError naming it."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow, and most replays have no schedule

    fields = cron.split()
    if len(fields) != 5:  # noqa: PLR2004 - minute, hour, day, month, weekday
        message = f"schedule {cron!r}: write five fields (minute hour day month weekday), UTC"
        raise ConfigError(message)
    if fields[2] != "*" and fields[4] != "*":
        message = f"schedule {cron!r}: give a day of month or a day of week, not both"
        raise ConfigError(message)
    fields[4] = _WEEKDAY.sub(_name_weekdays, re.sub(r"^\*/", "0-6/", fields[4]))
    try:
        return CronTrigger.from_crontab(" ".join(fields), timezone=UTC)
    except ValueError as error:
        message = f"schedule {cron!r}: {error}"
        raise ConfigError(message) from None


def slots_between(cron: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the slots from start to end, both inclusive."""
    trigger = trigger_of(cron)
    found = []
    slot = trigger.get_next_fire_time(None, start)
    while slot is not None and slot <= end:
        found.append(slot)
        slot = trigger.get_next_fire_time(slot, slot + MICROSECOND)
    return found


def newest_slot(cron: str, now: datetime) -> datetime | None:
    """Return the last slot at or before now; None where the schedule has had none in five years."""
    for span in _LOOK_BACK:
        found = slots_between(cron, now - span, now)
        if found:
            return found[-1]
    return None


def interval_of(cron: str, slot: datetime) -> timedelta:
    """Return the time from a slot to the next one."""
    following: datetime | None = trigger_of(cron).get_next_fire_time(slot, slot + MICROSECOND)
    if following is None:
        message = f"schedule {cron!r} has no slot after {slot:%Y-%m-%d %H:%M}Z"
        raise ConfigError(message)
    return following - slot
