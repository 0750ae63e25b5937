"""`bot replay --recorded`: strategies over what a daemon recorded; a run's own one makes the run's trades."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.clock import SteppedClock
from bot.app.cycle.runner import fire
from bot.app.cycle.schedule import slots_between
from bot.app.live.wiring import live
from bot.app.replay.recorded import Timetable
from bot.app.settings.config import load_config
from bot.app.settings.keys import ring_of
from bot.app.settings.shipped import starter_strategy
from bot.domain.ids import RunName
from bot.domain.record import Cycle, CycleState
from bot.simulator.market import SEED, Market
from bot.simulator.server import serve
from tests.base_case import hours
from tests.live.conftest import BRIEF_DAYS, Command

OTHER = """
[strategy]
name = "other"
universe = ["BTC", "sol"]

[stop]
rule = "fraction"
fraction = 0.03

[target]
rule = "fraction"
fraction = 0.03

[sizing]
rule = "fixed_fraction"
fraction = 0.2
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where the starter's strategy and another one are."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "levels_long.toml").write_text(starter_strategy())
    (tmp_path / "strategies" / "other.toml").write_text(OTHER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trades(path: Path) -> list[dict[str, Any]]:
    """Return the trades of a ledger's only run, all columns."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("select * from v_trades order by position_id")]


def test_a_run_s_own_strategy_makes_its_trades_again(brief: Path, place: Path, bot: Command) -> None:
    """All columns of all trades are those of the live run, but for the configuration's hash."""
    code, out, err = bot("replay", "--strategy", "levels_long", "--recorded", str(brief), "--json")
    told = json.loads(out)
    assert (code, err, told["slots"]) == (0, "", BRIEF_DAYS * 24 + 1)
    made, was = trades(place / "replay.db"), trades(brief)
    unlike = {"config_hash"}
    assert [{name: value for name, value in row.items() if name not in unlike} for row in made] == [
        {name: value for name, value in row.items() if name not in unlike} for row in was
    ]
    assert len(made) >= 3
    assert told["trades"] == len(made)
    assert told["equity"] == pytest.approx(last_equity(brief))


def test_a_live_run_has_the_figures_of_its_replay(brief: Path, place: Path, bot: Command) -> None:
    """U4: `bot figures` on the daemon's ledger, which marks every slot, and the replay, which writes few, agree."""
    code, out, _ = bot("replay", "--strategy", "levels_long", "--recorded", str(brief), "--json")
    replayed = json.loads(out)
    code, out, _ = bot("figures", "--ledger", str(brief), "--json")
    (lived,) = json.loads(out)
    assert code == 0
    assert lived["statistics"] == replayed["statistics"]
    assert {name: lived[name] for name in ("run", "trades", "fees", "profit", "equity")} == {
        name: replayed[name] for name in ("run", "trades", "fees", "profit", "equity")
    }
    assert lived["statistics"]["hold_return"] is not None
    assert lived["statistics"]["max_drawdown"] > 0
    with closing(sqlite3.connect(brief)) as marked, closing(sqlite3.connect(place / "replay.db")) as written:
        marks = [one.execute("select count(*) from v_equity").fetchone()[0] for one in (marked, written)]
        days = [one.execute("select * from v_equity_daily order by slot").fetchall() for one in (marked, written)]
    assert marks[0] > marks[1]
    assert days[0] == days[1]
    assert len(days[0]) == BRIEF_DAYS + 1
    code, out, _ = bot("figures", "--ledger", str(brief), "--run", "levels_long")
    assert "hold return" in out
    assert bot("figures", "--ledger", str(brief), "--run", "other")[0] == 78


def test_what_an_older_release_recorded_is_replayed(brief: Path, place: Path, bot: Command) -> None:
    """A ledger from before volumes were kept has none in its bars: they are not compared, the trades are the same."""
    old = place / "old.db"
    with closing(sqlite3.connect(brief)) as stored, closing(sqlite3.connect(old)) as made:
        stored.backup(made)
        (trigger,) = made.execute("select sql from sqlite_master where name = 'prints_no_update'").fetchone()
        made.executescript(f"drop trigger prints_no_update; update prints set volume = null; {trigger};")
    code, out, err = bot("replay", "--strategy", "levels_long", "--recorded", str(old), "--ledger", "new.db", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["trades"] == len(trades(brief))


def test_a_history_is_not_replayed_into_the_ledger_of_a_daemon(brief: Path, place: Path, bot: Command) -> None:
    """Its rows would become what the daemon knows at its next start: refused, and nothing is written."""
    files = {
        "instruments.csv": "token_id,symbol,name\n1,BTC,Bitcoin\n2,sol,Solana\n",
        "signals.csv": "token_id,published_at,stance\n",
        **{f"bars/1h/{symbol}.csv": hours((5, "100")) for symbol in ("BTC", "sol")},
    }
    for name, text in files.items():
        (place / "h" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "h" / name).write_text(text)
    code, _, err = bot("replay", "--strategy", "other", "--history", "h", "--ledger", str(brief))
    assert (code, err.count("\n")) == (78, 1)
    assert "is the ledger of the live run levels_long" in err
    with closing(sqlite3.connect(brief)) as connection:
        assert connection.execute("select name from v_runs").fetchall() == [("levels_long",)]


def last_equity(path: Path) -> float:
    """Return the last marked equity of a ledger."""
    with closing(sqlite3.connect(path)) as connection:
        return float(connection.execute("select equity from v_equity order by slot desc limit 1").fetchone()[0])


def test_another_strategy_trades_what_was_recorded(brief: Path, place: Path, bot: Command) -> None:
    """Other rules over the same tape: their own trades at recorded prices, honestly late, judged against holding."""
    code, out, _ = bot("replay", "--strategy", "other", "--recorded", str(brief), "--ledger", "other.db", "--json")
    told = json.loads(out)
    assert code == 0
    made = trades(place / "other.db")
    assert made
    assert {row["symbol"] for row in made} <= {"BTC", "SOL"}
    assert {row["run"] for row in made} == {"other"}
    with closing(sqlite3.connect(brief)) as connection:
        prices = {
            (token, str(at)): float(price)
            for token, at, price in connection.execute(
                "select token_id, opened_at, open from prints where timeframe = 'quote'"
            )
        }
    for row in made:  # each bought at a recorded quote, costs included, never before its slot
        quoted = prices[row["token_id"], row["opened_at"]]
        assert row["entry_price"] == pytest.approx(quoted * 1.0007)
    figures = told["statistics"]
    assert figures["hold_return"] == pytest.approx(held(brief, prices))
    assert told["answers"] > 100


def held(path: Path, prices: dict[tuple[int, str], float]) -> float:
    """Return what half in each of two tokens gave, from the first slot's quotes to the last's."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("select token_id from instruments where symbol in ('BTC', 'SOL')")
        tokens = [token for (token,) in found]
        first, last = connection.execute("select min(cut_off), max(cut_off) from cycles").fetchone()
    grown = []
    for token in tokens:
        known = sorted((at, price) for (one, at), price in prices.items() if one == token)
        start, end = (max(pair for pair in known if pair[0] <= at)[1] for at in (first, last))
        grown.append(end / start)
    return sum(grown) / len(grown) - 1


def test_shipped_strategies_are_tried_by_name(brief: Path, place: Path, bot: Command) -> None:
    """U7: a replay and the look-ahead check find one that the working folder has not; a wrong name gets the nearest."""
    recorded = ("--strategy", "bracket_fixed", "--recorded", str(brief))
    assert not (place / "strategies" / "bracket_fixed.toml").exists()
    assert bot("replay", *recorded, "--ledger", "new.db", "--json")[0] == 0
    assert bot("check", "--lookahead", *recorded, "--to", "2025-03-01T12:00Z")[0] == 0
    code, _, err = bot("replay", "--strategy", "bracket_fixd", "--recorded", str(brief))
    assert (code, "did you mean `bracket_fixed`?" in err) == (78, True)


def test_a_schedule_and_a_window_choose_the_slots(brief: Path, place: Path, bot: Command) -> None:
    """Between cycles a slot knows what the last one before it knew; the window bounds both ends; * is every token."""
    text = OTHER.replace('["BTC", "sol"]', '"*"')
    (place / "strategies" / "other.toml").write_text(text)
    given = ("--strategy", "other", "--recorded", str(brief), "--json")
    window = ("--from", "2025-03-01T18:00Z", "--to", "2025-03-03T18:00Z")
    told = json.loads(bot("replay", *given, *window, "--ledger", "a.db")[1])
    assert told["slots"] == 49
    told = json.loads(bot("replay", *given, *window, "--ledger", "b.db", "--schedule", "30 */6 * * *")[1])
    assert told["slots"] == 8
    with closing(sqlite3.connect(place / "b.db")) as connection, closing(sqlite3.connect(brief)) as tape:
        count = "select count(*) from instruments"
        assert connection.execute(count).fetchone() == tape.execute(count).fetchone()
        for slot, cut_off in connection.execute("select slot, cut_off from cycles").fetchall():
            (known,) = tape.execute(
                "select max(known_at) from api_calls where known_at <= ? and answer_hash is not null", (slot,)
            ).fetchone()
            assert cut_off == known


TWO = """
[ledger]
url = "two.db"

[source]
base_url = "{base_url}"

[[run]]
name = "first"
strategy = "other"
cash = 10000
schedule = "0 * * * *"

[[run]]
name = "second"
strategy = "levels_long"
cash = 10000
schedule = "0 * * * *"
"""


WHERE = "where slot = '2025-03-03T01:00:00.000000Z'"
LATE = {"cut_off": "'2025-03-03T11:00:00.000000Z'", "settled_until": "'2025-03-03T11:00:00.000000Z'"}


@pytest.fixture
def late(place: Path) -> Path:
    """Play two runs through six days, each of whose first slots comes an hour and a half late."""
    start = datetime(2025, 3, 1, tzinfo=UTC)
    clock, market = SteppedClock(start), Market(seed=SEED, start=start, days=8)
    with serve(market, lambda: clock.at.replace(microsecond=0), api_key="tm-two") as server:
        (place / "config.toml").write_text(TWO.format(base_url=server.base_url))
        config = load_config(place / "config.toml", {})
        with live(config, ring_of("tm-two"), clock, side_by_side=1) as opened:
            for slot in slots_between("0 * * * *", start, start + timedelta(days=6)):
                clock.set(max(clock.at, slot + timedelta(minutes=0 if slot.hour else 90)))
                for run in opened.runs:
                    fire(run, slot)
                    clock.set(clock.at + timedelta(seconds=3))
    return place / "two.db"


def test_of_several_runs_the_cycle_that_came_first_counts(late: Path, bot: Command) -> None:
    """The run that fires first makes its trades again, also where its cycles came too late for entries."""
    assert bot("replay", "--strategy", "other", "--recorded", str(late))[0] == 0
    asked = "select opened_at, closed_at, symbol, quantity, entry_price, exit_price, profit from v_trades where run = ?"
    seen = "select slot, min(cut_off) from cycles group by slot order by slot"
    with closing(sqlite3.connect(late)) as lived, closing(sqlite3.connect("replay.db")) as made:
        trades = lived.execute(f"{asked} order by position_id", ("first",)).fetchall()
        assert sorted(made.execute(asked, ("other",)).fetchall()) == sorted(trades)
        assert len(trades) >= 2
        waited = "select count(*) from v_trades where run = 'first' and opened_at like '%T01:3%'"
        assert lived.execute(waited).fetchone()[0]
        known = dict(lived.execute(seen).fetchall())
        assert all(known[slot] == cut_off for slot, cut_off in made.execute(seen).fetchall())


def test_one_late_cycle_of_another_run_drags_no_slot_along(brief: Path, place: Path, bot: Command) -> None:
    """A second run caught a slot up ten hours later: the first one's slots until then still know what they knew."""
    with closing(sqlite3.connect(brief)) as stored, closing(sqlite3.connect(place / "two.db")) as made:
        stored.backup(made)
        for table, other in (("runs", {"name": "'late'"}), ("cycles", {"run": "'late'", **LATE})):
            names = [name for _, name, *_ in made.execute(f"pragma table_info({table})")]
            row = ", ".join(other.get(name, name) for name in names)
            made.execute(f"insert into {table} select {row} from {table} {WHERE if table == 'cycles' else ''}")
        made.commit()
    given = ("replay", "--strategy", "levels_long", "--schedule", "0 * * * *", "--recorded")
    for ledger in (brief, place / "two.db"):
        assert bot(*given, str(ledger), "--ledger", f"of_{ledger.name}")[0] == 0
    assert trades(place / "of_two.db") == trades(place / "of_brief.db")


def cycle_at(slot: datetime, cut_off: datetime) -> Cycle:
    """Make a cycle of a slot that knew what was known at an instant, and settled until two seconds later."""
    until = cut_off + timedelta(seconds=2)
    return Cycle(
        run=RunName("late"),
        slot=slot,
        state=CycleState.COMMITTED,
        cut_off=cut_off,
        settled_until=until,
        started_at=slot,
        finished_at=until,
        entries=0,
        exits=0,
        rejections=0,
        config_hash="none",
        code_version="test",
    )


def test_no_slot_knows_less_than_the_one_before_it() -> None:
    """Of two runs one came fifty minutes late: the slots after it go on from what it had settled."""
    noon, second, minute = datetime(2025, 3, 1, 12, tzinfo=UTC), timedelta(seconds=1), timedelta(minutes=1)
    late, prompt = noon + 50 * minute, noon + 30 * minute + second
    cycles = {at: cycle_at(at, cut_off) for at, cut_off in ((noon, late), (noon + 30 * minute, prompt))}
    turns = Timetable("recorded", cycles, [], {}, "*/15 * * * *").list_turns((None, None))
    assert [turn.cycle.cut_off for turn in turns] == [late, late + 2 * second, late + 2 * second]
    assert [turn.cycle.settled_until for turn in turns] == [late + 2 * second] * 3
    assert {turn.interval for turn in turns} == {15 * minute}


def test_the_same_again_adds_nothing_and_a_longer_tape_is_another(brief: Path, place: Path, bot: Command) -> None:
    """A replay is named by its strategy and identified by its tape."""
    given = ("replay", "--strategy", "other", "--recorded", str(brief))
    assert bot(*given)[0] == 0
    code, _, err = bot(*given)
    assert (code, err.count("nothing added")) == (0, 1)
    assert bot(*given, "--to", "2025-03-03")[0] == 78


def test_what_cannot_be_replayed_is_one_line(brief: Path, place: Path, bot: Command) -> None:
    """Tokens and feeds that were not recorded, a ledger without live runs or without cycles there, no ledger at all."""
    last = f"2025-03-{BRIEF_DAYS + 1:02}T00:00Z"
    there = f"no slot in this window: the cycles of {brief} go from 2025-03-01T00:00Z to {last}; widen --from"
    hourly = OTHER.replace('name = "other"', 'name = "other"\nfeed = "hourly"')
    for text, ledger, more, code, said in (
        (OTHER.replace('"sol"', '"SOLL"'), brief, (), 78, "did you mean `SOL`"),
        (hourly, brief, (), 78, "no answer of hourly-trading-signals was recorded"),
        (OTHER, brief, ("--to", "2024-01-01"), 78, there),
        (OTHER, brief, ("--from", "2025-03-02", "--to", "2025-03-03", "--schedule", "0 0 1 1 *"), 78, there),
        (OTHER, place / "none.db", (), 78, "none.db"),
        (OTHER, brief, ("--history", "h"), 2, "not allowed with"),
    ):
        (place / "strategies" / "other.toml").write_text(text)
        found, out, err = bot("replay", "--strategy", "other", "--recorded", str(ledger), *more)
        assert (found, out) == (code, "")
        assert said in err.splitlines()[-1]
    assert not (place / "replay.db").exists()
    assert bot("replay", "--strategy", "other")[0] == 2


def test_a_replay_is_no_live_run(brief: Path, place: Path, bot: Command) -> None:
    """A ledger that holds replays only has recorded nothing."""
    given = ("replay", "--strategy", "other", "--recorded")
    assert bot(*given, str(brief))[0] == 0
    code, _, err = bot(*given, "replay.db", "--ledger", "again.db")
    assert code == 78
    assert "no live run has a cycle" in err


def test_a_changed_answer_is_named(brief: Path, place: Path, bot: Command) -> None:
    """A body whose hash fails ends the replay with 65, and nothing is written."""
    with closing(sqlite3.connect(brief)) as stored, closing(sqlite3.connect(place / "copy.db")) as made:
        stored.backup(made)
        made.execute("drop trigger answers_no_update")
        made.execute("update answers set body = x'00' where answer_hash = (select max(answer_hash) from answers)")
        made.commit()
    code, _, err = bot("replay", "--strategy", "other", "--recorded", "copy.db")
    assert code == 65
    assert "was changed" in err
    with closing(sqlite3.connect(place / "replay.db")) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (0,)
