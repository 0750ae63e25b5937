"""Instants as people write them: ISO 8601, in UTC when no zone is given.

A date without a time means the whole day: a window begins at its first instant and ends at its
last.
"""

from datetime import UTC, date, datetime, time


def first_instant(written: str | date) -> datetime:
    """Read an instant in UTC; a date alone means its 00:00. Raises ValueError for other texts."""
    return _instant(written, time.min)


def last_instant(written: str | date) -> datetime:
    """Read an instant in UTC; a date alone means 1 microsecond before the next 00:00.

    So a window that ends on a day includes the day's last slot and excludes the next midnight.
    Raises ValueError for other texts.
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
        raise ValueError(f"{written} lies outside the calendar in UTC") from error
