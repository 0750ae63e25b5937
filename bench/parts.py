"""Where the time of one replay goes: clocks of the processor around its parts, in one process.

`python -m bench.parts CASE [WORK]` after `make bench` made the case; a part that holds another is told without it.
"""

import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

from bench.timing import ROOT

WARM = datetime(2021, 2, 1, tzinfo=UTC)


class Clocks:
    """Seconds by part; what runs inside another part counts for the inner one alone."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.spent: dict[str, float] = {}
        self._running: list[str] = []
        self._since = time.process_time()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure what happens meanwhile as a part."""
        self._turn()
        self._running.append(name)
        try:
            yield
        finally:
            self._turn()
            self._running.pop()

    def around(self, module: Any, function: str, name: str) -> None:
        """Measure every call of a module's function as a part."""
        inner: Callable[..., Any] = getattr(module, function)

        @wraps(inner)
        def timed(*given: Any, **more: Any) -> Any:
            with self.part(name):
                return inner(*given, **more)

        setattr(module, function, timed)

    def _turn(self) -> None:
        now = time.process_time()
        name = self._running[-1] if self._running else "the rest"
        self.spent[name] = self.spent.get(name, 0.0) + now - self._since
        self._since = now


def parts(strategy: Path, folder: Path) -> dict[str, float]:
    """Replay a strategy over a folder, and return the seconds of its parts."""
    clocks = Clocks()
    with clocks.part("imports, and making the ledger"):
        from bot.adapters.sql import ledger  # noqa: PLC0415 - the imports are measured
        from bot.app.replay import material, replay, waking  # noqa: PLC0415
    clocks.around(ledger, "create_if_empty", "imports, and making the ledger")
    clocks.around(material, "open_history", "opening the history")
    clocks.around(waking, "run_cycle", "deciding")
    for method in ("__init__", "after", "skip_to"):
        clocks.around(waking.Waking, method, "deciding")
    for function in ("rows_of", "datum_rows"):
        clocks.around(ledger, function, "rows")
    clocks.around(ledger, "link_cycle", "the hash chain")
    clocks.around(ledger, "insert_rows", "inserting")
    for function in ("statistics", "summary"):
        clocks.around(replay, function, "figures")
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()), clocks.part("the rest"):
        replay.replay(
            str(strategy),
            folder,
            f"{place}/parts.db",
            cash="100000",
            window=(WARM, None),
            schedule=None,
            random_entries=None,
            program="bot",
        )
    return clocks.spent


if __name__ == "__main__":
    work = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "build" / "bench"  # noqa: PLR2004
    os.environ["XDG_CACHE_HOME"] = str(work.resolve() / "cache")
    found = parts(ROOT / "bench" / "workload.toml", work / f"h_{sys.argv[1]}")
    for name, seconds in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"{name:<32}{seconds:6.2f}")
    print(f"{'all':<32}{sum(found.values()):6.2f}")
