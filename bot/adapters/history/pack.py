"""A pack: the parsed contents of files of one kind, as a memory-mapped array and a manifest.

It answers only for files with exactly the content that it was made from; a damaged pack is ignored
and made again.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from bot.adapters.code_digest import source_digest
from bot.adapters.history.reader import SourceFile, load, readable

# Raise it when a change of code outside this folder changes how files are parsed: see `_format`.
FORMAT = 1
# Parsing smaller files takes less time than making their pack.
PACKED_FROM_BYTES = 200_000
# When a file changed this shortly before it was read, another change may leave its stamp as it is.
RACY_NS = 2_000_000_000
# A file this much older than the pack was left by a process that died.
ABANDONED_NS = 3_600_000_000_000

Words = npt.NDArray[np.int64]
Stamp = tuple[int, ...]  # size, modification time, change time (nanoseconds), inode
Place = tuple[int, int, int]  # index of the first word, rows, length of a row
Tell = Callable[[str, int, int], None]  # what is packed, files done, files in all


def silent(_what: str, _done: int, _total: int) -> None:
    """Ignore the progress of packing."""


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The parsed contents of one file.

    blocks: arrays of words (rows, length); floats are stored as their bits. Those with a slash in
        their name are small, and are stored together, behind the others of all files.
    notes: lines about the file, such as the rows that were dropped.
    """

    digest: str
    blocks: Mapping[str, Words]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file in the manifest.

    stamp: its size, times and inode. seen: when its content was read, in nanoseconds.
    """

    digest: str
    stamp: Stamp
    seen: int
    blocks: Mapping[str, Place]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A pack as it is found on the disk: a file of words, and an entry for each packed file."""

    file: Path
    words: Words
    entries: Mapping[str, _Entry]

    def holds(self, path: Path, stamp: Stamp) -> bool:
        """Check whether a file surely has the packed content, as git checks its index."""
        entry = self.entries.get(path.name)
        _, modified, changed, _ = stamp
        return entry is not None and stamp == entry.stamp and max(modified, changed) < entry.seen - RACY_NS

    def part(self, name: str) -> ParsedFile:
        """View the blocks of a packed file in the mapped words."""
        entry = self.entries[name]
        # Slices of the mapping, not copies: a block is read from the disk when it is used.
        blocks = {
            block: self.words[at : at + rows * length].reshape(rows, length)
            for block, (at, rows, length) in entry.blocks.items()
        }
        return ParsedFile(entry.digest, blocks, entry.notes)


NOTHING = _Stored(Path(), np.empty(0, np.int64), {})


