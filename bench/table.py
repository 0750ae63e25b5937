"""The table of a bench: a line for each case, the growth between them, and the machine it was measured on."""

import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import log
from pathlib import Path
from textwrap import fill
from typing import Any

from bench.cases import Runs
from bench.timing import ROOT

MILLION = 1_000_000
WIDTH = 120
BUSY, OWN_LOAD = 0.5, 1.0
QUOTED = "g_100_3"
DOCUMENT, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
HEAD = (
    "case", "bars", "trades", "rows", "replay s", "peak MiB", "batch s", "rows s", "ratio", "cpu ratio", "loop s",
    "M bars/s", "batch loop s", "kernel loop s",
)


def cell(value: float | None, digits: int) -> str:
    """Write a figure, or a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def line(runs: Runs) -> list[str]:
    """Return the cells of a case."""
    loop = runs.told("loop", "loop")

    def peer(name: str, key: str) -> float | None:
        return runs.told(name, key) if name in runs.runs else None

    return [
        runs.case.name,
        f"{runs.bars:,}",
        f"{runs.trades:,}",
        f"{runs.rows:,}",
        cell(runs.seconds("replay"), 2),
        cell(runs.peak("replay"), 0),
        cell(runs.seconds("batch") if "batch" in runs.runs else None, 2),
        cell(runs.told("rows", "seconds"), 2),
        cell(runs.ratio(), 2),
        cell(runs.cpu_ratio(), 2),
        cell(loop, 3),
        cell(runs.bars / loop / MILLION, 2),
        cell(peer("batch", "run_s"), 3),
        cell(peer("kernel", "run_s"), 4),
    ]


def table(measured: Sequence[Runs]) -> str:
    """Return the lines of all cases as an aligned Markdown table."""
    lines = [list(HEAD), *map(line, measured)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    aligned = [
        [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        for row in lines
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in [aligned[0], rule, *aligned[1:]])


def growth(measured: Sequence[Runs]) -> Iterator[dict[str, Any]]:
    """Yield how processor time grows between cases that differ in symbols or in years alone, as a power of the bars."""
    cases = [runs for runs in measured if runs.case.compared]
    for same, other in (("years", "symbols"), ("symbols", "years")):
        for value in sorted({getattr(runs.case, same) for runs in cases}):
            line_of = sorted((runs for runs in cases if getattr(runs.case, same) == value), key=lambda runs: runs.bars)
            for small, large in pairwise(line_of):
                bars = log(large.bars / small.bars)
                yield {
                    "with": other,
                    "from": small.case.name,
                    "to": large.case.name,
                    "replay": log(large.cpu("replay") / small.cpu("replay")) / bars,
                    "loop": log(large.told("loop", "cpu") / small.told("loop", "cpu")) / bars,
                }


def told_growth(measured: Sequence[Runs]) -> str:
    """Say the exponents, a line each."""
    lines = [
        f"- {one['from']} to {one['to']} ({one['with']}): whole replay {one['replay']:.2f}, loop {one['loop']:.2f}\n"
        for one in growth(measured)
    ]
    head = "\nGrowth of processor time, as an exponent of the bars (1: in proportion):\n\n"
    return "".join([head, *lines]) if lines else ""


def told_sweep(swept: Mapping[str, Any] | None) -> str:
    """Say what a sweep took, where there was one."""
    if swept is None:
        return ""
    one, hundred = swept["one"]["seconds"], swept["hundred"]["seconds"]
    cost = f"{hundred:.1f} s, {swept['ratio']:.1f} times a sweep of one ({one:.1f} s)"
    return f"\nA sweep of 100 sets over {swept['case']}, whole process: {cost}.\n"


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code."""
    return {
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
        "processor": processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def processor() -> str:
    """Return the processor's name where the system tells it."""
    told = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", told.read_text()) if told.exists() else None
    return found[1] if found else platform.machine()


def told_machine(before: Mapping[str, Any], load_after: float, rounds: int, command: str) -> str:
    """Say with which command and where it was measured, and whether other work ran beside."""
    busy = max(before["load"], load_after - OWN_LOAD) > BUSY * before["cores"]
    beside = "; other work ran beside it, so only ratios count" if busy else ""
    told = (
        f"`{command}`, {before['day']}: median of {rounds} rounds in turn, {before['cores']} cores "
        f"({before['processor']}), {before['system']}, Python {before['python']}, load {before['load']} before "
        f"and {load_after} after{beside}."
    )
    return fill(told, WIDTH) + "\n"


def quoted(measured: Sequence[Runs]) -> str:
    """Return the two or three figures that the README quotes."""
    one = next(runs for runs in measured if runs.case.name == QUOTED)
    told = (
        f"{one.bars / MILLION:.1f} million hourly bars of {one.case.symbols} tokens, {one.trades:,} trades "
        f"and a ledger of {one.rows:,} rows: {one.seconds('replay'):.1f} s from command to commit, "
        f"{cell(one.ratio(), 1)} times a vectorised script without a ledger and the bare insertion of those rows "
        "together"
    )
    for runs in measured:
        if not runs.case.compared:
            told += f"; {runs.case.symbols} coins, nine months of real hours: {runs.seconds('replay'):.1f} s"
    return fill(f"{told}.", WIDTH) + "\n"


def write_documents(report: str, figures: str) -> None:
    """Put the report into docs/performance.md and the figures into the README, between their marks."""
    for path, name, text in ((DOCUMENT, "table", report), (README, "figures", figures)):
        document = path.read_text(encoding="utf-8")
        start, _, rest = document.partition(f"<!-- bench: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        path.write_text(f"{start}<!-- bench: {name} -->\n{text}{end}{after}", encoding="utf-8")
