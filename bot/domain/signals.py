"""Signals and their episodes.

An episode is a maximal stretch of one stance; it starts at its turn, and its id is the turn's. A token's first stance
on record is a turn.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.ids import SignalId, TokenId, signal_id


class Stance(StrEnum):
    """What a provider thinks of a token."""

    BULLISH = "bullish"
    NEUTRAL = "neutral"
    BEARISH = "bearish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One published stance of a token; grade 0..100 and confidence 0..1 where given."""

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
        """Return the id of the episode that this row would start."""
        return signal_id(self.provider, self.feed, self.token_id, self.stance, self.published_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """The stance that stands: the signal that turned, its id, and the newest row that still says so."""

    signal_id: SignalId
    turn: Signal
    latest: Signal
