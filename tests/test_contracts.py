"""Each import contract of pyproject.toml is broken once, in a copy of the package, and is seen to fail."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

FLOORS = "Floors: cli > app > adapters | simulator > figures | ports | engine > domain"
ROOMS = "Rooms: sweep|histories > live|replay > parity|review > settings > cycle|telling"
ENTRY = "Nothing imports the entry point"
DECIDE = "Adapters and simulator never decide"
VALUES = "The simulator knows values only"
STRANGERS = "Adapters are strangers to each other"
HTTPX = "httpx has one owner: bot.adapters.http"
SQLALCHEMY = "sqlalchemy has one owner: bot.adapters.sql"
APSCHEDULER = "apscheduler has one owner: bot.app.live, and bot.app.cycle.schedule for slots"
NOBODY = "Nobody imports strategies, migrations or tests"
PURE = "The core is pure: no clock, chance, environment, log or library but numpy"

# A contract, the module that breaks it, and the line with which it does.
BROKEN = [
    (FLOORS, "app/cycle/run_cycle.py", "import bot.cli"),
    (FLOORS, "adapters/clock.py", "import bot.app.cycle.run_cycle"),
    (FLOORS, "adapters/clock.py", "import bot.simulator.market"),
    (FLOORS, "simulator/market.py", "import bot.adapters.clock"),
    (FLOORS, "ports.py", "import bot.engine.rules"),
    (FLOORS, "engine/rules.py", "import bot.ports"),
    (FLOORS, "engine/rules.py", "import bot.figures.luck"),
    (FLOORS, "figures/luck.py", "import bot.engine.rules"),
    (FLOORS, "domain/numbers.py", "import bot.engine.rules"),
    (FLOORS, "floorless.py", ""),
    (ROOMS, "app/telling/answers.py", "import bot.app.cycle.gather"),
    (ROOMS, "app/cycle/gather.py", "import bot.app.settings.config"),
    (ROOMS, "app/settings/config.py", "import bot.app.review.reading"),
    (ROOMS, "app/review/reading.py", "import bot.app.parity.parity"),
    (ROOMS, "app/parity/parity.py", "import bot.app.live.wiring"),
    (ROOMS, "app/replay/replay.py", "import bot.app.live.wiring"),
    (ROOMS, "app/live/wiring.py", "import bot.app.sweep.plan"),
    (ROOMS, "app/attic/__init__.py", ""),
    (ENTRY, "app/cycle/run_cycle.py", "import bot.__main__"),
    (DECIDE, "adapters/clock.py", "from bot.engine import rules"),
    (DECIDE, "simulator/market.py", "from bot.engine import rules"),
    (VALUES, "simulator/market.py", "import bot.ports"),
    (STRANGERS, "adapters/clock.py", "import bot.adapters.http"),
    (STRANGERS, "adapters/candles/cells.py", "import bot.adapters.history.reader"),
    (HTTPX, "adapters/clock.py", "import httpx"),
    (HTTPX, "adapters/clock.py", "import httpcore"),
    (SQLALCHEMY, "app/cycle/run_cycle.py", "from sqlalchemy.engine import Engine"),
    (SQLALCHEMY, "cli.py", "import alembic.command"),
    (SQLALCHEMY, "adapters/clock.py", "import sqlite3"),
    (APSCHEDULER, "app/cycle/run_cycle.py", "from apscheduler.triggers.cron import CronTrigger"),
    (NOBODY, "app/cycle/run_cycle.py", "import strategies.levels_long"),
    (NOBODY, "app/cycle/run_cycle.py", "from migrations import env"),
    (PURE, "engine/rules.py", "import random"),
    (PURE, "figures/luck.py", "import random"),
    (PURE, "domain/numbers.py", "import structlog"),
]


@pytest.mark.parametrize(("contract", "module", "line"), BROKEN, ids=[f"{one[1]}-{one[2]}" for one in BROKEN])
def test_a_violation_is_found(tmp_path: Path, contract: str, module: str, line: str) -> None:
    """One forbidden import breaks the contract that forbids it, by name."""
    shutil.copytree(ROOT / "bot", tmp_path / "bot", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (tmp_path / "bot" / module).parent.mkdir(exist_ok=True)
    with (tmp_path / "bot" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    # A fresh process that finds the copy first: this one has the project's own package loaded.
    ran = subprocess.run(
        [sys.executable, "-c", LINT, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert f"{contract} BROKEN" in ran.stdout


def test_every_contract_is_broken_once() -> None:
    """No contract of pyproject.toml goes without a violation above."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = {contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]}
    assert {contract for contract, _, _ in BROKEN} == names
