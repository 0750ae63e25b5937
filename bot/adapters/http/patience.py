"""When a request may go: evenly within the plan's limit, and never while the host asked to wait."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable

MINUTE_SECONDS = 60.0
# So many seconds' worth of requests may go at once after a rest.
BURST_SECONDS = 10
# Requests for a path that may be refused in a row before the others are given up.
REFUSALS_MAX = 3
ALL = ""


class Patience:
    """The places of requests in time; safe to use from several threads."""

    def __init__(
        self, per_minute: int | None, monotonic: Callable[[], float], ages: Iterable[float] = ()
    ) -> None:
        """Begin with the ages in seconds of requests that other processes sent."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._refusals: Counter[str] = Counter()
        # Until when nobody may ask for a path; the empty path stands for all.
        self._until: dict[str, float] = {}
        self._free_at = float("-inf")
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

    def reserve(self, path: str) -> float:
        """Take the next free place for a path, and return the seconds until it comes."""
        with self._lock:
            now = self._monotonic()
            return self._take(now + self.remaining(path)) - now

    def remaining(self, path: str) -> float:
        """Compute for how many seconds the host still wants to be left alone."""
        until = max(self._until.get(place, 0.0) for place in (path, ALL))
        return max(until - self._monotonic(), 0.0)

    def pause(self, seconds: float, path: str) -> None:
        """Let nobody ask for a path for so long: the host refused a request."""
        with self._lock:
            until = self._monotonic() + seconds
            self._until[path] = max(self._until.get(path, until), until)

    def is_lost(self, path: str) -> bool:
        """Check whether so many requests in a row were refused that no more are worth a try."""
        return self._refusals[path] >= REFUSALS_MAX

    def note(self, path: str, *, refused: bool) -> None:
        """Note how a request for a path ended."""
        with self._lock:
            self._refusals[path] = self._refusals[path] + 1 if refused else 0

    def forget(self) -> None:
        """Forget who was refused: a new round of requests begins."""
        self._refusals.clear()

    def _take(self, at: float) -> float:
        """Take the first free place at an instant or after it (the generic cell rate algorithm)."""
        place = max(at, self._free_at - self._slack)
        self._free_at = max(self._free_at, place) + self._gap
        return place
