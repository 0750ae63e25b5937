"""Parse the provider's rows into values, endpoint by endpoint; pure, in any order of the rows.

Only rows of the tokens asked for are read. A row dated by day is published at the end of that day.
Fields that are not essential are unknown when they cannot be read, or when rows contradict each
other in them; rows that contradict each other in an essential field are all refused.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from bot.adapters.tokenmetrics.fields import (
    ROW,
    Fields,
    RefusalReason,
    RefusedError,
    exact_number,
    positive_price,
)
from bot.adapters.tokenmetrics.listing import read_listed, read_size
from bot.domain.ids import TokenId
from bot.domain.instants import DAY, HOUR
from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize, QuantMetrics, one_price
from bot.domain.numbers import ONE, OUTSIDE_MAX, ZERO, Price
from bot.domain.signals import Signal, Stance
from bot.domain.tape import QUOTE, Datum, Refusal, TokenPrint

PROVIDER = "tokenmetrics"
DAILY, HOURLY = "daily", "hourly"
STANCES: Mapping[Decimal, Stance] = MappingProxyType(
    {ONE: Stance.BULLISH, ZERO: Stance.NEUTRAL, -ONE: Stance.BEARISH}
)
WORDS: Mapping[str, Stance] = MappingProxyType(
    {
        **dict.fromkeys(("long", "bullish", "buy", "up"), Stance.BULLISH),
        **dict.fromkeys(("out", "short", "bearish", "sell", "down"), Stance.BEARISH),
        **dict.fromkeys(("neutral", "flat", "hold", "sideways"), Stance.NEUTRAL),
    }
)
NEAREST = tuple(f"{side}_{number}" for side in ("resistance", "support") for number in (1, 2, 3))
HISTORICAL = "historical_resistance_support_levels"
GRADE_RANGE = (ZERO, Decimal(100))
# The units of the measures are fractions; percent would be beyond these, which no market reaches.
MEASURES: Mapping[str, tuple[Decimal, Decimal]] = MappingProxyType(
    {
        "volatility": (ZERO, Decimal(20)),
        "sharpe": (-Decimal(100), Decimal(100)),
        "sortino": (-Decimal(1000), Decimal(1000)),
        "max_drawdown": (-ONE, ONE),
        "cagr": (-ONE, OUTSIDE_MAX),
    }
)
# Without these a value says nothing.
ESSENTIAL = frozenset({"stance", "levels", "unread", "bar"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked: the tokens, when the request started and when its answer was known."""

    tokens: AbstractSet[TokenId]
    started_at: datetime
    known_at: datetime

    def check(self, token_id: TokenId) -> None:
        """Refuse a token that was not asked for."""
        if token_id not in self.tokens:
            raise RefusedError(RefusalReason.UNKNOWN_TOKEN, "token_id", token_id)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of an answer in a fixed order, and the refusals."""

    data: tuple[Datum, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def strangers(self) -> int:
        """The number of rows of tokens that were not asked for."""
        return sum(refusal.reason == RefusalReason.UNKNOWN_TOKEN for refusal in self.refusals)


Reader = Callable[[Fields, Question], Iterable[Datum]]


def parse(feed: str, rows: Sequence[object], asked: Question) -> Parsed:
    """Parse all rows of an answer, and note what was refused."""
    found: dict[tuple[str, TokenId, datetime], list[Datum]] = defaultdict(list)
    refusals: list[Refusal] = []
    for raw in rows:
        for datum in _read(feed, raw, asked, refusals):
            found[_name(datum)].append(datum)
    agreed = (_agree(found[name], refusals) for name in sorted(found))
    data = tuple(datum for datum in agreed if datum is not None)
    return Parsed(data, tuple(sorted(refusals, key=_in_order)))


def _in_order(refusal: Refusal) -> tuple[object, ...]:
    return refusal.token_id or 0, *refusal[1:]


def _read(feed: str, raw: object, asked: Question, refusals: list[Refusal]) -> list[Datum]:
    """Read a row; what was read before a field that refuses the row is kept."""
    named: TokenId | None = None
    row: Fields | None = None
    data: list[Datum] = []
    try:
        row = Fields(raw)
        named = row.token()
        asked.check(named)
        data.extend(READERS[feed](row, asked))
    except RefusedError as refused:
        refusals.append(refused.at(named, whole=True))
    refusals += (one.at(named, whole=False) for one in (row.refusals if row else ()))
    return data


def _agree(rows: Sequence[Datum], refusals: list[Refusal]) -> Datum | None:
    """Make one value of rows about the same token and instant; None when they contradict each other.

    A field that is not essential is unknown where rows give it several values.
    """
    first = rows[0]
    if all(row == first for row in rows):
        return first
    agreed: dict[str, Any] = {}
    for field in fields(first):
        given = {value for row in rows if (value := getattr(row, field.name)) is not None}
        if len(given) > 1:
            whole = field.name in ESSENTIAL
            torn = RefusedError(RefusalReason.CONTRADICTION, field.name, sorted(map(str, given)))
            refusals.append(torn.at(first.token_id, whole=whole))
            if whole:
                return None
        agreed[field.name] = given.pop() if len(given) == 1 else None
    return replace(first, **agreed)


def _name(datum: Datum) -> tuple[str, TokenId, datetime]:
    if isinstance(datum, TokenPrint):
        at = datum.bar.opened_at
    else:
        at = datum.known_at if isinstance(datum, MarketSize) else datum.published_at
    return (type(datum).__name__, datum.token_id, at)


def read_daily_signal(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of trading-signals: a signal, and the grades when there are any.

    The stance is that of the event (trading_signal) or, without an event, that of the trend.
    """
    published_at = row.day("date", asked.known_at) + DAY
    grades = _grades(row, asked, published_at)
    yield from grades
    stance = _stance(row, "trading_signal", "token_trend", Stance.NEUTRAL)
    grade = grades[0].trader_grade if grades else None
    yield from _signals(row, asked, DAILY, stance, published_at, grade)


