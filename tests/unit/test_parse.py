"""The provider's rows read as values: every field exact, every bad row named, in any order of the rows."""

import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.adapters.tokenmetrics.fields import read_envelope, rows_of
from bot.adapters.tokenmetrics.listing import parse_listed
from bot.adapters.tokenmetrics.parse import Parsed, Question, parse
from bot.domain.errors import AccessError, UpstreamError
from bot.domain.ids import TokenId
from bot.domain.market import Grades, LevelSet, MarketSize, QuantMetrics
from bot.domain.numbers import plain
from bot.domain.signals import Signal, Stance
from bot.domain.tape import TokenPrint

KNOWN = datetime(2025, 4, 11, 10, 30, 5, tzinfo=UTC)
ASKED = Question(tokens=frozenset({TokenId(3375), TokenId(3306)}), started_at=KNOWN, known_at=KNOWN)
TOKEN = {"TOKEN_ID": 3375, "TOKEN_NAME": "Bitcoin", "TOKEN_SYMBOL": "BTC"}
DAY = {**TOKEN, "DATE": "2025-04-10T00:00:00.000Z"}
HOUR = {**TOKEN, "TIMESTAMP": "2025-04-11T09:00:00.000Z"}


def read(feed: str, *rows: object) -> Parsed:
    """Send rows over the wire, as text, and read them."""
    envelope = read_envelope(json.dumps({"success": True, "data": rows}).encode())
    assert envelope is not None
    assert envelope.rows is not None
    return parse(feed, envelope.rows, ASKED)


def only(parsed: Parsed, kind: type[Any]) -> Any:
    """Return the one value of a kind; nothing may have been refused."""
    assert parsed.refusals == ()
    (found,) = [datum for datum in parsed.data if isinstance(datum, kind)]
    return found


def reasons(parsed: Parsed) -> list[str]:
    """Return the reasons of what was refused."""
    return [refusal.reason for refusal in parsed.refusals]


@pytest.mark.parametrize(
    ("event", "trend", "stance"),
    [
        (1, -1, Stance.BULLISH),
        (-1, 1, Stance.BEARISH),
        (0, 1, Stance.BULLISH),
        (0, -1, Stance.BEARISH),
        (0, 0, Stance.NEUTRAL),
        (None, 1, Stance.BULLISH),
        ("-1", "1", Stance.BEARISH),
        (2, 1, Stance.BULLISH),
        (0, "up", Stance.BULLISH),
    ],
)
def test_the_event_decides_and_the_trend_stands(event: object, trend: object, stance: Stance) -> None:
    """A signal that is not zero is the stance, otherwise the trend is, also where the signal cannot be read."""
    (found,) = read("trading-signals", {**DAY, "TRADING_SIGNAL": event, "TOKEN_TREND": trend}).data
    assert isinstance(found, Signal)
    assert found.stance is stance


def test_nothing_new_and_nothing_known_to_stand_changes_no_stance() -> None:
    """Unknown is not neutral: a row with event 0 and no trend says nothing, and ends no episode."""
    assert read("trading-signals", {**DAY, "TRADING_SIGNAL": 0, "TOKEN_TREND": None}) == Parsed()
    assert read("hourly-trading-signals", {**HOUR, "SIGNAL": "0"}) == Parsed()


def test_a_day_row_is_published_when_its_day_ends() -> None:
    """The row of a day uses that day's close, so it is published at the next midnight, and known when it came."""
    signal = only(read("trading-signals", {**DAY, "TRADING_SIGNAL": 0, "TOKEN_TREND": 1}), Signal)
    assert signal.published_at == datetime(2025, 4, 11, tzinfo=UTC)
    assert signal.known_at == KNOWN
    assert (signal.provider, signal.feed, signal.token_id) == ("tokenmetrics", "daily", 3375)


