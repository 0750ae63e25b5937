"""The holes in what is known of one token, as of a cut-off."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from bot.domain.instants import DAY, HOUR
from bot.domain.tape import QUOTE, Hole, HoleState

# How much later a row counts than the instant by which it is asked for.
LATER = {"daily": DAY, "1d": DAY, "hourly": HOUR, "1h": HOUR, QUOTE: timedelta()}


class Gaps:
    """The holes of one token by what is missing; of each hole its states, in order of time."""

    def __init__(self) -> None:
        """Begin without holes."""
        self._states: dict[str, dict[object, list[Hole]]] = defaultdict(lambda: defaultdict(list))

    def add(self, hole: Hole) -> None:
        """Add a state of a hole; the states of a hole come in order of time."""
        self._states[hole.missing][hole.name].append(hole)

    def is_unsure(self, missing: str, after: datetime | None, cut_off: datetime) -> bool:
        """Check whether rows that count after an instant may be missing; None: any row."""
        return any(
            hole.is_unsure and (after is None or hole.ends_at + LATER[missing] > after)
            for hole in self._as_of(missing, cut_off)
        )

    def begins_behind(self, missing: str, cut_off: datetime) -> datetime | None:
        """Find the end of the last stretch that the plan does not include; None without one."""
        final = (one for one in self._as_of(missing, cut_off) if one.state is HoleState.FINAL)
        return max((hole.ends_at for hole in final), default=None)

    def _as_of(self, missing: str, cut_off: datetime) -> Iterator[Hole]:
        if missing not in self._states:
            return
        for states in self._states[missing].values():
            known = [state for state in states if state.known_at <= cut_off]
            if known:
                yield known[-1]
