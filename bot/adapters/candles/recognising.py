"""A candle file read whole: what it was taken for, its candles by coin, and the rows dropped.

Each dropped row has one named reason; a file with two readings is refused with both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bot.adapters.candles import layouts as columns
from bot.adapters.candles.cells import (
    COMMAS,
    LARGEST,
    SMALLEST,
    Cells,
    Mask,
    Numbers,
    comma_reading,
    decode,
    distinct,
    read_numbers,
    with_points,
    without_commas,
)
from bot.adapters.candles.coins import Coin, coin_of, coin_of_file
from bot.adapters.candles.layouts import Places
from bot.adapters.candles.sheets import Header, Sheet, read_sheet
from bot.adapters.candles.stamps import SECOND, Instants, Stamps, read_stamps
from bot.domain.errors import BadInputError
from bot.domain.instants import MICROSECONDS_A_DAY, MICROSECONDS_AN_HOUR

MINUTE = MICROSECONDS_AN_HOUR // 60
# The timeframes of a replay, in microseconds.
TIMEFRAMES = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": MICROSECONDS_AN_HOUR, "1d": MICROSECONDS_A_DAY}
# Of stamps off the grid a few are errors of the file, and more a misreading of ours.
OFF_GRID_MAX = 0.01

# For each reason the number of rows, and the line of the first.
Drops = dict[str, tuple[int, int]]
Columns = Mapping[int, Cells]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user chose; zone: of times that name none."""

    layouts: frozenset[str] = frozenset()
    symbol: str = ""
    zone: ZoneInfo | None = None
    timeframe: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleSet:
    """The candles of one coin in a file, in the file's order.

    at: opens in microseconds since 1970. texts: the canonical digits of open, high, low, close and
    volume, which is empty when unknown. lines: where each stands.
    """

    coin: Coin
    at: Instants
    texts: tuple[Cells, ...]
    lines: Instants


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleFile:
    """What a file was taken for.

    span: microseconds from open to close. rows: candles before any was dropped. dropped: for each
    reason how many, and the line of the first.
    """

    path: Path
    layout: str
    time: str
    span: int
    ignored: tuple[str, ...]
    rows: int
    dropped: Drops
    sets: tuple[CandleSet, ...]


def recognise(path: Path, choices: Choices) -> CandleFile:
    """Read a candle file.

    Raises ConfigError for a missing file or extra, BadInputError for a file that has no candles or
    two readings.
    """
    sheet = read_sheet(path, partial(_pick, path))
    places = columns.find_places(sheet.header, sheet.width)
    stamps = _read_times(path, sheet, places[0], choices)
    found = {place for one in places for place in (*one.prices, one.volume)}
    numbers = {place: cells for place, cells in sheet.cells.items() if place in found}
    rewritten, comma = _read_commas(path, numbers, choices)
    cells = {**sheet.cells, **rewritten}
    at, span, ends = _open_times(path, stamps, choices)
    sets: list[CandleSet] = []
    dropped: Drops = {}
    rows = sheet.ragged
    for one in places:
        prices, volumes, decided = _read_figures(path, sheet, cells, one, choices)
        coins, owners = _coins(path, sheet, one, choices)
        faults = _judge(stamps, at, span, prices, volumes)
        faults["no symbol of one token"] = owners < 0
        good = _count(faults, sheet.lines, dropped)
        rows += len(good)
        texts = (*(number.texts for number in prices), volumes.texts)
        for place, coin in enumerate(coins):
            kept = np.flatnonzero(good & (owners == place))
            if len(kept):
                of_coin = tuple(text[kept] for text in texts)
                lines = sheet.lines[kept]
                sets.append(CandleSet(coin=coin, at=at[kept], texts=of_coin, lines=lines))
    dropped = {reason: dropped[reason] for reason in faults if reason in dropped}
    if sheet.ragged:
        dropped["another number of columns"] = (sheet.ragged, 0)
    if not sets:
        raise BadInputError(f"{path}: no candle can be used: {tell_drops(dropped)}")
    remarks = (*decided, comma, ends, columns.doubt_time(sheet.header, places[0]))
    return CandleFile(
        path=path,
        layout=_describe(sheet, stamps, remarks),
        time=stamps.label,
        span=span,
        ignored=columns.list_ignored(sheet.header, places),
        rows=rows,
        dropped=dropped,
        sets=_select(path, sets, choices),
    )


def _read_figures(
    path: Path, sheet: Sheet, cells: Columns, places: Places, choices: Choices
) -> tuple[list[Numbers], Numbers, tuple[str, str]]:
    """Read the prices in their order, the volumes, and what was decided about the columns."""
    prices = [read_numbers(cells[place]) for place in places.prices]
    order = ""
    if sheet.header is None:
        order, doubtful = columns.choose_order([one.values for one in prices], choices.layouts)
        if not order:
            doubt = "no header, and open, high, low and close may be in the order"
            raise _two_readings(path, f"{doubt} {' or '.join(doubtful)}", doubtful)
        prices = [prices[place] for place in columns.ORDERS[order]]
    volumes, mean = _volumes(cells, places, prices)
    return prices, volumes, (order, mean)


