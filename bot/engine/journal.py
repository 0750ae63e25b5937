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
from bot.domain.events import EventKind, RunEvent
from bot.domain.ids import PositionId, RunName, TokenId, entry_id
from bot.domain.numbers import ZERO, Price, micro_half_even
from bot.domain.portfolio import Portfolio
from bot.domain.snapshot import Snapshot
from bot.engine.account import within_margin
from bot.engine.fold import apply_fact
from bot.engine.rules import Rules

Legs = Iterable[tuple[Account, Decimal]]


class Acted(NamedTuple):
    """The facts that a stage of a cycle made, in order, and the portfolio after them."""

    facts: tuple[Fact, ...]
    portfolio: Portfolio


class Journal:
    """An account during a stage of a cycle; writing a fact also applies it to the portfolio."""

    def __init__(self, portfolio: Portfolio, snapshot: Snapshot, rules: Rules) -> None:
        """Start from a copy of a portfolio, with what the stage knows and the rules it obeys."""
        self.portfolio, self.snapshot, self.rules = portfolio.copy(), snapshot, rules
        self.slot, self.views = snapshot.as_of, snapshot.tokens
        self.facts: list[Fact] = []

    def write(self, *facts: Fact) -> None:
        """Write facts in the order they happened."""
        for fact in facts:
            apply_fact(self.portfolio, fact)
        self.facts.extend(facts)

    def mark_prices(self) -> dict[TokenId, Price]:
        """Choose the mark price of each held token: the last known price, or else its last mark.

        A short is never marked beyond the price that uses up its margin, even by a quiet bar.
        """
        found: dict[TokenId, Price] = {}
        views, passed, rules = self.views, self.snapshot.passed, self.rules
        for token_id, holding in self.portfolio.holdings.items():
            view, prints = views.get(token_id), passed.get(token_id)
            known = view.price.price if view and view.price else holding.price
            last = prints[-1].close if prints else known
            found[token_id] = within_margin(last, holding.position, rules)
        return found

    def result(self) -> Acted:
        """Return the facts written and the portfolio after them."""
        return Acted(tuple(self.facts), self.portfolio)

    def happen(self, kind: EventKind, name: str, **fields: Any) -> None:
        """Write the next event of the slot; only the decision, which is one stage, has events."""
        number = sum(isinstance(fact, RunEvent) for fact in self.facts)
        run = self.portfolio.run
        self.write(RunEvent(run=run, slot=self.slot, number=number, kind=kind, name=name, **fields))


def opening(run: RunName, capital: Decimal, at: datetime) -> JournalEntry:
    """Build the entry that opens an account: cash against capital."""
    legs = ((Account.CASH, capital), (Account.CAPITAL, -capital))
    return entry_of(run, at, "opening", None, at, legs)


def entry_of(
    run: RunName, slot: datetime, cause: str, of: PositionId | None, at: datetime, legs: Legs
) -> JournalEntry:
    """Build a journal entry: each leg rounded to micro-dollars, the remainder posted to profit."""
    postings = [Posting(account, micro_half_even(amount)) for account, amount in legs]
    postings.append(Posting(Account.PROFIT, -sum((leg.amount for leg in postings), ZERO)))
    return JournalEntry(
        entry_id=entry_id(run, cause),
        run=run,
        slot=slot,
        cause=cause,
        position_id=of,
        at=at,
        postings=tuple(leg for leg in postings if leg.amount),
    )
