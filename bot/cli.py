"""The command line: arguments in, calls out, an exit code back.

Every import that takes time stands inside a command, so that `bot --help` stays quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bot import __version__
from bot.app.settings.instants import first_instant, last_instant
from bot.domain.errors import BotError, UsageError

if TYPE_CHECKING:
    # argparse gives the type of its subcommands no public name.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

DEMO_DAYS_MAX = 366
RANDOM_RUNS_MAX = 10_000
PORT_MAX = 65535
SEED_MAX = 2**31
WORKERS_MAX = 1024
EXIT_CODES = """exit codes: 0 fine, 1 unexpected, 2 usage, 65 bad data or failed verification, 69 upstream unavailable,
70 invariant broken, 74 I/O, 75 another writer holds the ledger, 77 permissions or wrong key,
78 configuration, universe, missing file or schema"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an expected failure is one line on stderr."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except BotError as error:
        sys.stderr.write(f"bot: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    top = argparse.ArgumentParser(
        prog="bot",
        description="Tidemark: a headless paper-trading engine for Token Metrics signals.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"tidemark-bot {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_running(commands)
    _add_operating(commands)
    _add_reading(commands)
    _add_replay(commands)
    _add_history(commands)
    _add_database(commands)
    return top


def _add(
    commands: Commands, name: str, text: str, command: object, example: str | None = None
) -> argparse.ArgumentParser:
    epilog = None if example is None else f"example: bot {example}"
    added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=epilog)
    added.set_defaults(command=command)
    return added


def _config_option(added: argparse.ArgumentParser) -> None:
    added.add_argument("--config", type=Path, default=Path("config.toml"), help="configuration file [config.toml]")


def _add_running(commands: Commands) -> None:
    demo = _add(commands, "demo", "thirty simulated days, from signals to a ledger with answers", _demo)
    demo.add_argument("--ledger", type=Path, default=Path("tidemark-demo.db"), help="where to write [tidemark-demo.db]")
    demo.add_argument("--days", type=_whole(1, DEMO_DAYS_MAX), default=30, help="simulated days [30]")
    text = "port of the simulated API, part of the configuration's hash [any free one]"
    demo.add_argument("--port", type=_whole(0, PORT_MAX), default=0, help=text)
    init = _add(commands, "init", "write config.toml and a first strategy", _init)
    init.add_argument("folder", nargs="?", type=Path, default=Path(), help="where [this folder]")
    check = _add(commands, "check", "validate configuration, strategies, key, ledger and universe", _check)
    _config_option(check)
    check.add_argument("--json", action="store_true", help="print JSON")
    text = "instead: replay histories cut short and taken up again; hooks that look ahead or remember differ (65)"
    check.add_argument("--lookahead", action="store_true", help=text)
    check.add_argument("--history", type=Path, metavar="DIR", help="history folder to look at, with --lookahead")
    text = "strategies/NAME.toml or a file, with --lookahead [those of the configuration]"
    check.add_argument("--strategy", metavar="NAME_OR_FILE", help=text)
    _window_options(check)
    run = _add(commands, "run", "run the daemon until it is told to stop", _run)
    _config_option(run)
    once = _add(commands, "once", "run one cycle", _once)
    _config_option(once)
    once.add_argument("--run", help="the run's name [the only one]")
    text = "the slot, ISO 8601 UTC; a date alone is its 00:00 [the newest of the schedule]"
    once.add_argument("--at", type=_instant(first_instant), metavar="SLOT", help=text)
    once.add_argument("--dry-run", action="store_true", help="decide and print, write nothing")
    simulate = _add(commands, "simulate", "serve the simulated Token Metrics API", _simulate)
    simulate.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    simulate.add_argument("--port", type=_whole(0, PORT_MAX), default=8765, help="port to listen on [8765]")
    simulate.add_argument("--seed", type=_whole(0, SEED_MAX), help="seed of the market")
    simulate.add_argument("--key", help="the only key to accept [any]")


def _add_operating(commands: Commands) -> None:
    for act, text, example in (
        ("pause", "make no new entries until `bot resume`; what is open goes on", "pause --run levels_long"),
        ("resume", "make entries again, and arm tripped breakers again", "resume"),
        ("close", "close the position of one token at its next price, and cancel its waiting entry", "close SOL"),
        ("flatten", "close every position at its next price, and cancel waiting entries", "flatten"),
    ):
        added = _add(commands, act, f"{text}, from the next cycle on", _operate, example)
        added.set_defaults(act=act, token=None)
        if act == "close":
            added.add_argument("token", metavar="SYMBOL", help="the token's symbol, or its token_id")
        _reading_options(added)


def _add_reading(commands: Commands) -> None:
    for name, text in (
        ("status", "the runs at a glance"),
        ("trades", "trades, closed and open"),
        ("positions", "open positions, marked"),
        ("orders", "orders and their states"),
        ("equity", "the account, slot by slot"),
    ):
        added = _add(commands, name, text, _read)
        added.set_defaults(report=name)
        _reading_options(added)
    text = "the statistics of a run, as a replay prints them, beside holding its universe"
    _reading_options(_add(commands, "figures", text, _figures))
    text = "why a token was or was not traded; without one, why each run did or did not"
    why = _add(commands, "why", text, _why, "why SOL --at 2025-03-10T12:00Z")
    why.add_argument("symbol", nargs="?", help="the token's symbol [a digest of all]")
    text = "the newest decision at or before T; of a date alone, before the day ends [the newest]"
    why.add_argument("--at", type=_instant(last_instant), metavar="T", help=text)
    text = "no decision before T; of a date alone, before its 00:00 [the first]"
    why.add_argument("--from", dest="start", type=_instant(first_instant), metavar="T", help=text)
    _reading_options(why)
    text = "one order, from the answers it rests on to the books it moved"
    explain = _add(commands, "explain", text, _explain, "explain ord-9b1c --json")
    explain.add_argument("order_id", metavar="ORDER_ID", help="as `bot orders` shows it")
    _ledger_options(explain)
    verify = _add(commands, "verify", "check every invariant of the ledger", _verify)
    verify.add_argument("--deep", action="store_true", help="derive every cycle of every live run again as well")
    _ledger_options(verify)
    text = "derive a live run again from its recorded answers, and name what differs first"
    parity = _add(commands, "parity", text, _parity, "parity --run levels_long --from 2025-03-10T12:00Z")
    _window_options(parity)
    _reading_options(parity)


def _reading_options(added: argparse.ArgumentParser) -> None:
    _ledger_options(added)
    added.add_argument("--run", help="one run only")


def _window_options(added: argparse.ArgumentParser) -> None:
    first, last = "first slot; of a date alone, its 00:00", "last slot; of a date alone, the day's last"
    added.add_argument("--from", dest="start", type=_instant(first_instant), metavar="T", help=first)
    added.add_argument("--to", dest="end", type=_instant(last_instant), metavar="T", help=last)


def _ledger_options(added: argparse.ArgumentParser) -> None:
    _config_option(added)
    added.add_argument("--ledger", metavar="URL", help="this ledger, a URL or a file [the configuration's]")
    added.add_argument("--json", action="store_true", help="print JSON")


def _add_replay(commands: Commands) -> None:
    replay = _add(commands, "replay", "run a strategy over a history folder, or over what a daemon recorded", _replay)
    replay.add_argument("--strategy", required=True, metavar="NAME_OR_FILE", help="strategies/NAME.toml or a file")
    over = replay.add_mutually_exclusive_group(required=True)
    over.add_argument("--history", type=Path, metavar="DIR", help="history folder")
    over.add_argument("--recorded", metavar="URL", help="the answers recorded in a live ledger, a URL or a file")
    replay.add_argument("--ledger", metavar="URL", help="where to write [replay.db]")
    _window_options(replay)
    replay.add_argument("--cash", default="10000", help="opening cash in quote currency [10000]")
    replay.add_argument("--schedule", metavar="CRON", help="slots, five fields, UTC [every close of a bar, or cycle]")
    text = "replay so often again in memory with the instants of all signals drawn, for the statistics; with --history"
    replay.add_argument("--random-entries", type=_whole(1, RANDOM_RUNS_MAX), metavar="N", help=text)
    replay.add_argument("--json", action="store_true", help="print one JSON object")
    text = "try a strategy with many sets of parameters, and say how far the best may be luck"
    sweep = _add(commands, "sweep", text, _sweep, "sweep sweep.toml --history HISTORY --workers 4")
    sweep.add_argument("file", type=Path, metavar="SWEEP.toml", help="what is tried; docs/sweep.md tells every key")
    sweep.add_argument("--history", type=Path, metavar="DIR", help="history folder [the file's]")
    sweep.add_argument("--ledger", metavar="URL", help="where to write [sweep.db]")
    sweep.add_argument(
        "--on",
        default="processes",
        metavar="WHERE",
        help="who computes: processes of this machine, dask://HOST:PORT or ray://HOST:PORT [processes]",
    )
    sweep.add_argument("--workers", type=_whole(1, WORKERS_MAX), metavar="N", help="how many processes [one a core]")
    sweep.add_argument("--json", action="store_true", help="print one JSON object")


def _add_history(commands: Commands) -> None:
    history = commands.add_parser("history", help="look after history folders", description="Look after histories.")
    actions = history.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "pack a history folder ahead of its first replay, and say what it holds"
    pack = _add(actions, "pack", text, _history_pack, "history pack HISTORY")
    pack.add_argument("folder", type=Path, metavar="DIR", help="history folder")
    pack.add_argument("--json", action="store_true", help="print JSON")


def _add_database(commands: Commands) -> None:
    database = commands.add_parser("db", help="look after the ledger's schema", description="Look after the schema.")
    actions = database.add_subparsers(title="actions", metavar="ACTION", required=True)
    upgrade = _add(actions, "upgrade", "create the ledger or bring its schema up to date", _db_upgrade)
    _config_option(upgrade)
    upgrade.add_argument("--ledger", metavar="URL", help="this ledger, a URL or a file [the configuration's]")


def _whole(least: int, most: int) -> Callable[[str], int]:
    """Make the reader of a whole number within bounds."""

    def read(text: str) -> int:
        if text.isdecimal() and least <= int(text) <= most:
            return int(text)
        message = f"{text!r} is no whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(message)

    return read


def _instant(read: Callable[[str], datetime]) -> Callable[[str], datetime]:
    """Make the reader of an instant; read: what a date without a time means."""

    def check(text: str) -> datetime:
        try:
            return read(text)
        except ValueError:
            message = f"{text!r} is no instant; write it like 2024-01-31T12:00Z"
            raise argparse.ArgumentTypeError(message) from None

    return check


def _demo(arguments: argparse.Namespace) -> int:
    from bot.app.live.demo import demo

    return demo(arguments.ledger, arguments.days, arguments.port)


def _init(arguments: argparse.Namespace) -> int:
    from bot.app.live.starting import write_starter

    for line in write_starter(arguments.folder):
        print(line)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    window = (arguments.start, arguments.end)
    if not arguments.lookahead:
        from bot.app.live.starting import check

        if any((arguments.history, arguments.strategy, *window)):
            message = "check: --history, --strategy, --from and --to go with --lookahead: add it, or leave them out"
            raise UsageError(message)
        return check(arguments.config, as_json=arguments.json)
    from bot.app.replay.lookahead import check_lookahead

    if arguments.history is None:
        message = "check: --lookahead needs a history: add --history DIR"
        raise UsageError(message)
    return check_lookahead(arguments.config, arguments.strategy, arguments.history, window, as_json=arguments.json)


def _run(arguments: argparse.Namespace) -> int:
    from bot.app.live.daemon import serve

    return serve(arguments.config)


def _once(arguments: argparse.Namespace) -> int:
    from bot.app.live.daemon import once

    return once(arguments.config, arguments.run, arguments.at, keep=not arguments.dry_run)


def _simulate(arguments: argparse.Namespace) -> int:
    from bot.app.live.simulating import simulate

    return simulate(arguments.host, arguments.port, arguments.seed, arguments.key)


def _operate(arguments: argparse.Namespace) -> int:
    from bot.app.live.operating import operate
    from bot.domain.events import Act

    return operate(
        Act(arguments.act),
        arguments.token,
        arguments.config,
        arguments.ledger,
        arguments.run,
        as_json=arguments.json,
    )


def _read(arguments: argparse.Namespace) -> int:
    from bot.app.review.reading import show

    return show(arguments.report, arguments.config, arguments.ledger, arguments.run, as_json=arguments.json)


def _figures(arguments: argparse.Namespace) -> int:
    from bot.app.review.results import show_figures
    from bot.app.settings.config import ledger_of

    return show_figures(ledger_of(arguments.config, arguments.ledger), arguments.run, as_json=arguments.json)


def _why(arguments: argparse.Namespace) -> int:
    from bot.app.review.reading import show_why

    return show_why(
        arguments.symbol,
        (arguments.start, arguments.at),
        arguments.config,
        arguments.ledger,
        arguments.run,
        as_json=arguments.json,
    )


def _explain(arguments: argparse.Namespace) -> int:
    from bot.app.review.reading import show_explained

    return show_explained(arguments.order_id, arguments.config, arguments.ledger, as_json=arguments.json)


def _verify(arguments: argparse.Namespace) -> int:
    from bot.app.parity.verifying import verify

    return verify(arguments.config, arguments.ledger, deep=arguments.deep, as_json=arguments.json)


def _parity(arguments: argparse.Namespace) -> int:
    from bot.app.parity.parity import parity

    window = (arguments.start, arguments.end)
    return parity(arguments.config, arguments.ledger, arguments.run, window, as_json=arguments.json)


def _replay(arguments: argparse.Namespace) -> int:
    from functools import partial

    from bot.app.replay.replay import open_history_material, replay

    if arguments.recorded is None:
        opening = partial(open_history_material, arguments.history)
    else:
        if arguments.random_entries is not None:
            message = "replay: --random-entries draws the signals of a history: give --history, or leave it out"
            raise UsageError(message)
        from bot.app.replay.recorded import open_recorded_material

        opening = partial(open_recorded_material, arguments.recorded)
    return replay(
        arguments.strategy,
        opening,
        arguments.ledger,
        cash=arguments.cash,
        window=(arguments.start, arguments.end),
        schedule=arguments.schedule,
        random_entries=arguments.random_entries,
        as_json=arguments.json,
    )


def _history_pack(arguments: argparse.Namespace) -> int:
    from bot.app.replay.packing import pack

    return pack(arguments.folder, as_json=arguments.json)


def _sweep(arguments: argparse.Namespace) -> int:
    from bot.app.sweep.command import sweep

    return sweep(
        arguments.file,
        arguments.history,
        arguments.ledger,
        on=arguments.on,
        workers=arguments.workers,
        as_json=arguments.json,
    )


def _db_upgrade(arguments: argparse.Namespace) -> int:
    from bot.adapters.sql.migrate import upgrade
    from bot.app.settings.config import ledger_of

    print(upgrade(ledger_of(arguments.config, arguments.ledger)))
    return 0
