"""The command line: it parses the arguments, calls one command and returns its exit code.

Every slow import stays inside the command that needs it, so that `bot --help` answers at once.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, NoReturn

from bot import __version__
from bot.app.settings.kinds import near
from bot.app.telling.answers import Answer
from bot.app.telling.printing import give
from bot.cli import completion, history, ledger, live, replay, review
from bot.cli.options import refuse_backwards
from bot.domain.errors import BotError, StorageError

EXIT_CODES = """exit codes: 0 fine, 1 unexpected, 2 usage, 65 bad data or failed verification,
69 upstream unavailable or no daemon alive (`status --expect-alive`),
70 invariant broken, 74 I/O, 75 another writer holds the ledger,
77 permissions or wrong key, 78 configuration, universe, missing file or schema,
130 stopped by Ctrl-C, 143 by SIGTERM (`bot run` ends with 0 on both)"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an expected failure prints one line on stderr."""
    words, arguments = list(sys.argv[1:] if argv is None else argv), argparse.Namespace()
    if sys.stderr is None:  # the shell closed it: what is said is lost, the answer is not
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
    try:
        with _writing():
            asked = [*words[1:], "--help"] if words[:1] == ["help"] else words
            arguments = parser().parse_args(asked)
        refuse_backwards(arguments)
        command: Callable[[argparse.Namespace], Answer | int] = arguments.command
        answer = command(arguments)
        if not isinstance(answer, Answer):
            return answer
        with _writing():
            return give(answer, as_json=getattr(arguments, "json", False))
    except SystemExit as stop:
        return int(stop.code or 0)
    except BotError as error:
        sys.stderr.write(f"bot: {_name_origin(str(error), arguments)}\n")
        return error.exit_code
    except BrokenPipeError:
        _drop_output()
        return 0
    except KeyboardInterrupt:
        return 130


@contextmanager
def _writing() -> Iterator[None]:
    """Write to standard output to the end; StorageError when it takes no more."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        mend = "name another file, or free some space"
        fault = f"standard output cannot be written: {error.strerror}"
        raise StorageError(f"{fault}: {mend}") from error


def _drop_output() -> None:
    """Send what is still unwritten nowhere, so that the flush at exit works."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _name_origin(message: str, arguments: argparse.Namespace) -> str:
    """Name the option, or the file with its key, that a refused ledger URL came from."""
    given = getattr(arguments, "ledger", None)
    option = "--ledger" if given else "--recorded"
    is_configured = "config" in arguments and not given and not getattr(arguments, "place", None)
    origin = f"{arguments.config}: ledger.url" if is_configured else option
    return re.sub(r"^ledger\.url(?=: )", lambda _: origin, message)


# What a word looks like that names a ledger.
LEDGER = re.compile(r"\.(db|sqlite3?)$|://")
MISSING = re.compile(r"(?:the following arguments are required:|one of the arguments) (\S+)")


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, with the nearest command or option."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the words given; refuse an unknown option before a missing one is complained of."""
        known, self._words = self._option_string_actions, list(args or ())
        for word in () if self._subparsers else takewhile("--".__ne__, args or ()):
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in known):
                self.error(f"no option {name}{near(name, known)}")
        return super().parse_known_args(args, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write help; argparse's own would hide that it cannot be written."""
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Print the refusal, and exit with 2."""
        wrong = re.match(r"argument (\w+): invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL)
        missing = MISSING.match(message)
        if missing and missing[1] in {"COMMAND", "ACTION"} and not self._words:
            self.print_help(sys.stderr)
            self.exit(2)
        if missing and missing[1].startswith("--"):
            # A word that is no option and follows none was meant for the option that is missing.
            pairs = pairwise(["", *self._words])
            strays = [word for before, word in pairs if "-" not in {before[:1], word[:1]}]
            message += f": did you mean `{missing[1]} {strays[0]}`?" if strays else ""
        unknown = re.fullmatch(r"unrecognized arguments: (\S+)", message)
        if unknown and LEDGER.search(unknown[1]):
            message = f"{message}; did you mean `--ledger {unknown[1]}`?"
        if wrong:
            hint = near(wrong[2], re.findall(r"\w+", wrong[3])).removeprefix("; ")
            message = f"no {wrong[1].lower()} {wrong[2]!r}: {hint or 'choose another'}"
        self.exit(2, f"{self.prog}: {' '.join(message.split())} (`{self.prog} --help` tells more)\n")


def parser() -> argparse.ArgumentParser:
    """Build the argument parser with every command."""
    top = Parser(
        prog="bot",
        description="Tidemark: a headless paper-trading engine for Token Metrics signals.",
        epilog=f"`bot help COMMAND` tells about one command.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("-V", "--version", action="version", version=f"tidemark-bot {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for room in (live, replay, history, review, ledger, completion):
        room.register(commands)
    return top
