"""What an import refuses, in one line that names the file and the mend; and what it leaves alone."""

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.candles.coins import Coin, coin_of, coin_of_file
from bot.cli.main import main
from tests.candle_layouts import DAY, HOUR, candles, comma, history_csv, lines, run_import

FLAT = "".join(f"{1709251200 + 3600 * number},5,5,5,5,1\n" for number in range(5))
HEAD = "Date,Open,High,Low,Close,Volume\n"
SLASHED = HEAD + "".join(f"0{day}/02/2023,1,2,1,2,5\n" for day in range(1, 6))
GROUPS = "Date;Open;High;Low;Close\n" + "".join(f"2024-01-0{day};1,000;2,000;1,000;2,000\n" for day in range(1, 4))
QUARTERS = HEAD + "".join(f"2024-01-01 00:{minute:02},1,2,1,2,5\n" for minute in (0, 15, 30, 45))



def zip_of(*names: str) -> bytes:
    """Make an archive of empty files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        for name in names:
            packed.writestr(name, "")
    return sink.getvalue()


REFUSED = {
    "day or month": (
        "BTC.csv",
        SLASHED,
        "times like 01/02/2023 begin with the day or the month: choose with --layout day-first or --layout month-first",
    ),
    "mixed days and months": (
        "BTC.csv",
        HEAD + "13/02/2023,1,2,1,2,5\n02/13/2023,1,2,1,2,5\n",
        "--layout day-first or --layout month-first",
    ),
    "order of columns": ("BTC.csv", FLAT, "the order ohlc or ochl or lhoc: choose with --layout ohlc or"),
    "binary": ("BTC.csv", bytes(range(256)) * 600, "no candles found"),
    "comma": (
        "BTC.csv",
        GROUPS,
        "the comma of 1,000 separates thousands or decimals: choose with --layout thousands-comma or",
    ),
    "15m": (
        "BTC.csv",
        QUARTERS,
        "15m candles; a replay reads others (1m, 5m, 1h, 1d): --timeframe 1h or --timeframe 1d",
    ),
    "a header alone": ("BTC.csv", HEAD, "it has a header, and no row of numbers below it"),
    "closes alone": (
        "BTC.json",
        '{"prices": [[1704067200000, 42000.1]], "market_caps": [[1704067200000, 1]], "total_volumes": []}',
        "it holds prices, market_caps, total_volumes, and no array of open, high, low and close",
    ),
    "an error for an answer": ("BTC.json", '{"status": {"error_code": 429}}', "it holds status, and no array of"),
    "weeks": (
        "BTC.csv",
        HEAD + "2024-01-01,1,2,1,2,5\n2024-01-08,1,2,1,2,5\n",
        "7d candles; a replay reads others (1m, 5m, 1h, 1d): bring finer",
    ),
    "days of a zone": (
        "BTC.csv",
        HEAD + "2024-01-01 05:00,1,2,1,2,5\n2024-01-02 05:00,1,2,1,2,5\n",
        "2024-01-01T05:00:00Z is not the open of a 1d candle in UTC",
    ),
    "one candle": (
        "BTC.csv",
        HEAD + "2024-01-01,1,2,1,2,5\n",
        "of one time no timeframe can be told: give it with --timeframe",
    ),
    "no coin": (
        "data.csv",
        HEAD + "2024-01-01,1,2,1,2,5\n2024-01-02,1,2,1,2,5\n",
        "say which coin it is: give --symbol",
    ),
    "no prices": (
        "BTC.csv",
        "Date,Open,High,Low\n2024-01-01,1,2,1\n",
        "no candles found, its first line is 'Date,Open,High,Low'",
    ),
    "names of another language": (
        "BTC.csv",
        "Datum,Zuletzt,Erster,Hoch,Tief,Vol.\n2024-01-01,1,2,3,1,5\n",
        "no columns open, high, low, close; it has Datum, Zuletzt, Erster, Hoch, Tief, Vol.: rename its columns",
    ),
    "no close": (
        "BTC.csv",
        "Date,Open,High,Low,Mean\n2024-01-01,1,2,1,2\n",
        "no columns open, high, low, close; it has Date, Open, High, Low, Mean",
    ),
    "empty": ("BTC.csv", "", "no candles found, it is empty"),
    "zeros": (
        "BTC.csv",
        HEAD + "2024-01-01,0,0,0,0,5\n2024-01-02,0,0,0,0,5\n",
        "no candle can be used: 2 zero (line 2)",
    ),
    "no time": ("BTC.csv", HEAD + "soon,1,2,1,2,5\nlater,1,2,1,2,5\n", "no time can be read"),
    "JSON": ("BTC.json", "{", "not JSON"),
    "no arrays": ("BTC.json", "[1, 2]", "no array of open, high, low and close"),
    "gzip": ("BTC.csv.gz", b"\x1f\x8bxx", "cannot be unpacked"),
    "zip": ("BTC.zip", b"PK\x03\x04", "cannot be unpacked"),
    "two in a zip": ("BTC.zip", zip_of("a.csv", "b.csv"), "holds 2 files: unpack it"),
    "seconds": (
        "BTC.csv",
        HEAD + "".join(f"2024-01-01 00:00:{second},1,2,1,2,5\n" for second in (10, 20, 30)),
        "10s candles; a replay reads others",
    ),
    "few columns": ("BTC.json", "[[1, 2, 3]]", "no array of open, high, low and close"),
    "Parquet": ("BTC.parquet", b"PAR1", "cannot be read as Parquet"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_for_sure_is_refused(tmp_path: Path, capsys: Any, name: str) -> None:
    """The line names the file, both readings where there are two, and what to write; nothing is left behind."""
    file, content, said = REFUSED[name]
    refused = run_import(capsys, tmp_path, {file: content})
    assert refused.code == 65
    assert said in refused.error
    assert refused.error.startswith(f"bot: {tmp_path / file}: ")
    assert refused.error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize(
    ("content", "options", "first"),
    [
        (SLASHED, ("--layout", "month-first", "--timeframe", "1d"), None),
        (SLASHED, ("--layout", "day-first"), "2023-02-01T00:00:00Z,1,2,1,2,5"),
        (SLASHED.replace("05/02", "15/02"), (), "2023-02-01T00:00:00Z,1,2,1,2,5"),
        (FLAT, ("--layout", "ochl"), "2024-03-01T00:00:00Z,5,5,5,5,1"),
        (GROUPS, ("--layout", "thousands-comma"), "2024-01-01T00:00:00Z,1000,2000,1000,2000"),
        (GROUPS, ("--layout", "decimal-comma"), "2024-01-01T00:00:00Z,1,2,1,2"),
        (QUARTERS, ("--timeframe", "1h"), "2024-01-01T00:00:00Z,1,2,1,2,20"),
    ],
)
def test_a_choice_settles_it(
    tmp_path: Path, capsys: Any, content: str, options: tuple[str, ...], first: str | None
) -> None:
    """With --layout or --timeframe the file is read as told; a chosen reading that does not fit is refused too."""
    imported = run_import(capsys, tmp_path, {"BTC.csv": content}, *options)
    if first is None:
        assert imported.code == 65
    else:
        (bars,) = (text for name, text in imported.files.items() if name.startswith("bars/"))
        assert bars.splitlines()[1] == first


def test_a_quote_that_nobody_closes(tmp_path: Path, capsys: Any) -> None:
    """It costs its own line, which is counted, and none of those after it."""
    good = history_csv(candles(DAY, 9)).splitlines()
    imported = run_import(capsys, tmp_path, {"BTC.csv": "\n".join([*good[:4], '"2024-03-09,1,2', *good[4:]])})
    assert imported.files["bars/1d/BTC.csv"] == history_csv(candles(DAY, 9))
    assert imported.answer["files"][0]["dropped"] == {"another number of columns": {"count": 1, "line": None}}


@pytest.mark.parametrize(
    "bad", ["2024-03-09,1,2\n1,2,5", "2024-03-09,1,2,1,2,5,6\n2024-03-09,1,2,1,2", "2024-03-09,1,2,1,2\n,,\n7"]
)
def test_lines_that_are_too_long_and_too_short(tmp_path: Path, capsys: Any, bad: str) -> None:
    """Uneven lines are dropped, also where their cells add up to those of whole lines; no cell moves to another row."""
    good = history_csv(candles(DAY, 9)).splitlines()
    imported = run_import(capsys, tmp_path, {"BTC.csv": "\n".join([*good[:4], bad, "", *good[4:], ""])})
    assert imported.files["bars/1d/BTC.csv"] == history_csv(candles(DAY, 9))
    count = bad.count("\n") + 1
    assert imported.answer["files"][0]["dropped"] == {"another number of columns": {"count": count, "line": None}}


def test_a_first_row_that_is_too_short(tmp_path: Path, capsys: Any) -> None:
    """The header says how many columns there are, also where the first row lacks the last of them."""
    head, *good = history_csv(candles(DAY, 9)).splitlines()
    imported = run_import(capsys, tmp_path, {"BTC.csv": "\n".join([head, "2024-03-09,1,2,1,2", *good])})
    assert imported.files["bars/1d/BTC.csv"] == history_csv(candles(DAY, 9))
    assert imported.answer["files"][0]["dropped"] == {"another number of columns": {"count": 1, "line": None}}


def test_what_differs_in_a_digit_is_another(tmp_path: Path, capsys: Any) -> None:
    """An existing file is compared by its bytes: one of the same size and times is another all the same."""
    files = {"BTC.csv": history_csv(candles(DAY))}
    run_import(capsys, tmp_path, files)
    there = tmp_path / "history" / "bars" / "1d" / "BTC.csv"
    text, times = there.read_text(), there.stat()
    for other in (text.replace("28000.5", "28000.6"), text + "\n", text[:-1]):
        there.write_text(other)
        os.utime(there, ns=(times.st_atime_ns, times.st_mtime_ns))
        refused = run_import(capsys, tmp_path, files)
        assert (refused.code, "bars/1d/BTC.csv is another" in refused.error) == (78, True)
        assert refused.files["bars/1d/BTC.csv"] == other


def test_the_folder_appears_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Until its last file is on the disk the folder has another name; then these very files are in it, not copies."""
    flushed: list[int] = []

    def note(number: int) -> None:
        assert not (tmp_path / "history").exists()
        flushed.append(os.fstat(number).st_ino)

    monkeypatch.setattr("bot.adapters.history.writing.os.fsync", note)
    imported = run_import(capsys, tmp_path, {"BTC.csv": history_csv(candles(DAY))})
    assert sorted((tmp_path / "history" / name).stat().st_ino for name in imported.files) == sorted(flushed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["BTC.csv", "history"]


def test_an_existing_history_is_not_changed(tmp_path: Path, capsys: Any) -> None:
    """The same import again changes nothing and says so, also beside other files; another one is refused."""
    files = {"BTC.csv": history_csv(candles(DAY))}
    first = run_import(capsys, tmp_path, files)
    (tmp_path / "history" / "signals.csv").write_text("mine")
    again = run_import(capsys, tmp_path, files)
    assert (first.answer["written"], again.answer["written"]) == (True, False)
    other = run_import(capsys, tmp_path, {"BTC.csv": history_csv(candles(DAY, 61))})
    assert other.code == 78
    assert "is there already, and bars/1d/BTC.csv is another: name a new folder" in other.error
    more = run_import(capsys, tmp_path, {"BTC.csv": history_csv(candles(HOUR))})
    assert "bars/1h/BTC.csv is not in it" in more.error
    assert other.files == more.files == first.files | {"signals.csv": "mine"}


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """When the disk fails before the folder has its name, neither a half of it nor a temporary folder stays."""

    def fail(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bot.adapters.history.writing.os.fsync", fail)
    failed = run_import(capsys, tmp_path, {"BTC.csv": history_csv(candles(DAY))})
    assert (failed.code, "cannot be written: No space left" in failed.error) == (74, True)
    assert [path.name for path in tmp_path.iterdir()] == ["BTC.csv"]


def test_prices_in_two_currencies_are_not_mixed(tmp_path: Path, capsys: Any) -> None:
    """Files of one coin in euros and dollars are refused, unless --symbol says that they are one series."""
    files = {"BTC-EUR.csv": history_csv(candles(DAY)), "BTCUSDT.csv": history_csv(candles(DAY))}
    refused = run_import(capsys, tmp_path, files)
    assert "BTC: prices in EUR (BTC-EUR.csv) and USDT (BTCUSDT.csv): import one of them" in refused.error
    assert run_import(capsys, tmp_path, files, "--symbol", "BTC").code == 0


def test_two_timeframes_are_not_mixed(tmp_path: Path, capsys: Any) -> None:
    """Days and hours of a coin stand beside each other, and are refused when both would become days."""
    files = {"BTC_h.csv": history_csv(candles(HOUR)), "BTC_d.csv": history_csv(candles(DAY))}
    imported = run_import(capsys, tmp_path, files, "--symbol", "BTC")
    assert list(imported.files) == ["bars/1d/BTC.csv", "bars/1h/BTC.csv", "instruments.csv"]
    refused = run_import(capsys, tmp_path / "one", files, "--symbol", "BTC", "--timeframe", "1d")
    assert "1h and 1d candles would both become 1d" in refused.error
    finer = run_import(capsys, tmp_path / "two", {"BTC.csv": files["BTC_d.csv"]}, "--timeframe", "1h")
    assert "1d candles; no 1h candles are made of these (1m, 5m, 1h, 1d): --timeframe 1d" in finer.error


def test_a_cut_that_leaves_nothing(tmp_path: Path, capsys: Any) -> None:
    """Half a day makes no day."""
    refused = run_import(capsys, tmp_path, {"BTC.csv": history_csv(candles(HOUR, 12)[3:])}, "--timeframe", "1d")
    assert "BTC: no candle is left" in refused.error


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--zone", "Mars/Olympus"), 2, "--zone 'Mars/Olympus' is no time zone: write it like Europe/Berlin"),
        (("--symbol", "/"), 2, "--symbol '/' is no symbol"),
        (("--symbol", "ETH"), 65, "has no ETH: it has BTC"),
    ],
)
def test_wrong_options(tmp_path: Path, capsys: Any, options: tuple[str, ...], code: int, said: str) -> None:
    """A zone or symbol that is none, or that the file has not, is one line."""
    table = lines("symbol,date,open,high,low,close,volume", lambda row: f"BTC,{row.at:%Y-%m-%d},{comma(row)}")
    refused = run_import(capsys, tmp_path, {"coins.csv": table(candles(DAY))}, *options)
    assert (refused.code, said in refused.error) == (code, True)


