"""The live source: it fetches what is due at a slot, records it, and archives what is new.

All runs share it. When one feed fails, the data of the others is kept, and what is missing is a
hole that is asked for again. A cycle fails only if what is held cannot be priced.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.adapters.http.client import HttpClient
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.tokenmetrics.calls import ApiQuery, Desk, Heard
from bot.adapters.tokenmetrics.feeds import (
    BRINGS,
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
    TOKENS,
    Fetch,
    dated_queries,
    is_due,
    plain_queries,
    timed_queries,
)
from bot.adapters.tokenmetrics.fields import RefusalReason, RefusedError
from bot.adapters.tokenmetrics.holes import Holes, Lack, lack_of
from bot.adapters.tokenmetrics.listing import parse_listed
from bot.adapters.tokenmetrics.parse import DAILY, HOURLY, parse
from bot.adapters.tokenmetrics.universe import resolve
from bot.domain.errors import BotError
from bot.domain.ids import TokenId
from bot.domain.instants import DAY, HOUR
from bot.domain.instruments import Instrument
from bot.domain.market import LevelSet, QuantMetrics, Quote
from bot.domain.tape import Datum, Hole, Pause, Refusal, TokenPrint
from bot.ports import Clock, Listing, Probe, Tape

# Rows of an answer that are recorded as refused; a number stands for more.
REFUSALS_MAX = 1000
# Tokens for which a feed is tried, one request each.
PROBED = 50
# A token whose newest row is older than this has left the provider's tables: requests do not reach
# back to its rows.
SILENT_AFTER = timedelta(days=7)
GAP_MAX = timedelta(days=58)
# The provider gives 29 days at once, so that a daemon that was down for less misses no hour.
HOURS_REACH, HOURS_REACH_MAX = timedelta(days=1), timedelta(days=28)


class TokenMetricsSource:
    """Fetches the feeds that the rules need, for the tokens of the archive.

    failures: what the last refresh and the quotes after it could not fetch.
    refusals: what of their answers could not be read, with the feed.
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        archive: MemoryArchive,
        tape: Tape,
        clock: Clock,
        needs: frozenset[str],
        interval: timedelta = HOUR,
        caller: tuple[str, str] = ("", ""),
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        """Fetch nothing yet; the archive may hold recorded data.

        interval: between two slots. caller: the host that is asked, and the digest of the key.
        progress: is told how many queries of how many are done.
        """
        self.failures: tuple[str, ...] = ()
        self.refusals: tuple[tuple[str, Refusal], ...] = ()
        self._desk = Desk(http, tape, self._pause)
        self._archive = archive
        self._tape = tape
        self._clock = clock
        self._needs = needs
        self._caller = caller
        self._progress = progress
        self._holes = Holes(interval)
        self._fetched: dict[str, Fetch] = {}
        self._failed: dict[str, BotError] = {}
        self._unpriced: frozenset[TokenId] = frozenset()
        self._slot = clock.now()
        self._untaped: list[Datum] = []

    @property
    def archive(self) -> MemoryArchive:
        """The archive of what has been fetched so far."""
        return self._archive

    def add(self, datum: Datum) -> bool:
        """Add a recorded datum; return False when it is not news or its token was not admitted."""
        return self._archive.add(datum)

    def note(self, hole: Hole) -> None:
        """Note a recorded hole."""
        self._holes.add(hole)
        self._archive.note(hole)

    def of_feed(self, feed: str) -> "FeedSource":
        """Build the source for the runs that follow the signals of a feed."""
        return FeedSource(self, self._archive.of_feed(feed))

    def resolve(
        self, universe: Sequence[str | int], pinned: Collection[Instrument] = ()
    ) -> dict[TokenId, Instrument]:
        """Find the tokens of symbols and token_ids, and admit them to the archive.

        pinned: what the ledger knows already; only other names are asked for.
        Raises ConfigError for tokens that are unknown or ambiguous, all of them in one message.
        """
        instruments = dict(resolve(self._desk, self._clock.now(), universe, pinned))
        self._archive.admit(instruments)
        self._fetched.clear()
        return instruments

    def refresh(self, slot: datetime, held: Collection[TokenId] = ()) -> datetime:
        """Fetch what is due, and return the instant the fetch ended.

        Raises the error that left a held token without a price or, if nothing is held, that of the
        prices when every needed feed failed.
        """
        self._slot = slot
        now = self._clock.now()
        due = [feed for feed in FEEDS if feed in self._needs and self._is_due(feed, slot, now)]
        planned = [query for feed in due for query in self._queries(feed, now)]
        asked = planned + self._holes.due(slot, self._needs, planned)
        self.failures, self.refusals = (), ()
        heard = self._desk.ask(slot, asked, self._progress)
        lacks = self._take(heard)
        fetch = Fetch(now, self._clock.now())
        good = [one for one in heard if one.error is None]
        self._note(self._holes.judge(slot, fetch.ended_at, good, lacks))
        for one in heard:
            self._failed.pop(one.query.endpoint, None)
        for one in heard:
            if one.error is not None:
                self._failed.setdefault(one.query.endpoint, one.error)
        if PRICE in due:
            priced = [one for one in heard if one.query.endpoint == PRICE]
            self._unpriced = frozenset().union(*(one.query.tokens for one in priced if one.error))
        # Prices that failed are asked for again by the next try; holes see to everything else.
        self._fetched |= dict.fromkeys(due, fetch)
        if PRICE in self._failed:
            self._fetched.pop(PRICE, None)
        self._check(held)
        return fetch.ended_at

    def probe(self) -> tuple[list[Probe], list[Listing]]:
        """Ask each needed feed once, and the list of tokens; keep nothing."""
        now, tokens = self._clock.now(), sorted(self._archive.instruments)[:PROBED]
        feeds = [feed for feed in FEEDS if feed in self._needs | {TOKENS}]
        asked = [self._build_probe(feed, tokens, now) for feed in feeds]
        heard = self._desk.ask(now, [replace(query, page_max=1) for query in asked])
        found, listed = [], list[Listing]()
        for one in heard:
            rows = [row for page in one.pages for row in page.rows]
            # More pages than the first are no failure here.
            error = None if one.pages else str(one.error)
            found.append(Probe(one.query.endpoint, None if error else len(rows), error))
            if one.query.endpoint == TOKENS:
                listed += [
                    Listing(token.token_id, token.symbol, token.name, token.market_cap)
                    for token in parse_listed(rows)
                ]
        return found, listed

    def _build_probe(self, feed: str, tokens: Sequence[TokenId], now: datetime) -> ApiQuery:
        """Build the one query by which a feed is tried."""
        if feed in DATED:
            return dated_queries(feed, tokens, (now - DAY).date(), now.date())[0]
        if feed in TIMED:
            return timed_queries(feed, tokens, now - HOUR, now)[0]
        return plain_queries(feed, tokens)[0]

    def _check(self, held: Collection[TokenId]) -> None:
        """Raise the error that leaves a cycle without what it cannot do without."""
        if PRICE in self._failed and (
            not self._unpriced.isdisjoint(held) or (not held and self._needs <= self._failed.keys())
        ):
            raise self._failed[PRICE]

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Ask for the prices of these tokens once more.

        A price that cannot be fetched is left out, and the failure is noted in `failures`.
        """
        heard = self._desk.ask(self._slot, plain_queries(PRICE, tokens))
        self._take(heard)
        pages = [page for one in heard for page in one.pages]
        prints = [datum for page in pages for datum in parse(PRICE, page.rows, page.asked).data]
        return tuple(
            Quote(token_id=datum.token_id, price=datum.bar.close, known_at=datum.known_at)
            for datum in prints
            if isinstance(datum, TokenPrint) and not self._archive.is_implausible(datum)
        )

    def _take(self, heard: Sequence[Heard]) -> list[Lack]:
        """Keep the data that came, record what was refused, and list what is lacking."""
        failed: dict[str, BotError] = {}
        lacks: list[Lack] = []
        for one in heard:
            feed = one.query.endpoint
            came: set[TokenId] = set()
            torn: dict[TokenId, str] = {}
            for page in one.pages:
                parsed = parse(feed, page.rows, page.asked)
                implausible = list(filter(self._archive.is_implausible, parsed.data))
                refusals = [*parsed.refusals, *map(_refuse_price, implausible)]
                refusals += self._find_renamed(page.rows) if feed == TOKENS else ()
                self._refuse(feed, page.request_id, refusals)
                came |= {datum.token_id for datum in parsed.data if datum not in implausible}
                torn |= {
                    refusal.token_id: f"a row was refused: {refusal.field}, {refusal.reason}"
                    for refusal in refusals
                    if refusal.whole and refusal.token_id in one.query.tokens
                }
                # Data wait here until the tape has them, so that a failed recording is tried again.
                self._untaped += [datum for datum in parsed.data if self._archive.add(datum)]
            if one.error is not None:
                failed.setdefault(feed, one.error)
            if lack := lack_of(one):
                lacks.append(lack)
            elif feed == PRICE and (without := one.query.tokens - came):
                why = "no price came that can be used"
                lacks.append(Lack(query=one.query, tokens=without, reason=why))
            elif feed in BRINGS and torn:
                why = next(iter(torn.values()))
                lacks.append(Lack(query=one.query, tokens=torn.keys(), reason=why))
        if self._untaped:
            self._tape.rows(tuple(self._untaped))
            self._untaped.clear()
        self.failures += tuple(f"{feed}: {error}" for feed, error in failed.items())
        return lacks

    def _refuse(self, feed: str, request_id: str, refusals: Sequence[Refusal]) -> None:
        """Record what was refused of an answer, the first thousand by name."""
        if not refusals:
            return
        named, more = list(refusals[:REFUSALS_MAX]), len(refusals) - REFUSALS_MAX
        if more > 0:
            named.append(Refusal(None, "row", "and_more", str(more), whole=True))
        self._tape.refuse(request_id, named)
        self.refusals += tuple((feed, refusal) for refusal in named)

    def _find_renamed(self, rows: Sequence[object]) -> Iterator[Refusal]:
        """Yield a refusal for each token that the provider now calls otherwise than the ledger."""
        for listed in parse_listed(rows):
            known = self._archive.instruments.get(listed.token_id)
            if known is not None and known.symbol != listed.symbol.upper():
                changed = RefusalReason.IDENTITY_CHANGED
                refused = RefusedError(changed, "token_symbol", listed.symbol)
                yield refused.at(listed.token_id, whole=False)

    def _note(self, holes: Iterable[Hole]) -> None:
        """Record how holes stand now."""
        changes = tuple(holes)
        if changes:
            self._tape.note(changes)
        for hole in changes:
            self._archive.note(hole)

    def _pause(self, seconds: float) -> None:
        """Record that the host wants to be left alone."""
        host, digest = self._caller
        now = self._clock.now()
        until = now + timedelta(seconds=seconds)
        self._tape.note((Pause(host=host, key_digest=digest, known_at=now, until=until),))

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

    def refresh(self, slot: datetime, held: Collection[TokenId] = ()) -> datetime:
        """Fetch what is due for all runs; raise when the prices of a held token failed."""
        return self.shared.refresh(slot, held)

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Ask for the prices of these tokens once more."""
        return self.shared.quotes(tokens)


def _refuse_price(datum: Datum) -> Refusal:
    price = datum.bar.close if isinstance(datum, TokenPrint) else None
    refused = RefusedError(RefusalReason.IMPLAUSIBLE_PRICE, "current_price", price)
    return refused.at(datum.token_id, whole=True)
