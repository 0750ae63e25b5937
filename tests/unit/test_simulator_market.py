"""The synthetic market: the same for ever, consistent within, and with nothing known before its time."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bot.simulator.levels import CONFIRMED_DAYS, list_levels, merge_fraction
from bot.simulator.listing import TOKENS
from bot.simulator.market import DAY_HOURS, HISTORY_DAYS, HOUR, SEED, Market, bar_at
from bot.simulator.metrics import FIELDS, quantmetrics
from bot.simulator.provider import SimulatedProvider
from bot.simulator.signals import YOUNG_DAYS, daily_calls

START = datetime(2025, 3, 1, tzinfo=UTC)
BTC, SOL, AERO, PEGGED_SOL = 3375, 3988, 30747, 39225


@pytest.fixture(scope="module")
def market() -> Market:
    """Return a market that the tests of this file share."""
    return Market(SEED, START, days=60)


def test_bars_are_consistent(market: Market) -> None:
    """Every bar of every token has its extremes around open and close, and opens near the close before."""
    for token_id in market.tokens:
        bars = market.hourly(token_id)
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (bars.low > 0).all()
        assert (bars.volume > 0).all()
        assert np.abs(bars.open[1:] / bars.close[:-1] - 1).max() < 0.001


def test_days_are_made_of_their_hours(market: Market) -> None:
    """A daily bar opens, closes and reaches as far as its 24 hours do."""
    hours, days = market.hourly(SOL), market.daily(SOL)
    within = slice(7 * DAY_HOURS, 8 * DAY_HOURS)
    assert bar_at(days, 7) == (
        hours.open[within][0],
        hours.high[within].max(),
        hours.low[within].min(),
        hours.close[within][-1],
        hours.volume[within].sum(),
    )


def test_prices_are_written_with_few_digits(market: Market) -> None:
    """A price needs no more digits than its token is quoted with, so that bodies stay short."""
    for token_id, token in market.tokens.items():
        closes = market.hourly(token_id).close[:500].tolist()
        assert all(price == round(price, token.decimals) for price in closes)


def test_the_same_seed_gives_the_same_prices() -> None:
    """Two markets of one seed agree whatever was asked of them before; another seed gives other prices."""
    first, second = Market(5, START, days=5), Market(5, START, days=5)
    for token_id in (AERO, SOL, BTC):
        first.hourly(token_id)
    assert np.array_equal(first.hourly(BTC).close, second.hourly(BTC).close)
    assert not np.array_equal(first.hourly(BTC).close, Market(6, START, days=5).hourly(BTC).close)


def test_a_longer_market_begins_like_a_shorter_one() -> None:
    """The number of days only adds bars, calls and levels at the end: nothing earlier depends on what comes later."""
    short, long = Market(SEED, START, days=3), Market(SEED, START, days=40)
    for token_id in (BTC, PEGGED_SOL, AERO):
        before, after = short.hourly(token_id), long.hourly(token_id)
        for name in ("open", "high", "low", "close", "volume"):
            assert np.array_equal(getattr(before, name), getattr(after, name)[: short.hours])
        assert np.array_equal(daily_calls(short, token_id).trend, daily_calls(long, token_id).trend[: short.days])
        last = short.days - 1
        assert list_levels(short, token_id) == list_levels(long, token_id)[: short.days]
        assert quantmetrics(short, token_id, last) == quantmetrics(long, token_id, last)


def test_the_price_at_an_opening_is_the_open(market: Market) -> None:
    """At the exact opening of an hour the price is that bar's open, for look-alikes too."""
    for token_id in (BTC, PEGGED_SOL):
        for hour in range(HISTORY_DAYS * DAY_HOURS, HISTORY_DAYS * DAY_HOURS + 50):
            opened = float(market.hourly(token_id).open[hour])
            assert market.price_at(token_id, market.begin + hour * HOUR) == opened


def test_an_unfinished_hour_grows_into_the_whole_one(market: Market) -> None:
    """Within its hour a bar only widens, and just before the end it has the extremes of the whole bar."""
    opening = START + timedelta(hours=5)
    whole = bar_at(market.hourly(SOL), market.hour_of(opening))
    seen = [market.hour_so_far(SOL, opening + timedelta(minutes=minute)) for minute in range(60)]
    assert seen[0] == (whole.open, whole.open, whole.open, whole.open, 0.0)
    for earlier, later in itertools.pairwise(seen):
        assert later.high >= earlier.high
        assert later.low <= earlier.low
        assert later.volume > earlier.volume
    assert (seen[-1].high, seen[-1].low) == (whole.high, whole.low)


def test_an_unfinished_day_joins_its_hours(market: Market) -> None:
    """The day so far opens with its first hour, holds the extremes of the hours passed, and closes with the price."""
    now = START + timedelta(hours=7, minutes=30)
    first = market.hour_of(START)
    bars, bar = market.hourly(SOL), market.day_so_far(SOL, now)
    assert bar.open == bars.open[first]
    assert bar.close == market.price_at(SOL, now)
    assert bar.high >= bars.high[first : first + 7].max()
    assert bar.low <= bars.low[first : first + 7].min()
    assert market.day_so_far(SOL, START) == market.hour_so_far(SOL, START)