@pytest.mark.parametrize(
    "row",
    [
        {**DAY, "TRADING_SIGNAL": 0, "TOKEN_TREND": 1, "TM_TRADER_GRADE": 26.48, "TM_INVESTOR_GRADE": 58.23},
        {
            "token_id": 3375,
            "date": "2025-04-10",
            "trading_signal": 0,
            "token_trend": 1,
            "tm_grade": "26.48",
            "fundamental_grade": 58.23,
        },
    ],
    ids=["v2", "v3"],
)
def test_both_versions_give_the_same_signal_and_grades(row: dict[str, object]) -> None:
    """Upper-case keys of v2 and lower-case keys of v3 are the same row, grades as text or number."""
    parsed = read("trading-signals", row)
    assert only(parsed, Signal).grade == Decimal("26.48")
    grades = only(parsed, Grades)
    assert (grades.trader_grade, grades.investor_grade) == (Decimal("26.48"), Decimal("58.23"))
    assert grades.published_at == datetime(2025, 4, 11, tzinfo=UTC)


def test_a_grade_that_is_null_is_not_given() -> None:
    """A null investor grade of a young token is None, not zero; a row without any grade gives no grades."""
    row = {**DAY, "TRADING_SIGNAL": 1, "TOKEN_TREND": 1, "TM_TRADER_GRADE": 60, "TM_INVESTOR_GRADE": None}
    assert only(read("trading-signals", row), Grades).investor_grade is None
    bare = read("trading-signals", {**DAY, "TRADING_SIGNAL": 1, "TOKEN_TREND": 1})
    assert [type(datum) for datum in bare.data] == [Signal]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"TOKEN_ID": None}, "missing_field"),
        ({"TOKEN_ID": "x"}, "wrong_type"),
        ({"TOKEN_ID": 3375.5}, "wrong_type"),
        ({"TOKEN_ID": True}, "wrong_type"),
        ({"TOKEN_ID": -1}, "not_positive"),
        ({"TOKEN_ID": float("nan")}, "not_finite"),
        ({"TOKEN_ID": 39218}, "unknown_token"),
        ({"DATE": None}, "missing_field"),
        ({"DATE": "10.04.2025"}, "bad_date"),
        ({"DATE": 20250410}, "wrong_type"),
        ({"DATE": "2099-01-01"}, "bad_date"),
        ({"DATE": "0001-01-01"}, "bad_date"),
        ({"TRADING_SIGNAL": None, "TOKEN_TREND": None}, "no_value"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_the_rest_is_kept(change: dict[str, object], reason: str) -> None:
    """A row without identity, instant or value is refused with its reason, and the row beside it is read."""
    good = {**DAY, "TOKEN_ID": 3306, "TRADING_SIGNAL": 1, "TOKEN_TREND": 1}
    parsed = read("trading-signals", {**DAY, "TRADING_SIGNAL": 0, "TOKEN_TREND": 1, **change}, good)
    assert [(one.reason, one.whole) for one in parsed.refusals] == [(reason, True)]
    assert [datum.token_id for datum in parsed.data] == [3306]


@pytest.mark.parametrize("token_id", ["3375", 3375.0])
def test_an_id_may_be_a_text_or_a_float(token_id: object) -> None:
    """S11: public clients type ids as text or number; both name the token."""
    assert only(read("price", {"TOKEN_ID": token_id, "CURRENT_PRICE": 1}), TokenPrint).token_id == 3375


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"TM_TRADER_GRADE": 101}, "tm_trader_grade", "out_of_range"),
        ({"TM_TRADER_GRADE": -1}, "tm_trader_grade", "out_of_range"),
        ({"TM_TRADER_GRADE": "NaN"}, "tm_trader_grade", "not_finite"),
        ({"TM_TRADER_GRADE": float("inf")}, "tm_trader_grade", "not_finite"),
        ({"TM_TRADER_GRADE": [1]}, "tm_trader_grade", "wrong_type"),
        ({"TM_TRADER_GRADE": True}, "tm_trader_grade", "wrong_type"),
        ({"TM_TRADER_GRADE": "1_0"}, "tm_trader_grade", "wrong_type"),
        ({"TM_INVESTOR_GRADE": 10**18}, "tm_investor_grade", "out_of_range"),
        ({"TM_INVESTOR_GRADE": 1000}, "tm_investor_grade", "out_of_range"),
        ({"TOKEN_TREND": "odd"}, "token_trend", "wrong_type"),
    ],
)
def test_an_odd_side_field_is_unknown_and_the_stance_goes_on(
    change: dict[str, object], field: str, reason: str
) -> None:
    """S6, S9: a grade or trend that cannot be read is noted; the bearish event of its row still closes a position."""
    good = {"TRADING_SIGNAL": -1, "TOKEN_TREND": -1, "TM_TRADER_GRADE": 50, "TM_INVESTOR_GRADE": 60}
    parsed = read("trading-signals", {**DAY, **good, **change})
    noted = [(one.token_id, one.field, one.reason, one.whole) for one in parsed.refusals]
    # A trend is not even looked at beside an event.
    assert noted == ([] if field == "token_trend" else [(3375, field, reason, False)])
    (signal,) = [datum for datum in parsed.data if isinstance(datum, Signal)]
    assert signal.stance is Stance.BEARISH


