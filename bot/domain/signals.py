"""Signals and their episodes.

An episode is a maximal stretch of one stance; it starts at its turn, and its id is the turn's. A token's first stance
on record is a turn.
"""

from collections.abc import Iterable
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


def latest_episode(rows: Iterable[Signal]) -> Episode | None:
    """Fold a token's rows, ordered by published_at then known_at, to the episode that stands at their end."""
    turn = latest = None
    for row in rows:
        if turn is None or row.stance is not turn.stance:
            turn = row
        latest = row
    if turn is None or latest is None:
        return None
    return Episode(signal_id=turn.signal_id, turn=turn, latest=latest)
