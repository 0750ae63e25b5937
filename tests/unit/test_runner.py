"""A run, cycle after cycle: each slot once, missed slots as rows, a restart goes on."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import pytest

from bot.app.cycle.runner import Runner, ScheduledRun, fire
from bot.app.live.wiring import Unwritten
from bot.domain.decisions import Candidate
from bot.domain.errors import StorageError
from bot.domain.events import Act, EventState, Request, RunEvent, request_id_of
from bot.domain.ids import RunName
from bot.domain.orders import Order, Role
from bot.domain.record import CycleRecord, CycleState
from bot.engine.rules import Rules, SizeRule, SizingRules
from tests.memory_ledger import MemoryLedger
from tests.notation import HOUR, Tape, Token, at, bars, setup_of, signal

RULES = Rules(name="runner", sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)))
TAPE = Tape(
    {
        1: Token(
            bars=bars("2024-01-01", " | ".join(["100"] * 12)),
            signals=[signal("2024-01-01 02:00", "bullish"), signal("2024-01-01 08:00", "bearish")],
        )
    }
)


def runner(ledger: MemoryLedger) -> Runner:
    """Start a runner as a new process would."""
    return Runner(setup_of(RULES, TAPE), TAPE, ledger, lambda: at("2024-01-02"))


def hour(number: int) -> datetime:
    """Return a slot of the day."""
    return at(f"2024-01-01 {number:02d}:00")


def test_a_slot_is_committed_once() -> None:
    """The second firing of a slot, and of an earlier one, does nothing, also in a new process."""
    ledger = MemoryLedger()
    first = runner(ledger)
    assert first.fire(hour(2), HOUR) is not None
    assert first.fire(hour(2), HOUR) is None
    assert first.fire(hour(1), HOUR) is None
    assert runner(ledger).fire(hour(2), HOUR) is None


def test_a_second_writer_of_a_slot_is_a_repeat() -> None:
    """Two runners that both believe a slot is theirs leave one cycle, and the loser goes on from the ledger."""
    ledger = MemoryLedger()
    one, other = runner(ledger), runner(ledger)
    assert one.fire(hour(2), HOUR) is not None
    assert other.fire(hour(2), HOUR) is None
    assert other.fire(hour(3), HOUR) is not None
    assert other.portfolio == runner(ledger).portfolio


def test_missed_slots_become_rows_and_exits_are_caught_up() -> None:
    """After six missed slots the position is closed by the newest, which is marked as caught up."""
    ledger = MemoryLedger()
    before = runner(ledger)
    for number in (1, 2, 3):
        before.fire(hour(number), HOUR)
    record = runner(ledger).fire(hour(10), HOUR, [hour(number) for number in range(4, 10)])
    assert record is not None
    assert (record.cycle.state, record.cycle.exits) == (CycleState.CAUGHT_UP, 0)
    assert any(isinstance(fact, Order) and fact.role is Role.EXIT for fact in record.facts)
    last = runner(ledger).fire(hour(11), HOUR)
    assert last is not None
    assert (last.cycle.state, last.cycle.exits) == (CycleState.COMMITTED, 1)


def test_the_first_slot_of_a_run_misses_nothing() -> None:
    """What came before a run began is not missed."""
    ledger = MemoryLedger()
    record = runner(ledger).fire(hour(5), HOUR, [hour(3), hour(4)])
    assert record is not None
    assert record.cycle.state is CycleState.COMMITTED


def test_a_restart_after_each_slot_changes_nothing() -> None:
    """A new process for every slot ends with the same portfolio as one process for all."""
    kept, restarted = MemoryLedger(), MemoryLedger()
    steady = runner(kept)
    for number in range(1, 12):
        steady.fire(hour(number), HOUR)
        runner(restarted).fire(hour(number), HOUR)
    assert runner(restarted).portfolio == steady.portfolio


class Unheard(MemoryLedger):
    """A ledger whose first answer is lost on its way back."""

    lost = False

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Store, and the first time fail all the same."""
        stored = super().commit_all(records)
        if not self.lost:
            self.lost = True
            message = "the connection broke"
            raise StorageError(message)
        return stored


