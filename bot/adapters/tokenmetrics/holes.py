"""What was asked for and did not come: found after each fetch, asked again until it came.

The ledger keeps every state of a hole, so that a restart, and a derivation, knows what was missing.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.adapters.tokenmetrics.calls import ApiQuery, Heard
from bot.adapters.tokenmetrics.feeds import BRINGS, DATED, HOURLY_SIGNALS, again
from bot.adapters.tokenmetrics.fields import PlanError
from bot.domain.ids import TokenId
from bot.domain.instants import DAY
from bot.domain.tape import Hole, HoleState


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Some tokens for which a query brought nothing that can be used, and why."""

    query: ApiQuery
    tokens: AbstractSet[TokenId]
    reason: str
    is_final: bool = False


class Holes:
    """The holes that are not filled; interval: between two slots, by which tries are spaced."""

    def __init__(self, interval: timedelta) -> None:
        """Begin without holes."""
        self._interval = interval
        self._known: dict[object, Hole] = {}

    def add(self, hole: Hole) -> None:
        """Take a hole as it was recorded."""
        self._known.pop(hole.name, None)
        if hole.state is not HoleState.FILLED:
            self._known[hole.name] = hole

    def due(
        self, slot: datetime, needs: AbstractSet[str], planned: Sequence[ApiQuery]
    ) -> list[ApiQuery]:
        """Build the queries for what is due to be asked again, beside the queries planned."""
        waiting = (
            hole
            for hole in self._known.values()
            if hole.feed in needs and hole.next_at is not None and hole.next_at <= slot
        )
        return [
            query
            for hole in waiting
            if not any(_covers(query, hole) for query in planned)
            for query in again(hole)
        ]

    def judge(
        self, slot: datetime, known_at: datetime, heard: Iterable[Heard], lacking: Iterable[Lack]
    ) -> list[Hole]:
        """Find how holes stand after a fetch: filled, lost, still open, or new.

        heard: the queries without an error. lacking: what they, and those with one, did not bring.
        """
        lacks = list(lacking)
        found: dict[object, Hole] = {}
        for one in heard:
            missed = (lack.tokens for lack in lacks if lack.query is one.query)
            gone = frozenset[TokenId]().union(*missed)
            for hole in list(self._known.values()):
                if _covers(one.query, hole) and hole.state is not HoleState.LOST:
                    for state in self._close(hole, one, gone, known_at):
                        found[state.name] = state
        for lack in lacks:
            hole = self._open(lack, slot, known_at)
            found[hole.name] = hole
        for hole in found.values():
            self.add(hole)
        return list(found.values())

    def _close(
        self, hole: Hole, heard: Heard, gone: frozenset[TokenId], known_at: datetime
    ) -> Iterator[Hole]:
        """Close a hole for the tokens that came; those that did not are told of by their lack."""
        if gone.issuperset(hole.tokens):
            return
        oldest = heard.oldest
        filled = replace(hole, state=HoleState.FILLED, next_at=None, known_at=known_at)
        if hole.feed != HOURLY_SIGNALS or (oldest is not None and oldest <= hole.starts_at):
            yield filled
            return
        # This feed has no dates: it goes back to what is known, or to its own beginning. What lies
        # between is lost then.
        end = max(hole.ends_at, oldest or hole.ends_at)
        lost = replace(filled, state=HoleState.LOST, ends_at=end)
        yield from [lost] if lost.name == hole.name else [filled, lost]

    def _open(self, lack: Lack, slot: datetime, known_at: datetime) -> Hole:
        """Begin a hole, or count another failed try of one that is known."""
        feed, tokens = lack.query.endpoint, tuple(sorted(lack.tokens))
        starts_at, ends_at = lack.query.starts_at or slot, lack.query.ends_at or slot
        before = [
            hole
            for hole in self._known.values()
            if (hole.feed, hole.tokens) == (feed, tokens)
            and hole.state is HoleState.OPEN
            and (lack.query.starts_at is None or hole.starts_at == starts_at)
            and (feed not in DATED or hole.ends_at == ends_at)
        ]
        attempts = before[0].attempts + 1 if before else 1
        wait = min(self._interval * 2 ** min(attempts - 1, 30), DAY)
        return Hole(
            feed=feed,
            missing=BRINGS.get(feed, feed),
            tokens=tokens,
            starts_at=before[0].starts_at if before else starts_at,
            ends_at=before[0].ends_at if before else ends_at,
            known_at=known_at,
            state=HoleState.FINAL if lack.is_final else HoleState.OPEN,
            attempts=attempts,
            next_at=None if lack.is_final else slot + wait,
            reason=lack.reason,
        )


def lack_of(heard: Heard) -> Lack | None:
    """Find what a query with an error did not bring: all that it asked for."""
    if heard.error is None:
        return None
    return Lack(
        query=heard.query,
        tokens=heard.query.tokens,
        reason=str(heard.error),
        is_final=isinstance(heard.error, PlanError),
    )


def _covers(query: ApiQuery, hole: Hole) -> bool:
    """Check whether a query asks for all of a hole."""
    if query.endpoint != hole.feed or not query.tokens.issuperset(hole.tokens):
        return False
    if query.starts_at is None or query.ends_at is None:
        return True
    return query.starts_at <= hole.starts_at and hole.ends_at <= query.ends_at
