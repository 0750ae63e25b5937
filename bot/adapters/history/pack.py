"""A pack: the parsed contents of files of one kind, as a memory-mapped array and a manifest.

It answers only for files with exactly the content that it was made from; a damaged pack is ignored
and made again.
"""

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from errno import ENOENT
from pathlib import Path
from typing import IO, Any

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

    blocks: arrays of words (rows, length); floats are stored as their bits.
    late: small blocks that each opening reads, and that are therefore stored together.
    notes: lines about the file, such as the rows that were dropped.
    """

    digest: str
    blocks: Mapping[str, Words]
    late: Mapping[str, Words]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file in the manifest.

    stamp: its size, times and inode. seen: when its content was read, in nanoseconds.
    """

    digest: str
    stamp: Stamp
    seen: int
    blocks: Mapping[str, Place]
    late: Mapping[str, Place]
    notes: tuple[str, ...]

    def is_of(self, stamp: Stamp) -> bool:
        """Check whether a file of this stamp surely has this content, as git checks its index."""
        _, modified, changed, _ = stamp
        return stamp == self.stamp and max(modified, changed) < self.seen - RACY_NS

    def part(self, words: Words) -> ParsedFile:
        """View the entry's blocks in the mapped words."""
        # Slices of the mapping, not copies: a block is read from the disk when it is used.
        blocks, late = (
            {
                name: words[at : at + rows * length].reshape(rows, length)
                for name, (at, rows, length) in places.items()
            }
            for places in (self.blocks, self.late)
        )
        return ParsedFile(self.digest, blocks, late, self.notes)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A pack as it is found on the disk."""

    file: Path
    words: Words
    entries: Mapping[str, _Entry]


class Pack:
    """The pack of one kind of file; place: the folder of the packs, or None to keep none."""

    def __init__(self, place: Path | None, kind: str, tell: Tell = silent) -> None:
        """Use the pack of this kind in place; tell receives the progress of packing."""
        self.place = place
        self.kind = kind
        self._tell = tell

    def parts(
        self,
        sources: Mapping[str, Path],
        parse: Callable[[SourceFile], ParsedFile],
        *,
        always: bool = False,
    ) -> dict[str, ParsedFile]:
        """Load the parsed contents of files, by name; parse and pack those that the pack lacks.

        A pack that cannot be written is no error. With `always`, which packs small files too, it
        raises OSError.
        """
        stored = self._load()
        entries = stored.entries if stored else {}
        stamps = {}
        for name, path in sources.items():
            with readable(path):
                stamps[name] = _stamp(path)
        known = {
            name: entry
            for name in sources
            if (entry := entries.get(name)) and entry.is_of(stamps[name])
        }
        if stored and len(known) == len(sources):
            return {name: entry.part(stored.words) for name, entry in known.items()}
        if stored or always or sum(stamp[0] for stamp in stamps.values()) >= PACKED_FROM_BYTES:
            try:
                return self._renew(stored, known, sources, stamps, parse)
            except OSError:
                if always:
                    raise
        return {
            name: known[name].part(stored.words) if stored and name in known else parse(load(path))
            for name, path in sources.items()
        }

    def trusted_parts(self, sources: Mapping[str, Path]) -> dict[str, ParsedFile]:
        """Load what the pack surely holds of these files; parse and pack nothing."""
        stored = self._load()
        found = {}
        for name, path in sources.items():
            entry = stored.entries.get(name) if stored else None
            with suppress(OSError):
                if stored and entry and entry.is_of(_stamp(path)):
                    found[name] = entry.part(stored.words)
        return found

    def _load(self) -> _Stored | None:
        """Map the stored pack; None when there is none, or when it is outdated or damaged."""
        if self.place is None:
            return None
        try:
            digest, _, body = (self.place / f"{self.kind}.json").read_bytes().partition(b"\n")
            if digest != hashlib.sha256(body).hexdigest().encode():
                return None
            manifest = json.loads(body)
            file = self.place / manifest["file"]
            if manifest["format"] != _format() or manifest["stamp"] != list(_stamp(file)):
                return None
            entries = {name: _entry(one) for name, one in manifest["files"].items()}
            return _Stored(file, _map_words(file), entries)
        except (OSError, ValueError, KeyError):
            return None

    def _renew(
        self,
        stored: _Stored | None,
        known: Mapping[str, _Entry],
        sources: Mapping[str, Path],
        stamps: Mapping[str, Stamp],
        parse: Callable[[SourceFile], ParsedFile],
    ) -> dict[str, ParsedFile]:
        """Read the files with new stamps, parse those with new content, and rewrite the pack."""
        if self.place is None:
            raise FileNotFoundError(ENOENT, "this user has no home folder")
        self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as undo:
            manifest = self._temporary(".tmp", undo)
            seen = manifest.stat().st_mtime_ns
            entries = {**_others(stored, sources), **known}
            for name in sources.keys() - known.keys():
                entry = stored.entries.get(name) if stored else None
                if entry and load(sources[name]).digest == entry.digest:
                    # Only the stamp is new: the manifest changes, the words stay.
                    entries[name] = replace(entry, stamp=stamps[name], seen=seen)
            if stored and entries.keys() >= sources.keys():
                renewed = replace(stored, entries=entries)
            else:
                kept = (
                    {name: (entry, entry.part(stored.words)) for name, entry in entries.items()}
                    if stored
                    else {}
                )
                file = self._temporary(".npy", undo)
                with file.open("wb") as stream:
                    writing = _Writing(stream)
                    for name, (entry, part) in kept.items():
                        writing.add(name, part, entry.stamp, entry.seen)
                    remade = [name for name in sources if name not in kept]
                    for done, name in enumerate(remade):
                        self._tell(self.kind, done, len(remade))
                        writing.add(name, parse(load(sources[name])), stamps[name], seen)
                    self._tell(self.kind, len(remade), len(remade))
                    writing.finish()
                renewed = _Stored(file, _map_words(file), writing.entries)
            manifest.write_bytes(_manifest(renewed))
            manifest.replace(self.place / f"{self.kind}.json")
            undo.pop_all()
        self._sweep(renewed.file, stored.file if stored else None)
        return {name: renewed.entries[name].part(renewed.words) for name in sources}

    def _temporary(self, suffix: str, undo: ExitStack) -> Path:
        """Create an empty file that `undo` removes unless everything succeeds."""
        handle, name = tempfile.mkstemp(suffix, f"{self.kind}-", self.place)
        os.close(handle)
        undo.callback(Path(name).unlink, missing_ok=True)
        return Path(name)

    def _sweep(self, file: Path, replaced: Path | None) -> None:
        """Remove the replaced file and old leftovers; a newer file may still be in use."""
        with suppress(OSError):
            newest = file.stat().st_mtime_ns
            for other in file.parent.glob(f"{self.kind}-*"):
                if other != file and (
                    other == replaced or other.stat().st_mtime_ns < newest - ABANDONED_NS
                ):
                    other.unlink(missing_ok=True)


class _Writing:
    """A file of words while it is written; its header, that of a .npy file, is completed last."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Write to this stream from its beginning."""
        self.entries: dict[str, _Entry] = {}
        self._stream = stream
        self._count = 0
        self._late: dict[str, Mapping[str, Words]] = {}
        stream.write(_header(0))

    def add(self, name: str, part: ParsedFile, stamp: Stamp, seen: int) -> None:
        """Append the blocks of a file."""
        self.entries[name] = _Entry(
            part.digest, stamp, seen, self._put(part.blocks), {}, part.notes
        )
        self._late[name] = part.late

    def finish(self) -> None:
        """Append the late blocks, complete the header, and flush everything to the disk."""
        for name, blocks in self._late.items():
            self.entries[name] = replace(self.entries[name], late=self._put(blocks))
        self._stream.seek(0)
        self._stream.write(_header(self._count))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _put(self, blocks: Mapping[str, Words]) -> dict[str, Place]:
        places = {}
        for name, words in blocks.items():
            rows, length = words.shape
            self._stream.write(np.ascontiguousarray(words).data)
            places[name] = (self._count, rows, length)
            self._count += words.size
        return places