def test_a_commit_whose_answer_was_lost_is_looked_up() -> None:
    """The cycle was stored though the commit failed: the next slot goes on from the ledger, not from memory."""
    ledger = Unheard()
    steady = runner(ledger)
    with pytest.raises(StorageError):
        steady.fire(hour(2), HOUR)
    assert steady.fire(hour(2), HOUR) is None
    assert steady.fire(hour(3), HOUR) is not None
    assert steady.portfolio == runner(ledger).portfolio


def test_missed_slots_are_rows_of_the_same_transaction() -> None:
    """The rows of missed slots and the cycle that caught up come together, also from a slot off the schedule."""
    ledger = MemoryLedger()
    run = ScheduledRun("0 * * * *", runner(ledger))
    run.runner.fire(at("2024-01-01 01:30"), HOUR)
    record = fire(run, hour(4))
    assert record is not None
    stored = [(found.cycle.slot.hour, found.cycle.state.value) for found in ledger.records[record.cycle.run]]
    assert stored == [(1, "committed"), (2, "missed"), (3, "missed"), (4, "caught_up")]


def asked(act: Act, at_hour: int) -> Request:
    """Make an operator's request of the run."""
    run, asked_at = RunName("test"), hour(at_hour)
    return Request(
        request_id=request_id_of(run, act, None, asked_at), run=run, act=act, token_id=None, asked_at=asked_at
    )


def applied(record: CycleRecord | None) -> list[tuple[str, EventState]]:
    """Name the events of a cycle."""
    assert record is not None
    return [(fact.name, fact.state) for fact in record.facts if isinstance(fact, RunEvent)]


def entries(record: CycleRecord | None) -> int:
    """Count the entries of a cycle, which must have had a candidate."""
    assert record is not None
    assert any(isinstance(fact, Candidate) for fact in record.facts)
    return record.cycle.entries


def test_a_request_is_applied_by_the_next_cycle_and_only_once() -> None:
    """A pause is an event of the first cycle after it and of no other, and stops that cycle's entry."""
    ledger = MemoryLedger()
    steady = runner(ledger)
    assert applied(steady.fire(hour(1), HOUR)) == []
    ledger.put([asked(Act.PAUSE, 1)])
    paused = steady.fire(hour(2), HOUR)
    assert applied(paused) == [("pause", EventState.APPLIED)]
    assert entries(paused) == 0
    assert applied(steady.fire(hour(3), HOUR)) == []
    assert ledger.requests(RunName("test")) == ()


def test_a_pause_outlives_its_process() -> None:
    """A new process is still paused and applies nothing twice, until it is resumed; then the same turn is entered."""
    ledger = MemoryLedger()
    runner(ledger).fire(hour(1), HOUR)
    ledger.put([asked(Act.PAUSE, 1)])
    assert entries(runner(ledger).fire(hour(2), HOUR)) == 0
    again = runner(ledger)
    assert again.portfolio.paused
    assert applied(again.fire(hour(3), HOUR)) == []
    ledger.put([asked(Act.RESUME, 3)])
    resumed = runner(ledger)
    assert applied(resumed.fire(hour(4), HOUR)) == [("resume", EventState.APPLIED)]
    assert not runner(ledger).portfolio.paused


def test_a_request_whose_commit_was_lost_is_not_applied_twice() -> None:
    """The answer to the commit was lost, the event is there: the next cycle finds nothing waiting."""
    ledger = Unheard()
    steady = runner(ledger)
    ledger.put([asked(Act.PAUSE, 1)])
    with pytest.raises(StorageError):
        steady.fire(hour(2), HOUR)
    assert applied(steady.fire(hour(3), HOUR)) == []
    assert steady.portfolio.paused


def test_a_dry_run_sees_what_is_waiting() -> None:
    """A ledger that keeps nothing passes requests on, and without a ledger there are none."""
    ledger = MemoryLedger()
    ledger.put([asked(Act.FLATTEN, 1)])
    rehearsed = Unwritten(ledger)  # type: ignore[arg-type]
    assert rehearsed.requests(RunName("test")) == ledger.requests(RunName("test"))
    record = Runner(setup_of(RULES, TAPE), TAPE, rehearsed, lambda: at("2024-01-02")).fire(hour(2), HOUR)
    assert applied(record) == [("flatten", EventState.APPLIED)]
    assert len(ledger.requests(RunName("test"))) == 1
    assert Unwritten(None).requests(RunName("test")) == ()
