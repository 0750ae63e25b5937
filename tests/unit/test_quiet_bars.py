"""Bars of volume 0 and halts in history folders: what is quiet, and which bars are told as one."""

import gzip
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from bot.adapters.history.bar_columns import SPANS, Columns, parse_bars
from bot.adapters.history.cut import cut_history
from bot.adapters.history.folder import HistoryArchive, open_history
from bot.adapters.history.pack import silent
from bot.adapters.history.packing import pack_history
from bot.adapters.history.reader import SourceFile, micros
from bot.domain.ids import TokenId
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.market import Bar
from bot.domain.reach import EVERY_BAR, NEVER, NO_BAR, Reach
from tests.edge_replays import BULLISH, INSTRUMENTS, hours
from tests.history_texts import BARS
from tests.notation import DAY, HOUR, at

START = at("2024-01-01")
AAA = TokenId(1)
Volumes = Sequence[str]


def columns_of(volumes: Volumes, *, timeframe: str = "1h") -> Columns:
    """Parse hours that rise by one from 100, each two wide, with these volumes."""
    lines = [
        f"{START + n * HOUR:%Y-%m-%dT%H:%M:%SZ},{100 + n},{102 + n},{98 + n},{101 + n},{volume}\n"
        for n, volume in enumerate(volumes)
    ]
    return parsed(SourceFile(Path("AAA.csv"), (BARS + "".join(lines)).encode(), ""), timeframe)


def parsed(file: SourceFile, timeframe: str = "1h") -> Columns:
    """Parse a file of bars."""
    return Columns(SPANS[timeframe] // MICROSECOND, parse_bars(file, timeframe).blocks)


def archive_of(tmp_path: Path, *pieces: str) -> HistoryArchive:
    """Open a folder of one token, written as `hours` does."""
    folder = tmp_path / "h"
    (folder / "bars/1h").mkdir(parents=True)
    (folder / "instruments.csv").write_text(INSTRUMENTS)
    (folder / "signals.csv").write_text(BULLISH)
    (folder / "bars/1h/AAA.csv").write_text(hours("2024-01-01", *pieces))
    return open_history(folder, timeframe=None, universe=["AAA"]).archive


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        ("5 0 0 7 0", "5 0 0 7 0"),
        ("0 0 5 0", "- - 5 0"),
        ("0 0 0", "- - -"),
        ("5 - 0", "5 - 0"),
        ("- - -", "- - -"),
        ("0 - 0.5 0", "- - 0.5 0"),
    ],
)
def test_a_zero_volume_says_something_only_after_a_traded_bar(volumes: str, expected: str) -> None:
    """Settled, bars of volume 0: such a bar is quiet once an earlier one has traded, before that it is unknown."""
    bars = columns_of(volumes.replace("-", "").split(" ")).bars(0, len(expected.split()))
    assert [bar.volume for bar in bars] == [None if one == "-" else Decimal(one) for one in expected.split()]
    assert [bar.is_quiet for bar in bars] == [one == "0" for one in expected.split()]


def test_a_file_without_volumes_has_no_quiet_bar() -> None:
    """Settled, bars of volume 0: without a column of volumes each is unknown."""
    text = "time,open,high,low,close\n2024-01-01T00:00:00Z,1,1,1,1\n"
    (bar,) = parsed(SourceFile(Path("AAA.csv"), text.encode(), "")).bars(0, 1)
    assert (bar.volume, bar.is_quiet) == (None, False)


def _quoted(text: str) -> bytes:
    return text.replace("T", " ").encode()


def _as_parquet(text: str) -> bytes:
    names, *lines = (line.split(",") for line in text.splitlines())
    columns = {name: [line[place] for line in lines] for place, name in enumerate(names)}
    arrays = {name: pa.array(map(float, cells)) for name, cells in columns.items() if name != "time"}
    stream = io.BytesIO()
    times = pa.array([cell.removesuffix("Z") for cell in columns["time"]]).cast(pa.timestamp("us"))
    parquet.write_table(pa.table({"time": times, **arrays}), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("AAA.csv", str.encode),
        ("AAA.csv", _quoted),
        ("AAA.csv.gz", lambda text: gzip.compress(text.encode())),
        ("AAA.parquet", _as_parquet),
    ],
)
def test_every_way_to_write_volumes_gives_the_same_quiet_bars(name: str, write: Callable[[str], bytes]) -> None:
    """Settled, bars of volume 0: in bulk, row by row, packed by gzip and as Parquet."""
    text = hours("2024-01-01", "2 x 5 x 0", "2 x 5 x 8", "3 x 5 x 0", "200 h nothing", "1 x 5 x 2")
    file = SourceFile(Path(name), write(text), "")
    columns = parsed(file)
    assert columns.quiet.tolist() == [[4], [7]]
    assert columns.halts.tolist() == [[3, 7], [7, 8]]
    assert [bar.volume for bar in columns.bars(0, 5)] == [None, None, 8, 8, 0]


