"""Slots of a five-field cron, all in UTC: the only arithmetic on schedules.

Weekdays are cron's (0 and 7 are Sunday); day of month and day of week together are refused, since cron joins them by or
and the scheduler by and.
"""

import re
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from bot.domain.errors import ConfigError

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK_BACK = tuple(timedelta(hours=hours) for hours in (0.05, 2, 48, 24 * 35, 24 * 366, 24 * 366 * 5))
_INSTANT = timedelta(microseconds=1)


def trigger_of(cron: str) -> CronTrigger:
    """Read a five-field cron; raises ConfigError naming it."""
    fields = cron.split()
    if len(fields) != 5:  # noqa: PLR2004 - minute, hour, day, month, weekday
        message = f"schedule {cron!r}: write five fields (minute hour day month weekday), UTC"
        raise ConfigError(message)
    if fields[2] != "*" and fields[4] != "*":
        message = f"schedule {cron!r}: give a day of month or a day of week, not both"
        raise ConfigError(message)
    if step := re.fullmatch(r"\*/([1-7])", fields[4]):
        fields[4] = ",".join(_WEEKDAYS[: 7 : int(step.group(1))])
    fields[4] = re.sub(r"(?<![/\d])[0-7](?!\d)", lambda digit: _WEEKDAYS[int(digit.group())], fields[4])
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
        slot = trigger.get_next_fire_time(slot, slot + _INSTANT)
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
    following: datetime | None = trigger_of(cron).get_next_fire_time(slot, slot + _INSTANT)
    if following is None:
        message = f"schedule {cron!r} has no slot after {slot:%Y-%m-%d %H:%M}Z"
        raise ConfigError(message)
    return following - slot