def test_a_stance_that_cannot_be_read_leaves_the_grades() -> None:
    """The row's stance is refused, which leaves a hole; what else it says is kept."""
    row = {**DAY, "TRADING_SIGNAL": 7, "TOKEN_TREND": "odd", "TM_TRADER_GRADE": 50}
    parsed = read("trading-signals", row)
    assert [type(datum) for datum in parsed.data] == [Grades]
    assert [(one.field, one.reason, one.whole) for one in parsed.refusals] == [
        ("row", "no_value", True),
        ("token_trend", "wrong_type", False),
        ("trading_signal", "out_of_range", False),
    ]


def test_a_row_without_signal_and_trend_has_no_value() -> None:
    """Missing data is not a neutral stance."""
    assert reasons(read("trading-signals", DAY)) == ["no_value"]
    assert reasons(read("trading-signals", "row")) == ["wrong_type"]


def test_look_alikes_are_dropped_and_counted() -> None:
    """Rows of tokens that share a symbol but were not asked for are no data."""
    other = {**DAY, "TOKEN_ID": 39218, "TRADING_SIGNAL": 1, "TOKEN_TREND": 1}
    parsed = read("trading-signals", other, other, {**DAY, "TRADING_SIGNAL": -1, "TOKEN_TREND": -1})
    assert parsed.strangers == 2
    assert [datum.token_id for datum in parsed.data] == [3375]


def test_rows_that_contradict_each_other_are_both_refused() -> None:
    """Two rows of one token and day: the same twice is one, two different ones are none."""
    one, other = ({**DAY, "TRADING_SIGNAL": sign, "TOKEN_TREND": sign} for sign in (1, -1))
    assert len(read("trading-signals", one, one).data) == 1
    for torn in (read("trading-signals", one, other), read("trading-signals", other, one, one)):
        assert (torn.data, reasons(torn)) == ((), ["contradiction"])
        assert torn.refusals[0].whole


def test_rows_that_contradict_each_other_in_a_side_field_keep_the_rest() -> None:
    """Two grades for one day are none; a grade beside none is the grade; a bare row hides no good one (S12)."""
    one, other, bare = ({**DAY, "TRADING_SIGNAL": -1, "TOKEN_TREND": -1, "TM_TRADER_GRADE": g} for g in (50, 60, None))
    for rows in itertools.permutations((one, other, bare)):
        torn = read("trading-signals", *rows)
        signal = next(datum for datum in torn.data if isinstance(datum, Signal))
        assert (signal.stance, signal.grade) == (Stance.BEARISH, None)
        assert {refused.field for refused in torn.refusals} == {"grade", "trader_grade"}
        assert not any(refused.whole for refused in torn.refusals)
    assert only(read("trading-signals", bare, one), Signal).grade == 50
    measured = read("quantmetrics", DAY, {**DAY, "VOLATILITY": 0.5})
    assert [type(datum) for datum in measured.data] == [QuantMetrics]
    assert reasons(measured) == ["no_value"]


def test_the_order_of_rows_does_not_matter() -> None:
    """A shuffled payload gives the same data and the same refusals in the same order."""
    rows = [
        {**TOKEN, "TOKEN_ID": token, "DATE": f"2025-04-{day:02}", "TRADING_SIGNAL": sign, "TOKEN_TREND": 1}
        for token in (3375, 3306, 39218)
        for day, sign in ((8, 0), (9, 1), (10, 1))
    ]
    rows += [{**TOKEN, "DATE": "2025-04-07", "TRADING_SIGNAL": 7, "TOKEN_TREND": "odd"}] * 2
    straight = read("trading-signals", *rows)
    random.Random(4).shuffle(rows)
    assert read("trading-signals", *rows) == straight
    assert len(straight.data) == 6


