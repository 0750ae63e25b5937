"""`bot history import`: makes a history folder of candle files; says what each was taken for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.adapters.candles.coins import DOLLARS, coin_of
from bot.adapters.candles.joining import CandleSeries, coarsen_all, join, write_bars
from bot.adapters.candles.recognising import CandleFile, Choices, name_span, recognise, tell_drops
from bot.adapters.history.reader import readable
from bot.adapters.history.writing import find_other, put_folder, write_table
from bot.app.telling.answers import Answer, Column, Row, Table, without_empty
from bot.app.telling.progress import tell_progress
from bot.domain.errors import ConfigError, UsageError
from bot.domain.instants import EPOCH, MICROSECOND

FILE_COLUMNS = (
    Column("file"), Column("symbol"), Column("layout", rank=1), Column("timeframe"),
    Column("time", rank=1), Column("rows"), Column("dropped"), Column("first", rank=2),
    Column("last", rank=2), Column("ignored", rank=3),
)  # fmt: skip
SYMBOLS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What to import, to where, and what the user chose where files have two readings."""

    files: Sequence[Path]
    folder: Path
    layouts: Sequence[str] = ()
    symbol: str | None = None
    timeframe: str | None = None
    zone: str | None = None


def import_candles(request: ImportRequest) -> Answer:
    """Read candle files, write a history folder, and answer with what each file was taken for.

    Raises ConfigError for a missing file or another folder in the way, BadInputError for a file
    without candles or with two readings.
    """
    choices = Choices(
        layouts=frozenset(request.layouts),
        symbol=_symbol(request.symbol),
        zone=_zone(request.zone),
        timeframe=request.timeframe,
    )
    files = []
    for done, path in enumerate(request.files):
        tell_progress("reading candles, files", done, len(request.files))
        with readable(path):
            files.append(recognise(path, choices))
    tell_progress("reading candles, files", len(files), len(files))
    joined, dropped = join(files, one_coin=bool(choices.symbol))
    series = coarsen_all(joined, choices.timeframe)
    symbols = sorted({symbol for _, symbol in series})
    ids = {symbol: number for number, symbol in enumerate(symbols, start=1)}
    instruments = ((str(number), symbol, symbol) for symbol, number in ids.items())
    contents: dict[str, Iterable[bytes]] = {
        "instruments.csv": [write_table("token_id,symbol,name", instruments)]
    }
    for (timeframe, symbol), one in series.items():
        contents[f"bars/{timeframe}/{symbol}.csv"] = write_bars(one)
    written = _write_history(request.folder, contents)
    told = [_file_row(file, more) for file, more in zip(files, dropped, strict=True)]
    bars = [_series_row(key[0], ids[key[1]], one) for key, one in series.items()]
    state = "written" if written else "there already, with the same files: nothing changed"
    return Answer(
        payload={"folder": str(request.folder), "written": written, "files": told, "series": bars},
        parts=without_empty(
            Table(rows=[_shorten(row) for row in told], columns=FILE_COLUMNS),
            "",
            Table(rows=bars),
            f"\n{request.folder}: {state}. A replay also needs signals.csv there: yours, or from"
            " `bot history derive --signals ema`.",
        ),
        notes=(
            *filter(None, map(_tell_drops, files, told)),
            *_tell_holes(bars),
            *tell_mixed_timeframes((key[1], key[0]) for key in series),
            *_tell_mixed_currencies(files),
        ),
    )


def _tell_drops(file: CandleFile, row: Row) -> str:
    dropped = {reason: (one["count"], one["line"] or 0) for reason, one in row["dropped"].items()}
    of_all = f"of {file.rows} rows" if file.rows else "of its rows"
    return f"look: {row['file']}: {tell_drops(dropped)}, {of_all}, dropped" if dropped else ""


def _tell_holes(bars: Iterable[Row]) -> Iterator[str]:
    for one in bars:
        if one["holes"]:
            lacks = f"{one['missing']} bars missing in {one['holes']} holes"
            yield f"look: {one['symbol']} {one['timeframe']}: {lacks}"