def _pick(path: Path, header: Header, width: int) -> list[int]:
    """Choose the columns that are read."""
    found = columns.find_places(header, width)
    if not found:
        names = ", ".join(header[:8]) if header else f"{width} columns"
        fault = f"no columns open, high, low, close; it has {names}"
        raise BadInputError(f"{path}: {fault}: rename its columns")
    return sorted({place for one in found for place in one.every()})


def _read_times(path: Path, sheet: Sheet, places: Places, choices: Choices) -> Stamps:
    cells = columns.time_cells(sheet.cells, places)
    stamps = read_stamps(cells, choices.layouts, choices.zone)
    if places.ends:  # the last second of a bar is in it, its end is not
        stamps = replace(stamps, at=stamps.at - SECOND)
    if stamps.choice:
        doubt = f"times like {decode(bytes(cells[0]))} begin with the day or the month"
        raise _two_readings(path, doubt, stamps.choice)
    return stamps


def _describe(sheet: Sheet, stamps: Stamps, remarks: Sequence[str]) -> str:
    """Say what a file was taken for."""
    steps = np.diff(stamps.at[stamps.readable])
    turned = "newest first" if (steps < 0).sum() > (steps > 0).sum() else ""
    skipped = f"{sheet.skipped} line{'s' * (sheet.skipped > 1)} before the candles"
    above = skipped if sheet.skipped else ""
    labels = (sheet.kind, "header" if sheet.header else "no header", *remarks, turned, above)
    return ", ".join(label for label in labels if label)


def _select(path: Path, sets: Sequence[CandleSet], choices: Choices) -> tuple[CandleSet, ...]:
    """Keep the coin that the user chose."""
    if not choices.symbol:
        return tuple(sets)
    wanted = coin_of(choices.symbol).symbol
    if found := tuple(one for one in sets if one.coin.symbol == wanted):
        return found
    names = ", ".join(sorted({one.coin.symbol for one in sets})[:8])
    raise BadInputError(f"{path}: has no {wanted}: it has {names}")


def tell_drops(dropped: Drops) -> str:
    """Write the reasons and their counts, with the line of each first one."""
    parts = (
        f"{count} {reason} (line {line})" if line else f"{count} {reason}"
        for reason, (count, line) in dropped.items()
    )
    return ", ".join(parts)


def name_span(span: int) -> str:
    """Name a length of time as timeframes are named: 15m, 4h, 1d."""
    for unit, length in (("d", MICROSECONDS_A_DAY), ("h", MICROSECONDS_AN_HOUR), ("m", MINUTE)):
        if span % length == 0:
            return f"{span // length}{unit}"
    return f"{span // 10**6}s"


def _two_readings(path: Path, doubt: str, names: Sequence[str]) -> BadInputError:
    return BadInputError(f"{path}: {doubt}: choose with --layout {' or --layout '.join(names)}")


def _read_commas(path: Path, numbers: Columns, choices: Choices) -> tuple[Columns, str]:
    """Rewrite numbers that have commas; also names what commas are."""
    reading = comma_reading([numbers[place] for place in sorted(numbers)])
    if reading is None:
        return numbers, ""
    chosen = next((name for name in COMMAS if name in choices.layouts), reading[0])
    if not chosen:
        doubt = f"the comma of {reading[1]} separates thousands or decimals"
        raise _two_readings(path, doubt, COMMAS)
    if chosen != reading[0] and chosen == COMMAS[0]:
        return numbers, chosen  # not every number fits, so each is judged for itself
    rewrite = without_commas if chosen == COMMAS[0] else with_points
    return {place: rewrite(cells) for place, cells in numbers.items()}, chosen


def _volumes(cells: Columns, places: Places, prices: Sequence[Numbers]) -> tuple[Numbers, str]:
    """Read the volumes; a column between low and high holds mean prices, and the next is taken."""
    if places.volume is None:
        return read_numbers(np.zeros(len(prices[0].values), "S1")), ""
    volumes = read_numbers(cells[places.volume])
    _, high, low, _ = (one.values for one in prices)
    traded = volumes.values > 0
    inside = (low <= volumes.values) & (volumes.values <= high)
    if places.after is None or not traded.any() or inside[traded].mean() < 1 - OFF_GRID_MAX:
        return volumes, ""
    label = f"column {places.volume + 1} a mean price, volume in column {places.after + 1}"
    return read_numbers(cells[places.after]), label