@pytest.mark.parametrize(
    ("event", "position", "stance"),
    [
        ("1", "0", Stance.BULLISH),
        (-1, 1, Stance.BEARISH),
        ("0", "1", Stance.BULLISH),
        (0, 0, Stance.BEARISH),
        (None, -1, Stance.BEARISH),
        ("0", "LONG", Stance.BULLISH),
        ("hold", "short", Stance.BEARISH),
        ("bullish", None, Stance.BULLISH),
        ("0", "flat", Stance.NEUTRAL),
    ],
)
def test_hourly_signals_read_event_then_position(event: object, position: object, stance: Stance) -> None:
    """Signal 0 means nothing new: the position stands, 1 long and 0 out, as numbers, digits or words."""
    signal = only(read("hourly-trading-signals", {**HOUR, "SIGNAL": event, "POSITION": position}), Signal)
    assert signal.stance is stance
    assert (signal.feed, signal.published_at) == ("hourly", datetime(2025, 4, 11, 10, tzinfo=UTC))


def test_an_hourly_row_dated_by_day_counts_from_the_end_of_its_day() -> None:
    """T2: which hour is meant is not known, so its signal counts from the next midnight, and its bar is none."""
    dated = {**HOUR, "TIMESTAMP": "2025-04-10"}
    signal = only(read("hourly-trading-signals", {**dated, "SIGNAL": "1"}), Signal)
    assert signal.published_at == datetime(2025, 4, 11, tzinfo=UTC)
    assert reasons(read("hourly-ohlcv", {**dated, **BAR})) == ["bad_date"]


def test_an_hourly_row_whose_state_cannot_be_read_is_refused() -> None:
    """Signal 0 beside a position that is no position says nothing."""
    found = read("hourly-trading-signals", {**HOUR, "SIGNAL": "0", "POSITION": "x"})
    assert (found.data, reasons(found)) == ((), ["wrong_type", "no_value"])


def levels(*values: object) -> Parsed:
    """Read a set of levels."""
    listed = [{"date": "2024-12-17", "level": value} for value in values]
    return read("resistance-support", {**DAY, "HISTORICAL_RESISTANCE_SUPPORT_LEVELS": listed})


def test_levels_ascend_without_duplicates_and_exactly() -> None:
    """Levels come in any order with float noise; the set ascends, each once, with the digits of the wire."""
    found = only(levels(108042, 3967.530000000001, 420, 420.0, "0.135226"), LevelSet)
    assert [plain(level.price) for level in found.levels] == ["0.135226", "420", "3967.530000000001", "108042"]
    assert found.published_at == datetime(2025, 4, 11, tzinfo=UTC)


def test_a_set_with_a_level_that_is_no_price_counts_as_unknown() -> None:
    """S3: zero, a negative and a null level are named, and the set says how many of its levels were not read."""
    parsed = levels(0, -5, None, 100)
    assert sorted(reasons(parsed)) == ["not_positive", "not_positive", "wrong_type"]
    (found,) = parsed.data
    assert isinstance(found, LevelSet)
    assert ([level.price for level in found.levels], found.unread) == ([100], 3)
    renamed = [{"date": "2024-12-17", "price": 100}]
    parsed = read("resistance-support", {**DAY, "HISTORICAL_RESISTANCE_SUPPORT_LEVELS": renamed})
    assert [datum.unread for datum in parsed.data if isinstance(datum, LevelSet)] == [1]


def test_an_empty_set_of_levels_is_a_set_and_a_missing_one_is_not() -> None:
    """A token may have no level; an answer without the field is refused."""
    assert only(levels(), LevelSet).levels == ()
    assert reasons(read("resistance-support", DAY)) == ["missing_field"]
    assert reasons(read("resistance-support", {**DAY, "HISTORICAL_RESISTANCE_SUPPORT_LEVELS": "x"})) == ["wrong_type"]


def test_the_nearest_levels_of_v3_make_a_set() -> None:
    """Without the historical list the named resistances and supports are read, nulls left out."""
    row = {"token_id": 3375, "date": "2025-04-10", "resistance_1": 110, "support_1": 90, "support_2": None}
    assert [level.price for level in only(read("resistance-support", row), LevelSet).levels] == [90, 110]


