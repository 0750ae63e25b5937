"""The request of a client: what its query asks for, at which instant.

Whatever is not known to be valid is refused; the provider answers such requests with 400. The words
of the messages are ours, because no body of a 400 is on record.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import parse_qsl

from bot.simulator.listing import TOKENS, Token
from bot.simulator.market import Market
from bot.simulator.provider import SimulatedProvider

LIMIT_DEFAULT, LIMIT_MAX = 50, 100
PAGE_MAX = 100_000
RANGE_MAX = timedelta(days=29)
SELECTORS = frozenset({"token_id", "symbol"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRequest:
    """A valid request: its tokens, dates and page, its instant, and the provider that answers."""

    provider: SimulatedProvider
    now: datetime
    tokens: tuple[Token, ...]
    first: date
    last: date
    limit: int
    page: int

    @property
    def market(self) -> Market:
        """The market that the rows are about."""
        return self.provider.market

    @property
    def today(self) -> int:
        """The number of the current day."""
        return self.market.day_of(self.now)

    def list_days(self, until: int) -> range:
        """List the numbers of the days asked for, newest first, and none after a day."""
        begin = self.market.begin.date()
        first, last = (self.first - begin).days, (self.last - begin).days
        return range(min(last, until), max(first, 0) - 1, -1)


def parse_request(provider: SimulatedProvider, now: datetime, text: str, known: AbstractSet[str]) -> RowRequest:
    """Parse the text of a query, which may have the known parameters.

    A token is asked for by any selector that names it; without a selector all are. Raises
    ValueError for an unknown parameter or an invalid value.
    """
    given = dict(parse_qsl(text, keep_blank_values=True))
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"Unknown parameter: {unknown[0]}")
    limit, page = int(given.get("limit", LIMIT_DEFAULT)), int(given.get("page", 1))
    if not (1 <= limit <= LIMIT_MAX and 1 <= page <= PAGE_MAX):
        raise ValueError(f"limit must be 1 to {LIMIT_MAX}, and page 1 to {PAGE_MAX}")
    first = date.fromisoformat(given.get("startDate", f"{now - RANGE_MAX:%Y-%m-%d}"))
    last = date.fromisoformat(given.get("endDate", f"{now:%Y-%m-%d}"))
    if not timedelta(0) <= last - first <= RANGE_MAX:
        raise ValueError(f"endDate must lie 0 to {RANGE_MAX.days} days after startDate")
    ids, symbols = (given.get(name, "").lower().split(",") for name in ("token_id", "symbol"))
    tokens = tuple(
        token
        for token in TOKENS
        if SELECTORS.isdisjoint(given) or str(token.token_id) in ids or token.symbol.lower() in symbols
    )
    return RowRequest(provider=provider, now=now, tokens=tokens, first=first, last=last, limit=limit, page=page)
