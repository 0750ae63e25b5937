"""Runs the replay workload's own oracle in a process of its own, as it is and with one rule said our way.

It lies beside the project and is imported from there. The one rule is the fallback stop: the oracle takes two true
ranges as a fraction of the last close, times the price of the fill; a strategy takes them as a price.
"""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any


def play(oracle: Any, case: Any) -> dict[str, Any]:
    """Play a case; its closed trades, its open ones as (symbol, entry bar), and the equity at the end."""
    names = ("open", "high", "low", "close", "signal", "levels", "atr_pct", "vol30")
    engine = oracle.simulate(case.T, case.S, *(getattr(case, name).tolist() for name in names))
    opened = [(symbol, position.t) for symbol, position in engine.pos.items()]
    return {"trades": engine.trades, "open": opened, "equity": engine.equity}


def main(peers: str, folder: str) -> None:
    """Print what the oracle finds as it is, and with its fallback stop as a price."""
    sys.path.insert(0, peers)
    oracle, case = import_module("oracle"), import_module("common").load(folder)
    as_it_is = play(oracle, case)
    plan = oracle.plan_entry
    closes = case.close[23::24]
    case.atr_pct = case.atr_pct * closes
    oracle.plan_entry = lambda entry, levels, true_range: plan(entry, levels, true_range / entry)
    sys.stdout.write(json.dumps({"as it is": as_it_is, "stop as a price": play(oracle, case)}))


if __name__ == "__main__":
    main(*(str(Path(argument).resolve()) for argument in sys.argv[1:]))
