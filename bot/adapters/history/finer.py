"""Stored bars below a strategy's timeframe: which a folder has, and which fill a given bar.

They are read only when a strategy uses them, and they count in the folder's digest like every file
that is read.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.adapters.history.bar_columns import SPANS, Columns
from bot.adapters.history.files import BarFile, bars_in, read_bars
from bot.adapters.history.pack import Tell
from bot.adapters.history.reader import micros
from bot.domain.ids import TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar

# A strategy that uses finer bars and names no timeframe gets one of these: minutes then settle
# what its bars leave open.
COARSE = ("1h", "1d")


def read_finer(
    folder: Path,
    instruments: Mapping[TokenId, Instrument],
    timeframe: str,
    place: Path | None,
    tell: Tell,
) -> dict[TokenId, tuple[BarFile, ...]]:
    """Read the bars of each token in every timeframe below the given one, the finest first."""
    names = [name for name, span in SPANS.items() if span < SPANS[timeframe]]
    read = [read_bars(place, name, bars_in(folder, instruments, name), tell) for name in names]
    found = {
        token_id: tuple(bars[token_id] for bars in read if token_id in bars)
        for token_id in instruments
    }
    return {token_id: files for token_id, files in found.items() if files}


def bars_filling(bar: Bar, timeframes: Sequence[Columns], by: int) -> tuple[Bar, ...]:
    """List the bars inside a bar, from the first timeframe that fills it without a gap.

    by: only bars that closed by this instant, in microseconds, count. Empty when none fills it.
    """
    opened, closed = micros(bar.opened_at), micros(bar.closed_at)
    for columns in timeframes:
        start, end = (
            int(columns.opened_at.searchsorted(opened)),
            columns.count_closed(min(closed, by)),
        )
        if (end - start) * columns.span == closed - opened:
            return columns.bars(start, end)
    return ()
