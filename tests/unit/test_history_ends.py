"""Where a history ends: the last close of any bar in its folder, and the last slot of every replay and sweep."""

import gzip
import io
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bot.adapters.history import ends
from bot.adapters.history.cut import cut_history
from bot.adapters.history.folder import History, open_history
from bot.adapters.history.pack import silent
from bot.adapters.history.packing import pack_history
from bot.adapters.history.reader import load
from bot.app.replay.material import slots_in
from bot.domain.errors import AccessError, ConfigError
from tests.edge_replays import BULLISH, INSTRUMENTS, hours, replay
from tests.history_texts import BARS, bar_rows
from tests.notation import DAY, HOUR, at

START = at("2024-01-01")
LATER = hours("2024-01-01", "60 x 1")
END = START + 60 * HOUR
LAST_MICROSECOND = timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(tmp_path: Path, files: Mapping[str, bytes | str], timeframe: str | None = None) -> History:
    """Open a folder of AAA, whose 26 hours alone are read, and other files."""
    folder = tmp_path / "h"
    base = {"instruments.csv": INSTRUMENTS, "signals.csv": BULLISH, "bars/1h/AAA.csv": hours("2024-01-01", "26 x 100")}
    for name, content in {**base, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_history(folder, timeframe=timeframe, universe=["AAA"])


def as_parquet(text: str, *, group: int = 7) -> bytes:
    """Write a bars file as Parquet, in groups of so many rows."""
    names, *lines = (line.split(",") for line in text.splitlines())
    cells = {name: [line[place] for line in lines] for place, name in enumerate(names)}
    numbers = {name: pa.array(map(float, column)) for name, column in cells.items() if name != "time"}
    stream = io.BytesIO()
    parquet.write_table(pa.table({"time": cells["time"], **numbers}), stream, row_group_size=group)
    return stream.getvalue()


WAYS: list[tuple[str, Callable[[str], bytes]]] = [
    ("BBB.csv", str.encode),
    ("BBB.csv", lambda text: text.replace("\n", "\r\n").encode()),
    ("BBB.csv", lambda text: f"\ufeff{text}\n\n".encode()),
    ("BBB.csv.gz", lambda text: gzip.compress(text.encode())),
    ("BBB.parquet", as_parquet),
]


@pytest.mark.parametrize(("name", "write"), WAYS)
def test_a_file_outside_the_universe_ends_the_history_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[str], bytes]
) -> None:
    """Settled, end of a history: its last row counts, however it is written, and no other row of it is parsed."""
    parsed: list[int] = []
    parse = ends.parse_bars

    def noted(file: ends.SourceFile, timeframe: str) -> ends.ParsedFile:
        parsed.append(file.content.count(b"\n"))
        return parse(file, timeframe)

    monkeypatch.setattr(ends, "parse_bars", noted)
    history = opened(tmp_path, {f"bars/1h/{name}": write(LATER)})
    assert (history.ends_at, history.closes[-1], history.bars) == (END, START + 26 * HOUR, 26)
    assert (history.refused, set(parsed) <= {1}) == ((), True)


def test_every_timeframe_ends_the_history(tmp_path: Path) -> None:
    """Settled, end of a history: the folder's last close may be that of a minute or a day that no strategy reads."""
    minutes = bar_rows("2024-01-02 02:00", 30, timedelta(minutes=1))
    assert opened(tmp_path / "a", {"bars/1m/AAA.csv": minutes}, "1h").ends_at == at("2024-01-02 02:30")
    assert opened(tmp_path / "b", {"bars/1d/BBB.csv": bar_rows("2024-01-01", 3, DAY)}).ends_at == at("2024-01-04")
    assert opened(tmp_path / "c", {"bars/1h/CCC.csv": LATER}).ends_at == START + 26 * HOUR, "no instrument"
    assert opened(tmp_path / "d", {"bars/1h/AAA.csv": BARS}).ends_at.year == 1970


@pytest.mark.parametrize(
    "row",
    [
        "2024-02-01T00:00:00Z,1,2,0.5,1.25,7",
        "2024-02-01T00:00:00Z,1,2,0.5,1.25,",
        "2024-02-01T00:00:00Z,1,2,0.5,1.25",
        "2024-02-01T00:00:00Z,1,2,0.5,1.25,-1",
        "2024-02-01T00:00:00Z,1,2,0.5,1.25,7,8",
        "2024-02-01T00:00:00Z,0,2,0,1.25,7",
        "2024-02-01T00:00:00Z,1,2,1.5,1.25,7",
        "2024-02-01T00:00:00Z,1,1e15,0.5,1.25,7",
        "2024-02-01T00:00:00Z,1,9000000000000000,0.5,1.25,7",
        "2024-02-01T00:00:00Z,1,20000000000000000000,0.5,1.25,7",
        "2024-02-01T00:00:01Z,1,2,0.5,1.25,7",
        "2024-02-31T00:00:00Z,1,2,0.5,1.25,7",
        "9024-02-01T00:00:00Z,1,2,0.5,1.25,7",
        "2024-02-01,1,2,0.5,1.25,7",
        "2024-02-01 00:00,1,2,0.5,1.25,7",
    ],
)
@pytest.mark.parametrize("header", [BARS, BARS.replace(",volume", "")])
def test_a_plain_last_row_is_read_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, row: str
) -> None:
    """Settled, end of a history: the short way to read a row finds and refuses what parsing does."""
    files = {"bars/1h/BBB.csv": f"{header}{row}\n"}
    short = opened(tmp_path, files)
    monkeypatch.setattr(ends, "PLAIN_ROW", re.compile(rb"(?!)"))
    parsed = opened(tmp_path, files)
    assert (short.ends_at, short.refused) == (parsed.ends_at, parsed.refused)


