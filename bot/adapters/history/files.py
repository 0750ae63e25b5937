"""The choice of files that are read from a history folder, and their parsed contents.

The contents come from the folder's packs when these hold them, otherwise from the files.
"""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bot.adapters.history.bar_columns import SPANS, Columns, parse_bars
from bot.adapters.history.dated import GRADES, LEVELS, MARKET, QUANTMETRICS, SIGNALS
from bot.adapters.history.pack import Pack, ParsedFile, Tell
from bot.adapters.history.reader import SourceFile, choose, find_file, load, names_in, row_unit
from bot.adapters.history.traded import jump_of
from bot.domain.errors import ConfigError
from bot.domain.ids import TokenId
from bot.domain.instants import MICROSECOND
from bot.domain.instruments import Instrument

PARSERS = {
    "signals": SIGNALS.parse,
    "levels": LEVELS.parse,
    "quantmetrics": QUANTMETRICS.parse,
    "grades": GRADES.parse,
    "market": MARKET.parse,
}

IDS_NAMED = 5  # how many token_ids a remark names


class BarFile(NamedTuple):
    """A parsed file of bars."""

    path: Path
    part: ParsedFile
    columns: Columns

    def jumps(self, limit: int) -> list[str]:
        """List the first bars whose price is far from the close before, by file and line."""
        prices, unit = self.columns.prices, row_unit(self.path)
        found = self.part.blocks["bars/jumps"][:, :limit].T.tolist()
        return [f"{self.path} {unit} {line}: {jump_of(prices, row)}" for row, line in found]


def listing_of(folder: Path) -> SourceFile:
    """Read the file that lists a folder's instruments; raises ConfigError when there is none."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such history folder")
    return load(_require_file(folder, "instruments"))


def _require_file(folder: Path, name: str) -> Path:
    path = find_file(folder, name)
    if path is None:
        raise ConfigError(f"{folder / name}.csv: no such file; every history folder needs it")
    return path


def dated_parts(folder: Path, place: Path | None, tell: Tell, *, always: bool = False) -> dict[str, ParsedFile]:
    """Read the dated files of a folder, by name; only signals must exist.

    always: pack small files too.
    """
    _require_file(folder, "signals")
    return find_dated_parts(folder, place, tell, always=always)


def find_dated_parts(
    folder: Path, place: Path | None, tell: Tell, *, always: bool = False
) -> dict[str, ParsedFile]:
    """Read the dated files that a folder has, by name."""
    found = {name: find_file(folder, name) for name in PARSERS}
    return {
        name: Pack(place, name, tell).parts([path], PARSERS[name], always=always)[path]
        for name, path in found.items()
        if path is not None
    }


def strangers_in(
    folder: Path, parts: Mapping[str, ParsedFile], known: Container[TokenId]
) -> list[tuple[int, str]]:
    """Count and describe, for each dated file, the rows of tokens that instruments.csv lacks."""
    found = []
    for name, part in parts.items():
        # A block named by digits holds a token's rows; others hold its numbers' texts.
        counts = {
            key: words.shape[1]
            for key, words in part.blocks.items()
            if key.isdecimal() and TokenId(int(key)) not in known
        }
        rows, more = sum(counts.values()), len(counts) - IDS_NAMED
        if rows:
            named = ", ".join([*counts][:IDS_NAMED]) + (f" and {more} more" if more > 0 else "")
            line = (
                f"{find_file(folder, name)}: {rows} row{'s' if rows > 1 else ''}"
                f" of token_id {named} ignored: instruments.csv has no such token"
            )
            found.append((rows, line))
    return found


def bar_files(
    folder: Path, instruments: Mapping[TokenId, Instrument], timeframes: Sequence[str]
) -> tuple[str, dict[TokenId, Path]]:
    """Find the bars of every instrument in the first of these timeframes that all of them have.

    Raises ConfigError when there is no such timeframe.
    """
    lacking = folder / "bars" / "1h" / next((one.symbol for one in instruments.values()), "")
    for name in timeframes:
        paths = bars_in(folder, instruments, name)
        if len(paths) == len(instruments):
            return name, paths
        if paths or len(timeframes) == 1:
            first = next(one.symbol for token_id, one in instruments.items() if token_id not in paths)
            lacking = folder / "bars" / name / first
    others = sorted(name for name in names_in(lacking.parent) if name.startswith(f"{lacking.name}."))
    if others:
        raise ConfigError(
            f"{lacking}.csv: no such file; {others[0]} there is of another kind: import it with"
            " `bot history import`"
        )
    raise ConfigError(
        f"{lacking}.csv: no such file; every token of the universe needs its bars in one timeframe"
    )


def bars_in(folder: Path, instruments: Mapping[TokenId, Instrument], timeframe: str) -> dict[TokenId, Path]:
    """Find the bars files of the instruments that have one in a timeframe."""
    place = folder / "bars" / timeframe
    names = names_in(place)  # listed once: a lookup for each name costs more than reading the pack
    found = {token_id: choose(place, one.symbol, names) for token_id, one in instruments.items()}
    return {token_id: path for token_id, path in found.items() if path is not None}


def read_bars(
    place: Path | None, timeframe: str, paths: Mapping[TokenId, Path], tell: Tell, *, always: bool = False
) -> dict[TokenId, BarFile]:
    """Read the bars of tokens in one timeframe. always: pack small files too."""
    parse, span = partial(parse_bars, timeframe=timeframe), SPANS[timeframe] // MICROSECOND
    parts = Pack(place, f"bars-{timeframe}", tell).parts(paths.values(), parse, always=always)
    return {
        token_id: BarFile(path, parts[path], Columns(span, parts[path].blocks))
        for token_id, path in paths.items()
    }


def read_finer(
    folder: Path, instruments: Mapping[TokenId, Instrument], timeframe: str, place: Path | None, tell: Tell
) -> dict[TokenId, tuple[BarFile, ...]]:
    """Read the bars of each token in every timeframe below the given one, the finest first."""
    names = [name for name, span in SPANS.items() if span < SPANS[timeframe]]
    read = [read_bars(place, name, bars_in(folder, instruments, name), tell) for name in names]
    found = {token_id: tuple(bars[token_id] for bars in read if token_id in bars) for token_id in instruments}
    return {token_id: files for token_id, files in found.items() if files}
