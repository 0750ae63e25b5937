"""The simulated wire: bodies in the recorded shape, refusals, look-alikes, paging, and nothing before its time."""

import itertools
import json
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.simulator.market import SEED, Market
from bot.simulator.wire import Wire, WireAnswer

START = datetime(2025, 3, 1, tzinfo=UTC)
NOON = START + timedelta(days=3, hours=12, minutes=34, seconds=56)
SHARED = Path(os.environ.get("TIDEMARK_SHARED", Path(__file__).parents[3] / "shared"))
RECORDED = SHARED / "data" / "tokenmetrics" / "recorded"
EVERY = (
    "trading-signals?token_id=3375,3306",
    "trading-signals?symbol=BTC,SOL&startDate=2025-02-20&endDate=2025-03-04",
    "hourly-trading-signals?token_id=3375,3306",
    "resistance-support?symbol=SOL",
    "quantmetrics?token_id=3375,30747",
    "tm-grade?token_id=3375,30747",
    "price?token_id=3375,3306",
    "tokens?limit=100",
    "daily-ohlcv?token_id=3375",
    "hourly-ohlcv?token_id=3375&startDate=2025-03-04&endDate=2025-03-04",
)


@pytest.fixture(scope="module")
def wire() -> Wire:
    """Return a wire that the tests of this file share."""
    return Wire(Market(SEED, START, days=30))


def asked(wire: Wire, target: str, now: datetime = NOON, version: str = "v2") -> WireAnswer:
    """Return the answer to a target, with a key."""
    return wire.answer(f"/{version}/{target}", "tm-test", now)


def found(wire: Wire, target: str, now: datetime = NOON, version: str = "v2") -> list[dict[str, Any]]:
    """Return the rows of a good answer, whose envelope counts them."""
    answer = asked(wire, target, now, version)
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    assert list(body) == ["success", "message", "length", "data"]
    assert body["success"] is True
    assert body["length"] == len(body["data"])
    return list(body["data"])


def recorded(name: str) -> Any:
    """Return a recorded body, or skip where the recordings are absent."""
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"recordings are absent: {path}")
    return json.loads(path.read_text())


def test_the_order_of_requests_changes_no_byte(wire: Wire) -> None:
    """A second market asked in the opposite order, and twice, answers every target with the same bytes."""
    other = Wire(Market(SEED, START, days=30))
    again = {target: asked(other, target) for target in reversed(EVERY)}
    for target in EVERY:
        asked(wire, target, NOON - timedelta(days=2))
        assert asked(wire, target) == again[target] == asked(other, target)


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_every_endpoint_answers_in_both_versions(wire: Wire, version: str) -> None:
    """Each endpoint has rows in both versions, with lower-case keys throughout in v3."""
    for target in EVERY:
        for row in found(wire, target, version=version):
            assert {"TOKEN_ID", "token_id"} & set(row)
            if version == "v3":
                assert all(key == key.lower() for key in row)
                assert not any("24h" in key for key in row)


def test_trading_signals_have_the_recorded_keys(wire: Wire) -> None:
    """A row of trading signals has the keys of the recorded one, in its order."""
    expected = recorded("trading-signals.v2.1.first-row-only.json")["data"][0]
    assert list(found(wire, "trading-signals?token_id=3375")[0]) == list(expected)


def test_levels_have_the_recorded_keys(wire: Wire) -> None:
    """A row of levels, and each level, has the recorded keys."""
    expected = recorded("resistance-support.v2.3.json")["data"][0]
    row = found(wire, "resistance-support?token_id=3375")[0]
    name = "HISTORICAL_RESISTANCE_SUPPORT_LEVELS"
    assert list(row) == list(expected)
    assert {tuple(level) for level in row[name]} == {tuple(level) for level in expected[name]}


