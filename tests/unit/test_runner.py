"""A run, cycle after cycle: each slot once, missed slots as rows, a restart goes on."""

from collections.abc import Iterable
from decimal import Decimal

import pytest

from bot.adapters.memory_ledger import MemoryLedger
from bot.app.daemon.loop import fire
from bot.app.runner import Runner
from bot.app.wiring import LiveRun
from bot.domain.errors import StorageError
from bot.domain.orders import Order, Role
from bot.domain.record import CycleRecord, CycleState
from bot.engine.rules import Rules, SizeRule, SizingRules
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


def hour(number: int) -> object:
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
    run = LiveRun("0 * * * *", runner(ledger))
    run.runner.fire(at("2024-01-01 01:30"), HOUR)
    record = fire(run, hour(4))
    assert record is not None
    stored = [(found.cycle.slot.hour, found.cycle.state.value) for found in ledger.records[record.cycle.run]]
    assert stored == [(1, "committed"), (2, "missed"), (3, "missed"), (4, "caught_up")]
