"""Exact hours between two instants.

Ages must be exact because they are compared with thresholds that people write as decimals.
"""

from datetime import datetime
from decimal import Decimal

from bot.domain.instants import MICROSECOND, MICROSECONDS_AN_HOUR
from bot.domain.numbers import EXACT


def hours_between(earlier: datetime, later: datetime) -> Decimal:
    """Compute later - earlier in hours; negative when later is earlier."""
    return EXACT.divide(Decimal((later - earlier) // MICROSECOND), Decimal(MICROSECONDS_AN_HOUR))
