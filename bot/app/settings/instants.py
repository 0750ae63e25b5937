"""Instants as people write them: ISO 8601, UTC where they name no zone.

A date without a time is a whole day, so what begins a window reads its first instant and what ends one its last.
"""

from datetime import UTC, date, datetime, time


def first_instant(written: str | date) -> datetime:
    """Return an instant in UTC; of a date alone the day's first, its 00:00. ValueError: it is neither."""
    return _instant(written, time.min)


def last_instant(written: str | date) -> datetime:
    """Return an instant in UTC; of a date alone the day's last, 1 microsecond before the next 00:00.

    So a window that ends on a day holds the day's last slot, and not the slot of the next midnight.
    """
    return _instant(written, time.max)


def _instant(written: str | date, of_day: time) -> datetime:
    try:
        day = date.fromisoformat(written) if isinstance(written, str) else written
        found = day if isinstance(day, datetime) else datetime.combine(day, of_day)
    except ValueError:
        found = datetime.fromisoformat(str(written))
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        message = f"{written} lies outside the calendar in UTC"
        raise ValueError(message) from error
