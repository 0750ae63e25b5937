"""What the oracle's loop found: trades, entries, refusals and the marks of every slot.

An entry is a fact of its slot; a trade begins where an entry was filled.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass
class Entry:
    """An accepted entry order that waits for its token's next bar."""

    token: int
    accepted_at: datetime
    reference: Decimal
    quantity: Decimal
    stop: Decimal
    target: Decimal | None
    bound: str
    equity: Decimal


@dataclass
class Trade:
    """One position from its entry to its exit; an exit order accepted at a slot waits on it."""

    token: int
    opened_at: datetime
    entry_price: Decimal
    quantity: Decimal
    stop: Decimal
    target: Decimal | None
    fees: Decimal
    exit_ordered_at: datetime | None = None
    exit_ordered_for: str = ""
    closed_at: datetime | None = None
    exit_price: Decimal | None = None
    exit_reason: str = ""
    profit: Decimal | None = None
    gapped: bool = False


@dataclass
class Refusal:
    """A candidate judged and refused, with every gate that failed."""

    slot: datetime
    token: int
    failed: list[str]
    bound: str
    judged: bool


@dataclass
class Outcome:
    """All that happened."""

    trades: list[Trade] = field(default_factory=list)
    accepted: list[Entry] = field(default_factory=list)
    cancelled: list[tuple[Entry, str]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    pending: list[tuple[datetime, int]] = field(default_factory=list)
    waiting: list[Entry] = field(default_factory=list)
    marks: dict[datetime, tuple[Decimal, Decimal]] = field(default_factory=dict)
    levels_at_price: int = 0
