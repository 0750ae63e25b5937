"""Skipping slots changes nothing: the journal of a replay equals that of a plain loop over every slot."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.history.folder import HistorySource, open_history
from bot.app.cycle.run_cycle import run_cycle
from bot.app.cycle.setup import RunSetup
from bot.app.replay.tally import Tally
from bot.app.replay.waking import Waking
from bot.domain.decisions import EquityMark
from bot.domain.errors import InvariantError
from bot.domain.ids import RunName, TokenId
from bot.domain.numbers import MICRO
from bot.domain.portfolio import Holding, Portfolio
from bot.domain.positions import Closing, ExitReason, Mark
from bot.domain.reach import EVERY_BAR, Reach, first_touch
from bot.domain.record import CycleRecord
from bot.domain.snapshot import TokenView
from bot.engine import exits
from bot.engine.demand import demand_of
from bot.engine.equity import follow_equity
from bot.engine.exits import EXITS, SlotExit
from bot.engine.horizon import telling_places
from bot.engine.needs import Declaration, Input, Row, Wakes
from bot.engine.rules import (
    Breaker,
    EntryRules,
    ExitRule,
    ExitRules,
    FillRules,
    Hooks,
    LimitRules,
    Reentry,
    Rules,
    SizeRule,
    SizingRules,
)
from bot.figures.account import counts_of, figures_of
from tests.acceptance.folder_reader import Bar
from tests.acceptance.history_folders import Tables, write_folder
from tests.history_runs import records
from tests.properties.random_tapes import rules
from tests.replay.random_histories import HOUR, START, is_quiet, random_tables, with_halts

AT = datetime(2030, 1, 1, tzinfo=UTC)


def opened(folder: Path, seed: int) -> tuple[HistorySource, Sequence[datetime], tuple[TokenId, ...]]:
    """Open the random history of a seed, written once."""
    place = folder / str(seed)
    if not place.exists():
        tables = random_tables(seed, 1)
        halted = seed % 2 == 1  # and with bars in which nothing was traded
        write_folder(place, with_halts(tables, Random(seed)), is_quiet) if halted else write_folder(place, tables)
    history = open_history(place, timeframe="1h", universe="*")
    return HistorySource(history), history.closes, tuple(history.instruments)


def setup_of(drawn: Rules, universe: tuple[TokenId, ...]) -> RunSetup:
    """Make a run of these rules."""
    return RunSetup(
        name=RunName("drawn"),
        rules=drawn,
        universe=universe,
        cash=Decimal(10000),
        interval=None,
        config_hash="none",
        code_version="test",
    )


def every_slot(setup: RunSetup, source: HistorySource, slots: Sequence[datetime]) -> Iterator[CycleRecord]:
    """Run every slot, and keep the cycles that a replay writes."""
    portfolio, day = Portfolio(run=setup.name), None
    for number, slot in enumerate(slots):
        record, portfolio = run_cycle(setup, source, portfolio, slot, lambda: AT)
        happened = any(not isinstance(fact, Mark | EquityMark) for fact in record.facts)
        if day != slot.date() or number == len(slots) - 1 or happened:
            yield record
        day = slot.date()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the histories of the seeds are kept."""
    return tmp_path_factory.mktemp("histories")


@st.composite
def calm_rules(draw: st.DrawFn) -> Rules:
    """Draw rules, most of them without what must be asked at every slot or every bar."""
    drawn = draw(rules())
    if draw(st.integers(0, 4)):
        limits = replace(drawn.limits, drawdown=None, daily_loss=None, loss_streak=None)
        drawn = replace(drawn, limits=limits, exits=replace(drawn.exits, ratchet_to_support=False))
    if draw(st.integers(0, 3)):
        moving = {ExitRule.TRAILING_STOP, ExitRule.BREAK_EVEN}
        drawn = replace(drawn, exits=replace(drawn.exits, rules=drawn.exits.rules - moving))
    return drawn


@given(drawn=calm_rules(), seed=st.integers(0, 40), every=st.sampled_from([1, 1, 2, 5]))
def test_the_journal_with_skipping_equals_the_journal_without(
    folder: Path, drawn: Rules, seed: int, every: int
) -> None:
    """Every fact of every cycle that is written is the same, high-water marks included."""
    source, closes, universe = opened(folder, seed)
    slots = closes[::every]
    setup = setup_of(drawn, universe)
    woken = [
        replace(record, cycle=replace(record.cycle, started_at=AT, finished_at=AT))
        for record in records(setup, source, slots)
    ]
    assert woken == list(every_slot(setup, source, slots))


