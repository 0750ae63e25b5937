"""A history folder as an archive and a source: what replay reads where the daemon reads the network.

Nothing is answered before it was known: bars from their close on, rows from their instant on, both inclusive.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from bot.adapters.history.columns import SPANS, Columns, read_columns
from bot.adapters.history.dated import (
    Dated,
    LevelSets,
    read_episodes,
    read_grades,
    read_levels,
    read_market,
    read_quantmetrics,
)
from bot.adapters.history.finer import COARSE, bars_filling, read_finer
from bot.adapters.history.instruments import Universe, read_instruments, resolve
from bot.adapters.history.reader import EPOCH, MICROSECOND, SourceFile, find_file, load, micros
from bot.domain.errors import ConfigError
from bot.domain.ids import TokenId, canonical
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.numbers import Price, from_float
from bot.domain.reach import EVERY_BAR, NO_BAR, Reach
from bot.domain.signals import Episode

DAYS_MAX = 600  # what the measures of days look back on; the live archive keeps as many
REFUSED_NAMED = 20

FILES = {"signals", "levels", "quantmetrics", "grades", "market", "finer"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The dated rows of a folder, by token."""

    episodes: Mapping[TokenId, Dated[Episode]]
    levels: Mapping[TokenId, LevelSets]
    quantmetrics: Mapping[TokenId, Dated[QuantMetrics]]
    grades: Mapping[TokenId, Dated[Grades]]
    market: Mapping[TokenId, Dated[MarketSize]]


