"""Random small histories for properties: a few tokens, gappy bars, levels on the price, tight cash and places."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from hypothesis import strategies as st

from bot.domain.ids import TokenId
from bot.domain.market import Bar, Level, LevelSet
from bot.domain.numbers import Price
from bot.domain.orders import Side
from bot.domain.signals import Signal, Stance
from bot.engine.rules import (
    ActOn,
    Anchor,
    Breaker,
    BreakerAction,
    EntryRules,
    ExitRule,
    ExitRules,
    Fallback,
    FillRules,
    GateRules,
    LimitRules,
    PriceRule,
    Reentry,
    Rules,
    SameBar,
    ShortRules,
    SizeRule,
    SizingRules,
    StopRules,
    TargetPart,
    TargetRules,
)
from tests.finer_paths import split, spoiled
from tests.notation import HOUR, Tape, Token, at

START = at("2024-01-01")
HOURS = 30
GAPPED = 0.5


@st.composite
def walks(draw: st.DrawFn) -> tuple[Bar, ...]:
    """Draw bars in whole tenths around 100, with gaps between them and holes."""
    last = draw(st.integers(800, 1200))
    made = []
    for hour in range(HOURS):
        opened = max(100, last + draw(st.integers(-60, 60)))
        close = max(100, opened + draw(st.integers(-60, 60)))
        high = max(opened, close) + draw(st.integers(0, 60))
        low = max(50, min(opened, close) - draw(st.integers(0, 60)))
        last = close
        if draw(st.integers(0, 9)):
            moment = START + hour * HOUR
            made.append(Bar(moment, moment + HOUR, *(Price(Decimal(n) / 10) for n in (opened, high, low, close))))
    return tuple(made)


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    """Draw one to three tokens with signals, levels and quarters of an hour, some of which do not fit their hour."""
    tokens = {}
    random = Random(draw(st.integers(0, 999)))
    for number in range(1, draw(st.integers(2, 4))):
        token_id = TokenId(number)
        flips = draw(st.lists(st.tuples(st.integers(0, HOURS), st.sampled_from(list(Stance))), max_size=8))
        hours = draw(walks())
        quarters = (spoiled(random, split(random, bar, 4, gaps=random.random() < GAPPED)) for bar in hours)
        tokens[number] = Token(
            bars=hours,
            finer=tuple(quarter for inside in quarters for quarter in inside),
            signals=tuple(
                Signal(provider="test", feed="daily", token_id=token_id, stance=s, published_at=w, known_at=w)
                for w, s in {START + hour * HOUR: stance for hour, stance in flips}.items()
            ),
            levels=(
                LevelSet(
                    token_id=token_id,
                    published_at=START,
                    known_at=START,
                    levels=tuple(
                        Level(Price(Decimal(n) / 10))
                        for n in sorted(draw(st.sets(st.integers(600, 1400), min_size=1, max_size=12)))
                    ),
                ),
            ),
        )
    return Tape(tokens)


COSTS = FillRules(
    fee_fraction=Decimal("0.001"), half_spread_fraction=Decimal("0.0002"), slippage_fraction=Decimal("0.0005")
)
FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))


SIDES = (frozenset({Side.LONG}), frozenset({Side.SHORT}), frozenset({Side.LONG, Side.SHORT}))


@st.composite
def exit_rules(draw: st.DrawFn) -> ExitRules:
    """Draw the ways out: the first three always, and any of the others."""
    hours = draw(st.sampled_from([None, Decimal(3), Decimal(9)]))
    trailing = draw(st.sampled_from([None, Decimal("0.02"), Decimal("0.05")]))
    even = draw(st.sampled_from([None, Decimal("0.5"), Decimal(1)]))
    ratchet = draw(st.booleans())
    chosen = {ExitRule.STOP_HIT, ExitRule.TARGET_HIT, ExitRule.SIGNAL_FLIPPED}
    chosen |= {ExitRule.TIME_STOP} if hours else set()
    chosen |= {ExitRule.TRAILING_STOP} if trailing or ratchet else set()
    chosen |= {ExitRule.BREAK_EVEN} if even else set()
    return ExitRules(
        rules=frozenset(chosen),
        time_stop_hours=hours,
        trailing_fraction=trailing,
        ratchet_to_support=ratchet,
        break_even_r=even,
    )


@st.composite
def breakers(draw: st.DrawFn, at: str, hours: int) -> Breaker | None:
    """Draw a breaker or none."""
    action = draw(st.sampled_from([None, *BreakerAction]))
    return (
        None
        if action is None
        else Breaker(at=Decimal(at), action=action, hours=draw(st.sampled_from([None, Decimal(hours)])))
    )


PARTS = (TargetPart(share=Decimal("0.3"), multiple=Decimal("0.5")), TargetPart(multiple=Decimal("1.5")))


STOPS = (
    StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.04")),
    StopRules(
        rule=PriceRule.LEVEL,
        buffer_fraction=Decimal("0.003"),
        distance_max=Decimal("0.1"),
        fallback=Fallback(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
    ),
    StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.04"), anchor=Anchor.FILL),
)
TARGETS = (
    TargetRules(rule=PriceRule.NONE),
    TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(1)),
    TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(1), parts=PARTS),
    TargetRules(rule=PriceRule.LEVEL, rank_max=3),
)
SIZES = (
    SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal("0.6")),
    SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(4000), notional_min=Decimal(3000)),
    SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.02"), weight_max=Decimal("0.5")),
)


@st.composite
def limit_rules(draw: st.DrawFn) -> LimitRules:
    """Draw places, exposure and breakers."""
    return LimitRules(
        positions_max=draw(st.sampled_from([None, 1, 2])),
        exposure_max=draw(st.sampled_from([None, Decimal("0.7")])),
        drawdown=draw(breakers("0.02", 6)),
        daily_loss=draw(breakers("0.02", 3)),
        loss_streak=draw(breakers("2", 5)),
    )


@st.composite
def rules(draw: st.DrawFn, fills: FillRules = COSTS, sides: tuple[frozenset[Side], ...] = SIDES) -> Rules:
    """Draw a strategy from the rules that need no measures."""
    return Rules(
        name="drawn",
        sides=draw(st.sampled_from(sides)),
        short=ShortRules(borrow_fraction_per_day=draw(st.sampled_from([Decimal(0), Decimal("0.001")]))),
        entry=EntryRules(
            act_on=draw(st.sampled_from(list(ActOn))), reentry=draw(st.sampled_from([Reentry.NEVER, *Reentry]))
        ),
        gates=GateRules(reward_risk_min=draw(st.sampled_from([None, Decimal("0.5"), Decimal(1)]))),
        stop=draw(st.sampled_from(STOPS)),
        target=draw(st.sampled_from(TARGETS)),
        sizing=draw(st.sampled_from(SIZES)),
        exits=draw(exit_rules()),
        limits=draw(limit_rules()),
        fills=replace(fills, same_bar=draw(st.sampled_from(list(SameBar)))),
    )


def cut(tape: Tape, end: datetime) -> Tape:
    """Return what was known of a tape by an instant."""
    return Tape(
        {
            number: replace(
                token,
                bars=tuple(bar for bar in token.bars if bar.closed_at <= end),
                signals=tuple(row for row in token.signals if row.published_at <= end),
                levels=tuple(row for row in token.levels if row.known_at <= end),
            )
            for number, token in tape.tokens.items()
        }
    )


def later(hours: int) -> datetime:
    """Return an instant of the drawn window."""
    return START + timedelta(hours=hours)
