"""The views of a run with a short, part exits, moved stops, levels and events: numbers that can be done by hand."""

import pytest

from bot.adapters.sql.ledger import SqlLedger
from tests.contract.decision_samples import BOTH, CLOSE, FAR, LONG, NEAR, SHORT, SHORT_STOP, both_ways
from tests.contract.ledger_samples import CONFIG_HASH, ETH, SOL, opened, story
from tests.contract.questions import ask

TWELVE = "2024-03-01T12:00:00.000000Z"


@pytest.fixture
def told(book: SqlLedger) -> SqlLedger:
    """Both sample runs, committed."""
    opened(book, BOTH).commit_all([*story(), *both_ways()])
    return book


def asked(book: SqlLedger, view: str, columns: str, rest: str = "") -> list[dict[str, object]]:
    """Ask a view for columns of the second run."""
    return ask(book, f"SELECT {columns} FROM {view} WHERE run = 'both_ways' {rest}")


def test_a_short_trade_counts_what_it_borrowed(told: SqlLedger) -> None:
    """Fees are those of the fills and the borrowing, profit falls with the price, the stop is where it moved last."""
    (trade,) = asked(told, "v_trades", "*", "AND symbol = 'SOL'")
    expected = {
        "entry_price": 99.9,
        "exit_price": 101.07,
        "notional": 999,
        "fees": 0.999 + 0.05 + 1.0107,
        "profit": -13.7597,
        "profit_fraction": -13.7597 / 999,
        "r_multiple": -13.7597 / (10 * 5.1),
        "stop_initial": 105,
        "stop_last": 101,
        "quantity_open": 0,
    }
    assert {name: trade[name] for name in expected} == pytest.approx(expected)
    assert (trade["side"], trade["exit_reason"], trade["config_hash"]) == ("short", "break_even", CONFIG_HASH)


def test_a_trade_of_two_targets_has_one_exit_price(told: SqlLedger) -> None:
    """The price is weighted by quantity, the bounds of profit add up, and time and reason are the last exit's."""
    (trade,) = asked(told, "v_trades", "*", "AND symbol = 'ETH'")
    expected = {
        "exit_price": 65,
        "fees": 0.2002 + 0.12 + 0.14,
        "profit": 59.3398,
        "stop_last": 50.15,
        "profit_pessimistic": -40,
        "profit_optimistic": 40,
    }
    assert {name: trade[name] for name in expected} == pytest.approx(expected)
    assert (trade["exit_reason"], trade["closed_at"]) == ("target_hit", TWELVE)


def test_open_positions_of_both_sides_are_valued(book: SqlLedger) -> None:
    """A short gains when the price falls; of a position sold in part the mark counts for what is left."""
    opened(book, BOTH).commit_all(both_ways()[:3])
    columns = "symbol, is_open, quantity_open, fees, profit, mark_price, unrealised_profit, exit_price"
    found = {row.pop("symbol"): row for row in asked(book, "v_open_positions", columns)}
    assert all(row.pop("is_open") for row in found.values())
    assert found["SOL"].pop("exit_price") is None
    assert found["SOL"] == pytest.approx(
        {"quantity_open": 10, "fees": 1.049, "profit": -1.049, "mark_price": 98, "unrealised_profit": 19}
    )
    assert found["ETH"] == pytest.approx(
        {
            "quantity_open": 2,
            "fees": 0.3202,
            "profit": 19.9 - 0.3202,
            "mark_price": 59,
            "unrealised_profit": 2 * 8.95,
            "exit_price": 60,
        }
    )


def test_orders_show_part_and_where_the_stop_stands(told: SqlLedger) -> None:
    """A stop has the price it was moved to, any other order the one it was born with; further targets have a part."""
    found = asked(told, "v_orders", "order_id, role, symbol, price, fill_price, part, state, side, config_hash")
    assert {row["config_hash"] for row in found} == {CONFIG_HASH}
    prices = {(row["symbol"], row["role"], row["part"]): row["price"] for row in found}
    assert prices == {
        ("SOL", "entry", None): 100,
        ("SOL", "stop", None): 101,
        ("SOL", "target", None): 90,
        ("ETH", "entry", None): 50,
        ("ETH", "stop", None): 50.15,
        ("ETH", "target", None): 60,
        ("ETH", "target", 1): 70,
    }
    by_id = {row["order_id"]: row for row in found}
    assert (by_id[FAR.order_id]["fill_price"], by_id[FAR.order_id]["state"]) == (70, "filled")
    assert by_id[SHORT_STOP.order_id]["side"] == "short"


