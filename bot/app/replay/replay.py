"""A strategy over a history: the daemon's run_cycle with another source, one slot after another.

Everything is written in one transaction; a replay that the ledger already has adds nothing.
"""

import gc
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from datetime import time as time_of_day
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path

from bot import __version__
from bot.adapters.clock import SystemClock
from bot.adapters.history.bar_columns import SPANS
from bot.adapters.history.folder import History, HistorySource, open_history
from bot.adapters.sql.engine import ledger_name, ledger_url, parse_url
from bot.adapters.sql.ledger import SqlLedger, writing
from bot.adapters.sql.reads import Reader
from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.schedule import slots_between
from bot.app.cycle.setup import RunSetup
from bot.app.replay.packing import tell_packing
from bot.app.replay.random_entries import draw
from bot.app.replay.waking import Waking
from bot.app.review.results import describe_run, statistics, summary
from bot.app.settings.strategies import Strategy, load_strategy
from bot.app.telling.answers import Answer
from bot.app.telling.progress import tell_progress
from bot.domain.decisions import EquityMark
from bot.domain.errors import ConfigError, UsageError
from bot.domain.ids import RunName, TokenId, canonical
from bot.domain.instants import EPOCH
from bot.domain.instruments import Instrument
from bot.domain.numbers import CASH_MAX, MICRO, ZERO, micro_half_even, plain
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Mark
from bot.domain.record import CycleRecord, Run
from bot.engine.cycle import decide, mark_only
from bot.engine.demand import demand_of
from bot.engine.needs import Input
from bot.figures.luck import Drawn

# The file of a history that each input comes from; the others come from bars.
FILES = {
    Input.LEVELS: "levels",
    Input.QUANTMETRICS: "quantmetrics",
    Input.GRADES: "grades",
    Input.TRADER_GRADES: "grades",
    Input.MARKET: "market",
}
END_OF_DAY = time_of_day.max  # its last microsecond

Window = tuple[datetime | None, datetime | None]
# The place of a slot, its cycle, and the portfolio after it.
Played = tuple[int, CycleRecord, Portfolio]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a replay runs on.

    digest: the digest of all its data.
    counts: the numbers that the result shows.
    remarks: lines for stderr.
    records: runs the slots and yields the cycles to write.
    draw: replays so many times with random entries; None if the material cannot do that.
    is_recorded: whether the data come from a ledger instead of a folder.
    """

    instruments: Mapping[TokenId, Instrument]
    slots: Sequence[datetime]
    digest: str
    counts: Mapping[str, int]
    remarks: tuple[str, ...]
    records: Callable[[RunSetup], Iterator[CycleRecord]]
    draw: Callable[[RunSetup, int], list[Drawn]] | None = None
    is_recorded: bool = False


TOLD = (
    "trades",
    "open_positions",
    "fees",
    "profit",
    "equity",
    "max_drawdown",
    "bars",
    "slots",
    "seconds",
)
Opening = Callable[[Strategy, Window, str | None], AbstractContextManager[Material]]


def replay(
    strategy_name: str,
    opening: Opening,
    ledger: str | None,
    *,
    cash: str,
    window: Window,
    schedule: str | None,
    random_entries: int | None,
) -> Answer:
    """Replay a strategy, write the ledger and print the result; return the exit code."""
    began = time.perf_counter()
    strategy = load_strategy(strategy_name, Path("strategies"))
    capital = _capital(cash)
    with opening(strategy, window, schedule) as material:
        # The last slot belongs to the identity: without --to, a longer folder ends later.
        edges = [str(edge) for edge in (*window, material.slots[-1])]
        parts = [strategy.text, material.digest, plain(capital), edges, schedule]
        identity = hashlib.sha256(canonical(parts).encode()).hexdigest()
        url = ledger_url(ledger or "replay.db")
        setup = setup_of(strategy, material.instruments, capital)
        with writing(url, create=True) as book:
            added = _write(book, setup, strategy, material, identity)
        reader = Reader(url)
        drawn = material.draw(setup, random_entries) if material.draw and random_entries else None
        figures = statistics(reader, strategy.name, drawn)
        result = {
            **summary(reader, strategy.name),
            "max_drawdown": figures["max_drawdown"],
            "run": strategy.name,
            **material.counts,
            "slots": len(material.slots),
            "cycles_added": added,
            "ledger": ledger_name(parse_url(url)),
            "statistics": figures,
            "seconds": round(time.perf_counter() - began, 3),
        }
    text = f"{describe_run(result, TOLD)}\n\nledger: {result['ledger']}"
    return Answer(payload=result, parts=(text,), notes=material.remarks)


@contextmanager
def open_history_material(
    folder: Path, strategy: Strategy, window: Window, schedule: str | None
) -> Iterator[Material]:
    """Open a history folder as the material of a strategy's replay."""
    history = open_for(strategy, folder)
    slots = slots_in(history, window, schedule)
    yield Material(
        instruments=history.instruments,
        slots=slots,
        digest=history.digest,
        counts={
            "bars": history.bars,
            "rows_refused": history.rows_refused,
            "rows_ignored": history.rows_ignored,
            "bars_jumping": history.jumps_count,
        },
        remarks=history.remarks,
        records=lambda setup: records(
            setup, HistorySource(history), slots, SystemClock(), end=slots[-1]
        ),
        draw=lambda setup, count: draw(history, slots, partial(quiet_records, setup, slots), count),
    )


