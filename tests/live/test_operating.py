"""`bot pause`, `resume`, `close` and `flatten`: put at once, applied by the next cycle, whoever holds the ledger."""

import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.adapters.sql.reads import Reader
from bot.app.review.alive import describe_life, find_signs_of_life
from bot.cli.main import main
from tests.another_writer import another_writer
from tests.live.conftest import Command
from tests.live.test_commands import rows

PATIENCE = 60.0
PLAY = "import sys, pathlib, bot.app.live.demo; bot.app.live.demo.play(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
ENTRIES = "from v_orders where role = 'entry'"


@pytest.fixture
def held(home: Path, bot: Command) -> list[str]:
    """Run one slot of a yearly schedule with a strategy that buys whatever is bullish; returns what it bought."""
    strategy = home / "strategies" / "levels_long.toml"
    text = re.sub(r"\[gates\].*?\n\n", "[entry]\nage_max_hours = 2000\n\n", strategy.read_text(), flags=re.DOTALL)
    strategy.write_text(text)
    config = home / "config.toml"
    config.write_text(config.read_text().replace("2 * * * *", "0 0 1 1 *"))
    assert bot("once", "--at", minutes_ago(9))[0] == 0
    found = [str(symbol) for (symbol,) in rows(home, "select symbol from v_open_positions order by symbol")]
    assert len(found) > 1
    return found


def minutes_ago(count: int) -> str:
    """Write a slot of the last minutes."""
    return (datetime.now(UTC) - timedelta(minutes=count)).isoformat()


def status(bot: Command) -> dict[str, object]:
    """Return the run at a glance."""
    (row,) = json.loads(bot("status", "--json")[1])
    return dict(row)


@pytest.mark.parametrize(
    ("minutes", "only", "said"),
    [
        (30, None, "last cycle 29 min ago, slot 2025-03-07 01:00Z is next"),
        (70, None, "slot 2025-03-07 01:00Z has been due for 10 min: no"),
        (121, {"levels_long"}, "last cycle 2 h ago, slot 2025-03-07 01:00Z has been due for 61 min (overdue)"),
        (9000, {"other"}, "last cycle 6 days ago: no daemon holds the ledger"),
    ],
)
def test_a_run_is_overdue_one_interval_after_its_slot(
    demo: Path, minutes: int, only: set[str] | None, said: str
) -> None:
    """U3: the age of the last cycle, the slot that is due and since when; runs that nobody is to run are never due."""
    now = datetime(2025, 3, 7, tzinfo=UTC) + timedelta(minutes=minutes)
    (life,) = find_signs_of_life(Reader(str(demo)), now, only).values()
    assert life["overdue"] is ("overdue" in said)
    assert said in describe_life("levels_long", life, now)


def test_a_monitor_can_ask_whether_a_daemon_is_alive(home: Path, held: list[str], bot: Command) -> None:
    """U3: 69 without a daemon and with one that is late, 0 with one that is not; plain `status` is 0 and says it."""
    assert held
    code, out, _ = bot("status")
    assert (code, "levels_long: last cycle " in out, "no daemon holds the ledger" in out) == (0, True, True)
    code, out, err = bot("status", "--expect-alive", "--json")
    assert (code, json.loads(out)[0]["daemon"], err.count("\n")) == (69, False, 1)
    with another_writer(str(home / "tidemark.db")):
        assert bot("status", "--expect-alive")[0] == 0
    config = home / "config.toml"
    config.write_text(config.read_text().replace("0 0 1 1 *", "* * * * *"))
    assert bot("once", "--at", minutes_ago(5))[0] == 0
    with another_writer(str(home / "tidemark.db")):
        code, out, err = bot("status", "--expect-alive", "--json")
        assert (code, json.loads(out)[0]["daemon"], json.loads(out)[0]["overdue"]) == (69, True, True)
    assert "(overdue): a daemon holds the ledger" in err


