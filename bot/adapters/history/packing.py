"""The packing of a history folder ahead of its replays.

It packs every file in the folder that a replay can ask for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.adapters.history.bar_columns import SPANS
from bot.adapters.history.files import bar_files, bars_in, dated_parts, listing_of, read_bars
from bot.adapters.history.instruments import read_instruments
from bot.adapters.history.pack import ParsedFile, Tell, place_of
from bot.domain.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What the packs of a folder hold.

    bars: their number by timeframe. rows: those of the dated files, by name. bytes: on the disk.
    """

    place: Path
    files: int
    tokens: int
    bars: Mapping[str, int]
    rows: Mapping[str, int]
    refused: int
    bytes: int


def pack_history(folder: Path, tell: Tell) -> Packed:
    """Pack a folder.

    Raises what `open_history` raises, and StorageError when a pack cannot be written.
    """
    instruments = read_instruments(listing_of(folder))
    found = {timeframe: bars_in(folder, instruments, timeframe) for timeframe in SPANS}
    if not any(found.values()):
        bar_files(folder, instruments, tuple(SPANS))  # raises an error that names what is missing
    place = place_of(folder)
    if place is None:
        raise StorageError("this user has no home folder to keep packs in: set XDG_CACHE_HOME to a folder")
    try:
        dated = dated_parts(folder, place, tell, always=True)
        bars = {
            timeframe: read_bars(place, timeframe, paths, tell, always=True)
            for timeframe, paths in found.items()
            if paths
        }
        size = sum(file.stat().st_size for file in place.iterdir())
    except OSError as error:
        raise StorageError(
            f"{place}: cannot be written: {error.strerror}; set XDG_CACHE_HOME to a folder with room"
        ) from error
    return Packed(
        place=place,
        files=len(dated) + sum(map(len, bars.values())),
        tokens=len({token_id for paths in found.values() for token_id in paths}),
        bars={timeframe: sum(_rows(file.part) for file in files.values()) for timeframe, files in bars.items()},
        rows={name: _rows(part) for name, part in dated.items()},
        refused=sum(len(file.part.notes) for files in bars.values() for file in files.values()),
        bytes=size,
    )


def _rows(part: ParsedFile) -> int:
    """Count the rows of a parsed file."""
    # A block with a slash in its name holds texts of numbers, not rows.
    return sum(words.shape[1] for name, words in part.blocks.items() if "/" not in name)
