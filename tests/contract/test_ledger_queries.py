"""Every query of the documents, on both databases: each runs and finds rows, and some are compared with plain sums."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.adapters.sql.beside import Store
from bot.adapters.sql.dictionary import VIEW_TEXTS, describe, load_texts
from bot.adapters.sql.ledger import SqlLedger, writing
from bot.adapters.sql.migrate import upgrade
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.tape import SqlTape
from bot.adapters.sql.views import VIEWS
from bot.domain.decisions import EquityMark, Fact
from bot.domain.ids import TokenId
from bot.domain.market import Bar, Level, LevelSet
from bot.domain.numbers import Price
from bot.domain.orders import Role
from bot.domain.record import CycleRecord, CycleState
from bot.domain.tape import Datum, HoleState, TokenPrint
from tests.contract.decision_samples import BOTH, THIRTEEN, both_ways
from tests.contract.ledger_samples import (
    ETH,
    HOUR,
    RUN,
    SOL,
    TEN,
    cycle,
    d,
    equity,
    mark,
    opened,
    order,
    parity_check,
    signal,
    story,
)
from tests.contract.questions import ask
from tests.contract.tape_samples import api_call, hole, recorded
from tests.contract.trial_samples import TRIAL
from tests.ledger_reference import queries

DAY = 24 * HOUR
BENCHMARK = {TEN: "10000", TEN + DAY: "10150"}
# Instants and sweeps that the documents name, and those that the ledger here has.
NAMED = {"2025-03-07T12": "2024-03-01T12"}
EMPTY = "select check_name"
QUERIES = list(queries())


def detailed(fact: Fact) -> Fact:
    """Add what the samples leave out of marks: the benchmark of the one run, the drawdown of the other."""
    if not isinstance(fact, EquityMark):
        return fact
    if fact.run == RUN:
        return replace(fact, benchmark=d(BENCHMARK[fact.slot]) if fact.slot in BENCHMARK else None)
    fallen = {"drawdown_deepest": d("0.02"), "drawdown_high": d("10060"), "drawdown_started_at": TEN}
    return replace(fact, **fallen, drawdown_trough_at=THIRTEEN)  # type: ignore[arg-type]


def told() -> Iterator[CycleRecord]:
    """Tell both sample runs, another day of the one and a missed slot of the other."""
    held = order(TEN + HOUR, ETH, Role.ENTRY, "100")
    later = (mark(held, TEN + DAY, "110"), equity(TEN + DAY, "8686.929375", "1375"))
    for record in (*story(), CycleRecord(cycle=cycle(TEN + DAY), facts=later), *both_ways()):
        yield replace(record, facts=tuple(detailed(fact) for fact in record.facts))
    yield CycleRecord(cycle=cycle(THIRTEEN + HOUR, BOTH, CycleState.MISSED), facts=())


def bar_of(token: TokenId, opens: int, length: timedelta, close: str, span: str) -> TokenPrint:
    """Make the bar that opens so many lengths after ten o'clock and ends at this price."""
    at = TEN + opens * length
    bar = Bar(at, at + length, Price(d("100")), Price(d("120")), Price(d("60")), Price(d(close)))
    return TokenPrint(token_id=token, timeframe=span, known_at=bar.closed_at, bar=bar)


def heard() -> list[Datum]:
    """Make what was recorded: a signal in two versions, a resistance above an entry, bars of hours and days."""
    revised = replace(signal(SOL), known_at=TEN, grade=d("90"))
    above = LevelSet(token_id=ETH, published_at=TEN, known_at=TEN + HOUR / 2, levels=(Level(Price(d("104"))),))
    closes = ("100", "110", "99", "105", "90")
    days = [bar_of(SOL, number, DAY, close, "1d") for number, close in enumerate(closes)]
    days += [bar_of(ETH, number, DAY, str(2 * int(close)), "1d") for number, close in enumerate(closes)]
    return [*recorded(), revised, above, bar_of(SOL, 0, HOUR, "101", "1h"), *days]


@pytest.fixture
def book(made_url: str) -> Iterator[SqlLedger]:
    """A ledger with something to find for every query, on either database."""
    with writing(made_url, create=True) as book:
        opened(opened(book), BOTH).commit_all(list(told()))
        tape = SqlTape(book.engine)
        tape.rows(heard())
        tape.answer(api_call(None), None)
        tape.note([hole(HoleState.OPEN, TEN)])
        tape.answer(replace(api_call("a" * 64), request_id="req-2", attempts=2), b'{"data":[]}')
        trials = [replace(TRIAL, sweep="distances"), replace(TRIAL, trial_id="trial-2", sweep="distances_walked")]
        Store(book.engine).append([parity_check(TEN + DAY), trials[0], replace(trials[1], is_test=True)])
        yield book


def found_by(book: SqlLedger, question: str) -> list[dict[str, Any]]:
    """Ask the one query of the documents whose question begins so."""
    (asked,) = (asked for _, said, asked in QUERIES if said.startswith(question))
    return ask(book, asked)