def test_a_pause_says_when_it_takes_effect_and_what_goes_on(home: Path, held: list[str], bot: Command) -> None:
    """With no daemon alive it waits; the next cycle applies it and makes no entry; the status and `why` show it."""
    code, out, _ = bot("pause")
    assert code == 0
    assert f"levels_long: pause at its next slot, {datetime.now(UTC).year + 1}-01-01 00:00Z: no new entries" in out
    assert "stops, targets and other exits of open positions go on, and so do entries already accepted" in out
    assert (status(bot)["requests_waiting"], status(bot)["in_force"]) == (1, None)
    assert bot("once", "--dry-run", "--at", minutes_ago(7))[0] == 0
    assert status(bot)["requests_waiting"] == 1
    assert bot("once", "--at", minutes_ago(6))[0] == 0
    assert (status(bot)["requests_waiting"], status(bot)["in_force"]) == (0, "pause")
    assert rows(home, "select count(*) from v_open_positions") == [(len(held),)]
    assert "in force since" in bot("why")[1]
    code, out, _ = bot("resume", "--run", "levels_long")
    assert code == 0
    assert "tripped breakers are armed again" in out
    assert bot("once", "--at", minutes_ago(5))[0] == 0
    assert status(bot)["in_force"] is None
    assert bot("verify")[0] == 0


def test_close_ends_one_position_and_flatten_all(home: Path, held: list[str], bot: Command) -> None:
    """By symbol, by token_id, and all that is left, each with the reason manual; entries are not stopped, it says."""
    token = rows(home, f"select token_id from v_open_positions where symbol = '{held[1]}'")[0][0]
    code, out, _ = bot("close", held[0].lower())
    assert code == 0
    assert "new entries go on, `bot pause` stops them" in out
    (asked,) = json.loads(bot("close", str(token), "--json")[1])
    assert (asked["act"], asked["token_id"], asked["run"]) == ("close", token, "levels_long")
    assert asked["slot"].endswith("-01-01T00:00:00.000000Z")
    assert bot("once", "--at", minutes_ago(5))[0] == 0
    closed = rows(home, "select symbol, exit_reason from v_trades where not is_open order by symbol")
    assert closed == [(symbol, "manual") for symbol in sorted(held[:2])]
    assert bot("flatten")[0] == 0
    assert bot("once", "--at", minutes_ago(4))[0] == 0
    assert rows(home, "select count(*) from v_open_positions") == [(0,)]
    notices = [str(notice) for (notice,) in rows(home, "select notice from v_run_events order by slot, number")]
    assert [notice.split(":")[0] for notice in notices] == ["close", "close", "flatten"]
    assert bot("verify")[0] == 0


def test_closing_nothing_says_so_at_once_and_is_still_asked(home: Path, held: list[str], bot: Command) -> None:
    """U11: neither a position nor an accepted entry now: it is said, and the request waits all the same."""
    symbols = [str(symbol) for (symbol,) in rows(home, "select symbol from instruments order by symbol")]
    code, out, _ = bot("close", next(symbol for symbol in symbols if symbol not in held))
    assert (code, "neither a position nor an accepted entry, nothing to do" in out) == (0, True)
    assert status(bot)["requests_waiting"] == 1
    assert "its next price" in bot("close", held[0])[1]


def test_what_cannot_be_asked_is_refused_with_the_nearest(home: Path, held: list[str], bot: Command) -> None:
    """An unknown token, run or ledger is one line and 78, and nothing is put."""
    for arguments, said in (
        (("close", "BTCC"), "no token BTCC in these runs; did you mean `BTC`"),
        (("close", "1"), "no token 1 in these runs"),
        (("pause", "--run", "levels_lang"), "no live run levels_lang .*did you mean `levels_long`"),
        (("resume", "--ledger", "nowhere.db"), "nowhere.db"),
    ):
        code, out, err = bot(*arguments)
        assert (code, out, err.count("\n")) == (78, "", 1)
        assert re.search(said, err), err
        assert rows(home, "select count(*) from requests") == [(0,)]