def setup_of(strategy: Strategy, universe: Iterable[TokenId], cash: Decimal) -> RunSetup:
    """Build what stays the same over all cycles of a replay."""
    return RunSetup(
        name=RunName(strategy.name),
        rules=strategy.rules,
        universe=tuple(sorted(universe)),
        cash=cash,
        interval=None,
        config_hash=hashlib.sha256(strategy.text.encode()).hexdigest(),
        code_version=__version__,
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


def _write(
    book: SqlLedger, setup: RunSetup, strategy: Strategy, material: Material, identity: str
) -> int:
    now = SystemClock().now()
    run = Run(
        name=setup.name, strategy=strategy.name, cash=setup.cash, identity=identity, started_at=now
    )
    if not material.is_recorded and (live := book.live_runs()):
        raise ConfigError(
            f"{ledger_name(book.engine.url)} is the ledger of the live run {live[0]}, which would"
            " take the rows of this history for its own at its next start: name another with"
            " --ledger"
        )
    already = book.last_cycle(setup.name) is not None
    with book.one_transaction(), without_collection():
        book.open_run(run, material.instruments)
        if already:
            sys.stderr.write(
                f"run {setup.name} is in this ledger already, the same replay: nothing added\n"
            )
            return 0
        book.keep_config(setup.config_hash, strategy.text)
        return book.commit_all(material.records(setup))


def records(
    setup: RunSetup,
    source: HistorySource,
    slots: Sequence[datetime],
    clock: SystemClock,
    *,
    end: datetime | None = None,
) -> Iterator[CycleRecord]:
    """Run the slots, and yield the cycles that a replay writes.

    Slots at which nothing can happen are skipped; the account's high-water mark and breakers are
    those of a run over all slots.
    end: the slot that decides nothing.
    """
    made = run_slots(setup, source, slots, clock, Portfolio(run=setup.name), end=end)
    return keep_eventful(show_progress(made, len(slots)), len(slots))


@contextmanager
def without_collection() -> Iterator[None]:
    """Disable the garbage collector: a replay makes millions of values and no reference cycles.

    Afterwards the collector is enabled only if it was before.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def quiet_records(
    setup: RunSetup, slots: Sequence[datetime], history: History
) -> Iterator[CycleRecord]:
    """Run the slots of a window like `records`, without showing progress."""
    made = run_slots(
        setup,
        HistorySource(history),
        slots,
        SystemClock(),
        Portfolio(run=setup.name),
        end=slots[-1],
    )
    return keep_eventful(made, len(slots))


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


def run_slots(
    setup: RunSetup,
    source: HistorySource,
    slots: Sequence[datetime],
    clock: SystemClock,
    portfolio: Portfolio,
    *,
    end: datetime | None,
) -> Iterator[Played]:
    """Continue from a portfolio, and yield each slot that is run.

    Slots at which nothing can happen are not run. The slot at `end` only settles and marks.
    """
    waking = Waking(setup, source.archive, slots)
    place = 0
    while place < len(slots):
        judge = mark_only if slots[place] == end else decide
        record, portfolio = run_cycle(
            setup, source, portfolio, slots[place], clock.now, asked=waking.asked, judge=judge
        )
        yield place, record, portfolio
        following = waking.after(place, portfolio)
        portfolio = waking.skip_to(place, following, portfolio)
        place = following


def is_eventful(record: CycleRecord) -> bool:
    """Check whether a cycle produced anything but marks."""
    return any(not isinstance(fact, Mark | EquityMark) for fact in record.facts)


def _capital(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = ZERO
    if not value.is_finite() or not MICRO <= value <= CASH_MAX or value != micro_half_even(value):
        raise UsageError(
            f"--cash {text}: write a positive number up to {CASH_MAX:,},"
            " with at most 6 digits after the point"
        )
    return value


def open_for(strategy: Strategy, folder: Path) -> History:
    """Open a history folder for a strategy.

    Raises ConfigError if the folder lacks a file that the strategy needs.
    """
    needs = demand_of(strategy.rules).inputs
    history = open_history(
        folder,
        timeframe=strategy.bars,
        universe=strategy.universe,
        finer=Input.FINER in needs,
        tell=tell_packing,
    )
    require_files(needs, history)
    return history


def require_files(needs: Mapping[Input, str], history: History) -> None:
    """Refuse a strategy that needs a file the folder does not have, before anything starts."""
    for name, why in needs.items():
        file = FILES.get(name)
        if name is Input.FINER and not history.has(name):
            raise ConfigError(
                f"{history.folder / 'bars'}: no token has bars below {history.timeframe};"
                f" {why} needs them: write 1m/SYMBOL.csv or 5m/SYMBOL.csv, or drop the key"
            )
        if name is Input.TRADER_GRADES and history.has_grades:
            continue
        if file is not None and not history.has(file):
            raise ConfigError(f"{history.folder / file}.csv: no such file; {why} needs it")