def test_every_query_of_the_documents_finds_rows(book: SqlLedger) -> None:
    """Each runs as it stands on both databases; only the list of violations finds nothing."""
    empty = []
    for _, _, asked in QUERIES:
        here = asked
        for named, ours in NAMED.items():
            here = here.replace(named, ours)
        if not ask(book, here):
            empty.append(asked)
    assert [asked.partition(",")[0] for asked in empty] == [EMPTY]
    assert len([said for name, said, _ in QUERIES if name == "ledger.md" and said]) >= 20


def test_the_queries_compute_what_plain_sums_do(book: SqlLedger) -> None:
    """Figures of trades, costs and the account agree with Python's, made from the rows and from the samples."""
    trades: list[dict[str, Any]] = ask(book, "select * from v_trades")
    closed = [one for one in trades if not one["is_open"]]

    by_month = {one["run"]: one for one in found_by(book, "How often did trades win")}
    for run in (RUN, BOTH):
        profits = [one["profit"] for one in closed if one["run"] == run]
        assert by_month[run]["month"] == "2024-03"
        assert by_month[run]["win_rate"] == pytest.approx(sum(profit > 0 for profit in profits) / len(profits))
        assert by_month[run]["profit"] == pytest.approx(sum(profits))

    by_category = {(one["run"], one["category"]): one["profit"] for one in found_by(book, "What did each category")}
    assert by_category[RUN, "layer-1"] == pytest.approx(-60.569375)
    assert by_category[BOTH, None] == pytest.approx(59.3398)

    # Long entries 12.5 x (100.1 - 100) twice; a long stop of 95.5 filled at 95.45.
    # A short sold 10 at 99.9, decided at 100, and covered at 101.07, its stop by then at 101; a long 4 x (50.05 - 50).
    paid = {(one["run"], one["role"]): one["paid"] for one in found_by(book, "What did slippage cost")}
    assert paid == {
        (RUN, "entry"): pytest.approx(2.5),
        (RUN, "stop"): pytest.approx(12.5 * 0.05),
        (BOTH, "entry"): pytest.approx(10 * 0.1 + 4 * 0.05),
        (BOTH, "stop"): pytest.approx(10 * 0.07),
        (BOTH, "target"): pytest.approx(0),
    }

    for share in found_by(book, "Which share do fees take"):
        of_run = [one for one in trades if one["run"] == share["run"]]
        fees = sum(one["fees"] for one in of_run)
        assert share["of_entries"] == pytest.approx(fees / sum(one["notional"] for one in of_run))
        assert share["of_profit_before_fees"] == pytest.approx(fees / (sum(one["profit"] for one in of_run) + fees))

    (against,) = found_by(book, "Was it better than holding")
    assert (against["made"], against["held"]) == pytest.approx(((8686.929375 + 1375) / 10000 - 1, 0.015))
    days = [one for one in found_by(book, "What was the equity of each day") if one["run"] == RUN]
    assert [one["daily_return"] for one in days] == [None, pytest.approx((8686.929375 + 1375) / 10000 - 1)]

    (risk,) = found_by(book, "What is at risk now")
    assert risk["at_risk"] == pytest.approx((110 - 95.5) * 12.5)
    in_fall = found_by(book, "Why: which trades were held in it")
    assert [(one["run"], one["symbol"]) for one in in_fall] == [(BOTH, "SOL"), (BOTH, "ETH")]
    (near,) = found_by(book, "Which entries had a recorded resistance")
    assert (near["run"], near["symbol"], near["resistance"]) == (RUN, "ETH", 104)
    (together,) = found_by(book, "Do the tokens that were traded move together")
    assert (together["days"], together["r_squared"]) == (4, pytest.approx(1))


def test_what_may_be_unknown_says_when(book: SqlLedger) -> None:
    """A column with a NULL in any row has a text that says what NULL means."""
    for view in VIEWS:
        rows = ask(book, f"select * from {view}")
        unknown = {name for row in rows for name, value in row.items() if value is None}
        assert [name for name in unknown if "NULL" not in describe(view, name)] == [], view


def test_words_and_numbers_of_postgresql_read_as_those_of_sqlite(postgres_database: str) -> None:
    """Words are text, beside other text, and numbers have no zeros after their last digit."""
    with writing(postgres_database, create=True) as book:
        opened(book).commit_all(story())
        kinds = "select distinct data_type as kind from information_schema.columns where table_name like 'v\\_%'"
        assert "character varying" not in {one["kind"] for one in ask(book, kinds)}
        (price,) = ask(book, "select cast(exit_price as text) as shown from v_trades where exit_reason = 'stop_hit'")
        assert price == {"shown": "95.45"}


def test_postgresql_says_what_every_view_and_column_means(postgres_database: str) -> None:
    """The comments are the texts of the dictionary, for each view and each column."""
    upgrade(postgres_database)
    statement = """select c.relname, a.attname, obj_description(c.oid) as of_view,
    col_description(c.oid, a.attnum) as of_column from pg_class c
    join pg_attribute a on a.attrelid = c.oid where c.relkind = 'v' and c.relname like 'v\\_%'"""
    found = Reader(postgres_database).rows(statement, {})
    assert {str(row["relname"]) for row in found} == set(VIEWS)
    for row in found:
        assert row["of_view"] == load_texts()[VIEW_TEXTS][str(row["relname"])]
        assert row["of_column"] == describe(str(row["relname"]), str(row["attname"]))
