"""The command line: it parses the arguments, calls one command and returns its exit code.

Every slow import stays inside the command that needs it, so that `bot --help` answers at once.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from bot import __version__
from bot.app.telling.answers import Answer
from bot.app.telling.printing import give
from bot.cli import history, ledger, live, replay, review
from bot.domain.errors import BotError

EXIT_CODES = """exit codes: 0 fine, 1 unexpected, 2 usage, 65 bad data or failed verification,
69 upstream unavailable or no daemon alive (`status --expect-alive`), 70 invariant broken, 74 I/O,
75 another writer holds the ledger, 77 permissions or wrong key,
78 configuration, universe, missing file or schema"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an expected failure prints one line on stderr."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    command: Callable[[argparse.Namespace], Answer | int] = arguments.command
    try:
        answer = command(arguments)
        as_json = getattr(arguments, "json", False)
        return give(answer, as_json=as_json) if isinstance(answer, Answer) else answer
    except BotError as error:
        sys.stderr.write(f"bot: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so the flush at exit works
        return 0
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Build the argument parser with every command."""
    top = argparse.ArgumentParser(
        prog="bot",
        description="Tidemark: a headless paper-trading engine for Token Metrics signals.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"tidemark-bot {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for room in (live, replay, history, review, ledger):
        room.register(commands)
    return top