def _signals(
    row: Fields,
    asked: Question,
    feed: str,
    stance: Stance | None,
    published_at: datetime,
    grade: Decimal | None = None,
) -> Iterable[Datum]:
    """Make the signal of a row, if it tells a stance."""
    if stance is not None:
        yield Signal(
            provider=PROVIDER,
            feed=feed,
            token_id=row.token(),
            stance=stance,
            published_at=published_at,
            known_at=asked.known_at,
            grade=grade,
        )


def _stance(row: Fields, event: str, standing: str, zero: Stance) -> Stance | None:
    """Choose the stance of the event or, where it says nothing new, the one that stands.

    zero: the stance that a standing 0 means. None when there is no event and nothing is known to
    stand. Refuse a row that has neither field, or whose standing stance cannot be read.
    """
    new = row.optional(_read_stance, row, event, Stance.NEUTRAL)
    if new is not None and new is not Stance.NEUTRAL:
        return new
    unread = len(row.refusals)
    old = row.optional(_read_stance, row, standing, zero)
    if old is None and (new is None or len(row.refusals) > unread):
        raise RefusedError(RefusalReason.NO_VALUE, ROW)
    return old


def _read_stance(row: Fields, key: str, zero: Stance) -> Stance | None:
    """Read a stance written as a word or as 1, 0 or -1; None when it is not given.

    zero: the stance that 0 means.
    """
    value = row.get(key)
    if isinstance(value, str) and (word := value.strip().lower()) in WORDS:
        return WORDS[word]
    number = row.number(key)
    if number is not None and number not in STANCES:
        raise RefusedError(RefusalReason.OUT_OF_RANGE, key, value)
    return None if number is None else STANCES[number] if number else zero


def _grades(row: Fields, asked: Question, published_at: datetime) -> list[Grades]:
    """Read the grades under their v2 or v3 names; an empty list when none is given."""
    between = row.number_between
    trader = row.optional(between, *GRADE_RANGE, "tm_trader_grade", "tm_grade")
    investor = row.optional(between, *GRADE_RANGE, "tm_investor_grade", "fundamental_grade")
    if trader is None and investor is None:
        return []
    grades = Grades(
        token_id=row.token(),
        published_at=published_at,
        known_at=asked.known_at,
        trader_grade=trader,
        investor_grade=investor,
    )
    return [grades]