@given(drawn=calm_rules(), seed=st.integers(0, 40), minutes=st.sampled_from([0, 0, 2, 30]))
def test_every_figure_of_a_replay_is_that_of_all_its_slots(
    folder: Path, drawn: Rules, seed: int, minutes: int
) -> None:
    """T3: a daemon marks every slot and a replay fewer, on the hour or beside it; no figure tells which."""
    source, closes, universe = opened(folder, seed)
    slots = [close + timedelta(minutes=minutes) for close in closes]
    setup = setup_of(drawn, universe)
    told = []
    for kept in (records(setup, source, slots), marked_at_all(setup, source, slots)):
        tally, benchmark = Tally(), []
        for record in kept:
            tally.add(record.facts)
            marks = (fact for fact in record.facts if isinstance(fact, EquityMark))
            benchmark += [(mark.slot, mark.benchmark) for mark in marks if mark.benchmark is not None]
        figures = figures_of(tally.points, tally.trades(), tally.fall)
        told.append((figures, tally.fall, counts_of(tally.points, tally.trades()), benchmark))
    assert told[0] == told[1]


def marked_at_all(setup: RunSetup, source: HistorySource, slots: Sequence[datetime]) -> Iterator[CycleRecord]:
    """Run every slot, and keep every cycle, as a daemon does."""
    portfolio = Portfolio(run=setup.name)
    for slot in slots:
        record, portfolio = run_cycle(setup, source, portfolio, slot, lambda: AT)
        yield record


def test_slots_are_skipped_at_all(folder: Path) -> None:
    """The law above is not about nothing: with nothing to do most slots of a day are passed over."""
    source, slots, universe = opened(folder, 1)
    setup = setup_of(Rules(name="quiet", sides=frozenset()), universe)
    waking = Waking(setup, source.archive, slots)
    run, place = 0, 0
    while place < len(slots):
        run, place = run + 1, waking.after(place, Portfolio(run=setup.name))
    assert run < len(slots) / 2


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (Reach(95.0, 105.0), 200),
        (Reach(94.0, 104.0), 300),
        (Reach(94.0, 105.0), None),
        (EVERY_BAR, 0),
        (Reach(float("-inf"), float("inf")), None),
    ],
)
def test_the_first_bar_that_reaches_a_bracket_is_found(reach: Reach, expected: int | None) -> None:
    """Row 200 falls to 95, row 300 rises to 104; a touch counts, and later rows do not matter."""
    lows, highs = np.full(20_000, 99.0), np.full(20_000, 101.0)
    lows[200], highs[300] = 95.0, 104.0
    assert first_touch(lows, highs, reach) == expected


def test_the_telling_places_hold_what_rounding_may_hide() -> None:
    """Places within rounding of the highest and of the deepest are all returned; of a curve that says nothing none."""
    assert telling_places(np.array([1.0, 2.0, 2.0 - 1e-7, 1.5]), 1e-6, 1.9, 0.9) == [1, 2]
    assert telling_places(np.array([2.0, 1.0, 1.0 + 1e-7, 1.5]), 1e-6, 2.5, 0.1) == [1, 2]
    assert telling_places(np.array([2.0, 1.5]), 1e-6, 2.5, 0.5) == []


STEPS = st.integers(-30, 30).map(lambda step: Decimal(step) / 10)


