"""The runner of one run: it runs each slot once, in order, and records missed slots as rows.

Its state is never authoritative: a new runner on the same ledger continues after the last commit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.schedule import interval_of, slots_between
from bot.app.cycle.setup import RunSetup
from bot.domain.portfolio import Portfolio
from bot.domain.record import CycleRecord, CycleState
from bot.engine.cycle import apply
from bot.ports import Ledger, Source


def restore(ledger: Ledger, setup: RunSetup) -> Portfolio:
    """Build a run's portfolio from its stored facts."""
    portfolio = apply(Portfolio(run=setup.name), ledger.facts(setup.name))
    last = ledger.last_cycle(setup.name)
    if last is not None:
        portfolio.settled_slot, portfolio.settled_until = last.cycle.slot, last.cycle.settled_until
    return portfolio


class Runner:
    """A run whose caller names each slot and how long the slot lasts."""

    def __init__(
        self, setup: RunSetup, source: Source, ledger: Ledger, now: Callable[[], datetime]
    ) -> None:
        """Continue from what the ledger holds."""
        self.setup = setup
        self.source = source
        self.ledger = ledger
        self.now = now
        self.portfolio = restore(ledger, setup)
        self._unsure = False

    def fire(
        self, slot: datetime, interval: timedelta, missed: Sequence[datetime] = ()
    ) -> CycleRecord | None:
        """Commit a slot with rows for those missed; None if the ledger already had one of them."""
        if self._unsure:
            self.portfolio, self._unsure = restore(self.ledger, self.setup), False
        done = self.portfolio.settled_slot
        if done is not None and slot <= done:
            return None
        setup = replace(self.setup, interval=interval)
        requests = self.ledger.requests(setup.name)
        record, portfolio = run_cycle(setup, self.source, self.portfolio, slot, self.now, requests)
        gone = [at for at in missed if done is not None and done < at < slot]
        if gone:
            record = replace(record, cycle=replace(record.cycle, state=CycleState.CAUGHT_UP))
        idle = replace(record.cycle, state=CycleState.MISSED, entries=0, exits=0, rejections=0)
        rows = [CycleRecord(cycle=replace(idle, slot=at), facts=()) for at in gone]
        self._unsure = True  # until the ledger answers, the commit may or may not have happened
        stored = self.ledger.commit_all((*rows, record))
        self._unsure = stored < len(rows) + 1
        if self._unsure:
            return None
        self.portfolio = portfolio
        return record


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run with its schedule."""

    schedule: str
    runner: Runner


def fire(run: ScheduledRun, slot: datetime) -> CycleRecord | None:
    """Run the slot of one run, with the slots missed since the last one."""
    done = run.runner.portfolio.settled_slot
    missed = slots_between(run.schedule, done, slot) if done is not None else []
    return run.runner.fire(slot, interval_of(run.schedule, slot), missed)