@given(st.lists(st.sampled_from(["0", "0", "3", ""]), min_size=1, max_size=12), st.integers(0, 13))
def test_a_cut_history_has_the_quiet_bars_of_the_whole(volumes: list[str], count: int) -> None:
    """Settled, bars of volume 0: whether a bar is quiet never depends on what comes later."""
    whole, cut = columns_of(volumes), columns_of(volumes[:count])
    many = min(count, len(volumes))
    assert cut.bars(0, many) == whole.bars(0, many)
    last = next((row for row in reversed(range(many)) if not whole.bars(row, row + 1)[0].is_quiet), -1)
    assert cut.last_active_row(many) == whole.last_active_row(many) == last


def test_known_by_keeps_volumes(tmp_path: Path) -> None:
    """Settled, bars of volume 0: a history cut at an instant has the same bars up to it."""
    folder_archive = archive_of(tmp_path, "1 x 5 x 0", "2 x 5 x 8", "3 x 5 x 0", "2 x 5 x 1")
    history = open_history(tmp_path / "h", timeframe=None, universe=["AAA"])
    now = START + 5 * HOUR
    assert cut_history(history, now).archive.prints(AAA, None, now, now) == folder_archive.prints(AAA, None, now, now)


def test_a_stretch_takes_its_extremes_from_traded_bars() -> None:
    """Settled, bars of volume 0: told as one, a quiet bar gives no extreme, and its close where it is the last."""
    columns = columns_of(["5", "6", "0", "0"])
    mixed, quiet = columns.stretch(0, 4), columns.stretch(2, 4)
    assert mixed == (START, START + 4 * HOUR, 100, 103, 98, 104, None)
    assert quiet == (START + 2 * HOUR, START + 4 * HOUR, 104, 104, 104, 104, 0)
    assert quiet.is_quiet
    assert columns.stretch(0, 2) == (START, START + 2 * HOUR, 100, 103, 98, 102, None)
    late = columns_of(["5", "0", "6", "0"]).stretch(1, 4)
    assert late[2:] == (102, 104, 100, 104, None)


def test_the_volume_of_a_day_is_the_sum_of_its_bars() -> None:
    """A day with an unknown volume has none, and one of quiet bars alone is quiet."""
    days = columns_of(["2"] * 24 + ["0"] * 24 + [""] + ["1"] * 23).days()
    assert [bar.volume for bar in days.bars(0, 3)] == [48, 0, None]
    assert [bar.is_quiet for bar in days.bars(0, 3)] == [False, True, False]


def test_the_traded_price_is_the_close_of_the_last_bar_that_is_not_quiet(tmp_path: Path) -> None:
    """Settled, bars of volume 0: the price follows a quiet bar, the traded price stays where something was traded."""
    archive = archive_of(tmp_path, "2 x 100", "3 x 90 x 0", "1 x 80", "2 x 70 x 0")
    found = []
    for hour in range(9):
        now = START + hour * HOUR
        price, traded = archive.price(AAA, now, now), archive.active_price(AAA, now, now)
        found.append((price and price.price, traded and traded.price, traded and traded.known_at))
    two, six = START + 2 * HOUR, START + 6 * HOUR
    assert found == [
        (None, None, None),
        (100, 100, START + HOUR),
        (100, 100, two),
        *[(90, 100, two)] * 3,
        (80, 80, six),
        *[(70, 80, six)] * 2,
    ]


