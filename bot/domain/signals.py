"""Signals and their episodes, each a longest stretch of one stance; the first stance is a turn."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.ids import SignalId, TokenId, signal_id


class Stance(StrEnum):
    """A provider's opinion of a token."""

    BULLISH = "bullish"
    NEUTRAL = "neutral"
    BEARISH = "bearish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One published stance of a token; grade 0..100, confidence 0..1, None where not given."""

    provider: str
    feed: str
    token_id: TokenId
    stance: Stance
    published_at: datetime
    known_at: datetime
    grade: Decimal | None = None
    confidence: Decimal | None = None

    @property
    def signal_id(self) -> SignalId:
        """The id of the episode that this signal would start."""
        return signal_id(self.provider, self.feed, self.token_id, self.stance, self.published_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """The current episode: its id, the signal that started it, and its newest signal.

    since: when the signal before the turn was published; None when the turn is the first known.
    unsure: an earlier or another turn may lie in a stretch of the feed that nobody could read.
    """

    signal_id: SignalId
    turn: Signal
    latest: Signal
    since: datetime | None = None
    unsure: bool = False
