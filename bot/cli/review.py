"""Commands that read a ledger for a trader: status, trades, orders, equity, figures, why and more."""

import argparse

from bot.app.settings.kinds import first_instant, last_instant
from bot.app.telling.answers import Answer
from bot.cli.options import (
    Commands,
    add_command,
    add_ledger_options,
    add_reading_options,
    add_window_options,
    instant,
    ledger_in,
    whole_number,
)

ROWS_MAX = 10**9


def register(commands: Commands) -> None:
    """Add these commands."""
    status = add_command(commands, "status", "the runs at a glance, and whether a daemon is alive", _status)
    text = "end with 69 when no daemon holds the ledger, or a run is more than an interval late"
    status.add_argument("--expect-alive", action="store_true", help=text)
    text = "the provider's feeds: calls, errors, durations, freshness, and what did not come"
    status.add_argument("--feeds", action="store_true", help=text)
    add_reading_options(status)
    for name, text in (
        ("trades", "trades, closed and open"),
        ("positions", "open positions, marked"),
        ("orders", "orders and their states"),
        ("equity", "the account, slot by slot"),
    ):
        added = add_command(commands, name, text, _read)
        added.set_defaults(report=name)
        add_reading_options(added)
        add_window_options(added, "row")
        last = whole_number(1, ROWS_MAX)
        added.add_argument("--last", type=last, metavar="N", help="the newest N rows only [all]")
    text = "the statistics of a run, as a replay prints them, beside holding its universe"
    add_reading_options(add_command(commands, "figures", text, _figures))
    text = "why a token was or was not traded; without one, why each run did or did not"
    why = add_command(commands, "why", text, _why, "why SOL --at 2025-03-10T12:00Z")
    text = "the token's symbol, or its token_id [a digest of all]"
    why.add_argument("symbol", nargs="?", help=text)
    text = "the newest decision at or before T; of a date alone, before the day ends [the newest]"
    why.add_argument("--at", type=instant(last_instant), metavar="T", help=text)
    text = "no decision before T; of a date alone, before its 00:00 [the first]"
    why.add_argument("--from", dest="start", type=instant(first_instant), metavar="T", help=text)
    add_reading_options(why)
    text = "one order, from the answers it rests on to the books it moved"
    explain = add_command(commands, "explain", text, _explain, "explain ord-9b1c --json")
    text = "as `bot orders` shows it, or its beginning"
    explain.add_argument("order_id", metavar="ORDER_ID", help=text)
    add_ledger_options(explain)


def _read(arguments: argparse.Namespace) -> Answer:
    from bot.app.review.reading import show
    from bot.app.review.reports import Asked

    asked = Asked(arguments.run, (arguments.start, arguments.end), arguments.last)
    return show(arguments.report, ledger_in(arguments), asked)


def _status(arguments: argparse.Namespace) -> Answer:
    from bot.app.review.feeds import show_feeds
    from bot.app.review.reading import show_status

    if arguments.feeds:
        return show_feeds(ledger_in(arguments))
    return show_status(arguments.config, arguments.ledger, arguments.run, expect_alive=arguments.expect_alive)


def _figures(arguments: argparse.Namespace) -> Answer:
    from bot.app.review.results import show_figures

    return show_figures(ledger_in(arguments), arguments.run)


def _why(arguments: argparse.Namespace) -> Answer:
    from bot.app.review.reading import show_why

    window = (arguments.start, arguments.at)
    return show_why(arguments.symbol, ledger_in(arguments), window, arguments.run)


def _explain(arguments: argparse.Namespace) -> Answer:
    from bot.app.review.reading import show_order

    return show_order(arguments.order_id, ledger_in(arguments))
