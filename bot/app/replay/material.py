"""What strategies are replayed on: a history folder, or the answers that a live ledger recorded.

Whatever replays a strategy takes either; only the two ways to open it know which one it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from datetime import time as time_of_day
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bot import __version__
from bot.adapters.history.bar_columns import SPANS
from bot.adapters.history.cut import cut_history
from bot.adapters.history.folder import History, HistoryArchive, HistorySource, open_history
from bot.adapters.sql.engine import ledger_name, parse_url
from bot.adapters.sql.facts import live_runs
from bot.adapters.sql.recorded import Recorded, Window, open_recorded
from bot.app.cycle.schedule import slots_between
from bot.app.cycle.setup import RunSetup
from bot.app.replay.packing import tell_packing
from bot.app.replay.random_entries import rotate_stances
from bot.app.replay.recorded import Recording, Turn, read_answers, read_timetable, resolve_universe
from bot.app.replay.waking import Played, run_slots
from bot.app.settings.kinds import require_folder
from bot.app.settings.providers import PROVIDERS, feeds_of
from bot.app.settings.strategies import Strategy
from bot.app.settings.strategy_kinds import Universe
from bot.app.telling.progress import tell_progress
from bot.domain.decisions import EquityMark
from bot.domain.errors import ConfigError
from bot.domain.ids import RunName, TokenId, canonical, hash_text, instant_text
from bot.domain.instants import EPOCH
from bot.domain.instruments import Instrument
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Mark
from bot.domain.record import CycleRecord
from bot.domain.tape import ApiCall, TokenPrint
from bot.engine.demand import demand_of
from bot.engine.needs import Input

# The file of a history that each input comes from; the others come from bars.
FILES = {
    Input.LEVELS: "levels",
    Input.QUANTMETRICS: "quantmetrics",
    Input.GRADES: "grades",
    Input.TRADER_GRADES: "grades",
    Input.MARKET: "market",
}
END_OF_DAY = time_of_day.max  # its last microsecond

# A path names a history folder, a text the URL or the file of a live ledger.
Place = Path | str


class Origin(NamedTuple):
    """What is opened of a place, as plain values that can be sent to a worker.

    bars, finer: the timeframe of a folder's bars (None: the finest), and whether those below it are
    read too. schedule: a cron; None means every close of a bar, or every recorded cycle.
    """

    place: Place
    bars: str | None
    universe: Universe
    finer: bool = False
    window: Window = (None, None)
    schedule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a strategy is replayed on.

    ends: the first and the last instant of the data, also outside the slots.
    digest: the digest of all its data. counts: the numbers that a replay's result shows.
    remarks: lines for stderr.
    require: refuses a strategy that needs what is not there.
    run: continues from a portfolio over a stretch of the slots.
    cut: the same material as it was at a slot; rotate: with the stances of a feed at other slots;
    within: at the slots of a narrower window, where digest and counts may be those of the whole.
    is_recorded: whether the data come from a ledger instead of a folder.
    """

    name: str
    instruments: Mapping[TokenId, Instrument]
    ends: tuple[datetime, datetime]
    slots: Sequence[datetime]
    digest: str
    counts: Mapping[str, int]
    remarks: tuple[str, ...]
    require: Callable[[Strategy], None]
    run: Callable[[RunSetup, Sequence[datetime], Portfolio], Iterator[Played]]
    cut: Callable[[datetime], "Material"]
    rotate: Callable[[str, np.random.PCG64], "Material"]
    within: Callable[[Window], "Material"]
    is_recorded: bool = False

    def set_up(self, strategy: Strategy, cash: Decimal) -> RunSetup:
        """Build what stays the same over all cycles of a replay."""
        return RunSetup(
            name=RunName(strategy.name),
            rules=strategy.rules,
            universe=tuple(sorted(self.instruments)),
            cash=cash,
            config_hash=hash_text(strategy.text),
            code_version=__version__,
        )

    def records(self, setup: RunSetup, *, tells: bool = False) -> Iterator[CycleRecord]:
        """Run all slots, showing progress if it `tells`; yield cycles as `keep_eventful` does."""
        played, total = self.run(setup, self.slots, Portfolio(run=setup.name)), len(self.slots)
        return keep_eventful(show_progress(played, total) if tells else played, total)


