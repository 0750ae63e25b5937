"""The first steps of the README and the pages beside it, as they are typed in a clone, over the simulated API."""

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme_walk import commands_in

ROOT = Path(__file__).resolve().parents[2]
README, DAEMON, REPLAY = ((ROOT / name).read_text() for name in ("README.md", "docs/daemon.md", "docs/replay.md"))
# What a clone has not: .gitignore names it, or git keeps it.
NOT_TRACKED = (".git", ".venv", "*.egg-info", ".*_cache", ".hypothesis", ".coverage*", "build", "dist")
OF_A_TRADER = ("config.toml", "*.key", "*.db*", "*.sqlite*")
KEY = "tm-first-steps-of-a-newcomer"


def chapter(page: str, heading: str) -> str:
    """Join the commands under a heading of a page to one script."""
    return commands_in(page.partition(f"## {heading}\n")[2].partition("\n## ")[0])


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy what the repository tracks, and its bytecode, with a .venv whose `bot` runs the copy's code."""
    copy = tmp_path / "clone"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_TRACKED, *OF_A_TRADER))
    program = copy / ".venv" / "bin" / "bot"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{copy}" exec "{sys.executable}" -m bot "$@"\n')
    program.chmod(0o755)
    return copy


def follow(clone: Path, script: str, typed: str = "") -> str:
    """Run commands in a shell, in the clone, until one fails; return what they said."""
    whole = f"set -e\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"
    done = subprocess.run(
        ["/bin/bash", "-c", whole], cwd=clone, input=typed, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def test_the_path_with_a_key_works_in_a_clone(clone: Path) -> None:
    """U1: init, key, simulated API, check, a cycle, status, requests: as written; no file of the repository changes."""
    strategies = {path: path.read_bytes() for path in (clone / "strategies").iterdir()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = chapter(README, "Run it with a key").replace("bot simulate &", "bot simulate --port 8765 &\nsleep 2")
    # The daemon would go on; one cycle opens the same things and ends.
    assert ".venv/bin/bot run " in script
    told = follow(clone, script.replace("8765", port).replace("bot run ", "bot once "), typed=f"{KEY}\n")
    assert told.splitlines()[:2] == ["kept strategies/levels_long.toml", "wrote config.toml"]
    assert "is right; ledger: will be created by `bot run`" in told
    assert "committed" in told
    assert follow(clone, chapter(DAEMON, "While it runs")).count("levels_long: ") >= 4
    assert strategies == {path: path.read_bytes() for path in (clone / "strategies").iterdir()}


def test_what_the_demo_recorded_can_be_replayed_in_a_clone(clone: Path) -> None:
    """U1: the demo, here of one day, and the replay over what it recorded."""
    follow(clone, ".venv/bin/bot demo --days 1")
    (offered,) = re.findall(r"^\.venv/bin/bot replay --recorded .*$", REPLAY, re.MULTILINE)
    assert "ledger: replay.db" in follow(clone, offered)


def test_a_second_init_in_a_clone_is_refused(clone: Path) -> None:
    """U1: the configuration that the first one wrote is not overwritten."""
    init = chapter(README, "Run it with a key").splitlines()[0].partition("#")[0].strip()
    follow(clone, init)
    done = subprocess.run(["/bin/sh", "-c", init], cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "config.toml exists" in done.stderr
