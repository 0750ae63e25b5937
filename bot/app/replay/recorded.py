"""Material for a replay from a live ledger: another strategy over the answers that it recorded.

A slot sees what was known by its stored cut-off, and no slot sees less than the one before it.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from bot.adapters.clock import SystemClock
from bot.adapters.sql.engine import ledger_name, parse_url
from bot.adapters.sql.recorded import Recorded, Window, live_runs, open_recorded
from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.schedule import interval_of, slots_between
from bot.app.cycle.setup import RunSetup
from bot.app.parity.deriving import RecordedSource
from bot.app.parity.parity import configuration_of
from bot.app.replay.replay import Material, Played, keep_eventful, show_progress
from bot.app.settings.kinds import near
from bot.app.settings.providers import PROVIDERS, feeds_of
from bot.app.settings.strategies import Strategy
from bot.domain.errors import ConfigError
from bot.domain.ids import RunName, TokenId, canonical, instant_text
from bot.domain.instruments import Instrument
from bot.domain.portfolio import Portfolio
from bot.domain.record import Cycle, CycleState
from bot.domain.tape import ApiCall, TokenPrint


class Turn(NamedTuple):
    """A slot to run, in the form of a cycle, and how long the slot lasts."""

    cycle: Cycle
    interval: timedelta


@contextmanager
def open_recorded_material(
    url: str, strategy: Strategy, window: Window, schedule: str | None
) -> Iterator[Material]:
    """Open a live ledger for a strategy, at the slots of its cycles or at those of a schedule."""
    name = ledger_name(parse_url(url))
    with open_recorded(url) as connection:
        books = {run.name: Recorded(connection, run.name) for run in live_runs(connection)}
        cycles = _soonest(books, window)
        if not cycles:
            raise ConfigError(_nothing_in_it(name, books))
        book = next(iter(books.values()))
        calls = book.calls(max(cycle.settled_until for cycle in cycles.values()))
        turns = turns_of(books, cycles, window, schedule, calls)
        if not turns:
            raise ConfigError(_nothing_in_it(name, books))
        instruments = _universe(name, strategy, book.instruments())
        _require_feeds(name, strategy, calls)
        made = [(call.request_id, instant_text(call.known_at), call.answer_hash) for call in calls]
        seen = [
            [instant_text(at) for at in (turn.cycle.slot, turn.cycle.cut_off)] for turn in turns
        ]
        data = book.data_until(turns[-1].cycle.cut_off)
        yield Material(
            instruments=instruments,
            slots=[turn.cycle.slot for turn in turns],
            digest=hashlib.sha256(
                canonical([made, seen, sorted(instruments)]).encode()
            ).hexdigest(),
            counts={
                "bars": sum(
                    isinstance(datum, TokenPrint) and datum.token_id in instruments
                    for datum in data
                ),
                "rows_refused": 0,
                "answers": len(calls),
            },
            remarks=(),
            records=lambda setup: keep_eventful(
                show_progress(_run_slots(setup, book, turns), len(turns)), len(turns)
            ),
            is_recorded=True,
        )


def _soonest(books: Mapping[RunName, Recorded], window: Window) -> dict[datetime, Cycle]:
    """Collect the settled cycles of all runs by slot; the one with the least cut-off wins."""
    found: dict[datetime, Cycle] = {}
    for book in books.values():
        for cycle in book.cycles(window):
            held = found.get(cycle.slot)
            if cycle.state is not CycleState.MISSED and (
                held is None or held.cut_off > cycle.cut_off
            ):
                found[cycle.slot] = cycle
    return found


def _nothing_in_it(name: str, books: Mapping[RunName, Recorded]) -> str:
    """Explain that a window has no slot, and name the slots that the ledger has."""
    slots = _soonest(books, (None, None))
    if not slots:
        return f"{name}: no live run has a cycle; `bot status` shows what there is"
    first, last = min(slots), max(slots)
    return (
        f"no slot in this window: the cycles of {name} go from {first:%Y-%m-%dT%H:%MZ}"
        f" to {last:%Y-%m-%dT%H:%MZ}; widen --from, --to or --schedule"
    )


def turns_of(
    books: Mapping[RunName, Recorded],
    cycles: Mapping[datetime, Cycle],
    window: Window,
    schedule: str | None,
    calls: Sequence[ApiCall],
) -> list[Turn]:
    """List the slots to run in order of time, each with its cut-off.

    A slot without a cycle gets the instant of the last answer up to the slot as its cut-off.
    """
    # The scheduler's import is slow.

    slots, known = sorted(cycles), [call.known_at for call in calls]
    crons: dict[tuple[str, str], str] = {}
    if schedule is not None:
        slots = slots_between(
            schedule, max(window[0] or slots[0], slots[0]), min(window[1] or slots[-1], slots[-1])
        )
    turns: list[Turn] = []
    for slot in slots:
        cycle = cycles.get(slot)
        if cycle is None:
            before = bisect_right(known, slot)
            cut_off = known[before - 1] if before else slot
            cycle = replace(
                next(iter(cycles.values())), slot=slot, cut_off=cut_off, settled_until=cut_off
            )
        cron = schedule
        if cron is None:
            key = (cycle.run, cycle.config_hash)
            if key not in crons:
                crons[key] = configuration_of(books[cycle.run], cycle.run, cycle).schedule
            cron = crons[key]
        # A cycle may have run so late that slots of another run or of the schedule came before its
        # cut-off: no slot may know less than the one before it.
        least = turns[-1].cycle.settled_until if turns else cycle.cut_off
        cut_off, until = max(cycle.cut_off, least), max(cycle.settled_until, least)
        turns.append(
            Turn(replace(cycle, cut_off=cut_off, settled_until=until), interval_of(cron, slot))
        )
    return turns


def _universe(
    name: str, strategy: Strategy, listed: Mapping[str, tuple[Instrument, ...]]
) -> dict[TokenId, Instrument]:
    """Resolve a strategy's universe to instruments that the ledger knows."""
    known = {one.token_id: one for instruments in listed.values() for one in instruments}
    if strategy.universe == "*":
        return known
    found: dict[TokenId, Instrument] = {}
    for wanted in strategy.universe:
        text = str(wanted).upper()
        alike = [one for one in known.values() if text in {one.symbol.upper(), str(one.token_id)}]
        if len(alike) != 1:
            symbols = sorted({str(one.symbol) for one in known.values()})
            ids = ", ".join(str(one.token_id) for one in alike)
            hint = (
                f" is more than one token: write one of {ids}"
                if alike
                else f" was not recorded in {name}"
            )
            others = "" if alike else near(text, symbols) or f"; it has {', '.join(symbols[:8])}"
            raise ConfigError(f"universe: {wanted!r}{hint}{others}")
        found[alike[0].token_id] = alike[0]
    return found


def _require_feeds(name: str, strategy: Strategy, calls: Sequence[ApiCall]) -> None:
    """Refuse a strategy that reads a feed which the daemon never asked for."""
    recorded_feeds = {call.endpoint for call in calls}
    wanted = [feeds_of(one, [strategy.rules], [strategy.rules]) for one in PROVIDERS.values()]
    missing = min((feeds - recorded_feeds for feeds in wanted), key=len)
    if missing:
        raise ConfigError(
            f"{name}: no answer of {min(missing)} was recorded; strategy {strategy.name} needs it"
        )


def _run_slots(setup: RunSetup, book: Recorded, turns: Sequence[Turn]) -> Iterator[Played]:
    """Run every slot over the recorded answers; each answer is read again when its slot comes."""
    source, clock = RecordedSource(book, None), SystemClock()
    source.know(setup.name)
    portfolio = Portfolio(run=setup.name)
    for place, (cycle, interval) in enumerate(turns):
        source.turn(cycle, setup.rules.feed)
        lasting = replace(setup, interval=interval)
        record, portfolio = run_cycle(lasting, source, portfolio, cycle.slot, clock.now)
        yield place, record, portfolio
