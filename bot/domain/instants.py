"""Instants as whole microseconds since 1970.

Only columns and statistics use them; all other code uses aware UTC datetimes.
"""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS_AN_HOUR = 3_600_000_000