@dataclass(frozen=True, slots=True)
class Pack:
    """The pack of one kind of file.

    place: the folder of the packs, or None to keep none. tell: receives the progress of packing.
    """

    place: Path | None
    kind: str
    tell: Tell = silent

    def parts(
        self, paths: Collection[Path], parse: Callable[[SourceFile], ParsedFile], *, always: bool = False
    ) -> dict[Path, ParsedFile]:
        """Load the parsed contents of files of one folder; parse and pack those that are missing.

        With `always` small files are packed too, and a pack that cannot be written raises OSError;
        otherwise it is no error.
        """
        stored = self._load()
        stamps = {}
        for path in paths:
            with readable(path):
                stamps[path] = _stamp(path)
        known = {path for path, stamp in stamps.items() if stored.holds(path, stamp)}
        size = sum(stamp[0] for stamp in stamps.values())
        packs = stored is not NOTHING or always or size >= PACKED_FROM_BYTES
        if self.place and packs and len(known) < len(stamps):
            try:
                stored = self._renew(self.place, stored, known, stamps, parse)
                known = set(paths)
            except OSError:
                if always:
                    raise
        return {path: stored.part(path.name) if path in known else parse(load(path)) for path in paths}

    def trusted_parts(self, paths: Iterable[Path]) -> dict[Path, ParsedFile]:
        """Load what the pack surely holds of these files; parse and pack nothing."""
        stored = self._load()
        found = {}
        for path in paths:
            with suppress(OSError):
                if stored.holds(path, _stamp(path)):
                    found[path] = stored.part(path.name)
        return found

    def _load(self) -> _Stored:
        """Map the stored pack; `NOTHING` when there is none, or when it is outdated or damaged."""
        if self.place is None:
            return NOTHING
        try:
            digest, _, body = (self.place / f"{self.kind}.json").read_bytes().partition(b"\n")
            if digest != hashlib.sha256(body).hexdigest().encode():
                return NOTHING
            manifest = json.loads(body)
            file = self.place / manifest["file"]
            if manifest["format"] != _format() or manifest["stamp"] != list(_stamp(file)):
                return NOTHING
            entries = {
                name: _Entry(**{**one, "stamp": tuple(one["stamp"]), "notes": tuple(one["notes"])})
                for name, one in manifest["files"].items()
            }
            return _Stored(file, _map_words(file), entries)
        except (OSError, ValueError, KeyError):
            return NOTHING

    def _renew(
        self,
        place: Path,
        stored: _Stored,
        known: Collection[Path],
        stamps: Mapping[Path, Stamp],
        parse: Callable[[SourceFile], ParsedFile],
    ) -> _Stored:
        """Read the files with new stamps, parse those with new content, and rewrite the pack."""
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as undo:
            manifest = self._temporary(place, ".tmp", undo)
            seen = manifest.stat().st_mtime_ns
            folder, asked = next(iter(stamps)).parent, {path.name for path in stamps}
            # The entries of files that are not asked for now stay while the files exist.
            entries = {
                name: entry
                for name, entry in stored.entries.items()
                if folder / name in known or (name not in asked and (folder / name).is_file())
            }
            for path in stamps.keys() - known:
                entry = stored.entries.get(path.name)
                if entry and load(path).digest == entry.digest:
                    # Only the stamp is new: the manifest changes, the words stay.
                    entries[path.name] = replace(entry, stamp=stamps[path], seen=seen)
            if entries.keys() >= asked:
                renewed = replace(stored, entries=entries)
            else:
                file = self._temporary(place, ".words", undo)
                kept = ((name, one.stamp, one.seen, stored.part(name)) for name, one in entries.items())
                lacking = [path for path in stamps if path.name not in entries]
                parsed = ((path.name, stamps[path], seen, parse(load(path))) for path in self._count(lacking))
                entries = _write_words(file, chain(kept, parsed))
                renewed = _Stored(file, _map_words(file), entries)
            manifest.write_bytes(_manifest(renewed))
            manifest.replace(place / f"{self.kind}.json")
            undo.pop_all()
        self._sweep(renewed.file, stored.file)
        return renewed

    def _count(self, paths: Sequence[Path]) -> Iterator[Path]:
        """Pass files on, and tell how many are done."""
        for done, path in enumerate(paths):
            self.tell(self.kind, done, len(paths))
            yield path
        self.tell(self.kind, len(paths), len(paths))

    def _temporary(self, place: Path, suffix: str, undo: ExitStack) -> Path:
        """Create an empty file that `undo` removes unless everything succeeds."""
        handle, name = tempfile.mkstemp(suffix, f"{self.kind}-", place)
        os.close(handle)
        undo.callback(Path(name).unlink, missing_ok=True)
        return Path(name)

    def _sweep(self, file: Path, replaced: Path) -> None:
        """Remove the replaced file and old leftovers; a newer file may still be in use."""
        with suppress(OSError):
            oldest = file.stat().st_mtime_ns - ABANDONED_NS
            for other in file.parent.glob(f"{self.kind}-*"):
                if other != file and (other == replaced or other.stat().st_mtime_ns < oldest):
                    other.unlink(missing_ok=True)


def _write_words(file: Path, parts: Iterable[tuple[str, Stamp, int, ParsedFile]]) -> dict[str, _Entry]:
    """Write the blocks of files one after the other, and flush them to the disk."""
    entries: dict[str, _Entry] = {}
    late: list[tuple[dict[str, Place], str, Words]] = []
    with file.open("wb") as stream:
        for name, stamp, seen, part in parts:
            places: dict[str, Place] = {}
            entries[name] = _Entry(part.digest, stamp, seen, places, part.notes)
            for block, words in part.blocks.items():
                if "/" in block:
                    late.append((places, block, words))
                else:
                    places[block] = _put(stream, words)
        for places, block, words in late:
            places[block] = _put(stream, words)
        stream.flush()
        os.fsync(stream.fileno())
    return entries


def _put(stream: BinaryIO, words: Words) -> Place:
    at = stream.tell() // words.itemsize
    rows, length = words.shape
    stream.write(np.ascontiguousarray(words).data)
    return at, rows, length


def place_of(folder: Path) -> Path | None:
    """Find where the packs of a folder are kept; None when this user has no home folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    try:
        # The XDG Base Directory Specification says to ignore a relative path.
        return (root if root.is_absolute() else Path.home() / ".cache") / "tidemark" / "packs" / name
    except RuntimeError:
        return None


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _format() -> str:
    """Name the code that parses and packs, so that a pack made by other code is made again."""
    return f"{FORMAT}+{source_digest(Path(__file__).parent)}"


def _manifest(stored: _Stored) -> bytes:
    """Encode a manifest, with its own digest on the line above it."""
    made = {
        "format": _format(),
        "file": stored.file.name,
        "stamp": _stamp(stored.file),
        "files": {name: asdict(entry) for name, entry in stored.entries.items()},
    }
    body = json.dumps(made).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _map_words(file: Path) -> Words:
    """Map a file of words; raises ValueError when it ends within a word."""
    # asarray keeps the mapping but drops the memmap subclass, whose indexing is slow.
    return np.asarray(np.memmap(file, np.int64, "r") if file.stat().st_size else NOTHING.words)
