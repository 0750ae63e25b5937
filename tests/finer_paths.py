"""Finer bars for tests: paths through a bar, what may be wrong with them, and the trade that they decide."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from bot.domain.market import Bar
from bot.domain.numbers import Price
from bot.domain.orders import Fill, Role, Side
from bot.engine.rules import (
    FillRules,
    PriceRule,
    Rules,
    SameBar,
    SizeRule,
    SizingRules,
    StopRules,
    TargetRules,
)
from tests.notation import HOUR, Tape, Token, at, bars, cycles, signal

TICK = Decimal("0.1")
SPOILED = 0.1
FREE = FillRules(
    fee_fraction=Decimal(0),
    half_spread_fraction=Decimal(0),
    slippage_fraction=Decimal(0),
    same_bar=SameBar.FINER_BARS,
)
BOTH = "100 110 90 101"
STOP_IN_THE_THIRD = "100 101 99 100 | 100 102 98 99 | 99 100 95 96 | 96 110 90 101"
TARGET_IN_THE_THIRD = "100 101 99 100 | 100 102 98 101 | 101 105 100 104 | 104 110 90 101"
BOTH_IN_THE_THIRD = "100 101 99 100 | 100 102 98 100 | 100 106 94 101 | 101 110 90 101"
MINUTE = timedelta(minutes=1)


def fixed(fills: FillRules = FREE, side: Side = Side.LONG, **changes: object) -> Rules:
    """Enter with 10 at every turn, stop 5 % behind, target 1 R ahead; the finer bars decide."""
    rules = Rules(
        name="fixed",
        sides=frozenset({side}),
        stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
        target=TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(1)),
        sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(10)),
        fills=replace(fills, same_bar=SameBar.FINER_BARS),
    )
    return replace(rules, **changes)  # type: ignore[arg-type]


def minutes(text: str, start: str = "2024-01-01 02:00", step: timedelta = MINUTE, until: timedelta = HOUR) -> list[Bar]:
    """Read the first minutes of an hour; the others stay where the last of them closed."""
    made = list(bars(start, text, step))
    while made[-1].closed_at < at(start) + until:
        last = made[-1]
        made.append(Bar(last.closed_at, last.closed_at + step, *[last.close] * 4))
    return made


def after_entry(text: str, finer: Sequence[Bar], side: Side = Side.LONG) -> Tape:
    """Enter at 100 at 01:00, then live through the bars from 02:00 on."""
    turn = signal("2024-01-01 01:00", "bullish" if side is Side.LONG else "bearish")
    return Tape({1: Token(bars=bars("2024-01-01", f"100 | 100 | {text}"), finer=finer, signals=[turn])})


def exits(rules: Rules, tape: Tape, slots: Sequence[datetime] | None = None) -> list[Fill]:
    """Return the fills that end positions."""
    records, _ = cycles(rules, tape, slots)
    facts = (fact for record in records for fact in record.facts)
    return [fact for fact in facts if isinstance(fact, Fill) and fact.role is not Role.ENTRY]


def split(random: Random, bar: Bar, pieces: int, *, gaps: bool = False) -> list[Bar]:
    """Cut a bar into pieces that add up to it; each opens where the one before closed, or with gaps anywhere."""
    span = (bar.closed_at - bar.opened_at) / pieces
    top, bottom = random.randrange(pieces), random.randrange(pieces)
    made, opened = [], bar.open
    for number in range(pieces):
        close = bar.close if number == pieces - 1 else _between(random, bar.low, bar.high)
        high = bar.high if number == top else _between(random, max(opened, close), bar.high)
        low = bar.low if number == bottom else _between(random, bar.low, min(opened, close))
        start = bar.opened_at + number * span
        made.append(Bar(start, start + span, opened, high, low, close))
        opened = _between(random, bar.low, bar.high) if gaps else close
    return made


def _between(random: Random, low: Price, high: Price) -> Price:
    return Price(low + TICK * random.randint(0, int((high - low) / TICK)))


def spoiled(random: Random, inside: Sequence[Bar]) -> list[Bar]:
    """Take now and then one of the bars away, let one go beyond the extremes, or keep all off one of them."""
    made, chance = list(inside), random.random()
    at = random.randrange(len(made))
    if chance < SPOILED:
        del made[at]
    elif chance < 2 * SPOILED:
        made[at] = made[at]._replace(high=Price(max(bar.high for bar in made) + TICK))
    elif chance < 3 * SPOILED:
        middle = Price((max(bar.high for bar in made) + min(bar.low for bar in made)) / 2)
        made = [Bar(*bar[:2], *(max(price, middle) for price in bar[2:6])) for bar in made]
    return made
