"""The public views: their columns as the contract lists them, and the numbers of a run that can be done by hand."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from bot.adapters.sql.engine import begin
from bot.adapters.sql.ledger import SqlLedger, writing
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.schema.revisions import REVISIONS
from bot.adapters.sql.schema.spelling import spell
from bot.adapters.sql.tape import SqlTape
from bot.adapters.sql.views import VIEWS
from bot.domain.market import Bar
from bot.domain.numbers import Price
from bot.domain.tape import TokenPrint
from tests.contract.ledger_samples import ETH, HOUR, RUN, SOL, TEN, d, signal, story
from tests.contract.questions import ask
from tests.contract.tape_samples import api_call, recorded

TRADE_COLUMNS = (
    "run position_id signal_id symbol token_id side is_open opened_at closed_at quantity entry_price exit_price"
    " notional fees profit profit_fraction r_multiple stop_initial stop_last target stop_source target_source"
    " exit_reason profit_pessimistic profit_optimistic mae mfe config_hash closed_day held_hours"
)
ORDER_COLUMNS = (
    "run order_id position_id symbol side role state reason quantity price fee fill_model filled_at"
    " config_hash"
)
DATUM_COLUMNS = "token_id symbol published_at known_at"

EQUITY_COLUMNS = (
    "run slot cash positions_value equity high_water_mark drawdown drawdown_deepest exposure open_positions"
)
# The revisions that changed the views, the newest first, each with the digest of the views since.
CHANGES = {
    "0008": "347347b36e28e755",
    "0007": "ad652ea71f70ec8f",
}
CONTRACT = {
    "v_trades": TRADE_COLUMNS,
    "v_open_positions": f"{TRADE_COLUMNS} mark_price unrealised_profit age_hours",
    "v_orders": f"{ORDER_COLUMNS} part",
    "v_fills": ORDER_COLUMNS,
    "v_decisions": "run slot symbol token_id signal_id outcome first_reason reference_price stop target reward_risk"
    " quantity size_bound side config_hash",
    "v_gates": "run slot symbol gate value comparator threshold passed reason config_hash",
    "v_gate_funnel": "run gate candidates passed failed only_failure",
    "v_equity": f"{EQUITY_COLUMNS} drawdown_high drawdown_started_at drawdown_trough_at drawdown_recovered_at",
    "v_equity_daily": f"{EQUITY_COLUMNS} day benchmark",
    "v_runs": "name strategy cash started_at kind identity",
    "v_instruments": "run token_id symbol name category quantity_step price_tick",
    "v_configurations": "hash text",
    "v_bars": "token_id symbol timeframe opened_at closed_at o h l c volume known_at",
    "v_cycles": "run slot cut_off state started_at finished_at seconds entries exits rejections config_hash"
    " code_version reason",
    "v_failed_tries": "run slot attempt at reason",
    "v_api_calls": "at endpoint status attempts seconds bytes rows credits request_id answer_hash day"
    " provider_request_id error",
    "v_api_attempts": "at endpoint request_id number status seconds error retry_after provider_request_id",
    "v_refusals": "feed token_id symbol field reason value is_row known_at request_id answer_hash",
    "v_holes": "feed tokens from to attempts next_at state reason missing",
    "v_feeds": "feed calls error_rate p50 p95 p99 rows credits freshest_at revisions last_good_at",
    "v_signals": f"{DATUM_COLUMNS} stance grade confidence",
    "v_levels": f"{DATUM_COLUMNS} price strength",
    "v_quantmetrics": f"{DATUM_COLUMNS} volatility sharpe sortino max_drawdown cagr",
    "v_grades": f"{DATUM_COLUMNS} trader_grade investor_grade",
    "v_signal_scorecard": "signal_id stance return_1h return_4h return_1d return_7d grade_bucket taken",
    "v_parity": "run checked_at first_slot last_slot cycles answers is_identical row_hash code_version kind differs_at"
    " what stored derived",
    "v_postings": "entry_id run account amount at",
    "v_sweep": "trial_id sweep strategy parameters window_from window_to is_test seed code_version trades final_equity"
    " total_return sharpe sortino calmar max_drawdown profit_factor expectancy sqn exposure_time turnover reasons",
    "v_ledger_check": "check_name subject detail",
    "v_run_events": "run slot number kind name state notice value threshold action until equity token_id symbol"
    " request_id",
    "v_stop_moves": "run slot symbol token_id position_id number moved_at price reason level",
    "v_slot_levels": "run slot symbol token_id candidate_id number price strength strength_source merged kind",
    "v_near_misses": "run slot symbol token_id signal_id gate value comparator threshold reason",
}


def digest_of(views: Mapping[str, str]) -> str:
    """Digest the names and texts of views, as both databases read them."""
    spelled = [(name, *(spell(text, dialect) for dialect in ("sqlite", "postgresql"))) for name, text in views.items()]
    return hashlib.sha256(repr(spelled).encode()).hexdigest()[:16]


@pytest.fixture
def told(book: SqlLedger) -> SqlLedger:
    """The sample run, committed."""
    book.commit_all(story())
    return book


def test_every_view_has_the_columns_of_the_contract(told: SqlLedger) -> None:
    """Names and columns that people's queries rely on are there."""
    for view, columns in CONTRACT.items():
        found = ask(told, f"SELECT * FROM (SELECT 1 AS one) AS o LEFT JOIN {view} AS v ON 1 = 1")
        assert set(columns.split()) <= set(found[0]), view


