"""`bot parity`: what was recorded of live runs derives them again, and whatever was changed is named first."""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.clock import SteppedClock
from bot.adapters.sql.tape import SqlTape
from bot.app.cycle.runner import fire
from bot.app.cycle.schedule import slots_between
from bot.app.live.demo import play
from bot.app.live.wiring import live
from bot.app.settings.config import load_config
from bot.app.settings.keys import ring_of
from bot.cli import main as cli
from bot.simulator.market import SEED, Market
from bot.simulator.server import serve
from tests.live.conftest import Command

START = datetime(2025, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
Ask = Callable[..., list[tuple[Any, ...]]]
DAILY = """
[strategy]
name = "daily"
universe = {universe}

[entry]
reentry = "always"

[stop]
rule = "level"
anchor = "fill"
buffer_fraction = 0.002
[stop.fallback]
rule = "atr"
multiple = 1

[target]
rule = "r_multiple"
multiple = 1

[sizing]
rule = "fixed_fraction"
fraction = 0.1
category_max = 0.5

[exits]
rules = ["stop_hit", "target_hit", "signal_flipped", "trailing_stop"]
trailing_fraction = 0.01
"""
HOURLY = """
[strategy]
name = "hourly"
universe = ["SOL", "ADA", "XRP"]
feed = "hourly"
side = "both"

[entry]
reentry = "always"
rank = "grade"

[stop]
rule = "fraction"
fraction = 0.01

[target]
rule = "fraction"
fraction = 0.01

[sizing]
rule = "fixed_fraction"
fraction = 0.3

[limits.loss_streak]
at = 1
action = "flatten"
hours = 6

[limits.daily_loss]
at = 0.001
action = "tighten"
"""
HOOKS = '''
def veto(view, bracket):
    """Refuse every other price."""
    return "odd" if int(view.price.price * 100) % 2 else None
'''
CONFIG = """
[ledger]
url = "two.db"

[source]
base_url = "{base_url}"

[[run]]
name = "by_day"
strategy = "daily"
cash = 10000
schedule = "0 */2 * * *"

[[run]]
name = "by_hour"
strategy = "hourly"
cash = 2500
schedule = "0 * * * *"
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play two simulated days into a ledger."""
    path = tmp_path_factory.mktemp("parity") / "demo.db"
    play(path, 2)
    return path


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play two runs with breakers, hooks and requests through a crash, missed slots, a change of universe and restarts.

    Returns their home.
    """
    home = tmp_path_factory.mktemp("eventful")
    (home / "strategies").mkdir()
    (home / "strategies" / "daily.toml").write_text(DAILY.format(universe='["BTC", "ETH", "SOL", "DOGE"]'))
    (home / "strategies" / "hourly.toml").write_text(HOURLY)
    (home / "strategies" / "hourly.py").write_text(HOOKS)
    clock, market = SteppedClock(START), Market(seed=SEED, start=START, days=6)
    with serve(market, lambda: clock.at.replace(microsecond=0), api_key="tm-two") as server:
        (home / "config.toml").write_text(CONFIG.format(base_url=server.base_url))
        fire_all(home, clock, START, START + 30 * HOUR)
        operate(home, "pause")
        fire_all(home, clock, START + 31 * HOUR, START + 36 * HOUR)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqlTape, "rows", out_of_memory)
            with pytest.raises(MemoryError):
                fire_all(home, clock, START + 37 * HOUR, START + 40 * HOUR)
        operate(home, "resume")
        fire_all(home, clock, START + 41 * HOUR, START + 60 * HOUR)
        operate(home, "flatten")
        (home / "strategies" / "daily.toml").write_text(DAILY.format(universe='["ETH", "XRP", "LINK"]'))
        fire_all(home, clock, START + 62 * HOUR, START + 96 * HOUR)
    return home


def out_of_memory(_tape: SqlTape, _data: object) -> None:
    """Die after an answer was recorded, and before it was read."""
    raise MemoryError


def operate(home: Path, act: str) -> None:
    """Ask something of both runs."""
    assert cli.main([act, "--ledger", str(home / "two.db")]) == 0


def fire_all(home: Path, clock: SteppedClock, start: datetime, end: datetime) -> None:
    """Open the runs and fire each at its own slots, one after another as the daemon does."""
    with live(load_config(home / "config.toml", {}), ring_of("tm-two"), clock, side_by_side=1) as opened:
        for slot in slots_between("0 * * * *", start, end):
            clock.set(slot + timedelta(seconds=2))
            for run in opened.runs:
                if slots_between(run.schedule, slot, slot):
                    fire(run, slot)


@pytest.fixture
def copy(demo: Path, tmp_path: Path) -> Path:
    """Copy the demo's ledger without its triggers."""
    path = tmp_path / "copy.db"
    with closing(sqlite3.connect(demo)) as stored, closing(sqlite3.connect(path)) as made:
        stored.backup(made)
        for (name,) in made.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            made.execute(f"drop trigger {name}")
        made.commit()
    return path


@contextmanager
def changing(path: Path) -> Iterator[Ask]:
    """Open a copy for changes."""
    with closing(sqlite3.connect(path)) as connection:
        yield lambda statement, *given: connection.execute(statement, given).fetchall()
        connection.commit()


def difference(bot: Command, path: Path) -> dict[str, Any]:
    """Return what differs first."""
    code, out, err = bot("parity", "--ledger", str(path), "--json")
    told = json.loads(out)
    assert (code, err, told["identical"]) == (65, "", False)
    return dict(told["difference"])


def last_hash(path: Path, run: str, until: str = "9") -> str:
    """Return the hash of a run's last cycle by an instant."""
    with closing(sqlite3.connect(path)) as connection:
        asked = "select hash from cycles where run = ? and slot <= ? order by slot desc limit 1"
        return str(connection.execute(asked, (run, until)).fetchone()[0])


def test_the_demo_is_derived_again_row_for_row(demo: Path, bot: Command) -> None:
    """All cycles of two days are identical, and the hash of the last is computed from derived rows."""
    code, out, err = bot("parity", "--run", "levels_long", "--ledger", str(demo), "--json")
    told = json.loads(out)
    assert (code, err, told["identical"], told["cycles"], told["difference"]) == (0, "", True, 49, None)
    assert told["hash"] == last_hash(demo, "levels_long")
    assert told["answers"] > 100
    code, out, _ = bot("parity", "--ledger", str(demo))
    assert code == 0
    assert out.startswith("levels_long: identical, 49 cycles from ")


def test_a_window_goes_on_from_what_was_stored_before_it(demo: Path, bot: Command) -> None:
    """A day in the middle, from the facts and data before it, is identical up to its own last hash."""
    window = ("--from", "2025-03-01T05:30Z", "--to", "2025-03-02T04:00Z")
    told = json.loads(bot("parity", "--ledger", str(demo), "--json", *window)[1])
    assert (told["identical"], told["cycles"]) == (True, 23)
    assert (told["from"][:16], told["to"][:16]) == ("2025-03-01T06:00", "2025-03-02T04:00")
    assert told["hash"] == last_hash(demo, "levels_long", "2025-03-02T04:00:00.000000Z")


@pytest.mark.parametrize("run", ["by_day", "by_hour"])
def test_runs_with_a_full_life_are_identical(eventful: Path, bot: Command, run: str) -> None:
    """Breakers, hooks, requests, missed slots, a crash before reading, restarts and another universe: all derived."""
    ledger, config = str(eventful / "two.db"), str(eventful / "config.toml")
    code, out, _ = bot("parity", "--run", run, "--ledger", ledger, "--config", config, "--json")
    told = json.loads(out)
    assert (told["difference"], code) == (None, 0)
    assert told["hash"] == last_hash(eventful / "two.db", run)
    for start, end in (("2025-03-02T20:00Z", "2025-03-03T20:00Z"), ("2025-03-03T22:00Z", "2025-03-04T15:00Z")):
        window = ("--from", start, "--to", end)
        assert bot("parity", "--run", run, "--ledger", ledger, "--config", config, *window)[0] == 0


def test_one_changed_byte_names_the_answer(copy: Path, bot: Command) -> None:
    """A body whose hash fails is found before it is read, and named by its hash."""
    with changing(copy) as ask:
        ((digest, body),) = ask("select answer_hash, body from answers order by answer_hash limit 1")
        plain = bytearray(zlib.decompress(body))
        plain[len(plain) // 2] ^= 1
        ask("update answers set body = ? where answer_hash = ?", zlib.compress(plain), digest)
    found = difference(bot, copy)
    assert (found["kind"], digest in found["what"]) == ("answer", True)
    code, out, err = bot("parity", "--ledger", str(copy))
    assert (code, err, out.count("\n")) == (65, "", 1)
    assert f": the body of {digest} was changed (" in out


def test_a_broken_body_names_the_answer(copy: Path, bot: Command) -> None:
    """Bytes that cannot even be unpacked are named in the same way."""
    with changing(copy) as ask:
        ((digest, body),) = ask("select answer_hash, body from answers order by answer_hash desc limit 1")
        ask("update answers set body = ? where answer_hash = ?", body[:-5] + b"01234", digest)
    found = difference(bot, copy)
    assert (found["kind"], digest in found["what"]) == ("answer", True)


def price_of_an_entry(ask: Ask, moment: str) -> tuple[Any, ...]:
    """Return slot, token, known_at and answer of a price before (<=) or after (>) the decision of the first entry."""
    ((slot, token, cut_off),) = ask(
        "select o.slot, o.token_id, c.cut_off from orders o join cycles c on c.run = o.run and c.slot = o.slot"
        " where o.role = 'entry' order by o.slot limit 1"
    )
    (call,) = ask(
        f"select known_at, answer_hash from api_calls where slot = ? and endpoint = 'price' and known_at {moment} ?",
        slot,
        cut_off,
    )
    return slot, token, *call


def reprice(ask: Ask, token: int, known_at: str, digest: str) -> None:
    """Change a price with the hash of its answer and the row that was read from it."""
    ((body,),) = ask("select body from answers where answer_hash = ?", digest)
    answer = json.loads(zlib.decompress(body))
    (row,) = (row for row in answer["data"] if row["TOKEN_ID"] == token)
    row["CURRENT_PRICE"] = round(row["CURRENT_PRICE"] * 1.03, 2)
    text = json.dumps(answer).encode()
    new = hashlib.sha256(text).hexdigest()
    ask("update answers set answer_hash = ?, body = ? where answer_hash = ?", new, zlib.compress(text), digest)
    ask("update api_calls set answer_hash = ? where answer_hash = ?", new, digest)
    price = str(row["CURRENT_PRICE"])
    ask(
        "update prints set open = ?, high = ?, low = ?, close = ? where token_id = ? and known_at = ?"
        " and timeframe = 'quote'",
        *[price] * 4,
        token,
        known_at,
    )


def test_a_price_changed_with_its_hash_names_the_first_fill(copy: Path, bot: Command) -> None:
    """The price that an entry was filled at, changed consistently in the tape: the fill differs, at its slot."""
    with changing(copy) as ask:
        slot, token, known_at, digest = price_of_an_entry(ask, ">")
        reprice(ask, token, known_at, digest)
    found = difference(bot, copy)
    assert found["at"] == slot
    assert (found["kind"], found["what"].split()[0]) in {("fill", "fills"), ("row", "positions")}
    assert found["stored"] != found["derived"]


def test_a_price_changed_with_its_hash_names_the_first_gate(copy: Path, bot: Command) -> None:
    """The price that an entry was decided on, changed consistently in the tape: what was decided differs."""
    with changing(copy) as ask:
        slot, token, known_at, digest = price_of_an_entry(ask, "<=")
        reprice(ask, token, known_at, digest)
    found = difference(bot, copy)
    assert found["at"] == slot
    assert found["kind"] in {"gate", "row"}
    assert found["stored"] != found["derived"]


@pytest.mark.parametrize(
    ("statement", "kind", "named"),
    [
        ("update verdicts set threshold = '0.9' where gate = 'max_drawdown'", "gate", "max_drawdown, threshold"),
        ("update verdicts set passed = 1 - passed", "gate", "passed"),
        ("update fills set price = '1'", "fill", "price"),
        ("delete from fills where slot = (select max(slot) from fills)", "fill", "fills fill-"),
        ("update postings set amount = amount + 1 where account = 'fees'", "row", "postings je-"),
        ("update cycles set entries = 7 where slot = (select max(slot) from cycles)", "row", "entries"),
        ("update cycles set hash = 'f' where slot = (select max(slot) from cycles)", "row", "hash"),
        ("delete from cycles where slot like '2025-03-02T05%'", "row", "the next cycle"),
        ("update signals set stance = 'neutral' where stance = 'bullish'", "input", "stance"),
        ("update prints set high = '1e9' where timeframe = '1h'", "input", "high"),
        ("update quantmetrics set sharpe = '9'", "input", "sharpe"),
        ("update grades set trader_grade = '1'", "input", "trader_grade"),
        ("delete from levels where number = 1", "input", "levels"),
        ("update instruments set symbol = 'OTHER' where symbol = 'SOL'", "input", "symbol"),
        ("update instruments set quantity_step = '1'", "input", "quantity_step"),
        ("update api_calls set endpoint = endpoint || 'x'", "answer", "which nothing is read from"),
        ("update api_calls set query = replace(query, 'token_id=', 'token_id=x')", "answer", "names no tokens"),
        ("update config_versions set text = replace(text, '0.85', '0.86')", "configuration", "config_versions"),
    ],
)
def test_whatever_was_changed_by_hand_is_named(copy: Path, bot: Command, statement: str, kind: str, named: str) -> None:
    """Gates, fills, rows, inputs and configurations that were changed in the ledger alone."""
    with changing(copy) as ask:
        ask(statement)
    found = difference(bot, copy)
    assert found["kind"] == kind
    assert named in found["what"]


def test_hooks_must_be_those_that_decided(eventful: Path, tmp_path: Path, bot: Command) -> None:
    """Of hooks the ledger has the digest only: another file, or none, is named with the digest that is wanted."""
    ledger = str(eventful / "two.db")
    code, out, _ = bot("parity", "--run", "by_hour", "--ledger", ledger, "--config", str(tmp_path / "none.toml"))
    assert code == 65
    assert "hooks 2025-03-01T00:00:00Z: strategies/hourly.py is not the file that decided" in out
    assert hashlib.sha256(HOOKS.encode()).hexdigest() in out


def test_runs_and_windows_that_are_not_there_are_refused(demo: Path, eventful: Path, bot: Command) -> None:
    """A run must be named where there are several; an unknown one and an empty window are one line."""
    two = ("--ledger", str(eventful / "two.db"))
    for code, words, arguments in (
        (2, "choose one with --run", two),
        (78, "did you mean `by_day`", (*two, "--run", "by_days")),
        (2, "no cycle in this window", ("--ledger", str(demo), "--to", "2024-01-01T00:00Z")),
    ):
        found, out, err = bot("parity", *arguments)
        assert (found, out, err.count("\n")) == (code, "", 1)
        assert words in err


def test_a_deep_verification_derives_every_live_run(eventful: Path, copy: Path, bot: Command) -> None:
    """`bot verify --deep` tells each run, and fails where a derived row differs."""
    config = ("--config", str(eventful / "config.toml"))
    code, out, _ = bot("verify", "--deep", "--ledger", str(eventful / "two.db"), *config)
    assert code == 0
    assert [line.partition(",")[0] for line in out.splitlines()[:2]] == ["by_day: identical", "by_hour: identical"]
    with changing(copy) as ask:
        ask("update prints set high = '1e9' where timeframe = '1h'")
    _, out, err = bot("verify", "--deep", "--json", "--ledger", str(copy))
    told = json.loads(out)
    # U12: in a pipe each run's beginning and end is a line.
    assert ": deriving every cycle again\n" in err
    assert f"{told['derived'][0]['cycles']} cycles derived again" in err
    assert [run["difference"]["kind"] for run in told["derived"]] == ["input"]
    assert bot("verify", "--deep", "--ledger", str(copy))[0] == 65


def test_a_ledger_in_postgresql_is_derived_in_the_same_way(
    tmp_path: Path, postgres_database: str, bot: Command
) -> None:
    """A day and a half on a server: identical as a whole and in a window, with a hash computed from derived rows."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "daily.toml").write_text(DAILY.format(universe='["BTC", "ETH", "SOL", "DOGE"]'))
    (tmp_path / "strategies" / "hourly.toml").write_text(HOURLY)
    clock, market = SteppedClock(START), Market(seed=SEED, start=START, days=3)
    with serve(market, lambda: clock.at.replace(microsecond=0), api_key="tm-two") as server:
        config = CONFIG.format(base_url=server.base_url).replace("two.db", postgres_database)
        (tmp_path / "config.toml").write_text(config)
        fire_all(tmp_path, clock, START, START + 36 * HOUR)
    for window in ((), ("--from", "2025-03-01T20:00Z")):
        asked = ("--run", "by_day", "--ledger", postgres_database, "--json", *window)
        told = json.loads(bot("parity", *asked)[1])
        assert (told["difference"], told["identical"]) == (None, True)