class HistoryArchive:
    """An archive of columns and dated rows; columns are public for those who scan them."""

    def __init__(
        self,
        instruments: Mapping[TokenId, Instrument],
        columns: Mapping[TokenId, Columns],
        records: Records,
        finer: Mapping[TokenId, tuple[Columns, ...]],
    ) -> None:
        """Answer from these."""
        self.instruments = instruments
        self.columns = columns
        self.records = records
        self._finer = finer
        self._days: dict[TokenId, tuple[Columns, tuple[Bar, ...]]] = {}

    def episode(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Return the episode that stands."""
        series = self.records.episodes.get(token_id)
        return series.newest(min(as_of, cut_off)) if series else None

    def turns(self, token_id: TokenId) -> list[datetime]:
        """Return the instants from which another episode stands."""
        series = self.records.episodes.get(token_id)
        if series is None:
            return []
        ids = [episode.signal_id for episode in series.values]
        return [
            at
            for at, signal_id, before in zip(series.instants, ids, [None, *ids[:-1]], strict=True)
            if signal_id != before
        ]

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the close of the last bar, known since its closing."""
        columns = self.columns[token_id]
        last = columns.closed_by(micros(min(as_of, cut_off))) - 1
        if last < 0:
            return None
        price = Price(from_float(float(columns.prices[3, last])))
        return Quote(token_id=token_id, price=price, known_at=columns.closed_at(last))

    def close(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the close of the last bar: a history has no quotes beside."""
        return self.price(token_id, as_of, cut_off)

    def moved_at(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> datetime | None:
        """Return the closing of the last bar that holds another price than the last close."""
        columns = self.columns[token_id]
        last = columns.last_move(columns.closed_by(micros(min(as_of, cut_off))))
        return None if last is None else columns.closed_at(last)

    def levels(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> LevelSet | None:
        """Return the newest set of levels."""
        series = self.records.levels.get(token_id)
        return series.newest(min(as_of, cut_off)) if series else None

    def quantmetrics(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> QuantMetrics | None:
        """Return the newest measures."""
        return _newest(self.records.quantmetrics, token_id, min(as_of, cut_off))

    def grades(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Grades | None:
        """Return the newest grades."""
        return _newest(self.records.grades, token_id, min(as_of, cut_off))

    def market(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> MarketSize | None:
        """Return the newest market size."""
        return _newest(self.records.market, token_id, min(as_of, cut_off))

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """Return the last whole UTC days ended by as_of, at most 600, oldest first."""
        if token_id not in self._days:
            columns = self.columns[token_id].days()
            self._days[token_id] = (columns, columns.bars(0, len(columns.opened_at)))
        columns, bars = self._days[token_id]
        end = columns.closed_by(micros(min(as_of, cut_off)))
        return bars[max(0, end - DAYS_MAX) : end]

    def prints(
        self,
        token_id: TokenId,
        seen: tuple[datetime, datetime] | None,
        as_of: datetime,
        cut_off: datetime,
        reach: Reach = EVERY_BAR,
    ) -> tuple[Bar, ...]:
        """Return the bars closed by now and not yet at seen = (as_of, cut_off), in order of opening.

        Those before the first that comes within reach are told as one.
        """
        columns = self.columns[token_id]
        start = columns.closed_by(micros(min(seen))) if seen else 0
        end = columns.closed_by(micros(min(as_of, cut_off)))
        if start >= end:
            return ()
        clear = start if reach is EVERY_BAR else end if reach is NO_BAR else columns.first_reached(start, end, reach)
        whole = (columns.stretch(start, clear),) if clear > start else ()
        return (*whole, *columns.bars(clear, end)) if clear < end else whole

    def finer(self, token_id: TokenId, bar: Bar, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """Return the bars of the finest timeframe that fill a bar without a hole."""
        return bars_filling(bar, self._finer.get(token_id, ()), micros(min(as_of, cut_off)))


def _newest(series: Mapping[TokenId, Dated[T]], token_id: TokenId, at: datetime) -> T | None:
    found = series.get(token_id)
    return found.newest(at) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """An opened folder.

    digest: of the contents of all files read; bars: how many are used; refused: the first dropped candles, by file and
    line; closes: the bars' distinct closing instants, ascending; files: the dated files that are there;
    finer among them: bars below the timeframe, where they were asked for.
    """

    folder: Path
    archive: HistoryArchive
    timeframe: str
    universe: tuple[TokenId, ...]
    digest: str
    bars: int
    rows_refused: int
    refused: tuple[str, ...]
    closes: tuple[datetime, ...]
    files: frozenset[str]

    @property
    def instruments(self) -> Mapping[TokenId, Instrument]:
        """The instruments of the universe, by id."""
        return self.archive.instruments

    @property
    def graded(self) -> bool:
        """Tell whether the signals carry grades."""
        episodes = (value for series in self.archive.records.episodes.values() for value in series.values)
        return any(episode.latest.grade is not None for episode in episodes)

    def has(self, file: str) -> bool:
        """Tell whether the folder has one of FILES."""
        return file in self.files


class HistorySource:
    """The source of a replay: everything is there already, so a slot's fetch ends at the slot."""

    def __init__(self, history: History) -> None:
        """Read from an opened folder."""
        self._archive = history.archive

    @property
    def archive(self) -> HistoryArchive:
        """What the folder holds."""
        return self._archive

    def refresh(self, slot: datetime) -> datetime:
        """Return the slot: nothing is fetched."""
        return slot

    def quotes(self, _tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Return nothing: a history has no second asking."""
        return ()


def open_history(folder: Path, *, timeframe: str | None, universe: Universe, finer: bool = False) -> History:
    """Open a history folder for a universe (symbols or token_ids, or "*"); timeframe None: the finest that all have.

    finer: read the bars below it too; None is then 1h where all have it, else 1d. Raises ConfigError for a missing file
    or an unknown symbol, BadInputError for rows that cannot be used.
    """
    if not folder.is_dir():
        message = f"{folder}: no such history folder"
        raise ConfigError(message)
    listing = load(_required(folder, "instruments"))
    known = read_instruments(listing)
    tokens = resolve(listing, known, universe)
    instruments = {token_id: known[token_id] for token_id in tokens}
    names = (timeframe,) if timeframe else COARSE if finer else tuple(SPANS)
    chosen, paths = _bar_files(folder, instruments, names)
    used = {"instruments": listing}
    records = _read_records(folder, used)
    columns: dict[TokenId, Columns] = {}
    refused: list[str] = []
    for token_id, path in paths.items():
        file = load(path)
        used[f"bars/{chosen}/{path.name}"] = file
        columns[token_id] = read_columns(file, chosen)
        refused.extend(f"{path} {reason}" for reason in columns[token_id].refused)
    inner, dropped = read_finer(folder, instruments, chosen, used) if finer else ({}, [])
    refused.extend(dropped)
    digests = sorted([name, file.digest] for name, file in used.items())
    return History(
        folder=folder,
        archive=HistoryArchive(instruments, columns, records, inner),
        timeframe=chosen,
        universe=tokens,
        digest=hashlib.sha256(canonical(digests).encode()).hexdigest(),
        bars=sum(len(column.opened_at) for column in columns.values()),
        rows_refused=len(refused),
        refused=tuple(refused[:REFUSED_NAMED]),
        closes=_closes(list(columns.values())),
        files=frozenset({*used, *(("finer",) if inner else ())}) & FILES,
    )


def _required(folder: Path, name: str) -> Path:
    path = find_file(folder, name)
    if path is None:
        message = f"{folder / name}.csv: no such file; every history folder needs it"
        raise ConfigError(message)
    return path


def _read_records(folder: Path, used: dict[str, SourceFile]) -> Records:
    """Read the dated files that are there, and note them as used; signals alone must be."""

    def read(name: str, reader: Callable[[SourceFile], dict[TokenId, T]]) -> dict[TokenId, T]:
        path = _required(folder, name) if name == "signals" else find_file(folder, name)
        if path is None:
            return {}
        used[name] = load(path)
        return reader(used[name])

    return Records(
        episodes=read("signals", read_episodes),
        levels=read("levels", read_levels),
        quantmetrics=read("quantmetrics", read_quantmetrics),
        grades=read("grades", read_grades),
        market=read("market", read_market),
    )


def _bar_files(
    folder: Path, instruments: Mapping[TokenId, Instrument], timeframes: Sequence[str]
) -> tuple[str, dict[TokenId, Path]]:
    """Find the bars of every instrument in the first of these timeframes that all have."""
    lacking = ""
    for name in timeframes:
        found = {token_id: find_file(folder / "bars" / name, one.symbol) for token_id, one in instruments.items()}
        paths = {token_id: path for token_id, path in found.items() if path is not None}
        if len(paths) == len(found):
            return name, paths
        if paths or len(timeframes) == 1:
            first = next(instruments[token_id].symbol for token_id, path in found.items() if path is None)
            lacking = f"{folder / 'bars' / name / first}.csv"
    if not lacking:
        symbol = next(iter(instruments.values())).symbol
        lacking = f"{folder / 'bars' / '1h' / symbol}.csv"
    message = f"{lacking}: no such file; every token of the universe needs its bars in one timeframe"
    raise ConfigError(message)


def _closes(columns: Sequence[Columns]) -> tuple[datetime, ...]:
    closes = np.unique(np.concatenate([column.opened_at + column.span for column in columns]))
    return tuple(EPOCH + at * MICROSECOND for at in closes.tolist())
