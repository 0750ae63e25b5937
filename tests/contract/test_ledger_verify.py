"""Verification: a ledger that was tampered with is found out, and each finding names what is wrong."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bot.adapters.sql.engine import begin, open_engine
from bot.adapters.sql.ledger import writing
from bot.adapters.sql.schema.column_types import utc_text
from bot.adapters.sql.tape import SqlTape
from bot.adapters.sql.verify import violations
from bot.domain.positions import ExitReason
from bot.domain.record import CycleRecord
from tests.contract.decision_samples import BOTH, LONG, SHORT, TWELVE, both_ways, stop_move
from tests.contract.ledger_samples import HOUR, TEN, cycle, opened, story
from tests.contract.tape_samples import api_call

SLOT = "run levels_long slot 2024-03-01T12:00:00.000000Z"


@pytest.fixture
def told_url(made_url: str) -> str:
    """A ledger with the sample run, closed."""
    with writing(made_url, create=True) as book:
        opened(book).commit_all(story())
    return made_url


def tamper(url: str, *statements: str, table: str | None = None) -> None:
    """Change a ledger as someone with full access would: the triggers of a table aside for a moment."""
    engine = open_engine(url)
    with begin(engine) as connection:
        kept: Sequence[str] = ()
        if table is not None and engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        elif table is not None:
            found = connection.exec_driver_sql(
                f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
            ).all()
            kept = [text for _, text in found]
            for name, _ in found:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.exec_driver_sql(statement)
        if table is not None and engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        for text in kept:
            connection.exec_driver_sql(text)
    engine.dispose()


def test_a_ledger_that_is_right_has_no_violation(told_url: str) -> None:
    """Nothing is found where nothing is wrong."""
    assert violations(told_url) == []


def test_a_dropped_trigger_is_named(told_url: str) -> None:
    """A table that lost its guard is found by the guard's name."""
    sqlite = told_url.startswith("sqlite")
    name = "postings_no_update" if sqlite else "postings_append_only"
    tamper(told_url, f"DROP TRIGGER {name}" + ("" if sqlite else " ON postings"))
    assert violations(told_url) == [f"trigger {name} is missing"]


def test_a_changed_amount_is_named_twice(told_url: str) -> None:
    """One micro-dollar more in a posting unbalances its entry and breaks the cycle it was committed in."""
    changed = "UPDATE postings SET amount = amount + 1 WHERE account = 'profit'"
    tamper(told_url, changed, table="postings")
    found = violations(told_url)
    assert any(line.startswith("entry_balance: je-") and line.endswith("sum to 1 micro-dollars") for line in found)
    assert f"{SLOT}: a row of postings was changed" in found


def test_a_deleted_fill_is_named(told_url: str) -> None:
    """A fill that is gone leaves a filled order without one, and a cycle with one row less."""
    tamper(told_url, "DELETE FROM fills WHERE role = 'stop'", table="fills")
    found = violations(told_url)
    assert any(line.startswith("order_fill: ord-") for line in found)
    assert f"{SLOT}: fills has 1 rows, 2 were committed" in found


@pytest.mark.parametrize(
    ("statement", "table", "named"),
    [
        (
            "UPDATE cycles SET entries = entries + 1 WHERE entries = 0",
            "cycles",
            f"{SLOT}: the row of cycles was changed",
        ),
        ("UPDATE orders SET ordinal = 7 WHERE role = 'entry'", "orders", "is not the id of what it names"),
        ("UPDATE fills SET fill_id = 'fill-0' WHERE role = 'stop'", "fills", "fills: fill-0 is not the id of what"),
        ("UPDATE order_events SET state = 'expired' WHERE state = 'accepted'", "order_events", "is no transition"),
        ("UPDATE closings SET profit = profit + 1", "closings", "closing_profit: pos-"),
        ("UPDATE equity SET cash = cash + 1", "equity", "cash: levels_long: cash at"),
        ("DELETE FROM order_events WHERE state = 'cancelled'", "order_events", "order_left_open: ord-"),
        ("UPDATE runs SET cash = cash + 1", "runs", "opening_cash: levels_long: its cash is"),
        ("DELETE FROM closings", "closings", "closings has 0 rows, 1 were committed"),
        ("DROP VIEW v_ledger_check", None, "view v_ledger_check is missing"),
        ("DROP TABLE verdicts", None, "table verdicts is missing"),
    ],
)
def test_each_kind_of_damage_is_named(tmp_path: Path, statement: str, table: str | None, named: str) -> None:
    """Whatever is changed, one of the findings says what."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    with writing(url, create=True) as book:
        opened(book).commit_all(story())
    tamper(url, statement, table=table)
    found = violations(url)
    assert any(named in line for line in found), found


@pytest.mark.parametrize(
    ("statement", "table", "named"),
    [
        ("UPDATE orders SET part = 2 WHERE part = 1", "orders", "is not the id of what it names"),
        ("UPDATE stop_moves SET level = '50.1'", "stop_moves", "a row of stop_moves was changed"),
        ("UPDATE run_events SET notice = 'all is well'", "run_events", "a row of run_events was changed"),
        ("DELETE FROM run_events", "run_events", "run_events has 0 rows, 1 were committed"),
        ("UPDATE candidate_levels SET merged = 7", "candidate_levels", "a row of candidate_levels was changed"),
        ("DELETE FROM fills WHERE price = '60'", "fills", "exit_quantity: pos-"),
        ("UPDATE fills SET quantity = '2.1' WHERE price = '70'", "fills", "exit_quantity: pos-"),
        (
            "UPDATE postings SET amount = amount + 1 WHERE account = 'position' AND amount = 999000000",
            "postings",
            "position_account: pos-",
        ),
        ("DELETE FROM postings WHERE amount = -50000", "postings", "closing_profit: pos-"),
    ],
)
def test_damage_to_a_run_of_both_sides_is_named(tmp_path: Path, statement: str, table: str, named: str) -> None:
    """Part exits, shorts, moved stops, events and levels are watched like the rest."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    with writing(url, create=True) as book:
        opened(book, BOTH).commit_all(both_ways())
    assert violations(url) == []
    tamper(url, statement, table=table)
    found = violations(url)
    assert any(named in line for line in found), found


