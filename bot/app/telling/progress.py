"""How far long work is, told to a person who watches: one line of stderr, written over and over."""

import sys


def tell_progress(what: str, done: int, total: int) -> None:
    """Tell on a terminal how many are done of all; elsewhere nothing, as a log wants no such line."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{what}: {done:,} of {total:,}" + ("\n" if done == total else ""))
        sys.stderr.flush()
