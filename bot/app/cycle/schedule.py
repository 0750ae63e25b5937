"""The slots of five-field crons, in UTC; all arithmetic on schedules is here.

Weekdays count as in cron (0 and 7 are Sunday). A day of month together with a day of week is
refused, because cron joins the two by "or" and the scheduler by "and".
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
# Short spans first: a frequent schedule is found without listing years of slots.
_LOOK_BACK = tuple(timedelta(hours=hours) for hours in (0.05, 2, 48, 24 * 35, 24 * 366, 24 * 366 * 5))


def _name_weekdays(item: re.Match[str]) -> str:
    """Convert a cron weekday, range or step to names, as the scheduler numbers days otherwise."""
    first, last, step = item.groups()
    days = range(int(first), int(last or (7 if step else first)) + 1, int(step or 1))
    return ",".join(dict.fromkeys(_WEEKDAYS[day] for day in days))


def trigger_of(cron: str) -> "CronTrigger":
    """Parse a five-field cron; raises ConfigError that names it."""
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - slow, most replays need none

    fields = cron.split()
    if len(fields) != 5:  # noqa: PLR2004 - minute, hour, day, month, weekday
        raise ConfigError(f"schedule {cron!r}: write five fields (minute hour day month weekday), UTC")
    if fields[2] != "*" and fields[4] != "*":
        raise ConfigError(f"schedule {cron!r}: give a day of month or a day of week, not both")
    # Every n-th day counts from Sunday in cron, and from Monday in the scheduler.
    fields[4] = _WEEKDAY.sub(_name_weekdays, re.sub(r"^\*/", "0-6/", fields[4]))
    try:
        return CronTrigger.from_crontab(" ".join(fields), timezone=UTC)
    except ValueError as error:
        raise ConfigError(f"schedule {cron!r}: {error}") from None


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
