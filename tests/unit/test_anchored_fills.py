"""Entries anchored at the fill: what is found anew there leaves to others what the slot granted them."""

from decimal import Decimal

from bot.engine.rules import Anchor, FillRules, PriceRule, Rules, SizeRule, SizingRules, StopRules
from tests.notation import Tape, Token, bars, levels, play, signal

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
