"""The decisions of a replay alone, in a process of its own: every cycle is made, and none is written.

What is timed begins with the folder opened and ends with the last cycle; the process says so in one JSON object.
"""

import json
import sys
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from bot.app.replay.material import open_for
from bot.app.replay.replay import without_collection
from bot.app.settings.strategies import load_strategy


def loop(strategy_file: Path, folder: Path, since: str | None) -> dict[str, float]:
    """Make every cycle of a replay and drop it; what it took, by name, in seconds."""
    began = time.perf_counter()
    strategy = load_strategy(str(strategy_file), strategy_file.parent)
    window = (datetime.fromisoformat(since) if since else None, None)
    material = open_for(strategy, folder, window, None)
    setup = material.set_up(strategy, Decimal(100_000))
    opened, opened_cpu = time.perf_counter(), time.process_time()
    with without_collection():
        cycles = sum(1 for _ in material.records(setup))
    ended, ended_cpu = time.perf_counter(), time.process_time()
    return {
        "open": opened - began,
        "loop": ended - opened,
        "cpu": ended_cpu - opened_cpu,
        "bars": material.counts["bars"],
        "cycles": cycles,
    }


if __name__ == "__main__":
    print(json.dumps(loop(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:] or (None,))))
