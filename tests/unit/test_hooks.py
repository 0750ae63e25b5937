"""Hooks: what a file may hold, what each function may answer, and that an error of one is an answer."""

import hashlib
import re
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.app.settings.hooks import load_hooks
from bot.domain.errors import ConfigError
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, Level, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.numbers import Price
from bot.domain.portfolio import Holding
from bot.domain.positions import Position, StopMove
from bot.domain.signals import Episode, Signal
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket, TargetShare
from bot.engine.rules import Hooks, Raised

REFERENCE = Path(__file__).parents[2] / "docs" / "strategy.md"
GIVEN = (
    *(TokenView, Instrument, Episode, Signal, Quote, LevelSet, Level, QuantMetrics, Grades, MarketSize, Bar),
    *(Bracket, TargetShare, Holding, Position, StopMove),
)
GOOD = '''"""What this strategy adds."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from bot.domain.numbers import Price
from bot.engine.brackets import Bracket

LIMIT: int = math.isqrt(4)
CATEGORIES = {"T1": "majors"}
STEPS = (1, 2)


class Size(enum.Enum):
    SMALL = 1


class Pair(NamedTuple):
    first: int
    other: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Limit:
    at: Decimal


def _limit(view, at=None):
    return Limit(Decimal(3)) if at is None else at


def veto(view, bracket):
    return "too many majors" if CATEGORIES.get(view.symbol) == "majors" else None


def rank(view, bracket):
    return LIMIT * STEPS[1] if view.symbol == "T1" else None


def adjust_bracket(view, bracket: Bracket) -> Bracket:
    return replace(bracket, stop=Price(bracket.stop - _limit(view).at))


def extra_exits(view, holding):
    return "time_stop" if holding.age > 3 else None
'''
VIEW = SimpleNamespace(symbol="T1")
BRACKET = Bracket(stop=Price(Decimal(95)), target=Price(Decimal(110)))


def loaded(folder: Path, text: str) -> Hooks:
    """Load a text as a file of hooks."""
    path = folder / "mine.py"
    path.write_text(text)
    hooks = load_hooks(path)
    assert hooks is not None
    return hooks


def test_without_a_file_there_are_no_hooks(tmp_path: Path) -> None:
    """A strategy alone has none."""
    assert load_hooks(tmp_path / "mine.py") is None


def test_hooks_answer_as_they_are_written(tmp_path: Path) -> None:
    """A file of all four, with values and functions of its own: a reason, a score, a bracket and an exit reason."""
    hooks = loaded(tmp_path, GOOD)
    assert None not in (hooks.veto, hooks.rank, hooks.adjust_bracket, hooks.extra_exits)
    assert hooks.veto(VIEW, BRACKET) == "too many majors"
    assert hooks.veto(SimpleNamespace(symbol="T2"), BRACKET) is None
    assert hooks.rank(VIEW, BRACKET) == 4
    assert hooks.rank(SimpleNamespace(symbol="T2"), BRACKET) is None
    assert hooks.adjust_bracket(VIEW, BRACKET) == Bracket(stop=Price(Decimal(92)), target=BRACKET.target)
    assert hooks.extra_exits(VIEW, SimpleNamespace(age=4)) == "time_stop"
    assert hooks.extra_exits(VIEW, SimpleNamespace(age=3)) is None


def test_a_hook_that_is_not_there_is_none(tmp_path: Path) -> None:
    """One function in the file is one hook; the digest is of the text."""
    text = "def veto(view, bracket):\n    return None\n"
    hooks = loaded(tmp_path, text)
    assert (hooks.rank, hooks.adjust_bracket, hooks.extra_exits) == (None, None, None)
    assert hooks.digest == hashlib.sha256(text.encode()).hexdigest()


def test_loading_leaves_nothing_behind(tmp_path: Path) -> None:
    """No compiled file beside it, no module among the imported ones, and a second load has tables of its own."""
    before = set(sys.modules)
    first, second = loaded(tmp_path, GOOD), loaded(tmp_path, GOOD)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine.py"]
    assert set(sys.modules) == before
    assert first.veto is not second.veto
    assert first.digest == second.digest


