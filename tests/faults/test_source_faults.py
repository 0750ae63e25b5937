"""Chapter S: what the source does not give is a hole, a refusal or a failed try, and never an order."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from bot.cli.main import main
from bot.domain.errors import UpstreamError
from tests.faults.stub_api import DAY, FEEDS, HOUR, NAMES, Answer, Row, StubApi, at_http, status
from tests.faults.stub_runs import KEY, START, Life, held, rows, stub

OLD = (START - 9 * DAY).date()
NINE = dict.fromkeys(NAMES, OLD)
ENTERED = "select symbol from v_decisions where outcome = 'entered' order by symbol"
SLOTS = [START + number * HOUR for number in range(6)]


def failing(feed: str, part: Callable[[dict[str, str]], bool], fault: Callable[[Answer], Answer]) -> object:
    """Make a hook that answers some queries of a feed with a fault."""
    return lambda asked, params, made: fault(made) if asked == feed and part(params) else made


def test_without_a_fault_the_stub_is_traded(tmp_path: Path) -> None:
    """The stage of all that follows: eight tokens that turned yesterday, all entered at the first slot."""
    life = Life(tmp_path, stub())
    life.run(SLOTS[0])
    assert held(life.ledger) == sorted(list(NAMES.values())[:8])
    assert rows(life.ledger, "select * from v_holes") == []
    assert rows(life.ledger, "select count(*) from v_refusals") == [(0,)]


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_refused_window_of_signals_makes_no_old_turn_fresh(tmp_path: Path, restarts: int) -> None:
    """S1: the window that holds turns of nine days ago answers 429; nobody is bought, before and after it heals."""
    api = stub(NINE)
    life = Life(tmp_path, api)
    of_old = lambda params: params["startDate"] <= str(OLD) <= params["endDate"]  # noqa: E731
    api.answer = failing("trading-signals", of_old, status(429))
    life.run(SLOTS[0])
    assert rows(life.ledger, ENTERED) == []
    reasons = "select distinct gate, reason from v_gates where not passed and gate = 'incomplete_history'"
    assert rows(life.ledger, reasons) == [("incomplete_history", "incomplete_history")]
    held_open = 'select feed, missing, state, attempts from v_holes where "from" <= ? and "to" >= ?'
    (hole,) = rows(life.ledger, held_open.replace("?", f"'{OLD}T00:00:00.000000Z'"))
    assert hole == ("trading-signals", "daily", "open", 1)
    if restarts:
        life.run(SLOTS[1])
        assert rows(life.ledger, "select max(attempts) from v_holes") == [(2,)]
    api.answer = lambda _feed, _params, made: made
    life.run(*SLOTS[2:5])
    assert rows(life.ledger, "select * from v_holes") == []
    assert rows(life.ledger, ENTERED) == []
    aged = "select count(distinct symbol) from v_gates where gate = 'signal_age' and not passed"
    assert rows(life.ledger, aged) == [(len(NAMES),)]
    assert main(["parity", "--ledger", str(life.ledger), "--config", str(tmp_path / "config.toml")]) == 0


def test_a_row_of_signals_that_was_refused_leaves_a_hole_too(tmp_path: Path) -> None:
    """S1: where the row of the turn cannot be read, the day is asked for again, and the token waits until it came."""
    api = stub(NINE)

    def torn(feed: str, made: list[Row]) -> list[Row]:
        odd = {"TRADING_SIGNAL": "odd", "TOKEN_TREND": None}
        at = f"{OLD}T00:00:00.000Z"
        return [{**row, **odd} if feed == "trading-signals" and row["DATE"] == at else row for row in made]

    api.rows = torn
    life = Life(tmp_path, api)
    life.run(*SLOTS[:2])
    assert rows(life.ledger, ENTERED) == []
    assert rows(life.ledger, "select count(distinct token_id) from v_refusals where is_row") == [(len(NAMES),)]
    api.rows = lambda _feed, made: made
    life.run(*SLOTS[2:6])
    assert rows(life.ledger, "select * from v_holes") == []
    assert rows(life.ledger, ENTERED) == []


def test_a_refused_window_of_days_is_asked_again_and_sizes_stay_the_same(tmp_path: Path) -> None:
    """S2: without some days nothing is sized; once they came, the same quantities are bought as without the fault."""
    whole, torn = Life(tmp_path / "whole", stub()), Life(tmp_path / "torn", stub())
    old = str((START - 20 * DAY).date())
    of_old = lambda params: params["startDate"] <= old <= params["endDate"]  # noqa: E731
    torn.api.answer = failing("daily-ohlcv", of_old, status(429))
    torn.run(SLOTS[0])
    assert held(torn.ledger) == []
    torn.api.answer = lambda _feed, _params, made: made
    torn.run(SLOTS[1])
    whole.run(SLOTS[1])
    sizes = "select symbol, quantity, size_bound from v_decisions where outcome = 'entered' order by symbol"
    assert rows(torn.ledger, sizes) == rows(whole.ledger, sizes)
    assert len(held(torn.ledger)) == 8


@pytest.mark.parametrize(
    "odd",
    [
        lambda levels: [{"date": one["date"], "price": one["level"]} for one in levels],
        lambda levels: [{**one, "level": -1} for one in levels[:1]] + levels[1:],
        lambda levels: [*levels, {"date": "2025-01-01", "level": "NaN"}],
        lambda levels: [*levels, None],
        lambda levels: levels[0],
    ],
    ids=["renamed", "negative", "NaN", "null", "no list"],
)
def test_levels_that_cannot_be_read_are_no_free_way_up(tmp_path: Path, odd: Callable[[list[Row]], object]) -> None:
    """S3: a level that may stand above the price and cannot be read keeps the token out, with its refusal."""
    api, key = stub(), "HISTORICAL_RESISTANCE_SUPPORT_LEVELS"
    api.rows = lambda feed, made: (
        [{**row, key: odd(row[key])} for row in made] if feed == "resistance-support" else made  # type: ignore[arg-type]
    )
    life = Life(tmp_path, api)
    target = '[target]\nrule = "level"                      # the nearest resistance that pays enough\nrank_max = 2 '
    life.write((*NAMES.values(),), **{target: '[target]\nrule = "r_multiple"\nmultiple = 2 '})
    life.run(SLOTS[0])
    assert held(life.ledger) == []
    assert rows(life.ledger, "select distinct feed from v_refusals") == [("resistance-support",)]


def test_levels_that_are_all_empty_are_sets(tmp_path: Path) -> None:
    """S8: a token at a new high has no level above and none below: legal, no traceback, and the cycle is committed."""
    api, key = stub(), "HISTORICAL_RESISTANCE_SUPPORT_LEVELS"
    api.rows = lambda feed, made: [{**row, key: []} for row in made] if feed == "resistance-support" else made
    life = Life(tmp_path, api)
    life.run(*SLOTS[:2])
    assert rows(life.ledger, "select count(*), min(state) from v_cycles") == [(2, "committed")]


@pytest.mark.parametrize("order", ["renamed", "gone", "unsized", "bigger"])
def test_a_look_alike_is_never_bought(tmp_path: Path, order: str) -> None:
    """S4: the id of a symbol is pinned by the ledger: what the list says later changes no token."""
    api = stub({3375: (START - DAY).date(), 39218: (START - DAY).date()})
    life = Life(tmp_path, api, ["BTC", "ETH"])
    life.run(SLOTS[0])
    assert held(life.ledger) == ["BTC"]
    named = {"TOKEN_NAME": "Bitcoin", "MARKET_CAP": 1e9, "TOTAL_VOLUME": 1e7}
    like = {"TOKEN_ID": 39218, "TOKEN_NAME": "Look-alike", "TOKEN_SYMBOL": "BTC", "MARKET_CAP": 1e8, "TOTAL_VOLUME": 1}
    mine = {
        "renamed": {"TOKEN_ID": 3375, "TOKEN_SYMBOL": "XBT", **named},
        "gone": {"TOKEN_ID": 5, "TOKEN_SYMBOL": "FIVE", **named},
        "unsized": {"TOKEN_ID": 3375, "TOKEN_SYMBOL": "BTC", **named, "MARKET_CAP": None},
        "bigger": {"TOKEN_ID": 3375, "TOKEN_SYMBOL": "BTC", **named, "MARKET_CAP": 1e6},
    }[order]
    api.listed = {3375: mine, 39218: like}
    life.run(*SLOTS[1:3])
    assert rows(life.ledger, "select distinct token_id from v_trades") == [(3375,)]
    assert rows(life.ledger, "select token_id from v_instruments order by token_id") == [(3306,), (3375,)]
    assert rows(life.ledger, "select count(*) from v_cycles where state = 'committed'") == [(3,)]


def test_a_look_alike_without_a_size_is_ambiguous_and_all_are_told_at_once(tmp_path: Path) -> None:
    """S4, S16: a size that is not given proves nothing; every ambiguous name is told in one error, with its ids."""
    api = stub()
    api.listed = {
        token: {"TOKEN_ID": token, "TOKEN_NAME": "Alike", "TOKEN_SYMBOL": symbol, "MARKET_CAP": None}
        for token, symbol in ((39218, "BTC"), (39220, "ETH"))
    }
    with pytest.raises(Exception, match=r"BTC is the symbol of 3375 .*39218.*; ETH is the symbol of 3306 .*39220"):
        Life(tmp_path, api).run(SLOTS[0])


def test_a_held_token_that_left_every_list_is_managed_to_its_end(tmp_path: Path) -> None:
    """S5: the ledger knows the instrument: it is priced, settled and closed though /tokens has it no more."""
    api = stub({3375: (START - DAY).date()})
    life = Life(tmp_path, api, ["BTC", "ETH"])
    life.run(SLOTS[0])
    assert held(life.ledger) == ["BTC"]
    api.answer = lambda feed, _params, made: status(404)(made) if feed == "tokens" else made
    api.turns = {}
    api.rows = lambda feed, made: (
        [{**row, "TRADING_SIGNAL": -1} for row in made] if feed == "trading-signals" else made
    )
    life.write(["ETH"])
    life.run(SLOTS[1], START + DAY)
    assert rows(life.ledger, "select symbol, exit_reason from v_trades") == [("BTC", "signal_flipped")]


@pytest.mark.parametrize("grade", [1000, 101, -1, True, "NaN", [1], 1e21])
def test_a_bearish_exit_is_not_lost_to_an_odd_grade(tmp_path: Path, grade: object) -> None:
    """S6, S7: the turn to bearish closes eight positions, whatever stands beside it."""
    api = stub()
    life = Life(tmp_path, api)
    life.run(SLOTS[0])
    assert len(held(life.ledger)) == 8
    odd = {"TRADING_SIGNAL": -1, "TOKEN_TREND": -1, "TM_INVESTOR_GRADE": grade}
    api.rows = lambda feed, made: [{**row, **odd} for row in made] if feed == "trading-signals" else made
    life.run(START + DAY)
    assert rows(life.ledger, "select count(*) from v_trades where exit_reason = 'signal_flipped'") == [(8,)]
    assert rows(life.ledger, "select count(*) > 0 from v_refusals where field = 'tm_investor_grade'") == [(1,)]


@pytest.mark.parametrize(
    ("feed", "field"),
    [
        ("quantmetrics", "CAGR"),
        ("quantmetrics", "SHARPE"),
        ("quantmetrics", "VOLATILITY"),
        ("price", "CURRENT_PRICE"),
        ("hourly-ohlcv", "CLOSE"),
        ("daily-ohlcv", "HIGH"),
        ("daily-ohlcv", "VOLUME"),
        ("tokens", "MARKET_CAP"),
        ("trading-signals", "TM_TRADER_GRADE"),
    ],
)
@pytest.mark.parametrize("number", [1e18, 1e20, 2.1e24, 1e31])
def test_no_number_from_outside_ends_the_daemon(tmp_path: Path, feed: str, field: str, number: float) -> None:
    """S7: one huge number of one token is a refusal; the cycles of all others are committed, after a restart too."""
    api = stub()
    api.rows = lambda asked, made: (
        [{**row, field: number} if row["TOKEN_ID"] == 3375 and field in row else row for row in made]
        if asked == feed
        else made
    )
    life = Life(tmp_path, api)
    life.write((*NAMES.values(),), **{"trader_grade_min__=__60": "trader_grade_min = 60\nmarket_cap_min = 1"})
    life.run(SLOTS[0])
    life.run(SLOTS[1])
    assert life.errors == []
    assert rows(life.ledger, "select count(*) from v_cycles where state = 'committed'") == [(2,)]
    assert rows(life.ledger, "select distinct feed, token_id, reason from v_refusals") == [(feed, 3375, "out_of_range")]
    assert len(held(life.ledger)) >= 7


def test_a_provider_that_is_down_leaves_failed_slots_and_reasons(tmp_path: Path) -> None:
    """S13, S15: where nothing answers nothing is committed, and v_cycles says why until a later slot caught it up."""
    api = stub()
    life = Life(tmp_path, api)
    life.run(SLOTS[0])
    api.answer = lambda _feed, _params, _made: httpx.ConnectError("down")
    life.run(*SLOTS[1:3])
    assert [type(error) for error in life.errors] == [UpstreamError, UpstreamError]
    states = rows(life.ledger, "select state, reason from v_cycles order by slot")
    assert [state for state, _ in states] == ["committed", "failed", "failed"]
    assert "GET /v2/price at localhost" in str(states[1][1])
    api.answer = lambda _feed, _params, made: made
    life.run(SLOTS[3])
    states = rows(life.ledger, "select state from v_cycles order by slot")
    assert [state for (state,) in states] == ["committed", "missed", "missed", "caught_up"]


def test_what_a_host_asked_for_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    """S17: Retry-After of ten minutes on prices holds over slots and processes, and is over when it is over."""
    api = stub()
    life = Life(tmp_path, api)
    life.run(SLOTS[0])
    wait = at_http(SLOTS[1] + timedelta(hours=1, minutes=30))
    api.answer = failing("price", lambda _: True, status(429, retry_after=wait))  # type: ignore[assignment]
    life.run(SLOTS[1])
    api.asked.clear()
    life.run(SLOTS[2])
    assert api.asked == []
    assert rows(life.ledger, "select count(*) from v_cycles where state = 'failed'") == [(2,)]
    api.answer = lambda _feed, _params, made: made
    life.run(SLOTS[3])
    assert rows(life.ledger, "select state from v_cycles order by slot desc limit 1") == [("caught_up",)]


def test_a_price_far_off_is_held_back_until_a_bar_confirms_it(tmp_path: Path) -> None:
    """S26: a quote a hundred times the last close fills and marks nothing; a closed bar at that price lets it in."""
    api = stub({3375: (START - DAY).date()})
    life = Life(tmp_path, api, ["BTC", "ETH"])
    api.rows = lambda feed, made: (
        [{**row, "CURRENT_PRICE": 10_000} for row in made] if feed == "price" else made
    )
    life.run(SLOTS[0])
    assert held(life.ledger) == []
    assert rows(life.ledger, "select distinct reason, value from v_refusals") == [("implausible_price", '"10000"')]
    flat = dict.fromkeys(("OPEN", "HIGH", "LOW", "CLOSE"), 10_000)

    def confirmed(feed: str, made: list[Row]) -> list[Row]:
        at = SLOTS[1].isoformat()
        changed = [{**row, **flat} if row.get("TIMESTAMP") == at else row for row in made]
        return [{**row, "CURRENT_PRICE": 10_000} for row in changed] if feed == "price" else changed

    api.rows = confirmed
    life.run(SLOTS[2])
    assert rows(life.ledger, "select max(c) from v_bars where timeframe = 'quote'") == [(10_000,)]


def ledger_bytes(ledger: Path) -> bytes:
    """Read everything that a ledger has on the disk."""
    return b"".join(path.read_bytes() for path in ledger.parent.glob(f"{ledger.name}*"))


@pytest.mark.parametrize("code", [200, 400, 401, 500])
def test_a_key_that_an_answer_echoes_is_not_kept(tmp_path: Path, code: int) -> None:
    """S22: wherever the provider repeats the key, body, row or header, the ledger holds none of it."""
    echo = f'{{"success": true, "message": "key {KEY}", "data": [{{"TOKEN_ID": "{KEY}"}}]}}'.encode()
    api = stub()
    life = Life(tmp_path, api)
    life.run(SLOTS[0])
    headers = {"x_request_id": KEY, "retry_after": "1"}
    api.answer = lambda feed, _params, made: made if feed == "price" else status(code, echo, **headers)(made)
    life.run(SLOTS[1], START + DAY)
    assert KEY.encode() not in ledger_bytes(life.ledger)
    found = rows(life.ledger, "select count(*) from v_api_calls where error is not null or rows = 1")
    assert int(str(found[0][0])) > 0


def cycles_of(ledger: Path) -> Sequence[object]:
    """List the states of cycles."""
    return [state for (state,) in rows(ledger, "select state from v_cycles order by slot")]


def test_the_feeds_are_all_asked(tmp_path: Path) -> None:
    """The matrix below breaks every feed that the run asks for."""
    api: StubApi = stub()
    life = Life(tmp_path, api)
    life.write((*NAMES.values(),), **{"trader_grade_min__=__60": "trader_grade_min = 60\nmarket_cap_min = 1"})
    life.run(SLOTS[0])
    assert {feed for feed, _ in api.asked} == set(FEEDS)
    assert cycles_of(life.ledger) == ["committed"]


Told = pytest.CaptureFixture[str]


@pytest.mark.parametrize("feed", ["resistance-support", "quantmetrics", "daily-ohlcv", "trading-signals"])
def test_once_ends_with_69_and_a_line_where_a_needed_feed_failed(tmp_path: Path, feed: str, capsys: Told) -> None:
    """S13: the cycle is committed, candidates wait, and cron users see which feed failed."""
    life = Life(tmp_path, stub())
    life.api.answer = failing(feed, lambda _: True, status(502))  # type: ignore[assignment]
    assert life.call("once", "--at", f"{START:%Y-%m-%dT%H:%MZ}") == 69
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"bot: failed: {feed}: GET /v2/{feed}: 502")
    assert cycles_of(life.ledger) == ["committed"]


def test_once_ends_with_69_where_nothing_answered_and_keeps_the_try(tmp_path: Path, capsys: Told) -> None:
    """S13, S15: one line, 69, and the failed slot with its reason."""
    life = Life(tmp_path, stub())
    life.run(SLOTS[0])
    life.api.answer = lambda _feed, _params, _made: httpx.ReadTimeout("slow")
    assert life.call("once", "--at", f"{SLOTS[1]:%Y-%m-%dT%H:%MZ}") == 69
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bot: GET /v2/price: no answer in time")
    assert rows(life.ledger, "select state, reason from v_cycles order by slot desc limit 1") == [
        ("failed", line.removeprefix("bot: "))
    ]


def test_once_says_how_many_rows_were_refused(tmp_path: Path, capsys: Told) -> None:
    """A field that cannot be read is told on stderr, and the code stays 0."""
    life = Life(tmp_path, stub())
    life.api.rows = lambda feed, made: [{**row, "CAGR": "x"} for row in made] if feed == "quantmetrics" else made
    assert life.call("once", "--at", f"{START:%Y-%m-%dT%H:%MZ}") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bot: {len(NAMES)} rows or fields refused (v_refusals): wrong_type: quantmetrics: token ")


def test_check_asks_each_feed_and_shows_what_it_resolved(tmp_path: Path, capsys: Told) -> None:
    """S16: id, name and size of each token; a feed that fails and one without rows are told, and end with 69."""
    life = Life(tmp_path, stub(), ["BTC", "ETH"])
    assert life.call("check") == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("3375", "Btc", "1000000000", *(feed for feed in FEEDS if feed != "tokens")))
    life.api.answer = failing("quantmetrics", lambda _: True, status(401, b'{"message": "... your current plan."}'))  # type: ignore[assignment]
    life.api.rows = lambda feed, made: [] if feed == "trading-signals" else made
    assert life.call("check") == 69
    lines = capsys.readouterr().err.splitlines()
    assert any("quantmetrics: the key's plan does not include this endpoint" in line for line in lines)
    assert "bot: trading-signals: no row for these tokens: does the plan include it?" in lines
    assert not life.ledger.exists()


def test_check_says_that_a_token_was_renamed(tmp_path: Path, capsys: Told) -> None:
    """S4: the ledger knows 3375 as BTC, the provider as XBT: the name is told, and the token stays."""
    life = Life(tmp_path, stub(), ["BTC", "ETH"])
    life.run(SLOTS[0])
    life.api.listed = {3375: {"TOKEN_ID": 3375, "TOKEN_NAME": "Bitcoin", "TOKEN_SYMBOL": "XBT", "MARKET_CAP": 1e9}}
    assert life.call("check") == 0
    assert "bot: identity_changed: token 3375 is BTC here, XBT there" in capsys.readouterr().err


def test_status_shows_the_feeds_what_did_not_come_and_what_could_not_be_read(tmp_path: Path, capsys: Told) -> None:
    """S30: error rate, percentiles and freshness of each feed, its holes and its refusals, as a table and as data."""
    life = Life(tmp_path, stub())
    life.run(SLOTS[0])
    life.api.answer = failing("price", lambda _: True, status(502))  # type: ignore[assignment]
    life.api.rows = lambda feed, made: [{**row, "CAGR": "x"} for row in made] if feed == "quantmetrics" else made
    life.run(SLOTS[1], START + DAY)
    assert main(["status", "--feeds", "--ledger", str(life.ledger), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    feeds = {row["feed"]: row for row in told["feeds"]}
    assert feeds["quantmetrics"]["error_rate"] == 0
    assert 0 < feeds["price"]["error_rate"] < 1
    assert feeds["price"]["p50"] <= feeds["price"]["p95"] <= feeds["price"]["p99"]
    assert [(row["feed"], row["missing"]) for row in told["holes"]] == [("price", "quote")]
    assert [(row["field"], row["times"]) for row in told["refusals"]] == [("cagr", 2 * len(NAMES))]
    assert main(["status", "--feeds", "--ledger", str(life.ledger)]) == 0
    lines = capsys.readouterr().out
    assert all(word in lines for word in ("error_rate", "what did not come", "what could not be read", "cagr"))


@pytest.mark.parametrize("named", ["BTC", "3375"])
def test_why_says_what_the_source_did_not_give(tmp_path: Path, named: str, capsys: Told) -> None:
    """S14, S15: the failed slot, the hole and the refused field of a token stand below its last decision."""
    life = Life(tmp_path, stub())
    life.api.rows = lambda feed, made: [{**row, "CAGR": "x"} for row in made] if feed == "quantmetrics" else made
    life.api.answer = failing("daily-ohlcv", lambda _: True, status(502))  # type: ignore[assignment]
    life.run(SLOTS[0])
    life.api.answer = lambda _feed, _params, _made: httpx.ReadTimeout("slow")
    life.run(SLOTS[1])
    capsys.readouterr()
    assert main(["why", named, "--ledger", str(life.ledger)]) == 0
    told = capsys.readouterr().out
    assert f"the slot of {SLOTS[1]:%Y-%m-%d %H:%M}Z failed: GET /v2/price: no answer in time" in told
    assert "daily-ohlcv of 2025-02-12 00:00Z to" in told
    assert "quantmetrics: cagr was refused 1 times" in told
