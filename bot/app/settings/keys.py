"""The keys to a provider: read again when their file changes, tried in order."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.domain.errors import BotError


class KeyRing:
    """The keys of a configuration, one a line of their file, the first that works.

    It prints as a mask, and no error repeats a key.
    """

    def __init__(self, read: Callable[[], Sequence[str]], file: Path | None = None) -> None:
        """Read the keys; file: where they come from, if any. Raises what `read` does."""
        self._read = read
        self._file = file
        self._lock = threading.Lock()
        self._keys: list[str] = []
        self._seen: list[str] = []
        self._stamp: object = None
        self._take()

    @property
    def current(self) -> str:
        """The key to use now; a file that has changed is read again."""
        with self._lock:
            if self._look() != self._stamp:
                self._try_again()
            return self._keys[0]

    @property
    def all(self) -> tuple[str, ...]:
        """Every key ever read, so that none of them is told."""
        return tuple(self._seen)

    def refuse(self, key: str) -> bool:
        """Turn to the next key after one was refused; return False when there is no other.

        The file is read again first: whoever has replaced a key need not restart anything.
        """
        with self._lock:
            was = self._keys[0]
            if self._look() != self._stamp:
                self._try_again()
            if self._keys[0] != key or was != key:
                return True
            # The refused key goes to the end: it may work again tomorrow.
            self._keys = [*self._keys[1:], key]
            return self._keys[0] != key

    def __repr__(self) -> str:
        """Show no key."""
        return "***"

    def _look(self) -> object:
        """Stamp the file as it is now; None without a file."""
        if self._file is None:
            return None
        try:
            state = self._file.stat()
        except OSError:
            return self._stamp
        return state.st_mtime_ns, state.st_size, state.st_ino

    def _take(self) -> None:
        stamp = self._look()
        self._keys = list(self._read())
        self._seen += [key for key in self._keys if key not in self._seen]
        self._stamp = stamp

    def _try_again(self) -> None:
        """Read a changed file; a file that is just being written keeps the keys as they are."""
        try:
            self._take()
        except BotError:
            self._stamp = self._look()


def ring_of(*keys: str) -> KeyRing:
    """Build a ring of keys that never change."""
    return KeyRing(lambda: keys)
