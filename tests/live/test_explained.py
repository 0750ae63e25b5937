"""Each order of the demo, explained from the answer's bytes to the books; and the digest of the same ledger."""

import json
import sqlite3
import zlib
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bot.app.telling.printing import show_number
from bot.cli.main import main
from tests.live.conftest import DEMO_DAYS, Command

ORDERS = "select order_id, role from v_orders where state = 'filled' order by order_id"


def rows(path: Path, statement: str, *given: object) -> list[tuple[Any, ...]]:
    """Ask a ledger."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement, given).fetchall()


def answered(demo: Path, digest: str, token: int) -> list[dict[str, Any]]:
    """Return the rows of a recorded answer that are about a token."""
    ((body,),) = rows(demo, "select body from answers where answer_hash = ?", digest)
    return [row for row in json.loads(zlib.decompress(body))["data"] if row["TOKEN_ID"] == token]


def test_an_entry_rests_on_recorded_answers(demo: Path, bot: Command) -> None:
    """Price, volatility, levels and signal of each entry stand in the bytes of the answers that it names."""
    entries = [order_id for order_id, role in rows(demo, ORDERS) if role == "entry"]
    assert len(entries) > 3
    for order_id in entries:
        code, out, _ = bot("explain", order_id, "--ledger", str(demo), "--json")
        assert code == 0
        told = json.loads(out)
        token, found = told["order"]["token_id"], {row["input"]: row for row in told["data"]}
        bytes_of = {
            name: [row for call in datum["answers"] for row in answered(demo, call["answer_hash"], token)]
            for name, datum in found.items()
        }
        assert set(bytes_of) == {"signal", "levels", "quantmetrics", "grades", "price"}
        assert [row["CURRENT_PRICE"] for row in bytes_of["price"]] == [told["decision"]["reference_price"]]
        assert found["quantmetrics"]["volatility"] in [row["VOLATILITY"] for row in bytes_of["quantmetrics"]]
        assert any(row["TOKEN_TREND"] == 1 for row in bytes_of["signal"])
        listed = [level for row in bytes_of["levels"] for level in row["HISTORICAL_RESISTANCE_SUPPORT_LEVELS"]]
        assert {level["price"] for level in told["levels"]} == {level["level"] for level in listed} != set()
        assert told["fills"][0]["quantity"] == told["order"]["quantity"] == told["decision"]["quantity"]
        assert sum(leg["amount"] for leg in told["postings"]) == pytest.approx(0)


def test_an_exit_is_explained_by_the_decision_of_its_entry(demo: Path, bot: Command) -> None:
    """Every filled stop, target and exit leads to the candidate that was entered, also as text."""
    others = [order_id for order_id, role in rows(demo, ORDERS) if role != "entry"]
    assert others
    for order_id in others:
        told = json.loads(bot("explain", order_id, "--ledger", str(demo), "--json")[1])
        assert told["decision"]["outcome"] == "entered"
        assert told["decision"]["signal_id"] == told["order"]["signal_id"]
        text = bot("explain", order_id, "--ledger", str(demo))[1]
        for part in ("decided at", "from resistance-support, answer", "must be", "filled_at", "je-"):
            assert part in text


def test_the_digest_agrees_with_the_decisions(demo: Path, bot: Command) -> None:
    """Entries and refusals by their first reason, counted by hand over the newest decision of each signal."""
    code, out, _ = bot("why", "--ledger", str(demo), "--json")
    assert code == 0
    (row,) = json.loads(out)
    newest: dict[str, str] = {}
    decided = rows(demo, "select signal_id, outcome, first_reason from v_decisions order by slot")
    for signal, outcome, reason in decided:
        if newest.get(signal) != "entered":
            newest[signal] = "entered" if outcome == "entered" else reason
    counted = Counter(newest.values())
    assert row["entries"] == counted.pop("entered") > 3
    assert row["refused"] == dict(counted)
    assert row["candidates"] == len(newest)
    measured = "from v_near_misses where value is not null and threshold <> 0 and gate <> 'signal_age'"
    ((missed,),) = rows(demo, f"select count(distinct signal_id) {measured}")
    assert len(row["near_misses"]) == missed > 0
    text = bot("why", "--ledger", str(demo))[1]
    counts = f"{row['entries']} entries in {24 * DEMO_DAYS + 1} cycles: {row['candidates']} candidates, "
    assert text.startswith(f"levels_long: {counts}")


def test_an_unknown_order_is_one_line(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An id that no order has: 78, and where the ids are."""
    assert main(["explain", "ord-x", "--ledger", str(demo)]) == 78
    assert "`bot orders` lists them" in capsys.readouterr().err


def test_the_beginning_of_an_id_is_enough_where_one_order_has_it(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the help's example has it; the beginning of several is refused with their number."""
    ids = [order_id for (order_id,) in rows(demo, "select order_id from v_orders")]
    start = next(one[:8] for one in ids if sum(other.startswith(one[:8]) for other in ids) == 1)
    assert main(["explain", start, "--ledger", str(demo), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["order"]["order_id"].startswith(start)
    assert main(["explain", "ord-", "--ledger", str(demo)]) == 78
    assert f"{len(ids)} orders begin with ord-" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "at"), [("trades", "opened_at"), ("orders", "accepted_at"), ("equity", "slot")])
def test_tables_take_a_window_and_the_last_rows(demo: Path, bot: Command, name: str, at: str) -> None:
    """U9: --from and --to bound the column that dates a row, --last keeps the newest; JSON has the same rows."""

    def asked(*options: str) -> list[dict[str, Any]]:
        code, out, _ = bot(name, "--ledger", str(demo), "--json", *options)
        assert code == 0
        return list(json.loads(out))

    every = asked()
    instants = sorted(row[at] for row in every)
    assert len(every) > 3
    assert asked("--last", "2") == [row for row in every if row[at] in instants[-2:]][-2:]
    window = ("--from", instants[1], "--to", instants[-2])
    assert asked(*window) == [row for row in every if instants[1] <= row[at] <= instants[-2]]
    assert asked("--from", "2031-01-01") == []
    code, out, _ = bot(name, "--ledger", str(demo), "--last", "1")
    assert (code, len(out.splitlines())) == (0, 3 if name == "trades" else 2)
    assert bot(name, "--ledger", str(demo), "--last", "0")[0] == 2


def test_status_and_figures_agree(demo: Path, bot: Command) -> None:
    """One meaning of trades and profit: what is booked, of open trades too."""
    (state,), (judged,) = (json.loads(bot(name, "--ledger", str(demo), "--json")[1]) for name in ("status", "figures"))
    assert state["open_positions"] > 0
    assert [state[name] for name in ("trades", "profit")] == [judged[name] for name in ("trades", "profit")]


def test_trades_end_with_their_sums(demo: Path, bot: Command) -> None:
    """U9: how many, won and lost, and the sums of profit and fees, as SQL has them."""
    _, out, _ = bot("trades", "--ledger", str(demo))
    (count, profit) = rows(demo, "select count(*), round(sum(profit), 6) from v_trades")[0]
    last = out.splitlines()[-1]
    assert last.startswith(f"{count} trades")
    assert show_number(profit) in last
    assert " won, " in last