def test_fills_name_the_configuration_they_were_made_under(told: SqlLedger) -> None:
    """Each execution has its quantity and the hash of its cycle's configuration."""
    found = asked(told, "v_fills", "order_id, quantity, config_hash", "ORDER BY filled_at, price")
    assert [(row["order_id"], row["quantity"]) for row in found] == [
        (LONG.order_id, 4),
        (SHORT.order_id, 10),
        (NEAR.order_id, 2),
        (FAR.order_id, 2),
        (SHORT_STOP.order_id, 10),
    ]
    assert {row["config_hash"] for row in found} == {CONFIG_HASH}


def test_decisions_have_a_side_and_a_configuration(told: SqlLedger) -> None:
    """A candidate of before sides were stored was a long; decisions and gates name their configuration."""
    found = ask(told, "SELECT DISTINCT run, symbol, side, config_hash FROM v_decisions ORDER BY run, symbol")
    assert [(row["run"], row["symbol"], row["side"]) for row in found] == [
        ("both_ways", "ETH", "long"),
        ("both_ways", "SOL", "short"),
        ("levels_long", "ETH", "long"),
        ("levels_long", "SOL", "long"),
    ]
    gates = asked(told, "v_gates", "DISTINCT config_hash")
    assert {row["config_hash"] for row in [*found, *gates]} == {CONFIG_HASH}


def test_moved_stops_are_listed(told: SqlLedger) -> None:
    """Each move has its number, its price and what a hit of it would be called."""
    found = asked(told, "v_stop_moves", "*", "ORDER BY symbol DESC, number")
    assert [(row["symbol"], row["number"], row["price"], row["reason"], row["level"]) for row in found] == [
        ("SOL", 0, 103, "trailing_stop", None),
        ("SOL", 1, 101, "break_even", 50.2),
        ("ETH", 0, 50.15, "break_even", 50.2),
    ]
    assert (found[0]["token_id"], found[0]["position_id"]) == (SOL, SHORT.position_id)
    assert (found[0]["slot"], found[0]["moved_at"]) == (TWELVE, "2024-03-01T11:00:00.000000Z")


def test_levels_are_shown_as_the_decision_saw_them(told: SqlLedger) -> None:
    """Below the reference price support, above it resistance, at it neither; strength says where it is from."""
    columns = "symbol, token_id, number, price, strength, strength_source, merged, kind"
    found = asked(told, "v_slot_levels", columns, "ORDER BY number")
    shared = {"symbol": "SOL", "token_id": SOL}
    assert found == [
        {
            **shared,
            "number": 0,
            "price": 95,
            "strength": 0.8,
            "strength_source": "provider",
            "merged": 2,
            "kind": "support",
        },
        {
            **shared,
            "number": 1,
            "price": 100,
            "strength": None,
            "strength_source": None,
            "merged": 1,
            "kind": "equal",
        },
        {
            **shared,
            "number": 2,
            "price": 110,
            "strength": 0.25,
            "strength_source": "provider",
            "merged": 1,
            "kind": "resistance",
        },
    ]


def test_near_misses_are_what_one_gate_refused(told: SqlLedger) -> None:
    """A candidate that one gate refused is shown with it, one that two refused is not."""
    (missed,) = ask(told, "SELECT * FROM v_near_misses")
    expected = {
        "run": "levels_long",
        "slot": "2024-03-01T10:00:00.000000Z",
        "symbol": "ETH",
        "token_id": ETH,
        "gate": "trader_grade_min",
        "value": None,
        "comparator": ">=",
        "threshold": 60,
        "reason": "missing_grade",
    }
    assert {name: missed[name] for name in expected} == expected


def test_events_of_the_run_are_shown(told: SqlLedger) -> None:
    """Breakers show value, threshold, action and end, a reset its equity, an operator's act its token and request."""
    tripped, reset, close = asked(told, "v_run_events", "*", "ORDER BY slot, number")
    assert (tripped["kind"], tripped["name"], tripped["state"]) == ("breaker", "daily_loss", "tripped")
    assert (tripped["value"], tripped["threshold"], tripped["action"]) == (0.03, 0.02, "block")
    assert (tripped["until"], tripped["symbol"]) == ("2024-03-02T12:00:00.000000Z", None)
    assert (reset["equity"], reset["notice"]) == (pytest.approx(10045.5801), "daily_loss reset")
    assert (close["name"], close["symbol"], close["token_id"]) == ("close", "SOL", SOL)
    assert close["request_id"] == CLOSE.request_id


def test_right_books_of_both_sides_raise_no_check(told: SqlLedger) -> None:
    """A short, part exits and moved stops contradict nothing."""
    assert ask(told, "SELECT * FROM v_ledger_check") == []
