"""Double-entry bookkeeping: journal entries whose postings sum to zero, in micro-dollars."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from bot.domain.ids import EntryId, PositionId, RunName


class Account(StrEnum):
    """The accounts of a run. Debits are positive and credits negative."""

    CASH = "cash"
    CAPITAL = "capital"
    POSITION = "position"
    FEES = "fees"
    PROFIT = "profit"


class Posting(NamedTuple):
    """One leg of a journal entry: an amount in quote currency, in whole micro-dollars."""

    account: Account
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A balanced set of postings that one fact caused.

    cause: a fill id; `opening`, without a position; or `borrow` with position and started day.
    """

    entry_id: EntryId
    run: RunName
    slot: datetime
    cause: str
    position_id: PositionId | None
    at: datetime
    postings: tuple[Posting, ...]
