"""Commands that make and look after history folders: `bot history`."""

import argparse
from pathlib import Path

from bot.app.settings.kinds import require_folder
from bot.app.telling.answers import Answer
from bot.cli.options import Commands, add_command, whole_number

FOLDER = "history folder"
SEED_MAX = 2**31


def register(commands: Commands) -> None:
    """Add these commands."""
    text = "look after history folders"
    history = commands.add_parser("history", help=text, description="Look after histories.")
    actions = history.add_subparsers(title="actions", metavar="ACTION", required=True)
    text = "pack a history folder ahead of its first replay, and say what it holds"
    pack = add_command(actions, "pack", text, _history_pack, "history pack HISTORY")
    pack.add_argument("folder", type=Path, metavar="DIR", help="history folder")
    pack.add_argument("--json", action="store_true", help="print JSON")
    _add_import(actions)
    text = "check a history folder: holes, jumps, halts, refused bars, one coin under two names"
    check = add_command(actions, "check", text, _history_check, "history check HISTORY")
    check.add_argument("folder", type=Path, metavar="DIR", help="history folder")
    check.add_argument("--json", action="store_true", help="print JSON")
    text = "derive the levels and measures that a history folder lacks from its bars"
    derive = add_command(actions, "derive", text, _history_derive, "history derive HISTORY --signals ema")
    derive.add_argument("folder", type=Path, metavar="DIR", help="history folder")
    text = "derive signals too: crosses of two averages of daily closes"
    derive.add_argument("--signals", choices=("ema",), help=text)
    derive.add_argument("--json", action="store_true", help="print JSON")
    text = "write a small simulated history folder to try replays, sweeps and look-ahead checks on"
    demo = add_command(actions, "demo", text, _history_demo, "history demo history")
    text = "folder to write; it must not exist, or hold this very sample"
    demo.add_argument("folder", type=Path, metavar="DIR", help=text)
    seed, text = whole_number(0, SEED_MAX), "of the simulated market [3]"
    demo.add_argument("--seed", type=seed, default=3, metavar="N", help=text)
    demo.add_argument("--json", action="store_true", help="print JSON")


def _history_pack(arguments: argparse.Namespace) -> Answer:
    require_folder(arguments.folder, FOLDER)
    from bot.app.replay.packing import pack

    return pack(arguments.folder)


def _add_import(actions: Commands) -> None:
    """Add `import`."""
    text = "make a history folder of candle files as exchanges and data sites give them"
    example = "history import BTCUSDT-1h-*.csv -o my_history"
    added = add_command(actions, "import", text, _history_import, example)
    text = "CSV, JSON, Feather or Parquet, also in gzip or zip"
    added.add_argument("files", type=Path, nargs="+", metavar="FILE", help=text)
    text = "new history folder"
    added.add_argument("-o", "--output", type=Path, required=True, metavar="HISTORY", help=text)
    added.add_argument(
        "--layout",
        action="append",
        default=[],
        metavar="NAME",
        choices=("ohlc", "ochl", "lhoc", "day-first", "month-first", "thousands-comma", "decimal-comma"),
        help="which of two readings is right, once for each doubt: %(choices)s",
    )
    added.add_argument("--symbol", help="the coin of files that do not name it, or the one to take of several")
    added.add_argument("--timeframe", choices=("1m", "5m", "1h", "1d"), help="aggregate to this timeframe")
    text = "time zone of times that have none, like Europe/Berlin [UTC]"
    added.add_argument("--zone", metavar="NAME", help=text)
    added.add_argument("--json", action="store_true", help="print JSON")


def _history_import(arguments: argparse.Namespace) -> Answer:
    from bot.app.histories.importing import ImportRequest, import_candles

    return import_candles(
        ImportRequest(
            files=arguments.files,
            folder=arguments.output,
            layouts=arguments.layout,
            symbol=arguments.symbol,
            timeframe=arguments.timeframe,
            zone=arguments.zone,
        )
    )


def _history_check(arguments: argparse.Namespace) -> Answer:
    require_folder(arguments.folder, FOLDER)
    from bot.app.histories.inspection import inspect

    return inspect(arguments.folder)


def _history_derive(arguments: argparse.Namespace) -> Answer:
    require_folder(arguments.folder, FOLDER)
    from bot.app.histories.derivation import derive

    return derive(arguments.folder, with_signals=arguments.signals == "ema")


def _history_demo(arguments: argparse.Namespace) -> Answer:
    from bot.app.histories.sample import write_sample

    return write_sample(arguments.folder, arguments.seed)