@pytest.mark.parametrize(
    ("statement", "loosened"),
    [
        ("UPDATE stop_moves SET price = '104' WHERE price = '101'", [f"{SHORT.position_id}: its stop move 1"]),
        ("UPDATE stop_moves SET price = '103' WHERE price = '101'", [f"{SHORT.position_id}: its stop move 1"]),
        ("UPDATE stop_moves SET price = '105.1' WHERE price = '103'", [f"{SHORT.position_id}: its stop move 0"]),
        ("UPDATE stop_moves SET price = '44.9' WHERE price = '50.15'", [f"{LONG.position_id}: its stop move 0"]),
        ("UPDATE stop_moves SET price = '51' WHERE price = '53'", [f"{LONG.position_id}: its stop move 3"]),
        ("UPDATE stop_moves SET price = '50.149999' WHERE price = '50.15'", []),
    ],
)
def test_a_loosened_stop_is_named(made_url: str, statement: str, loosened: list[str]) -> None:
    """A move away from the price, or to where the stop was, is found on either side; the least one nearer is right."""
    first, second, third, last = both_ways()
    prices = ("50.150000000000000001", "52", "53")
    more = [stop_move(LONG, TWELVE, number, price, ExitReason.TRAILING_STOP) for number, price in enumerate(prices, 1)]
    with writing(made_url, create=True) as book:
        opened(book, BOTH).commit_all([first, second, replace(third, facts=(*third.facts, *more)), last])
    assert violations(made_url) == []
    tamper(made_url, statement, table="stop_moves")
    found = [line for line in violations(made_url) if line.startswith("stop_loosened")]
    assert found == [f"stop_loosened: {what} is not nearer to the price" for what in loosened]


def test_a_cycle_taken_out_breaks_the_chain(made_url: str) -> None:
    """A whole cycle that is removed leaves the next one linked to nothing."""
    with writing(made_url, create=True) as book:
        for hour in range(3):
            opened(book).commit_all([CycleRecord(cycle=cycle(TEN + hour * HOUR), facts=())])
        statement = f"DELETE FROM cycles WHERE slot = '{utc_text(TEN + HOUR)}'"
    tamper(made_url, statement, table="cycles")
    where = f"run levels_long slot {utc_text(TEN + 2 * HOUR)}"
    assert violations(made_url) == [f"{where}: its link is not to the cycle before: one was removed or put in"]


def test_an_unreadable_answer_is_named(made_url: str) -> None:
    """A stored body that cannot be unpacked is found."""
    digest = hashlib.sha256(b"body").hexdigest()
    with writing(made_url, create=True) as book:
        SqlTape(book.engine).answer(api_call(digest), b"body")
    tamper(
        made_url, "UPDATE answers SET body = CAST('torn' AS BLOB)".replace("BLOB", _blob(made_url)), table="answers"
    )
    assert violations(made_url) == [f"answers: the body of {digest} cannot be read"]


def _blob(url: str) -> str:
    return "BLOB" if url.startswith("sqlite") else "BYTEA"


def test_a_changed_view_or_trigger_is_named(tmp_path: Path) -> None:
    """A view that shows something else under its own name is found."""
    url = f"{tmp_path}/ledger.db"
    with writing(url, create=True):
        pass
    tamper(url, "DROP VIEW v_ledger_check", "CREATE VIEW v_ledger_check AS SELECT 1 AS check_name WHERE 0")
    assert violations(url) == ["view v_ledger_check is not the one this program made"]


def test_a_changed_answer_is_named(made_url: str) -> None:
    """A recorded body that no longer has its hash is found."""
    with writing(made_url, create=True) as book:
        SqlTape(book.engine).answer(api_call("0" * 64), b"not what was hashed")
    assert violations(made_url) == [f"answers: the body of {'0' * 64} was changed"]
