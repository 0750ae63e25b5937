"""The live source: it fetches what is due at a slot, records it, and archives what is new.

All runs share it. When one feed fails, the data of the others is kept: only a cycle without prices,
or without the signals of its own feed, fails.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.adapters.http.client import HttpClient
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.tokenmetrics.calls import ApiQuery, Desk, Reply
from bot.adapters.tokenmetrics.feeds import (
    DATED,
    DAYS,
    FEEDS,
    FIRST_DAYS,
    HOURLY_SIGNALS,
    LEVELS,
    OF_DAYS,
    PRICE,
    QUANTMETRICS,
    SIGNALS,
    TIMED,
    Fetch,
    dated_queries,
    is_due,
    plain_queries,
    timed_queries,
)
from bot.adapters.tokenmetrics.fields import Refusal
from bot.adapters.tokenmetrics.parse import DAILY, HOURLY, parse
from bot.adapters.tokenmetrics.universe import resolve
from bot.domain.errors import AccessError, BotError
from bot.domain.ids import TokenId
from bot.domain.instants import DAY
from bot.domain.instruments import Instrument
from bot.domain.market import LevelSet, QuantMetrics, Quote
from bot.domain.tape import Datum, TokenPrint
from bot.ports import Clock, Tape

ESSENTIAL = (HOURLY_SIGNALS, SIGNALS, PRICE)
# A token whose newest row is older than this has left the provider's tables: requests do not reach
# back to its rows.
SILENT_AFTER = timedelta(days=7)
GAP_MAX = timedelta(days=58)
# The provider gives 29 days at once, so that a daemon that was down for less misses no hour.
HOURS_REACH, HOURS_REACH_MAX = timedelta(days=1), timedelta(days=28)


class TokenMetricsSource:
    """Fetches the feeds that the rules need, for the tokens of the archive.

    failures: what the last refresh and the quotes after it could not fetch.
    refusals: the rows of their answers that could not be read.
    """

    def __init__(
        self, http: HttpClient, *, archive: MemoryArchive, tape: Tape, clock: Clock, needs: frozenset[str]
    ) -> None:
        """Fetch nothing yet; the archive may hold recorded data."""
        self.failures: tuple[str, ...] = ()
        self.refusals: tuple[Refusal, ...] = ()
        self._desk = Desk(http, tape)
        self._archive = archive
        self._tape = tape
        self._clock = clock
        self._needs = needs
        self._fetched: dict[str, Fetch] = {}
        self._slot = clock.now()
        self._untaped: list[Datum] = []

    @property
    def archive(self) -> MemoryArchive:
        """The archive of what has been fetched so far."""
        return self._archive

    def add(self, datum: Datum) -> bool:
        """Add a recorded datum; return False when it is not news or its token was not admitted."""
        return self._archive.add(datum)

    def of_feed(self, feed: str) -> "FeedSource":
        """Build the source for the runs that follow the signals of a feed."""
        return FeedSource(self, self._archive.of_feed(feed))

    def resolve(self, universe: Sequence[str | int]) -> dict[TokenId, Instrument]:
        """Find the tokens of symbols and token_ids, and admit them to the archive.

        Raises ConfigError for a token that is unknown or ambiguous.
        """
        instruments = dict(resolve(self._desk, self._clock.now(), universe))
        self._archive.admit(instruments)
        self._fetched.clear()
        return instruments

    def refresh(self, slot: datetime, essential: Sequence[str] = ESSENTIAL) -> datetime:
        """Fetch what is due, and return the instant the fetch ended.

        Raises the error of an essential feed that failed.
        """
        self._slot = slot
        now = self._clock.now()
        due = [feed for feed in FEEDS if feed in self._needs and self._is_due(feed, slot, now)]
        queries = [query for feed in due for query in self._queries(feed, now)]
        self.failures, self.refusals = (), ()
        failed = self._take(self._desk.ask(slot, queries))
        fetch = Fetch(now, self._clock.now())
        for feed in due:
            # A feed that the plan does not include is asked for again the next day, not at every
            # slot.
            if feed not in failed or (isinstance(failed[feed], AccessError) and feed not in ESSENTIAL):
                self._fetched[feed] = fetch
        for feed in essential:
            if feed in failed:
                raise failed[feed]
        return fetch.ended_at

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Ask for the prices of these tokens once more.

        A price that cannot be fetched is left out, and the failure is noted in `failures`.
        """
        replies = self._desk.ask(self._slot, plain_queries(PRICE, tokens))
        self._take(replies)
        prints = [datum for reply in replies for datum in parse(PRICE, reply.rows, reply.asked).data]
        return tuple(
            Quote(token_id=datum.token_id, price=datum.bar.close, known_at=datum.known_at)
            for datum in prints
            if isinstance(datum, TokenPrint)
        )

    def _take(self, replies: Sequence[Reply]) -> dict[str, BotError]:
        """Keep the data that came, and return the first failure of each feed."""
        failed: dict[str, BotError] = {}
        refused: list[Refusal] = []
        for reply in replies:
            feed = reply.query.endpoint
            if reply.error is not None:
                failed.setdefault(feed, reply.error)
                continue
            parsed = parse(feed, reply.rows, reply.asked)
            refused += parsed.refusals
            # Data wait here until the tape has them, so that a failed recording is tried again.
            self._untaped += [datum for datum in parsed.data if self._archive.add(datum)]
        if self._untaped:
            self._tape.rows(tuple(self._untaped))
            self._untaped.clear()
        self.failures += tuple(f"{feed}: {error}" for feed, error in failed.items())
        self.refusals += tuple(refused)
        return failed

    def _is_due(self, feed: str, slot: datetime, now: datetime) -> bool:
        whole = feed not in OF_DAYS or self._has_yesterday(feed, now)
        return is_due(feed, slot, now, self._fetched.get(feed), whole=whole)

    def _has_yesterday(self, feed: str, now: datetime) -> bool:
        """Check whether every token that still gets rows has yesterday's."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        ends = [
            end for token_id in self._archive.instruments if (end := self._end_of(feed, token_id)) is not None
        ]
        return all(end >= midnight for end in ends if end > midnight - SILENT_AFTER)

    def _end_of(self, feed: str, token_id: TokenId) -> datetime | None:
        """Find when the span of a token's newest row ended."""
        archive = self._archive
        if feed in {SIGNALS, HOURLY_SIGNALS}:
            row = archive.newest_signal(token_id, DAILY if feed == SIGNALS else HOURLY)
            return row.published_at if row else None
        if feed in {LEVELS, QUANTMETRICS}:
            return archive.newest_publication(token_id, LevelSet if feed == LEVELS else QuantMetrics)
        bar = archive.newest_bar(token_id, "1d" if feed == DAYS else "1h")
        return bar.closed_at if bar else None

    def _queries(self, feed: str, now: datetime) -> list[ApiQuery]:
        tokens = list(self._archive.instruments)
        if not tokens:
            return []
        if feed in DATED:
            return self._plan_dated(feed, tokens, now)
        if feed in TIMED:
            return timed_queries(feed, tokens, self._reach(feed, tokens, now), now)
        return plain_queries(feed, tokens)

    def _plan_dated(self, feed: str, tokens: Sequence[TokenId], now: datetime) -> list[ApiQuery]:
        """Build queries that continue at the last day known; unknown tokens begin further back.

        All known tokens continue together, at the oldest of their last days.
        """
        first = (now - timedelta(days=FIRST_DAYS[feed] - 1)).date()
        last = self._fetched.get(feed)
        floor = (now - (min(now - last.began_at + SILENT_AFTER, GAP_MAX) if last else GAP_MAX)).date()
        begins = defaultdict(list)
        known = {token_id: end.date() - DAY for token_id in tokens if (end := self._end_of(feed, token_id))}
        going_on = max(min(known.values(), default=first), floor)
        for token_id in tokens:
            begins[going_on if token_id in known or feed in self._fetched else first].append(token_id)
        return [
            query for start, some in begins.items() for query in dated_queries(feed, some, start, now.date())
        ]

    def _reach(self, feed: str, tokens: Sequence[TokenId], now: datetime) -> datetime:
        """Compute how far back to ask for hourly rows: to the oldest of the tokens' newest ones."""
        ends = [end for token_id in tokens if (end := self._end_of(feed, token_id)) is not None]
        last = self._fetched.get(feed)
        longest = min(now - last.began_at + HOURS_REACH, HOURS_REACH_MAX) if last else HOURS_REACH_MAX
        wanted = [end for end in ends if end > now - longest]
        return min(wanted, default=now - (longest if ends else HOURS_REACH))


@dataclass(frozen=True, slots=True)
class FeedSource:
    """The shared source for the runs of one feed: the same data, with its own episodes."""

    shared: TokenMetricsSource
    archive: MemoryArchive

    def refresh(self, slot: datetime) -> datetime:
        """Fetch what is due for all runs; raise when prices or this feed's signals failed."""
        return self.shared.refresh(slot, (SIGNALS if self.archive.feed == DAILY else HOURLY_SIGNALS, PRICE))

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Ask for the prices of these tokens once more."""
        return self.shared.quotes(tokens)
