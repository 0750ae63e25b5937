"""The frozen input of one cycle: only what was published by the slot and known by the cut-off.

Quotes alone may be newer than the slot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.ids import TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.signals import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """All that a cycle may know of one token; days are its whole UTC days, oldest first; prints are not settled yet."""

    instrument: Instrument
    episode: Episode | None
    price: Quote | None
    levels: LevelSet | None
    quantmetrics: QuantMetrics | None
    grades: Grades | None
    market: MarketSize | None
    days: tuple[Bar, ...]
    prints: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The tokens a cycle looks at, as of its slot; interval: how long until the next slot, None: never late."""

    as_of: datetime
    cut_off: datetime
    interval: timedelta | None
    tokens: Mapping[TokenId, TokenView]
