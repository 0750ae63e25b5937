"""Of all equity marks a ledger gives back only those that the breakers' state is folded from: the fold is the same."""

from dataclasses import replace
from datetime import datetime
from random import Random

import pytest

from bot.adapters.sql.engine import begin
from bot.adapters.sql.facts import portfolio_facts
from bot.adapters.sql.ledger import SqlLedger
from bot.domain.decisions import EquityMark, Fact
from bot.domain.events import EventKind, EventState, RunEvent
from bot.domain.ids import RunName
from bot.domain.portfolio import Portfolio
from bot.domain.record import CycleRecord
from bot.engine.equity import mark_equity
from bot.engine.fold import fold
from tests.contract.decision_samples import both_ways
from tests.contract.ledger_samples import HOUR, RUN, TEN, cycle, d, equity, opened, story
from tests.memory_ledger import MemoryLedger

AnyLedger = SqlLedger | MemoryLedger

RUNS = 60


def event(slot: datetime, name: RunName, number: int, breaker: str, state: EventState, amount: str) -> RunEvent:
    """Make an event of a breaker."""
    return RunEvent(
        run=name,
        slot=slot,
        number=number,
        kind=EventKind.BREAKER,
        name=breaker,
        state=state,
        notice="",
        equity=d(amount),
    )


def _events(chance: Random, slot: datetime, name: RunName, number: int) -> list[Fact]:
    """Draw a reset of a breaker, one that trips, or nothing."""
    if chance.random() < 0.8:
        return []
    state = chance.choice((EventState.RESET, EventState.RESET, EventState.TRIPPED))
    return [event(slot, name, number, chance.choice(("drawdown", "daily_loss")), state, str(chance.randint(70, 100)))]


def drawn(name: RunName, chance: Random) -> list[CycleRecord]:
    """Draw a run of some hours or days, with events before and after its marks, and slots that have no mark."""
    slot, account, records = TEN, Portfolio(run=name), []
    for _ in range(chance.randint(0, 20)):
        slot += chance.choice((1, 1, 2, 5, 24)) * HOUR
        account.cash = d(str(chance.randint(90, 110)))
        mark = replace(mark_equity(account, slot, {}), benchmark=chance.choice((None, None, account.cash)))
        marks: list[Fact] = [mark] if chance.random() < 0.8 else []
        account = fold(account, marks)
        facts = [*_events(chance, slot, name, 0), *marks, *_events(chance, slot, name, 1)]
        records.append(CycleRecord(cycle=cycle(slot, name), facts=tuple(facts)))
    return records


def test_folding_the_stored_facts_equals_folding_all(ledger: AnyLedger) -> None:
    """Whatever is marked and reset when, the portfolio of the stored facts is that of all, from at most six marks."""
    told = {name: drawn(name, Random(name)) for name in (RunName(f"drawn_{number}") for number in range(RUNS))}
    for name, records in told.items():
        if isinstance(ledger, SqlLedger):
            opened(ledger, name)
        ledger.commit_all(records)
    for name, records in told.items():
        facts = list(ledger.facts(name))
        told_in_full = [fact for record in records for fact in record.facts]
        assert fold(Portfolio(run=name), facts) == fold(Portfolio(run=name), told_in_full), name
        assert sum(isinstance(fact, EquityMark) for fact in facts) <= 6


@pytest.mark.parametrize("records", [story(), both_ways(), *(drawn(RUN, Random(seed)) for seed in range(5))])
def test_folding_the_facts_before_a_slot_equals_folding_all_before_it(
    book: SqlLedger, records: list[CycleRecord]
) -> None:
    """A derivation that begins at any slot begins with the portfolio that all earlier facts make."""
    told: list[Fact] = []
    for record in records:
        opened(book, record.cycle.run)
    book.commit_all(records)
    for record in records:
        start = Portfolio(run=record.cycle.run)
        with begin(book.engine) as connection:
            facts = portfolio_facts(connection, start.run, record.cycle.slot)
        assert fold(start, facts) == fold(start, told)
        told.extend(record.facts)


def test_a_mark_before_a_reset_in_its_slot_counts_no_more(ledger: AnyLedger) -> None:
    """The drawdown breaker is armed after the mark of 110: what counts from there is the 100 that came later."""
    reset = event(TEN, RUN, 0, "drawdown", EventState.RESET, "70")
    marks = [
        replace(equity(TEN + hours * HOUR, held, "0"), drawdown_deepest=d("0"))
        for hours, held in enumerate(("110", "100", "95", "96"))
    ]
    for mark in marks:
        facts = (mark, reset) if mark.slot == TEN else (mark,)
        ledger.commit_all([CycleRecord(cycle=cycle(mark.slot), facts=facts)])
    assert list(ledger.facts(RUN)) == [marks[0], reset, marks[1], marks[3]]
