"""Parse the provider's rows into values, endpoint by endpoint; pure, in any order of the rows.

Only rows of the tokens asked for are read. A row dated by day is published at the end of that day.
When two rows of an answer contradict each other, both are refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeVar

from bot.adapters.tokenmetrics.fields import (
    Fields,
    Refusal,
    RefusalReason,
    RefusedError,
    exact_number,
    positive_price,
)
from bot.domain.ids import TokenId
from bot.domain.instants import DAY, HOUR
from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize, QuantMetrics, one_price
from bot.domain.numbers import ONE, ZERO
from bot.domain.signals import Signal, Stance
from bot.domain.tape import QUOTE, Datum, TokenPrint

PROVIDER = "tokenmetrics"
DAILY, HOURLY = "daily", "hourly"
HUNDRED = Decimal(100)
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

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked: the tokens, when the request started and when its answer was known."""

    tokens: AbstractSet[TokenId]
    started_at: datetime
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of an answer in a fixed order, and the refusals."""

    data: tuple[Datum, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def strangers(self) -> int:
        """The number of rows of tokens that were not asked for."""
        return sum(refusal.reason is RefusalReason.UNKNOWN_TOKEN for refusal in self.refusals)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedToken:
    """A row of the provider's list of tokens.

    market_cap and volume_24h are in quote currency, and None when they are not given.
    """

    token_id: TokenId
    symbol: str
    name: str
    category: str | None
    market_cap: Decimal | None
    volume_24h: Decimal | None


class Refusals(list[Refusal]):
    """The refusals of one answer, collected while it is read."""

    def note(self, feed: str, token: object, refused: RefusedError) -> None:
        """Append what was refused."""
        self.append(Refusal(refused.reason, f"{feed}: token {token}, {refused.field}"))


Reader = Callable[[Fields, Question, Refusals], Iterable[Datum]]


def parse(feed: str, rows: Sequence[object], asked: Question) -> Parsed:
    """Parse all rows of an answer; refuse both of two rows that contradict each other."""
    found: dict[tuple[str, TokenId, datetime], Datum] = {}
    torn, refusals = set(), Refusals()
    for raw in rows:
        for datum in _read(feed, raw, asked, refusals):
            name = _name(datum)
            # The first datum of a name stays; a later one that differs contradicts it.
            if found.setdefault(name, datum) != datum:
                torn.add(name)
    for name in sorted(torn):
        refusals.note(feed, name[1], RefusedError(RefusalReason.CONTRADICTION, name[2].isoformat()))
        del found[name]
    return Parsed(tuple(found[name] for name in sorted(found)), tuple(sorted(refusals)))


def _read(feed: str, raw: object, asked: Question, refusals: Refusals) -> list[Datum]:
    """Read a row; a refused one gives no data."""
    named: object = "without id"
    try:
        fields = Fields(raw)
        named = fields.token()
        if named in asked.tokens:
            return list(READERS[feed](fields, asked, refusals))
        refusals.note(feed, named, RefusedError(RefusalReason.UNKNOWN_TOKEN, "token_id"))
    except RefusedError as refused:
        refusals.note(feed, named, refused)
    return []


def _name(datum: Datum) -> tuple[str, TokenId, datetime]:
    if isinstance(datum, TokenPrint):
        at = datum.bar.opened_at
    else:
        at = datum.known_at if isinstance(datum, MarketSize) else datum.published_at
    return (type(datum).__name__, datum.token_id, at)


def read_daily_signal(row: Fields, asked: Question, _refusals: Refusals) -> Iterable[Datum]:
    """Read a row of trading-signals: a signal, and the grades when there are any.

    The stance is that of the event (trading_signal) or, without an event, that of the trend.
    """
    published_at = row.day("date", asked.known_at) + DAY
    if "trading_signal" not in row and "token_trend" not in row:
        raise RefusedError(RefusalReason.MISSING_FIELD, "trading_signal")
    stance = STANCES[_sign(row, "trading_signal") or _sign(row, "token_trend")]
    grades = _grades(row, asked, published_at)
    yield Signal(
        provider=PROVIDER,
        feed=DAILY,
        token_id=row.token(),
        stance=stance,
        published_at=published_at,
        known_at=asked.known_at,
        grade=grades[0].trader_grade if grades else None,
    )
    yield from grades


def _sign(row: Fields, key: str) -> Decimal:
    value = row.number(key) or ZERO
    if value not in STANCES:
        raise RefusedError(RefusalReason.OUT_OF_RANGE, key)
    return value


def _grades(row: Fields, asked: Question, published_at: datetime) -> list[Grades]:
    """Read the grades under their v2 or v3 names; an empty list when none is given."""
    trader = row.number_between(ZERO, HUNDRED, "tm_trader_grade", "tm_grade")
    investor = row.number_between(ZERO, HUNDRED, "tm_investor_grade", "fundamental_grade")
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


def read_hourly_signal(row: Fields, asked: Question, _refusals: Refusals) -> Iterable[Datum]:
    """Read a row of hourly-trading-signals: a signal, which is published at the end of its hour.

    The stance is that of the event or, without an event, that of the position (1 long, 0 out).
    """
    published_at = row.end_of_span("timestamp", asked.known_at, HOUR)
    stance = _read_stance(row, "signal", Stance.NEUTRAL)
    if stance in {None, Stance.NEUTRAL}:
        stance = _read_stance(row, "position", Stance.BEARISH)
    if stance is None:
        raise RefusedError(RefusalReason.MISSING_FIELD, "position")
    yield Signal(
        provider=PROVIDER,
        feed=HOURLY,
        token_id=row.token(),
        stance=stance,
        published_at=published_at,
        known_at=asked.known_at,
    )


def _read_stance(row: Fields, key: str, zero: Stance) -> Stance | None:
    """Read a stance written as a word or as 1, 0 or -1; None when it is not given.

    zero: the stance that 0 means.
    """
    value = row.get(key)
    if isinstance(value, str) and (word := value.strip().lower()) in WORDS:
        return WORDS[word]
    if row.number(key) is None:
        return None
    return STANCES[_sign(row, key)] if _sign(row, key) else zero


def read_levels(row: Fields, asked: Question, refusals: Refusals) -> Iterable[Datum]:
    """Read a row of resistance-support; a level that is not a price is refused alone."""
    listed = row.get("historical_resistance_support_levels")
    if listed is None:
        if not any(key in row for key in NEAREST):
            raise RefusedError(RefusalReason.MISSING_FIELD, "historical_resistance_support_levels")
        listed = [{"level": row.get(key)} for key in NEAREST if row.get(key) is not None]
    if not isinstance(listed, list):
        raise RefusedError(RefusalReason.WRONG_TYPE, "historical_resistance_support_levels")
    prices = set()
    for entry in listed:
        try:
            prices.add(positive_price(exact_number(Fields(entry).get("level"), "level"), "level"))
        except RefusedError as refused:
            refusals.note("resistance-support", row.token(), refused)
    yield LevelSet(
        token_id=row.token(),
        published_at=row.day("date", asked.known_at) + DAY,
        known_at=asked.known_at,
        levels=tuple(Level(price) for price in sorted(prices)),
    )


def read_quantmetrics(row: Fields, asked: Question, _refusals: Refusals) -> Iterable[Datum]:
    """Read a row of quantmetrics, all fractions; a drawdown above 1 refuses the row."""
    drawdown = row.number_between(-ONE, ONE, "max_drawdown")
    volatility = row.number("volatility")
    if volatility is not None and volatility <= ZERO:
        raise RefusedError(RefusalReason.NOT_POSITIVE, "volatility")
    yield QuantMetrics(
        token_id=row.token(),
        published_at=_published_at(row, asked),
        known_at=asked.known_at,
        volatility=volatility,
        sharpe=row.number("sharpe"),
        sortino=row.number("sortino"),
        # The provider's drawdown may have either sign; ours is negative.
        max_drawdown=None if drawdown is None else -abs(drawdown),
        cagr=row.number("cagr"),
    )


def read_grades(row: Fields, asked: Question, _refusals: Refusals) -> Iterable[Datum]:
    """Read a row of tm-grade."""
    return _grades(row, asked, _published_at(row, asked))


def _published_at(row: Fields, asked: Question) -> datetime:
    """Find when a row was published: at the end of its day, or at the beginning of this hour.

    A row without a date is from a table that the provider rebuilds at the beginning of every hour.
    """
    if row.get("date") is not None:
        return row.day("date", asked.known_at) + DAY
    return asked.known_at.replace(minute=0, second=0, microsecond=0)


def read_price(row: Fields, asked: Question, _refusals: Refusals) -> Iterable[Datum]:
    """Read a row of price as a quote."""
    bar = one_price(asked.known_at, row.price("current_price"))
    yield TokenPrint(token_id=row.token(), timeframe=QUOTE, known_at=asked.known_at, bar=bar)


def read_day(row: Fields, asked: Question, refusals: Refusals) -> Iterable[Datum]:
    """Read a row of daily-ohlcv as a bar of a UTC day."""
    opened_at = row.day("date" if "date" in row else "timestamp", asked.known_at)
    return _bar(row, asked, refusals, "1d", opened_at, opened_at + DAY)


def read_hour(row: Fields, asked: Question, refusals: Refusals) -> Iterable[Datum]:
    """Read a row of hourly-ohlcv as a bar; refuse one that does not begin at a full hour."""
    key = "timestamp" if "timestamp" in row else "date"
    opened_at = row.instant(key, asked.known_at)
    # A date without a time spans a whole day: its hour is not known.
    is_dated = row.end_of_span(key, asked.known_at, HOUR) != opened_at + HOUR
    if is_dated or opened_at != opened_at.replace(minute=0, second=0, microsecond=0):
        raise RefusedError(RefusalReason.BAD_DATE, key)
    return _bar(row, asked, refusals, "1h", opened_at, opened_at + HOUR)


def _bar(
    row: Fields, asked: Question, refusals: Refusals, timeframe: str, opened_at: datetime, closed_at: datetime
) -> list[Datum]:
    """Read a bar; leave out one that was still open when it was asked for.

    A volume that cannot be read is refused alone: the bar has no volume then.
    """
    if closed_at > asked.started_at:
        return []
    prices = [row.price(key) for key in ("open", "high", "low", "close")]
    opening, high, low, close = prices
    if high != max(prices) or low != min(prices):
        raise RefusedError(RefusalReason.INCONSISTENT_BAR, opened_at.isoformat())
    try:
        volume = _size(row, "volume")
    except RefusedError as refused:
        refusals.note(f"ohlcv {timeframe}", row.token(), refused)
        volume = None
    bar = Bar(opened_at, closed_at, opening, high, low, close, volume)
    return [TokenPrint(token_id=row.token(), timeframe=timeframe, known_at=asked.known_at, bar=bar)]


def read_market(row: Fields, asked: Question, _refusals: Refusals) -> Iterable[Datum]:
    """Read the market size in a row of tokens, when it is given."""
    listed = read_listed(row)
    if listed.market_cap is not None or listed.volume_24h is not None:
        yield MarketSize(
            token_id=listed.token_id,
            known_at=asked.known_at,
            market_cap=listed.market_cap,
            volume_24h=listed.volume_24h,
        )


def read_listed(row: Fields) -> ListedToken:
    """Read a row of tokens."""
    categories = row.get("category_list")
    first = categories[0] if isinstance(categories, list) and categories else None
    slug = Fields(first).get("category_slug") if first is not None else None
    return ListedToken(
        token_id=row.token(),
        symbol=row.text("token_symbol"),
        name=row.text("token_name"),
        category=slug if isinstance(slug, str) else None,
        market_cap=_size(row, "market_cap"),
        volume_24h=_size(row, "total_volume", "volume_24h"),
    )


def _size(row: Fields, *keys: str) -> Decimal | None:
    value = row.number(*keys)
    if value is not None and value < ZERO:
        raise RefusedError(RefusalReason.NOT_POSITIVE, keys[0])
    return value


def parse_listed(rows: Sequence[object]) -> tuple[ListedToken, ...]:
    """Parse the rows of tokens that can be read, each token once, in the order of their ids."""
    found = {}
    for raw in rows:
        try:
            listed = read_listed(Fields(raw))
        except RefusedError:
            continue
        found[listed.token_id] = listed
    return tuple(found[token_id] for token_id in sorted(found))


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
