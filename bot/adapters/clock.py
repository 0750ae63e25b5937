"""The wall clock, and a clock that is stepped by hand for demonstrations.

Every instant is aware and UTC; no other module of the package reads the wall clock.
"""

import threading
from datetime import UTC, datetime, timedelta

STEP = timedelta(milliseconds=1)


class SystemClock:
    """The wall clock."""

    def now(self) -> datetime:
        """Read the current instant."""
        return datetime.now(UTC)


class SteppedClock:
    """A clock that advances a millisecond when read, or when it is set; it never goes back."""

    def __init__(self, start: datetime) -> None:
        """Start at an instant."""
        self._at = start
        self._lock = threading.Lock()

    @property
    def at(self) -> datetime:
        """The current instant; reading it does not advance the clock.

        A simulated provider reads it, so that its reads do not change the time of the program.
        """
        return self._at

    def now(self) -> datetime:
        """Read the instant and advance, so that no two readings are equal."""
        with self._lock:
            at = self._at
            self._at = at + STEP
        return at

    def set(self, at: datetime) -> None:
        """Advance to an instant; ignore one that has passed."""
        with self._lock:
            self._at = max(self._at, at)
