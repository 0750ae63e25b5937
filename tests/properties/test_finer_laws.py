"""The laws of finer bars: they narrow what a bar left open, and never say what nobody asked."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bot.app.cycle.gather import gather
from bot.app.cycle.run_cycle import run_cycle
from bot.domain.market import Bar
from bot.domain.numbers import Price
from bot.domain.orders import Fill, Role, Side
from bot.domain.portfolio import Portfolio
from bot.domain.positions import Closing, Position
from bot.domain.record import CycleRecord
from bot.engine.cycle import apply, settle
from bot.engine.journal import opening
from bot.engine.rules import LimitRules, Rules, SameBar, SizeRule, SizingRules
from tests.finer_paths import FREE, after_entry, exits, fixed, split
from tests.notation import HOUR, Tape, at, cycles, setup_of, slots_of
from tests.properties.random_tapes import rules, tapes

ONE = SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(1))


def deciding(drawn: Rules, same_bar: SameBar) -> Rules:
    """Let something decide a bar with stop and target; no breaker makes one trade depend on another."""
    return replace(drawn, limits=LimitRules(), sizing=ONE, fills=replace(drawn.fills, same_bar=same_bar))


def continuous(tape: Tape, seed: int) -> Tape:
    """Give every bar quarters that add up to it and open where the last one closed."""
    random = Random(seed)
    return Tape(
        {
            number: replace(token, finer=tuple(one for bar in token.bars for one in split(random, bar, 4)))
            for number, token in tape.tokens.items()
        }
    )


def trades(records: Sequence[CycleRecord]) -> dict[Position, tuple[Decimal, Decimal, Decimal]]:
    """Return the pessimistic, booked and optimistic profit of each closed trade."""
    facts = [fact for record in records for fact in record.facts]
    opened = {fact.position_id: fact for fact in facts if isinstance(fact, Position)}
    left = [fact for fact in facts if isinstance(fact, Fill) and fact.role is not Role.ENTRY]
    told = {}
    for closing in (fact for fact in facts if isinstance(fact, Closing)):
        own = [fill for fill in left if fill.position_id == closing.position_id]
        pessimistic = sum((fill.profit_pessimistic or Decimal(0) for fill in own), Decimal(0))
        optimistic = sum((fill.profit_optimistic or Decimal(0) for fill in own), Decimal(0))
        told[opened[closing.position_id]] = (pessimistic, closing.profit, optimistic)
    return told


@given(tape=tapes(), drawn=rules(), seed=st.integers(0, 999))
def test_finer_bars_stay_within_the_band_that_the_bar_left_open(tape: Tape, drawn: Rules, seed: int) -> None:
    """Of the same entry, profit and band by an unbroken path lie within the band by the bars alone."""
    path = continuous(tape, seed)
    coarse = trades(cycles(deciding(drawn, SameBar.STOP_FIRST), path)[0])
    finer = trades(cycles(deciding(drawn, SameBar.FINER_BARS), path)[0])
    for position in coarse.keys() & finer.keys():
        (least, _, most), (worst, profit, best) = coarse[position], finer[position]
        assert least <= worst <= profit <= best <= most


@given(tape=tapes(), drawn=rules())
def test_only_the_bars_that_were_asked_for_could_have_decided(tape: Tape, drawn: Rules) -> None:
    """All finer bars of all prints settle a slot as those do that were picked beforehand."""
    deciders = replace(drawn, fills=replace(drawn.fills, same_bar=SameBar.FINER_BARS))
    setup = setup_of(deciders, tape)
    portfolio = Portfolio(run=setup.name)
    for slot in slots_of(tape)[::3]:
        if portfolio.settled_slot is None:
            before = apply(portfolio, [opening(setup.name, setup.cash, slot)])
        else:
            before = portfolio
        picked = gather(tape, setup, before, slot, slot)
        views = {
            token_id: replace(
                view, finer=tuple(one for bar in view.prints for one in tape.finer(token_id, bar, slot, slot))
            )
            for token_id, view in picked.tokens.items()
        }
        assert settle(picked, before, deciders) == settle(replace(picked, tokens=views), before, deciders)
        _, portfolio = run_cycle(setup, tape, portfolio, slot, lambda: at("2030-01-01"))


@st.composite
def wide_bars(draw: st.DrawFn) -> Bar:
    """Draw an hour from 100 that goes at least five up and five down."""
    high, low = 1050 + draw(st.integers(0, 50)), 950 - draw(st.integers(0, 50))
    numbers = (1000, high, low, draw(st.integers(low, high)))
    start = at("2024-01-01 02:00")
    return Bar(start, start + HOUR, *(Price(Decimal(number) / 10) for number in numbers))


def touches(path: Sequence[Bar], side: Side) -> Iterator[tuple[object, ...]]:
    """Walk a path by hand: instant, price and kind of an exit at 95 or 105, the first first."""
    up, down = ("target", "stop") if side is Side.LONG else ("stop", "target")
    edges = {down: Decimal(95), up: Decimal(105)}
    for bar in path:
        if bar.open <= edges[down] or bar.open >= edges[up]:
            kind = down if bar.open <= edges[down] else up
            yield bar.opened_at, bar.open if kind == "stop" else edges[kind], kind
        elif bar.low <= edges[down] or bar.high >= edges[up]:
            both = bar.low <= edges[down] and bar.high >= edges[up]
            kind = "stop" if both else down if bar.low <= edges[down] else up
            yield bar.opened_at, edges[kind], kind


@given(bar=wide_bars(), seed=st.integers(0, 999), gaps=st.booleans(), side=st.sampled_from(list(Side)))
def test_the_first_touch_of_a_path_is_the_exit(bar: Bar, seed: int, side: Side, *, gaps: bool) -> None:
    """Instant, price and kind of the exit are those that a walk by hand finds first, gaps at their opens."""
    path = split(Random(seed), bar, 12, gaps=gaps)
    tape = after_entry("100", path, side)
    token = replace(tape.tokens[1], bars=(*tape.tokens[1].bars[:2], bar))
    (fill,) = exits(fixed(FREE, side), Tape({1: token}))
    assert (fill.filled_at, fill.price, fill.role.value) == next(touches(path, side))
    assert fill.fill_model == "bars-3+5m"