@given(
    st.lists(STEPS, min_size=1, max_size=30),
    st.lists(STEPS, min_size=1, max_size=30),
    st.sampled_from([Decimal(0), Decimal("0.0000004"), Decimal("0.0000006")]),
)
def test_following_the_telling_places_is_following_them_all(
    before: list[Decimal], skipped: list[Decimal], grain: Decimal
) -> None:
    """High, when it was first reached, and the deepest fall with its instants, whichever slots floats selected (T3)."""
    worth = Portfolio(run=RunName("fall"))
    every, at = list(accumulate([Decimal(100), *before, *skipped])), iter(range(100))
    exact = [(max(one, Decimal(1)) + grain * (number % 3)).quantize(MICRO) for number, one in enumerate(every)]
    for equity in exact[: len(before) + 1]:
        _follow(worth, equity, next(at))
    part, whole = worth.copy(), worth.copy()
    rest = exact[len(before) + 1 :]
    depth = 0.0 if worth.deepest is None else float(worth.deepest.depth)
    wrong = [float(one) + (-1) ** number * 5e-7 for number, one in enumerate(rest)]
    places = telling_places(np.array(wrong), 1e-6, float(worth.high_water_mark), depth)
    start = next(at)
    for number, equity in enumerate(rest):
        _follow(whole, equity, start + number)
        if number in places:
            _follow(part, equity, start + number)
    assert (part.high_water_mark, part.high_at, part.deepest) == (whole.high_water_mark, whole.high_at, whole.deepest)


def _follow(worth: Portfolio, equity: Decimal, hour: int) -> None:
    worth.high_water_mark, worth.high_at, worth.deepest = follow_equity(worth, equity, START + hour * HOUR)


def test_a_peak_that_only_rounding_makes_is_not_slept_through(tmp_path: Path) -> None:
    """Each value is rounded alone: 50.0000006 twice is more than 50.0000014 and 50.0000004, though not before."""
    tables = Tables("1h")
    peaks = {5: ("50.0000006", "50.0000006"), 8: ("50.0000014", "50.0000004")}
    for token in (1, 2):
        tables.instruments.append((token, f"T{token}", f"T{token}", ""))
        prices = [Decimal(peaks.get(hour, ("50", "50"))[token - 1]) for hour in range(12)]
        tables.bars[f"T{token}"] = [
            Bar(START + hour * HOUR, START + (hour + 1) * HOUR, *[one] * 4) for hour, one in enumerate(prices)
        ]
        tables.signals.append((token, START + 2 * HOUR, "bullish", ""))
    history = open_history(write_folder(tmp_path, tables), timeframe="1h", universe="*")
    sizing = SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(1))
    nothing = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
    setup = setup_of(Rules(name="peaks", sizing=sizing, fills=nothing), tuple(history.instruments))
    last = list(records(setup, HistorySource(history), history.closes))[-1]
    (mark,) = [fact for fact in last.facts if isinstance(fact, EquityMark)]
    assert mark.high_water_mark == Decimal("10000.000002")


def test_a_hook_that_closes_is_asked_at_every_slot(folder: Path) -> None:
    """What the horizon does not know is asked always: slower, never wrong."""
    source, slots, universe = opened(folder, 2)
    hooks = Hooks(digest="", extra_exits=lambda _view, _holding: None)
    setup = setup_of(Rules(name="hooked", hooks=hooks), universe)
    waking = Waking(setup, source.archive, slots)
    assert demand_of(Rules(name="limited", limits=LimitRules(drawdown=Breaker(at=Decimal(1))))).is_restless
    assert not demand_of(Rules(name="quiet")).is_restless
    assert all(waking.after(place, Portfolio(run=setup.name)) == place + 1 for place in range(len(slots)))


def at_noon(_view: TokenView, _holding: Holding, slot: datetime, _rules: Rules) -> bool:
    """Close whatever is held at noon."""
    return slot.hour == 12


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> ExitRule:
    """An exit rule of one row, which says nothing of when it wakes."""
    word = cast("ExitRule", "at_noon")
    row = Row(SlotExit(ExitReason.MANUAL, at_noon), Declaration(keys=('exits.rules = "at_noon"',)))
    monkeypatch.setattr(exits, "EXITS", {**exits.EXITS, word: row})
    return word


@pytest.mark.parametrize("seed", range(1, 9))
def test_an_exit_rule_of_one_row_is_asked_at_every_slot(folder: Path, seed: int, noon: ExitRule) -> None:
    """H1: its row alone closes the same positions with skipping as without it."""
    source, slots, universe = opened(folder, seed)
    sizing = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(100))
    setup = setup_of(Rules(name="noon", sizing=sizing, exits=ExitRules(rules=frozenset({noon}))), universe)

    def closings(made: Iterable[CycleRecord]) -> list[Closing]:
        return [fact for record in made for fact in record.facts if isinstance(fact, Closing)]

    expected = closings(every_slot(setup, source, slots))
    assert any(one.reason is ExitReason.MANUAL for one in expected)
    assert closings(records(setup, source, slots)) == expected


