"""Commands that run and operate: demo, init, check, run, once, simulate, pause, resume, close, flatten."""

import argparse
from pathlib import Path

from bot.app.settings.kinds import first_instant
from bot.app.telling.answers import Answer
from bot.cli.options import (
    Commands,
    add_command,
    add_config_option,
    add_place_options,
    add_reading_options,
    add_window_options,
    instant,
    program,
    whole_number,
)
from bot.domain.errors import UsageError

DEMO_DAYS_MAX = 366
PORT_MAX = 65535
SEED_MAX = 2**31


def register(commands: Commands) -> None:
    """Add these commands."""
    _add_running(commands)
    _add_operating(commands)


def _add_running(commands: Commands) -> None:
    text = "thirty simulated days, from signals to a ledger with answers"
    demo = add_command(commands, "demo", text, _demo)
    text = "where to write [tidemark-demo.db]"
    demo.add_argument("--ledger", metavar="FILE", default="tidemark-demo.db", help=text)
    demo.add_argument("--days", type=whole_number(1, DEMO_DAYS_MAX), default=30, help="simulated days [30]")
    text = "port of the simulated API, part of the configuration's hash [any free one]"
    demo.add_argument("--port", type=whole_number(0, PORT_MAX), default=0, help=text)
    init = add_command(commands, "init", "write config.toml and a first strategy", _init)
    init.add_argument("folder", nargs="?", type=Path, default=Path(), help="where [this folder]")
    text = "the shipped strategy to begin with [levels_long]"
    init.add_argument("--strategy", metavar="NAME", default="levels_long", help=text)
    init.add_argument("--list", action="store_true", help="instead: name the shipped strategies")
    init.add_argument("--json", action="store_true", help="print JSON")
    text = "validate configuration, strategies, key, ledger and universe"
    check = add_command(commands, "check", text, _check)
    add_config_option(check)
    check.add_argument("--json", action="store_true", help="print JSON")
    text = "instead: replay histories cut short and taken up again; hooks that look ahead differ (65)"
    check.add_argument("--lookahead", action="store_true", help=text)
    add_place_options(check, hint=" to look at, with --lookahead")
    text = "strategies/NAME.toml, a shipped one's name or a file, with --lookahead [those of the configuration]"
    check.add_argument("--strategy", metavar="NAME_OR_FILE", help=text)
    add_window_options(check)
    add_config_option(add_command(commands, "run", "run the daemon until it is told to stop", _run))
    once = add_command(commands, "once", "run one cycle", _once)
    add_config_option(once)
    once.add_argument("--run", help="the run's name [the only one]")
    text = "the slot, ISO 8601 UTC; a date alone is its 00:00 [the newest of the schedule]"
    once.add_argument("--at", type=instant(first_instant), metavar="SLOT", help=text)
    once.add_argument("--dry-run", action="store_true", help="decide and print, write nothing")
    simulate = add_command(commands, "simulate", "serve the simulated Token Metrics API", _simulate)
    simulate.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    port = whole_number(0, PORT_MAX)
    simulate.add_argument("--port", type=port, default=8765, help="port to listen on [8765]")
    simulate.add_argument("--seed", type=whole_number(0, SEED_MAX), help="seed of the market")
    simulate.add_argument("--key", help="the only key to accept [any]")


def _add_operating(commands: Commands) -> None:
    for act, text, example in (
        ("pause", "make no new entries until `bot resume`; what is open goes on", "pause --run levels_long"),
        ("resume", "make entries again, and arm tripped breakers again", "resume"),
        ("close", "close one token's position at its next price, and cancel its entry", "close SOL"),
        ("flatten", "close every position at its next price, and cancel waiting entries", "flatten"),
    ):
        added = add_command(commands, act, f"{text}, from the next cycle on", _operate, example)
        added.set_defaults(act=act, token=None)
        if act == "close":
            added.add_argument("token", metavar="SYMBOL", help="the token's symbol, or its token_id")
        add_reading_options(added)


def _demo(arguments: argparse.Namespace) -> Answer:
    from bot.app.live.demo import demo

    return demo(arguments.ledger, arguments.days, arguments.port, program())


def _init(arguments: argparse.Namespace) -> Answer:
    from bot.app.live.starting import list_strategies, write_starter

    if arguments.list:
        return list_strategies()
    return write_starter(arguments.folder, arguments.strategy, program())


def _check(arguments: argparse.Namespace) -> Answer:
    window = (arguments.start, arguments.end)
    if not arguments.lookahead:
        from bot.app.live.starting import check

        if any((arguments.place, arguments.strategy, *window)):
            options = "--history, --recorded, --strategy, --from and --to"
            raise UsageError(f"check: {options} go with --lookahead: add it, or leave them out")
        return check(arguments.config)
    from bot.app.replay.lookahead import check_lookahead

    if arguments.place is None:
        mend = "add --history DIR or --recorded URL"
        raise UsageError(f"check: --lookahead needs something to look at: {mend}")
    return check_lookahead(arguments.config, arguments.strategy, arguments.place, window)


def _run(arguments: argparse.Namespace) -> int:
    from bot.app.live.daemon import serve

    return serve(arguments.config)


def _once(arguments: argparse.Namespace) -> Answer:
    from bot.app.live.daemon import once

    return once(arguments.config, arguments.run, arguments.at, keep=not arguments.dry_run)


def _simulate(arguments: argparse.Namespace) -> int:
    from bot.app.live.simulating import simulate

    return simulate(arguments.host, arguments.port, arguments.seed, arguments.key)


def _operate(arguments: argparse.Namespace) -> Answer:
    from bot.app.live.operating import operate
    from bot.domain.events import Act

    return operate(Act(arguments.act), arguments.token, arguments.config, arguments.ledger, arguments.run)
