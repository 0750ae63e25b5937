"""Entries anchored at the fill: what is found anew there leaves to others what the slot granted them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.domain.orders import Anchor, Order, Role, Side
from bot.engine.rules import FillRules, PriceRule, Rules, SizeRule, SizingRules, StopRules
from tests.notation import Tape, Token, bars, cycles, levels, play, signal
from tests.proposals import accepted

FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
ANCHORED = Rules(
    name="anchored",
    stop=StopRules(rule=PriceRule.LEVEL, anchor=Anchor.FILL),
    sizing=SizingRules(rule=SizeRule.RISK_FRACTION, risk_fraction=Decimal("0.01")),
    fills=FREE,
)


def turned(text: str, number: int = 1) -> Token:
    """Turn a token bullish at 01:00, with a support at 95."""
    return Token(
        bars=bars("2024-01-01", text),
        signals=[signal("2024-01-01 01:00", "bullish", number)],
        levels=[levels("2024-01-01 00:30", 95, token=number)],
    )


def test_an_anchored_entry_leaves_the_cash_that_others_have_reserved() -> None:
    """Filled at 96, a hundred at risk buys 9600 worth; the 2000 that the second was granted stay reserved for it."""
    tape = Tape({1: turned("100 | 96 96 96 96"), 2: turned("100 | 100", 2)})
    assert play(ANCHORED, tape).splitlines() == [
        "01-01 01:00 ENTER T1 83.33333333 @ 96 stop 95 target -",
        "01-01 01:00 ENTER T2 20 @ 100 stop 95 target -",
    ]


@pytest.mark.parametrize("anchor", Anchor)
def test_an_entry_names_its_anchor(anchor: Anchor) -> None:
    """It is a fact of the order, not read off other columns; its children have none."""
    tape = Tape({1: turned("100 | 96 96 96 96")})
    rules = replace(ANCHORED, stop=StopRules(rule=PriceRule.LEVEL, anchor=anchor))
    made = [fact for record in cycles(rules, tape)[0] for fact in record.facts if isinstance(fact, Order)]
    assert {order.role: (order.anchor, order.is_anchored_at_fill) for order in made} == {
        Role.ENTRY: (anchor, anchor is Anchor.FILL),
        Role.STOP: (None, False),
    }


def test_an_entry_of_an_older_ledger_is_anchored_by_what_it_carries() -> None:
    """Orders of before schema 0006 name no anchor: with the equity of their slot it is the fill."""
    old = accepted(1, Role.ENTRY).order
    assert not old.is_anchored_at_fill
    assert replace(old, equity=Decimal(1)).is_anchored_at_fill


ALL_IN = Rules(
    name="all_in",
    stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.5"), anchor=Anchor.FILL),
    sizing=SizingRules(rule=SizeRule.FIXED_FRACTION, fraction=Decimal(1), notional_min=Decimal(10)),
    fills=FREE,
)


def switching(sell: str, closing_bars: str = "100 | 100 | 100 | 80") -> Tape:
    """Put everything on the first token at 01:00; at 03:00 it turns, as the second turns the way the first did."""
    buy = "bullish" if sell == "bearish" else "bearish"
    first = Token(
        bars=bars("2024-01-01", closing_bars),
        signals=[signal("2024-01-01 01:00", buy), signal("2024-01-01 03:00", sell)],
    )
    second = Token(
        bars=bars("2024-01-01", "50 | 50 | 50 | 40 | 40"), signals=[signal("2024-01-01 03:00", buy, 2)]
    )
    return Tape({1: first, 2: second})


def test_an_anchored_entry_counts_what_the_exits_of_its_slot_will_bring() -> None:
    """The slot expects 10000 from the exit, the open brings 8000, which buys; with a reference there is no cash."""
    assert play(ALL_IN, switching("bearish")).splitlines() == [
        "01-01 01:00 ENTER T1 100 @ 100 stop 50 target -",
        "01-01 03:00 EXIT T1 100 @ 80 signal_flipped -2000.000000",
        "01-01 03:00 ENTER T2 200 @ 40 stop 20 target -",
    ]
    at_reference = replace(ALL_IN, stop=replace(ALL_IN.stop, anchor=Anchor.REFERENCE))
    assert play(at_reference, switching("bearish")).splitlines()[1:] == [
        "01-01 03:00 SKIP T2 notional",
        "01-01 03:00 EXIT T1 100 @ 80 signal_flipped -2000.000000",
    ]


def test_an_anchored_entry_finds_no_cash_while_the_exit_has_no_price() -> None:
    """The first token has no bar after its turn: without its cash the second's entry is cancelled at its open."""
    told = play(ALL_IN, switching("bearish", "100 | 100 | 100")).splitlines()
    assert told[1:] == ["01-01 04:00 CANCELLED order cash_at_fill"]


def test_a_cover_frees_the_margin_for_an_anchored_entry() -> None:
    """A short of everything locks all cash; what its cover frees lets the slot's equity of 10000 be sold again."""
    rules = replace(ALL_IN, sides=frozenset({Side.SHORT}), stop=replace(ALL_IN.stop, fraction=Decimal(1)))
    assert play(rules, switching("bullish")).splitlines() == [
        "01-01 01:00 SHORT T1 100 @ 100 stop 200 target -",
        "01-01 03:00 EXIT T1 100 @ 80 signal_flipped +2000.000000",
        "01-01 03:00 SHORT T2 250 @ 40 stop 80 target -",
    ]
