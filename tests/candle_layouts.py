"""One set of candles written in the layouts in which exchanges, data sites and libraries give them."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from bot.cli.main import main, parser

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2024, 3, 1, tzinfo=UTC)
# Building the parser of all commands takes longer than a small import.
PARSER = cache(parser)


class Row(NamedTuple):
    """A candle in the digits that are expected in the history folder."""

    at: datetime
    open: str
    high: str
    low: str
    close: str
    volume: str

    @property
    def prices(self) -> tuple[str, str, str, str]:
        return self[1:5]

    def epoch(self, per_second: int) -> str:
        return str(int(self.at.timestamp()) * per_second)


def candles(span: timedelta, count: int = 60) -> list[Row]:
    """Make candles that rise and fall."""
    rows = []
    for number in range(count):
        base = 28_000 + (number * 37 % 101) * 7
        prices = (f"{base}.5", f"{base + 90}.3", f"{base - 40}.25", f"{base + 11}")
        rows.append(Row(START + number * span, *prices, str(57_320 + 10 * number)))
    return rows


def history_csv(rows: Sequence[Row]) -> str:
    """Write the file of bars that an import of these candles makes."""
    lines = (",".join((f"{row.at:%Y-%m-%dT%H:%M:%SZ}", *row.prices, row.volume)) for row in rows)
    return "time,open,high,low,close,volume\n" + "".join(f"{line}\n" for line in lines)


def lines(header: str | None, each: Callable[[Row], str], *, end: str = "\n") -> Callable[[Sequence[Row]], bytes]:
    """Make a writer of text files."""

    def write(rows: Sequence[Row]) -> bytes:
        return "".join(
            f"{line}{end}" for line in [*([] if header is None else [header]), *map(each, rows)]
        ).encode()

    return write


def newest_first(write: Callable[[Sequence[Row]], bytes]) -> Callable[[Sequence[Row]], bytes]:
    """Turn the rows round."""
    return lambda rows: write(rows[::-1])


def dump(per_second: int) -> Callable[[Sequence[Row]], bytes]:
    """Write an exchange's dump: no header, trailing zeros, and what else it counts."""
    return lines(
        None,
        lambda row: ",".join(
            (
                row.epoch(per_second),
                *(f"{price}0000" if "." in price else price for price in row.prices),
                *(row.volume, row.epoch(per_second), "12.5", "17", "3.1", "4.2", "0"),
            )
        ),
    )


def grouped(text: str) -> str:
    """Write a number with commas between thousands."""
    whole, dot, rest = text.partition(".")
    return f"{int(whole):,}{dot}{rest}"


def portal(rows: Sequence[Row]) -> bytes:
    """Write a finance portal's download."""
    text = '\ufeff"Date","Price","Open","High","Low","Vol.","Change %"\n'
    for row in reversed(rows):
        opened, high, low, close = map(grouped, row.prices)
        cells = (f"{row.at:%b %d, %Y}", close, opened, high, low, f"{int(row.volume) / 1000:.2f}K", "-0.12%")
        text += ",".join(f'"{cell}"' for cell in cells) + "\n"
    return text.encode()


def json_arrays(rows: Sequence[Row]) -> bytes:
    """Write arrays of numbers, gzipped."""
    return gzip.compress(json.dumps([[int(row.epoch(1000)), *map(float, row[1:])] for row in rows]).encode())


def json_objects(rows: Sequence[Row]) -> bytes:
    """Write an answer that holds an array of objects."""
    names = ("open", "high", "low", "close", "volume")
    return json.dumps(
        {"ok": True, "data": [{"openTime": row.epoch(1000), **dict(zip(names, row[1:], strict=True))} for row in rows]}
    ).encode()


def arrow(write: Callable[[pa.Table, Any], None], kind: pa.DataType) -> Callable[[Sequence[Row]], bytes]:
    """Make a writer of a table with the column `date`."""

    def write_rows(rows: Sequence[Row]) -> bytes:
        columns = {
            name: [float(getattr(row, name)) for row in rows] for name in ("open", "high", "low", "close", "volume")
        }
        table = pa.table({"date": pa.array([row.at for row in rows], kind), **columns})
        sink = io.BytesIO()
        write(table, sink)
        return sink.getvalue()

    return write_rows