def test_daily_bars_have_the_recorded_keys(wire: Wire) -> None:
    """A daily bar has the recorded keys."""
    expected = recorded("daily-ohlcv.v2.1.data-elements.display-rounded.json")[0]
    assert list(found(wire, "daily-ohlcv?token_id=3306")[0]) == list(expected)


def test_tokens_have_the_recorded_keys_and_those_seen_later(wire: Wire) -> None:
    """A token has the keys recorded in April 2025, then the figures that users saw later that year."""
    expected = recorded("tokens.v2.2.data-elements.json")[1]
    rows = {row["TOKEN_ID"]: row for row in found(wire, "tokens?limit=100")}
    later = ["CURRENT_PRICE", "MARKET_CAP", "TOTAL_VOLUME", "PRICE_CHANGE_PERCENTAGE_24H_IN_CURRENCY"]
    assert list(rows[30747]) == [*expected, *later]
    assert list(rows[3375]["EXCHANGE_LIST"][0]) == list(expected["EXCHANGE_LIST"][0])
    assert rows[38892]["CATEGORY_LIST"] is None
    assert rows[30747]["contract_address"] == {"base": "0x940181a94a35a4569e4529a3cdfb74e38fd98631"}


def test_nothing_found_is_the_recorded_404(wire: Wire) -> None:
    """An unknown symbol, and a page beyond the last, give 404 with the recorded body."""
    expected = recorded("errors.v2.2.not-found-404.json")
    for target in ("tokens?symbol=NOPE", "tokens?symbol=BTC&page=2"):
        answer = asked(wire, target)
        assert (answer.status, json.loads(answer.body)) == (404, expected)


def test_symbols_are_shared_and_ids_are_not(wire: Wire) -> None:
    """A symbol finds its look-alikes too, an id one token, and both together the union."""
    ids = {target: {row["TOKEN_ID"] for row in found(wire, f"tokens?{target}")} for target in (
        "symbol=BTC", "symbol=eth", "symbol=SOL", "symbol=DOGE", "token_id=3375", "token_id=3306,99&symbol=BTC",
    )}  # fmt: skip
    assert ids == {
        "symbol=BTC": {3375, 39218},
        "symbol=eth": {3306, 39220},
        "symbol=SOL": {3988, 39225, 43672},
        "symbol=DOGE": {3393, 17492, 38892, 40212},
        "token_id=3375": {3375},
        "token_id=3306,99&symbol=BTC": {3306, 3375, 39218},
    }


def test_the_main_coin_is_the_largest_and_not_always_first(wire: Wire) -> None:
    """Among tokens of one symbol the main one has by far the most market value, but comes first only sometimes."""
    first = set()
    for day in range(12):
        rows = found(wire, "tokens?symbol=SOL", NOON + timedelta(days=day))
        sizes = {row["TOKEN_ID"]: row["MARKET_CAP"] for row in rows}
        assert all(sizes[3988] > 1000 * size for token_id, size in sizes.items() if token_id != 3988)
        first.add(rows[0]["TOKEN_ID"])
    assert len(first) > 1


@pytest.mark.parametrize(
    "target",
    [
        "tokens?token_symbol=BTC",
        "tokens?exchange=uniswap-v3-base",
        "tokens?page=0",
        "tokens?page=x",
        "tokens?limit=0",
        "tokens?limit=101",
        "tokens?limit=-1",
        "tokens?startDate=2025-02-01",
        "price?symbol=BTC",
        "trading-signals?startDate=2025-2-1",
        "trading-signals?startDate=2025-02-30",
        "trading-signals?startDate=2025-02-02&endDate=2025-02-01",
        "trading-signals?startDate=2025-01-01&endDate=2025-01-31",
        "trading-signals?signal=1",
        "quantmetrics?marketcap=1000",
        "resistance-support?startDate=2025-02-01",
    ],
)
def test_a_wrong_query_is_refused(wire: Wire, target: str) -> None:
    """An unknown name and a wrong value give 400 with a message and no data."""
    answer = asked(wire, target)
    body = json.loads(answer.body)
    assert answer.status == 400
    assert body["success"] is False
    assert set(body) == {"success", "message"}
    assert body["message"]


