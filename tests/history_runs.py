"""A replay of a history without a ledger: the cycles that it would write."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.adapters.history.folder import HistorySource
from bot.app.cycle.setup import RunSetup
from bot.app.replay.material import keep_eventful
from bot.app.replay.waking import run_slots
from bot.domain.portfolio import Portfolio
from bot.domain.record import CycleRecord


def records(setup: RunSetup, source: HistorySource, slots: Sequence[datetime]) -> Iterator[CycleRecord]:
    """Run the slots from the start; the last one decides like the others."""
    return keep_eventful(run_slots(setup, source, slots, Portfolio(run=setup.name), end=None), len(slots))