def zipped(write: Callable[[Sequence[Row]], bytes]) -> Callable[[Sequence[Row]], bytes]:
    """Put the file into an archive."""

    def write_rows(rows: Sequence[Row]) -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as packed:
            packed.writestr("BTCUSDT-1h.csv", write(rows))
        return sink.getvalue()

    return write_rows


def json_answer(rows: Sequence[Row]) -> bytes:
    """Write an exchange's answer: arrays with a mean price before the volume, deep inside an object."""
    arrays = [[int(row.epoch(1)), *row.prices, row.close, row.volume, 3] for row in rows]
    return json.dumps({"error": [], "result": {"XXBTZUSD": arrays, "last": 1}}).encode()


def json_columns(rows: Sequence[Row]) -> bytes:
    """Write an object of columns."""
    columns = {name[0]: [float(getattr(row, name)) for row in rows] for name in Row._fields[1:]}
    return json.dumps({"s": "ok", "t": [int(row.epoch(1)) for row in rows], **columns}).encode()


def mixed(rows: Sequence[Row]) -> bytes:
    """Write times in seconds first, and in milliseconds later."""
    texts = (f"{row.epoch(1 if at < 20 else 1000)},2024,BTC/USDT,{comma(row)},9" for at, row in enumerate(rows))
    return "\n".join(("unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT", *texts)).encode()


class Layout(NamedTuple):
    """A layout: the name of its file, the length of its candles, and who writes it."""

    file: str
    span: timedelta
    write: Callable[[Sequence[Row]], bytes]
    options: tuple[str, ...] = ()


def comma(row: Row) -> str:
    """Join the numbers of a candle."""
    return ",".join(row[1:])


SITE = "https://www.CryptoDataDownload.com\r\nDate,Symbol,Open,High,Low,Close,Volume BTC,Volume USD"
OTHER = "https://www.CryptoDataDownload.com\r\nDate,Symbol,Open,High,Low,Close,VolumeFrom,VolumeTo"

