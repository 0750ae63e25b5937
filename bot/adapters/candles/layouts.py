"""The columns of a candle file: which is the time, which the prices, of which coins.

Where the columns of a file without a header have two readings, neither is taken.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bot.adapters.candles.cells import COMMAS, Cells, Floats
from bot.adapters.candles.coins import QUOTES
from bot.adapters.candles.sheets import CANDLE_CELLS, PRICES, Header, name_of
from bot.adapters.candles.stamps import DAY_ORDERS

# The places of open, high, low and close among the four prices of a file without a header.
ORDERS: Mapping[str, tuple[int, int, int, int]] = {
    "ohlc": (0, 1, 2, 3),
    "ochl": (0, 2, 3, 1),
    "lhoc": (2, 1, 0, 3),
}
LAYOUTS = (*ORDERS, *DAY_ORDERS, *COMMAS)
# An order fits when no more than this share of the candles contradicts it.
MISFITS_MAX = 0.01

# The earlier name is taken where a header has several.
TIME_NAMES = (
    "opentime", "timeopen", "opentimestamp", "timeperiodstart", "candlebegintime", "unix",
    "unixtimestamp", "unixtime", "timestamp", "datetime", "localtime", "gmttime", "time", "t", "ts",
    "date", "begin", "start", "starttime", "snappedat", "day", "",
    "closetime", "timeclose", "endtime", "timeperiodend", "end",
)  # fmt: skip
# Names that say that a stamp is the end of its bar.
END_NAMES = frozenset(TIME_NAMES[-5:])
PRICE_NAMES = (
    ("open", "openprice", "priceopen", "o"),
    ("high", "highprice", "pricehigh", "h"),
    ("low", "lowprice", "pricelow", "l"),
    ("close", "closeprice", "priceclose", "closelast", "last", "price", "c"),
)
VOLUME_NAMES = ("volume", "basevolume", "volumebase", "volumefrom", "volumetraded", "vol", "v")
SYMBOL_NAMES = (
    "symbol", "tokensymbol", "ticker", "pair", "coin", "asset", "market", "instrument", "s",
)  # fmt: skip
OTHER_VOLUMES = frozenset({"to", "quote", "currency", *map(str.lower, QUOTES)})
COIN_COLUMN = re.compile(r"(.+?)[:_./ -]+(open|high|low|close|volume)", re.IGNORECASE)
NO_COINS = frozenset({"BID", "ASK", "MID", "ADJ", "QUOTE", "TAKER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places of a coin's columns; times: a date and a time of day may be two.

    volume, symbol, token: None where there is no such column. after: what may be the volume when
    the one before it is a mean price. coin: empty when no column's name says it. ends: the times
    are the ends of the bars.
    """

    times: tuple[int, ...]
    prices: tuple[int, ...]
    volume: int | None = None
    symbol: int | None = None
    token: int | None = None
    after: int | None = None
    coin: str = ""
    ends: bool = False

    def every(self) -> list[int]:
        """List the places that are read."""
        others = (self.volume, self.symbol, self.token, self.after)
        return [*self.times, *self.prices, *(place for place in others if place is not None)]


def find_places(header: Header, width: int) -> tuple[Places, ...]:
    """Find the columns of each coin; none when prices are missing.

    Of a file without a header the first column is the time, then follow prices and a volume.
    """
    if header is None:
        if width < CANDLE_CELLS:
            return ()
        volume, after, *_ = (*range(CANDLE_CELLS, width), None, None)
        return (Places(times=(0,), prices=(1, 2, 3, 4), volume=volume, after=after),)
    names = [name_of(name) for name in header]
    times = _times(names)
    ends = names[times[0]] in END_NAMES
    prices = [_first(names, several) for several in PRICE_NAMES]
    found = tuple(place for place in prices if place is not None)
    if len(found) == len(PRICES):
        one = Places(times=times, prices=found, volume=_volume(names), ends=ends)
        symbol, token = _first(names, SYMBOL_NAMES), _first(names, ["tokenid"])
        return (replace(one, symbol=symbol, token=token),)
    coins: dict[str, dict[str, int]] = {}
    for place, name in enumerate(header):
        match = COIN_COLUMN.fullmatch(name)
        if match and match[1].upper() not in NO_COINS:
            coins.setdefault(match[1], {})[match[2].lower()] = place
    return tuple(
        Places(
            times=times,
            prices=tuple(several[name] for name in PRICES),
            volume=several.get("volume"),
            coin=coin,
            ends=ends,
        )
        for coin, several in coins.items()
        if several.keys() >= set(PRICES)
    )


def _first(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _times(names: Sequence[str]) -> tuple[int, ...]:
    """Find the column of the time; else the first column, whatever its name."""
    place = _first(names, TIME_NAMES)
    if place is not None and names[place] == "time" and "date" in names:
        return names.index("date"), place
    return (place or 0,)


def _volume(names: Sequence[str]) -> int | None:
    """Find the column of the volume in units of the coin."""
    place = _first(names, VOLUME_NAMES)
    if place is not None:
        return place
    for place, name in enumerate(names):
        coin = name.removeprefix("volume")
        if coin != name and coin.isalpha() and coin not in OTHER_VOLUMES:
            return place
    return None


def list_ignored(header: Header, places: Sequence[Places]) -> tuple[str, ...]:
    """Name the columns that are not read."""
    read = {place for one in places for place in one.every()}
    named = enumerate(header or ())
    return tuple(name or f"column {at + 1}" for at, name in named if at not in read)


def time_cells(cells: Mapping[int, Cells], places: Places) -> Cells:
    """Choose the cells of the time; joins a date and a time of day in two columns."""
    if len(places.times) == 1:
        return cells[places.times[0]]
    dates, clocks = (cells[place] for place in places.times)
    if not len(dates) or b":" in dates[0]:
        return dates
    if b":" in clocks[0] and len(clocks[0]) <= len("12:00:00 PM"):
        return np.asarray(np.strings.add(np.strings.add(dates, b" "), clocks), np.bytes_)
    return clocks


def doubt_time(header: Header, places: Places) -> str:
    """Say that the first column was taken for the time because no name is known; else nothing."""
    name = header[places.times[0]] if header else ""
    return "" if header is None or name_of(name) in TIME_NAMES else f"time in column {name!r}"


def contradict(prices: Sequence[Floats]) -> Floats:
    """Mark with 1 the candles whose high or low is not the extreme of their prices."""
    opened, high, low, close = prices
    wrong = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close)) | (high < low)
    return wrong.astype(np.float64)


def choose_order(prices: Sequence[Floats], layouts: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Choose the order of four prices without names; else the names of the orders in question.

    An order fits when its highs and lows are extremes; an exact tie decides nothing.
    """
    if chosen := [name for name in ORDERS if name in layouts]:
        return chosen[0], ()
    rows = np.stack(prices)
    rows = rows[:, np.isfinite(rows).all(axis=0)]
    misfits = {
        name: float(contradict(list(rows[list(order)])).mean()) if rows.size else 0
        for name, order in ORDERS.items()
    }
    fits = tuple(name for name, share in misfits.items() if share <= MISFITS_MAX)
    return (fits[0], ()) if len(fits) == 1 else ("", fits or tuple(ORDERS))
