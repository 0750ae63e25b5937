"""The options that several commands share, and the readers of their values."""

import argparse
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from bot.app.settings.kinds import first_instant, last_instant
from bot.domain.errors import UsageError

# argparse has no public name for the type of its subcommands.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_command(
    commands: Commands, name: str, text: str, command: object, example: str | None = None
) -> argparse.ArgumentParser:
    """Add a command with its help and, at its end, an example."""
    epilog = None if example is None else f"example: bot {example}"
    added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=epilog)
    added.set_defaults(command=command)
    return added


def add_config_option(added: argparse.ArgumentParser) -> None:
    """Add --config."""
    added.add_argument(
        "--config", type=Path, default=Path("config.toml"), help="configuration file [config.toml]"
    )


def add_ledger_options(added: argparse.ArgumentParser) -> None:
    """Add --config, --ledger and --json."""
    add_config_option(added)
    added.add_argument("--ledger", metavar="URL", help="this ledger, a URL or a file [the configuration's]")
    added.add_argument("--json", action="store_true", help="print JSON")


def add_reading_options(added: argparse.ArgumentParser) -> None:
    """Add the options of a ledger, and --run."""
    add_ledger_options(added)
    added.add_argument("--run", help="one run only")


def add_window_options(added: argparse.ArgumentParser, what: str = "slot") -> None:
    """Add --from and --to; what: the word for what they bound."""
    first, last = (f"first {what}; of a date alone, its 00:00", f"last {what}; of a date alone, the day's last")
    added.add_argument("--from", dest="start", type=instant(first_instant), metavar="T", help=first)
    added.add_argument("--to", dest="end", type=instant(last_instant), metavar="T", help=last)


def refuse_backwards(arguments: argparse.Namespace) -> None:
    """Refuse a window that ends before it begins; nothing lies in it."""
    start = getattr(arguments, "start", None)
    for option, name in (("--to", "end"), ("--at", "at")):
        end = getattr(arguments, name, None)
        if start and end and start > end:
            given = (f"{edge:%Y-%m-%dT%H:%MZ}" for edge in (start, end))
            raise UsageError(f"--from {next(given)} is after {option} {next(given)}: swap them")


def add_place_options(added: argparse.ArgumentParser, *, needed: bool = False, hint: str = "") -> None:
    """Add --history and --recorded, of which one may be given; hint: ends their help."""
    over = added.add_mutually_exclusive_group(required=needed)
    over.add_argument("--history", dest="place", type=Path, metavar="DIR", help=f"history folder{hint}")
    over.add_argument(
        "--recorded",
        dest="place",
        metavar="URL",
        help=f"the answers recorded in a live ledger, a URL or a file{hint}",
    )


def ledger_in(arguments: argparse.Namespace) -> str:
    """Choose the ledger's URL: that of --ledger, or else the configuration's."""
    from bot.app.settings.config import ledger_of

    return ledger_of(arguments.config, arguments.ledger)


def program() -> str:
    """Find what to type for this program: `bot` where the shell finds it, else as it was called."""
    called = Path(sys.argv[0])
    if shutil.which("bot"):
        return "bot"
    return str(called) if called.name == "bot" else f"{sys.executable} -m bot"


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Make an argparse type that reads a whole number from least to most, both inclusive."""

    def read(text: str) -> int:
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")

    return read


def instant(read: Callable[[str], datetime]) -> Callable[[str], datetime]:
    """Make an argparse type that reads an instant; read: decides what a date alone means."""

    def check(text: str) -> datetime:
        try:
            return read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no instant; write it like 2024-01-31T12:00Z"
            ) from None

    return check
