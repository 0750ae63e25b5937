"""Lengths of time; only columns and statistics count instants in microseconds since 1970."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MICROSECONDS_AN_HOUR, MICROSECONDS_A_DAY = HOUR // MICROSECOND, DAY // MICROSECOND
HOURS_A_DAY = 24
# Crypto trades every day.
DAYS_A_YEAR = 365
# Daily measures look back this far; archives keep as many days.
DAYS_MAX = 600
