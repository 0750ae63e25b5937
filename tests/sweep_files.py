"""A small history, a strategy and a sweep's file to try out, written to a folder.

Forty days of hours of three saws that rise and fall against each other; bullish and bearish turns every third day.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import closing
from datetime import UTC, datetime, timedelta
from math import sin
from pathlib import Path
from typing import Any

START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 40 * 24
STRATEGY = """
[strategy]
name = "waves"
universe = "*"

[stop]
rule = "fraction"
fraction = 0.02

[target]
rule = "fraction"
fraction = 0.03

[sizing]
rule = "fixed_fraction"
fraction = 0.3
"""
SWEEP = """
[sweep]
name = "first"
strategy = "waves"
history = "history"

[parameters]
stop.fraction = [0.01, 0.02]
target.fraction = { low = 0.01, high = 0.03, step = 0.01 }
"""
COMPARED = "select * from v_sweep order by trial_id"


class Serial(Executor):
    """Runs each task where it is submitted, at once; dies (raises) at those that `dying` tells it to."""

    def __init__(self, dying: Callable[[int], BaseException | None] = lambda _: None) -> None:
        """Count tasks from one."""
        self.dying = dying
        self.count = 0

    def submit(self, task: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        self.count += 1
        future: Future[Any] = Future()
        if error := self.dying(self.count):
            future.set_exception(error)
            return future
        try:
            future.set_result(task(*given, **named))
        except BaseException as error:  # noqa: BLE001 - a worker hands on whatever was raised
            future.set_exception(error)
        return future


def place(folder: Path, sweep: str = SWEEP, strategy: str = STRATEGY) -> Path:
    """Write history, strategy and sweep; return the path of the sweep's file."""
    write_history(folder / "history")
    (folder / "strategies").mkdir(exist_ok=True)
    (folder / "strategies" / "waves.toml").write_text(strategy)
    (folder / "sweep.toml").write_text(sweep)
    return folder / "sweep.toml"


def write_history(folder: Path) -> None:
    """Write the bars and signals of three tokens."""
    (folder / "bars" / "1h").mkdir(parents=True, exist_ok=True)
    signals = ["token_id,published_at,stance"]
    listing = ["token_id,symbol,name"]
    for token in range(1, 4):
        listing.append(f"{token},T{token},T{token}")
        closes = [round(100 * (1 + 0.06 * sin(hour / (9 + token)) + 0.0002 * hour), 4) for hour in range(HOURS)]
        lines = ["time,open,high,low,close,volume"]
        for hour, close in enumerate(closes):
            opened = closes[max(hour - 1, 0)]
            lines.append(f"{stamp(hour)},{opened},{max(opened, close)},{min(opened, close)},{close},1")
        (folder / "bars" / "1h" / f"T{token}.csv").write_text("\n".join(lines))
        for number, hour in enumerate(range(24 + token, HOURS, 36)):
            signals.append(f"{token},{stamp(hour)},{'bearish' if number % 2 else 'bullish'}")
    (folder / "instruments.csv").write_text("\n".join(listing))
    (folder / "signals.csv").write_text("\n".join(signals))


def stamp(hour: int) -> str:
    """Write the instant of an hour."""
    return f"{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}"


def rows(ledger: Path, statement: str = COMPARED) -> list[dict[str, object]]:
    """Ask a ledger."""
    with closing(sqlite3.connect(ledger)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(statement)]


def written(ledger: Path) -> int:
    """Count the trials of a ledger that may not be there yet."""
    try:
        return len(rows(ledger, "select trial_id from trials")) if ledger.exists() else 0
    except sqlite3.OperationalError:
        return 0


def parameters_in(row: Mapping[str, object]) -> dict[str, object]:
    """Read the parameters of a row."""
    found: dict[str, object] = json.loads(str(row["parameters"]))
    return found