def test_a_long_file_is_read_at_its_end_alone(tmp_path: Path) -> None:
    """Settled, end of a history: a file larger than what is read of it ends where its last line says."""
    text = hours("2024-01-01", "5000 x 1")
    assert len(text) > 10 * ends.TAIL_BYTES
    assert opened(tmp_path, {"bars/1h/BBB.csv": text}).ends_at == START + 5000 * HOUR


@pytest.mark.parametrize(
    ("name", "content", "end", "fault"),
    [
        ("BBB.csv", LATER + "2024-02-01T00:30:00Z,1,1,1,1,1\n", END, " last row: time is not the open of a 1h bar"),
        ("BBB.csv", LATER + "2024-02-01T00:00:00Z,1,1\n", END, " last row: 3 cells where the header has 6"),
        ("BBB.csv", LATER + "2024-02-01T00:00:00Z,1,1,1,x,1\n", END, " last row: 'x' is no number"),
        ("BBB.csv", LATER + "2024-02-01T00:00:00Z,3,2,1,1,1\n", END, " last row: high 2.0 below open 3.0"),
        ("BBB.csv", LATER.replace("time", "Time"), None, " line 1: the header lacks time; it has Time, open"),
        ("BBB.csv", BARS + "1," * 5000, None, " last row: "),
        ("BBB.csv", b"\xff" + LATER.encode(), None, " line 1: not UTF-8"),
        ("BBB.csv.gz", b"no gzip", None, ": not a whole gzip file"),
        ("BBB.parquet", b"no parquet", None, ": cannot be read as Parquet"),
    ],
)
def test_a_last_row_that_cannot_be_read_is_passed_over_and_named(
    tmp_path: Path, name: str, content: str | bytes, end: datetime | None, fault: str
) -> None:
    """Settled, end of a history: the row before it counts, if there is one, and a replay of other tokens goes on."""
    history = opened(tmp_path, {f"bars/1h/{name}": content})
    assert history.ends_at == (end or START + 26 * HOUR)
    (refused,) = history.refused
    assert refused.startswith(f"{tmp_path}/h/bars/1h/{name}{fault}")
    assert len(history.refused) == 1


def test_a_file_or_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled, end of a history: what another strategy would read stops no replay."""
    files = {"bars/1h/BBB.csv": LATER, "bars/1h/BBB.parquet": as_parquet(LATER)}
    assert "BBB.csv is there too: keep one of them" in opened(tmp_path / "a", files).refused[0]

    def forbidden(path: Path) -> None:
        message = f"{path}: may not be read"
        raise AccessError(message)

    def load_others(path: Path) -> ends.SourceFile:
        return forbidden(path) if path.name == "BBB.csv.gz" else load(path)  # type: ignore[return-value]

    monkeypatch.setattr(ends, "load", load_others)
    monkeypatch.setattr("bot.adapters.history.pack.load", load_others)
    files = {"bars/1h/BBB.csv.gz": gzip.compress(LATER.encode()), "bars/1d/BBB.csv.gz": b""}
    history = opened(tmp_path / "b", files)
    assert history.refused[0] == f"{tmp_path}/b/h/bars/1h/BBB.csv.gz: may not be read"
    assert history.ends_at == START + 26 * HOUR
    monkeypatch.setattr(ends, "names_in", forbidden)
    assert opened(tmp_path / "c", {}).refused[-1] == f"{tmp_path}/c/h/bars/1d: may not be read"


def test_a_text_that_may_not_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled, end of a history: so is a plain file whose end cannot be read."""
    monkeypatch.setattr(ends, "_tail_of", _refuse)
    (refused,) = opened(tmp_path, {"bars/1h/BBB.csv": LATER}).refused
    assert refused.startswith(f"{tmp_path}/h/bars/1h/BBB.csv: may not be read; grant")


def _refuse(_stream: object) -> None:
    raise PermissionError(13, "no")


