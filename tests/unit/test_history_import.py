"""Candle files of every known layout become the same history folder, by stated rules."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.adapters.candles.cells import to_cells
from bot.adapters.candles.joining import coarsen_all, join, write_bars
from bot.adapters.candles.layouts import LAYOUTS as LAYOUT_NAMES
from bot.adapters.candles.recognising import TIMEFRAMES, Choices, recognise
from bot.adapters.candles.stamps import read_stamps
from bot.adapters.history.bar_columns import SPANS
from bot.adapters.history.folder import open_history
from bot.adapters.history.reader import micros
from bot.cli.main import main, parser
from tests.candle_layouts import DAY, HOUR, LAYOUTS, START, Row, candles, comma, dump, history_csv, lines, run_import

HEAD = "time,open,high,low,close,volume\n"
INSTRUMENTS = "token_id,symbol,name\n1,BTC,BTC\n"


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_history(tmp_path: Path, capsys: Any, name: str) -> None:
    """From one set of candles each layout leads to the same files, digit for digit."""
    layout = LAYOUTS[name]
    rows = candles(layout.span)
    imported = run_import(capsys, tmp_path, {layout.file: layout.write(rows)}, *layout.options)
    assert imported.code == 0, imported.error
    bars = f"bars/{'1h' if layout.span == HOUR else '1d'}/BTC.csv"
    assert imported.files == {"instruments.csv": INSTRUMENTS, bars: history_csv(rows)}
    (told,) = imported.answer["files"]
    assert (told["rows"], told["dropped"], told["symbols"]) == (len(rows), {}, ["BTC"])


def test_what_is_said_of_a_file(tmp_path: Path, capsys: Any) -> None:
    """The answer names the layout, the unit or the zone assumed, the first and the last candle, and what is ignored."""
    said = {
        name: run_import(capsys, tmp_path / str(at), {one.file: one.write(candles(one.span))}).answer["files"][0]
        for at, (name, one) in enumerate(LAYOUTS.items())
        if name in {"dump in microseconds", "unnamed time", "several coins", "site, 12-hour times", "close before high"}
    }
    assert said["dump in microseconds"]["time"] == "epoch, us"
    assert said["unnamed time"]["time"] == "no zone was given: taken as UTC"
    assert said["several coins"]["ignored"] == ["ETH:open"]
    site = said["site, 12-hour times"]
    assert site["layout"] == "CSV, header, newest first, 1 line before the candles"
    assert site["ignored"] == ["Volume USD"]
    assert (site["first"], site["last"]) == ("2024-03-01T00:00:00.000000Z", "2024-03-03T11:00:00.000000Z")
    assert said["close before high"]["layout"] == "CSV, no header, ochl"


def test_a_replay_reads_it(tmp_path: Path, capsys: Any) -> None:
    """The folder opens as a history, once it has signals."""
    run_import(capsys, tmp_path, {"BTCUSDT.csv": dump(1000)(candles(HOUR))})
    (tmp_path / "history" / "signals.csv").write_text("token_id,published_at,stance\n1,2024-03-01T06:00:00Z,bullish\n")
    history = open_history(tmp_path / "history", timeframe=None, universe="*")
    assert (history.timeframe, history.bars, history.refused) == ("1h", 60, ())


def test_the_table_for_people(tmp_path: Path, capsys: Any) -> None:
    """Without --json the same is a table of files and a table of series."""
    (tmp_path / "BTCUSDT.csv").write_bytes(dump(1000)(candles(HOUR)))
    assert main(["history", "import", str(tmp_path / "BTCUSDT.csv"), "-o", str(tmp_path / "h")]) == 0
    told = capsys.readouterr().out
    assert "CSV, no header, ohlc" in told
    assert "A replay also needs signals.csv" in told


def test_files_of_one_coin_become_one_series(tmp_path: Path, capsys: Any) -> None:
    """Two dumps of another unit that overlap are joined; the rows of the seam are duplicates, and holes are counted."""
    rows = candles(HOUR)
    files = {
        "BTCUSDT-1h-2024-12.csv": dump(1000)(rows[:30]),
        "BTCUSDT-1h-2025-01.csv": dump(10**6)(rows[28:40] + rows[43:]),
    }
    imported = run_import(capsys, tmp_path, files)
    assert imported.files["bars/1h/BTC.csv"] == history_csv(rows[:40] + rows[43:])
    assert [one["dropped"] for one in imported.answer["files"]] == [{}, {"duplicate": {"count": 2, "line": 1}}]
    assert (imported.answer["series"][0]["holes"], imported.answer["series"][0]["missing"]) == (1, 3)


@pytest.mark.parametrize("header", ["Symbol,Date,Open,High,Low,Close,Volume", None])
def test_several_coins_of_one_table(tmp_path: Path, capsys: Any, header: str | None) -> None:
    """A column of symbols, or columns that name the coin, are split; token_ids follow the order of symbols."""
    rows = candles(DAY, 5)
    if header:
        text = lines(
            header, lambda row: f"ETH/USDT,{row.at:%Y-%m-%d},{comma(row)}\nXBTUSDT,{row.at:%Y-%m-%d},{comma(row)}"
        )(rows)
    else:
        head = "date," + ",".join(
            f"{coin}:{name}" for coin in ("ETH", "BTC") for name in ("open", "high", "low", "close", "volume")
        )
        text = lines(head, lambda row: f"{row.at:%Y-%m-%d},{comma(row)},{comma(row)}")(rows)
    imported = run_import(capsys, tmp_path, {"coins.csv": text})
    assert imported.files == {
        "instruments.csv": "token_id,symbol,name\n1,BTC,BTC\n2,ETH,ETH\n",
        "bars/1d/BTC.csv": history_csv(rows),
        "bars/1d/ETH.csv": history_csv(rows),
    }
    chosen = run_import(capsys, tmp_path / "one", {"coins.csv": text}, "--symbol", "ETH")
    assert list(chosen.files) == ["bars/1d/ETH.csv", "instruments.csv"]


BAD_ROWS = {
    "unreadable time": "yesterday,1,2,1,2,5",
    "unreadable number": "2024-03-09,1,two,1,2,5",
    "NaN": "2024-03-09,NaN,2,1,2,5",
    "negative": "2024-03-09,-1,2,1,2,5",
    "zero": "2024-03-09,0.0,2,0,2,5",
    "out of range": "2024-03-09,1e16,2e16,1,2,5",
    "contradictory": "2024-03-09,3,2,1,2,5",
    "off the grid": "2024-03-09 05:00,1,2,1,2,5",
    "another number of columns": "2024-03-09,1,2,1,2",
    "a NUL": "2024-03-09,1\0,2,1\0002,2,5",
}


def test_a_bad_row_is_dropped_and_counted(tmp_path: Path, capsys: Any) -> None:
    """Each bad row is dropped by its own reason, with its line, and the others stay."""
    rows = [*candles(DAY, 8), *(row._replace(at=row.at + 9 * DAY) for row in candles(DAY, 200))]
    good = history_csv(rows).splitlines()
    text = "\n".join([*good[:5], *BAD_ROWS.values(), *good[5:]]) + "\n"
    imported = run_import(capsys, tmp_path, {"BTC.csv": text})
    assert imported.files["bars/1d/BTC.csv"] == history_csv(rows)
    expected = {reason: {"count": 1, "line": line} for line, reason in enumerate(BAD_ROWS, start=6)}
    expected["another number of columns"]["line"] = None
    expected["unreadable number"]["count"] = 2
    dropped = imported.answer["files"][0]["dropped"]
    assert dropped == {name: one for name, one in expected.items() if name != "a NUL"}
    assert imported.answer["files"][0]["rows"] == len(rows) + len(BAD_ROWS)


def test_a_symbol_of_another_alphabet(tmp_path: Path, capsys: Any) -> None:
    """Symbols need not be Latin, and what is no symbol is counted."""
    each = lines("symbol,date,open,high,low,close", lambda row: f"币安人生USDT,{row.at:%Y-%m-%d},1,2,1,2")
    text = each(candles(DAY, 3))
    imported = run_import(capsys, tmp_path, {"table.csv": text + b"../x,2024-03-01,1,2,1,2\n,2024-03-01,1,2,1,2\n"})
    assert list(imported.files) == ["bars/1d/币安人生.csv", "instruments.csv"]
    assert imported.answer["files"][0]["dropped"] == {"no symbol of one token": {"count": 2, "line": 5}}


def test_two_tokens_of_one_symbol(tmp_path: Path, capsys: Any) -> None:
    """Where a symbol has two token_ids, whose candles are whose is not known, and none of them is kept."""
    rows = candles(DAY, 5)
    text = lines(
        "TOKEN_ID,TOKEN_SYMBOL,DATE,OPEN,HIGH,LOW,CLOSE,VOLUME", lambda row: f"1,ETH,{row.at:%Y-%m-%d},{comma(row)}"
    )(rows)
    others = "".join(f"{row.at.day % 2 + 7},BTC,{row.at:%Y-%m-%d},{comma(row)}\n" for row in rows)
    imported = run_import(capsys, tmp_path, {"tokens.csv": text + others.encode()})
    assert list(imported.files) == ["bars/1d/ETH.csv", "instruments.csv"]
    assert imported.answer["files"][0]["dropped"] == {"no symbol of one token": {"count": 5, "line": 7}}


def test_one_time_with_two_candles(tmp_path: Path, capsys: Any) -> None:
    """Of an hour with two candles none is kept, as nothing says which is true; the same candle twice is a duplicate."""
    rows = candles(HOUR, 10)
    other = rows[3]._replace(close=rows[3].open)
    imported = run_import(capsys, tmp_path, {"BTC.csv": history_csv([*rows, other, rows[5]])})
    assert imported.files["bars/1h/BTC.csv"] == history_csv(rows[:3] + rows[4:])
    dropped = {"same time, another candle": {"count": 2, "line": 5}, "duplicate": {"count": 1, "line": 13}}
    assert imported.answer["files"][0]["dropped"] == dropped


@settings(max_examples=15)
@given(data=st.data())
def test_any_order_gives_the_same_folder(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """However rows are ordered, repeated and spread over files, the bars are the same."""
    rows, place = candles(HOUR, 12), tmp_path_factory.mktemp("order")
    repeated = data.draw(st.permutations([*rows, *data.draw(st.lists(st.sampled_from(rows), max_size=5))]))
    first = data.draw(st.integers(0, len(rows) - 2))
    part = data.draw(st.permutations(rows[first : data.draw(st.integers(first + 2, len(rows)))]))
    for name, several in (("BTC_a.csv", repeated), ("BTC_b.csv", part)):
        (place / name).write_text(history_csv(several))
    files = data.draw(st.permutations([place / "BTC_a.csv", place / "BTC_b.csv"]))
    read = [recognise(path, Choices(symbol="BTC")) for path in files]
    (series,) = coarsen_all(join(read)[0], None).values()
    assert b"".join(write_bars(series)).decode() == history_csv(rows)


def test_a_coarser_timeframe(tmp_path: Path, capsys: Any) -> None:
    """Quarters become hours: first open, extremes, last close, exact sum; an hour that the data cut is dropped."""
    rows = [row._replace(volume=f"0.{number % 4 + 1}") for number, row in enumerate(candles(timedelta(minutes=15), 18))]
    del rows[5]
    imported = run_import(capsys, tmp_path, {"BTCUSDT.csv": history_csv(rows)}, "--timeframe", "1h")
    expected = []
    for hour in range(4):
        inside = [row for row in rows if row.at.hour == hour]
        high, low = max((row.high for row in inside), key=float), min((row.low for row in inside), key=float)
        volume = "1" if len(inside) == 4 else "0.8"
        expected.append(Row(START + hour * HOUR, inside[0].open, high, low, inside[-1].close, volume))
    assert imported.files["bars/1h/BTC.csv"] == history_csv(expected)
    (series,) = imported.answer["series"]
    assert (series["cut"], series["incomplete"]) == (1, 1)


def test_digits_are_kept(tmp_path: Path, capsys: Any) -> None:
    """More digits than a float holds, and powers of ten, are written as plain digits; an unknown volume stays empty."""
    text = HEAD + "2024-01-01,1.3E-4,0.00020,0.0001,0.0001234567890123456789,\n2024-01-02,007.50,$8,+7,7.5,1e3\n"
    files = run_import(capsys, tmp_path, {"BTC.csv": text}).files
    assert files["bars/1d/BTC.csv"] == (
        HEAD
        + "2024-01-01T00:00:00Z,0.00013,0.0002,0.0001,0.0001234567890123456789,\n"
        + "2024-01-02T00:00:00Z,7.5,8,7,7.5,1000\n"
    )
    bare = run_import(capsys, tmp_path / "b", {"BTC.csv": "date,o,h,l,c\n2024-01-01,1,2,1,2\n2024-01-02,1,2,1,2\n"})
    assert bare.files["bars/1d/BTC.csv"].startswith("time,open,high,low,close\n2024-01-01T00:00:00Z,1,2,1,2\n")


TIMES = {
    "2023-08-17 05:00 PM": "2023-08-17T17:00",
    "2023-08-17 12-AM": "2023-08-17T00:00",
    "17-Aug-2023 12:30 pm": "2023-08-17T12:30",
    "August 17, 2023": "2023-08-17T00:00",
    "Aug. 17th 2023": "2023-08-17T00:00",
    "20230817": "2023-08-17T00:00",
    "20230817 170000": None,
    "2023/8/7 1:05": "2023-08-07T01:05",
    "2023-08-17T00:00:00-0530": "2023-08-17T05:30",
    "2023-08-17T02:00:00+02:00": "2023-08-17T00:00",
    "2023-08-17 00:00:00 UTC": "2023-08-17T00:00",
    "2023-08-17 00:00:00.000000": "2023-08-17T00:00",
    "1692230400.5": "2023-08-17T00:00",
    "1692230400000000000": "2023-08-17T00:00",
    "2023-13-01": None,
    "2023-02-30 00:00:00": None,
    "13-AM": None,
    "2023-08-17 13-PM": None,
    "Foo 17, 2023": None,
    "01/02/23": None,
    "45155": None,
    "99999999999999999999": None,
    "": None,
}


@pytest.mark.parametrize("text", TIMES)
def test_forms_of_a_time(text: str) -> None:
    """Each known form is one instant; what is none, or has two digits for a year, is not read."""
    stamps = read_stamps(to_cells([text, text]), (), None)
    expected = TIMES[text]
    assert stamps.readable.tolist() == [expected is not None] * 2
    if expected:
        assert stamps.at.tolist() == [micros(datetime.fromisoformat(f"{expected}+00:00"))] * 2


def test_hours_that_a_clock_repeats_or_skips(tmp_path: Path, capsys: Any) -> None:
    """Local times that name two instants, or none, are dropped and counted; the others move by their offset."""
    berlin, shift = ZoneInfo("Europe/Berlin"), datetime(2024, 10, 26, 22, tzinfo=UTC) - START
    rows = [row._replace(at=row.at + shift) for row in candles(HOUR, 400)]
    local = lines(
        "Date,Open,High,Low,Close,Volume", lambda row: f"{row.at.astimezone(berlin):%Y-%m-%d %H:%M},{comma(row)}"
    )
    imported = run_import(capsys, tmp_path, {"BTCUSD.csv": local(rows)}, "--zone", "Europe/Berlin")
    assert imported.answer["files"][0]["dropped"] == {"unreadable time": {"count": 2, "line": 4}}
    assert imported.files["bars/1h/BTC.csv"] == history_csv(rows[:2] + rows[4:])


def test_real_candles_are_taken_as_they_are(tmp_path: Path, shared: Path) -> None:
    """Real hourly files, gzipped, come out byte for byte."""
    import gzip  # noqa: PLC0415 - only here

    source = shared / "data" / "ohlcv-hourly" / "binance-2024" / "BTCUSDT.csv.gz"
    assert main(["history", "import", str(source), "-o", str(tmp_path / "h")]) == 0
    assert (tmp_path / "h" / "bars" / "1h" / "BTC.csv").read_bytes() == gzip.decompress(source.read_bytes())


def test_names_are_those_of_others() -> None:
    """The timeframes are those of a replay, and the command offers exactly the layouts that are known."""
    assert {name: span // timedelta(microseconds=1) for name, span in SPANS.items()} == TIMEFRAMES
    arguments = ["history", "import", "x", "-o", "y"]
    for name in LAYOUT_NAMES:
        assert parser().parse_args([*arguments, "--layout", name]).layout == [name]