def test_the_widest_range_is_accepted(wire: Wire) -> None:
    """A range of 29 days from its first to its last day is allowed, both days included."""
    rows = found(wire, "daily-ohlcv?token_id=3375&startDate=2025-01-01&endDate=2025-01-30")
    assert [row["DATE"][:10] for row in rows] == [str(date(2025, 1, 30) - timedelta(days=back)) for back in range(30)]


def test_an_open_border_is_as_far_as_allowed(wire: Wire) -> None:
    """Without dates the last 29 days are asked for; a date alone is one end of them."""
    spans = {}
    for given in ("", "&endDate=2025-02-10", "&startDate=2025-03-03"):
        dates = [row["DATE"][:10] for row in found(wire, f"daily-ohlcv?token_id=3375{given}")]
        spans[given] = (dates[-1], dates[0])
    assert spans == {
        "": ("2025-02-03", "2025-03-04"),
        "&endDate=2025-02-10": ("2025-02-03", "2025-02-10"),
        "&startDate=2025-03-03": ("2025-03-03", "2025-03-04"),
    }
    for name in ("daily-ohlcv", "hourly-ohlcv"):
        for target in ("startDate=2025-03-05&endDate=2025-03-06", "startDate=2001-03-05&endDate=2001-03-06"):
            assert asked(wire, f"{name}?token_id=3375&{target}").status == 404


def test_a_request_without_the_key_is_refused(wire: Wire) -> None:
    """A missing key gives 401, and where a key is set so does any other one."""
    keyed = Wire(Market(SEED, START, days=30), api_key="tm-right")
    statuses = [
        wire.answer("/v2/price?token_id=3375", None, NOON).status,
        wire.answer("/v2/price?token_id=3375", "any", NOON).status,
        keyed.answer("/v2/price?token_id=3375", "any", NOON).status,
        keyed.answer("/v2/price?token_id=3375", "tm-right", NOON).status,
    ]
    assert statuses == [401, 200, 401, 200]


def test_an_unknown_path_is_not_found(wire: Wire) -> None:
    """A path that is no endpoint gives 404 in other words than missing rows."""
    for target in ("/v2/quant-metrics", "/v1/tokens", "/tokens", "/"):
        answer = wire.answer(target, "tm-test", NOON)
        assert answer.status == 404
        assert b"Data not found" not in answer.body


def test_pages_follow_each_other_without_overlap(wire: Wire) -> None:
    """The limit counts rows over all tokens and dates; pages joined are the long answer, newest first."""
    target = "daily-ohlcv?symbol=SOL,DOGE&startDate=2025-02-20&endDate=2025-02-28"
    whole = found(wire, f"{target}&limit=100")
    pages = [found(wire, f"{target}&limit=25&page={page}") for page in (1, 2, 3)]
    assert len(whole) == 9 * 7
    assert [len(page) for page in pages] == [25, 25, 13]
    assert [row for page in pages for row in page] == whole
    assert [row["DATE"] for row in whole] == sorted((row["DATE"] for row in whole), reverse=True)
    assert len(found(wire, "hourly-ohlcv?symbol=SOL")) == 50


def calls_of(wire: Wire, token_id: int, now: datetime) -> dict[str, Mapping[str, Any]]:
    """Return a token's daily rows of the last months by date, asked for in pieces."""
    rows = {}
    for month in range(5):
        first = date(2024, 11, 15) + timedelta(days=30 * month)
        target = f"trading-signals?token_id={token_id}&startDate={first}&endDate={first + timedelta(days=29)}&limit=100"
        answer = asked(wire, target, now)
        if answer.status == 200:
            rows.update({row["DATE"]: row for row in json.loads(answer.body)["data"]})
    return dict(sorted(rows.items()))


