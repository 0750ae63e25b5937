"""`bot history check`: what a history folder holds, and what in it should be looked at.

A finding is a note and refuses nothing; what a replay cannot read is refused as a replay does.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from bot.adapters.history.bar_columns import SPANS
from bot.adapters.history.blocks import series_in
from bot.adapters.history.files import (
    BarFile,
    bar_files,
    bars_in,
    find_dated_parts,
    listing_of,
    read_bars,
    strangers_in,
)
from bot.adapters.history.folder import REFUSED_NAMED
from bot.adapters.history.instruments import read_instruments
from bot.adapters.history.pack import ParsedFile, Words, place_of
from bot.app.histories.importing import tell_mixed_timeframes
from bot.app.replay.packing import tell_packing
from bot.app.telling.answers import Answer, Column, Row, Table
from bot.domain.errors import ConfigError
from bot.domain.ids import TokenId
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.instruments import Instrument
from bot.figures.resemblance import Closes, find_alike

COUNTS = ("bars", "holes", "missing", "jumps", "volume_0", "halts", "refused")
# The names of the columns, with their ranks: those of the highest leave first where space is scarce.
BAR_COLUMNS = {
    "symbol": 0, "timeframe": 0, "bars": 0, "first": 1, "last": 1, "holes": 0, "missing": 0, "longest": 0,
    "longest_at": 2, "jumps": 0, "volume_0": 1, "halts": 0, "refused": 0,
}  # fmt: skip
ZONES = "times without a zone were read as UTC; a date alone counts from the end of that day"

Bars = Mapping[str, Mapping[TokenId, BarFile]]


def inspect(folder: Path) -> Answer:
    """Check a folder and answer with what it holds; exit code 78 where no replay can use it.

    Raises what opening the folder raises: ConfigError for a missing file, BadInputError for an
    unusable row.
    """
    known = read_instruments(listing_of(folder))
    place = place_of(folder)
    bars = {
        timeframe: read_bars(place, timeframe, paths, tell_packing)
        for timeframe in SPANS
        if (paths := bars_in(folder, known, timeframe))
    }
    if not bars:
        bar_files(folder, known, tuple(SPANS))  # raises an error that names what is missing
    dated = find_dated_parts(folder, place, tell_packing)
    rows = [
        _bars_row(known[token_id].symbol, timeframe, file)
        for timeframe, files in bars.items()
        for token_id, file in files.items()
    ]
    totals = {name: sum(row[name] for row in rows) for name in COUNTS}
    files = [_file_row(name, part, known) for name, part in dated.items()]
    alike = list(_find_alike(known, bars))
    blocking = _missing(folder, dated, totals["bars"])
    remarks = (*_bar_remarks(bars), *_file_remarks(folder, dated, known, bars), *map(_describe_pair, alike))
    columns = tuple(Column(name, rank=rank) for name, rank in BAR_COLUMNS.items())
    return Answer(
        payload={
            "folder": str(folder),
            "can_be_replayed": not blocking,
            "bars": rows,
            "totals": totals,
            "files": files,
            "alike": alike,
            "remarks": (*remarks, *blocking),
        },
        parts=(
            Table(rows=rows, columns=columns, totals={"symbol": "total", **totals}),
            "",
            Table(rows=files, empty="no signals, levels, measures, grades or sizes"),
            f"\n{ZONES}",
        ),
        notes=(*remarks, *blocking),
        exit_code=ConfigError.exit_code if blocking else 0,
    )


def _bars_row(symbol: str, timeframe: str, file: BarFile) -> dict[str, Any]:
    """Describe a bars file by the small blocks that were parsed with it: its bars are not read.

    missing: the bars that would fill its holes. longest: those of its longest hole, which begins at
    longest_at. first: the open of its first bar. last: the close of its last one.
    """
    blocks, span = file.part.blocks, SPANS[timeframe] // MICROSECOND
    opens, closes = blocks["bars/runs"]
    missing = (opens[1:] - closes[:-1]) // span
    longest = int(missing.argmax()) if len(missing) else None
    quiet = blocks["bars/quiet"]
    return {
        "symbol": symbol,
        "timeframe": timeframe,
        "bars": blocks["bars"].shape[1],
        "first": _instant(opens[:1]),
        "last": _instant(closes[-1:]),
        "holes": len(missing),
        "missing": int(missing.sum()),
        "longest": None if longest is None else int(missing[longest]),
        "longest_at": None if longest is None else _instant(closes[longest:]),
        "jumps": blocks["bars/jumps"].shape[1],
        "volume_0": int((quiet[1] - quiet[0]).sum()),
        # The end of the file counts as a halt there.
        "halts": max(blocks["bars/halts"].shape[1] - 1, 0),
        "refused": len(file.part.notes),
    }


def _instant(at: Words) -> Any:
    """Read the first of some instants in microseconds; None when there is none."""
    return EPOCH + int(at[0]) * MICROSECOND if len(at) else None


def _file_row(name: str, part: ParsedFile, known: Mapping[TokenId, Instrument]) -> Row:
    """Describe a dated file; unknown: the rows of tokens that instruments.csv lacks."""
    series = series_in(part.blocks)
    edges = np.array([(one.at[0], one.at[-1]) for one in series.values()], np.int64).reshape(-1, 2)
    return {
        "file": name,
        "rows": sum(len(one.at) for one in series.values()),
        "tokens": len(series),
        "first": _instant(np.sort(edges[:, 0])),
        "last": _instant(np.sort(edges[:, 1])[::-1]),
        "unknown": sum(len(one.at) for token_id, one in series.items() if token_id not in known),
    }


def _bar_remarks(bars: Bars) -> Iterator[str]:
    """Name the first refused bars and the first jumps, by file and line."""
    files = [file for several in bars.values() for file in several.values()]
    refused = (f"refused: {file.path} {note}" for file in files for note in file.part.notes)
    jumps = chain.from_iterable(file.jumps(REFUSED_NAMED) for file in files)
    yield from islice(refused, REFUSED_NAMED)
    yield from (f"look: {jump}" for jump in islice(jumps, REFUSED_NAMED))


def _file_remarks(
    folder: Path, dated: Mapping[str, ParsedFile], known: Mapping[TokenId, Instrument], bars: Bars
) -> Iterator[str]:
    """Name rows of tokens that instruments.csv lacks, and tokens without bars."""
    yield from (f"ignored: {line}" for _, line in strangers_in(folder, dated, known))
    found = [(known[token_id].symbol, name) for name, files in bars.items() for token_id in files]
    yield from tell_mixed_timeframes(found)
    lacking = [
        one.symbol for one in known.values() if not any(one.token_id in files for files in bars.values())
    ]
    if lacking:
        named = ", ".join(lacking[:REFUSED_NAMED]) + (" and others" if len(lacking) > REFUSED_NAMED else "")
        yield f"look: no bars of {named}: a replay whose universe has one of these is refused"


def _find_alike(known: Mapping[TokenId, Instrument], bars: Bars) -> Iterator[Row]:
    """Find tokens that have one price in a timeframe."""
    for timeframe, files in bars.items():
        closes: dict[str, Closes] = {
            known[token_id].symbol: Closes(file.columns.opened_at, file.columns.prices[3])
            for token_id, file in files.items()
        }
        for pair in find_alike(closes, SPANS[timeframe] // MICROSECOND):
            yield {**pair._asdict(), "timeframe": timeframe, "since": EPOCH + pair.since * MICROSECOND}


def _describe_pair(pair: Row) -> str:
    return (
        f"look: {pair['first']} and {pair['second']} have the same close at {pair['bars']:,} {pair['timeframe']}"
        f" bars in a row from {pair['since']:%Y-%m-%dT%H:%MZ}: likely one coin under two names"
    )


def _missing(folder: Path, dated: Mapping[str, ParsedFile], bars: int) -> Sequence[str]:
    """Describe what every replay would miss."""
    found = []
    if "signals" not in dated:
        hint = f"`bot history derive {folder} --signals ema` derives one"
        found.append(f"missing: {folder / 'signals.csv'}: every replay needs it; {hint}")
    if not bars:
        found.append(f"missing: {folder / 'bars'}: its files hold no bars to replay")
    return found
