"""Runs the product's replay and holds its ledger against the oracle, row by row.

The ledger is read by plain SQL from the public views; nothing is asked of the product itself.
"""

import io
import json
import sqlite3
from collections import Counter
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.cli.main import main
from tests.acceptance.folder_reader import History, at, read_strategy
from tests.acceptance.outcome import Entry, Outcome, Trade

CASH = Decimal(100_000)
DIGITS = 1e-12
# Micro-dollars add up over the thousands of trades of a year.
AMOUNT = 1e-4
# A volatility is a float on one side: where its last bit decides, rounding down may take one of the finest steps more.
FINEST_STEP = 1.01e-8
# The gate as v_gates names it, and the key that the plain loop knows it by.
GATES = {
    "trader_grade": "trader_grade_min",
    "sharpe": "sharpe_min",
    "max_drawdown": "max_drawdown_limit",
    "resistance_distance": "resistance_distance_min",
    "reward_risk": "reward_risk_min",
    "positions": "positions_max",
    "exposure": "exposure_max",
}
Rows = list[dict[str, Any]]


@dataclass
class Ledger:
    """The rows of one run in the public views."""

    trades: Rows
    orders: Rows
    decisions: Rows
    gates: Rows
    equity: Rows


def replay_arguments(
    strategy: Path, folder: Path, ledger: Path, schedule: str = "", since: str = ""
) -> list[str]:
    """Return the arguments of a replay."""
    timed = [*(["--schedule", schedule] if schedule else []), *(["--from", since] if since else [])]
    places = ["--strategy", str(strategy), "--history", str(folder), "--ledger", f"sqlite:///{ledger}"]
    return ["replay", *places, "--cash", str(CASH), *timed, "--json"]


def run_replay(
    folder: Path, text: str, place: Path, schedule: str = "", since: str = ""
) -> tuple[dict[str, Any], Ledger]:
    """Replay a strategy by the command line; return what it printed and what it wrote."""
    name = read_strategy(text)["strategy"]["name"]
    strategy, ledger = place / f"{name}.toml", place / f"{name}.db"
    strategy.write_text(text)
    with redirect_stdout(io.StringIO()) as printed:
        code = main(replay_arguments(strategy, folder, ledger, schedule, since))
    assert code == 0
    return json.loads(printed.getvalue()), read_ledger(ledger, name)


