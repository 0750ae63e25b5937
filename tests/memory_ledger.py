"""A ledger in memory, which leaves no trace and keeps the promises of the SQL ledger.

A slot is committed once and in order, and an id never names two different facts.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType

from bot.domain.books import JournalEntry
from bot.domain.decisions import BenchmarkPart, Candidate, CandidateLevel, EquityMark, Fact, Verdict
from bot.domain.errors import InvariantError
from bot.domain.events import EventState, Request, RunEvent
from bot.domain.ids import PositionId, RequestId, RunName, instant_text
from bot.domain.orders import Fill, Order, OrderEvent
from bot.domain.positions import Closing, Mark, Position, StopMove
from bot.domain.record import CycleRecord, CycleState

_NAMED_BY: Mapping[type[Fact], tuple[str, ...]] = MappingProxyType(
    {
        Candidate: ("candidate_id",),
        Verdict: ("candidate_id", "gate"),
        CandidateLevel: ("candidate_id", "number"),
        Order: ("order_id",),
        OrderEvent: ("order_id", "state"),
        Position: ("position_id",),
        Fill: ("fill_id",),
        StopMove: ("position_id", "number"),
        Mark: ("position_id", "slot"),
        Closing: ("position_id",),
        JournalEntry: ("entry_id",),
        BenchmarkPart: ("run", "token_id", "slot"),
        EquityMark: ("run", "slot"),
        RunEvent: ("run", "slot", "number"),
    }
)

_Identity = tuple[object, ...]


class MemoryLedger:
    """The ledger port over lists."""

    def __init__(self) -> None:
        """Start empty."""
        self.records: dict[RunName, list[CycleRecord]] = {}
        self._held: dict[_Identity, Fact] = {}
        self._requests: dict[RequestId, Request] = {}

    def facts(self, run: RunName) -> Iterable[Fact]:
        """List the facts that make up a run's portfolio, in the order they happened."""
        facts = list(chain.from_iterable(record.facts for record in self.records.get(run, ())))
        closed = {fact.position_id for fact in facts if isinstance(fact, Closing)}
        marked: dict[PositionId, Fact] = {
            fact.position_id: fact for fact in facts if isinstance(fact, Mark)
        }
        equity = _equity_marks(facts)
        return [
            fact
            for fact in facts
            if not isinstance(fact, Verdict | CandidateLevel | Mark | EquityMark)
            or (
                isinstance(fact, Mark)
                and marked[fact.position_id] is fact
                and fact.position_id not in closed
            )
            or (isinstance(fact, EquityMark) and fact in equity)
        ]

    def put(self, requests: Sequence[Request]) -> None:
        """Store an operator's requests; the same request again changes nothing."""
        self._requests.update({request.request_id: request for request in requests})

    def requests(self, run: RunName) -> tuple[Request, ...]:
        """List the requests to a run that no event of it names yet, oldest first."""
        facts = chain.from_iterable(record.facts for record in self.records.get(run, ()))
        named = {fact.request_id for fact in facts if isinstance(fact, RunEvent)}
        pending = [
            one for one in self._requests.values() if one.run == run and one.request_id not in named
        ]
        return tuple(sorted(pending, key=lambda request: (request.asked_at, request.request_id)))

    def last_cycle(self, run: RunName) -> CycleRecord | None:
        """Find the run's newest cycle that settled something; the record has no facts."""
        settled = (CycleState.COMMITTED, CycleState.CAUGHT_UP)
        newest = (
            record
            for record in reversed(self.records.get(run, ()))
            if record.cycle.state in settled
        )
        found = next(newest, None)
        return None if found is None else CycleRecord(cycle=found.cycle, facts=())

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Store many cycles, all or none, and return how many were new."""
        # Write to copies, and put them in place at the end: an error then stores nothing.
        held, kept = dict(self._held), {run: list(cycles) for run, cycles in self.records.items()}
        written = 0
        for record in records:
            cycles = kept.setdefault(record.cycle.run, [])
            if not _is_new(record, cycles):
                continue
            for fact in record.facts:
                _hold(held, fact)
            cycles.append(record)
            written += 1
        self._held, self.records = held, kept
        return written


def _equity_marks(facts: Sequence[Fact]) -> list[EquityMark]:
    """Choose the marks from which a portfolio is folded: see `bot.adapters.sql.facts`."""
    marks = [fact for fact in facts if isinstance(fact, EquityMark)]
    if not marks or marks[-1].drawdown_deepest is None:
        return marks
    today = [mark for mark in marks if mark.slot.date() == marks[-1].slot.date()]
    before = marks[: len(marks) - len(today)]
    armed = [place for place, fact in enumerate(facts) if _arms_drawdown(fact)][-1:]
    since = [fact for fact in facts[armed[0] if armed else 0 :] if isinstance(fact, EquityMark)]
    highest = sorted(since, key=lambda mark: (mark.equity, mark.slot))
    first_highest = max(marks, key=lambda mark: mark.equity)
    held = [mark for mark in marks if mark.benchmark is not None]
    return [*before[-1:], today[0], today[-1], first_highest, *held[-1:], *highest[-1:]]


def _arms_drawdown(fact: Fact) -> bool:
    return isinstance(fact, RunEvent) and fact.name == "drawdown" and fact.state is EventState.RESET


def _is_new(record: CycleRecord, cycles: list[CycleRecord]) -> bool:
    slot = record.cycle.slot
    if not cycles or slot > cycles[-1].cycle.slot:
        return True
    if any(slot == before.cycle.slot for before in cycles):
        return False
    message = (
        f"run {record.cycle.run}: slot {instant_text(slot)} comes after"
        f" {instant_text(cycles[-1].cycle.slot)} was committed; slots are committed in order"
    )
    raise InvariantError(message)


def _hold(held: dict[_Identity, Fact], fact: Fact) -> None:
    names = _NAMED_BY[type(fact)]
    identity = (type(fact), *(getattr(fact, name) for name in names))
    if identity in held:
        field = next(
            (
                name
                for name in fact.__slots__
                if getattr(held[identity], name) != getattr(fact, name)
            ),
            "seq",
        )
        message = (
            f"{type(fact).__name__} {' '.join(map(str, identity[1:]))}"
            f" is in the ledger with another {field}"
        )
        raise InvariantError(message)
    held[identity] = fact
