"""Several runs in one daemon: own accounts, own schedules and own signals over one set of answers."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.adapters.clock import SteppedClock
from bot.app.cycle.runner import fire
from bot.app.cycle.schedule import slots_between
from bot.app.live.wiring import live
from bot.app.settings.config import load_config
from bot.app.settings.keys import ring_of
from bot.cli.main import main
from bot.simulator.market import SEED, Market
from bot.simulator.server import serve

START = datetime(2025, 3, 1, tzinfo=UTC)
DAYS = 4
STRATEGY = """
[strategy]
name = "{name}"
universe = {universe}
feed = "{name}"

[stop]
rule = "fraction"
fraction = 0.03

[target]
rule = "r_multiple"
multiple = 1

[sizing]
rule = "fixed_fraction"
fraction = 0.05
"""
CONFIG = """
[ledger]
url = "two.db"

[source]
base_url = "{base_url}"

[[run]]
name = "by_day"
strategy = "daily"
cash = 10000
schedule = "0 */6 * * *"

[[run]]
name = "by_hour"
strategy = "hourly"
cash = 2500
schedule = "0 * * * *"
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play some days of a daily run and an hourly one, whose universes overlap, restarted in the middle."""
    home = tmp_path_factory.mktemp("two")
    (home / "strategies").mkdir()
    for name, universe in (("daily", '["BTC", "ETH", "SOL"]'), ("hourly", '["SOL", "ADA", "XRP"]')):
        (home / "strategies" / f"{name}.toml").write_text(STRATEGY.format(name=name, universe=universe))
    clock = SteppedClock(START)
    market = Market(seed=SEED, start=START, days=DAYS + 1)
    middle, end = START + timedelta(days=DAYS // 2), START + timedelta(days=DAYS)
    with serve(market, lambda: clock.at.replace(microsecond=0), api_key="tm-two") as server:
        (home / "config.toml").write_text(CONFIG.format(base_url=server.base_url))
        for start, stop in ((START, middle), (middle, end)):
            play(home / "config.toml", clock, start, stop)
    return home / "two.db"


def play(path: Path, clock: SteppedClock, start: datetime, end: datetime) -> None:
    """Fire each run at its own slots, one after another as the daemon does."""
    config = load_config(path, {})
    with live(config, ring_of("tm-two"), clock, side_by_side=1) as opened:
        schedules = {run: set(slots_between(run.schedule, start, end)) for run in opened.runs}
        for slot in sorted(set().union(*schedules.values())):
            clock.set(slot + timedelta(seconds=2))
            for run, slots in schedules.items():
                if slot in slots:
                    fire(run, slot)


def ask(path: Path, statement: str) -> Sequence[tuple[object, ...]]:
    """Ask the ledger."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_each_run_has_its_own_schedule_and_account(ledger: Path) -> None:
    """Six-hourly and hourly cycles, capitals of their own, and equity that adds up for each."""
    assert ask(ledger, "select run, count(*) from v_cycles group by run order by run") == [
        ("by_day", DAYS * 4 + 1),
        ("by_hour", DAYS * 24 + 1),
    ]
    capital = "select run, -sum(amount) from v_postings where account = 'capital' group by run order by run"
    assert ask(ledger, capital) == [("by_day", 10000), ("by_hour", 2500)]
    assert {run for (run,) in ask(ledger, "select distinct run from v_trades")} == {"by_day", "by_hour"}
    assert main(["verify", "--ledger", str(ledger)]) == 0


def test_each_run_decides_on_the_episodes_of_its_own_feed(ledger: Path) -> None:
    """The daily run's candidates are daily signals, the hourly run's hourly ones, also of the token that both watch."""
    decided = "select distinct d.run, s.feed from v_decisions d join v_signals s on s.signal_id = d.signal_id"
    assert sorted(ask(ledger, decided)) == [("by_day", "daily"), ("by_hour", "hourly")]
    shared = ask(ledger, "select distinct run from v_decisions where symbol = 'SOL' order by run")
    assert shared == [("by_day",), ("by_hour",)]


def test_the_runs_of_one_slot_share_their_answers(ledger: Path) -> None:
    """At each slot prices are asked once, and again by each run that accepted a market order; the rest never twice."""
    asked = dict(ask(ledger, "select slot, count(*) from v_api_calls where endpoint = 'price' group by slot"))
    filled = """select accepted_at, count(distinct run) from v_orders where role in ('entry', 'exit')
        and accepted_at is not null group by accepted_at"""
    once_more = dict(ask(ledger, filled))
    slots = [slot for (slot,) in ask(ledger, "select distinct slot from v_cycles")]
    assert len(once_more) >= 3
    assert {slot: asked[slot] for slot in slots} == {slot: 1 + int(str(once_more.get(slot, 0))) for slot in slots}
    twice = """select slot, endpoint, query from v_api_calls where endpoint <> 'price'
        group by slot, endpoint, query having count(*) > 1"""
    starts = tuple(f"{at:%Y-%m-%dT%H}" for at in (START, START + timedelta(days=DAYS // 2)))
    assert [row for row in ask(ledger, twice) if not str(row[0]).startswith(starts)] == []
    hourly = "select slot, count(*) from v_api_calls where endpoint = 'hourly-trading-signals' group by slot"
    assert {count for slot, count in ask(ledger, hourly) if not str(slot).startswith(starts)} == {1}
