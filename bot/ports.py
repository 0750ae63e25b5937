"""The interfaces that the shell needs from the outside.

Each Protocol has at least two implementations.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

from bot.domain.decisions import Fact
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.reach import EVERY_BAR, Reach
from bot.domain.record import CycleRecord
from bot.domain.signals import Episode
from bot.domain.tape import ApiAttempt, ApiCall, Datum, Hole, Pause, Refusal


class Archive(Protocol):
    """The data known of every token, as of a slot and a cut-off.

    Answers use data with published_at <= as_of (bars: closed by as_of) and known_at <= cut_off,
    both inclusive.
    Implementations: adapters/shelf/archive (live), adapters/history (a folder of columns).
    """

    @property
    def instruments(self) -> Mapping[TokenId, Instrument]:
        """The tokens of the archive, by id."""

    def episode(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Find the current episode."""

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the newest price: a quote, or the close of a bar, dated when the bar closed.

        Unlike all other data, a quote may be newer than as_of.
        """

    def active_price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the last price at which the token was traded: `price` without quiet bars."""

    def last_prices(
        self, tokens: Iterable[TokenId], as_of: datetime, cut_off: datetime
    ) -> dict[TokenId, float | None]:
        """Find `price` of many tokens in quote currency, as floats for statistics.

        The value is None for a token without a price.
        """

    def close(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the close of the last bar, even when quotes came later."""

    def moved_at(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> datetime | None:
        """Find the last instant at which the price differed from the current one.

        For a bar with another price, that instant is its close.
        """

    def levels(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> LevelSet | None:
        """Find the newest set of levels."""

    def quantmetrics(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> QuantMetrics | None:
        """Find the newest measures."""

    def grades(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Grades | None:
        """Find the newest grades."""

    def market(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> MarketSize | None:
        """Find the newest market size."""

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Sequence[Bar]:
        """List the whole UTC days ended by as_of, oldest first; none while some are missing."""

    def lacks_quote(self, token_id: TokenId, cut_off: datetime) -> bool:
        """Check whether the newest fetch of prices brought none of the token."""

    def prints(
        self,
        token_id: TokenId,
        seen: tuple[datetime, datetime] | None,
        as_of: datetime,
        cut_off: datetime,
        reach: Reach = EVERY_BAR,
    ) -> tuple[Bar, ...]:
        """List the bars and quotes known now but not yet at seen = (as_of, cut_off), by opening.

        An archive may merge the bars before the first one within reach into a single bar, but never
        across a halt of seven days.
        """

    def finer(self, token_id: TokenId, bar: Bar, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """List the bars of the finest timeframe that fills a bar without a gap, in order.

        The list is empty when no timeframe does.
        """


class Source(Protocol):
    """The origin of a cycle's data.

    Implementations: the Token Metrics client, a history folder.
    """

    @property
    def archive(self) -> Archive:
        """The data fetched so far."""

    def refresh(self, slot: datetime, held: Collection[TokenId] = ()) -> datetime:
        """Fetch what is due at a slot; return the cut-off, the instant at which the fetch ended.

        held: the tokens with a position or a waiting order. Raises UpstreamError or AccessError
        when their prices could not be asked for; without any, when no feed that is needed answered.
        """

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Fetch the prices of these tokens again; a history folder has none and returns nothing."""


class Clock(Protocol):
    """A clock that gives the current time."""

    def now(self) -> datetime:
        """Read the current instant, aware and in UTC."""


class Tape(Protocol):
    """The place where answers and the data read from them are recorded."""

    def answer(
        self, call: ApiCall, body: bytes | None, attempts: Sequence[ApiAttempt] = ()
    ) -> None:
        """Record an answer as it came; `body` is None when there was none."""

    def refuse(self, request_id: str, refusals: Sequence[Refusal]) -> None:
        """Record what of an answer could not be read."""

    def note(self, changes: Sequence[Hole | Pause]) -> None:
        """Record how holes stand from now on, and that a host wants to be left alone."""

    def rows(self, data: Iterable[Datum]) -> None:
        """Record data that is news."""


class Probe(NamedTuple):
    """What a feed answered when it was asked once, for some tokens.

    rows: how many rows came; None with an error, which is in our words.
    """

    feed: str
    rows: int | None
    error: str | None


class Listing(NamedTuple):
    """What the provider now says of a token; market_cap: in quote currency, None when unknown."""

    token_id: TokenId
    symbol: str
    name: str
    market_cap: Decimal | None


class LiveSource(Protocol):
    """A provider that is connected; all runs share it."""

    @property
    def failures(self) -> Sequence[str]:
        """What the last refresh and the quotes after it could not fetch."""

    @property
    def refusals(self) -> Sequence[tuple[str, Refusal]]:
        """The feed of each row or field that could not be read, and what was refused."""

    def resolve(
        self, universe: Sequence[str | int], pinned: Collection[Instrument] = ()
    ) -> Mapping[TokenId, Instrument]:
        """Find the tokens of symbols and token_ids, and admit them to the archive.

        pinned: what the ledger knows already; only other names are asked for.
        Raises ConfigError for tokens that are unknown or ambiguous, all of them in one message.
        """

    def note(self, hole: Hole) -> None:
        """Note a recorded hole."""

    def probe(self) -> tuple[Sequence[Probe], Sequence[Listing]]:
        """Ask each needed feed once, and the list of tokens; keep nothing."""

    def add(self, datum: Datum) -> bool:
        """Add a recorded datum; return False when it is not news or its token was not admitted."""

    def of_feed(self, feed: str) -> Source:
        """Build the source for the runs that follow the signals of a feed."""


class Keys(Protocol):
    """The keys to a provider, in the order in which they are tried."""

    @property
    def current(self) -> str:
        """The key to use now; a file that has changed is read again."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every key ever read, so that none of them is told."""

    def refuse(self, key: str) -> bool:
        """Turn to the next key after one was refused; return False when there is no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a provider is connected with.

    interval: between two slots, by which failed queries are spaced. side_by_side: requests at once,
    None for its own limit. sent, pauses: what the ledger knows of earlier requests.
    progress: is told how many queries of how many are done.
    """

    base_url: str
    keys: Keys
    requests_per_minute: int
    clock: Clock
    tape: Tape
    needs: frozenset[str]
    interval: timedelta
    side_by_side: int | None = None
    sent: tuple[datetime, ...] = ()
    pauses: tuple[Pause, ...] = ()
    proxy: str | None = None
    progress: Callable[[int, int], None] = lambda _done, _all: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Everything that the program knows of a provider, in one value.

    feeds: all its feeds, under their names in the tape. prices: the feed of prices.
    always: the feeds that every strategy needs. signals: the feed of each kind of signals.
    inputs: the feed of each input, by kind of signals. credits: what a feed costs a day, given the
    number of tokens and of slots. read_again: the data in one of its recorded answers.
    """

    name: str
    feeds: frozenset[str]
    prices: str
    always: frozenset[str]
    signals: Mapping[str, str]
    inputs: Mapping[str, Mapping[str, str]]
    credits: Callable[[str, int, int], int]
    read_again: Callable[[ApiCall, bytes], tuple[Datum, ...]]
    connect: Callable[[Connection], AbstractContextManager[LiveSource]]


class Ledger(Protocol):
    """The store of cycles. Implementations: SQL, memory."""

    def facts(self, run: RunName) -> Iterable[Fact]:
        """Read the facts that make up a run's portfolio, in the order they happened."""

    def requests(self, run: RunName) -> tuple[Request, ...]:
        """Read the requests to a run that none of its events names yet, oldest first."""

    def last_cycle(self, run: RunName) -> CycleRecord | None:
        """Read the run's newest settled cycle (committed or caught_up), without its facts."""

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Store cycles and their facts in one transaction; return the number of new cycles.

        A slot is stored only once.
        """