VETO = "def veto(view, bracket):\n    return None\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (VETO + "x = = 1\n", 3, "not Python"),
        (VETO + "return 1\n", 3, "not Python"),
        (VETO + "import os\n", 3, "os is not for hooks: import from collections"),
        (VETO + "import math, random as r\n", 3, "random is not for hooks"),
        (VETO + "from time import sleep\n", 3, "time is not for hooks"),
        (VETO + "from bot.app import config\n", 3, "bot.app is not for hooks"),
        (VETO + "from bot.domainlike import x\n", 3, "bot.domainlike is not for hooks"),
        (VETO + "from . import other\n", 3, ". is not for hooks"),
        (VETO + "from .math import sqrt\n", 3, ".math is not for hooks"),
        ("import os\n", 1, "os is not for hooks"),
        (VETO + "from math import *\n", 3, "hides what is used"),
        (VETO + "from math import sqrt as rank\n", 3, "import it under another name"),
        ("def veto(view, bracket):\n    import socket\n", 2, "socket is not for hooks"),
        ("def veto(view, bracket):\n    return open('x').read()\n", 2, "open is not for hooks"),
        ("def veto(view, bracket):\n    ask = eval\n    return ask('1')\n", 2, "eval is not for hooks"),
        ("def veto(view, bracket):\n    print(view)\n", 2, "print is not for hooks"),
        ("def veto(view, bracket):\n    __import__('os')\n", 2, "__import__ is not for hooks"),
        ("def veto(view, bracket):\n    return ().__class__\n", 2, "__class__ is not for hooks"),
        ("def veto(view, bracket):\n    return view.days._columns\n", 2, "_columns is not for hooks"),
        ("def veto(view, bracket):\n    view.seen = 1\n", 2, ".seen is set"),
        ("def veto(view, bracket):\n    veto.count += 1\n", 2, ".count is set"),
        ("import datetime\n\n\ndef veto(view, bracket):\n    return datetime.datetime.now()\n", 5, "reads a clock"),
        ("from datetime import date\n\n\ndef veto(view, bracket):\n    d = date.today\n", 5, "reads a clock"),
        ("N = 0\n\n\ndef veto(view, bracket):\n    global N\n    N = 1\n", 5, "global N"),
        ("async def veto(view, bracket):\n    return None\n", 1, "without async"),
        (VETO + "async def _later(x):\n    return x\n", 3, "without async"),
        (VETO + "for x in (1, 2):\n    pass\n", 3, "move this into a function"),
        (VETO + "if True:\n    X = 1\n", 3, "move this into a function"),
        (VETO + "rank = None\n", 3, r"write def rank\(view, bracket\)"),
        (VETO + "rank: int = 1\n", 3, "must be a function"),
        (VETO + VETO, 3, "defined twice"),
        (VETO + "def vetoes(view):\n    return 1\n", 3, "did you mean `veto`.*begins with _"),
        (VETO + "def qqq(view):\n    return 1\n", 3, "hooks are veto, rank, adjust_bracket, extra_exits"),
        ("def veto(view):\n    return 1\n", 1, r"write def veto\(view, bracket\)"),
        ("def veto(bracket, view):\n    return 1\n", 1, "another signature"),
        ("def veto(view, bracket, more=1):\n    return 1\n", 1, "another signature"),
        ("def veto(view, bracket=None):\n    return 1\n", 1, "another signature"),
        ("def veto(view, /, bracket):\n    return 1\n", 1, "another signature"),
        ("def veto(view, bracket, *more):\n    return 1\n", 1, "another signature"),
        ("def veto(view, bracket, **more):\n    return 1\n", 1, "another signature"),
        ("def veto(view, *, bracket):\n    return 1\n", 1, "another signature"),
        ("import functools\n\n\n@functools.cache\ndef veto(view, bracket):\n    return 1\n", 5, "or decorators"),
        ("def extra_exits(view, bracket):\n    return 1\n", 1, r"write def extra_exits\(view, holding\)"),
        (VETO + "class Box:\n    pass\n", 3, "Box can change"),
        (
            "from dataclasses import dataclass\n\n\n@dataclass(frozen=False)\nclass Box:\n    x: int\n\n\n" + VETO,
            5,
            "Box can change",
        ),
        (VETO + "def _sum(x, seen=[]):\n    return x\n", 3, "use a tuple or None"),
        (VETO + "def _sum(x, *, seen={}):\n    return x\n", 3, "use a tuple or None"),
        ("X = 1\n", 1, "no hook in it"),
        ("", 1, "no hook in it"),
    ],
)
def test_what_a_file_may_not_hold_is_refused_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    """Each offence is named by file and line, with its mend, before anything of the file runs."""
    with pytest.raises(ConfigError, match=rf"mine\.py:{line}: .*{words}") as caught:
        loaded(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (VETO + "X = 1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        (VETO + "from math import nothing_there\n", 3, "ImportError"),
        (VETO + "SEEN = []\n", 3, "SEEN can change.*tuple"),
        (VETO + "A = 1\nB, (C, SEEN) = 1, (2, {1})\n", 4, "SEEN can change"),
        (VETO + "import itertools\nNEXT: object = itertools.count()\n", 4, "NEXT can change"),
    ],
)
def test_what_shows_only_when_it_runs_is_refused_too(tmp_path: Path, text: str, line: int, words: str) -> None:
    """A constant that cannot be made, and one that could change between calls."""
    with pytest.raises(ConfigError, match=rf"mine\.py:{line}: .*{words}"):
        loaded(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and a zero byte."""
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_hooks(path)
    path.write_bytes(VETO.encode() + b"\0")
    with pytest.raises(ConfigError, match="not Python"):
        load_hooks(path)


def test_a_table_cannot_be_written(tmp_path: Path) -> None:
    """A dictionary at the top is read-only: a hook that would remember there raises instead."""
    text = "SEEN = {}\n\n\ndef veto(view, bracket):\n    SEEN[view.symbol] = 1\n    return str(len(SEEN))\n"
    hooks = loaded(tmp_path, text)
    assert hooks.veto is not None
    answers = [hooks.veto(VIEW, BRACKET) for _ in range(2)]
    assert isinstance(answers[0], Raised)
    assert answers[0] == answers[1]
    assert "TypeError" in answers[0]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("1 / 0", "hook veto: ZeroDivisionError: division by zero (line 2)"),
        ("_deeper(view)", "hook veto: ValueError: two lines, one message (line 6)"),
        ("None.x", "hook veto: AttributeError: 'NoneType' object has no attribute 'x' (line 2)"),
        ("veto(view, bracket)", "hook veto: RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_an_error_is_an_answer_of_one_line(tmp_path: Path, body: str, told: str) -> None:
    """What a hook raises comes back as its name, the error and the line, and nothing is thrown."""
    text = (
        f"def veto(view, bracket):\n    return {body}\n\n\n"
        'def _deeper(view):\n    raise ValueError("two lines,\\n   one message")\n'
    )
    answer = loaded(tmp_path, text).veto(VIEW, BRACKET)  # type: ignore[misc]
    assert isinstance(answer, Raised)
    assert answer.startswith(told)
    assert "\n" not in answer


def test_what_no_database_can_hold_is_left_out_of_an_error(tmp_path: Path) -> None:
    """Half a surrogate pair and a NUL, which SQLite or PostgreSQL refuse, end no cycle."""
    body = "def veto(view, bracket):\n    raise ValueError('a' + chr(0xD800) + chr(0) + 'b')\n"
    assert loaded(tmp_path, body).veto(VIEW, BRACKET) == "hook veto: ValueError: a b (line 2)"  # type: ignore[misc]


def test_a_long_error_is_cut(tmp_path: Path) -> None:
    """An error of any length stays a line that a table can show."""
    answer = loaded(tmp_path, "def veto(view, bracket):\n    raise ValueError('x' * 10000)\n").veto(VIEW, BRACKET)  # type: ignore[misc]
    assert isinstance(answer, Raised)
    assert len(answer) < 250


@pytest.mark.parametrize("given", GIVEN)
def test_the_reference_lists_every_field_that_a_hook_is_given(given: type) -> None:
    """A row of the section on hooks names all fields of the value, and a new one is missed there."""
    section = REFERENCE.read_text().partition("\n## Hooks\n")[2].partition("\n## ")[0]
    rows = [set(re.findall(r"`(\w+)`", line)) for line in section.splitlines() if line.startswith("|")]
    names = set(getattr(given, "_fields", None) or given.__dataclass_fields__)  # type: ignore[attr-defined]
    assert any(names <= row for row in rows), names
