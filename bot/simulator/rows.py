"""The rows of each endpoint, with the recorded keys in v2 and their lower-case form in v3.

A row shows only what is published at the request's instant.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import isnan
from typing import Any

from bot.simulator.listing import CATEGORIES, EXCHANGES, Token
from bot.simulator.market import DAY_HOURS, Candle, Market
from bot.simulator.provider import Provider
from bot.simulator.query import ParsedQuery, window

LINK = "https://app.tokenmetrics.com/undefined"
HOURLY_CALLS_HOURS = 168
NEAREST = 3
RENAMED = {
    "tm_link": "slug",
    "TM_LINK": "app_link",
    "TM_TRADER_GRADE": "tm_grade",
    "TM_INVESTOR_GRADE": "fundamental_grade",
}
SIGNAL_WORDS = {1: "bullish", 0: "neutral", -1: "bearish"}
TREND_WORDS = {1: "up", 0: "sideways", -1: "down"}
GRADE_WORDS = ("Strong Sell", "Sell", "Neutral", "Buy", "Strong Buy")
MOMENTUM_WORDS = (
    (20.0, "Momentum Surging"),
    (5.0, "Gaining Momentum"),
    (-5.0, "Holding Steady"),
    (-20.0, "Losing Momentum"),
)

Row = dict[str, Any]
Key = tuple[int, Token]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRequest:
    """One request: the query, its tokens and its instant, and the provider that answers it."""

    provider: Provider
    now: datetime
    query: ParsedQuery
    tokens: tuple[Token, ...]
    v3: bool

    @property
    def market(self) -> Market:
        """The market that the rows are about."""
        return self.provider.market

    @property
    def today(self) -> int:
        """The number of the current day, or of the last day when the market is over."""
        return min(self.market.day_of(self.now), self.market.days - 1)

    def day_range(self) -> range:
        """List the numbers of the days asked for that have begun, newest first."""
        begin = self.market.begin.date()
        first, last = window(self.query, self.now.date())
        return range(min((last - begin).days, self.today), max((first - begin).days, 0) - 1, -1)

    def date_of(self, day: int) -> date:
        """Compute the date of a day."""
        return self.market.begin.date() + timedelta(days=day)

    def day_text(self, day: int) -> str:
        """Write a day in the format of the API."""
        return f"{self.date_of(day)}T00:00:00.000Z"

    def hour_text(self, hour: int) -> str:
        """Write the opening of an hour in the format of the API."""
        return f"{self.market.hour_opening(hour):%Y-%m-%dT%H}:00:00.000Z"


def number(value: float) -> float | int | None:
    """Convert a number to what the provider prints: an int when whole, None when NaN."""
    if isnan(value):
        return None
    return int(value) if value.is_integer() else value


def rename_keys(row: Mapping[str, Any]) -> Row:
    """Convert the keys of a row to those of v3."""
    return {
        RENAMED.get(key) or key.lower().replace("24h", "24_h"): value for key, value in row.items()
    }


def labels(token: Token) -> Row:
    """Build the three keys that label the token of a row."""
    return {"TOKEN_ID": token.token_id, "TOKEN_NAME": token.name, "TOKEN_SYMBOL": token.symbol}


def call_keys(request: RowRequest) -> Iterator[Key]:
    """Yield day and token of the daily calls asked for, newest first.

    These are the calls of the dates asked for, or without dates the newest call of each token.
    """
    provider, last = request.provider, request.provider.published_day(request.now)
    wanted = request.query.signal
    dated = request.query.first is not None or request.query.last is not None
    awaited = list(request.tokens)
    for day in request.day_range() if dated else range(last, -1, -1):
        if day > last:
            continue
        for token in provider.shuffle(day, tuple(awaited)):
            calls = provider.calls(token.token_id)
            if not calls.made[day]:
                continue
            # The newest call counts, even when its signal is not the one asked for.
            if not dated:
                awaited.remove(token)
            if wanted is None or calls.signal[day] == wanted:
                yield day, token
        if not awaited:
            return


def call_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /trading-signals."""
    key, provider = token.token_id, request.provider
    calls, grades, returns = provider.calls(key), provider.grades(key), provider.returns(key)
    signal, trend = int(calls.signal[day]), int(calls.trend[day])
    row = {
        **labels(token),
        "DATE": request.day_text(day),
        "TRADING_SIGNAL": signal,
        "TOKEN_TREND": trend,
        "TRADING_SIGNALS_RETURNS": number(round(float(returns.following[day]), 4)),
        "HOLDING_RETURNS": number(round(float(returns.holding[day]), 4)),
        "tm_link": token.slug,
        "TM_TRADER_GRADE": number(float(grades.trader[day])),
        "TM_INVESTOR_GRADE": number(float(grades.investor[day])),
        "TM_LINK": LINK,
    }
    if not request.v3:
        return row
    return rename_keys(row) | {
        "token_signal_str": SIGNAL_WORDS[signal],
        "token_trend_str": TREND_WORDS[trend],
    }


