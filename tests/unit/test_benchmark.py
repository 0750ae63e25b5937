"""The benchmark: equal parts of the universe, bought once and kept, stored at the first slot of each UTC day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from bot.app.cycle.run_cycle import run_cycle
from bot.domain.decisions import BenchmarkPart, EquityMark
from bot.domain.ids import RunName, TokenId
from bot.domain.market import Quote
from bot.domain.portfolio import Portfolio
from bot.engine.rules import Rules
from tests.notation import HOUR, Tape, Token, at, bars, cycles, setup_of

DAY = timedelta(days=1)


def _marked(tape: Tape, slots: Sequence[str]) -> tuple[list[Decimal | None], list[BenchmarkPart], Portfolio]:
    records, portfolio = cycles(Rules(name="idle"), tape, [at(slot) for slot in slots], "1000")
    facts = [fact for record in records for fact in record.facts]
    marks = [fact.benchmark for fact in facts if isinstance(fact, EquityMark)]
    return marks, [fact for fact in facts if isinstance(fact, BenchmarkPart)], portfolio


def test_equal_parts_are_bought_once_and_kept() -> None:
    """Of 1,000 half buys at 10, half at 4; at 20 and 4 that is 1,500, at 20 and 2 it is 1,250."""
    tape = Tape(
        {1: Token(bars=bars("2024-01-01", "10 | 20 | 20", DAY)), 2: Token(bars=bars("2024-01-01", "4 | 4 | 2", DAY))}
    )
    marks, parts, _ = _marked(tape, ["2024-01-02", "2024-01-03", "2024-01-04"])
    assert marks == [Decimal(1000), Decimal(1500), Decimal(1250)]
    assert [(part.token_id, part.price) for part in parts] == [(1, Decimal(10)), (2, Decimal(4))]


def test_a_part_is_cash_until_its_token_has_a_price() -> None:
    """The third token comes on the second day: until then its third of 900 stays, then it doubles."""
    late = bars("2024-01-02", "5 | 10", DAY)
    flat = bars("2024-01-01", "1 | 1 | 1", DAY)
    tape = Tape({1: Token(bars=flat), 2: Token(bars=flat), 3: Token(bars=late)})
    marks, parts, portfolio = _marked(tape, ["2024-01-02", "2024-01-03", "2024-01-04"])
    assert marks == [Decimal(1000), Decimal(1000), Decimal("1333.333333")]
    assert [(part.token_id, part.price) for part in parts[2:]] == [(3, None), (3, Decimal(5))]
    third = Decimal("333.333333333333333333")
    assert {token_id: part[:2] for token_id, part in portfolio.parts.items()} == {
        1: (Decimal(1), third),
        2: (Decimal(1), third),
        3: (Decimal(5), third),
    }


def test_a_universe_that_changes_is_bought_anew() -> None:
    """Doubled to 2,000 when one token leaves and another comes: its worth goes into equal parts of the new universe."""
    prices = {1: "1 | 2 | 2 | 4", 2: "1 | 2 | 2 | 2", 3: "1 | 1 | 1 | 2"}
    tape = Tape({token: Token(bars=bars("2024-01-01", text, DAY)) for token, text in prices.items()})
    setup, portfolio, marks = setup_of(Rules(name="idle"), tape, "1000"), Portfolio(run=RunName("test")), []
    for day, universe in ((2, (1, 2)), (3, (1, 2)), (4, (1, 3)), (5, (1, 3))):
        of_day = replace(setup, universe=tuple(map(TokenId, universe)))
        slot = at(f"2024-01-0{day}")
        record, portfolio = run_cycle(of_day, tape, portfolio, slot, lambda: at("2030-01-01"))
        marks += [fact.benchmark for fact in record.facts if isinstance(fact, EquityMark)]
    assert marks == [Decimal(1000), Decimal(2000), Decimal(2000), Decimal(4000)]
    assert set(portfolio.parts) == {1, 3}


def test_only_the_first_marked_slot_of_a_day_has_it() -> None:
    """Of the slots at 22:00, 23:00, 01:00 and 02:00 the first of each day has a value, though none is at midnight."""
    tape = Tape({1: Token(bars=bars("2024-01-01 20:00", "10 | 10 | 11 | 12 | 13 | 14"))})
    marks, _, _ = _marked(tape, ["2024-01-01 22:00", "2024-01-01 23:00", "2024-01-02 01:00", "2024-01-02 02:00"])
    assert marks == [Decimal(1000), None, Decimal(1300), None]


def test_no_benchmark_ends_a_run() -> None:
    """A price of 2e10 for a token that nobody holds is more than a ledger holds: the day has no benchmark."""
    tape = Tape({1: Token(bars=bars("2024-01-01", "1 | 200000000000 | 2", DAY))})
    marks, _, _ = _marked(tape, ["2024-01-02", "2024-01-03", "2024-01-04"])
    assert marks == [Decimal(1000), None, Decimal(2000)]


def test_nothing_buys_no_parts() -> None:
    """An account that is worth nothing when its benchmark would begin has none."""
    tape = Tape({1: Token(bars=bars("2024-01-01", "1 | 1", DAY))})
    ruined = Portfolio(run=RunName("test"), settled_slot=at("2024-01-01"), settled_until=at("2024-01-01"))
    record, portfolio = run_cycle(
        setup_of(Rules(name="idle"), tape), tape, ruined, at("2024-01-02"), lambda: at("2030-01-01")
    )
    assert [fact.benchmark for fact in record.facts if isinstance(fact, EquityMark)] == [None]
    assert portfolio.parts == {}


def test_a_bought_token_without_a_price_makes_it_unknown() -> None:
    """A token whose price is gone is not worth nothing, nor what it was: the day has no benchmark."""

    class Gone(Tape):
        """A tape that has lost its prices at one slot."""

        def price(self, token_id: TokenId, as_of: datetime, cut_off: datetime) -> Quote | None:
            """Return the last close, and nothing at that slot."""
            return None if as_of == at("2024-01-02 01:00") else super().price(token_id, as_of, cut_off)

    tape = Gone({1: Token(bars=bars("2024-01-01", "10 | 10", 12 * HOUR))})
    marks, _, _ = _marked(tape, ["2024-01-01 12:00", "2024-01-02 01:00", "2024-01-03"])
    assert marks == [Decimal(1000), None, Decimal(1000)]
