"""Commands over histories: replay, sweep."""

import argparse
from pathlib import Path

from bot.app.telling.answers import Answer
from bot.cli.options import (
    Commands,
    add_command,
    add_place_options,
    add_window_options,
    program,
    whole_number,
)

RANDOM_RUNS_MAX = 10_000
WORKERS_MAX = 1024


def register(commands: Commands) -> None:
    """Add these commands."""
    text = "run a strategy over a history folder, or over what a daemon recorded"
    replay = add_command(commands, "replay", text, _replay)
    text = "strategies/NAME.toml, a shipped one's name (`bot init --list`) or a file"
    replay.add_argument("--strategy", required=True, metavar="NAME_OR_FILE", help=text)
    add_place_options(replay, needed=True)
    replay.add_argument("--ledger", metavar="URL", help="where to write [replay.db]")
    add_window_options(replay)
    replay.add_argument("--cash", default="10000", help="opening cash in quote currency [10000]")
    text = "slots, five fields, UTC [every close of a bar, or cycle]"
    replay.add_argument("--schedule", metavar="CRON", help=text)
    runs = whole_number(1, RANDOM_RUNS_MAX)
    text = "replay so often again in memory with the instants of all signals drawn, for statistics"
    replay.add_argument("--random-entries", type=runs, metavar="N", help=text)
    replay.add_argument("--json", action="store_true", help="print one JSON object")
    text = "try a strategy with many sets of parameters, and say how far the best may be luck"
    sweep = add_command(commands, "sweep", text, _sweep, "sweep sweep.toml --history HISTORY --workers 4")
    text = "what is tried; docs/sweep.md tells every key"
    sweep.add_argument("file", type=Path, metavar="SWEEP.toml", help=text)
    add_place_options(sweep, hint=" [the file's]")
    sweep.add_argument("--ledger", metavar="URL", help="where to write [sweep.db]")
    sweep.add_argument(
        "--on",
        default="processes",
        metavar="WHERE",
        help="who computes: processes of this machine, dask://HOST:PORT or ray://HOST:PORT [processes]",
    )
    sweep.add_argument(
        "--workers", type=whole_number(1, WORKERS_MAX), metavar="N", help="how many processes [one a core]"
    )
    sweep.add_argument("--json", action="store_true", help="print one JSON object")


def _replay(arguments: argparse.Namespace) -> Answer:
    from bot.app.replay.replay import replay

    return replay(
        arguments.strategy,
        arguments.place,
        arguments.ledger,
        cash=arguments.cash,
        window=(arguments.start, arguments.end),
        schedule=arguments.schedule,
        random_entries=arguments.random_entries,
        program=program(),
    )


def _sweep(arguments: argparse.Namespace) -> Answer:
    from bot.app.sweep.course import sweep

    return sweep(arguments.file, arguments.place, arguments.ledger, on=arguments.on, workers=arguments.workers)