def tell_mixed_timeframes(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line where no timeframe is had by all symbols; found: symbols with timeframes."""
    had: dict[str, set[str]] = {}
    for symbol, timeframe in found:
        had.setdefault(symbol, set()).add(timeframe)
    if had and not set.intersection(*had.values()):
        named = ", ".join(f"{symbol} {'/'.join(sorted(had[symbol]))}" for symbol in sorted(had))
        mend = "`bot history import --timeframe 1d` into a new folder makes one"
        lacks = f"no timeframe is there for all ({named}), and a replay of all needs one"
        yield f"look: {lacks}: {mend}"


def _tell_mixed_currencies(files: Iterable[CandleFile]) -> Iterator[str]:
    """Yield a line where prices are in several currencies; those that follow the dollar are one."""
    found: dict[str, set[str]] = {}
    for coin in (one.coin for file in files for one in file.sets):
        quote = "USD" if coin.quote in DOLLARS - {"EUR", "GBP"} else coin.quote
        if quote:
            found.setdefault(quote, set()).add(coin.symbol)
    if len(found) > 1:
        coins = {quote: ", ".join(sorted(symbols)) for quote, symbols in sorted(found.items())}
        named = "; ".join(f"{symbols} in {quote}" for quote, symbols in coins.items())
        yield f"look: prices in several currencies ({named}), which one account would add up as one"


def _write_history(folder: Path, files: Mapping[str, Iterable[bytes]]) -> bool:
    """Write a history folder; False when one is there already that holds these very files."""
    with readable(folder):
        exists = folder.is_dir() and any(folder.iterdir())
    if not exists:
        put_folder(folder, files)
    elif name := find_other(folder, files):
        fault = "is another" if (folder / name).exists() else "is not in it"
        raise ConfigError(
            f"{folder}: is there already, and {name} {fault}: name a new folder, or remove this one"
        )
    return not exists


def _symbol(text: str | None) -> str:
    if text is None:
        return ""
    if not coin_of(text).symbol:
        raise UsageError(f"--symbol {text!r} is no symbol: write it like BTC")
    return text


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"--zone {name!r} is no time zone: write it like Europe/Berlin") from error


def _file_row(file: CandleFile, more: dict[str, tuple[int, int]]) -> dict[str, Any]:
    dropped = {
        reason: {"count": count, "line": line or None}
        for reason, (count, line) in {**file.dropped, **more}.items()
    }
    first = min(int(one.at.min()) for one in file.sets)
    last = max(int(one.at.max()) for one in file.sets)
    return {
        "file": str(file.path),
        "symbols": sorted({one.coin.symbol for one in file.sets}),
        "layout": file.layout,
        "timeframe": name_span(file.span),
        "time": file.time,
        "rows": file.rows,
        "dropped": dropped,
        "first": _instant(first),
        "last": _instant(last),
        "ignored": list(file.ignored),
    }


def _shorten(row: dict[str, Any]) -> Row:
    """Shorten a row for people."""
    symbols = row["symbols"]
    more = f" and {len(symbols) - SYMBOLS_SHOWN} more" if len(symbols) > SYMBOLS_SHOWN else ""
    dropped = {reason: (one["count"], one["line"] or 0) for reason, one in row["dropped"].items()}
    return {
        **row,
        "file": Path(row["file"]).name,
        "symbol": ", ".join(symbols[:SYMBOLS_SHOWN]) + more,
        "dropped": tell_drops(dropped) or "none",
        "ignored": ", ".join(row["ignored"]) or None,
    }


def _series_row(timeframe: str, token_id: int, series: CandleSeries) -> Row:
    holes, missing = series.holes()
    return {
        "token_id": token_id,
        "symbol": series.symbol,
        "timeframe": timeframe,
        "bars": len(series.at),
        "first": _instant(int(series.at[0])),
        "last": _instant(int(series.at[-1])),
        "holes": holes,
        "missing": missing,
        "cut": series.cut,
        "incomplete": series.incomplete,
    }


def _instant(at: int) -> datetime:
    return EPOCH + at * MICROSECOND
