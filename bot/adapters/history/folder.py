"""The archive and the source of a replay: they read a history folder, not the network.

The archive gives a bar from its close on and a dated row from its instant on (both inclusive), and
never earlier.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain, islice
from pathlib import Path

import numpy as np

from bot.adapters.history.bar_columns import SPANS, Columns, closes_of
from bot.adapters.history.bars import Bars
from bot.adapters.history.blocks import DatedRows
from bot.adapters.history.dated import GRADE, GRADES, LEVELS, MARKET, QUANTMETRICS, SIGNALS
from bot.adapters.history.ends import ends_of
from bot.adapters.history.files import bar_files, dated_parts, listing_of, read_bars, read_finer, strangers_in
from bot.adapters.history.instruments import Universe, read_instruments, resolve
from bot.adapters.history.pack import Tell, Words, place_of, silent
from bot.adapters.history.reader import micros
from bot.domain.ids import TokenId, canonical
from bot.domain.instants import DAYS_MAX, EPOCH, MICROSECOND
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Quote
from bot.domain.numbers import Price, from_float
from bot.domain.reach import EVERY_BAR, Reach

REFUSED_NAMED = 20  # how many dropped candles, and how many jumps, are listed
# A strategy that uses finer bars and names no timeframe gets one of these: minutes then settle
# what its bars leave open.
COARSE = ("1h", "1d")


class HistoryArchive:
    """An archive that answers from columns of bars and from dated rows.

    Each answer holds what was known at the earlier of as_of and cut_off. The columns are public, so
    that a replay can scan them.
    """

    def __init__(
        self,
        instruments: Mapping[TokenId, Instrument],
        columns: Mapping[TokenId, Columns],
        dated: Mapping[str, Mapping[str, Words]],
        finer: Mapping[TokenId, tuple[Columns, ...]],
    ) -> None:
        """Answer from these.

        dated: the blocks of the dated files, by name. finer: the bars of shorter timeframes, the
        finest first.
        """
        self.instruments = instruments
        self.columns = columns
        self.dated = dated
        self.inner = finer
        self._days: dict[TokenId, tuple[Columns, Callable[[int], Bar]]] = {}
        self._episodes = DatedRows(dated["signals"], SIGNALS.make)
        self.episode = self._episodes.newest
        self.levels = DatedRows(dated.get("levels", {}), LEVELS.make).newest
        self.quantmetrics = DatedRows(dated.get("quantmetrics", {}), QUANTMETRICS.make).newest
        self.grades = DatedRows(dated.get("grades", {}), GRADES.make).newest
        self.market = DatedRows(dated.get("market", {}), MARKET.make).newest

    @property
    def has_grades(self) -> bool:
        """Check whether any signal carries a grade."""
        return any(series.gives(GRADE) for series in self._episodes.series.values())

    def turns(self, token_id: TokenId) -> Words:
        """List the instants at which an episode begins, in microseconds since 1970, ascending."""
        series = self._episodes.series.get(token_id)
        return series.at[series.turns] if series else np.empty(0, np.int64)

    def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the close of the last bar, known since that bar closed; None before the first."""
        return self._close(token_id, self.columns[token_id].count_closed(micros(min(as_of, cut_off))) - 1)

    def active_price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
        """Find the close of the last bar that is not quiet, known since that bar closed."""
        columns = self.columns[token_id]
        return self._close(token_id, columns.last_active_row(columns.count_closed(micros(min(as_of, cut_off)))))

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
        return {token_id: columns.close_before(columns.count_closed(at)) for token_id, columns in counts}

    close = price  # a history holds no quotes besides its bars

    def moved_at(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> datetime | None:
        """Find when the last bar closed that holds a price other than the last close."""
        columns = self.columns[token_id]
        last = columns.last_move(columns.count_closed(micros(min(as_of, cut_off))))
        return None if last is None else columns.closed_at(last)

    def days(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Bars:
        """List the whole UTC days that ended by as_of, at most the last 600, oldest first."""
        # Aggregate the days of a token once; each call then only chooses their range.
        if token_id not in self._days:
            days = self.columns[token_id].days()
            self._days[token_id] = days, cache(lambda row: days.bars(row, row + 1)[0])
        columns, bar_of = self._days[token_id]
        end = columns.count_closed(micros(min(as_of, cut_off)))
        return Bars(range(max(0, end - DAYS_MAX), end), bar_of)

    def lacks_quote(self, _token_id: TokenId, _cut_off: datetime) -> bool:
        """Return False: a folder's prices are its bars, and all of them are there."""
        return False

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

    def finer(self, token_id: TokenId, bar: Bar, as_of: datetime, cut_off: datetime) -> tuple[Bar, ...]:
        """List the bars of the finest timeframe that fills a bar without a gap, or none."""
        opened, closed = micros(bar.opened_at), micros(bar.closed_at)
        for columns in self.inner.get(token_id, ()):
            start = int(columns.opened_at.searchsorted(opened))
            end = columns.count_closed(min(closed, micros(min(as_of, cut_off))))
            if (end - start) * columns.span == closed - opened:
                return columns.bars(start, end)
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """An opened folder.

    digest: the hash of the contents of all files that were read.
    refused: the dropped candles and the unreadable ends, by file and line.
    jumps: the first bars whose price is far from the close before, by file and line.
    jumps_count: how many such bars there are.
    strangers: how many rows are of tokens that instruments.csv lacks, and a line about them, for
        each file.
    closes: the distinct closing instants of the bars, ascending.
    ends_at: the last close of any bar in the folder, also outside the universe and the timeframe;
        1970 when there is none.
    files: the dated files in the folder, and "finer" when bars below the timeframe were read.
    """

    folder: Path
    archive: HistoryArchive
    timeframe: str
    digest: str
    refused: tuple[str, ...]
    jumps: tuple[str, ...]
    jumps_count: int
    strangers: tuple[tuple[int, str], ...]
    closes: tuple[datetime, ...]
    ends_at: datetime
    files: frozenset[str]

    @property
    def instruments(self) -> Mapping[TokenId, Instrument]:
        """The instruments of the universe, by id."""
        return self.archive.instruments

    @property
    def bars(self) -> int:
        """The number of bars that are used."""
        return sum(len(columns.opened_at) for columns in self.archive.columns.values())

    @property
    def remarks(self) -> tuple[str, ...]:
        """The lines that a person should read before trusting a replay.

        They name the first dropped rows, suspicious prices and ignored rows; the counts say how
        many there are.
        """
        # One line for each item, grouped by label.
        refused, strangers = self.refused[:REFUSED_NAMED], (line for _, line in self.strangers)
        named = {"refused": refused, "look": self.jumps, "ignored": strangers}
        return tuple(f"{label}: {one}" for label, several in named.items() for one in several)


class HistorySource:
    """The source of a replay: it fetches nothing, so the fetch of a slot ends at the slot."""

    def __init__(self, history: History) -> None:
        """Read from an opened folder."""
        self.archive = history.archive

    def refresh(self, slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """Return the slot as the end of the fetch, since nothing is fetched."""
        return slot

    def quotes(self, _tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Return no quotes: a history has no live prices to ask for."""
        return ()


def open_history(
    folder: Path, *, timeframe: str | None, universe: Universe, finer: bool = False, tell: Tell = silent
) -> History:
    """Open a history folder for a universe: symbols, token_ids or "*".

    timeframe None chooses the finest that all tokens have; with finer, 1h if all have it, else 1d.
    finer also reads the bars below it. The first opening packs large files and reports to `tell`.
    Raises ConfigError for a missing file or unknown symbol, BadInputError for unusable rows.
    """
    listing = listing_of(folder)
    known = read_instruments(listing)
    instruments = {token_id: known[token_id] for token_id in resolve(listing, known, universe)}
    names = (timeframe,) if timeframe else COARSE if finer else tuple(SPANS)
    chosen, paths = bar_files(folder, instruments, names)
    place = place_of(folder)
    dated = dated_parts(folder, place, tell)
    bars = read_bars(place, chosen, paths, tell)
    inner = read_finer(folder, instruments, chosen, place, tell) if finer else {}
    files = [*bars.values(), *chain.from_iterable(inner.values())]
    ends, unread = ends_of(folder, known.values(), place, files)
    dropped = (f"{file.path} {note}" for file in files for note in file.part.notes)
    used = {
        "instruments": listing.digest,
        **{name: part.digest for name, part in dated.items()},
        **{file.path.relative_to(folder).as_posix(): file.part.digest for file in files},
    }
    columns = {token_id: file.columns for token_id, file in bars.items()}
    below = {token_id: tuple(file.columns for file in several) for token_id, several in inner.items()}
    blocks = {name: part.blocks for name, part in dated.items()}
    jumps = chain.from_iterable(file.jumps(REFUSED_NAMED) for file in files)
    return History(
        folder=folder,
        archive=HistoryArchive(instruments, columns, blocks, below),
        timeframe=chosen,
        digest=hashlib.sha256(canonical(sorted(used.items())).encode()).hexdigest(),
        refused=(*dropped, *unread),
        jumps=tuple(islice(jumps, REFUSED_NAMED)),
        jumps_count=sum(len(file.part.blocks["bars/jumps"][0]) for file in files),
        strangers=tuple(strangers_in(folder, dated, known)),
        closes=closes_of((file.part for file in bars.values()), chosen),
        ends_at=EPOCH + max(ends, default=0) * MICROSECOND,
        files=frozenset({*dated, *(("finer",) if inner else ())}),
    )
