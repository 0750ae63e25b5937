"""`bot history check`: what a folder holds and what to look at, in a table and as JSON; nothing is refused twice."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.cli.main import main
from bot.figures import resemblance
from bot.figures.resemblance import Closes, find_alike
from tests.edge_replays import BULLISH, INSTRUMENTS, hours
from tests.history_texts import BARS

SPAN = 3_600_000_000
ODD = [
    "3 x 100", "2 h nothing", "1 x 100", "5 h nothing", "2 x 2000", "3 x 1999 x 0",
    "200 h nothing", "1 x 1990", "1 x 5",
]  # fmt: skip


def write(tmp_path: Path, files: Mapping[str, str | None]) -> Path:
    """Write a folder of the tokens AAA and BBB."""
    folder = tmp_path / "h"
    quiet = {"instruments.csv": INSTRUMENTS, "signals.csv": BULLISH, "bars/1h/AAA.csv": hours("2024-01-01", "5 x 9")}
    for name, text in {**quiet, **files}.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return folder


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], list[str]]:
    """Check a folder; returns exit code, answer and the lines on stderr."""
    code = main(["history", "check", str(folder), "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out else {}, told.err.splitlines()


def test_a_row_says_what_a_bars_file_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Holes with the longest and its place, jumps, volumes of 0, halts and refused bars are counted, and named."""
    odd = hours("2024-01-01", *ODD) + "2024-02-01T00:00:00Z,5,4,5,5,1\n"
    folder = write(tmp_path, {"bars/1h/AAA.csv": odd, "bars/1h/BBB.csv": hours("2024-01-01", "4 x 8")})
    code, answer, notes = check(folder, capsys)
    assert code == 0
    first, second = answer["bars"]
    assert first == {
        "symbol": "AAA",
        "timeframe": "1h",
        "bars": 11,
        "first": "2024-01-01T00:00:00.000000Z",
        "last": "2024-01-10T02:00:00.000000Z",
        "holes": 3,
        "missing": 207,
        "longest": 200,
        "longest_at": "2024-01-01T16:00:00.000000Z",
        "jumps": 2,
        "volume_0": 3,
        "halts": 1,
        "refused": 1,
    }
    assert [second[name] for name in ("bars", "holes", "longest", "halts")] == [4, 0, None, 0]
    assert (answer["totals"]["bars"], answer["totals"]["missing"], answer["can_be_replayed"]) == (15, 207, True)
    assert notes == answer["remarks"]
    assert notes[0] == f"refused: {folder}/bars/1h/AAA.csv line 13: high 4.0 below open 5.0"
    assert [note.partition(": ")[2][:-60].rpartition(" after")[0] for note in notes[1:]] == [
        f"{folder}/bars/1h/AAA.csv line {line}: {price}" for line, price in ((6, 2000), (12, 5))
    ]


def test_every_timeframe_has_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The finest comes first; a token without any bars is named."""
    day = f"{BARS}2024-01-01T00:00:00Z,9,9,9,9,1\n"
    code, answer, notes = check(write(tmp_path, {"bars/1d/AAA.csv": day}), capsys)
    assert (code, [(row["symbol"], row["timeframe"]) for row in answer["bars"]]) == (0, [("AAA", "1h"), ("AAA", "1d")])
    assert notes == ["look: no bars of BBB: a replay whose universe has one of these is refused"]


def test_dated_files_are_counted_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, tokens, first and last; rows of tokens that instruments.csv lacks are counted and named."""
    levels = "token_id,known_at,level\n1,2024-01-05,5\n1,2024-01-05,6\n7,2024-01-01,6\n2,2024-01-09,6\n"
    folder = write(tmp_path, {"levels.csv": levels, "grades.csv": "token_id,known_at,trader_grade,investor_grade\n"})
    _, answer, notes = check(folder, capsys)
    known = {row["file"]: [row[name] for name in ("rows", "tokens", "unknown")] for row in answer["files"]}
    assert known == {"signals": [1, 1, 0], "levels": [4, 3, 1], "grades": [0, 0, 0]}
    (row,) = (row for row in answer["files"] if row["file"] == "levels")
    assert (row["first"][:10], row["last"][:10]) == ("2024-01-02", "2024-01-10")
    assert f"ignored: {folder}/levels.csv: 1 row of token_id 7 ignored: instruments.csv has no such token" in notes


