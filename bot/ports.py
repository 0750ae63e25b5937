"""The interfaces that the shell needs from the outside.

Each Protocol has at least two implementations.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain.decisions import Fact
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.reach import EVERY_BAR, Reach
from bot.domain.record import CycleRecord
from bot.domain.signals import Episode


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
        """Find the last known price: a quote, or the close of a bar at its closing instant.

        A quote may be newer than as_of.
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

    def quantmetrics(
        self, token_id: TokenId, as_of: datetime, cut_off: datetime
    ) -> QuantMetrics | None:
        """Find the newest measures."""

    def grades(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Grades | None:
        """Find the newest grades."""

    def market(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> MarketSize | None:
        """Find the newest market size."""

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Sequence[Bar]:
        """List the whole UTC days ended by as_of, oldest first."""

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

    def finer(
        self, token_id: TokenId, bar: Bar, as_of: datetime, cut_off: datetime
    ) -> tuple[Bar, ...]:
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

    def refresh(self, slot: datetime) -> datetime:
        """Fetch what is due at a slot; return the cut-off, the instant at which the fetch ended."""

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Fetch the prices of these tokens again; a history folder has none and returns nothing."""


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
