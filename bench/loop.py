"""The decisions of a replay alone, in a process of its own: every cycle is made, and none is written.

What is timed begins with the folder opened and ends with the last cycle; the process says so in one JSON object.
"""

import json
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from bot.adapters.clock import SystemClock
from bot.adapters.history.folder import HistorySource, open_history
from bot.app.cycle.setup import RunSetup
from bot.app.replay.replay import records, slots_in, without_collection
from bot.app.settings.strategies import load_strategy
from bot.domain.ids import RunName


def loop(strategy_file: Path, folder: Path, since: str | None) -> dict[str, float]:
    """Make every cycle of a replay and drop it; what it took, by name, in seconds."""
    began = time.perf_counter()
    strategy = load_strategy(str(strategy_file), strategy_file.parent)
    history = open_history(folder, timeframe=strategy.bars, universe=strategy.universe)
    slots = slots_in(history, (datetime.fromisoformat(since) if since else None, None), None)
    setup = RunSetup(
        name=RunName(strategy.name),
        rules=strategy.rules,
        universe=tuple(sorted(history.universe)),
        cash=Decimal(100_000),
        interval=None,
        config_hash="none",
        code_version="bench",
    )
    opened, opened_cpu = time.perf_counter(), time.process_time()
    with without_collection():
        cycles = sum(1 for _ in records(setup, HistorySource(history), slots, SystemClock()))
    ended, ended_cpu = time.perf_counter(), time.process_time()
    return {
        "open": opened - began,
        "loop": ended - opened,
        "cpu": ended_cpu - opened_cpu,
        "bars": history.bars,
        "cycles": cycles,
    }


if __name__ == "__main__":
    print(json.dumps(loop(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:] or (None,))))
