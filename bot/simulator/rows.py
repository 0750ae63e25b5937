"""The rows of each endpoint: which steps and tokens they are about, and how one is built.

A row shows only what is published at the request's instant. It has the recorded keys of v2, and in
lower case those that only v3 has; `spell` makes it a row of one version.
"""

from collections.abc import Sequence
from math import isnan, nan
from typing import Any

from bot.simulator.listing import CATEGORIES, EXCHANGES, Token
from bot.simulator.market import DAY_HOURS, HOUR, Candle, bar_at
from bot.simulator.metrics import quantmetrics
from bot.simulator.query import RowRequest

LINK = "https://app.tokenmetrics.com/undefined"
HOURLY_CALLS_HOURS = 168
NEAREST = 3
LOWER_IN_V2 = frozenset({"tm_link", "contract_address"})
ONLY_IN_V2 = frozenset({"EXCHANGE_LIST", "CATEGORY_LIST", "contract_address", "TM_LINK"})
RENAMED = {"tm_link": "slug", "TM_TRADER_GRADE": "tm_grade", "TM_INVESTOR_GRADE": "fundamental_grade"}
SIGNAL_WORDS = {1: "bullish", 0: "neutral", -1: "bearish"}
TREND_WORDS = {1: "up", 0: "sideways", -1: "down"}
GRADE_WORDS = ("Strong Sell", "Sell", "Neutral", "Buy", "Strong Buy")
MOMENTUM_WORDS = (
    (20.0, "Momentum Surging"),
    (5.0, "Gaining Momentum"),
    (-5.0, "Holding Steady"),
    (-20.0, "Losing Momentum"),
    (-100.0, "Momentum Crashing"),
)

Row = dict[str, Any]


def spell(row: Row, *, v3: bool) -> Row:
    """Convert a row to one version of the API: its keys, and its numbers as they are written."""
    if v3:
        return {
            RENAMED.get(key) or key.lower().replace("24h", "24_h"): number(value)
            for key, value in row.items()
            if key not in ONLY_IN_V2
        }
    return {key: number(value) for key, value in row.items() if not key.islower() or key in LOWER_IN_V2}


def number(value: Any) -> Any:
    """Convert a float to what the provider writes: an int when whole, None when NaN."""
    if not isinstance(value, float):
        return value
    if isnan(value):
        return None
    return int(value) if value.is_integer() else value


def _labels(token: Token) -> Row:
    """Build the three keys that label the token of a row."""
    return {"TOKEN_ID": token.token_id, "TOKEN_NAME": token.name, "TOKEN_SYMBOL": token.symbol}


def _time(request: RowRequest, hour: int) -> str:
    """Write the opening of an hour in the format of the API."""
    return f"{request.market.begin + hour * HOUR:%Y-%m-%dT%H}:00:00.000Z"


def list_today(request: RowRequest) -> Sequence[int]:
    """List the current day."""
    return (request.today,)


def list_published_day(request: RowRequest) -> Sequence[int]:
    """List the last published day."""
    return (request.provider.published_day(request.now),)


def list_published_days(request: RowRequest) -> Sequence[int]:
    """List the published days asked for, newest first."""
    return request.list_days(request.provider.published_day(request.now))


def list_published_hours(request: RowRequest) -> Sequence[int]:
    """List the published hours of the last days, newest first."""
    last = request.provider.published_hour(request.now)
    return range(last, max(last - HOURLY_CALLS_HOURS, -1), -1)


def list_begun_days(request: RowRequest) -> Sequence[int]:
    """List the days asked for that have begun, including the unfinished one, newest first."""
    return request.list_days(request.today)


def list_begun_hours(request: RowRequest) -> Sequence[int]:
    """List the hours asked for that have begun, including the unfinished one, newest first."""
    days = request.list_days(request.today)
    # The last hour of the first day, and that of the day before the last one: where to stop.
    begin, end = (day * DAY_HOURS + DAY_HOURS - 1 for day in (days.start, days.stop))
    return range(min(begin, request.market.hour_of(request.now)), end, -1)


