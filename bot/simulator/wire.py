"""The simulated API without HTTP: a request's target and key give a status and the bytes of a body.

The answer depends only on the market, the request and the instant; earlier requests change nothing.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from bot.simulator import rows
from bot.simulator.listing import Token
from bot.simulator.market import Market
from bot.simulator.provider import SimulatedProvider
from bot.simulator.query import SELECTORS, RowRequest, parse_request

PAGED = frozenset({"token_id", "limit", "page"})
NAMED = PAGED | SELECTORS
DATED = NAMED | {"startDate", "endDate"}


class WireAnswer(NamedTuple):
    """An HTTP status and a body."""

    status: int
    body: bytes


class Endpoint(NamedTuple):
    """One endpoint.

    parameters: those that a query may have. steps: lists the days or hours of the rows.
    has_row: checks whether a token has a row at a step. row: builds it.
    """

    parameters: frozenset[str]
    steps: Callable[[RowRequest], Sequence[int]]
    has_row: Callable[[RowRequest, int, Token], bool]
    row: Callable[[RowRequest, int, Token], rows.Row]


ENDPOINTS = MappingProxyType(
    {
        "trading-signals": Endpoint(DATED, rows.list_published_days, rows.has_call, rows.call_row),
        "hourly-trading-signals": Endpoint(
            PAGED, rows.list_published_hours, rows.has_hourly_call, rows.hourly_call_row
        ),
        "resistance-support": Endpoint(NAMED, rows.list_published_day, rows.has_level, rows.level_row),
        "quantmetrics": Endpoint(NAMED, rows.list_published_day, rows.trades_on, rows.metric_row),
        "tm-grade": Endpoint(NAMED, rows.list_published_day, rows.trades_on, rows.grade_row),
        "price": Endpoint(PAGED, rows.list_today, rows.trades_on, rows.price_row),
        "tokens": Endpoint(NAMED, rows.list_today, rows.trades_on, rows.token_row),
        "daily-ohlcv": Endpoint(DATED, rows.list_begun_days, rows.trades_on, rows.daily_bar_row),
        "hourly-ohlcv": Endpoint(DATED, rows.list_begun_hours, rows.trades_in, rows.hourly_bar_row),
    }
)


class Wire:
    """Answers requests over one market; after the market's end, as in its last second."""

    def __init__(self, market: Market, api_key: str | None = None) -> None:
        """Answer over a market; api_key: the only key that is accepted, None for any key."""
        self._provider = SimulatedProvider(market)
        self._last = market.begin + timedelta(days=market.days, seconds=-1)
        self._api_key = api_key

    def answer(self, target: str, key: str | None, now: datetime) -> WireAnswer:
        """Answer a GET of a target, such as `/v2/tokens?symbol=BTC`, with a key, at an instant."""
        parts = urlsplit(target)
        version, _, name = parts.path.removeprefix("/").partition("/")
        endpoint = ENDPOINTS.get(name)
        if endpoint is None or version not in {"v2", "v3"}:
            return _write(404, success=False, message=f"Cannot GET {parts.path}")
        if not key or self._api_key not in {None, key}:
            return _write(401, success=False, message="Invalid or missing API key")
        provider, now = self._provider, min(now, self._last)
        try:
            request = parse_request(provider, now, parts.query, endpoint.parameters)
        except ValueError as error:
            return _write(400, success=False, message=str(error))
        keys = (
            (step, token)
            for step in endpoint.steps(request)
            for token in provider.shuffle(step, request.tokens)
            if endpoint.has_row(request, step, token)
        )
        skipped = (request.page - 1) * request.limit
        data = [
            rows.spell(endpoint.row(request, step, token), v3=version == "v3")
            for step, token in islice(keys, skipped, skipped + request.limit)
        ]
        if not data:
            return _write(404, success=False, message="Data not found", length=0, data=[])
        message = "Data fetched successfully"
        return _write(200, success=True, message=message, length=len(data), data=data)


def _write(status: int, **body: object) -> WireAnswer:
    """Write a body as JSON."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return WireAnswer(status, text.encode())
