"""What a history says of itself: prices that jump, headers and stances that do not fit, rows of unknown tokens."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bot.adapters.history.folder import History, open_history
from bot.adapters.history.pack import silent
from bot.adapters.history.packing import pack_history
from tests.edge_replays import BULLISH, INSTRUMENTS, STRATEGY, hours, replay
from tests.history_texts import BARS, refusal

WHY = "a split, a redenomination, another coin under the name, or wrong"


def opened(tmp_path: Path, name: str, content: bytes) -> History:
    """Open a folder of one token whose bars are in this file."""
    folder = tmp_path / "h"
    (folder / "bars/1h").mkdir(parents=True)
    (folder / "instruments.csv").write_text(INSTRUMENTS)
    (folder / "signals.csv").write_text(BULLISH)
    (folder / "bars/1h" / name).write_bytes(content)
    return open_history(folder, timeframe=None, universe=["AAA"])


def as_parquet(text: str) -> bytes:
    """Write a bars file as Parquet."""
    names, *lines = (line.split(",") for line in text.splitlines())
    cells = {name: [line[place] for line in lines] for place, name in enumerate(names)}
    stream = io.BytesIO()
    parquet.write_table(pa.table(cells), stream)
    return stream.getvalue()


def test_a_jump_is_named_with_its_line_and_counted(tmp_path: Path) -> None:
    """T7: 5 x 100, then 5 x 0.1: the bar that falls by more than 99 % is named on stderr, and counted in the answer."""
    found = replay(tmp_path, {"bars/1h/AAA.csv": hours("2024-01-01", "5 x 100", "5 x 0.1")})
    assert (found.code, found.answer["bars_jumping"], found.answer["rows_refused"]) == (0, 1, 0)
    line = next(line for line in found.stderr.splitlines() if line.startswith("look: "))
    assert line == f"look: {tmp_path}/h/bars/1h/AAA.csv line 7: 0.1 after 100: {WHY}"


def test_a_history_without_a_jump_names_none(tmp_path: Path) -> None:
    """T7: a fall by 99 % and a rise to ten times the price, and not more, pass without a word."""
    found = replay(tmp_path, {"bars/1h/AAA.csv": hours("2024-01-01", "5 x 57", "5 x 0.57", "5 x 5.7")})
    assert (found.answer["bars_jumping"], found.stderr.count("look: ")) == (0, 0)


@pytest.mark.parametrize(
    ("name", "write", "place"),
    [
        ("AAA.csv", str.encode, "line 5"),
        ("AAA.csv", lambda text: text.replace("T", " ").encode(), "line 5"),
        ("AAA.csv.gz", lambda text: gzip.compress(text.encode()), "line 5"),
        ("AAA.parquet", as_parquet, "row 4"),
    ],
)
def test_a_jump_has_its_line_in_every_kind_of_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[str], bytes], place: str
) -> None:
    """T7: bars that are refused for contradicting themselves are no jumps, and shift no line; packed or not."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = ("100,100,100,100", "100,9,100,100", "100,100,100,100", "2000,2000,2000,2000", "2000,2000,19,2000")
    text = BARS + "".join(f"2024-01-01T0{hour}:00:00Z,{row},1\n" for hour, row in enumerate(rows))
    history = opened(tmp_path, name, write(text))
    first, second = f"{place}: 2000 after 100: {WHY}", f"{place[:-1]}{int(place[-1]) + 1}: 19 after 2000: {WHY}"
    expected = tuple(f"{tmp_path}/h/bars/1h/{name} {one}" for one in (first, second))
    assert (history.jumps, history.jumps_count, len(history.refused)) == (expected, 2, 1)
    pack_history(tmp_path / "h", silent)
    assert open_history(tmp_path / "h", timeframe=None, universe=["AAA"]).jumps == expected