def hourly_call_keys(request: RowRequest) -> Iterator[Key]:
    """Yield hour and token of the hourly calls of the last days, newest first."""
    provider, last = request.provider, request.provider.published_hour(request.now)
    for hour in range(last, max(last - HOURLY_CALLS_HOURS, -1), -1):
        for token in provider.shuffle(hour, request.tokens):
            if provider.hourly_calls(token.token_id).made[hour]:
                yield hour, token


def hourly_call_row(request: RowRequest, hour: int, token: Token) -> Row:
    """Build a row of /hourly-trading-signals; its time is the opening of the hour of its close."""
    calls = request.provider.hourly_calls(token.token_id)
    row = {
        "TIMESTAMP": request.hour_text(hour),
        **labels(token),
        "CLOSE": number(float(request.market.hourly(token.token_id).close[hour])),
        "SIGNAL": str(int(calls.signal[hour])),
        "POSITION": "1" if calls.trend[hour] == 1 else "0",
    }
    return rename_keys(row) if request.v3 else row


def published_keys(request: RowRequest) -> Iterator[Key]:
    """Yield the last published day with each token that traded on it."""
    day = request.provider.published_day(request.now)
    for token in request.provider.shuffle(day, request.tokens):
        if day >= request.market.born_day(token.token_id):
            yield day, token


def level_keys(request: RowRequest) -> Iterator[Key]:
    """Yield the last published day with each token that has a level."""
    return (
        key for key in published_keys(request) if request.provider.levels(key[1].token_id, key[0])
    )


def level_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /resistance-support; its levels are in no particular order."""
    levels = request.provider.levels(token.token_id, day)
    mixed = sorted(levels, key=lambda level: (level.day * 7919 + day) % 1009)
    row = {
        **labels(token),
        "DATE": request.day_text(day),
        "HISTORICAL_RESISTANCE_SUPPORT_LEVELS": [
            {"date": str(request.date_of(level.day)), "level": number(level.price)}
            for level in mixed
        ],
    }
    if not request.v3:
        return row
    price = float(request.market.daily(token.token_id).close[day])
    above = sorted(level.price for level in levels if level.price > price)
    below = sorted((level.price for level in levels if level.price < price), reverse=True)
    nearest = {
        f"{side}_{rank + 1}": number(prices[rank]) if rank < len(prices) else None
        for side, prices in (("resistance", above), ("support", below))
        for rank in range(NEAREST)
    }
    return {
        **rename_keys(row),
        **nearest,
        "price": number(price),
        "slug": token.slug,
        "app_link": LINK,
    }


def metric_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /quantmetrics."""
    figures = request.provider.quantmetrics(token.token_id, day)
    shown = {field: None if figure is None else number(figure) for field, figure in figures.items()}
    row = {**labels(token), "DATE": request.day_text(day), **shown}
    return rename_keys(row) | {"slug": token.slug} if request.v3 else row


