"""The one place that reads the wall clock, and a clock that is stepped by hand for demonstrations.

Every instant is aware and UTC; nothing else in the package asks what time it is.
"""

import threading
from datetime import UTC, datetime, timedelta

STEP = timedelta(milliseconds=1)


class SystemClock:
    """The wall clock."""

    def now(self) -> datetime:
        """Return the current instant."""
        return datetime.now(UTC)


class SteppedClock:
    """A clock that moves when it is read, by a millisecond, and when it is set; it never goes back."""

    def __init__(self, start: datetime) -> None:
        """Start at an instant."""
        self._at = start
        self._lock = threading.Lock()

    @property
    def at(self) -> datetime:
        """The instant, without stepping: for a simulated outside, which must not move our time by being asked."""
        return self._at

    def now(self) -> datetime:
        """Return the instant and step on, so that no two readings are the same."""
        with self._lock:
            at = self._at
            self._at = at + STEP
        return at

    def set(self, at: datetime) -> None:
        """Move on to an instant; one that has passed is ignored."""
        with self._lock:
            self._at = max(self._at, at)
