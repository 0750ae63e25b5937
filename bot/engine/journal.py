"""The facts of one cycle as they happen, and the balanced entries of the books.

Each leg is rounded half-even to micro-dollars, and the profit leg takes the remainder, so that
every entry sums to zero.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from bot.domain.books import Account, JournalEntry, Posting
from bot.domain.decisions import Fact
from bot.domain.events import EventKind, EventState, RunEvent
from bot.domain.ids import PositionId, RunName, entry_id
from bot.domain.numbers import ZERO, micro_half_even
from bot.domain.orders import Side
from bot.domain.portfolio import Portfolio
from bot.engine.fold import apply_fact


class Acted(NamedTuple):
    """The facts that a stage of a cycle made, in order, and the portfolio after them."""

    facts: tuple[Fact, ...]
    portfolio: Portfolio


class Journal:
    """An account during a stage of a cycle; writing a fact also applies it to the portfolio."""

    def __init__(self, portfolio: Portfolio, slot: datetime, cut_off: datetime | None = None) -> None:
        """Start from a copy of a portfolio at a slot.

        cut_off: the end of the slot's fetch; orders accepted now fill at no earlier price.
        """
        self.cut_off = cut_off
        self.portfolio = portfolio.copy()
        self.slot = slot
        self.facts: list[Fact] = []

    def write(self, *facts: Fact) -> None:
        """Write facts in the order they happened."""
        for fact in facts:
            apply_fact(self.portfolio, fact)
        self.facts.extend(facts)

    def result(self) -> Acted:
        """Return the facts written and the portfolio after them."""
        return Acted(tuple(self.facts), self.portfolio)

    def happen(self, kind: EventKind, name: str, state: EventState, notice: str, **measured: Any) -> None:
        """Write the next event of the slot.

        Only the decision stage writes events, so this journal holds all events of the slot.
        """
        number = sum(isinstance(fact, RunEvent) for fact in self.facts)
        event = RunEvent(
            run=self.portfolio.run,
            slot=self.slot,
            number=number,
            kind=kind,
            name=name,
            state=state,
            notice=notice,
            **measured,
        )
        self.write(event)


def balance(legs: Iterable[tuple[Account, Decimal]]) -> tuple[Posting, ...]:
    """Round each leg to micro-dollars and post the remainder to profit."""
    postings = [Posting(account, micro_half_even(amount)) for account, amount in legs]
    remainder = -sum((posting.amount for posting in postings), ZERO)
    postings.append(Posting(Account.PROFIT, remainder))
    return tuple(posting for posting in postings if posting.amount)


def opening(run: RunName, capital: Decimal, at: datetime) -> JournalEntry:
    """Build the entry that opens an account: cash against capital."""
    return JournalEntry(
        entry_id=entry_id(run, "opening"),
        run=run,
        slot=at,
        cause="opening",
        position_id=None,
        at=at,
        postings=balance([(Account.CASH, capital), (Account.CAPITAL, -capital)]),
    )


def entry_legs(notional: Decimal, fee: Decimal, side: Side) -> tuple[Posting, ...]:
    """Build the legs of an entry.

    Long: cash -(N+f), position +N, fees +f.
    Short: cash +(N-f), position -N, fees +f.
    """
    signed = side.sign * notional
    return balance([(Account.CASH, -(signed + fee)), (Account.POSITION, signed), (Account.FEES, fee)])


def exit_legs(cost: Decimal, notional: Decimal, fee: Decimal, side: Side) -> tuple[Posting, ...]:
    """Build the legs of an exit.

    Long: cash +(M-f), position -cost, fees +f, profit -(M-cost).
    Short: cash -(M+f), position +cost, fees +f, profit -(cost-M).
    """
    return balance(
        [(Account.CASH, side.sign * notional - fee), (Account.POSITION, -side.sign * cost), (Account.FEES, fee)]
    )


def borrow_legs(fee: Decimal) -> tuple[Posting, ...]:
    """Build the legs of a borrow fee: cash -b, fees +b."""
    return balance([(Account.CASH, -fee), (Account.FEES, fee)])


def entry_of(
    run: RunName,
    slot: datetime,
    cause: str,
    position_id: PositionId,
    at: datetime,
    postings: tuple[Posting, ...],
) -> JournalEntry:
    """Build the journal entry of a fill or a borrow fee."""
    return JournalEntry(
        entry_id=entry_id(run, cause),
        run=run,
        slot=slot,
        cause=cause,
        position_id=position_id,
        at=at,
        postings=postings,
    )
