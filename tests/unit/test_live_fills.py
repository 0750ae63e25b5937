"""Fills in the cycle's own time: prices asked once more after the decision, and bars that opened before a fill."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bot.domain.ids import TokenId
from bot.domain.market import Bar
from bot.domain.orders import Fill, Role
from bot.domain.positions import Closing
from bot.domain.reach import EVERY_BAR, Reach
from bot.engine.rules import FillRules, PriceRule, Rules, SizeRule, SizingRules, StopRules
from tests.notation import Tape, Token, at, bars, cycles, play, price, signal

RULES = Rules(
    name="live",
    stop=StopRules(rule=PriceRule.FRACTION, fraction=Decimal("0.05")),
    sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(1000)),
    fills=FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0)),
)


def asked(text: str, *prices: tuple[str, str], flips: tuple[tuple[str, str], ...] = ()) -> Tape:
    """Make a tape whose source answers the second asking at the given slots."""
    answers = {at(slot): price(value) for slot, value in prices}
    rows = [signal("2024-01-01 01:00", "bullish"), *(signal(when, stance) for when, stance in flips)]
    return Tape({1: Token(bars=bars("2024-01-01", text), signals=rows)}, lambda slot, _token: answers.get(slot))


def test_an_entry_is_priced_and_filled_in_its_own_cycle() -> None:
    """The price asked after the decision fills the entry at its own instant."""
    records, portfolio = cycles(RULES, asked("100 | 100", ("2024-01-01 01:00", "101")))
    fill = next(fact for fact in records[0].facts if isinstance(fact, Fill))
    assert (fill.price, fill.filled_at, fill.slot) == (
        101,
        at("2024-01-01 01:00") + timedelta(seconds=1),
        at("2024-01-01 01:00"),
    )
    assert records[0].cycle.settled_until == fill.filled_at
    assert len(portfolio.holdings) == 1


def test_an_exit_is_priced_and_filled_in_its_own_cycle() -> None:
    """A bearish turn sells at the price asked after the decision."""
    tape = asked(
        "100 | 100", ("2024-01-01 01:00", "100"), ("2024-01-01 02:00", "97"), flips=(("2024-01-01 02:00", "bearish"),)
    )
    records, _ = cycles(RULES, tape)
    closing = next(fact for fact in records[1].facts if isinstance(fact, Closing))
    assert (closing.reason, closing.profit, records[1].cycle.exits) == ("signal_flipped", -30, 1)


def test_of_a_bar_that_opened_before_the_fill_only_the_close_counts() -> None:
    """Bought a second into the bar: its low below the stop may have been before, its close below the stop was after."""
    entered = ("2024-01-01 01:00", "100")
    assert "EXIT" not in play(RULES, asked("100 | 100 101 90 99", entered))
    told = play(RULES, asked("100 | 100 101 90 94", entered))
    assert told.splitlines()[-1] == "01-01 02:00 EXIT T1 10 @ 94 stop_hit -60.000000"


def test_a_bar_that_closed_before_the_fill_does_not_count() -> None:
    """A bar that becomes known late and lies before the fill is nothing that the position lived through."""
    late = bars("2024-01-01", "100 100 50 100")[0]
    tape = asked("100 | 100 | 100", ("2024-01-01 02:00", "100"), flips=())
    moved = replace(tape.tokens[1], signals=[signal("2024-01-01 02:00", "bullish")])

    class Late(Tape):
        def prints(
            self,
            token_id: TokenId,
            seen: tuple[datetime, datetime] | None,
            as_of: datetime,
            _cut_off: datetime,
            _reach: Reach = EVERY_BAR,
        ) -> tuple[Bar, ...]:
            found = super().prints(token_id, seen, as_of, _cut_off)
            return (late, *found) if as_of == at("2024-01-01 03:00") else found

    assert "EXIT" not in play(RULES, Late({1: moved}, tape.quoted))


def test_without_a_second_price_the_first_later_bar_fills() -> None:
    """If asking failed, the next bar's open fills the entry."""
    records, _ = cycles(RULES, asked("100 | 102"))
    fill = next(fact for record in records for fact in record.facts if isinstance(fact, Fill))
    assert (fill.role, fill.price, fill.filled_at) == (Role.ENTRY, 102, at("2024-01-01 01:00"))