def _others(stored: _Stored | None, sources: Mapping[str, Path]) -> dict[str, _Entry]:
    """Find the entries of files that are not asked for now but still exist."""
    if stored is None:
        return {}
    folder = next(iter(sources.values())).parent
    return {
        name: entry
        for name, entry in stored.entries.items()
        if name not in sources and (folder / name).is_file()
    }


def place_of(folder: Path) -> Path | None:
    """Find where the packs of a folder are kept; None when this user has no home folder."""
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    try:
        # The XDG Base Directory Specification says to ignore a relative path.
        return (
            (root if root.is_absolute() else Path.home() / ".cache") / "tidemark" / "packs" / name
        )
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
    files = {name: asdict(entry) for name, entry in stored.entries.items()}
    made = {
        "format": _format(),
        "file": stored.file.name,
        "stamp": _stamp(stored.file),
        "files": files,
    }
    body = json.dumps(made).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _entry(stored: Mapping[str, Any]) -> _Entry:
    return _Entry(
        digest=stored["digest"],
        stamp=tuple(stored["stamp"]),
        seen=stored["seen"],
        blocks=stored["blocks"],
        late=stored["late"],
        notes=tuple(stored["notes"]),
    )


def _header(count: int) -> bytes:
    """Build the header of a .npy file of `count` words."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<i8", "fortran_order": False, "shape": (count,)}
    )
    return stream.getvalue()


def _map_words(file: Path) -> Words:
    """Map a file of words; raises ValueError when its header does not belong to them."""
    begin = len(_header(0))
    count, rest = divmod(file.stat().st_size - begin, np.dtype(np.int64).itemsize)
    with file.open("rb") as stream:
        if rest or count < 0 or stream.read(begin) != _header(count):
            raise ValueError
    # asarray keeps the mapping but drops the memmap subclass, whose indexing is slow.
    return np.asarray(np.memmap(file, np.int64, "r", begin, (count,)))