def test_what_is_packed_ends_as_what_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled, end of a history: a pack knows the ends of its files; those of others are packed once unpacked."""
    monkeypatch.setattr("bot.adapters.history.pack.RACY_NS", -1_000_000_000)
    monkeypatch.setattr("bot.adapters.history.pack.PACKED_FROM_BYTES", 1)
    files = {"bars/1h/BBB.csv.gz": gzip.compress(LATER.encode()), "bars/1d/BBB.parquet": b"broken"}
    parsed: list[str] = []
    parse_end = ends._parse_end

    def noted(file: ends.SourceFile, timeframe: str) -> ends.ParsedFile:
        parsed.append(file.path.name)
        return parse_end(file, timeframe)

    monkeypatch.setattr(ends, "_parse_end", noted)
    first = opened(tmp_path, files)
    again = open_history(tmp_path / "h", timeframe=None, universe=["AAA"])
    assert (first.ends_at, first.refused) == (again.ends_at, again.refused)
    assert first.ends_at == END
    assert parsed == ["BBB.csv.gz", "BBB.parquet"]
    (tmp_path / "h/bars/1d/BBB.parquet").unlink()
    pack_history(tmp_path / "h", silent)
    assert open_history(tmp_path / "h", timeframe=None, universe=["AAA"]).ends_at == END
    assert len(parsed) == 2


def test_a_cut_history_ends_at_the_cut(tmp_path: Path) -> None:
    """Settled, end of a history: nothing later is known of a history cut at an instant."""
    history = opened(tmp_path, {"bars/1h/BBB.csv": LATER})
    assert cut_history(history, at("2024-01-01 05:00")).ends_at == at("2024-01-01 05:00")
    assert cut_history(history, at("2024-06-01")).ends_at == END


@pytest.mark.parametrize(
    ("to", "schedule", "expected"),
    [
        (None, None, "2024-01-03 12:00"),
        ("2024-01-02 02:00", None, "2024-01-02 02:00"),
        ("2024-01-02 10:30", None, "2024-01-02 10:00"),
        ("2024-03-01", None, "2024-03-01 00:00"),
        (None, "0 0 * * *", "2024-01-03 12:00"),
        ("2024-01-05 10:30", "30 * * * *", "2024-01-05 10:30"),
        ("2024-01-05 10:20", "0 0 * * *", "2024-01-05 10:00"),
    ],
)
def test_the_last_slot_is_the_end_of_the_window(
    tmp_path: Path, to: str | None, schedule: str | None, expected: str
) -> None:
    """Settled, end of a history: --to, else the folder's last close, on the grid of the bars, whatever the schedule."""
    history = opened(tmp_path, {"bars/1h/BBB.csv": LATER})
    slots = slots_in(history, (None, at(to) if to else None), schedule)
    assert slots[-1] == at(expected)
    assert slots == sorted(set(slots))
    assert slots_in(history, (slots[0], slots[-1]), schedule) == slots


@pytest.mark.parametrize(
    ("timeframe", "day", "schedule", "expected"),
    [
        ("1h", "2024-01-01", None, "2024-01-01 23:00"),
        ("1h", "2024-01-05", None, "2024-01-05 23:00"),
        ("1d", "2024-01-02", None, "2024-01-02 00:00"),
        ("1h", "2024-01-01", "0 */6 * * *", "2024-01-01 18:00"),
        ("1h", "2024-01-05", "30 9 * * *", "2024-01-05 09:30"),
        ("1h", "2024-01-05", "0 0 1,2 * *", "2024-01-05 23:00"),
        ("1d", "2024-01-05", "0 0 1,2 * *", "2024-01-05 00:00"),
    ],
)
def test_a_window_that_ends_with_a_day_ends_at_its_last_slot(
    tmp_path: Path, timeframe: str, day: str, schedule: str | None, expected: str
) -> None:
    """Settled, a date without a time: --to of a day alone is the schedule's last slot in it, else that of the bars."""
    history = opened(tmp_path, {"bars/1d/AAA.csv": bar_rows("2023-12-30", 3, DAY)}, timeframe)
    slots = slots_in(history, (None, at(day) + LAST_MICROSECOND), schedule)
    assert slots[-1] == at(expected)


def test_a_window_without_a_slot_is_refused(tmp_path: Path) -> None:
    """An end alone decides nothing, so a window that has no other slot is a mistake."""
    history = opened(tmp_path, {"bars/1h/BBB.csv": LATER})
    with pytest.raises(ConfigError, match="no slot in this window"):
        slots_in(history, (at("2024-02-01"), at("2024-03-01")), None)


def test_a_neighbour_outside_the_universe_moves_the_end_of_a_replay(tmp_path: Path) -> None:
    """Settled, end of a history: the last slot is there, and a folder that goes on longer is another replay."""
    files = {"bars/1h/AAA.csv": hours("2024-01-01", "26 x 100")}
    alone = replay(tmp_path, files)
    assert (alone.code, alone.answer["slots"]) == (0, 26)
    beside = replay(tmp_path, {**files, "bars/1h/BBB.csv": hours("2024-01-01", "426 x 1")})
    assert beside.code == 78
    (tmp_path / "l.db").unlink()
    beside = replay(tmp_path, {**files, "bars/1h/BBB.csv": hours("2024-01-01", "426 x 1")})
    assert (beside.code, beside.answer["slots"]) == (0, 27)
    assert beside.query("select max(slot) from v_cycles") == [("2024-01-18T18:00:00.000000Z",)]