def test_volatility_is_that_of_the_real_thing(market: Market) -> None:
    """Annual volatility lies between 30 % and 130 % for every token, and Bitcoin is the calmest main one."""
    yearly = {
        token.token_id: float(np.diff(np.log(market.daily(token.token_id).close)).std() * np.sqrt(365))
        for token in TOKENS
        if token.follows is None
    }
    assert all(0.3 < figure < 1.3 for figure in yearly.values())
    assert min(yearly, key=lambda key: yearly[key]) == BTC


def test_a_pegged_look_alike_stays_near_what_it_follows(market: Market) -> None:
    """A bridged token's price is plausible, within 1 % of the main token's, and still another number."""
    main, alike = market.hourly(SOL).close, market.hourly(PEGGED_SOL).close
    assert np.abs(alike / main - 1).max() < 0.01
    assert (alike != main).mean() > 0.9


def test_levels_are_late_apart_and_below_the_high(market: Market) -> None:
    """On each day a level is at least two weeks old, apart from its neighbours, and not above the all-time high."""
    for token_id in (BTC, SOL, AERO):
        known, high = list_levels(market, token_id), market.daily(token_id).high
        apart = merge_fraction(market.tokens[token_id].volatility)
        for day in range(0, market.days, 13):
            levels = known[day]
            prices = sorted(level.price for level in levels)
            assert all(level.day + CONFIRMED_DAYS <= day for level in levels)
            assert all(above / below - 1 >= apart * 0.95 for below, above in itertools.pairwise(prices))
            assert not prices or prices[-1] <= high[: day + 1].max()
            assert len({level.day for level in levels}) == len(levels)


def test_levels_are_dense_at_the_start_and_sometimes_replaced(market: Market) -> None:
    """A main token has a dozen levels or more when the market starts, and now and then one gives way to a neighbour."""
    replaced = 0
    for token in TOKENS:
        if token.age_days is not None:
            continue
        known = list_levels(market, token.token_id)
        assert len(known[HISTORY_DAYS]) >= 12
        for day in range(HISTORY_DAYS, market.days):
            replaced += bool(set(known[day - 1]) - set(known[day]))
    assert replaced > 0


def test_stances_turn_about_once_a_week(market: Market) -> None:
    """The middle spell between two turns of a main token lasts 4 to 15 days."""
    for token in TOKENS[:16]:
        turns = np.flatnonzero(daily_calls(market, token.token_id).signal)
        if token.age_days is None:
            assert 4 <= np.median(np.diff(turns)) <= 15


def test_following_the_calls_has_an_edge(market: Market) -> None:
    """Over the tokens together, following the daily calls has returned more than holding."""
    provider = SimulatedProvider(market)
    excess = [
        float(np.log1p(following[-1]) - np.log1p(holding[-1]))
        for following, holding in (provider.returns(token.token_id) for token in TOKENS[:16])
    ]
    assert np.mean(excess) > 0


def test_trader_grades_go_with_the_trend(market: Market) -> None:
    """Grades lie between 0 and 100 and are higher in a bullish stance than in a bearish one."""
    provider = SimulatedProvider(market)
    trend, (trader, *_) = provider.calls(BTC).trend, provider.grades(BTC)
    known = ~np.isnan(trader)
    assert trader[known].min() >= 0
    assert trader[known].max() <= 100
    assert trader[known & (trend == 1)].mean() > trader[known & (trend == -1)].mean() + 20


def test_statistics_agree_with_their_definitions(market: Market) -> None:
    """Volatility, return and drawdown are what a plain computation from the closes gives; a young token has none."""
    closes = market.daily(SOL).close[:200].tolist()
    change = [after / before - 1 for before, after in itertools.pairwise(closes)]
    mean = sum(change) / len(change)
    deviation = (sum((each - mean) ** 2 for each in change) / (len(change) - 1)) ** 0.5
    drawdown = min(close / max(closes[: at + 1]) - 1 for at, close in enumerate(closes))
    figures = quantmetrics(market, SOL, 199)
    assert figures["VOLATILITY"] == pytest.approx(deviation * 365**0.5, abs=1e-6)
    assert figures["ALL_TIME_RETURN"] == pytest.approx(closes[-1] / closes[0] - 1, abs=1e-6)
    assert figures["MAX_DRAWDOWN"] == pytest.approx(drawdown, abs=1e-6)
    assert figures["SHARPE"] == pytest.approx(mean / deviation * 365**0.5, abs=1e-6)
    born = market.born_day(AERO)
    assert quantmetrics(market, AERO, born + YOUNG_DAYS - 2) == dict.fromkeys(FIELDS)
    assert None not in quantmetrics(market, AERO, born + YOUNG_DAYS - 1).values()
