"""What a restart with other files changes, and what it does not: versions, brackets, hooks."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.live.conftest import Command
from tests.live.test_commands import edit, rows

BRACKETS = "select position_id, stop_initial, stop_last, target from v_trades order by position_id"
PLANNED = "select order_id, role, price, quantity from v_orders where role in ('stop', 'target') order by order_id"
STRATEGY = "strategies/levels_long.toml"


@pytest.fixture
def yearly(home: Path) -> Path:
    """Give the run a yearly schedule and a strategy that buys whatever is bullish, stopped by a fraction."""
    strategy = home / STRATEGY
    text = re.sub(r"\[gates\].*?\n\n", "[entry]\nage_max_hours = 2000\n\n", strategy.read_text(), flags=re.DOTALL)
    text = re.sub(r"\[stop\].*?\[target\].*?\n\n", FRACTIONS, text, flags=re.DOTALL)
    strategy.write_text(text)
    edit("config.toml", "2 * * * *", "0 0 1 1 *")(home)
    return home


FRACTIONS = """[stop]
rule = "fraction"
fraction = 0.2

[target]
rule = "fraction"
fraction = 0.3

"""


def slots() -> Iterator[str]:
    """Count slots up by minutes, from some minutes ago."""
    start = datetime.now(UTC) - timedelta(minutes=9)
    return ((start + timedelta(minutes=number)).isoformat() for number in range(9))


def test_a_changed_strategy_is_a_new_version_and_leaves_open_brackets_alone(yearly: Path, bot: Command) -> None:
    """Other stops and targets in the file: the next cycle has another config_hash, positions keep their bracket."""
    slot = slots()
    assert bot("once", "--at", next(slot))[0] == 0
    before = rows(yearly, BRACKETS), rows(yearly, PLANNED)
    assert len(before[0]) > 1
    assert bot("once", "--at", next(slot))[0] == 0
    edit(STRATEGY, "fraction = 0.2\n", "fraction = 0.01\n")(yearly)
    edit(STRATEGY, "fraction = 0.3\n", "fraction = 0.02\n")(yearly)
    assert bot("once", "--at", next(slot))[0] == 0
    kept = {name for (name,) in rows(yearly, "select position_id from v_open_positions")}
    assert len(kept) == len(before[0])
    assert (rows(yearly, BRACKETS), rows(yearly, PLANNED)) == before
    first, again, changed = [hash_ for (hash_,) in rows(yearly, "select config_hash from v_cycles order by slot")]
    assert first == again != changed
    texts = dict(rows(yearly, "select config_hash, text from config_versions"))
    assert '"fraction":"0.2"' in str(texts[first])
    assert '"fraction":"0.01"' in str(texts[changed])
    assert bot("verify")[0] == 0


def test_hooks_beside_a_strategy_decide_and_are_part_of_its_version(yearly: Path, bot: Command) -> None:
    """A veto refuses one token by its reason, an error refuses all by theirs, and each file is a version."""
    slot = slots()
    hooks = yearly / STRATEGY.replace(".toml", ".py")
    hooks.write_text("def veto(view, bracket):\n    return 1 / 0\n")
    assert bot("once", "--at", next(slot))[0] == 0
    reasons = {str(reason) for (reason,) in rows(yearly, "select reason from v_gates where not passed")}
    assert "hook veto: ZeroDivisionError: division by zero (line 2)" in reasons
    assert rows(yearly, "select count(*) from v_orders") == [(0,)]
    symbols = sorted({str(symbol) for (symbol,) in rows(yearly, "select symbol from v_decisions")})
    hooks.write_text(
        "def veto(view, bracket):\n"
        f'    return "not this one" if view.instrument.symbol == "{symbols[0]}" else None\n'
    )
    edit(STRATEGY, "[entry]\n", '[entry]\nact_on = "stance"\n')(yearly)
    assert bot("once", "--at", next(slot))[0] == 0
    newest = "select symbol, first_reason from v_decisions where slot = (select max(slot) from v_decisions)"
    judged = dict(rows(yearly, newest))
    assert judged[symbols[0]] == "not this one"
    assert judged[symbols[1]] is None
    hooks.unlink()
    assert bot("once", "--at", next(slot))[0] == 0
    versions = [hash_ for (hash_,) in rows(yearly, "select config_hash from v_cycles order by slot")]
    assert len(set(versions)) == 3


def test_a_file_of_hooks_that_is_wrong_starts_nothing(yearly: Path, bot: Command) -> None:
    """The line and the mend, 78, and no cycle."""
    (yearly / STRATEGY.replace(".toml", ".py")).write_text("import os\n")
    code, _, err = bot("once")
    assert (code, err.count("\n")) == (78, 1)
    assert "levels_long.py:1: os is not for hooks" in err
    assert rows(yearly, "select count(*) from v_cycles") == [(0,)]
