"""Double entry: journal entries whose postings sum to zero, in micro-dollars."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from bot.domain.ids import EntryId, PositionId, RunName


class Account(StrEnum):
    """The accounts of a run; debits positive, credits negative."""

    CASH = "cash"
    CAPITAL = "capital"
    POSITION = "position"
    FEES = "fees"
    PROFIT = "profit"


class Posting(NamedTuple):
    """One leg of an entry; amount in quote currency, a whole number of micro-dollars."""

    account: Account
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """A balanced set of postings caused by one fact.

    cause: a fill id; `opening`, which has no position; or `borrow`, the position and the begun day that is paid for.
    """

    entry_id: EntryId
    run: RunName
    slot: datetime
    cause: str
    position_id: PositionId | None
    at: datetime
    postings: tuple[Posting, ...]