def grade_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /tm-grade."""
    grades, born = request.provider.grades(token.token_id), request.market.born_day(token.token_id)
    trader, before = float(grades.trader[day]), float(grades.trader[day - 1]) if day > born else 0.0
    quant = float(grades.quant[day])
    grade = _overall_grade(trader, quant)
    earlier = _overall_grade(before, float(grades.quant[day - 1])) if day > born else 0.0
    change = _percent(trader, before)
    row = {
        **labels(token),
        "TM_GRADE": number(grade),
        "TM_GRADE_SIGNAL": None if number(grade) is None else GRADE_WORDS[min(int(grade // 20), 4)],
        "TM_GRADE_24h_PCT_CHANGE": _percent(grade, earlier),
        "TM_TRADER_GRADE_24H_CHANGE": change,
        "QUANT_GRADE": number(quant),
        "MOMENTUM": "No Momentum" if change is None else _momentum(change),
    }
    return rename_keys(row) | {"slug": token.slug} if request.v3 else row


def _overall_grade(trader: float, quant: float) -> float:
    """Compute the overall grade: the trader grade alone while the token has no quant grade."""
    return trader if number(quant) is None else round(0.6 * trader + 0.4 * quant, 2)


def _percent(value: float, before: float) -> float | int | None:
    """Compute a change in percent; None when a figure is absent or the earlier one is zero."""
    return number(round((value / before - 1) * 100, 2)) if before else None


def _momentum(change: float) -> str:
    """Choose the word for a change of the trader grade in percent."""
    return next((word for least, word in MOMENTUM_WORDS if change >= least), "Momentum Crashing")


def trading_keys(request: RowRequest) -> Iterator[Key]:
    """Yield the current day with each token that trades now."""
    day = request.today
    for token in request.provider.shuffle(day, request.tokens):
        if day >= request.market.born_day(token.token_id):
            yield day, token


def price_row(request: RowRequest, _day: int, token: Token) -> Row:
    """Build a row of /price."""
    row = {
        **labels(token),
        "CURRENT_PRICE": number(request.market.price_at(token.token_id, request.now)),
    }
    return rename_keys(row) if request.v3 else row


def token_row(request: RowRequest, _day: int, token: Token) -> Row:
    """Build a row of /tokens; v3 leaves the lists out unless the query expands them."""
    figures = _figures(request, token)
    lists = {
        "EXCHANGE_LIST": [
            {"exchange_id": each, "exchange_name": EXCHANGES[each]} for each in token.exchanges
        ],
        "CATEGORY_LIST": [
            {
                "category_id": CATEGORIES[each][0],
                "category_name": CATEGORIES[each][1],
                "category_slug": each,
            }
            for each in token.categories
        ]
        or None,
    }
    if not request.v3:
        first = (
            "CURRENT_PRICE",
            "MARKET_CAP",
            "TOTAL_VOLUME",
            "PRICE_CHANGE_PERCENTAGE_24H_IN_CURRENCY",
        )
        links = {"tm_link": token.slug, "contract_address": dict(token.contracts), "TM_LINK": LINK}
        return {**labels(token), **lists, **links, **{key: figures[key] for key in first}}
    expanded = {key: value for key, value in lists.items() if key.lower() in request.query.expand}
    return rename_keys(
        {**labels(token), "tm_link": token.slug, **figures, **expanded, "TM_LINK": LINK}
    )


def _figures(request: RowRequest, token: Token) -> Row:
    """Compute a token's price, its size and its figures of the last 24 hours."""
    market, key = request.market, token.token_id
    price = market.price_at(key, request.now)
    hour = min(market.hour_of(request.now), market.hours)
    first = max(hour - DAY_HOURS, market.born_day(key) * DAY_HOURS)
    bars, lately = market.hourly(key), slice(first, hour)
    whole = hour > first
    aged = hour - first == DAY_HOURS
    return {
        "CURRENT_PRICE": number(price),
        "MARKET_CAP": number(float(round(price * token.supply))),
        "TOTAL_VOLUME": number(float(bars.volume[lately].sum())),
        "CIRCULATING_SUPPLY": number(token.supply),
        "TOTAL_SUPPLY": number(token.supply),
        "MAX_SUPPLY": None,
        "FULLY_DILUTED_VALUATION": number(float(round(price * token.supply))),
        "PRICE_CHANGE_PERCENTAGE_24H_IN_CURRENCY": _percent(price, float(bars.open[first]))
        if aged
        else None,
        "HIGH_24H": number(float(bars.high[lately].max())) if whole else None,
        "LOW_24H": number(float(bars.low[lately].min())) if whole else None,
    }


def daily_bar_keys(request: RowRequest) -> Iterator[Key]:
    """Yield the days asked for that have begun, including the unfinished one, newest first."""
    for day in request.day_range():
        for token in request.provider.shuffle(day, request.tokens):
            if day >= request.market.born_day(token.token_id):
                yield day, token


def hourly_bar_keys(request: RowRequest) -> Iterator[Key]:
    """Yield the hours asked for that have begun, including the unfinished one, newest first."""
    days, market = request.day_range(), request.market
    if not days:
        return
    last = min(days[0] * DAY_HOURS + DAY_HOURS - 1, market.hour_of(request.now), market.hours - 1)
    for hour in range(last, days[-1] * DAY_HOURS - 1, -1):
        for token in request.provider.shuffle(hour, request.tokens):
            if hour >= market.born_day(token.token_id) * DAY_HOURS:
                yield hour, token


def daily_bar_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /daily-ohlcv."""
    market, key = request.market, token.token_id
    whole = day < market.day_of(request.now)
    bar = market.daily(key).bar(day) if whole else market.day_so_far(key, request.now)
    return _bar_row(request, token, {"DATE": request.day_text(day)}, bar)


def hourly_bar_row(request: RowRequest, hour: int, token: Token) -> Row:
    """Build a row of /hourly-ohlcv, dated by the bar's opening."""
    market, key = request.market, token.token_id
    whole = hour < market.hour_of(request.now)
    bar = market.hourly(key).bar(hour) if whole else market.hour_so_far(key, request.now)
    return _bar_row(request, token, {"TIMESTAMP": request.hour_text(hour)}, bar)


def _bar_row(request: RowRequest, token: Token, time: Row, bar: Candle) -> Row:
    """Build the row of one bar."""
    columns = ("OPEN", "HIGH", "LOW", "CLOSE", "VOLUME")
    row = {
        **labels(token),
        **time,
        **{name: number(value) for name, value in zip(columns, bar, strict=True)},
    }
    return rename_keys(row) if request.v3 else row
