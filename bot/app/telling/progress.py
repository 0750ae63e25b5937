"""The progress of long work: one line on stderr, overwritten each time."""

import sys


def tell_progress(what: str, done: int, total: int) -> None:
    """Show on a terminal how many of all are done; a log gets nothing."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{what}: {done:,} of {total:,}" + ("\n" if done == total else ""))
        sys.stderr.flush()