def test_files_that_are_not_there(tmp_path: Path, capsys: Any) -> None:
    """A missing file and a folder are named."""
    for path, said in ((tmp_path / "x.csv", "no such file"), (tmp_path, "is a folder: name its files")):
        assert main(["history", "import", str(path), "-o", str(tmp_path / "h")]) == 78
        assert capsys.readouterr().err == f"bot: {path}: {said}\n"


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Without pyarrow a Feather file gives the line that names the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = run_import(capsys, tmp_path, {"BTC.feather": b""})
    assert (refused.code, 'pip install "tidemark-bot[parquet]"' in refused.error) == (78, True)


@pytest.mark.parametrize(
    ("text", "coin"),
    [
        ("BTC", ("BTC", "")), ("btcusdt", ("BTC", "USDT")), ("BTC/USDT", ("BTC", "USDT")), ("BTC-USD", ("BTC", "USD")),
        ("XBTUSD", ("BTC", "USD")), ("XBT", ("BTC", "")), ("DOTUSD", ("DOT", "USD")), ("BNBUSD", ("BNB", "USD")),
        ("BTCBUSD", ("BTC", "BUSD")), ("ETHEUR", ("ETH", "EUR")), ("1INCHUSDC", ("1INCH", "USDC")),
        ("TUSD", ("TUSD", "")),
        ("USDT", ("USDT", "")), ("FDUSD", ("FDUSD", "")), ("BUSD", ("BUSD", "")),
        ("ETH/BTC", ("ETHBTC", "")), ("a\\b", ("", "")), (".x", ("", "")),
    ],
)  # fmt: skip
def test_symbols(text: str, coin: tuple[str, str]) -> None:
    """A symbol is its coin without the currency, in capitals; what could lead out of a folder is none."""
    assert coin_of(text) == Coin(*coin)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTCUSDT-1h-2025-01.csv", "BTC"), ("Binance_BTCUSDT_d.csv", "BTC"), ("XBTUSD_60.csv", "BTC"),
        ("BTC.csv.gz", "BTC"),
        ("BTC_USDT-5m.json.gz", "BTC"), ("BTC-USD.csv", "BTC"), ("bitcoin.csv", None), ("prices 2024.csv", None),
        ("OPEN.csv", None),
    ],
)  # fmt: skip
def test_names_of_files(name: str, symbol: str | None) -> None:
    """The coin is read from a name that says it for sure, and from no other."""
    coin = coin_of_file(Path(name))
    assert (coin and coin.symbol) == symbol


