"""The candles of several files joined into one series for each coin, made coarser, and written.

The result does not depend on the order of files or rows. Of candles of one time that differ none is
kept, because nothing says which is true.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain

import numpy as np

from bot.adapters.candles.cells import BLOCK_ROWS, Cells, Floats, letters_of
from bot.adapters.candles.recognising import TIMEFRAMES, CandleFile, CandleSet, name_span
from bot.adapters.candles.stamps import Instants
from bot.domain.errors import BadInputError
from bot.domain.numbers import ZERO, plain

# A part of a coin's candles, and the number of its file.
Numbered = tuple[int, CandleSet]

DUPLICATE, CONFLICT = "duplicate", "same time, another candle"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSeries:
    """The candles of one coin and timeframe, ascending and without a repeated time.

    texts: as in `CandleSet`. cut: coarser candles that were dropped because the data begin or end
    inside them. incomplete: those that were kept although parts inside are missing.
    """

    symbol: str
    span: int
    at: Instants
    texts: tuple[Cells, ...]
    cut: int = 0
    incomplete: int = 0

    def holes(self) -> tuple[int, int]:
        """Count the holes, and the candles that are missing in them."""
        steps = np.diff(self.at) // self.span
        return int((steps > 1).sum()), int((steps - 1).sum())


# By timeframe and symbol.
SeriesByName = dict[tuple[str, str], CandleSeries]


@dataclass(slots=True)
class _Drops:
    """How many rows of each file were dropped for a reason, and the line of the first."""

    counts: dict[int, dict[str, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, reason: str, files: Instants, lines: Instants) -> None:
        """Count rows; files: the number of the file of each."""
        for file in np.unique(files).tolist():
            inside = lines[files == file]
            count, line = self.counts[file].get(reason, (0, int(inside.min())))
            self.counts[file][reason] = (count + len(inside), min(line, int(inside.min())))


def join(
    files: Sequence[CandleFile], *, one_coin: bool = False
) -> tuple[list[CandleSeries], list[dict[str, tuple[int, int]]]]:
    """Join the candles of each coin and timeframe; also gives what was dropped of each file.

    one_coin: the user said that the files are of one coin, whatever its currency.
    Raises BadInputError when the prices of a coin are in two currencies.
    """
    groups: dict[tuple[str, int], list[Numbered]] = defaultdict(list)
    for number, file in enumerate(files):
        for one in file.sets:
            groups[one.coin.symbol, file.span].append((number, one))
    drops = _Drops()
    joined = []
    for (symbol, span), several in sorted(groups.items(), key=lambda item: item[0]):
        quotes = {one.coin.quote: files[number].path for number, one in several if one.coin.quote}
        if len(quotes) > 1 and not one_coin:
            named = " and ".join(f"{quote} ({path.name})" for quote, path in sorted(quotes.items()))
            mend = "import one of them, or say with --symbol that they are one"
            raise BadInputError(f"{symbol}: prices in {named}: {mend}")
        joined.append(_join(symbol, span, several, drops))
    return joined, [drops.counts[number] for number in range(len(files))]


def _join(symbol: str, span: int, several: Sequence[Numbered], drops: _Drops) -> CandleSeries:
    at = np.concatenate([one.at for _, one in several])
    files = np.concatenate([np.full(len(one.at), number) for number, one in several])
    lines = np.concatenate([one.lines for _, one in several])
    columns = zip(*(one.texts for _, one in several), strict=True)
    texts = [np.concatenate(column) for column in columns]
    if (np.diff(at) <= 0).any():
        order = at.argsort(kind="stable")
        at, files, lines = at[order], files[order], lines[order]
        texts = [text[order] for text in texts]
    firsts = np.flatnonzero(np.diff(at, prepend=at[:1] - 1))
    if len(firsts) < len(at):
        first_of = np.repeat(firsts, np.diff(firsts, append=len(at)))
        same = np.all([text == text[first_of] for text in texts], axis=0)
        # Of a time with candles that differ no row is kept; of others the first.
        torn = np.repeat(~np.logical_and.reduceat(same, firsts), np.diff(firsts, append=len(at)))
        repeated = ~torn & (first_of != np.arange(len(at)))
        drops.add(CONFLICT, files[torn], lines[torn])
        drops.add(DUPLICATE, files[repeated], lines[repeated])
        kept = ~torn & ~repeated
        at, texts = at[kept], [text[kept] for text in texts]
    return CandleSeries(symbol=symbol, span=span, at=at, texts=tuple(texts))


def coarsen_all(joined: Sequence[CandleSeries], timeframe: str | None) -> SeriesByName:
    """Bring all series to a timeframe, or leave each in its own; by timeframe and symbol.

    Raises BadInputError when two series of a coin end in one, and when nothing is left.
    """
    found: SeriesByName = {}
    origins: dict[str, str] = {}
    for one in joined:
        origin = name_span(one.span)
        name = timeframe or origin
        if (name, one.symbol) in found:
            both = f"{origins[one.symbol]} and {origin} candles would both become {name}"
            raise BadInputError(f"{one.symbol}: {both}: import one of them")
        origins[one.symbol] = origin
        found[name, one.symbol] = coarsen(one, TIMEFRAMES[name])
    if empty := [symbol for (_, symbol), one in found.items() if not len(one.at)]:
        fault = "the files hold too little, or two candles for each instant: import one of them"
        raise BadInputError(f"{empty[0]}: no candle is left: {fault}")
    return dict(sorted(found.items()))


def coarsen(series: CandleSeries, span: int) -> CandleSeries:
    """Make coarser candles: the first open, the extremes, the last close, the exact sum of volumes.

    A bucket counts as whole when the data do not begin or end inside it: inside the data a missing
    candle means that nothing was traded. A volume is unknown when one of its parts is.
    """
    if span == series.span or not len(series.at):
        return series
    bucket = series.at // span
    first = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
    last = np.append(first[1:], len(bucket)) - 1
    opens, highs, lows, closes, volumes = series.texts
    parts = np.split(volumes, first[1:])
    texts = (
        opens[first],
        highs[_extremes(highs.astype(np.float64), first)],
        lows[_extremes(-lows.astype(np.float64), first)],
        closes[last],
        np.array([_add(part.tolist()) for part in parts], np.bytes_),
    )
    thin = last - first + 1 < span // series.span
    whole = np.ones(len(first), np.bool_)
    whole[0] = series.at[0] % span == 0
    whole[-1] &= (series.at[-1] + series.span) % span == 0
    return CandleSeries(
        symbol=series.symbol,
        span=span,
        at=(bucket[first] * span)[whole],
        texts=tuple(text[whole] for text in texts),
        cut=int((~whole).sum()),
        incomplete=int((thin & whole).sum()),
    )


def _extremes(values: Floats, first: Instants) -> Instants:
    """Find the row of the largest value of each stretch; first: where each begins."""
    largest = np.repeat(np.maximum.reduceat(values, first), np.diff(first, append=len(values)))
    rows = np.where(values == largest, np.arange(len(values)), len(values))
    return np.asarray(np.minimum.reduceat(rows, first), np.int64)


def _add(volumes: Sequence[bytes]) -> bytes:
    if not all(volumes):
        return b""
    return plain(sum((Decimal(one.decode()) for one in volumes), ZERO)).encode()


def write_bars(series: CandleSeries) -> Iterator[bytes]:
    """Write a file of bars in parts; without volumes when none is known."""
    known = bool((series.texts[4] != b"").any())
    texts = series.texts if known else series.texts[:4]
    yield b"time,open,high,low,close,volume\n" if known else b"time,open,high,low,close\n"
    for start in range(0, len(series.at), BLOCK_ROWS):
        inside = slice(start, start + BLOCK_ROWS)
        times = series.at[inside].astype("datetime64[us]").astype("datetime64[s]").astype("S19")
        zone, comma, end = (np.full(len(times), text) for text in (b"Z", b",", b"\n"))
        columns = [times, zone, *chain(*((comma, text[inside]) for text in texts)), end]
        block = np.concatenate([letters_of(one) for one in columns], axis=1)
        yield block[block != 0].tobytes()  # without the padding behind each cell