def test_two_names_of_one_coin_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equal closes at many bars in a row are told with their count and their beginning; the people's table has all."""
    pieces = [f"1 x {100 + hour % 7}" for hour in range(60)]
    bars = {
        "bars/1h/AAA.csv": hours("2024-01-01", *pieces),
        "bars/1h/BBB.csv": hours("2024-01-01", "10 x 5", *pieces[10:50]),
    }
    folder = write(tmp_path, bars)
    _, answer, notes = check(folder, capsys)
    pair = {"first": "AAA", "second": "BBB", "bars": 40, "since": "2024-01-01T10:00:00.000000Z", "timeframe": "1h"}
    assert answer["alike"] == [pair]
    line = "look: AAA and BBB have the same close at 40 1h bars in a row from 2024-01-01T10:00Z: likely one coin under"
    assert any(note.startswith(line) for note in notes)
    assert main(["history", "check", str(folder)]) == 0
    table = capsys.readouterr().out
    assert "total" in table
    assert "times without a zone were read as UTC" in table


def test_prices_that_stand_still_or_agree_by_chance_are_not_one_coin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pegs with moves of their own, and short runs of equal closes, are two coins; a sample finds all others."""
    at = np.arange(4000) * SPAN
    draws = np.random.RandomState(np.random.PCG64(5))
    pegs = [Closes(at, np.where(draws.random_sample(4000) < 0.5, 1.0, 1.0001)) for _ in range(2)]
    walk = 100 + np.cumsum(draws.standard_normal(4000))
    short = np.where((at // SPAN) % 20 == 0, walk + 1, walk)
    tokens = {"P": pegs[0], "Q": pegs[1], "F": Closes(at, np.full(4000, 7.0)), "G": Closes(at, np.full(4000, 7.0))}
    tokens |= {"W": Closes(at, walk), "S": Closes(at, short)}
    assert find_alike(tokens, SPAN) == []
    twin = {"T": Closes(at[500:], walk[500:])}
    assert [(one.first, one.second, one.bars) for one in find_alike(tokens | twin, SPAN)] == [("W", "T", 3499)]
    monkeypatch.setattr(resemblance, "SAMPLE_MAX", 3000)
    assert [(one.first, one.second, one.bars) for one in find_alike(tokens | twin, SPAN)] == [("W", "T", 3499)]
    monkeypatch.setattr(resemblance, "SAMPLE_MAX", 100)
    assert find_alike(tokens | twin, SPAN) == []
    assert find_alike({}, SPAN) == []


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        ({"signals.csv": None}, 78, "missing: {}/signals.csv: every replay needs it; `bot history derive {} --signals"),
        ({"bars/1h/AAA.csv": BARS}, 78, "missing: {}/bars: its files hold no bars to replay"),
        ({"bars/1h/AAA.csv": None}, 78, "bot: {}/bars/1h/AAA.csv: no such file"),
        ({"bars/1h/AAA.csv": f"{BARS}2024-01-01,a,1,1,1,1\n"}, 65, "bot: {}/bars/1h/AAA.csv line 2: 'a' is no number"),
        ({"levels.csv": "token_id\n"}, 65, "bot: {}/levels.csv line 1: the header lacks known_at, level"),
        ({"instruments.csv": None}, 78, "bot: {}/instruments.csv: no such file"),
    ],
)
def test_what_no_replay_can_use_has_the_exit_code_of_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str | None], code: int, message: str
) -> None:
    """What is missing is told below the table (78); what cannot be read is refused by file and line (65)."""
    folder = write(tmp_path, files)
    found, answer, notes = check(folder, capsys)
    assert found == code
    assert any(note.startswith(message.replace("{}", str(folder))) for note in notes), notes
    assert not answer.get("can_be_replayed")
