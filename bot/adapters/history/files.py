"""The choice of files that are read from a history folder, and their parsed contents.

The contents come from the folder's packs when these hold them, otherwise from the files.
"""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bot.adapters.history.bar_columns import Columns, pack_columns, unpack_columns
from bot.adapters.history.dated import GRADES, LEVELS, MARKET, QUANTMETRICS, SIGNALS
from bot.adapters.history.pack import Pack, ParsedFile, Tell
from bot.adapters.history.reader import SourceFile, choose, find_file, load, names_in, row_unit
from bot.adapters.history.traded import read_jumps
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

IDS_NAMED = 5  # how many token_ids a remark names


class Strangers(NamedTuple):
    """The rows of a dated file whose token_id is not in instruments.csv; nothing reads them."""

    path: Path
    rows: int
    tokens: tuple[TokenId, ...]

    def __str__(self) -> str:
        """Describe them in one line."""
        named = ", ".join(map(str, self.tokens[:IDS_NAMED]))
        more = f" and {len(self.tokens) - IDS_NAMED} more" if len(self.tokens) > IDS_NAMED else ""
        counted = f"{self.rows} rows" if self.rows > 1 else "1 row"
        return (
            f"{self.path}: {counted} of token_id {named}{more} ignored: "
            "instruments.csv has no such token"
        )


class BarFile(NamedTuple):
    """The bars of a token in one timeframe, and the file that they were read from."""

    path: Path
    timeframe: str
    part: ParsedFile

    @property
    def name(self) -> str:
        """The file's name in the folder's digest."""
        return f"bars/{self.timeframe}/{self.path.name}"

    def columns(self) -> Columns:
        """View the bars as columns."""
        return unpack_columns(self.part, self.timeframe)

    def refusals(self) -> list[str]:
        """List the candles that were dropped, by file and line."""
        return [f"{self.path} {reason}" for reason in self.part.notes]

    def jumps(self, limit: int) -> list[str]:
        """List the first bars whose price is far from the close before, by file and line."""
        return [
            f"{self.path} {row_unit(self.path)} {jump}"
            for jump in read_jumps(self.part.late["jumps"], limit)
        ]

    @property
    def jumps_count(self) -> int:
        """The number of bars whose price is far from the close before."""
        return int(self.part.late["jumps"].shape[1])

    @property
    def ends_at(self) -> int | None:
        """The close of the last bar, in microseconds since 1970; None when there is no bar."""
        closes = self.part.late["runs"][1]
        return int(closes[-1]) if len(closes) else None


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


def dated_parts(
    folder: Path, place: Path | None, tell: Tell, *, always: bool = False
) -> dict[str, ParsedFile]:
    """Read the dated files of a folder, by name; only signals must exist.

    always: pack small files too.
    """
    found = {name: find_file(folder, name) for name in PARSERS}
    found["signals"] = _require_file(folder, "signals")
    return {
        name: Pack(place, name, tell).parts({path.name: path}, PARSERS[name], always=always)[
            path.name
        ]
        for name, path in found.items()
        if path is not None
    }


def strangers_in(
    folder: Path, parts: Mapping[str, ParsedFile], known: Container[TokenId]
) -> list[Strangers]:
    """Find the rows that belong to no instrument, for each dated file."""
    found = []
    for name, part in parts.items():
        # A block named by digits holds a token's rows; others hold its numbers' texts.
        counts = {
            TokenId(int(key)): words.shape[1]
            for key, words in part.blocks.items()
            if key.isdecimal()
        }
        unknown = {token_id: count for token_id, count in counts.items() if token_id not in known}
        path = find_file(folder, name) if unknown else None
        if path is not None:
            found.append(Strangers(path, sum(unknown.values()), tuple(unknown)))
    return found


def bar_files(
    folder: Path, instruments: Mapping[TokenId, Instrument], timeframes: Sequence[str]
) -> tuple[str, dict[TokenId, Path]]:
    """Find the bars of every instrument in the first of these timeframes that all of them have.

    Raises ConfigError when there is no such timeframe.
    """
    lacking = ""
    for name in timeframes:
        paths = bars_in(folder, instruments, name)
        if len(paths) == len(instruments):
            return name, paths
        if paths or len(timeframes) == 1:
            first = next(
                one.symbol for token_id, one in instruments.items() if token_id not in paths
            )
            lacking = f"{folder / 'bars' / name / first}.csv"
    if not lacking:
        symbol = next(iter(instruments.values())).symbol
        lacking = f"{folder / 'bars' / '1h' / symbol}.csv"
    raise ConfigError(
        f"{lacking}: no such file; every token of the universe needs its bars in one timeframe"
    )


def bars_in(
    folder: Path, instruments: Mapping[TokenId, Instrument], timeframe: str
) -> dict[TokenId, Path]:
    """Find the bars files of the instruments that have one in a timeframe."""
    place = folder / "bars" / timeframe
    names = names_in(place)  # listed once: a lookup for each name costs more than reading the pack
    found = {token_id: choose(place, one.symbol, names) for token_id, one in instruments.items()}
    return {token_id: path for token_id, path in found.items() if path is not None}


def read_bars(
    place: Path | None,
    timeframe: str,
    paths: Mapping[TokenId, Path],
    tell: Tell,
    *,
    always: bool = False,
) -> dict[TokenId, BarFile]:
    """Read the bars of tokens in one timeframe. always: pack small files too."""
    parse = partial(pack_columns, timeframe=timeframe)
    names = {path.name: path for path in paths.values()}
    parts = Pack(place, f"bars-{timeframe}", tell).parts(names, parse, always=always)
    return {
        token_id: BarFile(path, timeframe, parts[path.name]) for token_id, path in paths.items()
    }
