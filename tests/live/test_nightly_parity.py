"""The nightly parity: the daemon derives its runs again beside its cycles, keeps what came of it, and trades on."""

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apscheduler.triggers.interval import IntervalTrigger
from structlog.testing import capture_logs

from bot.app.live import daemon as loop
from bot.app.live import parity_check as checking
from bot.app.live.daemon import Daemon, check_of, crons_of
from bot.app.live.demo import play
from bot.app.live.parity_check import check_parity
from bot.app.parity.parity import Parity
from bot.app.settings.config import Config, load_config
from bot.domain.errors import LeaseError, StorageError
from bot.domain.ids import RunName
from tests.live.conftest import Command

CONFIG = """
[ledger]
url = "demo.db"

[verify]
parity = "30 3 * * *"
window_hours = 24

[[run]]
name = "levels_long"
strategy = "levels_long"
cash = 10000
schedule = "0 * * * *"

[[run]]
name = "not_begun"
strategy = "levels_long"
cash = 10000
schedule = "0 * * * *"
"""
NOW = datetime(2025, 3, 3, 0, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play two simulated days into a ledger."""
    path = tmp_path_factory.mktemp("nightly") / "demo.db"
    play(path, 2)
    return path


@pytest.fixture
def config(demo: Path, tmp_path: Path) -> Config:
    """Write a configuration beside a copy of the demo's ledger."""
    with closing(sqlite3.connect(demo)) as stored, closing(sqlite3.connect(tmp_path / "demo.db")) as made:
        stored.backup(made)
    (tmp_path / "config.toml").write_text(CONFIG)
    return load_config(tmp_path / "config.toml", {})


def going_on() -> bool:
    """Say that the daemon is not stopping."""
    return False


def rows(config: Config, statement: str) -> list[tuple[object, ...]]:
    """Ask the ledger of a configuration."""
    with closing(sqlite3.connect(config.folder / "demo.db")) as connection:
        return connection.execute(statement).fetchall()


def test_a_night_without_a_difference_is_kept_with_its_hash(config: Config, bot: Command) -> None:
    """The last day is derived again: a row with the window and the last hash, a line of log, and the status says so."""
    with capture_logs() as lines:
        check_parity(config, NOW, going_on)
    ((last,),) = rows(config, "select hash from cycles order by slot desc limit 1")
    ((*found, digest),) = rows(
        config, "select run, checked_at, first_slot, last_slot, cycles, is_identical, what, row_hash from v_parity"
    )
    stamps = ("2025-03-03T00:30:00.000000Z", "2025-03-02T01:00:00.000000Z", "2025-03-03T00:00:00.000000Z")
    assert found == ["levels_long", *stamps, 24, 1, None]
    assert digest == last
    assert [(line["event"], line["log_level"], line["hash"]) for line in lines] == [("parity_identical", "info", last)]
    (row,) = json.loads(bot("status", "--ledger", str(config.folder / "demo.db"), "--json")[1])
    assert row["parity"] == "identical"


def test_a_window_begins_where_the_last_one_ended(config: Config) -> None:
    """A slot not committed when a check fired, and those of missed nights, are checked the next time, once."""
    short = replace(config, verify=replace(config.verify, window_hours=2))
    with capture_logs():
        for at in (NOW - 36 * HOUR, NOW - 34 * HOUR, NOW, NOW + 9 * DAY):
            check_parity(short, at, going_on)
    found = rows(config, "select first_slot, last_slot, cycles from v_parity order by checked_at")
    assert [(str(first)[:13], str(last)[:13], cycles) for first, last, cycles in found] == [
        ("2025-03-01T11", "2025-03-01T12", 2),
        ("2025-03-01T13", "2025-03-01T14", 2),
        ("2025-03-01T15", "2025-03-03T00", 34),
    ]


def test_a_difference_is_told_loudly_and_stays(config: Config, bot: Command) -> None:
    """A changed fill is an error that names it, a row in the ledger, and in the status of every later day."""
    with closing(sqlite3.connect(config.folder / "demo.db")) as connection:
        connection.execute("drop trigger fills_no_update")
        connection.execute("update fills set price = '1' where slot >= '2025-03-02T01' and role = 'entry'")
        connection.commit()
        ((slot,),) = connection.execute(
            "select min(slot) from fills where slot >= '2025-03-02T01' and role = 'entry'"
        ).fetchall()
    with capture_logs() as lines:
        check_parity(config, NOW - timedelta(hours=1), going_on)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("parity_differs", "error")
    assert ": differs after " in line["difference"]
    ((identical, kind, at, what, stored),) = rows(
        config, "select is_identical, kind, differs_at, what, stored from v_parity"
    )
    assert (identical, kind, at, stored) == (0, "fill", slot, "1")
    assert str(what).startswith("fills fill-")
    ledger = ("--ledger", str(config.folder / "demo.db"))
    assert f"differs: fill {slot[:10]}" in bot("status", *ledger)[1]
    with capture_logs():
        check_parity(config, NOW, going_on)
    (row,) = json.loads(bot("status", *ledger, "--json")[1])
    assert row["parity"].startswith("identical, but differed at fill")


def test_what_cannot_be_checked_is_told_and_the_next_run_follows(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that cannot be read for one run is a warning; an empty window is no check at all."""
    asked: list[str] = []

    def derived(_book: object, name: str, *_: object) -> object:
        asked.append(name)
        message = "the disk is gone"
        raise StorageError(message)

    with monkeypatch.context() as patch, capture_logs() as lines:
        patch.setattr(checking, "derive_run", derived)
        check_parity(config, NOW, going_on)
    assert asked == ["levels_long", "not_begun"]
    assert [(line["event"], line["log_level"], line["run"]) for line in lines] == [
        ("parity_failed", "warning", name) for name in asked
    ]
    check_parity(config, NOW + 9 * DAY, going_on)
    assert rows(config, "select * from v_parity") == []


class Turning:
    """A runner that finds nothing to commit, and counts its firings since a check began."""

    def __init__(self, begun: threading.Event, enough: threading.Event) -> None:
        """Say when it was fired three times since something began."""
        self.begun, self.enough = begun, enough
        self.fired = 0
        self.setup = SimpleNamespace(name="turning")
        self.portfolio = SimpleNamespace(settled_slot=None)

    def fire(self, *_: object) -> None:
        """Count."""
        self.fired += self.begun.is_set()
        if self.fired >= 3:
            self.enough.set()


def test_a_check_that_takes_long_holds_up_no_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a check waits for ever the runs go on; one that breaks stops nothing either."""
    begun, enough, looked = threading.Event(), threading.Event(), []
    monkeypatch.setattr(loop, "trigger_of", lambda _cron: IntervalTrigger(seconds=0.05))
    run = SimpleNamespace(schedule="* * * * *", runner=Turning(begun, enough))

    def look(at: datetime, _stopping: object) -> None:
        looked.append(at)
        if len(looked) == 1:
            message = "a bug"
            raise RuntimeError(message)
        begun.set()
        enough.wait(30)

    daemon = Daemon(SimpleNamespace(runs=(run,)), lambda: NOW, ("* * * * *", look))  # type: ignore[arg-type]
    serving = threading.Thread(target=daemon.serve)
    serving.start()
    try:
        assert begun.wait(30)
        assert enough.wait(10)
    finally:
        enough.set()
        daemon.stopping.set()
        serving.join(30)
    assert looked[:2] == [NOW, NOW]
    assert daemon.fatal is None


@pytest.mark.parametrize("error", [None, LeaseError("overtaken")])
def test_a_daemon_that_stops_waits_for_no_check(
    config: Config, monkeypatch: pytest.MonkeyPatch, error: LeaseError | None
) -> None:
    """Told to stop, or stopped by a lost lease, it ends after the cycle being derived: one line of log, no row."""
    derived: list[int] = []
    monkeypatch.setattr(loop, "trigger_of", lambda _cron: IntervalTrigger(seconds=0.05))
    daemon = Daemon(SimpleNamespace(runs=()), lambda: NOW, None)  # type: ignore[arg-type]
    make = checking.derive_run

    def slowed(*given: Any) -> Parity:
        *known, progress = given

        def stop(name: RunName, done: int, total: int) -> None:
            derived.append(done)
            daemon.fatal = error
            daemon.stopping.set()
            progress(name, done, total)

        return make(*known, stop)

    monkeypatch.setattr(checking, "derive_run", slowed)
    daemon.check = check_of(config)
    with capture_logs() as lines:
        if error is None:
            assert daemon.serve() == 0
        else:
            with pytest.raises(LeaseError):
                daemon.serve()
    assert derived == [1]
    (told,) = [line for line in lines if line["event"].startswith("parity")]
    assert (told["event"], told["log_level"], told["run"]) == ("parity_given_up", "info", "levels_long")
    assert rows(config, "select * from v_parity") == []


def test_without_a_schedule_nothing_is_checked(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key says when; the daemon refuses one that never comes as it does a run's."""
    checked: list[datetime] = []
    monkeypatch.setattr(loop, "check_parity", lambda _config, at, _stopping: checked.append(at))
    found = check_of(config)
    assert found is not None
    cron, look = found
    look(NOW, going_on)
    assert (cron, checked) == ("30 3 * * *", [NOW])
    assert crons_of(config) == ["0 * * * *", "0 * * * *", "30 3 * * *"]
    (config.path).write_text(CONFIG.replace('parity = "30 3 * * *"\n', ""))
    silent = load_config(config.path, {})
    assert check_of(silent) is None
    assert crons_of(silent) == ["0 * * * *", "0 * * * *"]
