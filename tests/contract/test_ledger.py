"""The ledger port, kept by every ledger: each slot once, in order, and what comes back is what was committed."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.adapters.sql.ledger import SqlLedger
from bot.domain.decisions import Fact
from bot.domain.errors import InvariantError
from bot.domain.ids import RunName
from bot.domain.numbers import Price
from bot.domain.orders import Order
from bot.domain.portfolio import Portfolio
from bot.domain.record import CycleRecord, CycleState
from bot.engine.fold import fold
from tests.contract.decision_samples import both_ways
from tests.contract.ledger_samples import HOUR, RUN, TEN, cycle, d, opened, portfolio_part, story
from tests.memory_ledger import MemoryLedger

AnyLedger = SqlLedger | MemoryLedger


def _changed(fact: Fact) -> Fact:
    return replace(fact, price=Price(d("101"))) if isinstance(fact, Order) else fact


@pytest.mark.parametrize("tell", [story, both_ways])
def test_what_was_committed_comes_back_in_order(ledger: AnyLedger, tell: Callable[[], list[CycleRecord]]) -> None:
    """The facts of a run are those a portfolio is folded from, equal in value and in the order they happened."""
    records = tell()
    for record in records:
        assert ledger.commit_all([record])
    assert list(ledger.facts(records[0].cycle.run)) == portfolio_part(records)


@pytest.mark.parametrize("tell", [story, both_ways])
def test_a_restart_lands_on_the_same_portfolio(ledger: AnyLedger, tell: Callable[[], list[CycleRecord]]) -> None:
    """After each cycle, folding what the ledger gives back is folding all that was committed."""
    told: list[Fact] = []
    for record in tell():
        ledger.commit_all([record])
        told.extend(record.facts)
        start = Portfolio(run=record.cycle.run)
        assert fold(start, ledger.facts(start.run)) == fold(start, told)


def test_committing_twice_equals_once(ledger: AnyLedger) -> None:
    """A slot that was committed before is refused quietly, and nothing is added."""
    first, *_ = records = story()
    assert [ledger.commit_all([record]) for record in records] == [1, 1, 1]
    before = list(ledger.facts(RUN))
    assert not ledger.commit_all([first])
    assert ledger.commit_all(records) == 0
    assert list(ledger.facts(RUN)) == before


def test_many_cycles_at_once_equal_one_after_the_other(ledger: AnyLedger) -> None:
    """A replay's bulk writing leaves what single commits leave, and skips what is there."""
    first, *_ = records = story()
    ledger.commit_all([first])
    assert ledger.commit_all(records) == 2
    assert list(ledger.facts(RUN)) == portfolio_part(records)


def test_another_fact_under_the_same_id_stops_everything(ledger: AnyLedger) -> None:
    """A later cycle that brings an order again with another price is an error that names the field."""
    first, second, _ = story()
    ledger.commit_all([first])
    orders = tuple(_changed(fact) for fact in first.facts if isinstance(fact, Order))
    with pytest.raises(InvariantError, match=r"with another (slot|seq|price)"):
        ledger.commit_all([replace(second, facts=orders)])
    assert ledger.commit_all([second])


def test_a_failed_bulk_leaves_nothing(ledger: AnyLedger) -> None:
    """Of many cycles of which one contradicts the ledger none is written."""
    first, second, third = story()
    with pytest.raises(InvariantError):
        ledger.commit_all([first, second, replace(third, facts=first.facts)])
    assert list(ledger.facts(RUN)) == []
    assert ledger.last_cycle(RUN) is None


def test_slots_are_committed_in_order(ledger: AnyLedger) -> None:
    """A slot before the newest that was never committed is refused: the books have moved on."""
    ledger.commit_all([story()[0]])
    with pytest.raises(InvariantError, match="committed in order"):
        ledger.commit_all([CycleRecord(cycle=cycle(TEN - HOUR), facts=())])


def test_the_last_cycle_is_the_newest_that_settled(ledger: AnyLedger) -> None:
    """Missed and failed slots are rows, but settled nothing; the record comes without its facts."""
    assert ledger.last_cycle(RUN) is None
    settled = cycle(TEN, state=CycleState.CAUGHT_UP)
    for kept in (settled, cycle(TEN + HOUR, state=CycleState.MISSED), cycle(TEN + 2 * HOUR, state=CycleState.FAILED)):
        ledger.commit_all([CycleRecord(cycle=kept, facts=())])
    assert ledger.last_cycle(RUN) == CycleRecord(cycle=settled, facts=())


def test_runs_keep_apart(ledger: AnyLedger) -> None:
    """Two runs with the same slots and tokens each have their own cycles and facts."""
    other = RunName("other")
    if isinstance(ledger, SqlLedger):
        opened(ledger, other)
    ledger.commit_all([*story(), *story(other)])
    assert list(ledger.facts(other)) == portfolio_part(story(other))
    assert list(ledger.facts(RUN)) == portfolio_part(story())
