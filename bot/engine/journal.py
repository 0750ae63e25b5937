"""The facts of one cycle as they happen, and the books they balance.

Each leg is rounded half-even to micro-dollars; the profit leg takes the remainder, so that every entry sums to zero.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from bot.domain.books import Account, JournalEntry, Posting
from bot.domain.decisions import Fact
from bot.domain.ids import PositionId, RunName, entry_id
from bot.domain.numbers import ZERO, micro_half_even
from bot.domain.portfolio import Portfolio
from bot.engine.fold import apply_fact


class Journal:
    """An account being acted on: write a fact, and the portfolio moves with it."""

    def __init__(self, portfolio: Portfolio, slot: datetime) -> None:
        """Start from a portfolio at a slot."""
        self.portfolio = portfolio
        self.slot = slot
        self.facts: list[Fact] = []

    def write(self, *facts: Fact) -> None:
        """Add facts in the order they happened."""
        for fact in facts:
            self.portfolio = apply_fact(self.portfolio, fact)
        self.facts.extend(facts)


def balanced(legs: Iterable[tuple[Account, Decimal]]) -> tuple[Posting, ...]:
    """Round each leg to micro-dollars and put what is missing to zero on the profit leg."""
    postings = [Posting(account, micro_half_even(amount)) for account, amount in legs]
    remainder = -sum((posting.amount for posting in postings), ZERO)
    postings.append(Posting(Account.PROFIT, remainder))
    return tuple(posting for posting in postings if posting.amount)


def opening(run: RunName, capital: Decimal, at: datetime) -> JournalEntry:
    """Endow an account: cash against capital."""
    return JournalEntry(
        entry_id=entry_id(run, "opening"),
        run=run,
        slot=at,
        cause="opening",
        position_id=None,
        at=at,
        postings=balanced([(Account.CASH, capital), (Account.CAPITAL, -capital)]),
    )


def bought(notional: Decimal, fee: Decimal) -> tuple[Posting, ...]:
    """Return the legs of a long entry: cash -(N+f), position +N, fees +f."""
    return balanced([(Account.CASH, -(notional + fee)), (Account.POSITION, notional), (Account.FEES, fee)])


def sold(cost: Decimal, notional: Decimal, fee: Decimal) -> tuple[Posting, ...]:
    """Return the legs of a long exit: cash +(M-f), position -cost, fees +f, profit -(M-cost)."""
    return balanced([(Account.CASH, notional - fee), (Account.POSITION, -cost), (Account.FEES, fee)])


def entry_of(
    run: RunName, slot: datetime, cause: str, position_id: PositionId, at: datetime, postings: tuple[Posting, ...]
) -> JournalEntry:
    """Make the journal entry of a fill."""
    return JournalEntry(
        entry_id=entry_id(run, cause),
        run=run,
        slot=slot,
        cause=cause,
        position_id=position_id,
        at=at,
        postings=postings,
    )
