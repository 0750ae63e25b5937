"""The frozen input of one cycle: data published by the slot, or quotes, known by the cut-off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NoReturn

from bot.domain.errors import InvariantError
from bot.domain.events import Request
from bot.domain.ids import OrderId, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.signals import Episode


class NotAskedFor:
    """Stands for data that no rule declared to need; to read it is an error.

    None means unknown: a rule that forgot to declare what it reads would decide by that.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        """Name the data."""
        self._name = name

    def _refuse(self, *_given: object) -> NoReturn:
        raise InvariantError(
            f"a rule reads {self._name} of a token for which no rule that is on needs them:"
            " add them to the needs of the rule's row"
        )

    __bool__ = __iter__ = __len__ = __getitem__ = __getattr__ = _refuse

    def __repr__(self) -> str:
        """Name the data in messages."""
        return f"<{self._name}: not asked for>"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """All that a cycle may know of one token. Data that no rule needs are `NotAskedFor`.

    days: its whole UTC days, oldest first. prints: the bars and quotes not settled yet.
    finer: the bars inside prints that may hold both stop and target, when the strategy uses them.
    last_traded: the last traded price before those prints; None when not known.
    close: the close of the last bar. moved_at: when the price last differed from the current one.
    namesakes: the number of tokens with its symbol.
    followed: false when the token's position is only settled and closed.
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
    """The tokens that a cycle looks at, as of its slot.

    interval: the time until the next slot; None when a cycle is never late.
    requests: what operators asked for since the last cycle.
    granted: what waiting entries were decided on, when their bracket is anchored at the fill.
    passed: bars of held tokens that touch no stop or target; only marks and extremes use them.
    benchmark: prices of the universe as floats, at the first slot of a UTC day; None for a token
    without a price, empty at other slots.
    """

    as_of: datetime
    cut_off: datetime
    interval: timedelta | None
    tokens: Mapping[TokenId, TokenView]
    requests: tuple[Request, ...] = ()
    granted: Mapping[OrderId, TokenView] = field(default_factory=dict)
    passed: Mapping[TokenId, tuple[Bar, ...]] = field(default_factory=dict)
    benchmark: Mapping[TokenId, float | None] = field(default_factory=dict)
