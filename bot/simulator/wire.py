"""The simulated API without HTTP: a request's target and key give a status and the bytes of a body.

The answer depends only on the market, the request and the instant; earlier requests change nothing.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from bot.simulator import rows
from bot.simulator.listing import Token
from bot.simulator.market import Market
from bot.simulator.provider import Provider
from bot.simulator.query import ParsedQuery, QueryError, parse_query

REMEMBERED_MAX = 1024
PAGED = frozenset({"limit", "page"})
NAMED = frozenset({"token_id", "symbol", "token_name", "slug"})
DATED = frozenset({"startDate", "endDate"})
SIZED = frozenset({"category", "exchange", "marketcap", "volume", "fdv"})

NOT_FOUND: Mapping[str, object] = MappingProxyType(
    {"success": False, "message": "Data not found", "length": 0, "data": []}
)


class WireAnswer(NamedTuple):
    """An HTTP status and a body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint.

    parameters: those of v2. added: those that only v3 knows. required: those that must be given.
    keys, row: list the rows and build one.
    state: a number that changes when answers change; None when they may change at any instant.
    """

    parameters: frozenset[str]
    added: frozenset[str] = frozenset({"slug"})
    required: tuple[str, ...] = ()
    keys: Callable[[rows.RowRequest], Iterator[rows.Key]]
    row: Callable[[rows.RowRequest, int, Token], rows.Row]
    state: Callable[[Provider, datetime], int] | None = None


ENDPOINTS = MappingProxyType(
    {
        "trading-signals": Endpoint(
            parameters=frozenset({"token_id", "symbol", "signal"}) | DATED | SIZED,
            added=frozenset({"token_name", "slug"}),
            keys=rows.call_keys,
            row=rows.call_row,
            state=Provider.published_day,
        ),
        "hourly-trading-signals": Endpoint(
            parameters=frozenset({"token_id"}),
            added=NAMED,
            keys=rows.hourly_call_keys,
            row=rows.hourly_call_row,
            state=Provider.published_hour,
        ),
        "resistance-support": Endpoint(
            parameters=frozenset({"token_id", "symbol"}),
            added=frozenset({"token_name", "slug"}),
            keys=rows.level_keys,
            row=rows.level_row,
            state=Provider.published_day,
        ),
        "quantmetrics": Endpoint(
            parameters=frozenset({"token_id", "symbol"}) | SIZED,
            added=frozenset({"token_name", "slug"}),
            keys=rows.published_keys,
            row=rows.metric_row,
            state=Provider.published_day,
        ),
        "tm-grade": Endpoint(
            parameters=frozenset({"token_id", "symbol", "token_name"}),
            keys=rows.published_keys,
            row=rows.grade_row,
            state=Provider.published_day,
        ),
        "price": Endpoint(
            parameters=frozenset({"token_id"}),
            added=frozenset(),
            required=("token_id",),
            keys=rows.trading_keys,
            row=rows.price_row,
        ),
        "tokens": Endpoint(
            parameters=frozenset(
                {"token_id", "symbol", "token_name", "category", "exchange", "blockchain_address"}
            ),
            added=frozenset({"slug", "expand"}),
            keys=rows.trading_keys,
            row=rows.token_row,
        ),
        "daily-ohlcv": Endpoint(
            parameters=frozenset({"token_id", "symbol", "token_name"}) | DATED,
            keys=rows.daily_bar_keys,
            row=rows.daily_bar_row,
        ),
        "hourly-ohlcv": Endpoint(
            parameters=frozenset({"token_id", "symbol", "token_name"}) | DATED,
            keys=rows.hourly_bar_keys,
            row=rows.hourly_bar_row,
        ),
    }
)


def refusal(status: int, message: str) -> WireAnswer:
    """Build the answer to a request that is refused."""
    return WireAnswer(status, _encode({"success": False, "message": message}))


class Wire:
    """Answers requests over one market."""

    def __init__(self, market: Market, api_key: str | None = None) -> None:
        """Answer over a market; api_key: the only key that is accepted, None for any key."""
        self._provider = Provider(market)
        self._api_key = api_key
        self._remembered: dict[str, tuple[int, WireAnswer]] = {}

    def answer(self, target: str, key: str | None, now: datetime) -> WireAnswer:
        """Answer a GET of a target, such as `/v2/tokens?symbol=BTC`, with a key, at an instant."""
        parts = urlsplit(target)
        version, _, name = parts.path.removeprefix("/").partition("/")
        endpoint = ENDPOINTS.get(name)
        if endpoint is None or version not in {"v2", "v3"}:
            return refusal(404, f"Cannot GET {parts.path}")
        if not key or (self._api_key is not None and key != self._api_key):
            return refusal(401, "Invalid or missing API key")
        # An answer is remembered as long as the state of its endpoint stays the same.
        state = None if endpoint.state is None else endpoint.state(self._provider, now)
        if state is None:
            return self._make_answer(endpoint, parts.query, now, v3=version == "v3")
        remembered = self._remembered.get(target)
        if remembered is None or remembered[0] != state:
            remembered = (state, self._make_answer(endpoint, parts.query, now, v3=version == "v3"))
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[target] = remembered
        return remembered[1]

    def _make_answer(self, endpoint: Endpoint, text: str, now: datetime, *, v3: bool) -> WireAnswer:
        """Compute a fresh answer of an endpoint."""
        known = PAGED | endpoint.parameters | (endpoint.added if v3 else frozenset())
        try:
            query = parse_query(text, known, endpoint.required)
        except QueryError as error:
            return refusal(400, str(error))
        tokens = self._select_tokens(query, now)
        request = rows.RowRequest(
            provider=self._provider, now=now, query=query, tokens=tokens, v3=v3
        )
        skipped = (query.page - 1) * query.limit
        keys = islice(endpoint.keys(request), skipped, skipped + query.limit)
        shown = [endpoint.row(request, step, token) for step, token in keys]
        if not shown:
            return WireAnswer(404, _encode(dict(NOT_FOUND)))
        envelope = {
            "success": True,
            "message": "Data fetched successfully",
            "length": len(shown),
            "data": shown,
        }
        return WireAnswer(200, _encode(envelope))

    def _select_tokens(self, query: ParsedQuery, now: datetime) -> tuple[Token, ...]:
        """Select the tokens that pass every filter and, if any are given, match a selector."""
        selecting = (
            query.token_id | query.symbol | query.token_name | query.slug | query.blockchain_address
        )
        everything = self._provider.market.tokens.values()
        named = (token for token in everything if not selecting or _is_selected(token, query))
        return tuple(token for token in named if self._passing(token, query, now))

    def _passing(self, token: Token, query: ParsedQuery, now: datetime) -> bool:
        """Check whether a token passes the filters; sizes are those of the last published day."""
        if query.category and query.category.isdisjoint(token.categories):
            return False
        if query.exchange and query.exchange.isdisjoint(token.exchanges):
            return False
        least = max(query.market_cap_min, query.diluted_min)
        if not least and not query.volume_min:
            return True
        day, bars = self._provider.published_day(now), self._provider.market.daily(token.token_id)
        if day < self._provider.market.born_day(token.token_id):
            return False
        return bool(
            bars.close[day] * token.supply >= least and bars.volume[day] >= query.volume_min
        )


def _is_selected(token: Token, query: ParsedQuery) -> bool:
    """Check whether any selector names a token."""
    addresses = {f"{chain}:{address}" for chain, address in token.contracts}
    return (
        str(token.token_id) in query.token_id
        or token.symbol.lower() in query.symbol
        or token.name.lower() in query.token_name
        or token.slug in query.slug
        or not query.blockchain_address.isdisjoint(addresses)
    )


def _encode(body: object) -> bytes:
    """Encode a body as JSON."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