def keep_eventful(made: Iterable[Played], total: int) -> Iterator[CycleRecord]:
    """Keep eventful cycles, the first of each UTC day, and the last of `total` slots."""
    day = None
    for place, record, _ in made:
        slot = record.cycle.slot
        if day != slot.date() or place == total - 1 or is_eventful(record):
            yield record
        day = slot.date()


def show_progress(made: Iterable[Played], total: int) -> Iterator[Played]:
    """Pass the cycles on, and show on a terminal how far the replay is."""
    following = 0
    for one in made:
        if one[0] >= following:
            tell_progress("slots", one[0], total)
            following = one[0] + 500
        yield one
    tell_progress("slots", total, total)


def is_eventful(record: CycleRecord) -> bool:
    """Check whether a cycle produced anything but marks."""
    return any(not isinstance(fact, Mark | EquityMark) for fact in record.facts)


def open_for(strategy: Strategy, place: Place, window: Window, schedule: str | None) -> Material:
    """Open a material for a strategy; raises ConfigError if it lacks what the strategy needs."""
    finer = Input.FINER in demand_of(strategy.rules).inputs
    origin = Origin(place, strategy.bars, strategy.universe, finer, window, schedule)
    material = open_material(origin)
    material.require(strategy)
    return material


def open_material(origin: Origin) -> Material:
    """Open a history folder or a live ledger, at the slots of a window."""
    place, bars, universe, finer, window, schedule = origin
    if not isinstance(place, Path):
        return _open_ledger(origin, place)
    require_folder(place, "history folder")
    history = open_history(place, timeframe=bars, universe=universe, finer=finer, tell=tell_packing)
    return _over_history(history, slots_in(history, window, schedule), schedule)


def find_place(place: Place, folder: Path) -> Place:
    """Resolve a relative path from a folder; a URL stays as it is."""
    if isinstance(place, Path):
        return folder / place
    return place if "://" in place else str(folder / place)


def _over_history(history: History, slots: Sequence[datetime], schedule: str | None) -> Material:
    def rotate(_feed: str, bits: np.random.PCG64) -> Material:
        whole = history.archive
        signals = rotate_stances(whole.dated["signals"], whole.instruments, slots, bits)
        archive = HistoryArchive(
            whole.instruments, whole.columns, {**whole.dated, "signals": signals}, whole.inner
        )
        return _over_history(replace(history, archive=archive), slots, schedule)

    return Material(
        name=str(history.folder),
        instruments=history.instruments,
        ends=(history.closes[0], history.ends_at),
        slots=slots,
        digest=history.digest,
        counts={
            "bars": history.bars,
            "rows_refused": len(history.refused),
            "rows_ignored": sum(rows for rows, _ in history.strangers),
            "bars_jumping": history.jumps_count,
        },
        remarks=history.remarks,
        require=lambda strategy: require_files(demand_of(strategy.rules).inputs, history),
        run=lambda setup, stretch, portfolio: run_slots(
            setup, HistorySource(history), stretch, portfolio, end=slots[-1]
        ),
        cut=lambda at: _over_history(cut_history(history, at), slots, schedule),
        rotate=rotate,
        within=lambda window: _over_history(history, slots_in(history, window, schedule), schedule),
    )


def slots_in(history: History, window: Window, schedule: str | None) -> list[datetime]:
    """List the slots of a replay: every close of the strategy's bars, or a schedule's instants.

    The last slot is the end of the window: there positions are settled and marked, and nothing is
    decided. The window ends at its second instant, or without one where the folder's last bar
    closes, whichever strategy reads the folder. A window that ends with the last microsecond of a
    day was given as a date: it ends at the last slot of that day.
    """
    closes = history.closes
    if not closes:
        raise ConfigError(f"{history.folder}: no bars to replay")
    start, end = max(window[0] or closes[0], closes[0]), window[1] or history.ends_at
    if schedule is not None:
        found = slots_between(schedule, start, end)
    else:
        found = [close for close in closes if start <= close <= end]
    if not found:
        raise ConfigError(
            f"no slot in this window: the bars close from {closes[0]:%Y-%m-%dT%H:%MZ}"
            f" to {closes[-1]:%Y-%m-%dT%H:%MZ}; widen --from, --to or --schedule"
        )
    if schedule is not None and end.time() == END_OF_DAY and found[-1].date() == end.date():
        return found
    # The last instant in the window that lies on the grid of the bars.
    last = EPOCH + (end - EPOCH) // SPANS[history.timeframe] * SPANS[history.timeframe]
    return [*found, last] if last > found[-1] else found


