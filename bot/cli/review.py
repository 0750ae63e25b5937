"""Commands that read a ledger for a trader: status, trades, positions, orders, equity, figures, why, explain."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bot.app.settings.instants import first_instant, last_instant
from bot.cli.options import add_command, add_ledger_options, add_reading_options, instant

if TYPE_CHECKING:
    from bot.cli.options import Commands



def register(commands: Commands) -> None:
    """Add these commands."""
    for name, text in (
        ("status", "the runs at a glance"),
        ("trades", "trades, closed and open"),
        ("positions", "open positions, marked"),
        ("orders", "orders and their states"),
        ("equity", "the account, slot by slot"),
    ):
        added = add_command(commands, name, text, _read)
        added.set_defaults(report=name)
        add_reading_options(added)
    text = "the statistics of a run, as a replay prints them, beside holding its universe"
    add_reading_options(add_command(commands, "figures", text, _figures))
    text = "why a token was or was not traded; without one, why each run did or did not"
    why = add_command(commands, "why", text, _why, "why SOL --at 2025-03-10T12:00Z")
    why.add_argument("symbol", nargs="?", help="the token's symbol [a digest of all]")
    text = "the newest decision at or before T; of a date alone, before the day ends [the newest]"
    why.add_argument("--at", type=instant(last_instant), metavar="T", help=text)
    text = "no decision before T; of a date alone, before its 00:00 [the first]"
    why.add_argument("--from", dest="start", type=instant(first_instant), metavar="T", help=text)
    add_reading_options(why)
    text = "one order, from the answers it rests on to the books it moved"
    explain = add_command(commands, "explain", text, _explain, "explain ord-9b1c --json")
    explain.add_argument("order_id", metavar="ORDER_ID", help="as `bot orders` shows it")
    add_ledger_options(explain)


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
