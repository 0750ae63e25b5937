"""README, the example configuration, the strategies and the code say the same."""

import argparse
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.app.demo import play
from bot.app.strategies import load_strategy
from bot.app.strategy_keys import KEYS
from bot.cli import main, parser

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Play two simulated days into a ledger."""
    path = tmp_path_factory.mktemp("docs") / "docs.db"
    play(path, 2)
    return path


def commands() -> list[str]:
    """Return the names of all commands."""
    actions = parser()._actions
    return next(list(action.choices) for action in actions if isinstance(action, argparse._SubParsersAction))


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    """No command without a line of help, and none that the README does not mention."""
    for name in commands():
        assert main([name, "--help"]) == 0
        assert re.search(rf"\b{name}\b", README), name


def test_every_command_in_the_readme_exists() -> None:
    """Whatever the README writes after `bot` is a command."""
    mentioned = set(re.findall(r"(?:`|bin/)bot ([a-z]+)", README))
    assert mentioned <= set(commands()), mentioned


@pytest.mark.parametrize("statement", re.findall(r"^(?:select|with)\b.*?;", README, flags=re.MULTILINE | re.DOTALL))
def test_every_question_of_the_readme_has_an_answer(ledger: Path, statement: str) -> None:
    """The SQL of the README runs on a ledger."""
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute(statement).description is not None


def test_the_readme_asks_at_least_three_questions() -> None:
    """Three SQL questions are promised."""
    assert len(re.findall(r"^select\b", README, flags=re.MULTILINE)) >= 3


@pytest.mark.parametrize("path", sorted((ROOT / "strategies").glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_strategy_loads_under_its_own_name(path: Path) -> None:
    """A strategy file that ships is valid, and is named as its file."""
    assert load_strategy(path, path.parent).name == path.stem


def test_every_strategy_key_says_what_it_means() -> None:
    """No key without a sentence: the reference is made of them."""
    assert all(len(key.meaning) > 10 for key in KEYS)