def told(bars: Iterable[Bar]) -> list[tuple[int, int]]:
    """Return the hours at which bars open and close."""
    return [((bar.opened_at - START) // HOUR, (bar.closed_at - START) // HOUR) for bar in bars]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (("26 x 100", "400 h nothing", "2 x 10"), [(0, 26), (426, 427), (427, 428)]),
        (("26 x 100", "168 h nothing", "1 x 10"), [(0, 26), (194, 195)]),
        (("26 x 100", "167 h nothing", "1 x 10"), [(0, 194)]),
        (("2 x 100", "2 x 90 x 0", "166 h nothing", "1 x 10"), [(0, 2), (2, 3), (3, 4), (170, 171)]),
        (("2 x 100", "2 x 90 x 0", "164 h nothing", "1 x 10"), [(0, 169)]),
        (("2 x 100", "2 x 90 x 0"), [(0, 2), (2, 3), (3, 4)]),
    ],
)
def test_bars_of_both_sides_of_a_halt_are_never_told_as_one(
    tmp_path: Path, pieces: tuple[str, ...], expected: list[tuple[int, int]]
) -> None:
    """T1: seven days from the last close to the next opening end a stretch, and quiet bars are no bars for them."""
    archive, end = archive_of(tmp_path, *pieces), START + 900 * HOUR
    found = archive.prints(AAA, None, end, end, NO_BAR)
    assert told(found) == expected
    assert told(archive.prints(AAA, None, end, end, EVERY_BAR)) == told(archive.columns[AAA].bars(0, 10_000))


def test_a_stretch_that_begins_in_a_halt_ends_with_it(tmp_path: Path) -> None:
    """T1: what was seen up to a quiet bar within a halt, the first bar traded after it opens a print of its own."""
    archive, end = archive_of(tmp_path, "2 x 100", "300 x 90 x 0", "3 x 10"), START + 900 * HOUR
    seen = START + 100 * HOUR
    found = archive.prints(AAA, (seen, seen), end, end, NO_BAR)
    assert told(found) == [(100, 302), (302, 303), (303, 304), (304, 305)]
    assert [bar.is_quiet for bar in found] == [True, False, False, False]


def test_bars_are_told_one_by_one_from_where_they_are_due(tmp_path: Path) -> None:
    """A reach that is due at an instant is reached by the first bar that opens then or later, whatever its price."""
    archive, end = archive_of(tmp_path, "6 x 100"), START + 900 * HOUR
    for late in (timedelta(0), -MICROSECOND):
        reach = Reach(float("-inf"), float("inf"), micros(START + 3 * HOUR + late))
        assert told(archive.prints(AAA, None, end, end, reach)) == [(0, 3), (3, 4), (4, 5), (5, 6)]
        assert archive.columns[AAA].first_touch(4, 6, reach) == 4
        assert archive.columns[AAA].first_touch(0, 2, reach) == 2
    assert archive.columns[AAA].first_touch(0, 6, Reach(100, 200, micros(START + 3 * HOUR))) == 0
    assert Reach(1, 2).due == NEVER


def test_silences_are_the_closes_before_halts_and_the_end(tmp_path: Path) -> None:
    """T1: each last traded bar before seven days without one, and the last of the file, is told by its close."""
    before = ("26 x 100", "168 h nothing", "1 x 10", "167 h nothing", "2 x 10", "3 x 5 x 0")
    archive = archive_of(tmp_path, *before, "400 h nothing", "1 x 9")
    closes = [EPOCH + close * MICROSECOND for close in archive.columns[AAA].silences().tolist()]
    assert [(close - START) // HOUR for close in closes] == [26, 364, 768]
    assert columns_of([]).silences().tolist() == []
    assert closes[0] + 7 * DAY == START + 194 * HOUR


def test_a_packed_folder_has_the_quiet_bars_and_halts_of_a_parsed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settled, bars of volume 0: what is derived from volumes comes out of the pack as it was parsed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parsed = archive_of(tmp_path, "2 x 100", "5 x 90 x 0", "300 h nothing", "2 x 90").columns[AAA]
    pack_history(tmp_path / "h", silent)
    packed = open_history(tmp_path / "h", timeframe=None, universe=["AAA"]).archive.columns[AAA]
    for name in ("opened_at", "quiet", "halts"):
        assert getattr(packed, name).tolist() == getattr(parsed, name).tolist()
    assert packed.bars(0, 9) == parsed.bars(0, 9)
