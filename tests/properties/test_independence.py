"""A trade depends on its token alone: not on the others in the universe, nor on slots at which no stance changes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.market import Bar
from bot.domain.numbers import Price
from bot.domain.orders import Fill, Side
from bot.domain.positions import Closing, ExitReason, Position
from bot.domain.signals import Signal
from bot.engine.rules import (
    ExitRule,
    ExitRules,
    FillRules,
    PriceRule,
    Rules,
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetFill,
    TargetRules,
)
from tests.notation import DAY, HOUR, Tape, Token, at, bars, cycles, signal

START = at("2024-01-01")
WEEK = 7 * 24
WARM_UP = 3
# Hours between two bars: nearly always one, now and then a hole, and just below or above the week that makes a halt.
STEPS = (1, 1, 1, 1, 1, 1, 2, 5, 30, WEEK, WEEK + 1, WEEK + 2, 2 * WEEK)
QUIET = 1 / 8
STANCES = ("bullish", "bearish", "neutral")
SEEDS = st.integers(0, 10**9)


# What is told of a trade; at which slot it was noticed is not.
TOLD = {
    Position: attrgetter("position_id", "opened_at", "entry_price", "quantity"),
    Fill: attrgetter("position_id", "filled_at", "price", "quantity", "fee", "profit_pessimistic", "profit_optimistic"),
    Closing: attrgetter("position_id", "closed_at", "reason", "profit", "mae", "mfe"),
}


@dataclass(frozen=True)
class Case:
    """A token's bars and stances, the rules, and which slots are asked for beside those that must be."""

    bars: tuple[Bar, ...]
    signals: tuple[Signal, ...]
    rules: Rules
    kept: frozenset[int]


def case_of(seed: int) -> Case:
    """Make hours with holes and quiet bars, a few stances, a bracket, exits and a share of the slots."""
    random = Random(seed)
    opened, last, made = START, 1000, []
    for number in range(random.randint(8, 25)):
        opens = max(100, last + random.randint(-80, 80))
        last = max(100, opens + random.randint(-80, 80))
        high, low = max(opens, last) + random.randint(0, 90), max(50, min(opens, last) - random.randint(0, 90))
        volume = Decimal(0 if number >= WARM_UP and random.random() < QUIET else 5)
        prices = (Price(Decimal(one) / 10) for one in (opens, high, low, last))
        made.append(Bar(opened, opened + HOUR, *prices, volume))
        opened += HOUR * (1 if number < WARM_UP else random.choice(STEPS))
    turns = sorted(random.sample(made[WARM_UP - 1 :], random.randint(1, 4)))
    signals = [
        replace(signal("2024-01-01", random.choice(STANCES)), published_at=bar.closed_at, known_at=bar.closed_at)
        for bar in turns
    ]
    kept = frozenset(random.sample(range(40), random.randint(0, 8)))
    return Case(tuple(made), tuple(signals), rules_of(random), kept)


def rules_of(random: Random) -> Rules:
    """Make a bracket, a set of exits, sides and costs; nothing that looks at slots or at other tokens."""
    stop, target = (random.choice((Decimal("0.03"), Decimal("0.08"), None)) for _ in range(2))
    exits = random.sample(tuple(ExitRule), random.randint(1, len(ExitRule)))
    return Rules(
        name="drawn",
        sides=random.choice((frozenset({Side.LONG}), frozenset({Side.SHORT}), frozenset(Side))),
        bearish_exits=random.random() < 1 / 2,
        stop=StopRules(rule=PriceRule.FRACTION, fraction=stop) if stop else StopRules(),
        target=TargetRules(rule=PriceRule.FRACTION, fraction=target) if target else TargetRules(),
        sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
        exits=ExitRules(
            rules=frozenset(exits),
            time_stop_hours=random.choice((Decimal(1), Decimal("2.5"), Decimal(24), Decimal(180))),
            trailing_fraction=Decimal("0.06"),
            break_even_r=Decimal(1),
        ),
        short=ShortRules(
            borrow_fraction_per_day=Decimal("0.001"), margin_fraction=random.choice((Decimal("0.1"), Decimal(1)))
        ),
        fills=FillRules(target_fill=random.choice(tuple(TargetFill))),
    )


def slots_of(case: Case, every: Sequence[datetime]) -> list[datetime]:
    """Return the slots that notice a stance, the last, and those that were drawn."""
    noticed = {min(slot for slot in every if slot >= one.published_at) for one in case.signals}
    return [slot for place, slot in enumerate(every) if slot in noticed or place in case.kept or slot == every[-1]]


def trades_of(case: Case, slots: Sequence[datetime], neighbour: Sequence[Bar] = ()) -> list[list[tuple[object, ...]]]:
    """Run the slots and return every trade of the first token, without the slots at which it was noticed."""
    tokens = {1: Token(bars=case.bars, signals=case.signals)}
    tape = Tape(tokens if not neighbour else {**tokens, 2: Token(bars=neighbour)})
    records, _ = cycles(case.rules, tape, slots)
    facts = [fact for record in records for fact in record.facts]
    told: list[list[tuple[object, ...]]] = []
    for kind, tells in TOLD.items():
        told.append([tells(fact) for fact in facts if isinstance(fact, kind)])
    return told


def closes_of(case: Case) -> list[datetime]:
    """Return every close of a bar, and a last slot more than a week after them."""
    return [*(bar.closed_at for bar in case.bars), case.bars[-1].closed_at + timedelta(days=8)]


@given(SEEDS)
def test_slots_at_which_no_stance_changes_change_no_trade(seed: int) -> None:
    """Dropping them leaves every entry, fill, exit, band and excursion as it was, over holes and halts."""
    case = case_of(seed)
    every = closes_of(case)
    assert trades_of(case, slots_of(case, every)) == trades_of(case, every)


@given(SEEDS)
def test_a_neighbour_that_is_never_entered_changes_no_trade(seed: int) -> None:
    """A flat token with a bar every day brings slots into every hole; the trades of the other do not change."""
    case = case_of(seed)
    every = closes_of(case)
    days = bars("2024-01-01", " | ".join(["1"] * ((every[-1] - START).days + 1)), DAY)
    dense = sorted({*every, *(bar.closed_at for bar in days if bar.closed_at <= every[-1])})
    assert trades_of(case, dense, days) == trades_of(case, every)


def test_the_laws_above_are_about_every_exit() -> None:
    """Among two hundred cases there are trades that each kind of exit ended, halts and liquidations too."""
    closed = [one for seed in range(200) for one in trades_of(case_of(seed), closes_of(case_of(seed)))[2]]
    assert {one[2] for one in closed} >= set(ExitReason) - {ExitReason.RISK_BREAKER, ExitReason.MANUAL}
