"""The frozen input of one cycle: only what was published by the slot and known by the cut-off.

Quotes alone may be newer than the slot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.domain.events import Request
from bot.domain.ids import OrderId, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.signals import Episode


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """All that a cycle may know of one token; days are its whole UTC days, oldest first; prints are not settled yet.

    finer: bars inside those prints that may hold stop and target, where the strategy asks for them;
    last_traded: the last price at which it was traded before those prints, None: not known; close: the last bar's
    close; moved_at: when the price was last another than now; namesakes: tokens of its symbol; followed: false where it
    is only settled and closed any more.
    """

    instrument: Instrument
    episode: Episode | None
    price: Quote | None
    levels: LevelSet | None
    quantmetrics: QuantMetrics | None
    grades: Grades | None
    market: MarketSize | None
    days: Sequence[Bar]
    prints: tuple[Bar, ...]
    finer: tuple[Bar, ...] = ()
    last_traded: Quote | None = None
    close: Quote | None = None
    moved_at: datetime | None = None
    namesakes: int = 1
    followed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The tokens a cycle looks at, as of its slot; interval: how long until the next slot, None: never late.

    requests: what operators asked for since the last cycle; granted: what waiting entries whose bracket is anchored at
    their fill were decided on; passed: bars of held tokens that cannot touch a stop or target; only marks and extremes
    use them;
    benchmark: at the first slot of a UTC day the prices of the universe, as floats, None where there is none yet; empty
    at other slots.
    """

    as_of: datetime
    cut_off: datetime
    interval: timedelta | None
    tokens: Mapping[TokenId, TokenView]
    requests: tuple[Request, ...] = ()
    granted: Mapping[OrderId, TokenView] = field(default_factory=dict)
    passed: Mapping[TokenId, tuple[Bar, ...]] = field(default_factory=dict)
    benchmark: Mapping[TokenId, float | None] = field(default_factory=dict)
