"""What the shell needs from the outside; each Protocol has at least two implementations."""

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
    """Everything known of every token, asked as of a slot and a cut-off.

    Answers hold data with published_at <= as_of (bars: closed by as_of) and known_at <= cut_off, both inclusive.
    Implementations: adapters/shelf/archive (live), adapters/history (a folder of columns).
    """

    @property
    def instruments(self) -> Mapping[TokenId, Instrument]:
        """The tokens it knows, by id."""

    def episode(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Return the episode that stands."""

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the last price known: of a bar its close at its closing; a quote may be newer than as_of."""

    def active_price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the last price at which the token was traded: as `price`, but never that of a quiet bar."""

    def last_prices(self, tokens: Iterable[TokenId], as_of: datetime, cut_off: datetime) -> dict[TokenId, float | None]:
        """Return `price` of many tokens in quote currency, as floats for statistics; None where there is none yet."""

    def close(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the close of the last bar, whatever quotes came since."""

    def moved_at(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> datetime | None:
        """Return the last instant at which the price was another than now: of a bar that has another, its closing."""

    def levels(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> LevelSet | None:
        """Return the newest set of levels."""

    def quantmetrics(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> QuantMetrics | None:
        """Return the newest measures."""

    def grades(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Grades | None:
        """Return the newest grades."""

    def market(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> MarketSize | None:
        """Return the newest market size."""

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Sequence[Bar]:
        """Return the whole UTC days ended by as_of, oldest first."""

    def prints(
        self,
        token_id: TokenId,
        seen: tuple[datetime, datetime] | None,
        as_of: datetime,
        cut_off: datetime,
        reach: Reach = EVERY_BAR,
    ) -> tuple[Bar, ...]:
        """Return bars and quotes available now and not yet at seen = (as_of, cut_off), in order of opening.

        Those before the first that comes within reach may be told as one bar of all of them; never those of both sides
        of a halt of seven days.
        """

    def finer(self, token_id: TokenId, bar: Bar, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """Return the bars of the finest timeframe that fills a bar without a hole, in order; none where none does."""


class Source(Protocol):
    """Where a cycle's data comes from. Implementations: the Token Metrics client, a history folder."""

    @property
    def archive(self) -> Archive:
        """What has been fetched so far."""

    def refresh(self, slot: datetime) -> datetime:
        """Fetch what is due at a slot, and return the cut-off: the instant the fetch ended."""

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Ask the prices of these tokens once more; a history has none to give and returns nothing."""


class Ledger(Protocol):
    """Where cycles are kept. Implementations: SQL, memory."""

    def facts(self, run: RunName) -> Iterable[Fact]:
        """Return the facts that make up a run's portfolio, in the order they happened."""

    def requests(self, run: RunName) -> tuple[Request, ...]:
        """Return what an operator asked of a run and no event of it names yet, the oldest first."""

    def last_cycle(self, run: RunName) -> CycleRecord | None:
        """Return the run's newest cycle that settled something (committed or caught_up), without its facts."""

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Store cycles and their facts in one transaction; return how many were new, a slot being stored only once."""