def test_quantmetrics_are_fractions_with_a_negative_drawdown() -> None:
    """Measures are read exactly; a drawdown given by size becomes negative, nulls stay unknown."""
    row = {**DAY, "VOLATILITY": 0.57, "SHARPE": 0.57, "SORTINO": 0.83, "MAX_DRAWDOWN": 0.79, "CAGR": None}
    found = only(read("quantmetrics", row), QuantMetrics)
    assert (found.volatility, found.sharpe, found.sortino) == (Decimal("0.57"), Decimal("0.57"), Decimal("0.83"))
    assert (found.max_drawdown, found.cagr) == (Decimal("-0.79"), None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"MAX_DRAWDOWN": -79.0}, "out_of_range"),
        ({"VOLATILITY": 0}, "not_positive"),
        ({"VOLATILITY": 57}, "out_of_range"),
        ({"CAGR": 2.1e24}, "out_of_range"),
        ({"CAGR": -2}, "out_of_range"),
        ({"SHARPE": 1e21}, "out_of_range"),
    ],
)
def test_a_measure_in_another_unit_is_unknown(change: dict[str, object], reason: str) -> None:
    """S7, S26: a drawdown in percent would pass every limit, a volatility of zero would size without end."""
    good = {"VOLATILITY": 0.5, "MAX_DRAWDOWN": -0.5, "SHARPE": 1, "SORTINO": 1, "CAGR": 1}
    parsed = read("quantmetrics", {**DAY, **good, **change})
    (name,) = (key.lower() for key in change)
    assert [(one.field, one.reason, one.whole) for one in parsed.refusals] == [(name, reason, False)]
    (found,) = parsed.data
    assert isinstance(found, QuantMetrics)
    assert [key.lower() for key in good if getattr(found, key.lower()) is None] == [name]


def test_undated_grades_are_of_the_hour() -> None:
    """A tm-grade row carries no date: it is of the table rebuilt as the hour began."""
    found = only(read("tm-grade", {**TOKEN, "TM_GRADE": "61.5", "TM_GRADE_24h_PCT_CHANGE": 3}), Grades)
    assert (found.trader_grade, found.investor_grade) == (Decimal("61.5"), None)
    assert found.published_at == datetime(2025, 4, 11, 10, tzinfo=UTC)


def test_a_price_is_a_quote_of_the_instant_we_had_it() -> None:
    """A price becomes a print of one price at known_at; one that is not positive is refused."""
    found = only(read("price", {**TOKEN, "CURRENT_PRICE": 83512.1}), TokenPrint)
    assert (found.timeframe, found.bar.opened_at, found.bar.close) == ("quote", KNOWN, Decimal("83512.1"))
    assert reasons(read("price", {**TOKEN, "CURRENT_PRICE": 0})) == ["not_positive"]
    assert reasons(read("price", TOKEN)) == ["missing_field"]
    assert reasons(read("price", {**TOKEN, "CURRENT_PRICE": 1e200})) == ["out_of_range"]


BAR = {"OPEN": 10, "HIGH": 12, "LOW": 9, "CLOSE": 11}


def test_hours_and_days_are_bars_of_their_span() -> None:
    """A row's instant is the bar's opening; an hour and a day end where the next begins."""
    hour = only(read("hourly-ohlcv", {**HOUR, **BAR}), TokenPrint)
    assert (hour.timeframe, hour.bar.closed_at - hour.bar.opened_at) == ("1h", timedelta(hours=1))
    day = only(read("daily-ohlcv", {**DAY, **BAR}), TokenPrint)
    assert (day.timeframe, day.bar.closed_at) == ("1d", datetime(2025, 4, 11, tzinfo=UTC))
    assert day.bar[2:6] == (10, 12, 9, 11)


def test_an_odd_volume_is_refused_alone() -> None:
    """A volume comes with its bar; one that is no number or below zero leaves the bar without it."""
    assert only(read("hourly-ohlcv", {**HOUR, **BAR, "VOLUME": "7.5"}), TokenPrint).bar.volume == Decimal("7.5")
    assert only(read("hourly-ohlcv", {**HOUR, **BAR}), TokenPrint).bar.volume is None
    for odd in (-1, "many", True):
        found = read("daily-ohlcv", {**DAY, **BAR, "VOLUME": odd})
        assert [datum.bar.volume for datum in found.data if isinstance(datum, TokenPrint)] == [None]
        assert len(reasons(found)) == 1