@pytest.mark.parametrize("reentry", [Reentry.NEVER, Reentry.ALWAYS])
def test_an_exit_rule_that_declares_grades_sees_them_at_every_ask(
    folder: Path, monkeypatch: pytest.MonkeyPatch, reentry: Reentry
) -> None:
    """H2: whatever else the strategy reads; one that declares nothing cannot read them, and ends with an error."""
    seen: list[tuple[TokenId, datetime, object]] = []

    def by_grade(view: TokenView, _holding: Holding, slot: datetime, _rules: Rules) -> bool:
        seen.append((view.instrument.token_id, slot, view.grades or None))
        return False

    word = cast("ExitRule", "by_grade")
    source, slots, universe = opened(folder, 2)
    entry, sizing = EntryRules(reentry=reentry), SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(100))
    rules = Rules(name="graded", sizing=sizing, entry=entry, exits=ExitRules(rules=frozenset({word})))

    def play(*needs: Input) -> None:
        declared = Declaration(keys=('exits.rules = "by_grade"',), needs=needs, of_held=needs)
        row = Row(SlotExit(ExitReason.MANUAL, by_grade), declared)
        monkeypatch.setattr(exits, "EXITS", {**exits.EXITS, word: row})
        list(records(setup_of(rules, universe), source, slots))

    play(Input.GRADES)
    assert len(seen) > 50
    assert seen == [(token_id, slot, source.archive.grades(token_id, slot, slot)) for token_id, slot, _ in seen]
    assert all(known is not None for _, _, known in seen)
    if reentry is Reentry.NEVER:
        with pytest.raises(InvariantError, match="reads grades of a token for which no rule"):
            play()


def test_only_rules_that_say_when_they_wake_let_slots_be_skipped(noon: ExitRule) -> None:
    """H1: with the rules that ship slots are skipped; one without a row, or whose row is silent, counts always."""
    shipped = frozenset(rule for rule, row in EXITS.items() if row.declaration.wakes is not Wakes.SLOTS)
    assert {ExitRule.SIGNAL_FLIPPED, ExitRule.STOP_HIT, ExitRule.TIME_STOP} <= shipped
    assert not demand_of(Rules(name="known", exits=ExitRules(rules=shipped))).is_restless
    for word in (noon, cast("ExitRule", "without_a_row")):
        unknown = demand_of(Rules(name="unknown", exits=ExitRules(rules=frozenset({word}))))
        assert (unknown.is_restless, unknown.takes_every_bar) == (True, True)


def test_a_token_that_falls_silent_is_delisted_at_its_slot(tmp_path: Path) -> None:
    """A week after its last bar the position is closed; that slot is not slept through, though nothing else happens."""
    tables = Tables("1h")
    for token, hours in ((1, 240), (2, 30)):
        tables.instruments.append((token, f"T{token}", f"T{token}", ""))
        tables.bars[f"T{token}"] = [
            Bar(START + hour * HOUR, START + (hour + 1) * HOUR, *[Decimal(100)] * 4) for hour in range(hours)
        ]
        tables.signals.append((token, START + 2 * HOUR, "bullish" if token == 2 else "neutral", ""))
    history = open_history(write_folder(tmp_path, tables), timeframe="1h", universe="*")
    sizing = SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(100))
    setup = setup_of(Rules(name="silent", sizing=sizing), tuple(history.instruments))
    made = list(records(setup, HistorySource(history), history.closes))
    closings = [fact for record in made for fact in record.facts if isinstance(fact, Closing)]
    assert [(one.reason, one.slot) for one in closings] == [("delisted", START + (30 + 168) * HOUR)]


@pytest.mark.parametrize("rule", [ExitRule.TRAILING_STOP, ExitRule.BREAK_EVEN])
def test_every_bar_matters_where_bars_move_a_stop(rule: ExitRule) -> None:
    """A strategy with a trailing stop or break-even is asked at each bar of a position."""
    moving = demand_of(Rules(name="moving", exits=ExitRules(rules=frozenset({rule}))))
    assert (moving.takes_every_bar, moving.is_restless) == (True, False)
