"""The tutorial of docs/strategy.md, typed from its first command to its last."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.cli.main import main

REFERENCE = (Path(__file__).resolve().parents[2] / "docs" / "strategy.md").read_text()
TUTORIAL = REFERENCE.partition("## A first strategy, step by step\n")[2].partition("\n## ")[0]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_tutorial_says_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command works, and every line that is shown below one is a line of its answer."""
    monkeypatch.chdir(tmp_path)
    Path("strategies").mkdir()
    told = ""
    shown = 0
    for language, text in BLOCK.findall(TUTORIAL):
        if language == "toml":
            name = re.search(r'^name = "(\w+)"', text, re.MULTILINE)
            assert name is not None
            Path("strategies", f"{name[1]}.toml").write_text(text)
        elif language == "sql":
            with closing(sqlite3.connect("first.db")) as connection:
                told = "\n".join(" ".join(map(str, row)) for row in connection.execute(text))
        elif language == "text":
            lines = [" ".join(line.split()) for line in text.splitlines()]
            answered = [" ".join(line.split()) for line in told.splitlines()]
            assert [line for line in lines if line not in answered and not line.startswith("run gate")] == []
            shown += len(lines)
        else:
            for line in text.splitlines():
                assert main(line.removeprefix(".venv/bin/bot ").split()) == 0
            told = capsys.readouterr().out
    assert shown > 8
