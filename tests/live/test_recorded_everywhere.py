"""Sweeps, the look-ahead check and random entries over what a daemon recorded, as over a history folder."""

import json
import sqlite3
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from bot.app.live.demo import play
from bot.app.replay.material import Material, Origin, find_place, open_for, open_material
from bot.app.settings.shipped import starter_strategy
from bot.app.settings.strategies import Strategy, load_strategy
from bot.app.sweep.course import Course
from bot.app.sweep.plan import load_sweep
from bot.app.sweep.task import try_out
from bot.app.sweep.workers import Workers
from bot.domain.decisions import Candidate
from bot.domain.errors import ConfigError
from bot.domain.orders import Fill, Role
from bot.domain.record import CycleRecord
from tests.live.conftest import BRIEF_DAYS, Command
from tests.sweep_files import Serial, parameters_in, rows

STRATEGY = """
[strategy]
name = "other"
universe = ["BTC", "sol"]

[stop]
rule = "fraction"
fraction = 0.02

[target]
rule = "fraction"
fraction = 0.03

[sizing]
rule = "fixed_fraction"
fraction = 0.2
"""
SWEEP = """
[sweep]
name = "first"
strategy = "other"
cash = 5000
figure = "total_return"
to = "2025-03-03T04:00Z"

[parameters]
stop.fraction = [0.01, 0.02]
"""
UNTIL = 'to = "2025-03-03T04:00Z"\n'
WALKED = "\n[walk_forward]\ntrain_days = 2\ntest_days = 1\n"
HOARDER = '''
SEEN = ({},)


def veto(view, bracket):
    """Refuse what was seen for less at a later instant."""
    prices = SEEN[0].setdefault(view.instrument.symbol, {})
    prices[view.price.known_at] = view.price.price
    later = [price for at, price in prices.items() if at > view.price.known_at]
    return "falls" if later and min(later) < view.price.price else None
'''
HONEST = '''
def veto(view, bracket):
    """Refuse what fell on its last whole day."""
    return "fell" if view.days and view.days[-1].close < view.days[-1].open else None
'''
FAITHFUL = '''
FIRST = ([],)


def rank(view, bracket):
    """Put the first token ever asked about before all others."""
    if not FIRST[0]:
        FIRST[0].append(view.instrument.token_id)
    return 1 if view.instrument.token_id == FIRST[0][0] else 0
'''
DAY_ONE = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where two strategies and a sweep's file are."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "levels_long.toml").write_text(starter_strategy())
    (tmp_path / "strategies" / "other.toml").write_text(STRATEGY)
    (tmp_path / "sweep.toml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Serial:
    """Let tasks run in this process, one after the other; the third one is interrupted."""
    executor = Serial(lambda number: KeyboardInterrupt() if number == 3 else None)
    workers = Workers(lambda: nullcontext(executor), ())
    monkeypatch.setattr("bot.app.sweep.course.workers_on", lambda *_: workers)
    return executor


def test_a_trial_over_recorded_answers_is_a_replay_over_them(brief: Path, place: Path, bot: Command) -> None:
    """Every figure, reason and count of each row is that of `bot replay --recorded` with that set and window."""
    (place / "sweep.toml").write_text(SWEEP.replace(UNTIL, "") + WALKED)
    assert bot("sweep", "sweep.toml", "--recorded", str(brief), "--ledger", "s.db", "--workers", "1")[0] == 0
    found = rows(place / "s.db")
    assert [bool(one["is_test"]) for one in found].count(True) == 1
    assert len(found) == 3
    for number, trial in enumerate(found):
        text = STRATEGY.replace("0.02", str(parameters_in(trial)["stop.fraction"]))
        (place / "other.toml").write_text(text)
        asked = ["--strategy", "./other.toml", "--recorded", str(brief), "--cash", "5000", "--ledger", f"{number}.db"]
        asked += ["--from", str(trial["window_from"]), "--to", str(trial["window_to"])]
        code, out, _ = bot("replay", *asked, "--json")
        answer = json.loads(out)
        figures, reasons = answer["statistics"], json.loads(str(trial["reasons"]))
        assert code == 0
        assert {name: trial[name] for name in figures if name in trial and name != "reasons"} == {
            name: value for name, value in figures.items() if name in trial and name != "reasons"
        }
        assert {name: reason for name, reason in figures["reasons"].items() if name in trial} == {
            name: reason for name, reason in reasons.items() if name in figures
        }
        assert (trial["final_equity"], trial["open_positions"]) == (answer["equity"], answer["open_positions"])
        assert (trial["trades"], trial["slots"]) == (figures["closed_trades"], answer["slots"])
    assert len({one["total_return"] for one in found}) == 3


def test_a_sweep_that_was_killed_ends_as_if_undisturbed(
    serial: Serial, brief: Path, place: Path, bot: Command
) -> None:
    """The second time the rest is run, the third time nothing; the rows are those of a sweep that nothing disturbed."""
    text = SWEEP.replace("[sweep]\n", f'[sweep]\nrecorded = "{brief}"\n').replace(UNTIL, "")
    (place / "sweep.toml").write_text(text + WALKED)
    bot("sweep", "sweep.toml", "--ledger", "killed.db")
    assert (len(rows(place / "killed.db")), serial.count) == (2, 3)
    again = [json.loads(bot("sweep", "sweep.toml", "--ledger", "killed.db", "--json")[1]) for _ in range(2)]
    assert [(one["trials_run"], one["trials_found"]) for one in again] == [(1, 2), (0, 3)]
    whole = json.loads(bot("sweep", "sweep.toml", "--json")[1])
    assert whole["trials_run"] == 3
    assert again[0]["windows"] == again[1]["windows"] == whole["windows"]
    assert rows(place / "killed.db") == rows(place / "sweep.db")


def copy_of(ledger: Path, path: Path) -> Path:
    """Copy a ledger."""
    with closing(sqlite3.connect(ledger)) as stored, closing(sqlite3.connect(path)) as made:
        stored.backup(made)
    return path


def test_a_longer_tape_is_other_material_only_without_an_end(brief: Path, place: Path) -> None:
    """A daemon that went on leaves a window that ends before as it was; one that ends with the tape is another."""
    longer = copy_of(brief, place / "longer.db")
    play(longer, BRIEF_DAYS + 1)
    for window, is_same in (((None, DAY_ONE + timedelta(days=2)), True), ((None, None), False)):
        origins = [Origin(str(path), None, ("BTC", "sol"), window=window) for path in (brief, longer)]
        first, second = (open_material(origin) for origin in origins)
        assert (first.digest == second.digest, first.slots == second.slots) == (is_same, is_same)


def test_a_daemon_that_goes_on_meanwhile_disturbs_no_worker(brief: Path, place: Path) -> None:
    """A worker that opens the ledger later than the sweep ends where the sweep ended."""
    (place / "sweep.toml").write_text(SWEEP.replace(UNTIL, ""))
    ledger = copy_of(brief, place / "live.db")
    course = Course(load_sweep(place / "sweep.toml"), str(ledger))
    (text, *_) = course.searches[0].ask()
    play(ledger, BRIEF_DAYS + 1)
    assert try_out(course._task(course.folds[0].train, text)).slots == BRIEF_DAYS * 24 + 1


def test_a_worker_with_other_answers_refuses(brief: Path, place: Path) -> None:
    """A ledger whose digest is not the sweep's: 78 in one line, from the worker itself."""
    course = Course(load_sweep(place / "sweep.toml"), str(brief))
    (text, *_) = course.searches[0].ask()
    task = course._task(course.folds[0].train, text)
    assert try_out(task).slots == 53
    other = replace(task, ground=replace(task.ground, history_digest="another"))
    with pytest.raises(ConfigError, match=r"brief\.db: its data are not those .* give every worker the same ones"):
        try_out(other)


@pytest.mark.parametrize(
    ("spoil", "more", "code", "said"),
    [
        ({}, ("--recorded", "none.db"), 78, "none.db"),
        ({}, ("--recorded", "replay.db"), 78, "replay.db: no live run has a cycle"),
        ({"[0.01, 0.02]": '[0.01, 0.02]\nstrategy.feed = ["hourly"]'}, (), 78, "no answer of hourly-trading-signals"),
        ({'"sol"': '"soll"'}, (), 78, "did you mean `SOL`"),
        ({'"2025-03-03T04:00Z"': "2024-03-09"}, (), 78, "no slot in this window"),
        ({"[sweep]\n": '[sweep]\nhistory = "h"\nrecorded = "r.db"\n'}, (), 78, "sweep.history is given too"),
        ({}, ("--history", "h"), 2, "not allowed with"),
    ],
)
def test_what_a_sweep_cannot_run_on_is_one_line(
    brief: Path, place: Path, bot: Command, spoil: dict[str, str], more: tuple[str, ...], code: int, said: str
) -> None:
    """The codes of `bot replay --recorded`, and no trial."""
    if "replay.db" in more:
        bot("replay", "--strategy", "other", "--recorded", str(brief), "--to", "2025-03-01T02:00Z")
    for old, new in spoil.items():
        for file in ("sweep.toml", "strategies/other.toml"):
            (place / file).write_text((place / file).read_text().replace(old, new))
    recorded = () if "none" in str(more) else ("--recorded", str(brief))
    found, out, err = bot("sweep", "sweep.toml", *recorded, *more)
    assert (found, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert code == 2 or err.count("\n") == 1
    assert not (place / "sweep.db").exists()


def look(place: Path, bot: Command, brief: Path, hooks: str, *more: str) -> tuple[int, dict[str, object]]:
    """Check a strategy with hooks over a ledger; returns the exit code and the only row."""
    (place / "strategies" / "other.py").write_text(hooks)
    given = ("check", "--lookahead", "--strategy", "other", "--recorded", str(brief), "--to", "2025-03-03")
    code, out, err = bot(*given, "--json", *more)
    assert err == ""
    (told,) = json.loads(out)
    return code, told


def test_hooks_are_looked_at_over_recorded_answers(brief: Path, place: Path, bot: Command) -> None:
    """An honest hook passes, twice alike; one that kept later prices or earlier calls is found and named."""
    often = STRATEGY.replace('universe = ["BTC", "sol"]', 'universe = "*"\n[entry]\nreentry = "always"')
    (place / "strategies" / "other.toml").write_text(often)
    code, told = look(place, bot, brief, HONEST)
    assert (code, told["found"], told["difference"]) == (0, False, None)
    assert isinstance(told["facts"], int)
    assert isinstance(told["cuts"], int)
    assert told["facts"] > 100
    assert told["cuts"] >= 8
    assert look(place, bot, brief, HONEST) == (code, told)
    for hooks, how, hook in ((HOARDER, "cut", "veto"), (FAITHFUL, "restarted", "rank")):
        code, told = look(place, bot, brief, hooks)
        difference = told["difference"]
        assert isinstance(difference, dict)
        assert (code, difference["how"]) == (65, how)
        assert difference["answer"].startswith(f"hook {hook} on ")


def test_what_cannot_be_looked_at_is_one_line(brief: Path, place: Path, bot: Command) -> None:
    """The codes of `bot replay --recorded`; both kinds of material at once are a usage error."""
    given = ("check", "--lookahead", "--strategy", "other")
    (place / "strategies" / "hourly.toml").write_text(STRATEGY.replace("[stop]", 'feed = "hourly"\n[stop]', 1))
    for more, code, said in (
        ((*given, "--recorded", "none.db"), 78, "none.db"),
        ((*given[:3], "hourly", "--recorded", str(brief)), 78, "no answer of hourly-trading-signals"),
        ((*given, "--recorded", str(brief), "--to", "2024-01-01"), 78, "no slot in this window"),
        ((*given, "--recorded", str(brief), "--history", "h"), 2, "not allowed with"),
        (("check", "--recorded", str(brief)), 2, "go with --lookahead"),
    ):
        found, out, err = bot(*more)
        assert (found, out) == (code, "")
        assert said in err.splitlines()[-1]


def strategy_at(place: Path) -> Strategy:
    """Load the strategy of a place."""
    return load_strategy(str(place / "strategies" / "other.toml"), place)


def cycles(material: Material, strategy: Strategy) -> list[CycleRecord]:
    """Run a material's slots with a strategy, without the instants at which the work was done."""
    made = material.records(material.set_up(strategy, Decimal(10_000)))
    stamps = {"started_at": DAY_ONE, "finished_at": DAY_ONE}
    return [replace(one, cycle=replace(one.cycle, **stamps)) for one in made]  # type: ignore[arg-type]


def fills(made: list[CycleRecord]) -> list[Fill]:
    """List the fills of cycles."""
    return [fact for one in made for fact in one.facts if isinstance(fact, Fill)]


def test_a_cut_tape_holds_nothing_that_was_not_known(brief: Path, place: Path) -> None:
    """A run over a cut is the whole run up to it, and has no later price to fill at."""
    strategy = strategy_at(place)
    material = open_for(strategy, str(brief), (None, None), None)
    whole = fills(cycles(material, strategy))
    known = 0
    for at in material.slots[4::10]:
        found = fills(cycles(material.cut(at), strategy))
        assert found == [fill for fill in whole if fill.slot <= at]
        known = max(known, len(found))
    assert 1 < known <= len(whole)


def test_random_entries_over_recorded_answers_have_figures(brief: Path, place: Path, bot: Command) -> None:
    """The same figures twice; the run's own rows are those of the replay without them."""
    given = ("replay", "--strategy", "other", "--recorded", str(brief), "--json")
    told = [
        json.loads(bot(*given, "--ledger", f"{name}.db", *more)[1])["statistics"]
        for name, more in (("plain", ()), ("one", ("--random-entries", "4")), ("two", ("--random-entries", "4")))
    ]
    assert told[1] == told[2]
    assert {name: told[1][name] for name in told[0] if name != "reasons"} == {
        name: value for name, value in told[0].items() if name != "reasons"
    }
    assert told[1]["random_runs"] == 4
    assert 0 <= told[1]["random_beaten"] <= 1
    assert told[1]["random_return_low"] < told[1]["random_return_high"]
    asked = "select slot, hash from cycles order by slot"
    with closing(sqlite3.connect("plain.db")) as plain, closing(sqlite3.connect("one.db")) as drawn:
        assert plain.execute(asked).fetchall() == drawn.execute(asked).fetchall()


def test_rotated_signals_come_at_other_slots_and_all_else_stays(brief: Path, place: Path) -> None:
    """Entries come at other slots, each paid at the token's recorded quote of that instant."""
    strategy = strategy_at(place)
    material = open_for(strategy, str(brief), (None, None), None)
    own, bits = fills(cycles(material, strategy)), np.random.PCG64(1)
    drawn = [fills(cycles(material.rotate("daily", bits), strategy)) for _ in range(6)]
    assert own == fills(cycles(material, strategy))
    assert len({fill.slot for made in drawn for fill in made} - {fill.slot for fill in own}) > 4
    with closing(sqlite3.connect(brief)) as tape:
        asked = "select token_id, opened_at, open from prints where timeframe = 'quote'"
        quotes = {(token, str(at)): Decimal(str(price)) for token, at, price in tape.execute(asked)}
    entries = [fill for made in drawn for fill in made if fill.role is Role.ENTRY]
    assert len(entries) > 4
    for fill in entries:
        quote = quotes[fill.token_id, f"{fill.filled_at:%Y-%m-%dT%H:%M:%S.%fZ}"]
        assert float(fill.price) == pytest.approx(float(quote) * 1.0007)


def test_without_a_turn_at_the_slots_nothing_is_rotated(brief: Path, place: Path) -> None:
    """What stood before the first slot stays as it was and as old as it was."""
    anything = STRATEGY.replace('["BTC", "sol"]', '"*"\n[entry]\nact_on = "stance"')
    (place / "strategies" / "other.toml").write_text(anything)
    strategy = strategy_at(place)
    window = (DAY_ONE + timedelta(days=2, hours=3), DAY_ONE + timedelta(days=2, hours=12))
    material = open_for(strategy, str(brief), window, None)
    own = cycles(material, strategy)
    assert [one for record in own for one in record.facts if isinstance(one, Candidate)]
    assert cycles(material.rotate("daily", np.random.PCG64(1)), strategy) == own


def test_a_narrower_window_is_the_material_opened_at_it(brief: Path, place: Path) -> None:
    """Its slots, and what each knows, are those of opening the ledger at that window; also on a schedule."""
    for schedule in (None, "30 */6 * * *"):
        window = (DAY_ONE + timedelta(days=2, minutes=30), DAY_ONE + timedelta(days=2, hours=18, minutes=45))
        origin = Origin(str(brief), None, ("BTC", "sol"), schedule=schedule)
        narrow = open_material(origin).within(window)
        alone = open_material(origin._replace(window=window))
        assert narrow.slots == alone.slots
        assert cycles(narrow, strategy_at(place)) == cycles(alone, strategy_at(place))
        assert narrow.within((narrow.slots[0], narrow.slots[-1])).slots == narrow.slots
        assert narrow.digest != alone.digest


def test_a_relative_ledger_counts_from_the_file_and_a_url_stays(place: Path) -> None:
    """Paths of both kinds are resolved from a folder; what has a scheme is left alone."""
    assert find_place("live.db", place) == str(place / "live.db")
    assert find_place(Path("h"), place) == place / "h"
    assert find_place("postgresql://host/bot", place) == "postgresql://host/bot"
