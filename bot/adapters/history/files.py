"""Which files of a history folder are read, and what they were parsed to, from its packs where they answer."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bot.adapters.history.columns import Columns, pack_columns, unpack_columns
from bot.adapters.history.dated import GRADES, LEVELS, MARKET, QUANTMETRICS, SIGNALS
from bot.adapters.history.pack import Pack, Part, Tell
from bot.adapters.history.reader import SourceFile, choose, find_file, load, names_in
from bot.domain.errors import ConfigError
from bot.domain.ids import TokenId
from bot.domain.instruments import Instrument

PARSERS = {
    "signals": SIGNALS.parse,
    "levels": LEVELS.parse,
    "quantmetrics": QUANTMETRICS.parse,
    "grades": GRADES.parse,
    "market": MARKET.parse,
}


class BarFile(NamedTuple):
    """The bars of a token in one timeframe, and the file they were read from."""

    path: Path
    timeframe: str
    part: Part

    @property
    def name(self) -> str:
        """The file's name in the folder's digest."""
        return f"bars/{self.timeframe}/{self.path.name}"

    def columns(self) -> Columns:
        """Look at the bars."""
        return unpack_columns(self.part, self.timeframe)

    def refused(self) -> list[str]:
        """Return the candles that were dropped, by file and line."""
        return [f"{self.path} {reason}" for reason in self.part.notes]


def listing_of(folder: Path) -> SourceFile:
    """Read the file that names a folder's instruments; raises ConfigError where there is none."""
    if not folder.is_dir():
        message = f"{folder}: no such history folder"
        raise ConfigError(message)
    return load(_required(folder, "instruments"))


def _required(folder: Path, name: str) -> Path:
    path = find_file(folder, name)
    if path is None:
        message = f"{folder / name}.csv: no such file; every history folder needs it"
        raise ConfigError(message)
    return path


def dated_parts(folder: Path, place: Path | None, tell: Tell, *, always: bool = False) -> dict[str, Part]:
    """Read the dated files that are there, by name; signals alone must be. always: pack small ones too."""
    found = {name: find_file(folder, name) for name in PARSERS}
    found["signals"] = _required(folder, "signals")
    return {
        name: Pack(place, name, tell).parts({path.name: path}, PARSERS[name], always=always)[path.name]
        for name, path in found.items()
        if path is not None
    }


def bar_files(
    folder: Path, instruments: Mapping[TokenId, Instrument], timeframes: Sequence[str]
) -> tuple[str, dict[TokenId, Path]]:
    """Find the bars of every instrument in the first of these timeframes that all have."""
    lacking = ""
    for name in timeframes:
        paths = bars_in(folder, instruments, name)
        if len(paths) == len(instruments):
            return name, paths
        if paths or len(timeframes) == 1:
            first = next(one.symbol for token_id, one in instruments.items() if token_id not in paths)
            lacking = f"{folder / 'bars' / name / first}.csv"
    if not lacking:
        symbol = next(iter(instruments.values())).symbol
        lacking = f"{folder / 'bars' / '1h' / symbol}.csv"
    message = f"{lacking}: no such file; every token of the universe needs its bars in one timeframe"
    raise ConfigError(message)


def bars_in(folder: Path, instruments: Mapping[TokenId, Instrument], timeframe: str) -> dict[TokenId, Path]:
    """Find the bars of those instruments that have some in a timeframe."""
    place = folder / "bars" / timeframe
    names = names_in(place)  # once: asking for every name by itself costs more than reading the pack
    found = {token_id: choose(place, one.symbol, names) for token_id, one in instruments.items()}
    return {token_id: path for token_id, path in found.items() if path is not None}


def read_bars(
    place: Path | None, timeframe: str, paths: Mapping[TokenId, Path], tell: Tell, *, always: bool = False
) -> dict[TokenId, BarFile]:
    """Read the bars of tokens in one timeframe. always: pack small ones too."""
    parse = partial(pack_columns, timeframe=timeframe)
    names = {path.name: path for path in paths.values()}
    parts = Pack(place, f"bars-{timeframe}", tell).parts(names, parse, always=always)
    return {token_id: BarFile(path, timeframe, parts[path.name]) for token_id, path in paths.items()}
