"""The progress of long work on stderr: a line that is overwritten, or one at each end in a log."""

import sys
from multiprocessing import parent_process


def tell_progress(what: str, done: int, total: int) -> None:
    """Show on a terminal how many of all are done; a log gets nothing, nor does a worker's share."""
    if sys.stderr.isatty() and parent_process() is None:
        sys.stderr.write(f"\r{what}: {done:,} of {total:,}" + ("\n" if done == total else ""))
        sys.stderr.flush()


def tell_stage(text: str) -> None:
    """Write in a log that a stage of long work begins or ends; a terminal shows its progress."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
