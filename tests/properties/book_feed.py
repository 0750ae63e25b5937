"""A provider for the book machine: what a market shows, late or never, through the daemon's own archive."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from bot.adapters.shelf.archive import MemoryArchive
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Quote, one_price
from bot.domain.numbers import Price
from bot.domain.tape import QUOTE, TokenPrint
from tests.notation import HOUR, at

START = at("2024-01-01 12:00")
TICK = Decimal("0.1")
SOON, LATE = timedelta(seconds=2), timedelta(minutes=90)

# An hour's open over the last close, its close over its open, and how far it went beyond both, in thousandths.
Shape = tuple[int, int, int, int]


class Feed:
    """A provider over the daemon's archive, or a history where is_live is false: then a slot is when it is known."""

    def __init__(self, tokens: int, *, is_live: bool) -> None:
        self.is_live = is_live
        self.now = START
        self.takes = SOON
        self.silent: frozenset[int] = frozenset()
        self.market = {TokenId(number): Price(Decimal(100)) for number in range(1, tokens + 1)}
        self.slips: Sequence[Shape | None] = [(0, 0, 0, 0)] * tokens
        self.pending: list[tuple[TokenId, Bar]] = []
        self.came: dict[TokenId, list[TokenPrint]] = {token_id: [] for token_id in self.market}
        named = ((token_id, Symbol(f"T{token_id}")) for token_id in self.market)
        self.archive = MemoryArchive(
            {token_id: Instrument(token_id=token_id, symbol=symbol, name=symbol) for token_id, symbol in named}
        )

    def live_hour(self, drawn: Sequence[Shape | None]) -> None:
        """Let an hour end, of which some tokens have a bar."""
        ended = self.now.replace(minute=0, second=0, microsecond=0) + HOUR
        for token_id, shape in zip(self.market, drawn, strict=False):
            if shape is not None:
                bar = _bar(ended, self.market[token_id], shape)
                self.market[token_id] = bar.close
                self.pending.append((token_id, bar))
        self.now = ended

    def refresh(self, _slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """Bring the bars that are due and, live, a quote of every token that answers."""
        self.now += self.takes if self.is_live else timedelta(0)
        for token_id, bar in [pair for pair in self.pending if pair[0] not in self.silent]:
            self.pending.remove((token_id, bar))
            self._bring(TokenPrint(token_id=token_id, timeframe="1h", known_at=self.now, bar=bar))
        if self.is_live:
            self._quote([token_id for token_id in self.market if token_id not in self.silent])
            self.now += timedelta(seconds=1)
        return self.now

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Answer the second asking, live, at prices that have slipped since."""
        slips = dict(zip(self.market, self.slips, strict=False))
        answering = [token_id for token_id in tokens if slips.get(token_id) and self.is_live]
        self.now += timedelta(seconds=1 if self.is_live else 0)
        for token_id in answering:
            self.market[token_id] = _bar(self.now, self.market[token_id], slips[token_id] or (0, 0, 0, 0)).open
        return self._quote(answering)

    def _quote(self, tokens: Iterable[TokenId]) -> tuple[Quote, ...]:
        made = [Quote(token_id=token_id, price=self.market[token_id], known_at=self.now) for token_id in tokens]
        for one in made:
            bar = one_price(one.known_at, one.price)
            self._bring(TokenPrint(token_id=one.token_id, timeframe=QUOTE, known_at=one.known_at, bar=bar))
        return tuple(made)

    def _bring(self, row: TokenPrint) -> None:
        if self.archive.add(row):
            self.came[row.token_id].append(row)

    def known(self, token_id: TokenId, slot: datetime, cut_off: datetime) -> list[Bar]:
        """Return the bars closed by a slot, and the quotes, that a cut-off knows: by plain search."""
        rows = [row for row in self.came[token_id] if row.known_at <= cut_off]
        return [row.bar for row in rows if row.timeframe == QUOTE or row.bar.closed_at <= slot]

    def last(self, slot: datetime, cut_off: datetime) -> dict[int, Bar]:
        """Return the bar or quote of each token that closed last of those known."""
        known = {token_id: self.known(token_id, slot, cut_off) for token_id in self.came}
        return {token_id: max(bars, key=lambda bar: bar.closed_at) for token_id, bars in known.items() if bars}


def after(opened_at: datetime, bar: Bar) -> Bar | None:
    """Return what of a bar came after an instant: of one that opened before it only the close."""
    if bar.opened_at >= opened_at:
        return bar
    return one_price(bar.closed_at, bar.close) if bar.closed_at > opened_at else None


def _bar(ended: datetime, last: Price, shape: Shape) -> Bar:
    gap, move, up, down = (Decimal(part) / 1000 for part in shape)
    opened = last * (1 + gap)
    close = opened * (1 + move)
    prices = (opened, max(opened, close) * (1 + up), min(opened, close) * (1 - down), close)
    return Bar(ended - HOUR, ended, *(Price(max(TICK, price.quantize(TICK))) for price in prices))
