"""Token Metrics as one value: its feeds, their cost, and how to connect to it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urlsplit

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
from bot.adapters.tokenmetrics.fields import read_answer
from bot.adapters.tokenmetrics.reread import read_again
from bot.adapters.tokenmetrics.source import TokenMetricsSource
from bot.domain.ids import hash_text
from bot.domain.instants import HOURS_A_DAY
from bot.ports import Connection, Keys, Provider

KEY_HEADER = "x-api-key"
# Enough of a key's digest to tell keys apart, and too little to look for the key.
DIGEST_LENGTH = 16

OF_EITHER: Mapping[str, str] = MappingProxyType(
    {"levels": LEVELS, "quantmetrics": QUANTMETRICS, "market": TOKENS, "days": DAYS}
)


class KeyHeader:
    """The header that carries the key which is used now."""

    def __init__(self, keys: Keys) -> None:
        """Take the keys."""
        self._keys = keys

    def headers(self) -> Mapping[str, str]:
        """Build the header."""
        return {KEY_HEADER: self._keys.current}

    def refuse(self, headers: Mapping[str, str]) -> bool:
        """Turn to the next key after one was refused."""
        return self._keys.refuse(headers[KEY_HEADER])

    def secrets(self) -> Sequence[str]:
        """List every key."""
        return self._keys.all


@contextmanager
def connect(given: Connection) -> Iterator[TokenMetricsSource]:
    """Open the one HTTP client, within the plan's limits, and a source with an empty archive."""
    limits = Limits(requests_per_minute=given.requests_per_minute, sent=given.sent)
    if given.side_by_side is not None:
        limits = replace(limits, side_by_side=given.side_by_side, requests_per_minute=None)
    caller = urlsplit(given.base_url).netloc, hash_text(given.keys.current)[:DIGEST_LENGTH]
    asked = [one.until for one in given.pauses if (one.host, one.key_digest) == caller]
    limits = replace(limits, paused_until=max(asked, default=None), proxy=given.proxy)
    header = KeyHeader(given.keys)
    with closing(
        HttpClient(given.base_url, header, clock=given.clock, limits=limits, read=read_answer)
    ) as http:
        yield TokenMetricsSource(
            http,
            archive=MemoryArchive({}),
            tape=given.tape,
            clock=given.clock,
            needs=given.needs,
            interval=given.interval,
            caller=caller,
            progress=given.progress,
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
