"""The parts that derive a live run again: a source of recorded answers, a ledger that compares.

They replace the provider and the ledger under the same runner. The first difference raises
DifferenceError, which ends the derivation.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.sql.mapping import RowDifference
from bot.adapters.sql.recorded import Known, Recorded, Window, data_difference
from bot.app.settings.providers import provider_of
from bot.domain.decisions import Fact
from bot.domain.errors import BadInputError, InvariantError
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Quote
from bot.domain.record import Cycle, CycleRecord, CycleState
from bot.domain.tape import ApiCall, Datum, Hole, TokenPrint

ANSWER, INPUT, CONFIGURATION, HOOKS = "answer", "input", "configuration", "hooks"
KINDS: Mapping[str, str] = MappingProxyType({"verdicts": "gate", "fills": "fill"})
# A call, and the data that its answer holds.
Heard = tuple[ApiCall, tuple[Datum, ...]]
# The instruments that each run of a ledger listed.
Listed = Mapping[str, tuple[Instrument, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first difference: what differs, at which slot or answer, and both values if there are."""

    kind: str
    at: datetime
    what: str
    stored: object = None
    derived: object = None

    def __str__(self) -> str:
        """Describe the difference in one line."""
        # Both are None where no two values differ.
        sides = f": {self.stored!r} in the ledger, {self.derived!r} derived"
        return (
            f"{self.kind} {self.at:%Y-%m-%dT%H:%M:%SZ}: {self.what}"
            f"{'' if self.stored is self.derived else sides}"
        )


class DifferenceError(BadInputError):
    """The ledger and its derivation differ."""

    def __init__(
        self, kind: str, at: datetime, what: str, stored: object = None, derived: object = None
    ) -> None:
        """Keep the difference; its text is the message."""
        self.difference = Difference(kind=kind, at=at, what=what, stored=stored, derived=derived)
        super().__init__(str(self.difference))


def rows_differ(kind: str, at: datetime, found: RowDifference) -> DifferenceError:
    """Build the error for a difference between rows, naming its table, key and column."""
    what = f"{found.table} {found.key}{'' if found.column is None else ', ' + found.column}"
    return DifferenceError(kind, at, what, found.stored, found.derived)