def require_files(needs: Mapping[Input, str], history: History) -> None:
    """Refuse a strategy that needs a file the folder does not have, before anything starts."""
    for name, why in needs.items():
        file = FILES.get(name)
        if name is Input.FINER and name not in history.files:
            raise ConfigError(
                f"{history.folder / 'bars'}: no token has bars below {history.timeframe};"
                f" {why} needs them: write 1m/SYMBOL.csv or 5m/SYMBOL.csv, or drop the key"
            )
        if name is Input.TRADER_GRADES and history.archive.has_grades:
            continue
        if file is not None and file not in history.files:
            raise ConfigError(f"{history.folder / file}.csv: no such file; {why} needs it")


def _open_ledger(origin: Origin, url: str) -> Material:
    """Open the answers of a live ledger, at the slots of its cycles or at those of a schedule."""
    name = ledger_name(parse_url(url))
    with open_recorded(url) as connection:
        books = {run: Recorded(connection, run) for run in live_runs(connection)}
        table = read_timetable(name, books, origin.window, origin.schedule)
        book, whole = next(iter(books.values())), table.list_turns(origin.window)
        listed, holes = book.instruments(), book.holes()
        instruments = resolve_universe(name, origin.universe, listed)
        bars = sum(
            isinstance(datum, TokenPrint) and datum.token_id in instruments
            for datum in book.data_until(whole[-1].cycle.cut_off)
        )
    calls = [call for call in table.calls if call.known_at <= whole[-1].cycle.settled_until]
    digest = _digest(calls, whole, instruments)
    feeds = frozenset(call.endpoint for call in calls)

    def over(turns: Sequence[Turn], recording: Recording) -> Material:
        by_slot = {turn.cycle.slot: turn for turn in turns}
        list_episodes = cache(partial(recording.list_episodes, turns, instruments))

        def rotate(feed: str, bits: np.random.PCG64) -> Material:
            return over(turns, recording.rotate(list_episodes(feed), list(by_slot), bits))

        return Material(
            name=name,
            instruments=instruments,
            ends=table.ends,
            slots=list(by_slot),
            digest=digest,
            counts={"bars": bars, "rows_refused": 0, "answers": len(calls)},
            remarks=(),
            require=lambda strategy: _require_feeds(name, strategy, feeds),
            run=partial(recording.run, by_slot),
            cut=lambda at: over(turns, recording.cut_at(by_slot[at].cycle.settled_until)),
            rotate=rotate,
            within=lambda window: over(table.list_turns(window), recording),
            is_recorded=True,
        )

    # The answers are read when a run first looks at them.
    hear = cache(partial(read_answers, url, listed, whole, frozenset(instruments)))
    return over(whole, Recording(listed=listed, hear=hear, holes=holes))


def _digest(calls: Iterable[ApiCall], turns: Iterable[Turn], instruments: Iterable[TokenId]) -> str:
    """Compute the digest of recorded answers, of what each slot sees of them, and of the tokens."""
    made = [(call.request_id, instant_text(call.known_at), call.answer_hash) for call in calls]
    seen = [[instant_text(at) for at in (turn.cycle.slot, turn.cycle.cut_off)] for turn in turns]
    return hash_text(canonical([made, seen, sorted(instruments)]))


def _require_feeds(name: str, strategy: Strategy, recorded: frozenset[str]) -> None:
    """Refuse a strategy that reads a feed which the daemon never asked for."""
    wanted = [feeds_of(one, [strategy.rules], [strategy.rules]) for one in PROVIDERS.values()]
    missing = min((feeds - recorded for feeds in wanted), key=len)
    if missing:
        why = f"strategy {strategy.name} needs it"
        raise ConfigError(f"{name}: no answer of {min(missing)} was recorded; {why}")
