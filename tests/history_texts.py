"""Small history folders written as text, and what becomes of them when they are opened."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.history.folder import History, open_history
from bot.adapters.history.instruments import Universe
from bot.domain.errors import BotError
from bot.domain.ids import TokenId
from tests.notation import HOUR, at

BTC, ETH = TokenId(3375), TokenId(3306)
INSTRUMENTS = "token_id,symbol,name\n3375,BTC,Bitcoin\n3306,ETH,Ethereum\n"
BARS = "time,open,high,low,close,volume\n"
SIGNALS = "token_id,published_at,stance,grade\n"
QUANTMETRICS = "token_id,known_at,volatility,sharpe,sortino,max_drawdown,cagr\n"
LEVELS = "token_id,known_at,level,strength\n"


def bar_rows(start: str, count: int, step: timedelta = HOUR, first: float = 100) -> str:
    """Write bars that rise by one."""
    lines = []
    for number in range(count):
        opened, price = at(start) + number * step, first + number
        lines.append(f"{opened:%Y-%m-%dT%H:%M:%SZ},{price},{price + 2},{price - 2},{price + 1},5\n")
    return BARS + "".join(lines)


DEFAULT: Mapping[str, str] = {
    "instruments.csv": INSTRUMENTS,
    "bars/1h/BTC.csv": bar_rows("2024-01-01", 49),
    "bars/1h/ETH.csv": bar_rows("2024-01-01 12:00", 10, first=10),
    "signals.csv": SIGNALS + "3375,2024-01-01T06:00:00Z,bullish,70\n3375,2024-01-01T12:00:00Z,bearish,20\n",
}


def folder_of(tmp_path: Path, files: Mapping[str, str | None]) -> Path:
    """Write a history folder: the default files, with some replaced, added, or (None) left out."""
    folder = tmp_path / "history"
    for name, text in {**DEFAULT, **files}.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return folder


def opened(
    tmp_path: Path, files: Mapping[str, str | None] = DEFAULT, universe: Universe = "*", timeframe: str | None = None
) -> History:
    """Open such a folder."""
    return open_history(folder_of(tmp_path, files), timeframe=timeframe, universe=universe)


def refusal(tmp_path: Path, files: Mapping[str, str | None], universe: Universe = "*") -> BotError:
    """Return the one-line refusal of such a folder."""
    with pytest.raises(BotError) as caught:
        opened(tmp_path, files, universe)
    assert "\n" not in str(caught.value)
    return caught.value


FLAT = (Decimal(1), Decimal(2), Decimal("0.5"), Decimal(1))
FIRST = "2024-01-01T00:00:00Z,1,2,0.5,1,1\n"
SECOND = "2024-01-01T01:00:00Z,1,2,0.5,1,1\n"
