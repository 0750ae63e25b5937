"""Properties of the simulated market and wire that hold for any seed and any instant."""

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.simulator.listing import TOKENS
from bot.simulator.market import HISTORY_DAYS, Market, bar_at
from bot.simulator.provider import SimulatedProvider
from bot.simulator.wire import Wire

START = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 20
MARKET = Market(11, START, days=DAYS)
WIRE = Wire(MARKET)
TRADED = tuple(token.token_id for token in TOKENS if token.age_days is None)

instants = st.integers(-HISTORY_DAYS * 86_400, DAYS * 86_400 - 1).map(lambda second: START + timedelta(seconds=second))


@given(token_id=st.sampled_from(TRADED), instant=instants)
@settings(max_examples=100, deadline=None)
def test_the_price_stays_within_its_bar(token_id: int, instant: datetime) -> None:
    """At any instant the price lies between the low and the high of its hour, and of its unfinished bars."""
    price, whole = MARKET.price_at(token_id, instant), bar_at(MARKET.hourly(token_id), MARKET.hour_of(instant))
    hour, day = MARKET.hour_so_far(token_id, instant), MARKET.day_so_far(token_id, instant)
    assert whole.low <= hour.low <= price <= hour.high <= whole.high
    assert day.low <= hour.low
    assert day.high >= hour.high
    assert hour.close == day.close == price


@given(instant=instants)
@settings(max_examples=60, deadline=None)
def test_no_row_of_a_day_is_out_before_the_day_has_ended(instant: datetime) -> None:
    """At any instant the last published day is over, for at least two minutes, and at most a day and 20 minutes ago."""
    provider = SimulatedProvider(MARKET)
    ended = MARKET.begin + timedelta(days=provider.published_day(instant) + 1)
    assert timedelta(minutes=2) <= instant - ended <= timedelta(
        days=1, minutes=20
    ) or instant < MARKET.begin + timedelta(days=1, minutes=20)


@given(token_id=st.sampled_from(TRADED), instant=instants)
@settings(max_examples=60, deadline=None)
def test_every_bar_served_is_consistent(token_id: int, instant: datetime) -> None:
    """At any instant each bar served, the unfinished one included, has its extremes around open and close."""
    for name in ("daily-ohlcv", "hourly-ohlcv"):
        answer = WIRE.answer(f"/v2/{name}?token_id={token_id}&limit=5", "tm-test", instant)
        for row in json.loads(answer.body)["data"]:
            assert row["HIGH"] >= max(row["OPEN"], row["CLOSE"])
            assert row["LOW"] <= min(row["OPEN"], row["CLOSE"])


@given(seed=st.integers(0, 2**32), token_id=st.sampled_from(TRADED))
@settings(max_examples=5, deadline=None)
def test_any_seed_gives_a_market_that_lasts(seed: int, token_id: int) -> None:
    """For any seed prices stay positive, finite and within a hundredfold of the listed price."""
    market = Market(seed, START, days=DAYS)
    closes, listed = market.hourly(token_id).close, market.tokens[token_id].price
    assert closes.min() > listed / 100
    assert closes.max() < listed * 100


@given(query=st.text(st.characters(codec="utf-8"), max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_query_gets_an_answer(query: str) -> None:
    """Whatever stands in a query, the answer is a JSON object with a status that the wire knows."""
    answer = WIRE.answer(f"/v2/tokens?{query}", "tm-test", START)
    assert answer.status in {200, 400, 404}
    assert isinstance(json.loads(answer.body), dict)
