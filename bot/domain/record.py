"""A cycle as the ledger keeps it: its slot, what it saw until when, and the facts it made, in order."""

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
    """One slot of a run; settled_until is the newest print it settled, started and finished are wall-clock times."""

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
    """A cycle with its facts, in the order they happened, and the data its decisions used."""

    cycle: Cycle
    facts: tuple[Fact, ...]
    used: tuple[Datum, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityCheck:
    """What came of deriving the cycles of a window again; row_hash: of the last compared, code_version: ours.

    kind, differs_at, what, stored and derived say what differed first; all None: nothing did.
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
    """A strategy acting on one account; identity is a digest of all that a replay is made of, None for a live run."""

    name: RunName
    strategy: str
    cash: Decimal
    identity: str | None
    started_at: datetime
