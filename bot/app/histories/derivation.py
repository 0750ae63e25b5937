"""`bot history derive`: levels, measures and signals out of a history folder's own bars.

No row uses a bar that closes after the row's instant, so a folder cut at an instant gives the rows
up to it. A file that exists is never touched.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bot.adapters.history.bar_columns import SPANS, Columns
from bot.adapters.history.files import bar_files, bars_in, listing_of, read_bars
from bot.adapters.history.instruments import read_instruments
from bot.adapters.history.pack import Words, place_of
from bot.adapters.history.reader import find_file
from bot.adapters.history.writing import HEADERS, put_file, write_number, write_table, write_times
from bot.app.replay.packing import tell_packing
from bot.app.telling.answers import Answer, Column, Row, Table
from bot.app.telling.progress import tell_progress
from bot.domain.errors import ConfigError
from bot.domain.ids import TokenId
from bot.domain.reach import Floats
from bot.figures.days import DECIMALS, count_touches, find_crosses, find_pivots, measure_days

PIVOT_DAYS = 5
LEVELS_MAX = 20
TOUCH_FRACTION = 0.005
COLUMNS = (Column("file"), Column("what"), Column("rows"), Column("tokens"), Column("first"), Column("last"))

Cells = Sequence[str]


class Days(NamedTuple):
    """A token's days that ended: their ends (microseconds since 1970), highs, lows and closes."""

    ends: Words
    highs: Floats
    lows: Floats
    closes: Floats


def derive(folder: Path, *, with_signals: bool) -> Answer:
    """Write the files that a folder lacks and answer with what became of each.

    Raises what opening the folder's bars raises, and StorageError or AccessError when a file
    cannot be written.
    """
    rules: dict[str, Callable[[Days], Iterator[Cells]]] = {
        "levels": level_rows,
        "quantmetrics": measure_rows,
        **({"signals": signal_rows} if with_signals else {}),
    }
    kept = {name: find_file(folder, name) for name in rules}
    days = read_days(folder) if None in kept.values() else {}
    rows = [
        _derive_file(folder / f"{name}.csv", days, rule)
        if (path := kept[name]) is None
        else _row(path, "kept: remove it to derive it")
        for name, rule in rules.items()
    ]
    lacking = f"{folder / 'signals.csv'} is missing, and a replay needs it: --signals ema derives it"
    notes = () if find_file(folder, "signals") else (lacking,)
    return Answer(
        payload={"folder": str(folder), "files": rows}, parts=(Table(rows=rows, columns=COLUMNS),), notes=notes
    )


def _row(path: Path, what: str, rows: int = 0, tokens: int = 0, *edges: str) -> Row:
    """Build a row of the answer; edges: the first and the last instant of the rows."""
    first, last = edges or (None, None)
    counts = (rows, tokens) if rows else (None, None)
    return dict(zip((one.name for one in COLUMNS), (path.name, what, *counts, first, last), strict=True))


def _derive_file(path: Path, days: Mapping[TokenId, Days], rule: Callable[[Days], Iterator[Cells]]) -> Row:
    """Derive a file and write it token by token; a file without a row is not written."""
    counts: list[int] = []
    edges: list[str] = []

    def write_tokens() -> Iterator[bytes]:
        for number, (token_id, one) in enumerate(days.items(), start=1):
            rows = [(str(token_id), *cells) for cells in rule(one)]
            tell_progress(f"deriving {path.stem}, tokens", number, len(days))
            if rows:
                counts.append(len(rows))
                edges.extend((rows[0][1], rows[-1][1]))
                yield write_table(None if len(counts) > 1 else HEADERS[path.stem], rows)

    parts = write_tokens()
    first = next(parts, None)
    if first is None:
        return _row(path, "not written: too few days")
    put_file(path, chain([first], parts))
    return _row(path, "written", sum(counts), len(counts), min(edges), max(edges))


def read_days(folder: Path) -> dict[TokenId, Days]:
    """Read the days of each token that has bars, from its finest bars.

    A day has ended when any token's bar closes at its end or later.
    """
    known = read_instruments(listing_of(folder))
    columns: dict[TokenId, Columns] = {}
    for timeframe in SPANS:
        others = {token_id: one for token_id, one in known.items() if token_id not in columns}
        paths = bars_in(folder, others, timeframe)
        files = read_bars(place_of(folder), timeframe, paths, tell_packing)
        columns |= {token_id: file.columns for token_id, file in files.items()}
    if not columns:
        bar_files(folder, known, tuple(SPANS))  # raises an error that names what is missing
    ends = [int(one.opened_at[-1]) + one.span for one in columns.values() if len(one.opened_at)]
    if not ends:
        raise ConfigError(f"{folder}: no bars to derive anything from")
    days = {}
    for token_id in sorted(columns):
        whole = columns[token_id].days()
        count = whole.count_closed(max(ends))
        _, highs, lows, closes = whole.prices[:, :count]
        days[token_id] = Days(whole.opened_at[:count] + whole.span, highs, lows, closes)
    return days


def level_rows(days: Days) -> Iterator[Cells]:
    """Derive the cells of levels: at each day that confirms a pivot, the newest pivots up to it.

    The strength of a level is touches / (touches + 1): the days from its own to that day whose high
    or low was within 0.5 % of it.
    """
    turned, prices = find_pivots(days.highs, days.lows, PIVOT_DAYS)
    touches = count_touches(turned, prices, days.highs, days.lows, TOUCH_FRACTION)
    stamps = write_times(days.ends)
    for day in np.unique(turned + PIVOT_DAYS).tolist():
        end = int((turned + PIVOT_DAYS).searchsorted(day, side="right"))
        newest = range(max(end - LEVELS_MAX, 0), end)
        # Of pivots with one price the first has the most touches.
        found = {prices.item(one): touches.item(one, day) for one in reversed(newest)}
        for price, count in sorted(found.items()):
            yield stamps[day], write_number(price), write_number(round(count / (count + 1), DECIMALS))


def measure_rows(days: Days) -> Iterator[Cells]:
    """Derive the cells of measures, one row a day from the thirtieth return on."""
    columns = [column.tolist() for column in measure_days(days.closes).values()]
    for stamp, *figures in zip(write_times(days.ends), *columns, strict=True):
        cells = [write_number(figure) for figure in figures]
        if any(cells):
            yield stamp, *cells


def signal_rows(days: Days) -> Iterator[Cells]:
    """Derive the cells of signals, one row a cross of the two averages."""
    stamps = write_times(days.ends)
    for day, above in zip(*(column.tolist() for column in find_crosses(days.closes)), strict=True):
        yield stamps[day], "bullish" if above else "bearish"
