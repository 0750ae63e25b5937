"""Replays of a small history, written as text, through the command: hours of a token AAA, or of a BBB beside it."""

import contextlib
import io
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from bot.cli.main import main
from tests.history_texts import BARS
from tests.notation import HOUR, at

INSTRUMENTS = "token_id,symbol,name\n1,AAA,AAA\n2,BBB,BBB\n"
BULLISH = "token_id,published_at,stance\n1,2024-01-01T02:00:00Z,bullish\n"
STRATEGY = """
[strategy]
name = "s"
universe = ["AAA"]
feed = "hourly"

[stop]
rule = "none"

[target]
rule = "none"

[sizing]
rule = "fixed_quantity"
quantity = 1

[fills]
fee_fraction = 0
half_spread_fraction = 0
slippage_fraction = 0
"""


class Replayed(NamedTuple):
    """What a replay came to: exit code, the answer (empty where it was refused), the lines on stderr, its ledger."""

    code: int
    answer: Mapping[str, Any]
    stderr: str
    ledger: Path

    def query(self, sql: str) -> list[Any]:
        """Ask the ledger."""
        with closing(sqlite3.connect(self.ledger)) as connection:
            return connection.execute(sql).fetchall()


def hours(start: str, *pieces: str) -> str:
    """Write a bars file of hours: "24 x 103" is 24 flat bars at 103, "400 h nothing" is a hole of 400 hours.

    A third number is the volume of each bar, which is 1000 otherwise: "5 x 90 x 0".
    """
    opened, lines = at(start), []
    for piece in pieces:
        if piece.endswith("nothing"):
            opened += int(piece.split()[0]) * HOUR
            continue
        count, price, *volume = piece.split(" x ")
        for _ in range(int(count)):
            lines.append(f"{opened:%Y-%m-%dT%H:%M:%SZ},{price},{price},{price},{price},{(volume or ['1000'])[0]}\n")
            opened += HOUR
    return BARS + "".join(lines)


def replay(tmp_path: Path, files: Mapping[str, str], *more: str, strategy: str = STRATEGY) -> Replayed:
    """Write a history folder and a strategy, and replay it with 10,000."""
    folder = tmp_path / "h"
    for name, text in {"instruments.csv": INSTRUMENTS, "signals.csv": BULLISH, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "s.toml").write_text(strategy)
    ledger = tmp_path / "l.db"
    given = ["--strategy", str(tmp_path / "s.toml"), "--history", str(folder), "--ledger", f"sqlite:///{ledger}"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(["replay", *given, "--cash", "10000", "--json", *more])
    return Replayed(code, json.loads(out.getvalue()) if code == 0 else {}, err.getvalue(), ledger)