def test_the_trend_is_the_last_signal_that_was_not_zero(wire: Wire) -> None:
    """In every row the trend equals the newest non-zero signal so far, and signals alternate."""
    for token_id in (3375, 3988, 30747):
        trend, turns = None, []
        for row in calls_of(wire, token_id, NOON + timedelta(days=25)).values():
            if row["TRADING_SIGNAL"]:
                turns.append(row["TRADING_SIGNAL"])
            trend = row["TRADING_SIGNAL"] or trend
            assert trend is None or row["TOKEN_TREND"] == trend
        assert len(turns) > 3
        assert all(before == -after for before, after in itertools.pairwise(turns))


def test_a_row_appears_only_after_its_day(wire: Wire) -> None:
    """The row of a day comes 2 to 20 minutes after its end, for calls, levels, statistics alike, and never before."""
    for target in ("trading-signals?token_id=3306", "resistance-support?token_id=3306", "quantmetrics?token_id=3306"):
        newest = [
            (
                minute,
                found(wire, target, NOON.replace(hour=0, minute=0, second=0) + timedelta(minutes=minute))[0]["DATE"],
            )
            for minute in range(-3, 23)
        ]
        late = [minute for minute, day in newest if day == "2025-03-03T00:00:00.000Z"]
        assert 2 <= late[0] <= 21
        assert late == list(range(late[0], 23))
        assert {day for _, day in newest} == {"2025-03-02T00:00:00.000Z", "2025-03-03T00:00:00.000Z"}
    assert asked(wire, "trading-signals?token_id=3306&startDate=2025-03-04&endDate=2025-03-04").status == 404


def test_some_days_have_no_row(wire: Wire) -> None:
    """Now and then a token's day is missing, and then the row before it is the newest one."""
    now = NOON + timedelta(days=25)
    missing = {
        (token_id, day)
        for token_id in (3375, 3306, 3988, 3393, 3369, 3388, 4253)
        for rows in (calls_of(wire, token_id, now),)
        for day in (f"{date(2024, 12, 1) + timedelta(days=step)}T00:00:00.000Z" for step in range(100))
        if day not in rows
    }
    assert 0 < len(missing) < 40
    token_id, day = min(missing)
    after = datetime.fromisoformat(day) + timedelta(days=1, hours=12)
    assert found(wire, f"trading-signals?token_id={token_id}", after)[0]["DATE"] < day


def test_an_hourly_call_comes_after_its_hour(wire: Wire) -> None:
    """The newest hourly call is of the hour that ended, its close is that bar's, and its literals are strings."""
    rows = found(wire, "hourly-trading-signals?token_id=3375&limit=100")
    assert rows[0]["TIMESTAMP"] == "2025-03-04T11:00:00.000Z"
    bars = {row["TIMESTAMP"]: row for row in found(wire, "hourly-ohlcv?token_id=3375&startDate=2025-03-04")}
    assert all(bars[row["TIMESTAMP"]]["CLOSE"] == row["CLOSE"] for row in rows[:12])
    assert {row["SIGNAL"] for row in rows} >= {"0"}
    assert {row["SIGNAL"] for row in rows} <= {"1", "0", "-1"}
    assert {row["POSITION"] for row in rows} <= {"1", "0"}
    sharp = found(wire, "hourly-trading-signals?token_id=3375", NOON.replace(minute=0, second=0))
    assert sharp[0]["TIMESTAMP"] == "2025-03-04T10:00:00.000Z"


def test_the_current_bars_are_unfinished_and_agree_with_the_price(wire: Wire) -> None:
    """The newest bar of the day and of the hour closes at the current price, and whole bars never change."""
    price = found(wire, "price?token_id=3988")[0]["CURRENT_PRICE"]
    day = found(wire, "daily-ohlcv?token_id=3988&limit=2")
    hour = found(wire, "hourly-ohlcv?token_id=3988&limit=2")
    assert (day[0]["DATE"], day[0]["CLOSE"]) == ("2025-03-04T00:00:00.000Z", price)
    assert (hour[0]["TIMESTAMP"], hour[0]["CLOSE"]) == ("2025-03-04T12:00:00.000Z", price)
    later = NOON + timedelta(days=2)
    assert day[1] in found(wire, "daily-ohlcv?token_id=3988", later)
    assert day[0] not in found(wire, "daily-ohlcv?token_id=3988", later)
    assert hour[1] in found(wire, "hourly-ohlcv?token_id=3988&startDate=2025-03-04&endDate=2025-03-04", later)


