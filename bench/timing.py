"""Runs a command as a whole fresh process, and says how long it took and how much memory it had at most.

The process that measures stays small: a child begins with the memory of the one that started it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
MEBIBYTE = 1024 * 1024
TOLD = 400


class FailedError(Exception):
    """A command ended badly, or a ledger is not the reference's: nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One run of a command: the seconds of its whole life, on the clock and of processors, its peak in MiB, its answer.

    told: the JSON object that it printed.
    """

    seconds: float
    cpu: float
    peak: float
    told: Mapping[str, Any]


def timed(command: Sequence[str | Path]) -> Timed:
    """Run a command from the project's folder; FailedError where it does not end well."""
    with TemporaryFile() as out, TemporaryFile() as err:
        began = time.perf_counter()
        running = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, cwd=ROOT)
        _, status, usage = os.wait4(running.pid, 0)
        seconds = time.perf_counter() - began
        running.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        printed, complaint = out.read().decode(), err.read().decode()
    if running.returncode:
        message = f"{' '.join(map(str, command))}: exit {running.returncode}: {complaint.strip()[-TOLD:]}"
        raise FailedError(message)
    return Timed(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * UNIT / MEBIBYTE,
        told=json.loads(printed) if printed.strip() else {},
    )
