"""The bars and quotes that are left to settle, in order of opening, then of token."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush

from bot.domain.ids import TokenId
from bot.domain.market import Bar


class PendingPrints:
    """A queue of prints, to which parts of them may be put back."""

    def __init__(self, prints: Iterable[tuple[TokenId, Bar]]) -> None:
        """Collect them."""
        self._heap: list[tuple[datetime, TokenId, int, Bar]] = []
        self._count = 0
        for token_id, bar in prints:
            self.put(token_id, bar)

    def __len__(self) -> int:
        """Count them."""
        return len(self._heap)

    @property
    def next_opening(self) -> datetime:
        """The opening of the first print that is left."""
        return self._heap[0][0]

    def put(self, token_id: TokenId, bar: Bar) -> None:
        """Add a print; of two of a token that open together the later one is taken first."""
        self._count += 1
        heappush(self._heap, (bar.opened_at, token_id, -self._count, bar))

    def take(self, opened_at: datetime) -> Iterator[tuple[TokenId, Bar]]:
        """Take the prints that open at an instant, those too that are put back meanwhile."""
        while self._heap and self._heap[0][0] == opened_at:
            _, token_id, _, bar = heappop(self._heap)
            yield token_id, bar
