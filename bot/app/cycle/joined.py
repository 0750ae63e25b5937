"""Two providers as one source: prices of one, signals of the other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from bot.domain.ids import TokenId
from bot.domain.market import Quote
from bot.ports import Archive, Source


class _JoinedArchive:
    """The archive of the prices, with the episodes of the signals."""

    def __init__(self, prices: Archive, signals: Archive) -> None:
        self._prices = prices
        self.episode = signals.episode

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prices, name)


@dataclass(frozen=True, slots=True)
class JoinedSource:
    """A source whose episodes come from another provider than everything else."""

    prices: Source
    signals: Source

    @property
    def archive(self) -> Archive:
        """The data fetched so far from both."""
        return cast("Archive", _JoinedArchive(self.prices.archive, self.signals.archive))

    def refresh(self, slot: datetime, held: Collection[TokenId] = ()) -> datetime:
        """Fetch from both; the cut-off is the instant at which the later one ended."""
        return max(self.signals.refresh(slot), self.prices.refresh(slot, held))

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Fetch the prices of these tokens again."""
        return self.prices.quotes(tokens)
