"""A cycle as the ledger stores it: its slot, its input limits, and its facts in order."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.decisions import Fact
from bot.domain.ids import RunName
from bot.domain.tape import Datum


class CycleState(StrEnum):
    """How a slot ended."""

    COMMITTED = "committed"
    MISSED = "missed"
    CAUGHT_UP = "caught_up"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One slot of a run, started and finished by the wall clock.

    settled_until: when the newest settled bar or quote was known; at least the cut-off.
    """

    run: RunName
    slot: datetime
    state: CycleState
    cut_off: datetime
    settled_until: datetime
    started_at: datetime
    finished_at: datetime
    entries: int
    exits: int
    rejections: int
    config_hash: str
    code_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRecord:
    """A cycle with its facts in the order they happened, and the data that its decisions used."""

    cycle: Cycle
    facts: tuple[Fact, ...]
    used: tuple[Datum, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTry:
    """A try of a slot that committed nothing; attempt: from 1. reason: in our words."""

    run: RunName
    slot: datetime
    attempt: int
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """The result of deriving the cycles of a window again, up to the one with this row_hash.

    kind, differs_at, what, stored, derived: the first difference; all None when there is none.
    """

    run: RunName
    checked_at: datetime
    first_slot: datetime
    last_slot: datetime
    cycles: int
    answers: int
    row_hash: str
    code_version: str
    kind: str | None = None
    differs_at: datetime | None = None
    what: str | None = None
    stored: str | None = None
    derived: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A strategy trading one account; identity is a digest of a replay's inputs, None when live."""

    name: RunName
    strategy: str
    cash: Decimal
    identity: str | None
    started_at: datetime
