"""Twenty seeded questions "why did it not buy X at T?", each answered by one query of docs/ledger.md on a demo.

Each answer is compared with what a plain look at the tables says.
"""

import json
import operator
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bot.cli.main import main
from tests.ledger_reference import queries

(QUESTION,) = (asked for _, _, asked in queries() if asked.startswith("with asked as"))
SEED, QUESTIONS = 1, 20
COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "=": operator.eq,
}


@pytest.fixture
def tables(demo: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger with rows that answer to their columns' names."""
    with closing(sqlite3.connect(demo)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def asked(tables: sqlite3.Connection) -> list[tuple[str, str]]:
    """Draw symbols and slots: twelve anywhere, eight where there was a decision."""
    random = Random(SEED)
    symbols = [row["symbol"] for row in tables.execute("select symbol from instruments order by symbol")]
    slots = [row["slot"] for row in tables.execute("select slot from cycles order by slot")]
    decided = "select i.symbol, c.slot from candidates c join instruments i using (run, token_id) order by 2, 1"
    decisions = [(row["symbol"], row["slot"]) for row in tables.execute(decided)]
    anywhere = [(random.choice(symbols), random.choice(slots)) for _ in range(12)]
    return [*anywhere, *random.sample(decisions, QUESTIONS - len(anywhere))]


def answer(tables: sqlite3.Connection, symbol: str, slot: str) -> list[dict[str, Any]]:
    """Ask the document's query, about this symbol and slot."""
    text = QUESTION.replace("'SOL'", f"'{symbol}'").replace("2025-03-07T12:00:00.000000Z", slot)
    return [dict(row) for row in tables.execute(text)]


def expected(tables: sqlite3.Connection, symbol: str, slot: str) -> tuple[str, list[dict[str, Any]]]:
    """Look at the tables one after the other; return what kind of answer is right, and the failed verdicts."""
    token = tables.execute("select token_id from instruments where symbol = ?", [symbol]).fetchone()["token_id"]
    opened = tables.execute("select position_id, opened_at from positions where token_id = ?", [token]).fetchall()
    for position in opened:
        one = [position["position_id"]]
        closed = tables.execute("select closed_at from closings where position_id = ?", one).fetchone()
        if position["opened_at"] < slot and (closed is None or closed["closed_at"] > slot):
            return "held", []
    made = tables.execute(
        "select * from candidates where token_id = ? and slot <= ? order by slot desc", [token, slot]
    ).fetchall()
    if made and made[0]["slot"] == slot:
        gates = tables.execute("select * from verdicts where candidate_id = ?", [made[0]["candidate_id"]]).fetchall()
        failed = [dict(gate) for gate in gates if not gate["passed"]]
        return ("refused" if failed else "it was bought"), failed
    cut_off = tables.execute("select cut_off from cycles where slot = ?", [slot]).fetchone()["cut_off"]
    rows = tables.execute("select * from signals where token_id = ? order by published_at, known_at", [token])
    known = [r for r in rows if r["known_at"] <= cut_off and min(r["published_at"], r["known_at"]) <= slot]
    if not known:
        return "no signal was known", []
    if known[-1]["stance"] != "bullish":
        return f"no bullish turn stood: {known[-1]['stance']}", []
    return "its turn was judged before", []


def test_twenty_questions_are_answered_by_one_query_each(tables: sqlite3.Connection) -> None:
    """Each answer is the one that the tables give, and names every gate that failed with its number."""
    kinds: Counter[str] = Counter()
    for symbol, slot in asked(tables):
        told = answer(tables, symbol, slot)
        kind, failed = expected(tables, symbol, slot)
        assert {row["answer"] for row in told} == {kind}, (symbol, slot, told, kind)
        assert {row["gate"] for row in told} == ({gate["gate"] for gate in failed} or {None})
        kinds[kind.split(":")[0]] += 1
    assert sum(kinds.values()) == QUESTIONS
    assert {"held", "refused", "it was bought", "no bullish turn stood", "its turn was judged before"} <= set(
        kinds
    )


def test_every_verdict_agrees_with_its_numbers(tables: sqlite3.Connection) -> None:
    """Value, comparator and threshold of each gate give the verdict beside them, in v_gates and in the funnel."""
    failures: Counter[str] = Counter()
    for row in tables.execute("select * from v_gates"):
        if row["value"] is not None and row["threshold"] is not None:
            assert COMPARED[row["comparator"]](row["value"], row["threshold"]) == bool(row["passed"]), dict(row)
        failures[row["gate"]] += not row["passed"]
    funnel = {row["gate"]: row["failed"] for row in tables.execute("select gate, failed from v_gate_funnel")}
    assert funnel == dict(failures)
    assert sum(funnel.values()) > 0


def test_bot_why_says_the_same(tables: sqlite3.Connection, demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there was a decision, `bot why SYMBOL --at T` gives its outcome and the gates that failed."""
    for symbol, slot in asked(tables)[12:]:
        assert main(["why", symbol, "--at", slot, "--ledger", str(demo), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        kind, failed = expected(tables, symbol, slot)
        assert told["outcome"] == ("rejected" if failed else "entered"), kind
        assert {gate["gate"] for gate in told["gates"] if not gate["passed"]} == {gate["gate"] for gate in failed}