def test_the_first_jumps_are_named_and_all_are_counted(tmp_path: Path) -> None:
    """T7: twenty lines are enough to see what is wrong with a file."""
    pieces = ["1 x 1", "1 x 100"] * 30
    history = opened(tmp_path, "AAA.csv", hours("2024-01-01", *pieces).encode())
    # From 100 to 1 is a fall by exactly 99 %, so the rises alone count.
    assert (len(history.jumps), history.jumps_count) == (20, 30)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (
            "Time,Open,High,Low,Close,Volume",
            "; it has Time, Open, High, Low, Close, Volume: rename Time to time, Open to open, High to high, Low to",
        ),
        (
            "date,open,high,low,close",
            "the header lacks time; it has date, open, high, low, close",
        ),
        (
            "timestamp,opened,high,low,closed,a,b,c,d,e",
            "it has timestamp, opened, high, low, closed, a, b, c and 2 more: rename opened to open, closed to close",
        ),
        ("1735689600000000,94591.78,9.1,9.2,9.3", "it has 1735689600000000, 94591.78, 9.1, 9.2, 9.3"),
        (",", "the header lacks time, open, high, low, close: the first line is empty"),
        (",time,open,high,low,close,", "the header has no name in columns 1 and 7: write names there, or drop"),
    ],
)
def test_a_header_that_does_not_fit_says_what_it_has(tmp_path: Path, header: str, reason: str) -> None:
    """T13: the names found and those that are probably meant, in any case; columns without a name by their place."""
    error = str(refusal(tmp_path, {"bars/1h/BTC.csv": header}))
    assert "BTC.csv line 1: the header " in error
    assert reason in error


@pytest.mark.parametrize("stance", ["buy", "Bullish", ""])
def test_a_stance_that_is_none_is_answered_with_those_that_are(tmp_path: Path, stance: str) -> None:
    """T13: the three stances are listed, with file and line."""
    error = refusal(tmp_path, {"signals.csv": f"token_id,published_at,stance\n3375,2024-01-02,{stance}\n"})
    assert f"signals.csv line 2: {stance!r} is no stance: write bullish, neutral or bearish" in str(error)


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("signals", "token_id,published_at,stance", "bullish"),
        ("levels", "token_id,known_at,level", "5"),
        ("quantmetrics", "token_id,known_at,volatility,sharpe,sortino,max_drawdown,cagr", "1,1,1,1,1"),
        ("grades", "token_id,known_at,trader_grade,investor_grade", "1,1"),
        ("market", "token_id,known_at,market_cap,volume_24h", "1,1"),
    ],
)
def test_rows_of_tokens_that_are_no_instruments_are_counted(tmp_path: Path, name: str, header: str, row: str) -> None:
    """T13: such rows are ignored with one line that counts them; those of instruments outside the universe are fine."""
    tokens = [1, 2, 9, 9, *range(11, 17)]
    rows = [f"{token},2024-01-{day:02},{row}\n" for day, token in enumerate(tokens, start=1)]
    files = {"bars/1h/AAA.csv": hours("2024-01-01", "5 x 100"), f"{name}.csv": "".join([f"{header}\n", *rows])}
    found = replay(tmp_path, files)
    assert (found.code, found.answer["rows_ignored"]) == (0, 8)
    lines = [line for line in found.stderr.splitlines() if line.startswith("ignored: ")]
    named = "8 rows of token_id 9, 11, 12, 13, 14 and 2 more ignored"
    assert lines == [f"ignored: {tmp_path}/h/{name}.csv: {named}: instruments.csv has no such token"]


def test_a_folder_of_known_tokens_alone_ignores_nothing(tmp_path: Path) -> None:
    """T13: a token that instruments.csv has and the universe has not is no stranger; one row is told as one."""
    bars = {"bars/1h/AAA.csv": hours("2024-01-01", "5 x 100")}
    found = replay(tmp_path / "a", {**bars, "signals.csv": f"{BULLISH}2,2024-01-02,bearish\n"}, strategy=STRATEGY)
    assert (found.answer["rows_ignored"], "ignored: " in found.stderr) == (0, False)
    found = replay(tmp_path / "b", {**bars, "signals.csv": f"{BULLISH}3,2024-01-02,bearish\n"}, strategy=STRATEGY)
    assert "signals.csv: 1 row of token_id 3 ignored" in found.stderr
