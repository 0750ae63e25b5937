"""Any strategy over the answers that a live ledger recorded: the slots, and the runs over them.

A slot sees what was known by its stored cut-off, and no slot sees less than the one before it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from bot.adapters.clock import SystemClock
from bot.adapters.history.blocks import Series, blocks_of
from bot.adapters.history.dated import STANCES
from bot.adapters.history.reader import micros
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.sql.recorded import Recorded, Window, open_recorded
from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.schedule import interval_of, slots_between
from bot.app.cycle.setup import RunSetup
from bot.app.parity.deriving import AnswerSource, Heard, Listed, RecordedSource
from bot.app.parity.parity import configuration_of
from bot.app.replay.random_entries import Rotated, draw_half, rotate_rows
from bot.app.replay.waking import Played
from bot.app.settings.kinds import near
from bot.app.settings.strategy_kinds import Universe
from bot.app.telling.progress import tell_progress
from bot.domain.errors import ConfigError
from bot.domain.ids import RunName, TokenId
from bot.domain.instants import EPOCH, MICROSECOND
from bot.domain.instruments import Instrument
from bot.domain.market import Bar
from bot.domain.portfolio import Portfolio
from bot.domain.record import Cycle, CycleState
from bot.domain.signals import Episode
from bot.domain.tape import QUOTE, ApiCall, Datum, Hole, TokenPrint

# The instants, in microseconds, at which the episode of a token changes, and the new episodes.
Episodes = tuple[list[int], list[Episode]]


class Turn(NamedTuple):
    """A slot to run, in the form of a cycle, and how long the slot lasts."""

    cycle: Cycle
    interval: timedelta


class Timetable(NamedTuple):
    """A ledger's cycles by slot, its calls and crons; schedule: a cron in place of its slots."""

    name: str
    cycles: Mapping[datetime, Cycle]
    calls: Sequence[ApiCall]
    crons: Mapping[tuple[RunName, str], str]
    schedule: str | None

    @property
    def ends(self) -> tuple[datetime, datetime]:
        """The first and the last slot of a cycle."""
        return min(self.cycles), max(self.cycles)

    def list_turns(self, window: Window) -> list[Turn]:
        """List a window's slots; without a cycle, the last answer up to one is its cut-off."""
        first, last = self.ends
        start, end = max(window[0] or first, first), min(window[1] or last, last)
        slots, known = sorted(self.cycles), [call.known_at for call in self.calls]
        if self.schedule is not None:
            slots = slots_between(self.schedule, start, end)
        turns: list[Turn] = []
        for slot in slots[bisect_left(slots, start) : bisect_right(slots, end)]:
            cycle = self.cycles.get(slot)
            if cycle is None:
                before = bisect_right(known, slot)
                cut_off = known[before - 1] if before else slot
                model = next(iter(self.cycles.values()))
                cycle = replace(model, slot=slot, cut_off=cut_off, settled_until=cut_off)
            cron = self.schedule or self.crons[cycle.run, cycle.config_hash]
            # A cycle may have run so late that slots of another run or of the schedule came before
            # its cut-off: no slot may know less than the one before it.
            least = turns[-1].cycle.settled_until if turns else cycle.cut_off
            cut_off, until = max(cycle.cut_off, least), max(cycle.settled_until, least)
            seen = replace(cycle, cut_off=cut_off, settled_until=until)
            turns.append(Turn(seen, interval_of(cron, slot)))
        if not turns:
            raise ConfigError(
                f"no slot in this window: the cycles of {self.name} go from"
                f" {first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ};"
                " widen --from, --to or --schedule"
            )
        return turns


