"""Each import contract of pyproject.toml is broken once, in a copy of the package, and is seen to fail."""

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Looks at the package in the working folder, anew for each line that it reads.
LINT = """
import contextlib, io, json, sys
from importlinter.cli import lint_imports
for _ in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = lint_imports(config_filename=sys.argv[1], no_cache=True)
    print(json.dumps([code, said.getvalue()]), flush=True)
"""

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


@pytest.fixture(scope="module")
def lint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], tuple[int, str]]]:
    """Copy the package once; calls add a line to one of its modules, lint, and take the line away again.

    A process of its own finds the copy first: this one has the project's own package loaded.
    """
    folder = tmp_path_factory.mktemp("contracts")
    shutil.copytree(ROOT / "bot", folder / "bot", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    with subprocess.Popen(
        [sys.executable, "-c", LINT, str(ROOT / "pyproject.toml")],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as linter:

        def run(module: str, line: str) -> tuple[int, str]:
            assert linter.stdin
            assert linter.stdout
            path = folder / "bot" / module
            before = path.read_text(encoding="utf-8") if path.exists() else None
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
            print(file=linter.stdin, flush=True)
            code, said = json.loads(linter.stdout.readline())
            path.unlink()
            if before is not None:
                path.write_text(before, encoding="utf-8")
            elif not any(path.parent.iterdir()):
                path.parent.rmdir()
            return code, said

        yield run


def test_the_package_breaks_none(lint: Callable[[str, str], tuple[int, str]]) -> None:
    """Without a violation every contract is kept, also after one was broken."""
    for line, code in (("", 0), ("import random", 1), ("", 0)):
        assert lint("domain/numbers.py", line)[0] == code


@pytest.mark.parametrize(("contract", "module", "line"), BROKEN, ids=[f"{one[1]}-{one[2]}" for one in BROKEN])
def test_a_violation_is_found(
    lint: Callable[[str, str], tuple[int, str]], contract: str, module: str, line: str
) -> None:
    """One forbidden import breaks the contract that forbids it, by name."""
    code, said = lint(module, line)
    assert code == 1
    assert f"{contract} BROKEN" in said


def test_every_contract_is_broken_once() -> None:
    """No contract of pyproject.toml goes without a violation above."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = {contract["name"] for contract in settings["tool"]["importlinter"]["contracts"]}
    assert {contract for contract, _, _ in BROKEN} == names
