"""Finer bars wake nobody: a replay that skips slots has the journal of one that runs them all, decided by fives."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.history.folder import HistorySource, open_history
from bot.domain.market import Bar
from bot.domain.orders import Fill, Role
from bot.domain.record import CycleRecord
from bot.engine.rules import ActOn, EntryRules, PriceRule, Reentry, Rules, SameBar, SizeRule, SizingRules
from tests.acceptance.history_folders import write_folder, write_rows
from tests.finer_paths import split, spoiled
from tests.history_runs import records
from tests.replay.random_histories import random_tables
from tests.replay.test_waking import AT, calm_rules, every_slot, setup_of

HEADER = "time,open,high,low,close"
PIECES = 12


def opened(folder: Path, seed: int) -> HistorySource:
    """Open the random history of a seed with fives that mostly add up to its hours, written once."""
    place = folder / str(seed)
    if not place.exists():
        tables, random = random_tables(seed, 1), Random(seed)
        write_folder(place, tables)
        for symbol, hours in tables.bars.items():
            cut = (spoiled(random, split(random, Bar(*hour[:6]), PIECES, gaps=True)) for hour in hours)
            fives = [(five.opened_at, *five[2:6]) for inside in cut for five in inside]
            write_rows(place / "bars" / "5m" / f"{symbol}.csv", HEADER, fives)
    return HistorySource(open_history(place, timeframe=None, universe="*", finer=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the histories of the seeds are kept."""
    return tmp_path_factory.mktemp("finer")


def near(drawn: Rules) -> Rules:
    """Put stop and target so near that one bar often holds both, and let finer bars decide."""
    return replace(
        drawn,
        stop=replace(drawn.stop, rule=PriceRule.FRACTION, fraction=Decimal("0.006")),
        target=replace(drawn.target, rule=PriceRule.R_MULTIPLE, multiple=Decimal(1)),
        fills=replace(drawn.fills, same_bar=SameBar.FINER_BARS),
    )


def played(folder: Path, rules: Rules, seed: int, every: int) -> tuple[list[CycleRecord], list[CycleRecord]]:
    """Play a seed's history with skipping and without."""
    source = opened(folder, seed)
    slots = open_history(folder / str(seed), timeframe="1h", universe="*").closes[::every]
    setup = setup_of(rules, tuple(sorted(source.archive.instruments)))
    woken = [
        replace(record, cycle=replace(record.cycle, started_at=AT, finished_at=AT))
        for record in records(setup, source, slots)
    ]
    return woken, list(every_slot(setup, source, slots))


@given(drawn=calm_rules(), seed=st.integers(0, 40), every=st.sampled_from([1, 1, 2, 5]))
def test_skipping_equals_not_skipping_where_fives_decide(folder: Path, drawn: Rules, seed: int, every: int) -> None:
    """Every fact of every cycle that is written is the same."""
    woken, every_cycle = played(folder, near(drawn), seed, every)
    assert woken == every_cycle


def test_fives_decide_at_all(folder: Path) -> None:
    """The law above is not about nothing: of a few histories some bars are decided and some are left open."""
    sizing = SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal("0.2"))
    rules = near(Rules(name="near", sizing=sizing, entry=EntryRules(act_on=ActOn.STANCE, reentry=Reentry.ALWAYS)))
    facts = [fact for seed in range(4) for record in played(folder, rules, seed, 1)[0] for fact in record.facts]
    exits = [fact for fact in facts if isinstance(fact, Fill) and fact.role is not Role.ENTRY]
    open_bands = {fill.fill_model for fill in exits if fill.profit_pessimistic != fill.profit_optimistic}
    assert {fill.fill_model for fill in exits} == {"bars-3", "bars-3+5m"}
    assert "bars-3" in open_bands
