"""Shorts are longs in a mirror: prices p -> 2c - p, no costs, absolute levels, the same quantities."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.decisions import Candidate, Fact, Outcome
from bot.domain.market import Bar, Level
from bot.domain.numbers import Price
from bot.domain.orders import Fill, Order, Role, Side
from bot.domain.positions import Closing, Position, StopMove
from bot.domain.signals import Stance
from bot.engine.rules import (
    ActOn,
    EntryRules,
    GateRules,
    LimitRules,
    PriceRule,
    Rules,
    SameBar,
    SizeRule,
    SizingRules,
    StopRules,
    TargetPart,
    TargetRules,
)
from tests.notation import Tape, Token, cycles
from tests.properties.random_tapes import FREE, exit_rules, tapes

TWICE = Decimal(300)  # the mirror stands at 150, above every drawn price
TURNED = {Stance.BULLISH: Stance.BEARISH, Stance.BEARISH: Stance.BULLISH, Stance.NEUTRAL: Stance.NEUTRAL}
OTHER = {Side.LONG: Side.SHORT, Side.SHORT: Side.LONG}


def mirrored(price: Price | None) -> Price | None:
    """Turn a price round."""
    return None if price is None else Price(TWICE - price)


def _bar(bar: Bar) -> Bar:
    opened, high, low, close = (Price(TWICE - value) for value in bar[2:6])
    return Bar(bar.opened_at, bar.closed_at, opened, low, high, close)


def _token(token: Token) -> Token:
    return replace(
        token,
        bars=tuple(_bar(bar) for bar in token.bars),
        finer=tuple(_bar(bar) for bar in token.finer),
        signals=tuple(replace(row, stance=TURNED[row.stance]) for row in token.signals),
        levels=tuple(
            replace(one, levels=tuple(Level(Price(TWICE - level.price)) for level in reversed(one.levels)))
            for one in token.levels
        ),
    )


@st.composite
def exact_rules(draw: st.DrawFn) -> Rules:
    """Draw rules that know no fraction of a price: levels, multiples of R, one quantity."""
    rank = TargetPart(share=Decimal("0.4"), rank=1)
    return Rules(
        name="drawn",
        sides=draw(st.sampled_from([frozenset({Side.LONG}), frozenset(Side)])),
        entry=EntryRules(act_on=draw(st.sampled_from(list(ActOn)))),
        gates=GateRules(reward_risk_min=draw(st.sampled_from([None, Decimal("0.5"), Decimal(1)]))),
        stop=StopRules(rule=PriceRule.LEVEL),
        target=draw(
            st.sampled_from(
                [
                    TargetRules(),
                    TargetRules(rule=PriceRule.R_MULTIPLE, multiple=Decimal(1)),
                    TargetRules(rule=PriceRule.LEVEL, rank_max=3),
                    TargetRules(rule=PriceRule.LEVEL, parts=(rank, TargetPart(rank=2))),
                ]
            )
        ),
        sizing=SizingRules(rule=SizeRule.FIXED_QUANTITY, quantity=Decimal(1)),
        exits=replace(draw(exit_rules()), trailing_fraction=None),
        limits=LimitRules(positions_max=draw(st.sampled_from([None, 1, 2]))),
        fills=replace(FREE, same_bar=draw(st.sampled_from(list(SameBar)))),
    )


def _told(facts: Sequence[Fact], *, turned: bool) -> list[tuple[object, ...]]:
    """Tell what happened, seen in the mirror or not."""

    def seen(price: Price | None) -> Price | None:
        return mirrored(price) if turned else price

    def side(one: Side) -> Side:
        return OTHER[one] if turned else one

    told: list[tuple[object, ...]] = []
    for fact in facts:
        if isinstance(fact, Candidate):
            entered = fact.outcome is Outcome.ENTERED
            told.append((fact.slot, fact.token_id, entered, fact.first_reason, seen(fact.stop), seen(fact.target)))
            told.append((fact.reward_risk, fact.quantity))
        elif isinstance(fact, Position):
            told.append((fact.opened_at, side(fact.side), seen(fact.entry_price), seen(fact.stop_initial)))
        elif isinstance(fact, Fill) and fact.role is not Role.ENTRY:
            band = (fact.profit_pessimistic, fact.profit_optimistic)
            told.append((fact.filled_at, fact.fill_model, fact.role, fact.quantity, seen(fact.price), *band))
        elif isinstance(fact, StopMove):
            told.append((fact.moved_at, seen(fact.price), fact.reason, seen(fact.level)))
        elif isinstance(fact, Closing):
            told.append((fact.closed_at, fact.reason, fact.profit))
        elif isinstance(fact, Order):
            told.append((fact.slot, fact.role, fact.part, fact.share, seen(fact.price)))
    return told


@given(tape=tapes(), drawn=exact_rules())
def test_mirrored_prices_give_mirrored_results(tape: Tape, drawn: Rules) -> None:
    """Every candidate, order, fill, stop move, profit and band of the mirrored run is the original's in the mirror."""
    turned = Tape({number: _token(token) for number, token in tape.tokens.items()})
    rules = replace(drawn, sides=frozenset(OTHER[side] for side in drawn.sides))
    plain, _ = cycles(drawn, tape, cash="1000000")
    mirror, _ = cycles(rules, turned, cash="1000000")
    for one, other in zip(plain, mirror, strict=True):
        assert _told(one.facts, turned=False) == _told(other.facts, turned=True)