class AnswerSource:
    """Recorded answers as the source of a run; each is added when the run comes to its cycle."""

    def __init__(
        self, archive: MemoryArchive, hear: Callable[[Window], list[Heard]], since: datetime | None
    ) -> None:
        """Start with the answers after an instant, or all; hear: finds those of (start, end]."""
        self.archive = self._shelves = archive
        self._cycle: Cycle | None = None
        self._hear = hear
        self._seen = since
        self._news: list[Datum] = []

    def know(self, listed: Listed, run: RunName) -> tuple[Instrument, ...]:
        """Admit the instruments of all runs, and return those of one run."""
        mine = listed.get(run, ())
        # The run's own come last, so that they replace what other runs say of the same tokens.
        for instruments in (*listed.values(), mine):
            self.admit(instruments)
        return mine

    def admit(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments, or replace them, as a configuration had them."""
        self._shelves.admit({one.token_id: one for one in instruments})

    def note(self, holes: Iterable[Hole]) -> None:
        """Note what was missing; each slot sees only how it stood by its cut-off."""
        for hole in holes:
            self._shelves.note(hole)

    def turn(self, cycle: Cycle, feed: str) -> None:
        """Move to a cycle, and take its episodes from the signals of a feed."""
        self._cycle, self.archive = cycle, self._shelves.of_feed(feed)

    def now(self) -> datetime:
        """Return the cycle's cut-off to stamp the work with; these stamps are not compared."""
        return self._at().cut_off

    def refresh(self, _slot: datetime, _held: Collection[TokenId] = ()) -> datetime:
        """Read the answers that came until the slot's stored cut-off, and return that cut-off."""
        self.read_until(self._at().cut_off)
        return self._at().cut_off

    def quotes(self, tokens: Sequence[TokenId]) -> tuple[Quote, ...]:
        """Find the prices that came after the slot's decision."""
        slot, heard = self._at().slot, self.read_until(self._at().settled_until)
        # Answers to other runs and to other endpoints may lie in the same span.
        prints = [
            datum
            for call, data in heard
            if call.slot == slot and call.endpoint == provider_of(call).prices
            for datum in data
        ]
        return tuple(
            Quote(token_id=datum.token_id, price=datum.bar.close, known_at=datum.known_at)
            for datum in prints
            if isinstance(datum, TokenPrint)
            and datum.token_id in tokens
            and not self._shelves.is_implausible(datum)
        )

    def read_until(self, end: datetime | None) -> list[Heard]:
        """Archive the data of the next answers up to an instant, or of all; return the answers."""
        heard = self._hear((self._seen, end))
        # `add` returns whether a datum is new: this archives all and lists the new ones.
        self._news = [datum for _, data in heard for datum in data if self._shelves.add(datum)]
        self._seen = end or self._seen
        return heard

    def _at(self) -> Cycle:
        if self._cycle is None:
            raise InvariantError("no cycle was turned to yet")
        return self._cycle


class RecordedSource(AnswerSource):
    """A source that reads the answers in a ledger again, and compares their data with its rows."""

    def __init__(self, recorded: Recorded, since: datetime | None) -> None:
        """Know the data known at the start, and read the answers after it."""
        super().__init__(MemoryArchive({}), self._read, since)
        self.answers = 0
        self._recorded = recorded
        self._stored: Known = {}

    def know(self, listed: Listed, run: RunName) -> tuple[Instrument, ...]:
        """Admit the instruments, add the data known at the start; return a run's instruments."""
        mine = super().know(listed, run)
        self.note(self._recorded.holes())
        if self._seen is not None:
            for datum in self._recorded.data_until(self._seen):
                self._shelves.add(datum)
        return mine

    def read_until(self, end: datetime | None) -> list[Heard]:
        """Read the next answers; raises DifferenceError when a body or a row was changed."""
        heard = super().read_until(end)
        found = data_difference(self._news, self._stored)
        if found is not None:
            raise rows_differ(INPUT, self._at().slot, found)
        return heard

    def _read(self, span: Window) -> list[Heard]:
        """Read the answers of a span that have rows, with their data."""
        self._stored = self._recorded.tape_rows(span)
        read: list[Heard] = []
        for call, body in self._recorded.answers(span):
            if body is None:
                asked = f"({call.endpoint}, {call.query})"
                what = f"the body of {call.answer_hash} was changed {asked}"
                raise DifferenceError(ANSWER, call.known_at, what)
            self.answers += 1
            # An answer has no row if it said nothing new, only listed names, or preceded a crash.
            if call.known_at in self._stored:
                read.append((call, _data_of(call, body)))
        return read


class ComparingLedger:
    """A ledger that reads one recorded run, and compares each commit with the stored cycle."""

    def __init__(self, recorded: Recorded, cycles: Sequence[Cycle]) -> None:
        """Start before the first of these cycles."""
        self._recorded = recorded
        self._cycles = deque(cycles)

    def facts(self, _run: RunName) -> Iterable[Fact]:
        """Read the facts that make up the run's portfolio before the next cycle."""
        return self._recorded.facts(self._cycles[0].slot)

    def requests(self, _run: RunName) -> tuple[Request, ...]:
        """Read the requests that the next cycle applied; a missed cycle applies none."""
        settled = next(cycle for cycle in self._cycles if cycle.state is not CycleState.MISSED)
        return self._recorded.requests(settled.slot)

    def last_cycle(self, _run: RunName) -> CycleRecord | None:
        """Find the last settled cycle before the next one."""
        before = self._recorded.last_settled(self._cycles[0].slot)
        return None if before is None else CycleRecord(cycle=before, facts=())

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Compare cycles with those stored, and count them; the first difference is raised."""
        count = 0
        for record in records:
            stored = self._cycles.popleft()
            if stored.slot != record.cycle.slot:
                what = f"the next cycle is that of {stored.slot:%Y-%m-%dT%H:%MZ} in the ledger"
                raise DifferenceError("row", record.cycle.slot, f"{what}, not derived")
            found = self._recorded.cycle_difference(record)
            if found is not None:
                raise rows_differ(KINDS.get(found.table, "row"), stored.slot, found)
            count += 1
        return count


def _data_of(call: ApiCall, body: bytes) -> tuple[Datum, ...]:
    """Read an answer again; a call that the daemon cannot have made is a difference."""
    try:
        return provider_of(call).read_again(call, body)
    except BadInputError as error:
        raise DifferenceError(ANSWER, call.known_at, str(error)) from None