def read_timetable(
    name: str, books: Mapping[RunName, Recorded], window: Window, schedule: str | None
) -> Timetable:
    """Read the cycles, of one slot that with the least cut-off, and a window's schedules."""
    cycles: dict[datetime, Cycle] = {}
    for cycle in chain.from_iterable(book.cycles((None, None)) for book in books.values()):
        if cycle.state is not CycleState.MISSED:
            held = cycles.get(cycle.slot, cycle)
            cycles[cycle.slot] = min(held, cycle, key=attrgetter("cut_off"))
    if not cycles:
        raise ConfigError(f"{name}: no live run has a cycle; `bot status` shows what there is")
    start, end = window[0] or min(cycles), window[1] or max(cycles)
    crons: dict[tuple[RunName, str], str] = {}
    for slot, cycle in cycles.items():
        key = (cycle.run, cycle.config_hash)
        if schedule is None and start <= slot <= end and key not in crons:
            crons[key] = configuration_of(books[cycle.run], cycle.run, cycle).schedule
    book = next(iter(books.values()))
    calls = book.calls(max(cycle.settled_until for cycle in cycles.values()))
    return Timetable(name, cycles, calls, crons, schedule)


def resolve_universe(name: str, universe: Universe, listed: Listed) -> dict[TokenId, Instrument]:
    """Resolve a universe to instruments that the ledger knows."""
    known = {one.token_id: one for instruments in listed.values() for one in instruments}
    if universe == "*":
        return known
    found: dict[TokenId, Instrument] = {}
    for wanted in universe:
        text = str(wanted).upper()
        alike = [one for one in known.values() if text in {one.symbol.upper(), str(one.token_id)}]
        if not alike:
            symbols = sorted({str(one.symbol) for one in known.values()})
            others = near(text, symbols) or f"; it has {', '.join(symbols[:8])}"
            raise ConfigError(f"universe: {wanted!r} was not recorded in {name}{others}")
        if len(alike) > 1:
            ids = ", ".join(str(one.token_id) for one in alike)
            raise ConfigError(f"universe: {wanted!r} is more than one token: write one of {ids}")
        found[alike[0].token_id] = alike[0]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The answers of a ledger, read at first need, and the holes among them.

    episodes: in place of the recorded ones.
    """

    listed: Listed
    hear: Callable[[], Sequence[Heard]]
    holes: Sequence[Hole] = ()
    episodes: Mapping[TokenId, Episodes] | None = None

    def run(
        self,
        turns: Mapping[datetime, Turn],
        setup: RunSetup,
        slots: Sequence[datetime],
        portfolio: Portfolio,
    ) -> Iterator[Played]:
        """Continue from a portfolio, and yield each slot."""
        source, clock = self._open_source(setup.name), SystemClock()
        for place, slot in enumerate(slots):
            cycle, interval = turns[slot]
            source.turn(cycle, setup.rules.feed)
            lasting = replace(setup, interval=interval)
            record, portfolio = run_cycle(lasting, source, portfolio, slot, clock.now)
            yield place, record, portfolio

    def cut_at(self, until: datetime) -> "Recording":
        """Keep what was known by an instant."""
        return replace(self, hear=lambda: [one for one in self.hear() if one[0].known_at <= until])

    def rotate(
        self, seen: Mapping[TokenId, Episodes], slots: Sequence[datetime], bits: np.random.PCG64
    ) -> "Recording":
        """Rotate the stances of the episodes that the slots saw."""
        episodes = {}
        for token_id, (at, found) in seen.items():
            half = draw_half(bits)
            stances = [float(STANCES.index(one.turn.stance)) for one in found]
            series = Series(token_id, blocks_of(token_id, at, [stances], {})[str(token_id)], None)
            rotated = rotate_rows(series, slots, half) if at else None
            episodes[token_id] = _rebuild(rotated, found) if rotated else (at, found)
        return replace(self, episodes=episodes)

    def list_episodes(
        self, turns: Sequence[Turn], tokens: Iterable[TokenId], feed: str
    ) -> dict[TokenId, Episodes]:
        """List the episodes that the slots saw; one from before the first slot keeps its age."""
        source = self._open_source(turns[0].cycle.run)
        found: dict[TokenId, Episodes] = {token_id: ([], []) for token_id in sorted(tokens)}
        for cycle, _ in turns:
            source.turn(cycle, feed)
            cut_off = source.refresh(cycle.slot)
            for token_id, (at, episodes) in found.items():
                episode = source.archive.episode(token_id, cycle.slot, cut_off)
                if episode is not None and episodes[-1:] != [episode]:
                    is_first = cycle is turns[0].cycle
                    since = min(cycle.slot, episode.turn.published_at) if is_first else cycle.slot
                    at.append(micros(since))
                    episodes.append(episode)
        return found

    def _open_source(self, run: RunName) -> AnswerSource:
        archive = MemoryArchive({}) if self.episodes is None else _RotatedArchive(self.episodes)
        heard = self.hear()
        source = AnswerSource(archive, lambda span: _within(heard, span), None)
        source.know(self.listed, run)
        source.note(self.holes)
        return source


class _RotatedArchive(MemoryArchive):
    """An archive whose episodes are given, whatever signals it holds."""

    def __init__(self, episodes: Mapping[TokenId, Episodes]) -> None:
        """Begin without data."""
        super().__init__({})
        self._episodes = episodes

    def of_feed(self, _feed: str) -> MemoryArchive:
        """Return itself, since its episodes are of no feed."""
        return self

    def episode(self, token_id: TokenId, as_of: datetime, _cut_off: datetime) -> Episode | None:
        """Find the episode that stands at an instant."""
        at, found = self._episodes.get(token_id, ([], []))
        place = bisect_right(at, micros(as_of))
        return found[place - 1] if place else None


def _rebuild(rotated: Rotated, was: Sequence[Episode]) -> Episodes:
    """Build the episodes of rotated stances; each row is published when its stance comes."""
    found = list(was[: rotated.early])
    for place in range(rotated.early, len(rotated.at)):
        at = EPOCH + int(rotated.at[place]) * MICROSECOND
        latest = replace(
            was[rotated.rows[place]].latest,
            stance=STANCES[int(rotated.stances[place])],
            published_at=at,
            known_at=at,
        )
        goes_on = bool(found) and found[-1].turn.stance is latest.stance
        turn = found[-1].turn if goes_on else latest
        found.append(Episode(signal_id=turn.signal_id, turn=turn, latest=latest))
    return rotated.at.tolist(), found


def _within(heard: Sequence[Heard], span: Window) -> list[Heard]:
    """List the answers after the start of a span, up to its end."""
    start, end = (
        bisect_right(heard, at, key=lambda one: one[0].known_at) if at else otherwise
        for at, otherwise in zip(span, (0, len(heard)), strict=True)
    )
    return list(heard[start:end])


def read_answers(
    url: str, listed: Listed, turns: Sequence[Turn], tokens: frozenset[TokenId]
) -> list[Heard]:
    """Read a ledger's answers up to its last turn, compared with its rows; keep what is new."""
    known = MemoryArchive({one.token_id: one for several in listed.values() for one in several})
    bars: set[tuple[TokenId, str, Bar]] = set()

    def is_new(datum: Datum) -> bool:
        if not isinstance(datum, TokenPrint) or datum.timeframe == QUOTE:
            return known.add(datum)
        # An archive looks at each bar's volume, also where the bar was there already with another.
        before = len(bars)
        bars.add((datum.token_id, datum.timeframe, datum.bar))
        return len(bars) > before

    read: list[Heard] = []
    with open_recorded(url) as connection:
        source = RecordedSource(Recorded(connection, turns[0].cycle.run), None)
        source.know(listed, turns[0].cycle.run)
        for number, (cycle, _) in enumerate(turns, start=1):
            source.turn(cycle, "")
            for call, data in source.read_until(cycle.settled_until):
                if kept := tuple(one for one in data if one.token_id in tokens and is_new(one)):
                    read.append((call, kept))
            tell_progress("reading the answers of slots", number, len(turns))
    return read
