"""An API of the tests' own that speaks the documented wire, shares no code with the simulator, and fails as asked.

Twelve tokens at a price of 100 that moves a little each day; each turns bullish on a day of its own. Every row is made
from the token, the day and the hour alone, so that an answer does not depend on what was asked before.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import httpx

from bot.adapters.clock import SteppedClock

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAMES = {
    3375: "BTC", 3306: "ETH", 3988: "SOL", 3369: "XRP", 3393: "DOGE", 3388: "ETC", 3396: "ADA", 4253: "YFI",
    30747: "AERO", 3312: "LTC", 4001: "DOT", 4002: "UNI",
}  # fmt: skip
FEEDS = (
    "trading-signals", "resistance-support", "quantmetrics", "tokens", "price", "hourly-ohlcv", "daily-ohlcv",
)  # fmt: skip

Row = dict[str, object]
Answer = tuple[int, bytes, dict[str, str]]


def price_of(token: int, day: date) -> float:
    """Move a price of 100 by up to a percent from day to day."""
    return 100 + (token + day.toordinal() * 7) % 11 / 5 - 1


@dataclass
class StubApi:
    """The API; turns: when each token turned bullish, the others stay bearish.

    answer: replaces an answer, given the feed and its parameters. rows: changes the rows of a feed.
    """

    clock: SteppedClock
    turns: dict[int, date]
    answer: Callable[[str, dict[str, str], Answer], Answer | Exception] = lambda _feed, _params, made: made
    rows: Callable[[str, list[Row]], list[Row]] = lambda _feed, rows: rows
    listed: dict[int, Row] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        feed, params = request.url.path.rpartition("/")[2], dict(request.url.params)
        self.asked.append((feed, params))
        rows = self.rows(feed, list(self._rows(feed, params)))
        limit, page = int(params.get("limit", 50)), int(params.get("page", 1))
        shown = rows if feed == "price" else rows[(page - 1) * limit : page * limit]
        body = {"success": bool(shown), "message": "Data fetched successfully", "length": len(shown), "data": shown}
        made = (200, json.dumps(body).encode(), {})
        if not shown:
            made = (404, b'{"success": false, "message": "Data not found", "length": 0, "data": []}', {})
        told = self.answer(feed, params, made)
        if isinstance(told, Exception):
            raise told
        status, text, headers = told
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(text))

    def _rows(self, feed: str, params: dict[str, str]) -> Iterator[Row]:
        if feed == "tokens":
            yield from self._tokens(params)
            return
        now = self.clock.at
        tokens = [int(text) for text in params["token_id"].split(",") if int(text) in NAMES]
        today = now.date()
        if feed in {"trading-signals", "daily-ohlcv", "hourly-ohlcv"}:
            first, last = (date.fromisoformat(params[name]) for name in ("startDate", "endDate"))
            day = min(last, today)
            while day >= first:
                for token in tokens:
                    yield from self._of_day(feed, token, day, now)
                day -= DAY
            return
        for token in tokens:
            yield {**self._named(token), **self._newest(feed, token, today)}

    def _tokens(self, params: dict[str, str]) -> Iterator[Row]:
        ids = params.get("token_id", "").split(",")
        symbols = params.get("symbol", "").split(",")
        known = {token: {**self._named(token), "MARKET_CAP": 1e9, "TOTAL_VOLUME": 1e7} for token in NAMES}
        for token, row in {**known, **self.listed}.items():
            if str(token) in ids or row["TOKEN_SYMBOL"] in symbols or not {"token_id", "symbol"} & params.keys():
                yield row

    def _named(self, token: int) -> Row:
        return {"TOKEN_ID": token, "TOKEN_NAME": NAMES[token].title(), "TOKEN_SYMBOL": NAMES[token]}

    def _of_day(self, feed: str, token: int, day: date, now: datetime) -> Iterator[Row]:
        close, before = price_of(token, day), price_of(token, day - DAY)
        bar = {"OPEN": before, "HIGH": max(before, close) + 1, "LOW": min(before, close) - 1, "CLOSE": close}
        if feed == "trading-signals":
            turned = self.turns.get(token)
            trend = 1 if turned is not None and day >= turned else -1
            row = {"TRADING_SIGNAL": int(day == turned), "TOKEN_TREND": trend, "TM_TRADER_GRADE": 80}
            yield {**self._named(token), "DATE": f"{day}T00:00:00.000Z", **row, "TM_INVESTOR_GRADE": 70}
        elif feed == "daily-ohlcv":
            yield {**self._named(token), "DATE": f"{day}T00:00:00.000Z", **bar, "VOLUME": 1e6}
        else:
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            for hour in reversed(range(24)):
                if midnight + hour * HOUR <= now:
                    at = (midnight + hour * HOUR).isoformat()
                    flat = dict.fromkeys(("OPEN", "HIGH", "LOW", "CLOSE"), before)
                    yield {**self._named(token), "TIMESTAMP": at, **flat, "VOLUME": 5e4}

    def _newest(self, feed: str, token: int, today: date) -> Row:
        now = price_of(token, today - DAY)
        dated = {"DATE": f"{today - DAY}T00:00:00.000Z"}
        if feed == "price":
            return {"CURRENT_PRICE": now}
        if feed == "quantmetrics":
            return {**dated, "VOLATILITY": 0.6, "SHARPE": 1.2, "SORTINO": 1.5, "MAX_DRAWDOWN": -0.5, "CAGR": 0.4}
        levels = [{"date": "2024-12-17", "level": 120 + token % 7}, {"date": "2025-01-09", "level": 95}]
        return {**dated, "HISTORICAL_RESISTANCE_SUPPORT_LEVELS": levels}


def status(code: int, body: bytes = b'{"message": "no"}', **headers: str) -> Callable[[Answer], Answer]:
    """Make the fault that answers with a status."""
    return lambda _made: (code, body, {name.replace("_", "-"): value for name, value in headers.items()})


def at_http(at: datetime) -> str:
    """Write an instant as HTTP does."""
    return format_datetime(at.astimezone(UTC), usegmt=True)