def read_hourly_signal(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of hourly-trading-signals: a signal, which is published at the end of its hour.

    The stance is that of the event or, without an event, that of the position (1 long, 0 out).
    """
    published_at = row.end_of_span("timestamp", asked.known_at, HOUR)
    stance = _stance(row, "signal", "position", Stance.BEARISH)
    return _signals(row, asked, HOURLY, stance, published_at)


def read_levels(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of resistance-support; an empty list is a set without levels.

    With a level that is no price, the set counts as unknown.
    """
    listed = row.get(HISTORICAL)
    if listed is None:
        if not any(key in row for key in NEAREST):
            raise RefusedError(RefusalReason.MISSING_FIELD, HISTORICAL)
        listed = [{"level": row.get(key)} for key in NEAREST if row.get(key) is not None]
    if not isinstance(listed, list):
        raise RefusedError(RefusalReason.WRONG_TYPE, HISTORICAL, listed)
    published_at = row.day("date", asked.known_at) + DAY
    read = [row.optional(_read_level, entry) for entry in listed]
    prices = {price for price in read if price is not None}
    yield LevelSet(
        token_id=row.token(),
        published_at=published_at,
        known_at=asked.known_at,
        levels=tuple(Level(price) for price in sorted(prices)),
        unread=read.count(None) or None,
    )


def _read_level(entry: object) -> Price:
    return positive_price(exact_number(Fields(entry).get("level"), "level"), "level")


def read_quantmetrics(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of quantmetrics, all fractions; refuse one without any measure."""
    published_at = _published_at(row, asked)
    values = {
        name: row.optional(row.number_between, *ends, name) for name, ends in MEASURES.items()
    }
    if values["volatility"] is not None and not values["volatility"]:
        row.refusals.append(RefusedError(RefusalReason.NOT_POSITIVE, "volatility", ZERO))
        values["volatility"] = None
    if all(value is None for value in values.values()):
        raise RefusedError(RefusalReason.NO_VALUE, ROW)
    if (drawdown := values["max_drawdown"]) is not None:
        # The provider's drawdown may have either sign; ours is negative.
        values["max_drawdown"] = -abs(drawdown)
    yield QuantMetrics(
        token_id=row.token(), published_at=published_at, known_at=asked.known_at, **values
    )


def read_grades(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of tm-grade; refuse one without a grade."""
    grades = _grades(row, asked, _published_at(row, asked))
    if not grades:
        raise RefusedError(RefusalReason.NO_VALUE, ROW)
    return grades


def _published_at(row: Fields, asked: Question) -> datetime:
    """Find when a row was published: at the end of its day, or at the beginning of this hour.

    A row without a date is from a table that the provider rebuilds at the beginning of every hour.
    """
    if row.get("date") is not None:
        return row.day("date", asked.known_at) + DAY
    return asked.known_at.replace(minute=0, second=0, microsecond=0)


def read_price(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of price as a quote."""
    bar = one_price(asked.known_at, row.price("current_price"))
    yield TokenPrint(token_id=row.token(), timeframe=QUOTE, known_at=asked.known_at, bar=bar)


def read_day(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of daily-ohlcv as a bar of a UTC day."""
    opened_at = row.day("date" if "date" in row else "timestamp", asked.known_at)
    return _bar(row, asked, "1d", opened_at, opened_at + DAY)


def read_hour(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read a row of hourly-ohlcv as a bar; refuse one that does not begin at a full hour."""
    key = "timestamp" if "timestamp" in row else "date"
    opened_at = row.instant(key, asked.known_at)
    # A date without a time spans a whole day: its hour is not known.
    is_dated = row.end_of_span(key, asked.known_at, HOUR) != opened_at + HOUR
    if is_dated or opened_at != opened_at.replace(minute=0, second=0, microsecond=0):
        raise RefusedError(RefusalReason.BAD_DATE, key, row.get(key))
    return _bar(row, asked, "1h", opened_at, opened_at + HOUR)


def _bar(
    row: Fields, asked: Question, timeframe: str, opened_at: datetime, closed_at: datetime
) -> list[Datum]:
    """Read a bar; leave out one that was still open when it was asked for."""
    if closed_at > asked.started_at:
        return []
    prices = [row.price(key) for key in ("open", "high", "low", "close")]
    opening, high, low, close = prices
    if high != max(prices) or low != min(prices):
        raise RefusedError(RefusalReason.INCONSISTENT_BAR, ROW, [opened_at, *prices])
    volume = row.optional(read_size, row, "volume")
    bar = Bar(opened_at, closed_at, opening, high, low, close, volume)
    known_at = asked.known_at
    return [TokenPrint(token_id=row.token(), timeframe=timeframe, known_at=known_at, bar=bar)]


def read_market(row: Fields, asked: Question) -> Iterable[Datum]:
    """Read the market size in a row of tokens, when it is given."""
    listed = read_listed(row)
    if listed.market_cap is not None or listed.volume_24h is not None:
        yield MarketSize(
            token_id=listed.token_id,
            known_at=asked.known_at,
            market_cap=listed.market_cap,
            volume_24h=listed.volume_24h,
        )


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "trading-signals": read_daily_signal,
        "hourly-trading-signals": read_hourly_signal,
        "resistance-support": read_levels,
        "quantmetrics": read_quantmetrics,
        "tm-grade": read_grades,
        "price": read_price,
        "daily-ohlcv": read_day,
        "hourly-ohlcv": read_hour,
        "tokens": read_market,
    }
)
