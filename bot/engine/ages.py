"""Hours between instants, exact: ages are compared with thresholds that people write as decimals."""

from datetime import datetime, timedelta
from decimal import Decimal

from bot.domain.numbers import EXACT


def hours_between(earlier: datetime, later: datetime) -> Decimal:
    """Return later - earlier in hours, negative where later is earlier."""
    return EXACT.divide(Decimal((later - earlier) // timedelta(microseconds=1)), Decimal(3_600_000_000))
