"""History folders that cannot be used: every missing file and every bad row ends in one line that names it."""

import gzip
import os
from pathlib import Path

import pytest

from bot.adapters.history.folder import open_history
from bot.adapters.history.instruments import Universe
from bot.adapters.history.reader import load
from bot.domain.errors import AccessError, BadInputError, ConfigError, StorageError
from tests.history_texts import (
    BARS,
    FIRST,
    INSTRUMENTS,
    LEVELS,
    QUANTMETRICS,
    SECOND,
    SIGNALS,
    folder_of,
    opened,
    refusal,
)


@pytest.mark.parametrize(
    ("universe", "reason"),
    [
        (["BTX"], "did you mean `BTC`?"),
        (["btc"], "did you mean `BTC`?"),
        ([99], "it has BTC, ETH"),
        (["BTC", 3375], "the same token"),
        ([], "empty"),
    ],
)
def test_a_universe_that_does_not_resolve_is_refused(tmp_path: Path, universe: Universe, reason: str) -> None:
    """An unknown symbol ends in 78 with the nearest one, as do an empty universe and a token named twice."""
    error = refusal(tmp_path, {}, universe)
    assert error.exit_code == 78
    assert reason in str(error)


@pytest.mark.parametrize("name", ["instruments.csv", "signals.csv", "bars/1h/ETH.csv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """Instruments, signals and bars must be there; what is not ends in 78."""
    error = refusal(tmp_path, {name: None})
    assert isinstance(error, ConfigError)
    assert name in str(error)
    assert "no such file" in str(error)


def test_a_missing_folder_timeframe_or_all_bars_are_named(tmp_path: Path) -> None:
    """No folder, no bars of the chosen timeframe, no bars at all: each says what is missing."""
    with pytest.raises(ConfigError, match="no such history folder"):
        open_history(tmp_path / "nowhere", timeframe=None, universe="*")
    with pytest.raises(ConfigError, match=r"bars/1d/ETH.csv: no such file"):
        opened(tmp_path, timeframe="1d")
    error = refusal(tmp_path / "bare", {"bars/1h/BTC.csv": None, "bars/1h/ETH.csv": None})
    assert "bars/1h/ETH.csv: no such file" in str(error)


@pytest.mark.parametrize("other", ["bars/1h/ETH.json.gz", "bars/1h/ETH.feather"])
def test_bars_of_another_kind_are_named(tmp_path: Path, other: str) -> None:
    """Where a file of another kind lies in the place of a CSV, the error names it and the command that reads it."""
    error = refusal(tmp_path, {"bars/1h/ETH.csv": None, other: ""})
    assert error.exit_code == 78
    said = f"bars/1h/ETH.csv: no such file; {Path(other).name} there is of another kind: import it with `bot history"
    assert said in str(error)


def test_a_broken_folder_is_told_from_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be listed ends in 77, not in a file that is said to be missing."""

    def forbidden(_folder: Path) -> None:
        raise PermissionError(13, "no")

    folder = folder_of(tmp_path, {})
    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(AccessError, match="grant this user read permission"):
        open_history(folder, timeframe=None, universe="*")


def test_an_unreadable_file_is_told_from_a_missing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing permission ends in 77, any other failure of the disk in 74."""
    for cause, kind in ((PermissionError(13, "no"), AccessError), (OSError(5, "Input/output error"), StorageError)):

        def broken(_path: Path, cause: OSError = cause) -> bytes:
            raise cause

        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_bytes", broken)
            with pytest.raises(kind, match=r"x.csv"):
                load(Path("x.csv"))


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        (SECOND + FIRST, 3, "out of order"),
        (FIRST + FIRST, 3, "duplicated"),
        (FIRST + "2024-01-01T01:30:00Z,1,2,0.5,1,1\n", 3, "not the open of a 1h bar"),
        (FIRST + "2024-01-01T01:00:00Z,1,2,0.5,1\n", 3, "5 cells where the header has 6"),
        (FIRST + "\n" + SECOND, 3, "0 cells"),
        (FIRST + "2024-01-01T01:00:00Z,x,2,0.5,1,1\n", 3, "'x' is no number"),
        (FIRST + "2024-01-01T01:00:00Z,nan,2,0.5,1,1\n", 3, "'nan' is no number"),
        (FIRST + "2024-01-01T01:00:00Z,1,inf,0.5,1,1\n", 3, "'inf' is no number"),
        (FIRST + "2024-01-01T01:00:00Z,1,2,0,1,1\n", 3, "not above zero"),
        (FIRST + "2024-01-01T01:00:00Z,1,2,-1,1,1\n", 3, "not above zero"),
        (FIRST + "2024-01-01T01:00:00Z,1,2,1e-19,1,1\n", 3, "'1e-19' is zero at the 18 decimals that prices have"),
        (FIRST + "2024-01-01T01:00:00Z,,2,0.5,1,1\n", 3, "is no number"),
        (FIRST + "2024-01-01T01:00:00Z,1_0,2,0.5,1,1\n", 3, "is no number"),
        (FIRST + "2024-01-01T01:00:00Z,1,1e99,0.5,1,1\n", 3, "more than 18 digits before the point"),
        (FIRST + "2024-01-01T01:00:00Z,1,2,0.5,1,-1\n", 3, "below zero"),
        (FIRST + "2024-01-01T01:00:00Z,1,2,0.5,1,many\n", 3, "is no number"),
        (FIRST + "1704070800,1,2,0.5,1,1\n", 3, "no ISO 8601 time"),
        (FIRST + "2024-02-30T01:00:00Z,1,2,0.5,1,1\n", 3, "no ISO 8601 time"),
        (FIRST + "0001-01-01T01:00:00+05:00,1,2,0.5,1,1\n", 3, "no ISO 8601 time"),
        (FIRST + '2024-01-01T01:00:00Z,"1,2,0.5,1,1\n', 3, "not CSV"),
    ],
)
def test_a_bar_that_cannot_be_used_is_named_by_its_line(tmp_path: Path, rows: str, line: int, reason: str) -> None:
    """Bars out of order, duplicated, off the grid or unparsable end in 65 with file and line."""
    error = refusal(tmp_path, {"bars/1h/BTC.csv": BARS + rows})
    assert isinstance(error, BadInputError)
    assert f"BTC.csv line {line}: " in str(error)
    assert reason in str(error)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the header lacks time"),
        ("time,open,high,low\n", "line 1: the header lacks close"),
        ("time,time,open,high,low,close\n", "line 1: the header has time twice"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """A bars file without its columns is named."""
    assert reason in str(refusal(tmp_path, {"bars/1h/BTC.csv": text}))


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"time,open\n" * 99, mtime=0)[:-9]])
def test_a_broken_archive_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A cut or false .gz ends in 65."""
    folder = folder_of(tmp_path, {"bars/1h/BTC.csv": None})
    (folder / "bars/1h/BTC.csv.gz").write_bytes(content)
    with pytest.raises(BadInputError, match=r"BTC.csv.gz: not a whole gzip file"):
        open_history(folder, timeframe=None, universe=["BTC"])


def test_text_of_another_encoding_is_named_by_its_line(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 end in 65 with their line."""
    folder = folder_of(tmp_path, {})
    (folder / "bars/1h/BTC.csv").write_bytes(BARS.encode() + b"\xff\n")
    with pytest.raises(BadInputError, match=r"BTC.csv line 2: not UTF-8"):
        open_history(folder, timeframe=None, universe=["BTC"])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("levels.csv", LEVELS.encode() + b"3375,2024-01-01,1,\n" * 9 + b"\xff\n", r"levels.csv line 11: not UTF-8"),
        ("levels.csv.gz", b"no gzip", r"levels.csv.gz: not a whole gzip file"),
        ("levels.csv.gz", gzip.compress(LEVELS.encode(), mtime=0)[:-9], r"levels.csv.gz: not a whole gzip file"),
    ],
)
def test_a_dated_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """Bytes that are not UTF-8 and a broken .gz end in 65 there too."""
    folder = folder_of(tmp_path, {})
    (folder / name).write_bytes(content)
    with pytest.raises(BadInputError, match=reason):
        open_history(folder, timeframe=None, universe=["BTC"])


@pytest.mark.parametrize(
    ("name", "text", "line", "reason"),
    [
        ("instruments.csv", INSTRUMENTS + "1,BTC,Other\n", 4, "duplicated symbol BTC"),
        ("instruments.csv", INSTRUMENTS + "3375,XBT,Other\n", 4, "duplicated token_id 3375"),
        ("instruments.csv", INSTRUMENTS + "0,X,Other\n", 4, "no token_id"),
        ("instruments.csv", INSTRUMENTS + "1,../X,Other\n", 4, "no symbol"),
        ("instruments.csv", "token_id,symbol,name,quantity_step\n1,X,Other,0\n", 2, "not above zero"),
        ("instruments.csv", "token_id,symbol\n", 1, "the header lacks name"),
        ("signals.csv", SIGNALS + "3375,2024-01-02T00:00:00Z,up,\n", 2, "'up' is no stance"),
        ("signals.csv", SIGNALS + "3375,2024-01-02T00:00:00Z,bullish,high\n", 2, "'high' is no number"),
        ("signals.csv", SIGNALS + "BTC,2024-01-02T00:00:00Z,bullish,\n", 2, "'BTC' is no token_id"),
        ("signals.csv", SIGNALS + "3375,1704067200,bullish,\n", 2, "no ISO 8601 time"),
        (
            "signals.csv",
            SIGNALS + "1,2024-01-02,bullish,\n3375,2024-01-02,neutral,\n1,2024-01-01,neutral,\n",
            4,
            "out of order",
        ),
        ("signals.csv", SIGNALS + "1,2024-01-02,bullish,\n1,2024-01-02,bullish,\n", 3, "duplicated"),
        ("levels.csv", LEVELS + "3375,2024-01-02,0,\n", 2, "not above zero"),
        ("levels.csv", LEVELS + "3375,2024-01-02,1e-99,\n", 2, "no number"),
        ("levels.csv", LEVELS + "3375,2024-01-02,1e-19,\n", 2, "'1e-19' is zero at the 18 decimals"),
        ("levels.csv", LEVELS + "3375,2024-01-02,NaN,\n", 2, "no number"),
        ("levels.csv", LEVELS + "3375,2024-01-02,5,2\n", 2, "not between 0 and 1"),
        ("levels.csv", LEVELS + "3375,2024-01-02,5,\n3375,2024-01-02,5,\n", 3, "duplicated level 5"),
        ("levels.csv", LEVELS + "3375,2024-01-02,5,\n3375,2024-01-01,5,\n", 3, "out of order"),
        ("grades.csv", "token_id,known_at,trader_grade\n", 1, "the header lacks investor_grade"),
        ("market.csv", "token_id,known_at,market_cap,volume_24h\n1,2024-01-01,-1,1\n", 2, "below zero"),
        (
            "quantmetrics.csv",
            QUANTMETRICS + "1,2024-01-01,-0.5,1,1,1,1\n",
            2,
            "below zero",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(
    tmp_path: Path, name: str, text: str, line: int, reason: str
) -> None:
    """Rows of every other file that are out of order, duplicated or unparsable end in 65 with file and line."""
    error = refusal(tmp_path, {name: text})
    assert isinstance(error, BadInputError)
    assert f"{name} line {line}: " in str(error)
    assert reason in str(error)
