"""A history folder as an archive and a source: what replay reads where the daemon reads the network.

Nothing is answered before it was known: bars from their close on, rows from their instant on, both inclusive.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path

import numpy as np

from bot.adapters.history.bar_columns import SPANS, Columns, Integers, closes_of
from bot.adapters.history.bars import Bars
from bot.adapters.history.blocks import DatedRows
from bot.adapters.history.dated import GRADE, GRADES, LEVELS, MARKET, QUANTMETRICS, SIGNALS
from bot.adapters.history.ends import ends_of
from bot.adapters.history.files import Strangers, bar_files, dated_parts, listing_of, read_bars, strangers_in
from bot.adapters.history.finer import COARSE, bars_filling, read_finer
from bot.adapters.history.instruments import Universe, read_instruments, resolve
from bot.adapters.history.pack import ParsedFile, Tell, place_of, silent
from bot.adapters.history.reader import micros
from bot.domain.ids import TokenId, canonical
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Grades, LevelSet, MarketSize, QuantMetrics, Quote
from bot.domain.numbers import Price, from_float
from bot.domain.reach import EVERY_BAR, Reach
from bot.domain.signals import Episode

DAYS_MAX = 600  # what the measures of days look back on; the live archive keeps as many
REFUSED_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The dated rows of a folder, by token."""

    episodes: DatedRows[Episode]
    levels: DatedRows[LevelSet]
    quantmetrics: DatedRows[QuantMetrics]
    grades: DatedRows[Grades]
    market: DatedRows[MarketSize]


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
        self.inner = finer
        self._days: dict[TokenId, Bars] = {}

    def episode(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Return the episode that stands."""
        return self.records.episodes.newest(token_id, min(as_of, cut_off))

    def turns(self, token_id: TokenId) -> Integers:
        """Return the instants from which another episode stands, in microseconds, ascending."""
        known = self.records.episodes.of(token_id)
        return known.series.at[known.series.turns] if known else np.empty(0, np.int64)

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the close of the last bar, known since its closing."""
        return self._close(token_id, self.columns[token_id].count_closed(micros(min(as_of, cut_off))) - 1)

    def active_price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the close of the last bar that is not quiet, known since its closing."""
        columns = self.columns[token_id]
        return self._close(token_id, columns.last_active_row(columns.count_closed(micros(min(as_of, cut_off)))))

    def _close(self, token_id: TokenId, row: int) -> Quote | None:
        """Return the close of a row; None before the first."""
        if row < 0:
            return None
        columns = self.columns[token_id]
        price = Price(from_float(columns.prices.item(3, row)))
        return Quote(token_id=token_id, price=price, known_at=columns.closed_at(row))

    def last_prices(self, tokens: Iterable[TokenId], as_of: datetime, cut_off: datetime) -> dict[TokenId, float | None]:
        """Return the last closes of many tokens, for statistics, as the columns have them."""
        at = micros(min(as_of, cut_off))
        counts = ((token_id, self.columns[token_id]) for token_id in tokens)
        return {token_id: columns.close_before(columns.count_closed(at)) for token_id, columns in counts}

    def close(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Return the close of the last bar: a history has no quotes beside."""
        return self.price(token_id, as_of, cut_off)

    def moved_at(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> datetime | None:
        """Return the closing of the last bar that holds another price than the last close."""
        columns = self.columns[token_id]
        last = columns.last_move(columns.count_closed(micros(min(as_of, cut_off))))
        return None if last is None else columns.closed_at(last)

    def levels(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> LevelSet | None:
        """Return the newest set of levels."""
        return self.records.levels.newest(token_id, min(as_of, cut_off))

    def quantmetrics(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> QuantMetrics | None:
        """Return the newest measures."""
        return self.records.quantmetrics.newest(token_id, min(as_of, cut_off))

    def grades(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Grades | None:
        """Return the newest grades."""
        return self.records.grades.newest(token_id, min(as_of, cut_off))

    def market(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> MarketSize | None:
        """Return the newest market size."""
        return self.records.market.newest(token_id, min(as_of, cut_off))

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Bars:
        """Return the last whole UTC days ended by as_of, at most 600, oldest first."""
        if token_id not in self._days:
            columns = self.columns[token_id].days()
            self._days[token_id] = Bars(columns, 0, len(columns.opened_at), {})
        return self._days[token_id].take_until(micros(min(as_of, cut_off)), DAYS_MAX)

    def prints(
        self,
        token_id: TokenId,
        seen: tuple[datetime, datetime] | None,
        as_of: datetime,
        cut_off: datetime,
        reach: Reach = EVERY_BAR,
    ) -> tuple[Bar, ...]:
        """Return the bars closed by now and not yet at seen = (as_of, cut_off), in order of opening.

        Those before the first that is due, comes within reach or lies at a halt's edge are told as one.
        """
        columns = self.columns[token_id]
        start = columns.count_closed(micros(min(seen))) if seen else 0
        end = columns.count_closed(micros(min(as_of, cut_off)))
        if start >= end:
            return ()
        clear = columns.first_alone(start, end, reach)
        whole = (columns.stretch(start, clear),) if clear > start else ()
        return (*whole, *columns.bars(clear, end)) if clear < end else whole

    def finer(self, token_id: TokenId, bar: Bar, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """Return the bars of the finest timeframe that fill a bar without a hole."""
        return bars_filling(bar, self.inner.get(token_id, ()), micros(min(as_of, cut_off)))


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """An opened folder.

    digest: of the contents of all files read; bars: how many are used; refused: the first dropped candles, by file and
    line; jumps: the first bars whose price is far from the close before, by file and line, jumps_count: how many there
    are; strangers: rows of tokens that instruments.csv lacks; closes: the bars' distinct closing instants, ascending;
    ends_at: the last close of any bar in the folder, also outside the universe and the timeframe, 1970 where there is
    none; files: the dated files that are there; finer among them: bars below the timeframe, where they were asked for.
    """

    folder: Path
    archive: HistoryArchive
    timeframe: str
    universe: tuple[TokenId, ...]
    digest: str
    bars: int
    rows_refused: int
    refused: tuple[str, ...]
    jumps: tuple[str, ...]
    jumps_count: int
    strangers: tuple[Strangers, ...]
    closes: tuple[datetime, ...]
    ends_at: datetime
    files: frozenset[str]

    @property
    def instruments(self) -> Mapping[TokenId, Instrument]:
        """The instruments of the universe, by id."""
        return self.archive.instruments

    @property
    def rows_ignored(self) -> int:
        """The number of rows of tokens that instruments.csv lacks."""
        return sum(one.rows for one in self.strangers)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The lines that a person should see before believing a replay: rows dropped, prices to look at, rows ignored.

        Only the first of each are named; the counts say how many there are.
        """
        named = {"refused": self.refused, "look": self.jumps, "ignored": self.strangers}
        return tuple(f"{label}: {one}" for label, several in named.items() for one in several)

    @property
    def has_grades(self) -> bool:
        """Tell whether the signals carry grades."""
        return self.archive.records.episodes.gives(GRADE)

    def has(self, file: str) -> bool:
        """Tell whether the folder has one of signals, levels, quantmetrics, grades, market, finer."""
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


def open_history(
    folder: Path, *, timeframe: str | None, universe: Universe, finer: bool = False, tell: Tell = silent
) -> History:
    """Open a history folder for a universe (symbols or token_ids, or "*"); timeframe None: the finest that all have.

    finer: read the bars below it too; None is then 1h where all have it, else 1d. What is large is packed at the first
    opening, and tell is told of it; the next one reads the pack. Raises ConfigError for a missing file or an unknown
    symbol, BadInputError for rows that cannot be used.
    """
    listing = listing_of(folder)
    known = read_instruments(listing)
    tokens = resolve(listing, known, universe)
    instruments = {token_id: known[token_id] for token_id in tokens}
    names = (timeframe,) if timeframe else COARSE if finer else tuple(SPANS)
    chosen, paths = bar_files(folder, instruments, names)
    place = place_of(folder)
    dated = dated_parts(folder, place, tell)
    bars = read_bars(place, chosen, paths, tell)
    inner = read_finer(folder, instruments, chosen, place, tell) if finer else {}
    files = [*bars.values(), *chain.from_iterable(inner.values())]
    ends = ends_of(folder, known.values(), place, files)
    refused = [*(line for file in files for line in file.refusals()), *ends.refused]
    used = {
        "instruments": listing.digest,
        **{name: part.digest for name, part in dated.items()},
        **{file.name: file.part.digest for file in files},
    }
    digests = sorted([name, digest] for name, digest in used.items())
    columns = {token_id: file.columns() for token_id, file in bars.items()}
    below = {token_id: tuple(file.columns() for file in several) for token_id, several in inner.items()}
    closes = closes_of((file.part for file in bars.values()), chosen).astype("timedelta64[us]").tolist()
    return History(
        folder=folder,
        archive=HistoryArchive(instruments, columns, _records(dated), below),
        timeframe=chosen,
        universe=tokens,
        digest=hashlib.sha256(canonical(digests).encode()).hexdigest(),
        bars=sum(len(column.opened_at) for column in columns.values()),
        rows_refused=len(refused),
        refused=tuple(refused[:REFUSED_NAMED]),
        jumps=tuple(islice(chain.from_iterable(file.jumps(REFUSED_NAMED) for file in files), REFUSED_NAMED)),
        jumps_count=sum(file.jumps_count for file in files),
        strangers=tuple(strangers_in(folder, dated, known)),
        closes=tuple(map(EPOCH.__add__, closes)),
        ends_at=EPOCH + max(ends.closes, default=0) * MICROSECOND,
        files=frozenset({*dated, *(("finer",) if inner else ())}),
    )


def _records(parts: Mapping[str, ParsedFile]) -> Records:
    blocks = {name: part.blocks for name, part in parts.items()}
    return Records(
        episodes=DatedRows(blocks["signals"], SIGNALS.make),
        levels=DatedRows(blocks.get("levels", {}), LEVELS.make),
        quantmetrics=DatedRows(blocks.get("quantmetrics", {}), QUANTMETRICS.make),
        grades=DatedRows(blocks.get("grades", {}), GRADES.make),
        market=DatedRows(blocks.get("market", {}), MARKET.make),
    )
