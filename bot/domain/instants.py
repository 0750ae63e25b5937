"""Lengths of time, and instants as whole microseconds since 1970.

Only columns and statistics use microseconds; all other code uses aware UTC datetimes.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_AN_HOUR = 3_600_000_000
DAY = timedelta(days=1)
HOURS_A_DAY = 24
# Crypto trades every day.
DAYS_A_YEAR = 365
# Daily measures look back this far; archives keep as many days.
DAYS_MAX = 600
