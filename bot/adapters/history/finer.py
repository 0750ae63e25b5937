"""Bars below a strategy's timeframe, at rest: which a folder has of each token, and those that fill one of its bars.

They are read only where a strategy lets them decide, and count into the folder's digest like every file that is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bot.adapters.history.columns import SPANS, Columns, read_columns
from bot.adapters.history.reader import SourceFile, find_file, load, micros
from bot.domain.ids import TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar

# What a strategy that names no timeframe is played on: minutes are there to decide what these leave open.
COARSE = ("1h", "1d")


def read_finer(
    folder: Path, instruments: Mapping[TokenId, Instrument], timeframe: str, used: dict[str, SourceFile]
) -> tuple[Mapping[TokenId, tuple[Columns, ...]], list[str]]:
    """Read every timeframe below one that a token has, the finest first; return them and the dropped candles.

    The files are noted as used, without their contents: minutes of years are long.
    """
    names = [name for name, span in SPANS.items() if span < SPANS[timeframe]]
    found: dict[TokenId, tuple[Columns, ...]] = {}
    refused: list[str] = []
    for token_id, instrument in instruments.items():
        for name in names:
            path = find_file(folder / "bars" / name, instrument.symbol)
            if path is None:
                continue
            file = load(path)
            columns = read_columns(file, name)
            used[f"bars/{name}/{path.name}"] = replace(file, content=b"")
            found[token_id] = (*found.get(token_id, ()), columns)
            refused.extend(f"{path} {reason}" for reason in columns.refused)
    return found, refused


def bars_filling(bar: Bar, timeframes: Sequence[Columns], by: int) -> tuple[Bar, ...]:
    """Return the bars of the first timeframe that has all those inside a bar, closed by an instant in microseconds."""
    opened, closed = micros(bar.opened_at), micros(bar.closed_at)
    for columns in timeframes:
        start, end = int(columns.opened_at.searchsorted(opened)), columns.closed_by(min(closed, by))
        if (end - start) * columns.span == closed - opened:
            return columns.bars(start, end)
    return ()
