"""The base case of a replay: hours of AAA from 2024-01-01, bought once at 02:00 without costs, kept without a bracket.

`replayed` runs it with what a test changes, and reads its trades and marks from the ledger.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.edge_replays import replay

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STRATEGY: Mapping[str, Mapping[str, object]] = {
    "strategy": {"name": "s", "universe": ["AAA"], "feed": "hourly"},
    "stop": {"rule": "none"},
    "target": {"rule": "none"},
    "sizing": {"rule": "fixed_quantity", "quantity": 1},
    "exits": {"rules": ["signal_flipped", "stop_hit", "target_hit"]},
    "fills": {"fee_fraction": 0, "half_spread_fraction": 0, "slippage_fraction": 0},
}
BULLISH = (("AAA", 2, "bullish"),)


class Replayed(NamedTuple):
    """What a replay printed as JSON, its trades and its marks as the views have them."""

    answer: dict[str, Any]
    trades: list[dict[str, Any]]
    equity: list[dict[str, Any]]


def hours(*parts: tuple[int, str], first: int = 0, step: timedelta = HOUR) -> str:
    """Write bars: each part is a count and `price`, `o h l c` or either with a volume behind `v`; `-` is a hole."""
    lines, number = ["time,open,high,low,close,volume"], first
    for count, text in parts:
        prices, _, volume = text.partition("v")
        words = prices.split() * (4 if len(prices.split()) == 1 else 1)
        for _ in range(count):
            if words[0] != "-":
                lines.append(f"{_stamp(START + number * step)},{','.join(words)},{volume or 1000}")
            number += 1
    return "\n".join(lines) + "\n"


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def strategy_text(changes: Mapping[str, Mapping[str, object]]) -> str:
    """Write the strategy of the base case with some keys changed; None leaves a key out."""
    sections = {name: {**STRATEGY.get(name, {}), **changes.get(name, {})} for name in {**STRATEGY, **changes}}
    return "\n".join(
        "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None)])
        for name, keys in sections.items()
    )


def replayed(
    place: Path,
    bars: Mapping[str, str],
    *options: str,
    turns: Sequence[tuple[str, int, str]] = BULLISH,
    timeframe: str = "1h",
    cash: str = "10000",
    **changes: Mapping[str, object],
) -> Replayed:
    """Run the base case with other bars by symbol, turns (symbol, hour, stance), keys and options."""
    place.mkdir(parents=True, exist_ok=True)
    symbols = list(bars)
    listing = ["token_id,symbol,name", *(f"{number},{name},{name}" for number, name in enumerate(symbols, 1))]
    rows = [f"{symbols.index(name) + 1},{_stamp(START + hour * HOUR)},{stance}" for name, hour, stance in turns]
    files = {
        "instruments.csv": "\n".join(listing) + "\n",
        "signals.csv": "\n".join(["token_id,published_at,stance", *rows]) + "\n",
        **{f"bars/{timeframe}/{symbol}.csv": text for symbol, text in bars.items()},
    }
    found = replay(place, files, *options, "--cash", cash, strategy=strategy_text(changes))
    assert found.code == 0, found.stderr
    with closing(sqlite3.connect(found.ledger)) as connection:
        connection.row_factory = sqlite3.Row
        trades = [dict(row) for row in connection.execute("select * from v_trades order by opened_at, token_id")]
        equity = [dict(row) for row in connection.execute("select * from v_equity order by slot")]
    return Replayed(dict(found.answer), trades, equity)


def told(trade: Mapping[str, Any]) -> str:
    """Tell how a trade ended: its reason, instant, price and profit."""
    at = str(trade["closed_at"])[:16]
    price = None if trade["exit_price"] is None else Decimal(str(trade["exit_price"])).normalize()
    return f"{trade['exit_reason']} {at} @ {price:f} {trade['profit']:+.2f}"
