"""Commands that look after a ledger: verify, parity, db upgrade."""

import argparse

from bot.app.telling.answers import Answer
from bot.cli.options import (
    Commands,
    add_command,
    add_config_option,
    add_ledger_options,
    add_reading_options,
    add_window_options,
    ledger_in,
)


def register(commands: Commands) -> None:
    """Add these commands."""
    verify = add_command(commands, "verify", "check every invariant of the ledger", _verify)
    verify.add_argument(
        "--deep", action="store_true", help="derive every cycle of every live run again as well"
    )
    add_ledger_options(verify)
    text = "derive a live run again from its recorded answers, and name what differs first"
    parity = add_command(commands, "parity", text, _parity, "parity --run levels_long --from 2025-03-10T12:00Z")
    add_window_options(parity)
    add_reading_options(parity)
    database = commands.add_parser(
        "db", help="look after the ledger's schema", description="Look after the schema."
    )
    actions = database.add_subparsers(title="actions", metavar="ACTION", required=True)
    upgrade = add_command(actions, "upgrade", "create the ledger or bring its schema up to date", _db_upgrade)
    add_config_option(upgrade)
    upgrade.add_argument("--ledger", metavar="URL", help="this ledger, a URL or a file [the configuration's]")


def _verify(arguments: argparse.Namespace) -> Answer:
    from bot.app.parity.verifying import verify

    return verify(arguments.config, arguments.ledger, deep=arguments.deep)


def _parity(arguments: argparse.Namespace) -> Answer:
    from bot.app.parity.parity import parity

    window = (arguments.start, arguments.end)
    return parity(arguments.config, arguments.ledger, arguments.run, window)


def _db_upgrade(arguments: argparse.Namespace) -> Answer:
    from bot.adapters.sql.migrate import upgrade

    return Answer(parts=(upgrade(ledger_in(arguments)),))