def _open_times(path: Path, stamps: Stamps, choices: Choices) -> tuple[Instants, int, str]:
    """Find the opens, the timeframe, and whether the stamps are at the end of their bars.

    Raises BadInputError for a timeframe that the target cannot be made of, and for stamps that are
    no opens.
    """
    at = stamps.at[stamps.readable]
    if not len(at):
        raise BadInputError(f"{path}: no time can be read: write them like 2024-01-31T12:00:00Z")
    span = _span_of(path, at, choices)
    _check_target(path, span, choices)
    offsets = stamps.at % span
    late = offsets >= span - min(MINUTE, span // 60)
    ends = bool(late[stamps.readable].mean() >= 1 - OFF_GRID_MAX)
    opens = np.where(late, stamps.at - offsets, stamps.at) if ends else stamps.at
    off = opens[stamps.readable] % span != 0
    if off.mean() > OFF_GRID_MAX:
        first = np.datetime64(int(at[off.argmax()]), "us").astype("datetime64[s]")
        fault = f"{first}Z is not the open of a {name_span(span)} candle in UTC"
        raise BadInputError(f"{path}: {fault}: give the times' zone with --zone")
    return opens, span, "stamps at the bar's end" if ends else ""


def _span_of(path: Path, at: Instants, choices: Choices) -> int:
    """Find the most frequent distance of neighbouring times."""
    steps = np.diff(np.sort(at))
    steps = steps[steps > 0]
    if not len(steps):
        if choices.timeframe:
            return TIMEFRAMES[choices.timeframe]
        fault = "of one time no timeframe can be told"
        raise BadInputError(f"{path}: {fault}: give it with --timeframe")
    several, counts = np.unique(steps, return_counts=True)
    return int(several[counts.argmax()])


def _check_target(path: Path, span: int, choices: Choices) -> None:
    target = choices.timeframe
    possible = [name for name, length in TIMEFRAMES.items() if length % span == 0]
    if target in possible or (target is None and span in TIMEFRAMES.values()):
        return
    mend = f"--timeframe {' or --timeframe '.join(possible)}" if possible else "bring finer candles"
    wanted = f"no {target} candles are made of these" if target else "a replay reads others"
    fault = f"{name_span(span)} candles; {wanted} ({', '.join(TIMEFRAMES)})"
    raise BadInputError(f"{path}: {fault}: {mend}")


def _judge(
    stamps: Stamps, at: Instants, span: int, prices: Sequence[Numbers], volumes: Numbers
) -> dict[str, Mask]:
    """Mark the rows that are dropped for each reason."""
    values = np.stack([one.values for one in prices])
    unreadable = np.any([one.unreadable for one in (*prices, volumes)], axis=0)
    with np.errstate(invalid="ignore"):
        return {
            "unreadable time": ~stamps.readable,
            "unreadable number": unreadable,
            "NaN": np.isnan(values).any(axis=0),
            "negative": (values < 0).any(axis=0) | (volumes.values < 0),
            "zero": (values == 0).any(axis=0),
            "out of range": ((values < SMALLEST) | (values >= LARGEST)).any(axis=0),
            "contradictory": columns.contradict(list(values)) > 0,
            "off the grid": at % span != 0,
        }


def _coins(
    path: Path, sheet: Sheet, places: Places, choices: Choices
) -> tuple[list[Coin], npt.NDArray[np.int64]]:
    """List the coins of a part, and the place of each row's coin in the list; -1 for none."""
    if places.symbol is not None:
        several, _, rows = distinct(sheet.cells[places.symbol])
        coins = [coin_of(decode(cell)) for cell in several.tolist()]
        fine = np.array([at if coin.symbol else -1 for at, coin in enumerate(coins)])
        if places.token is not None:  # whose prices are those of a symbol of several tokens?
            tokens = distinct(sheet.cells[places.token])[2]
            pairs = np.unique(np.stack([rows, tokens]), axis=1)
            fine[np.bincount(pairs[0]) > 1] = -1
        return coins, fine[rows]
    named = coin_of(places.coin) if places.coin else None
    coin = named or (coin_of(choices.symbol) if choices.symbol else coin_of_file(path))
    if coin is None or not coin.symbol:
        fault = "neither its columns nor its name say which coin it is"
        raise BadInputError(f"{path}: {fault}: give --symbol")
    return [coin], np.zeros(len(sheet.lines), np.int64)


def _count(faults: Mapping[str, Mask], lines: Instants, dropped: Drops) -> Mask:
    """Count each faulty row under its first reason, with the first line; give the good rows."""
    good = np.ones(len(lines), np.bool_)
    for reason, faulty in faults.items():
        rows = np.flatnonzero(good & faulty)
        if len(rows):
            line = int(lines[rows[0]])
            count, first = dropped.get(reason, (0, line))
            dropped[reason] = (count + len(rows), min(first, line))
            good &= ~faulty
    return good