def test_a_bar_that_was_open_when_we_asked_is_left_out() -> None:
    """The row of the current hour or day is unfinished: no value, and no refusal."""
    unfinished = {**HOUR, **BAR, "TIMESTAMP": "2025-04-11T10:00:00Z"}
    assert read("hourly-ohlcv", unfinished) == Parsed()
    assert read("daily-ohlcv", {**DAY, **BAR, "DATE": "2025-04-11"}) == Parsed()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"HIGH": 10.5}, "inconsistent_bar"),
        ({"LOW": 10.5}, "inconsistent_bar"),
        ({"LOW": 0}, "not_positive"),
        ({"CLOSE": None}, "missing_field"),
        ({"TIMESTAMP": "2025-04-11T09:30:00Z"}, "bad_date"),
    ],
)
def test_a_bar_that_contradicts_itself_is_refused(change: dict[str, object], reason: str) -> None:
    """A close above the high, a price of zero, an hour that begins at half past: refused by name."""
    assert reasons(read("hourly-ohlcv", {**HOUR, **BAR, **change})) == [reason]


def test_listed_tokens_have_a_category_and_a_size_where_given() -> None:
    """The list of tokens gives names, the first category and the market size; no size gives no datum."""
    row = {**TOKEN, "CATEGORY_LIST": [{"category_slug": "layer-1"}], "MARKET_CAP": "1.6e12", "TOTAL_VOLUME": None}
    (listed,) = parse_listed([row, {"TOKEN_ID": 7}, row])
    assert (listed.symbol, listed.category, listed.market_cap) == ("BTC", "layer-1", Decimal("1.6e12"))
    assert only(read("tokens", row), MarketSize).market_cap == Decimal("1.6e12")
    assert read("tokens", {**TOKEN, "CATEGORY_LIST": None}) == Parsed()
    assert reasons(read("tokens", {**TOKEN, "MARKET_CAP": -1})) == ["not_positive"]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"success": true}',
        b'{"success": true, "data": {}}',
        b'{"success": false, "message": "x", "data": []}',
        b'{"data": [' + b"[" * 100_000,
        b"\xff\xfe{",
        b"",
    ],
)
def test_an_answer_that_is_no_envelope_is_an_upstream_failure(body: bytes) -> None:
    """Not JSON, no list, a failure with status 200, nesting without end: all are the provider's failure."""
    with pytest.raises(UpstreamError, match="price"):
        rows_of("price", 200, read_envelope(body), None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "not_finite"),
        ("-Infinity", "not_finite"),
        ("1e99999999999999999999", "not_finite"),
        ("9" * 5000, "out_of_range"),
    ],
)
def test_a_number_that_is_none_refuses_its_row_and_not_the_answer(text: str, reason: str) -> None:
    """S9: NaN, Infinity and numbers without end are read, so that the rows beside them are used."""
    rows = f'{{"TOKEN_ID": 3375, "CURRENT_PRICE": {text}}}, {{"TOKEN_ID": 3306, "CURRENT_PRICE": 5}}'
    envelope = read_envelope(f'\ufeff{{"success": true, "data": [{rows}]}}'.encode())
    assert envelope is not None
    parsed = parse("price", envelope.rows or (), ASKED)
    assert [datum.token_id for datum in parsed.data] == [3306]
    assert [(one.token_id, one.reason) for one in parsed.refusals] == [(3375, reason)]


def test_nothing_found_is_no_failure() -> None:
    """404 with the provider's own words is an empty answer; any other 404 is a failure."""
    error = UpstreamError("404")
    found = read_envelope(b'{"success": false, "message": "Data not found", "length": 0, "data": []}')
    assert rows_of("tokens", 404, found, error) == ()
    with pytest.raises(UpstreamError):
        rows_of("tokens", 404, read_envelope(b'{"message": "no such path"}'), error)


def test_a_refusal_by_the_plan_says_so() -> None:
    """401 is not always a bad key: the plan's refusal names the endpoint and the plan."""
    body = b'{"message": "You are not authorized to access this endpoint with your current plan."}'
    with pytest.raises(AccessError, match=r"tm-grade.*plan does not include"):
        rows_of("tm-grade", 401, read_envelope(body), AccessError("key"))
    with pytest.raises(AccessError, match=r"^key$"):
        rows_of("tm-grade", 401, read_envelope(b'{"message": "bad key"}'), AccessError("key"))
