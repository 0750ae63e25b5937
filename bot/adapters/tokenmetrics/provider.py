"""Token Metrics as one value: its feeds, their cost, and how to connect to it."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from types import MappingProxyType

from bot.adapters.http.client import HttpClient, Limits
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.tokenmetrics.calls import PAGE_ROWS
from bot.adapters.tokenmetrics.feeds import (
    DAYS,
    EACH_SLOT,
    FEEDS,
    GRADES,
    HOURLY_SIGNALS,
    HOURS,
    LEVELS,
    PRICE,
    PRICE_TOKENS,
    QUANTMETRICS,
    SIGNALS,
    TOKENS,
)
from bot.adapters.tokenmetrics.reread import read_again
from bot.adapters.tokenmetrics.source import TokenMetricsSource
from bot.domain.instants import HOURS_A_DAY
from bot.ports import Connection, Provider

OF_EITHER: Mapping[str, str] = MappingProxyType(
    {"levels": LEVELS, "quantmetrics": QUANTMETRICS, "market": TOKENS, "days": DAYS}
)


@contextmanager
def connect(given: Connection) -> Iterator[TokenMetricsSource]:
    """Open the one HTTP client, within the plan's limits, and a source with an empty archive."""
    limits = Limits(requests_per_minute=given.requests_per_minute)
    if given.side_by_side is not None:
        limits = replace(limits, side_by_side=given.side_by_side, requests_per_minute=None)
    headers = {"x-api-key": given.key}
    with closing(HttpClient(given.base_url, headers, clock=given.clock, limits=limits)) as http:
        yield TokenMetricsSource(
            http, archive=MemoryArchive({}), tape=given.tape, clock=given.clock, needs=given.needs
        )


def credits_of(feed: str, tokens: int, slots: int) -> int:
    """Estimate the API credits that a feed costs a day, one for each request.

    Prices and hourly signals are requested at each slot, hourly bars at most once an hour, all else
    once.
    """
    # -(-a // b) is a / b rounded up.
    pages = -(-tokens // (PRICE_TOKENS if feed == PRICE else PAGE_ROWS))
    if feed == HOURS:
        return min(slots, HOURS_A_DAY) * -(-2 * tokens // PAGE_ROWS)
    return slots * pages if feed in EACH_SLOT else pages


TOKEN_METRICS = Provider(
    name="tokenmetrics",
    feeds=frozenset(FEEDS),
    prices=PRICE,
    always=frozenset({PRICE, HOURS}),
    signals=MappingProxyType({"daily": SIGNALS, "hourly": HOURLY_SIGNALS}),
    # The daily signals bring the grades with them.
    inputs=MappingProxyType(
        {
            "daily": OF_EITHER,
            "hourly": MappingProxyType({**OF_EITHER, "grades": GRADES, "trader_grades": GRADES}),
        }
    ),
    credits=credits_of,
    read_again=read_again,
    connect=connect,
)