LAYOUTS: Mapping[str, Layout] = {
    "dump in microseconds": Layout("BTCUSDT-1h-2025-01.csv", HOUR, dump(10**6)),
    "dump in milliseconds": Layout("BTCUSDT-1h-2024-01.csv", HOUR, dump(1000)),
    "site, 12-hour times": Layout(
        "Coinbase_BTCUSD_1h.csv",
        HOUR,
        newest_first(lines(SITE, lambda row: f"{row.at:%Y-%m-%d %I-%p},BTCUSD,{comma(row)},9", end="\r\n")),
    ),
    "site, days": Layout(
        "Coinbase_BTCUSD_d.csv",
        DAY,
        newest_first(lines(SITE, lambda row: f"{row.at:%Y-%m-%d},BTCUSD,{comma(row)},9", end="\r\n")),
    ),
    "site, other exchange": Layout(
        "Kraken_BTCUSD_1h.csv",
        HOUR,
        newest_first(lines(OTHER, lambda row: f"{row.at:%Y-%m-%d %I-%p},BTCUSD,{comma(row)},9")),
    ),
    "several coins": Layout(
        "table.csv",
        DAY,
        lines(
            "time,BTC:open,BTC:high,BTC:low,BTC:close,BTC:volume,ETH:open",
            lambda row: f"{row.at:%Y-%m-%d},{comma(row)},7",
        ),
    ),
    "60 minutes in seconds": Layout("XBTUSD_60.csv", HOUR, lines(None, lambda row: f"{row.epoch(1)},{comma(row)},12")),
    "stamps at the day's end": Layout(
        "BTC.csv",
        DAY,
        lines(
            "SNo,Name,Symbol,Date,High,Low,Open,Close,Volume,Marketcap",
            lambda row: (
                f"1,Bitcoin,BTC,{row.at:%Y-%m-%d} 23:59:59,{row.high},{row.low},{row.open},{row.close},{row.volume},9"
            ),
        ),
    ),
    "portal with words": Layout("BTC_USD Historical Data.csv", DAY, portal),
    "portal with Adj Close": Layout(
        "BTC-USD.csv",
        DAY,
        lines(
            "Date,Open,High,Low,Close,Adj Close,Volume",
            lambda row: f"{row.at:%Y-%m-%d},{','.join(row.prices)},{row.close},{row.volume}",
        ),
    ),
    "unnamed time": Layout(
        "BTCUSDT.csv",
        HOUR,
        lines(",open,high,low,close,volume", lambda row: f"{row.at:%Y-%m-%d %H:%M:%S},{comma(row)}"),
    ),
    "JSON arrays": Layout("BTC_USDT-1h.json.gz", HOUR, json_arrays),
    "Feather": Layout(
        "BTC_USDT-1h.feather",
        HOUR,
        arrow(feather.write_feather, pa.timestamp("ms", "UTC")),
    ),
    # Relatives of these.
    "Parquet": Layout("BTC_USDT-1h.parquet", HOUR, arrow(parquet.write_table, pa.timestamp("ns"))),
    "JSON objects": Layout("XBT-EUR.json", HOUR, json_objects),
    "zip, nanoseconds": Layout("BTCUSDT-1h-2024-01.zip", HOUR, zipped(dump(10**9))),
    "trading terminal": Layout(
        "BTCUSD.csv",
        HOUR,
        lines(
            "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<VOL>",
            lambda row: f"{row.at:%Y.%m.%d\t%H:%M:%S}\t" + "\t".join(row[1:]),
        ),
    ),
    "UTF-16, days first, decimal commas": Layout(
        "BTC_EUR.csv",
        DAY,
        lambda rows: (
            lines(
                "Datum;Open;High;Low;Close;Volume",
                lambda row: ";".join((f"{row.at:%d.%m.%Y}", *(cell.replace(".", ",") for cell in row[1:]))),
            )(rows)
            .decode()
            .encode("utf-16")
        ),
    ),
    "close before high": Layout(
        "BTCUSDT.csv",
        HOUR,
        lines(None, lambda row: f"{row.epoch(1)},{row.open},{row.close},{row.high},{row.low},{row.volume}"),
    ),
    "mean price before the volume": Layout("XBT_USD.json", HOUR, json_answer),
    "JSON columns": Layout("BTCUSDT.json", HOUR, json_columns),
    "seconds and milliseconds": Layout("Binance_BTCUSDT_1h.csv", HOUR, mixed),
    "low and high first": Layout(
        "BTC-USD.csv",
        HOUR,
        lines(
            None, lambda row: ",".join((row.epoch(1), row.low, row.high, row.open, row.close, row.volume)), end="\r\n"
        ),
    ),
    "three lines of names": Layout(
        "BTC-USD.csv",
        DAY,
        lines(
            "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nDate,,,,,",
            lambda row: ",".join((f"{row.at:%Y-%m-%d}", row.close, row.high, row.low, row.open, row.volume)),
        ),
    ),
    "close times": Layout(
        "BTCUSDT.csv",
        HOUR,
        lines("close_time,open,high,low,close,volume", lambda row: f"{row.at + HOUR:%Y-%m-%d %H:%M:%S},{comma(row)}"),
    ),
    "last milliseconds": Layout(
        "BTCUSDT.csv",
        HOUR,
        lines("time,open,high,low,close,volume", lambda row: f"{int(row.epoch(1000)) + 3_599_999},{comma(row)}"),
    ),
    "offsets": Layout(
        "BTCUSDT.csv",
        HOUR,
        lines(
            "Open Time,Open,High,Low,Close,Volume",
            lambda row: f"{row.at + 2 * HOUR:%Y-%m-%dT%H:%M:%S+02:00},{comma(row)}",
        ),
    ),
    "a zone": Layout(
        "BTCUSDT.csv",
        HOUR,
        lines("Local time,Open,High,Low,Close,Volume", lambda row: f"{row.at + HOUR:%Y-%m-%d %H:%M},{comma(row)}"),
        ("--zone", "Europe/Berlin"),
    ),
}


class Imported(NamedTuple):
    """What an import said, and the files that it wrote."""

    code: int
    answer: Any
    error: str
    files: Mapping[str, str]


def run_import(capsys: Any, folder: Path, files: Mapping[str, bytes | str], *options: str) -> Imported:
    """Import files of these names and contents into folder/history."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    history = folder / "history"
    names = [str(folder / name) for name in files]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.cli.main.parser", PARSER)
        code = main(["history", "import", *names, "-o", str(history), "--json", *options])
    told, error = capsys.readouterr()
    written = {
        path.relative_to(history).as_posix(): path.read_text() for path in sorted(history.rglob("*")) if path.is_file()
    }
    return Imported(code, json.loads(told) if told else None, error, written)
