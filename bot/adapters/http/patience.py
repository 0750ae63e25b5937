"""When a request may go: evenly within the plan's limit, and never while the host asked to wait."""

import threading
from collections.abc import Callable, Iterable

MINUTE_SECONDS = 60.0
# So many seconds' worth of requests may go at once after a rest.
BURST_SECONDS = 10


class Patience:
    """The places of requests in time; safe to use from several threads.

    refusals: how many waits the host asked for in a row without a good answer between them.
    """

    def __init__(
        self, per_minute: int | None, monotonic: Callable[[], float], ages: Iterable[float] = ()
    ) -> None:
        """Begin with the ages in seconds of requests that other processes sent."""
        self.refusals = 0
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._free_at = self._paused_until = float("-inf")
        self._gap = self._slack = 0.0
        if per_minute:
            # A burst and the even rate after it stay within the limit of any minute together.
            burst = max(1, per_minute * BURST_SECONDS // int(MINUTE_SECONDS))
            self._gap = MINUTE_SECONDS / max(1, per_minute - burst + 1)
            self._slack = self._gap * (burst - 1)
            now = monotonic()
            for age in sorted(ages, reverse=True):
                # A clock that was set back makes requests of the future: they do not count.
                if age >= 0:
                    self._take(now - age)

    def reserve(self) -> float:
        """Take the next free place, and return the seconds until it comes."""
        with self._lock:
            now = self._monotonic()
            return self._take(max(now, self._paused_until)) - now

    def remaining(self) -> float:
        """Compute for how many seconds the host still wants to be left alone."""
        return max(self._paused_until - self._monotonic(), 0.0)

    def pause(self, seconds: float) -> None:
        """Let nobody ask for so long: the host refused a request."""
        with self._lock:
            now = self._monotonic()
            if self._paused_until <= now:
                self.refusals += 1
            self._paused_until = max(self._paused_until, now + seconds)

    def forget(self) -> None:
        """Forget the refusals: a request was answered, or a new round of requests begins."""
        self.refusals = 0

    def _take(self, at: float) -> float:
        """Take the first free place at an instant or after it (the generic cell rate algorithm)."""
        place = max(at, self._free_at - self._slack)
        self._free_at = max(self._free_at, place) + self._gap
        return place
