"""The one printer: plain text for pipes, tables that fit a terminal, JSON, and plain decimals in all of them."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest

from bot.app.review.explaining import RANKS
from bot.app.review.reports import REPORTS
from bot.app.review.why import columns_of
from bot.app.sweep.telling import describe_result
from bot.app.telling import progress
from bot.app.telling.answers import Answer, Column, Row, Table
from bot.app.telling.printing import fit, give, show_number, text_of_parts, to_json, wrap

WORD = "x" * 20
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SCRIPT = """
import sys
from bot.app.telling.answers import Answer, Table
from bot.app.telling.printing import give
rows = [{"name": "abc", "profit": -1.5, "note": "y" * 30} for _ in range(3)]
give(Answer(payload=rows, parts=(Table(rows=rows, totals={"profit": -4.5}),)), as_json="--json" in sys.argv)
sys.stderr.write(f"rich {'rich' in sys.modules}")
"""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6.521e-05, "0.00006521"),
        (1e-10, "0.0000000001"),
        (94.86056199999999003, "94.860562"),
        (Decimal("94.86056199999999003"), "94.860562"),
        (1.11e-06, "0.00000111"),
        (123456789.5, "123456790"),
        (-0.0, "0"),
        (Decimal("0.000000000000000001"), "0.000000000000000001"),
        (1e21, "1000000000000000000000"),
    ],
)
def test_a_number_is_a_plain_decimal(value: float | Decimal, text: str) -> None:
    """U10: no powers of ten and no noise of binary floats, and the same digits for a float and a decimal."""
    assert show_number(value) == text


def test_json_has_plain_decimals_and_loses_no_digit() -> None:
    """U10: no powers of ten either; what is read back is what was written, a text stays a text."""
    given = {"small": 6.521e-05, "exact": Decimal("94.86056199999999003"), "whole": 2.0, "text": "\x001e5", "n": 3}
    text = to_json([given, (1e21, None, True)])
    assert not re.search(r"\de[-+]?\d", text.replace("1e5", ""))
    assert '"exact": 94.86056199999999003' in text
    (found, rest) = json.loads(text)
    assert found == {"small": 6.521e-05, "exact": 94.86056199999999, "whole": 2.0, "text": "\x001e5", "n": 3}
    assert isinstance(found["whole"], float)
    assert rest == [1e21, None, True]
    with pytest.raises(TypeError, match="set has no JSON form"):
        to_json({1})


def rows(count: int, columns: Sequence[Column]) -> list[Row]:
    """Make rows as wide as they become: long numbers, instants, words."""
    return [
        {
            column.name: "2024-03-01T10:00:00.000000Z" if column.unit == "UTC" else -1234.56789 if column.unit else WORD
            for column in columns
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("name", REPORTS)
def test_every_table_fits_the_terminal(name: str, width: int) -> None:
    """U9: what does not fit is left out by rank, and named; what is asked for most stays."""
    columns = REPORTS[name].columns
    table = Table(rows=rows(2, columns), columns=columns)
    shown, hidden = fit(table, width)
    widest = max(map(len, text_of_parts([Table(rows=table.rows, columns=shown)]).splitlines()))
    assert widest <= width
    assert {column.name for column in shown} | set(hidden) == {column.name for column in columns}
    assert max(column.rank for column in shown) <= min(
        (column.rank for column in columns if column.name in hidden), default=9
    )


def hidden_in(part: object, width: int = 80) -> set[str]:
    """Name the columns that a terminal of this width leaves out."""
    assert isinstance(part, Table)
    return set(fit(part, width)[1])


def test_how_a_trade_ended_stays_in_a_narrow_terminal() -> None:
    """The end, its reason and what it made stay before prices, fees and ids, in `trades`, `why` and `explain`."""
    columns = REPORTS["trades"].columns
    table = Table(rows=rows(2, columns), columns=columns)
    assert not hidden_in(table, 100) & {"symbol", "closed_at", "exit_reason", "profit", "r_multiple"}
    fill = dict.fromkeys(("role", "reason", "fee", "filled_at", "fill_model"), "x" * 14)
    fills = [{"fill_id": "f" * 36, "quantity": 56.185896, "price": 5.75091, **fill, "profit_optimistic": 1.0}]
    assert not hidden_in(Table(rows=fills, columns=columns_of(fills, **RANKS))) & {"fee", "filled_at", "fill_model"}


def test_the_judgement_of_a_sweep_stays_in_a_narrow_terminal() -> None:
    """The figure, the return and how the test went stay; names are short where that leaves them different."""
    keys = ("gates.reward_risk_min", "gates.resistance_distance_min", "stop.fraction", "target.fraction")
    figures = dict.fromkeys(("sharpe", "total_return", "max_drawdown", "profit_factor", "final_equity"), 0.12345678)
    best = {"trial_id": "t", "parameters": dict.fromkeys(keys, 1.5), **figures, "trades": 3, "reasons": {}}
    window = {"from": "2024-03-01T00:00:00.000000Z", "to": "2024-03-31T00:00:00.000000Z", "sets": 2, "reason": None}
    window |= {"deflated_sharpe": 0.98765432, "best": [best], "test": None}
    result = {"figure": "sharpe", "windows": [window], "sets_refused": 0, "refused_because": None}
    result |= {"trials_run": 1, "trials_found": 0, "ledger": "s.db"}
    table = describe_result(result)[0]
    assert isinstance(table, Table)
    names = [column.name for column in table.shown_columns()]
    assert names[:4] == ["reward_risk_min", "resistance_distance_min", "stop.fraction", "target.fraction"]
    assert not hidden_in(table) & {"sharpe", "total_return"}
    without = {**window, "best": [], "test": None, "deflated_sharpe": None, "reason": "no set has a sharpe"}
    walked = describe_result({**result, "windows": [without, {**window, "test": best}]})[0]
    assert not hidden_in(walked) & {"sharpe", "deflated_sharpe", "test_sharpe", "test_return"}
    assert "0.98765432" in text_of_parts([walked])


def test_a_table_has_a_line_of_totals_and_says_when_it_is_empty() -> None:
    """U9: sums below their columns; without rows only the words."""
    table = Table(rows=[{"symbol": "BTC", "profit": 1.5}, {"symbol": "ETH", "profit": -2}], totals={"profit": -0.5})
    assert text_of_parts([table]) == "symbol  profit\nBTC        1.5\nETH         -2\n          -0.5"
    assert text_of_parts([Table(rows=[], empty="no trades yet")]) == "no trades yet"


def test_long_lines_are_wrapped_for_a_terminal() -> None:
    """No word is lost, and no line is wider."""
    text = "short\n" + " ".join(str(number) for number in range(100))
    lines = wrap(text, 40).splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(wrap(text, 40).split()) == " ".join(text.split())


def test_notes_go_to_stderr_and_the_exit_code_is_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress and remarks never mix with what was asked for."""
    assert give(Answer(parts=("one", "two"), notes=("look: at it",), exit_code=65)) == 65
    assert capsys.readouterr() == ("one\ntwo\n", "look: at it\n")