def test_levels_come_unsorted_with_mixed_numbers(wire: Wire) -> None:
    """Levels come in no order, whole and broken numbers mixed; none has the noise of binary floats (U10)."""
    levels = found(wire, "resistance-support?token_id=3375")[0]["HISTORICAL_RESISTANCE_SUPPORT_LEVELS"]
    days = [level["date"] for level in levels]
    assert days != sorted(days)
    assert {type(level["level"]) for level in levels} == {int, float}
    every = found(wire, "resistance-support?limit=100")
    written = [level["level"] for row in every for level in row["HISTORICAL_RESISTANCE_SUPPORT_LEVELS"]]
    assert max(len(repr(level)) for level in written) <= 12


def test_a_young_token_has_nulls(wire: Wire) -> None:
    """The young token has no grades, no statistics and, while it has no level, no row of levels."""
    call = found(wire, "trading-signals?token_id=30747", START)[0]
    assert (call["TM_TRADER_GRADE"], call["TM_INVESTOR_GRADE"]) == (None, None)
    assert found(wire, "quantmetrics?token_id=30747", START)[0]["SHARPE"] is None
    grade = found(wire, "tm-grade?token_id=30747", START)[0]
    assert (grade["TM_GRADE"], grade["TM_GRADE_SIGNAL"], grade["MOMENTUM"]) == (None, None, "No Momentum")
    assert asked(wire, "resistance-support?token_id=30747", START).status == 404
    born = START - timedelta(days=10)
    token = found(wire, "tokens?token_id=30747", born)[0]
    assert token["PRICE_CHANGE_PERCENTAGE_24H_IN_CURRENCY"] is None
    assert asked(wire, "tokens?token_id=30747", born - timedelta(minutes=1)).status == 404


def test_v3_names_what_v2_leaves_unsaid(wire: Wire) -> None:
    """v3 has words for signal and trend, the nearest levels by side, and no lists of a token."""
    call = found(wire, "trading-signals?token_id=3375", version="v3")[0]
    assert call["token_trend_str"] == {1: "up", -1: "down"}[call["token_trend"]]
    assert {"slug", "tm_grade", "fundamental_grade", "token_signal_str", "app_link"} <= set(call)
    row = found(wire, "resistance-support?token_id=3988", version="v3")[0]
    prices = [level["level"] for level in row["historical_resistance_support_levels"]]
    assert row["support_1"] == max(price for price in prices if price < row["price"])
    assert row["resistance_1"] == min(price for price in prices if price > row["price"])
    token = found(wire, "tokens?token_id=3375", version="v3")[0]
    assert {"slug", "price_change_percentage_24_h_in_currency", "high_24_h", "app_link"} <= set(token)
    assert not {"tm_link", "exchange_list", "category_list", "contract_address"} & set(token)


def test_before_the_first_day_there_is_nothing(wire: Wire) -> None:
    """Before the market's beginning every endpoint answers 404."""
    for target in EVERY:
        assert asked(wire, target, START - timedelta(days=900)).status == 404


def test_after_the_last_day_the_last_rows_stand(wire: Wire) -> None:
    """When the market is over, what was served in its last second goes on being served."""
    end = START + timedelta(days=30)
    for target in EVERY:
        if "startDate" not in target:
            last = asked(wire, target, end - timedelta(seconds=1))
            assert (asked(wire, target, end), asked(wire, target, end + timedelta(days=9))) == (last, last)
            assert last.status == 200
