"""The provider's feeds: when one is due and which queries to send. All functions are pure.

Every request costs a credit, so none is sent without need. A query asks for no more rows than a
page holds whenever their number is known beforehand: a cut answer looks like a whole one.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from bot.adapters.tokenmetrics.calls import PAGE_ROWS, PAGES_MAX, ApiQuery
from bot.domain.ids import TokenId
from bot.domain.instants import DAY, HOUR, HOURS_A_DAY
from bot.domain.tape import Hole

SIGNALS, HOURLY_SIGNALS, LEVELS = "trading-signals", "hourly-trading-signals", "resistance-support"
QUANTMETRICS, GRADES, TOKENS = "quantmetrics", "tm-grade", "tokens"
PRICE, HOURS, DAYS = "price", "hourly-ohlcv", "daily-ohlcv"
FEEDS = (SIGNALS, HOURLY_SIGNALS, LEVELS, QUANTMETRICS, GRADES, TOKENS, DAYS, HOURS, PRICE)
DATED = frozenset({SIGNALS, DAYS})
OF_DAYS = DATED | {LEVELS, QUANTMETRICS}
TIMED = frozenset({HOURLY_SIGNALS, HOURS})
EACH_SLOT = frozenset({PRICE, HOURLY_SIGNALS})

# The provider gives at most 29 days at once, both ends included.
WINDOW_DAYS = 29
# What each feed brings; a hole of another feed hides nothing that a decision looks back on.
BRINGS = {SIGNALS: "daily", HOURLY_SIGNALS: "hourly", DAYS: "1d", HOURS: "1h", PRICE: "quote"}
FIRST_DAYS = {SIGNALS: WINDOW_DAYS, DAYS: 2 * WINDOW_DAYS}
PRICE_TOKENS = 50
# The pages of a query whose rows fit one: a second one, in case a row comes twice.
PLAIN_PAGES = 2
FRESH = timedelta(minutes=1)


class Fetch(NamedTuple):
    """The instants at which the last fetch of a feed began and ended."""

    began_at: datetime
    ended_at: datetime


def hour_of(at: datetime) -> datetime:
    """Find the beginning of an instant's hour."""
    return at.replace(minute=0, second=0, microsecond=0)


def is_due(feed: str, slot: datetime, now: datetime, last: Fetch | None, *, whole: bool) -> bool:
    """Check whether to fetch a feed at a slot.

    whole: whether yesterday's rows have come. The runs of one slot are executed one after another
    and share a fetch, even when it took long.
    """
    if last is None:
        return True
    if feed in EACH_SLOT:
        return last.began_at < slot or now - last.ended_at >= FRESH
    later = hour_of(now) > hour_of(last.began_at)
    if feed == HOURS:
        return later
    return now.date() != last.began_at.date() or (feed in OF_DAYS and not whole and later)


def batches(tokens: Iterable[TokenId], size: int) -> Iterator[tuple[TokenId, ...]]:
    """Split tokens into batches of at most `size`, in the order of their ids."""
    ordered = sorted(tokens)
    for at in range(0, len(ordered), size):
        yield tuple(ordered[at : at + size])


def plain_queries(feed: str, tokens: Iterable[TokenId]) -> list[ApiQuery]:
    """Build the queries for the newest rows of tokens.

    The price endpoint accepts only tokens, without a limit or a page: it is asked for fifty at a
    time.
    """
    # One row less than a page: a full page would cost another request for what may follow.
    size, page = (PRICE_TOKENS, 0) if feed == PRICE else (PAGE_ROWS - 1, 1)
    # A row for each token, and one page more for rows that the token list repeats.
    return [
        ApiQuery(
            endpoint=feed,
            params=_tokens(batch),
            tokens=frozenset(batch),
            page=page,
            page_max=PLAIN_PAGES,
        )
        for batch in batches(tokens, size)
    ]


def dated_queries(feed: str, tokens: Sequence[TokenId], start: date, end: date) -> list[ApiQuery]:
    """Build the queries for rows dated start to end, both included, in windows that fit a page."""
    found = []
    for batch in batches(tokens, PAGE_ROWS - 1):
        span = timedelta(days=min(WINDOW_DAYS, (PAGE_ROWS - 1) // len(batch)))
        begin = start
        while begin <= end:
            last = min(begin + span - DAY, end)
            query = ApiQuery(
                endpoint=feed,
                params=(*_tokens(batch), *_range(begin, last)),
                tokens=frozenset(batch),
                page_max=PLAIN_PAGES,
                starts_at=_midnight(begin),
                ends_at=_midnight(last),
            )
            found.append(query)
            begin = last + DAY
    return found


def timed_queries(
    feed: str, tokens: Sequence[TokenId], reach: datetime, now: datetime
) -> list[ApiQuery]:
    """Build the queries for hourly rows back to an instant; hourly signals accept no dates."""
    span = _range(reach.date(), now.date()) if feed == HOURS else ()
    begins = _midnight(reach.date()) if feed == HOURS else reach
    hours = (now - begins) // HOUR + HOURS_A_DAY
    return [
        ApiQuery(
            endpoint=feed,
            params=(*_tokens(batch), *span),
            tokens=frozenset(batch),
            reach=reach,
            page_max=min(PAGES_MAX, hours * len(batch) // PAGE_ROWS + PLAIN_PAGES),
            starts_at=reach,
            ends_at=now,
        )
        for batch in batches(tokens, PAGE_ROWS - 1)
    ]


def again(hole: Hole) -> list[ApiQuery]:
    """Build the queries that ask for a hole again."""
    feed, tokens = hole.feed, hole.tokens
    if feed in DATED:
        return dated_queries(feed, tokens, hole.starts_at.date(), hole.ends_at.date())
    if feed in TIMED:
        return timed_queries(feed, tokens, hole.starts_at, hole.ends_at)
    return plain_queries(feed, tokens)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _tokens(tokens: Iterable[TokenId]) -> tuple[tuple[str, str]]:
    return (("token_id", ",".join(map(str, tokens))),)


def _range(start: date, end: date) -> tuple[tuple[str, str], ...]:
    return (("startDate", start.isoformat()), ("endDate", end.isoformat()))