def read_ledger(path: Path, run: str) -> Ledger:
    """Read one run's rows from the public views."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row

        def read(view: str) -> Rows:
            found = connection.execute(f"select * from {view} where run = ?", (run,))
            return [dict(row) for row in found]

        return Ledger(*(read(view) for view in ("v_trades", "v_orders", "v_decisions", "v_gates", "v_equity")))


def close_to(found: float | None, expected: Decimal | None, absolute: float = 0.0) -> bool:
    """Say whether two prices or quantities agree to twelve digits, or to an absolute amount."""
    if found is None or expected is None:
        return found is None and expected is None
    return abs(float(found) - float(expected)) <= max(DIGITS * abs(float(expected)), absolute)


def compare(ledger: Ledger, outcome: Outcome, history: History) -> None:
    """Assert that the ledger holds what the oracle found and nothing else."""
    compare_entries(ledger, outcome)
    compare_refusals(ledger, outcome, history)
    compare_orders(ledger, outcome, history)
    compare_trades(ledger, outcome)
    compare_equity(ledger, outcome)


def compare_entries(ledger: Ledger, outcome: Outcome) -> None:
    """Assert that the same entries were accepted, with the same brackets and quantities."""
    found = {(at(row["slot"]), row["token_id"]): row for row in ledger.decisions if row["outcome"] == "entered"}
    expected = {(entry.accepted_at, entry.token): entry for entry in outcome.accepted}
    assert earliest(found.keys() ^ expected.keys()) is None, "entered by one side only"
    for key, entry in expected.items():
        row = found[key]
        wanted = (entry.reference, entry.stop, entry.target)
        got = (row["reference_price"], row["stop"], row["target"])
        assert all(map(close_to, got, wanted)), (key, got, wanted)
        assert close_to(row["quantity"], entry.quantity, least_difference(entry.reference)), (key, row, entry)


def least_difference(price: Decimal) -> float:
    """Return by how much two quantities at a price may differ: a finest step, and what the least amounts of money buy.

    One side marks each position in whole micro-dollars; what earlier entries of a slot leave of the cash differs so.
    """
    return FINEST_STEP + AMOUNT / float(price)


def earliest(keys: set[tuple[datetime, int]]) -> tuple[datetime, int] | None:
    """Return the earliest of some slots and tokens: where two journals part, the first difference tells."""
    return min(keys, default=None)


def compare_refusals(ledger: Ledger, outcome: Outcome, history: History) -> None:
    """Assert that the same candidates were refused, by the same gates."""
    found = {(at(row["slot"]), row["token_id"]) for row in ledger.decisions if row["outcome"] == "rejected"}
    expected = {(refusal.slot, refusal.token): refusal for refusal in outcome.refusals}
    assert earliest(expected.keys() - found) is None, "refused by the oracle only"
    assert earliest(found - expected.keys() - set(outcome.pending)) is None, "refused by the product only"
    tokens = {symbol: token for token, symbol in history.symbols.items()}
    failed: dict[tuple[datetime, int], set[str]] = {key: set() for key in expected}
    for row in ledger.gates:
        key = (at(row["slot"]), tokens[row["symbol"]])
        if key in failed and not row["passed"] and row["gate"] in GATES:
            failed[key].add(GATES[row["gate"]])
    for key, refusal in expected.items():
        # Without a bracket there is neither reward and risk nor a size: the later gates then mean nothing.
        if not {"stop", "target"} & set(refusal.failed) and refusal.judged:
            assert failed[key] == set(GATES.values()) & set(refusal.failed), (key, failed[key], refusal)


def compare_orders(ledger: Ledger, outcome: Outcome, history: History) -> None:
    """Assert that the same entry orders were filled, cancelled, expired or left waiting."""

    def cancelled_as(entry: Entry, reason: str) -> tuple[str, str, str]:
        at_fill = reason if reason.endswith("_at_fill") else ""
        return (history.symbols[entry.token], "expired" if reason == "expired" else "cancelled", at_fill)

    expected = Counter(cancelled_as(entry, reason) for entry, reason in outcome.cancelled)
    expected.update((history.symbols[entry.token], "accepted", "") for entry in outcome.waiting)
    expected.update((history.symbols[trade.token], "filled", "") for trade in outcome.trades)
    found: Counter[tuple[str, str, str]] = Counter()
    for row in ledger.orders:
        if row["role"] == "entry":
            reason = row["reason"] or ""
            found[row["symbol"], row["state"], reason if reason.endswith("_at_fill") else ""] += 1
    assert found == expected, (found - expected, expected - found)


def compare_trades(ledger: Ledger, outcome: Outcome) -> None:
    """Assert that the trades are the same: times and reasons exactly, prices to twelve digits, profit to 1e-4."""
    found = {(at(row["opened_at"]), row["token_id"]): row for row in ledger.trades}
    expected = {(trade.opened_at, trade.token): trade for trade in outcome.trades}
    assert earliest(found.keys() ^ expected.keys()) is None, "opened by one side only"
    for key, trade in expected.items():
        difference = differences(found[key], trade)
        assert not difference, (key, difference, found[key], trade)


def differences(row: dict[str, Any], trade: Trade) -> list[str]:
    """Return the names of the columns in which a row differs from a trade."""
    profit = -trade.fees if trade.profit is None else trade.profit
    agree = {
        "is_open": bool(row["is_open"]) == (trade.closed_at is None),
        "closed_at": (at(row["closed_at"]) if row["closed_at"] else None) == trade.closed_at,
        "exit_reason": (row["exit_reason"] or "") == trade.exit_reason,
        "quantity": close_to(row["quantity"], trade.quantity, least_difference(trade.entry_price)),
        "entry_price": close_to(row["entry_price"], trade.entry_price),
        "exit_price": close_to(row["exit_price"], trade.exit_price),
        "stop_initial": close_to(row["stop_initial"], trade.stop),
        "target": close_to(row["target"], trade.target),
        "fees": close_to(row["fees"], trade.fees, AMOUNT),
        "profit": close_to(row["profit"], profit, AMOUNT),
    }
    return [name for name, agrees in agree.items() if not agrees]


def compare_equity(ledger: Ledger, outcome: Outcome) -> None:
    """Assert that each marked slot has the oracle's cash and equity, and that the last slot is marked."""
    last = max(outcome.marks)
    assert last in {at(row["slot"]) for row in ledger.equity}, "the last slot is not marked"
    for row in ledger.equity:
        cash, equity = outcome.marks[at(row["slot"])]
        assert close_to(row["cash"], cash, AMOUNT), (row, cash)
        assert close_to(row["equity"], equity, AMOUNT), (row, equity)
