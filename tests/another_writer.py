"""Another process that holds a ledger as its writer, as a daemon does."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

HOLD = """
import sys
from bot.adapters.sql.ledger import writing
with writing(sys.argv[1], create=True):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_writer(url: str) -> Iterator[None]:
    """Hold a ledger in another process until the block ends."""
    command = [sys.executable, "-c", HOLD, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate(timeout=30)