def trades_on(request: RowRequest, day: int, token: Token) -> bool:
    """Check whether a token trades on a day."""
    return day >= request.market.born_day(token.token_id)


def trades_in(request: RowRequest, hour: int, token: Token) -> bool:
    """Check whether a token trades in an hour."""
    return trades_on(request, hour // DAY_HOURS, token)


def has_call(request: RowRequest, day: int, token: Token) -> bool:
    """Check whether a token has a daily call."""
    return bool(request.provider.calls(token.token_id).made[day])


def has_hourly_call(request: RowRequest, hour: int, token: Token) -> bool:
    """Check whether a token has an hourly call."""
    return bool(request.provider.hourly_calls(token.token_id).made[hour])


def has_level(request: RowRequest, day: int, token: Token) -> bool:
    """Check whether a token that trades on a day has a level."""
    return trades_on(request, day, token) and bool(request.provider.levels(token.token_id)[day])


def call_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /trading-signals."""
    key, provider = token.token_id, request.provider
    calls = provider.calls(key)
    signal, trend = int(calls.signal[day]), int(calls.trend[day])
    trader, investor, _ = provider.grades(key)
    following, holding = provider.returns(key)
    return {
        **_labels(token),
        "DATE": _time(request, day * DAY_HOURS),
        "TRADING_SIGNAL": signal,
        "TOKEN_TREND": trend,
        "TRADING_SIGNALS_RETURNS": round(float(following[day]), 4),
        "HOLDING_RETURNS": round(float(holding[day]), 4),
        "tm_link": token.slug,
        "TM_TRADER_GRADE": trader[day],
        "TM_INVESTOR_GRADE": investor[day],
        "TM_LINK": LINK,
        "app_link": LINK,
        "token_signal_str": SIGNAL_WORDS[signal],
        "token_trend_str": TREND_WORDS[trend],
    }


def hourly_call_row(request: RowRequest, hour: int, token: Token) -> Row:
    """Build a row of /hourly-trading-signals; its time is the opening of the hour of its close."""
    calls = request.provider.hourly_calls(token.token_id)
    return {
        "TIMESTAMP": _time(request, hour),
        **_labels(token),
        "CLOSE": request.market.hourly(token.token_id).close[hour],
        "SIGNAL": str(int(calls.signal[hour])),
        "POSITION": "1" if calls.trend[hour] == 1 else "0",
    }


def level_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /resistance-support; its levels are in no particular order."""
    levels = request.provider.levels(token.token_id)[day]
    mixed = sorted(levels, key=lambda level: (level.day * 7919 + day) % 1009)
    price = float(request.market.daily(token.token_id).close[day])
    above = sorted(level.price for level in levels if level.price > price)
    below = sorted((level.price for level in levels if level.price < price), reverse=True)
    nearest = {
        f"{side}_{rank + 1}": prices[rank] if rank < len(prices) else None
        for side, prices in (("resistance", above), ("support", below))
        for rank in range(NEAREST)
    }
    return {
        **_labels(token),
        "DATE": _time(request, day * DAY_HOURS),
        "HISTORICAL_RESISTANCE_SUPPORT_LEVELS": [
            {"date": _time(request, at * DAY_HOURS)[:10], "level": number(level)} for at, level in mixed
        ],
        **nearest,
        "price": price,
        "slug": token.slug,
        "app_link": LINK,
    }


def metric_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /quantmetrics."""
    return {
        **_labels(token),
        "DATE": _time(request, day * DAY_HOURS),
        **quantmetrics(request.market, token.token_id, day),
        "slug": token.slug,
    }


def grade_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /tm-grade."""
    # A token's grades on its first day are NaN, whatever stands in the columns before it.
    trader, _, quant = (grade[[day, day - 1]].tolist() for grade in request.provider.grades(token.token_id))
    grade, earlier = map(_overall_grade, trader, quant)
    change = _percent(*trader)
    return {
        **_labels(token),
        "TM_GRADE": grade,
        "TM_GRADE_SIGNAL": None if isnan(grade) else GRADE_WORDS[min(int(grade // 20), 4)],
        "TM_GRADE_24h_PCT_CHANGE": _percent(grade, earlier),
        "TM_TRADER_GRADE_24H_CHANGE": change,
        "QUANT_GRADE": quant[0],
        "MOMENTUM": next((word for least, word in MOMENTUM_WORDS if change >= least), "No Momentum"),
        "slug": token.slug,
    }


def _overall_grade(trader: float, quant: float) -> float:
    """Compute the overall grade: the trader grade alone while the token has no quant grade."""
    return trader if isnan(quant) else round(0.6 * trader + 0.4 * quant, 2)


def _percent(value: float, before: float) -> float:
    """Compute a change in percent; NaN when a figure is absent or the earlier one is zero."""
    return round((value / before - 1) * 100, 2) if before else nan


def price_row(request: RowRequest, _day: int, token: Token) -> Row:
    """Build a row of /price."""
    price = request.market.price_at(token.token_id, request.now)
    return {**_labels(token), "CURRENT_PRICE": price}


def token_row(request: RowRequest, _day: int, token: Token) -> Row:
    """Build a row of /tokens, with the figures of the last 24 hours; v3 has no lists."""
    market, key = request.market, token.token_id
    hour, bars = market.hour_of(request.now), market.hourly(key)
    price = market.price_at(key, request.now)
    first = max(hour - DAY_HOURS, market.born_day(key) * DAY_HOURS)
    lately = slice(first, hour)
    categories = [
        {"category_id": CATEGORIES[each][0], "category_name": CATEGORIES[each][1], "category_slug": each}
        for each in token.categories
    ]
    return {
        **_labels(token),
        "EXCHANGE_LIST": [{"exchange_id": each, "exchange_name": EXCHANGES[each]} for each in token.exchanges],
        "CATEGORY_LIST": categories or None,
        "tm_link": token.slug,
        "contract_address": dict(token.contracts),
        "TM_LINK": LINK,
        "CURRENT_PRICE": price,
        "MARKET_CAP": round(price * token.supply),
        "TOTAL_VOLUME": float(bars.volume[lately].sum()),
        "circulating_supply": token.supply,
        "total_supply": token.supply,
        "max_supply": None,
        "fully_diluted_valuation": round(price * token.supply),
        "PRICE_CHANGE_PERCENTAGE_24H_IN_CURRENCY": _percent(price, float(bars.open[first]))
        if hour - first == DAY_HOURS
        else None,
        "high_24_h": bars.high[lately].max() if hour > first else None,
        "low_24_h": bars.low[lately].min() if hour > first else None,
        "app_link": LINK,
    }


def daily_bar_row(request: RowRequest, day: int, token: Token) -> Row:
    """Build a row of /daily-ohlcv."""
    market, key = request.market, token.token_id
    is_whole = day < request.today
    bar = bar_at(market.daily(key), day) if is_whole else market.day_so_far(key, request.now)
    return {**_labels(token), "DATE": _time(request, day * DAY_HOURS), **_figures(bar)}


def hourly_bar_row(request: RowRequest, hour: int, token: Token) -> Row:
    """Build a row of /hourly-ohlcv, dated by the bar's opening."""
    market, key = request.market, token.token_id
    is_whole = hour < market.hour_of(request.now)
    bar = bar_at(market.hourly(key), hour) if is_whole else market.hour_so_far(key, request.now)
    return {**_labels(token), "TIMESTAMP": _time(request, hour), **_figures(bar)}


def _figures(bar: Candle[float]) -> Row:
    """Build the keys of a bar's figures."""
    return {name.upper(): figure for name, figure in bar._asdict().items()}
