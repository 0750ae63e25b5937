"""The first steps of the README, line by line, in a clone of the repository, over the simulated API."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
# What a clone has not: .gitignore names it, or git keeps it.
NOT_TRACKED = (".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", ".coverage*", "build", "dist")
OF_A_TRADER = ("config.toml", "*.key", "*.db*", "*.sqlite*")
KEY = "tm-first-steps"
SIMULATED = re.compile(r"set\s+`(base_url = \S+)`\s+under\s+`\[source\]`\s+in\s+`config.toml`")


def block_under(heading: str, number: int = 1) -> list[str]:
    """Return the lines of a block of commands under a heading of the README."""
    chapter = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)[number - 1].splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy what the repository tracks, with a .venv whose `bot` runs the copy's code."""
    copy = tmp_path / "clone"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_TRACKED, *OF_A_TRADER))
    program = copy / ".venv" / "bin" / "bot"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{copy}" exec "{sys.executable}" -m bot "$@"\n')
    program.chmod(0o755)
    return copy


def follow(clone: Path, line: str, typed: str = "") -> str:
    """Run a line of the README in a shell, in the clone; return what it said."""
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=clone, input=typed, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


@contextmanager
def simulated(clone: Path) -> Iterator[str]:
    """Serve the simulated API as the README says, on a free port; yields its address."""
    command = [str(clone / ".venv" / "bin" / "bot"), "simulate", "--port", "0"]
    server = subprocess.Popen(command, cwd=clone, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        found = re.search(r"http://\S+(?=,)", server.stderr.readline())
        assert found is not None
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def test_the_three_steps_of_the_readme_work_in_a_clone(clone: Path) -> None:
    """U1: init, key, check and a cycle, as they are written; no file of the repository changes."""
    strategies = {path: path.read_bytes() for path in (clone / "strategies").iterdir()}
    init, key, last = block_under("With a real key, in three steps")
    assert follow(clone, init).splitlines()[:2] == ["kept strategies/levels_long.toml", "wrote config.toml"]
    follow(clone, key, typed=f"{KEY}\n")
    with simulated(clone) as address:
        given = SIMULATED.search(README)
        assert given is not None
        config = clone / "config.toml"
        text = re.sub(r"^base_url = \S+", given[1], config.read_text(), flags=re.MULTILINE)
        assert "http://127.0.0.1:8765/v2" in text
        config.write_text(text.replace("http://127.0.0.1:8765/v2", address))
        # The daemon would go on; one cycle opens the same things and ends.
        assert ".venv/bin/bot check && .venv/bin/bot run " in last
        told = follow(clone, last.replace("bot run ", "bot once "))
    assert "is right; ledger: will be created by `bot run`" in told
    assert "committed" in told
    for line in block_under("With a real key, in three steps", number=2):
        assert "levels_long: " in follow(clone, line)
    assert strategies == {path: path.read_bytes() for path in (clone / "strategies").iterdir()}


def test_what_the_demo_recorded_can_be_replayed_in_a_clone(clone: Path) -> None:
    """U1: the demo, here of two days, and the replay that the README offers to who has no history."""
    follow(clone, ".venv/bin/bot demo --days 2")
    (offered,) = re.findall(r"`(bot replay --recorded \S+ --strategy \w+)`", README)
    assert "ledger: replay.db" in follow(clone, f".venv/bin/{offered}")


def test_a_second_init_in_a_clone_is_refused(clone: Path) -> None:
    """U1: the configuration that the first one wrote is not overwritten."""
    init = block_under("With a real key, in three steps")[0].partition("#")[0].strip()
    follow(clone, init)
    done = subprocess.run(["/bin/sh", "-c", init], cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "config.toml exists" in done.stderr