def on_terminal(tmp_path: Path, width: int, **environment: str) -> tuple[str, str]:
    """Print a table in a process of its own, whose standard output is a terminal."""
    ours, theirs = pty.openpty()
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": str(width), "TERM": "xterm-256color", **environment},
        check=True,
        cwd=Path(__file__).parents[2],
    )
    os.close(theirs)
    text = os.read(ours, 10_000).decode()
    os.close(ours)
    return text, ran.stderr.decode()


def test_a_terminal_gets_colours_unless_it_wants_none(tmp_path: Path) -> None:
    """U9: losses are red; NO_COLOR takes colours away; what does not fit is named."""
    text, said = on_terminal(tmp_path, 80)
    assert (COLOUR.search(text) is not None, said) == (True, "rich True")
    assert "-4.5" in text
    plain, _ = on_terminal(tmp_path, 80, NO_COLOR="1")
    assert "\x1b[31m" not in plain
    narrow, _ = on_terminal(tmp_path, 20, NO_COLOR="1")
    assert "not shown: note" in " ".join(narrow.split())


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_pipe_gets_plain_text_and_pays_for_no_colours(arguments: list[str]) -> None:
    """U9: no escape codes, no narrowing, and rich is not even imported."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "20", "FORCE_COLOR": "1"},
        cwd=Path(__file__).parents[2],
    )
    assert "\x1b" not in ran.stdout
    assert "y" * 30 in ran.stdout
    assert ran.stderr == "rich False"


class Screen(StringIO):
    """A terminal in memory."""

    def isatty(self) -> bool:
        """Be one."""
        return True


@pytest.mark.parametrize(("parent", "said"), [(None, "\rslots: 1 of 3"), (object(), "")])
def test_only_the_process_that_was_started_tells_its_progress(
    monkeypatch: pytest.MonkeyPatch, parent: object, said: str
) -> None:
    """Workers share its terminal: two of them would overwrite one line in turn."""
    monkeypatch.setattr(sys, "stderr", Screen())
    monkeypatch.setattr(progress, "parent_process", lambda: parent)
    progress.tell_progress("slots", 1, 3)
    assert isinstance(sys.stderr, Screen)
    assert sys.stderr.getvalue() == said