def test_a_symbol_of_two_tokens_needs_the_token_id(home: Path, held: list[str], bot: Command) -> None:
    """Two coins of one symbol are named with their ids; the id closes one of them, by the ledger alone."""
    token = rows(home, f"select token_id from v_open_positions where symbol = '{held[0]}'")[0][0]
    with closing(sqlite3.connect(home / "tidemark.db")) as connection:
        connection.execute(
            "insert into instruments (run, token_id, symbol, name, quantity_step)"
            f" select run, 999999, symbol, 'Another', quantity_step from instruments where token_id = {token}"
        )
        connection.commit()
    code, _, err = bot("close", held[0])
    assert code == 78
    assert f"{token} (" in err
    assert "999999 (Another); write the token_id" in err
    code, out, _ = bot("close", str(token), "--ledger", "tidemark.db")
    assert code == 0
    assert out.startswith(f"levels_long: close {token} at its next cycle: ")


def test_a_replay_is_asked_nothing(home: Path, held: list[str], bot: Command) -> None:
    """Runs of a replay are over: they are no runs to operate."""
    with closing(sqlite3.connect(home / "replay.db")) as copy, closing(sqlite3.connect(home / "tidemark.db")) as made:
        made.backup(copy)
        for (name,) in copy.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            copy.execute(f"drop trigger {name}")
        copy.execute("update runs set identity = 'replay'")
        copy.commit()
    code, _, err = bot("pause", "--ledger", "replay.db")
    assert code == 78
    assert "no live run in the ledger" in err


def count(path: Path, statement: str) -> int:
    """Ask a ledger that may not be there yet for a number."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        try:
            return int(connection.execute(statement).fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def until(process: subprocess.Popen[bytes], path: Path, statement: str, least: int) -> None:
    """Look again and again until a playing process has come so far."""
    deadline = time.monotonic() + PATIENCE
    while count(path, statement) < least:
        assert process.poll() is None, "it ended early"
        assert time.monotonic() < deadline, statement
        time.sleep(0.02)


def applied(process: subprocess.Popen[bytes], path: Path, act: str) -> str:
    """Wait until a playing process has applied an act, and return the slot of it."""
    events = f"from v_run_events where name = '{act}' and state = 'applied'"
    until(process, path, f"select count(*) {events}", 1)
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute(f"select slot {events}").fetchone()[0])


def test_a_pause_put_beside_a_running_daemon_survives_its_kill(tmp_path: Path) -> None:
    """Put while another process holds the ledger: applied at its next slot; killed -9 and started again, still paused.

    Until it is resumed, also beside the daemon, candidates come and none is entered; nothing is closed by hand.
    """
    ledger = tmp_path / "operated.db"
    play = [sys.executable, "-c", PLAY, str(ledger), "9"]
    with subprocess.Popen(play) as process:
        until(process, ledger, f"select count(*) {ENTRIES}", 1)
        before = count(ledger, "select count(*) from v_cycles")
        assert main(["pause", "--ledger", str(ledger)]) == 0
        paused_at = applied(process, ledger, "pause")
        process.kill()
    assert count(ledger, f"select count(*) from v_cycles where slot < '{paused_at}'") >= before
    with subprocess.Popen(play) as process:
        until(process, ledger, f"select count(*) from v_cycles where slot > '{paused_at}'", 60)
        assert main(["resume", "--ledger", str(ledger)]) == 0
        resumed_at = applied(process, ledger, "resume")
        assert process.wait(PATIENCE) == 0
    between = f"slot >= '{paused_at}' and slot < '{resumed_at}'"
    assert count(ledger, f"select count(*) from v_decisions where {between}") > 0
    assert count(ledger, f"select count(*) from v_decisions where outcome = 'entered' and {between}") == 0
    assert count(ledger, f"select count(*) {ENTRIES} and planned_at >= '{resumed_at}'") > 0
    assert count(ledger, "select count(*) from v_trades where exit_reason = 'manual'") == 0
    assert main(["verify", "--ledger", str(ledger)]) == 0