def test_what_people_should_look_at_stands_on_stderr(tmp_path: Path, capsys: Any) -> None:
    """Drops, holes, mixed timeframes and mixed currencies are lines of their own, on a narrow terminal too."""
    day = "2024-01-0{},1,2,0.5,1,1\n"
    (tmp_path / "DOT-EUR.csv").write_text(HEAD + "".join(map(day.format, (1, 2, 4))) + "2024-01-05,0,2,0.5,1,1\n")
    hours = "".join(f"2024-01-01T0{hour}:00Z,1,2,0.5,1,1\n" for hour in range(3))
    (tmp_path / "BINANCE_ETHUSDT, 60.csv").write_text(HEAD + hours)
    files = [str(tmp_path / name) for name in ("DOT-EUR.csv", "BINANCE_ETHUSDT, 60.csv")]
    assert main(["history", "import", *files, "-o", str(tmp_path / "history")]) == 0
    dropped, holes, *mixed = capsys.readouterr().err.splitlines()
    assert dropped.endswith("DOT-EUR.csv: 1 zero (line 5), of 4 rows, dropped")
    assert holes == "look: DOT 1d: 1 bars missing in 1 holes"
    assert [line.partition(",")[0] for line in mixed] == [
        "look: no timeframe is there for all (DOT 1d",
        "look: prices in several currencies (DOT in EUR; ETH in USD)",
    ]
    assert main(["history", "check", str(tmp_path / "history")]) == 78  # signals are missing
    assert mixed[0] in capsys.readouterr().err