def test_the_views_have_changed_only_with_a_revision() -> None:
    """A ledger that exists gets another view only by a revision: add one, then name it here with the views' digest."""
    revision, digest = next(iter(CHANGES.items()))
    assert digest_of(VIEWS) == digest
    assert revision in REVISIONS


def test_no_view_is_left_out_of_the_contract() -> None:
    """Each view that the code makes has its promised columns listed here."""
    assert set(VIEWS) == set(CONTRACT)


def test_a_closed_trade_is_told_in_full(told: SqlLedger) -> None:
    """Fees, net profit, fractions, R and the band of a trade stopped out, as computed by hand."""
    (trade,) = ask(told, "SELECT * FROM v_trades WHERE symbol = 'SOL'")
    assert not trade["is_open"]
    assert trade["opened_at"] == "2024-03-01T10:00:00.000000Z"
    assert trade["closed_at"] == "2024-03-01T11:00:00.000000Z"
    expected = {
        "quantity": 12.5,
        "entry_price": 100.1,
        "exit_price": 95.45,
        "notional": 1251.25,
        "fees": 2.444375,
        "profit": -60.569375,
        "profit_fraction": -60.569375 / 1251.25,
        "r_multiple": -60.569375 / (12.5 * 4.6),
        "stop_initial": 95.5,
        "stop_last": 95.5,
        "target": 120,
        "profit_pessimistic": -60.569375,
        "profit_optimistic": 200,
        "mae": -0.046453546453546454,
        "quantity_open": 0,
    }
    assert {name: trade[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert (trade["exit_reason"], trade["stop_source"], trade["side"]) == ("stop_hit", "level", "long")


def test_an_open_position_counts_what_has_happened(told: SqlLedger) -> None:
    """An open trade shows its entry fee as fees and as loss so far, and its mark apart from it."""
    (held,) = ask(told, "SELECT * FROM v_open_positions")
    assert held["is_open"]
    assert (held["symbol"], held["closed_at"], held["exit_price"], held["exit_reason"]) == ("ETH", None, None, None)
    figures = {"fees": 1.25125, "profit": -1.25125, "mark_price": 104.1, "unrealised_profit": 50.0, "age_hours": 1}
    assert {name: held[name] for name in figures} == pytest.approx(figures)


def test_orders_show_where_they_stand(told: SqlLedger) -> None:
    """Each order has its newest state, why, and when it got there."""
    found = ask(told, "SELECT symbol, role, state, reason, fee, filled_at FROM v_orders ORDER BY symbol DESC, role")
    states = {(row["symbol"], row["role"]): (row["state"], row["reason"], row["fee"]) for row in found}
    assert states == {
        ("SOL", "entry"): ("filled", None, pytest.approx(1.25125)),
        ("SOL", "stop"): ("filled", "stop_hit", pytest.approx(1.193125)),
        ("SOL", "target"): ("cancelled", "position_closed", None),
        ("ETH", "entry"): ("filled", None, pytest.approx(1.25125)),
        ("ETH", "stop"): ("accepted", None, None),
        ("ETH", "target"): ("accepted", None, None),
    }
    fills = ask(told, "SELECT role, price, state, slot FROM v_fills WHERE symbol = 'SOL' ORDER BY slot")
    assert [(row["role"], row["price"], row["state"]) for row in fills] == [
        ("entry", pytest.approx(100.1), "filled"),
        ("stop", pytest.approx(95.45), "filled"),
    ]


def test_decisions_and_gates_explain_each_candidate(told: SqlLedger) -> None:
    """A refusal names its first reason, and the gate that failed says which input was missing."""
    decisions = ask(told, "SELECT symbol, outcome, first_reason, reward_risk FROM v_decisions ORDER BY slot, symbol")
    assert [(row["symbol"], row["outcome"], row["first_reason"]) for row in decisions] == [
        ("ETH", "rejected", "trader_grade_min"),
        ("SOL", "entered", None),
        ("ETH", "entered", None),
    ]
    assert decisions[0]["reward_risk"] == pytest.approx(4.444444444444444444)
    (gate,) = ask(told, "SELECT gate, value, comparator, threshold, reason FROM v_gates WHERE NOT passed")
    assert gate == {
        "gate": "trader_grade_min",
        "value": None,
        "comparator": ">=",
        "threshold": 60,
        "reason": "missing_grade",
    }
    funnel = ask(told, "SELECT * FROM v_gate_funnel ORDER BY gate")
    assert [(row["gate"], row["candidates"], row["passed"], row["failed"], row["only_failure"]) for row in funnel] == [
        ("reward_risk_min", 3, 3, 0, 0),
        ("trader_grade_min", 3, 2, 1, 1),
    ]


def test_equity_cycles_and_postings_are_in_quote_currency(told: SqlLedger) -> None:
    """Micro-dollars leave the ledger as dollars, seconds as seconds."""
    (last,) = ask(told, "SELECT * FROM v_equity ORDER BY slot DESC LIMIT 1")
    assert (last["cash"], last["equity"], last["exposure"]) == pytest.approx((8686.929375, 9988.179375, 0.125))
    assert [row["seconds"] for row in ask(told, "SELECT seconds FROM v_cycles")] == [2.5, 2.5, 2.5]
    sums = ask(told, "SELECT account, sum(amount) AS amount FROM v_postings GROUP BY account ORDER BY account")
    assert {row["account"]: row["amount"] for row in sums} == pytest.approx(
        {
            "capital": -10000,
            "cash": 10000 - 2 * 1252.50125 + 1191.931875,
            "fees": 2 * 1.25125 + 1.193125,
            "position": 1251.25,
            "profit": 58.125,
        }
    )


def test_right_books_raise_no_check(told: SqlLedger) -> None:
    """The view of violations is empty for a run that is right."""
    assert ask(told, "SELECT * FROM v_ledger_check") == []


def test_what_was_recorded_is_shown(book: SqlLedger) -> None:
    """Recorded data and requests appear with the symbol their run gives the token."""
    tape = SqlTape(book.engine)
    tape.rows(recorded())
    tape.answer(api_call("a" * 64), b'{"data":[]}')
    (shown,) = ask(book, "SELECT symbol, stance, grade, signal_id FROM v_signals")
    assert shown == {"symbol": "SOL", "stance": "bullish", "grade": 87.5, "signal_id": signal(SOL).signal_id}
    found = ask(book, "SELECT price, strength FROM v_levels ORDER BY number")
    assert [(row["price"], row["strength"]) for row in found] == [(95.5, 0.75), (120, None)]
    (call,) = ask(book, "SELECT endpoint, status, seconds, bytes, rows, credits FROM v_api_calls")
    assert call == {"endpoint": "trading-signals", "status": 200, "seconds": 0.12, "bytes": 11, "rows": 1, "credits": 1}


def test_the_scorecard_measures_what_came_after_a_signal(told: SqlLedger) -> None:
    """Returns run from the first price that could be had to the first one at each horizon, else they are empty."""
    had_at = signal(SOL).known_at
    tape = SqlTape(told.engine)
    prices = ((0, "100"), (1, "110"), (4, "90"), (24, "150"))
    tape.rows([_hourly(had_at + hours * HOUR, price) for hours, price in prices])
    tape.rows([signal(ETH)])
    sol, eth = ask(told, "SELECT * FROM v_signal_scorecard ORDER BY token_id DESC")
    assert (sol["return_1h"], sol["return_4h"], sol["return_1d"]) == pytest.approx((0.1, -0.1, 0.5))
    assert sol["return_7d"] is None
    assert sol["grade_bucket"] == "80-100"
    assert sol["taken"]
    assert eth["return_1h"] is None


def _hourly(closed_at: datetime, price: str) -> TokenPrint:
    paid = Price(d(price))
    bar = Bar(closed_at - HOUR, closed_at, paid, paid, paid, paid)
    return TokenPrint(token_id=SOL, timeframe="1h", known_at=closed_at, bar=bar)


def test_a_reader_takes_named_parameters(told: SqlLedger, made_url: str) -> None:
    """Instants, texts and nothing can be asked for by name on both databases, beside the writer."""
    statement = "SELECT slot FROM v_cycles WHERE run = :run AND slot <= :at ORDER BY slot"
    found = Reader(made_url).rows(statement, {"run": RUN, "at": TEN + HOUR})
    assert len(found) == 2
    again = Reader(made_url).rows(statement, {"run": RUN, "at": found[0]["slot"]})
    assert len(again) == 1


@pytest.mark.parametrize("view", ["v_trades", "v_open_positions", "v_orders", "v_fills"])
def test_a_row_is_not_looked_for_among_all_of_its_run(tmp_path: Path, view: str) -> None:
    """Years of trades are read in the time they take: no join goes through a run's whole table for each of its rows."""
    with writing(f"sqlite:///{tmp_path}/ledger.db", create=True) as book, begin(book.engine) as connection:
        plan = [str(row.detail) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN SELECT * FROM {view}")]
    assert not [step for step in plan if "_run_slot (run=?)" in step]
