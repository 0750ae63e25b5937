"""The archive and the source of a replay: they read a history folder, not the network.

The archive gives a bar from its close on and a dated row from its instant on (both inclusive), and
never earlier.
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
from bot.adapters.history.files import (
    Strangers,
    bar_files,
    dated_parts,
    listing_of,
    read_bars,
    strangers_in,
)
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

DAYS_MAX = 600  # daily measures look back this far; the live archive keeps as many
REFUSED_NAMED = 20  # how many dropped candles, and how many jumps, are listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The dated rows of a folder, by token."""

    episodes: DatedRows[Episode]
    levels: DatedRows[LevelSet]
    quantmetrics: DatedRows[QuantMetrics]
    grades: DatedRows[Grades]
    market: DatedRows[MarketSize]


class HistoryArchive:
    """An archive that answers from columns of bars and from dated rows.

    Each answer holds what was known at the earlier of as_of and cut_off. The columns are public, so
    that a replay can scan them.
    """

    def __init__(
        self,
        instruments: Mapping[TokenId, Instrument],
        columns: Mapping[TokenId, Columns],
        records: Records,
        finer: Mapping[TokenId, tuple[Columns, ...]],
    ) -> None:
        """Answer from these; finer: the bars of shorter timeframes, the finest first."""
        self.instruments = instruments
        self.columns = columns
        self.records = records
        self.inner = finer
        self._days: dict[TokenId, Bars] = {}

    def episode(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Episode | None:
        """Find the current episode of a token; None before its first signal."""
        return self.records.episodes.newest(token_id, min(as_of, cut_off))

    def turns(self, token_id: TokenId) -> Integers:
        """List the instants at which an episode begins, in microseconds since 1970, ascending."""
        known = self.records.episodes.of(token_id)
        return known.series.at[known.series.turns] if known else np.empty(0, np.int64)

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the close of the last bar, known since that bar closed; None before the first."""
        return self._close(
            token_id, self.columns[token_id].count_closed(micros(min(as_of, cut_off))) - 1
        )

    def active_price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the close of the last bar that is not quiet, known since that bar closed."""
        columns = self.columns[token_id]
        return self._close(
            token_id, columns.last_active_row(columns.count_closed(micros(min(as_of, cut_off))))
        )

    def _close(self, token_id: TokenId, row: int) -> Quote | None:
        """Build the quote of a row's close; None for a row below zero, which means no row."""
        if row < 0:
            return None
        columns = self.columns[token_id]
        price = Price(from_float(columns.prices.item(3, row)))
        return Quote(token_id=token_id, price=price, known_at=columns.closed_at(row))

    def last_prices(
        self, tokens: Iterable[TokenId], as_of: datetime, cut_off: datetime
    ) -> dict[TokenId, float | None]:
        """Read the last closes of tokens as floats, for statistics; None when no bar has closed."""
        at = micros(min(as_of, cut_off))
        counts = ((token_id, self.columns[token_id]) for token_id in tokens)
        return {
            token_id: columns.close_before(columns.count_closed(at)) for token_id, columns in counts
        }

    def close(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the same quote as `price`: a history holds no quotes besides its bars."""
        return self.price(token_id, as_of, cut_off)

    def moved_at(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> datetime | None:
        """Find when the last bar closed that holds a price other than the last close."""
        columns = self.columns[token_id]
        last = columns.last_move(columns.count_closed(micros(min(as_of, cut_off))))
        return None if last is None else columns.closed_at(last)

    def levels(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> LevelSet | None:
        """Find the newest set of levels."""
        return self.records.levels.newest(token_id, min(as_of, cut_off))

    def quantmetrics(
        self, token_id: TokenId, as_of: datetime, cut_off: datetime
    ) -> QuantMetrics | None:
        """Find the newest quantmetrics."""
        return self.records.quantmetrics.newest(token_id, min(as_of, cut_off))

    def grades(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Grades | None:
        """Find the newest grades."""
        return self.records.grades.newest(token_id, min(as_of, cut_off))

    def market(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> MarketSize | None:
        """Find the newest market size."""
        return self.records.market.newest(token_id, min(as_of, cut_off))

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Bars:
        """List the whole UTC days that ended by as_of, at most the last 600, oldest first."""
        # Aggregate the days of a token once; each call then only narrows their range.
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
        """List the bars that closed after seen = (as_of, cut_off) and by now, in order of opening.

        The bars before the first one that is due, comes within reach or lies at a halt's edge are
        merged into one bar. seen None: start at the first bar.
        """
        columns = self.columns[token_id]
        start = columns.count_closed(micros(min(seen))) if seen else 0
        end = columns.count_closed(micros(min(as_of, cut_off)))
        if start >= end:
            return ()
        clear = columns.first_alone(start, end, reach)
        whole = (columns.stretch(start, clear),) if clear > start else ()
        return (*whole, *columns.bars(clear, end)) if clear < end else whole

    def finer(
        self, token_id: TokenId, bar: Bar, as_of: datetime, cut_off: datetime
    ) -> tuple[Bar, ...]:
        """List the bars of the finest timeframe that fills a bar without a gap, or none."""
        return bars_filling(bar, self.inner.get(token_id, ()), micros(min(as_of, cut_off)))


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """An opened folder.

    digest: the hash of the contents of all files that were read.
    bars: how many bars are used.
    refused: the first dropped candles, by file and line.
    jumps: the first bars whose price is far from the close before, by file and line.
    jumps_count: how many such bars there are.
    strangers: the rows of tokens that instruments.csv lacks.
    closes: the distinct closing instants of the bars, ascending.
    ends_at: the last close of any bar in the folder, also outside the universe and the timeframe;
        1970 when there is none.
    files: the dated files in the folder, and "finer" when bars below the timeframe were read.
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
        """The lines that a person should read before trusting a replay.

        They name the first dropped rows, suspicious prices and ignored rows; the counts say how
        many there are.
        """
        # One line for each item, grouped by label.
        named = {"refused": self.refused, "look": self.jumps, "ignored": self.strangers}
        return tuple(f"{label}: {one}" for label, several in named.items() for one in several)

    @property
    def has_grades(self) -> bool:
        """Check whether any signal carries a grade."""
        return self.archive.records.episodes.gives(GRADE)

    def has(self, file: str) -> bool:
        """Check whether the folder has signals, levels, quantmetrics, grades, market or finer."""
        return file in self.files


class HistorySource:
    """The source of a replay: it fetches nothing, so the fetch of a slot ends at the slot."""

    def __init__(self, history: History) -> None:
        """Read from an opened folder."""
        self._archive = history.archive

    @property
    def archive(self) -> HistoryArchive:
        """The archive of the folder."""
        return self._archive

    def refresh(self, slot: datetime) -> datetime:
        """Return the slot as the end of the fetch, since nothing is fetched."""
        return slot

    def quotes(self, _tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Return no quotes: a history has no live prices to ask for."""
        return ()


def open_history(
    folder: Path, *, timeframe: str | None, universe: Universe,
    finer: bool = False, tell: Tell = silent,
) -> History:
    """Open a history folder for a universe: symbols, token_ids or "*".

    timeframe None chooses the finest that all tokens have; with finer, 1h if all have it, else 1d.
    finer also reads the bars below it. The first opening packs large files and reports to `tell`.
    Raises ConfigError for a missing file or unknown symbol, BadInputError for unusable rows.
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
        jumps=tuple(
            islice(chain.from_iterable(file.jumps(REFUSED_NAMED) for file in files), REFUSED_NAMED)
        ),
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
