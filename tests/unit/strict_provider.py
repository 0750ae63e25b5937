"""A provider in memory that refuses what the real one refuses, and a tape in memory that can be full."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import httpx

from bot.adapters.clock import SteppedClock
from bot.domain.errors import StorageError
from bot.domain.tape import ApiAttempt, ApiCall, Datum, Hole, Pause, Refusal

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DATED = frozenset({"startDate", "endDate"})
PAGED = frozenset({"token_id", "limit", "page"})
PARAMETERS = {
    "price": frozenset({"token_id"}),
    "tokens": PAGED | {"symbol"},
    **dict.fromkeys(("resistance-support", "quantmetrics", "tm-grade", "hourly-trading-signals"), PAGED),
    **dict.fromkeys(("trading-signals", "hourly-ohlcv", "daily-ohlcv"), PAGED | DATED),
}
LISTED: list[dict[str, object]] = [
    {"TOKEN_ID": 3375, "TOKEN_NAME": "Bitcoin", "TOKEN_SYMBOL": "BTC", "MARKET_CAP": 1.6e12},
    {"TOKEN_ID": 39218, "TOKEN_NAME": "Osmosis allBTC", "TOKEN_SYMBOL": "BTC", "MARKET_CAP": 2e7},
    {"TOKEN_ID": 3306, "TOKEN_NAME": "Ethereum", "TOKEN_SYMBOL": "ETH", "MARKET_CAP": None},
    {"TOKEN_ID": 39220, "TOKEN_NAME": "Osmosis allETH", "TOKEN_SYMBOL": "ETH"},
    {"TOKEN_ID": 3988, "TOKEN_NAME": "Solana", "TOKEN_SYMBOL": "SOL", "TOTAL_VOLUME": 3e9},
    {"TOKEN_ID": 50001, "TOKEN_NAME": "First", "TOKEN_SYMBOL": "TWO", "MARKET_CAP": 5e6},
    {"TOKEN_ID": 50002, "TOKEN_NAME": "Second", "TOKEN_SYMBOL": "TWO", "MARKET_CAP": 4e6},
]


@dataclass
class Provider:
    """An API that refuses what the real one refuses; broken endpoints answer with a status and a body."""

    clock: SteppedClock
    broken: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    late: frozenset[str] = frozenset()
    pages_stuck: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        endpoint = request.url.path.removeprefix("/v2/")
        params = dict(request.url.params)
        self.asked.append((endpoint, params))
        status, body = self.broken.get(endpoint) or self._answer(endpoint, params)
        return httpx.Response(status, stream=httpx.ByteStream(body))

    def _answer(self, endpoint: str, params: dict[str, str]) -> tuple[int, bytes]:
        span = [date.fromisoformat(params[key]) for key in sorted(DATED & set(params), reverse=True)]
        too_long = len(span) == 2 and (span[1] - span[0]).days >= 29
        limit, page = int(params.get("limit", 50)), int(params.get("page", 1))
        if set(params) - PARAMETERS[endpoint] or limit > 100 or page < 1 or too_long:
            return 400, b'{"success": false, "message": "bad request"}'
        rows = list(self._rows(endpoint, params, span))
        first = 0 if self.pages_stuck else (page - 1) * limit
        shown = rows[first : first + limit]
        random.Random(len(shown)).shuffle(shown) if endpoint not in {"hourly-ohlcv", "hourly-trading-signals"} else None
        if not shown:
            return 404, b'{"success": false, "message": "Data not found", "length": 0, "data": []}'
        return 200, json.dumps({"success": True, "length": len(shown), "data": shown}).encode()

    def _rows(self, endpoint: str, params: dict[str, str], span: list[date]) -> Iterable[dict[str, object]]:
        if endpoint == "tokens":
            ids, symbols = params.get("token_id", "").split(","), params.get("symbol", "").split(",")
            plain = {"limit", "page"} >= set(params)
            yield from (t for t in LISTED if plain or str(t["TOKEN_ID"]) in ids or t["TOKEN_SYMBOL"] in symbols)
            return
        now, tokens = self.clock.now(), [int(text) for text in params["token_id"].split(",")]
        instants = [now - 3 * DAY if endpoint in self.late else now]
        if "ohlcv" in endpoint or "signals" in endpoint:
            step = HOUR if endpoint.startswith("hourly") else DAY
            start = datetime.combine(span[0], datetime.min.time(), UTC) if span else now - 2 * DAY
            newest = now.replace(minute=0, second=0, microsecond=0)
            newest = newest if step == HOUR else newest.replace(hour=0)
            instants = []
            while newest >= start:
                if not span or newest.date() <= span[1]:
                    instants.append(newest)
                newest -= step
        for instant in instants:
            if endpoint not in self.late or instant < now - 2 * DAY:
                yield from (self._row(endpoint, token, instant) for token in tokens)

    def _row(self, endpoint: str, token: int, at: datetime) -> dict[str, object]:
        own: dict[str, dict[str, object]] = {
            "trading-signals": {"TRADING_SIGNAL": 0, "TOKEN_TREND": 1 if at.day > 5 else -1, "TM_TRADER_GRADE": 61.5},
            "hourly-trading-signals": {"SIGNAL": "0", "POSITION": "1", "TIMESTAMP": at.isoformat()},
            "resistance-support": {"HISTORICAL_RESISTANCE_SUPPORT_LEVELS": [{"date": "2024-12-17", "level": 120}]},
            "quantmetrics": {"VOLATILITY": 0.57, "MAX_DRAWDOWN": -0.79},
            "tm-grade": {"TM_GRADE": "70"},
            "price": {"CURRENT_PRICE": 101.25},
            "hourly-ohlcv": {"TIMESTAMP": at.isoformat(), "OPEN": 100, "HIGH": 103, "LOW": 99, "CLOSE": 101},
            "daily-ohlcv": {"OPEN": 100, "HIGH": 105, "LOW": 95, "CLOSE": 101},
        }
        dated = {"TOKEN_ID": token, "DATE": at.date().isoformat() + "T00:00:00.000Z"}
        if endpoint in {"price", "tm-grade"} or endpoint.startswith("hourly"):
            del dated["DATE"]
        return {**dated, **own[endpoint]}


@dataclass
class MadeTape:
    """A tape in memory, which can be full."""

    calls: list[tuple[ApiCall, bytes | None]] = field(default_factory=list)
    data: list[Datum] = field(default_factory=list)
    attempts: list[ApiAttempt] = field(default_factory=list)
    refusals: list[tuple[str, Refusal]] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    is_full: bool = False

    def answer(self, call: ApiCall, body: bytes | None, attempts: Sequence[ApiAttempt] = ()) -> None:
        """Record an answer."""
        self.calls.append((call, body))
        self.attempts.extend(attempts)

    def refuse(self, request_id: str, refusals: Sequence[Refusal]) -> None:
        """Record refusals."""
        self.refusals += [(request_id, one) for one in refusals]

    def note(self, changes: Sequence[Hole | Pause]) -> None:
        """Record changes."""
        self.holes += [one for one in changes if isinstance(one, Hole)]
        self.pauses += [one for one in changes if isinstance(one, Pause)]

    def rows(self, data: Iterable[Datum]) -> None:
        """Record data, or fail."""
        if self.is_full:
            raise StorageError
        self.data += data
