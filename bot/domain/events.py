"""What happens to a run as a whole: breakers that trip and reset, what an operator asked for, hooks that failed.

Each is a fact with a notice in words, which also says what it does not stop.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.ids import RequestId, RunName, TokenId, derive, instant_text


class EventKind(StrEnum):
    """Who caused an event."""

    BREAKER = "breaker"
    OPERATOR = "operator"
    HOOK = "hook"


class EventState(StrEnum):
    """What became of it."""

    TRIPPED = "tripped"
    RESET = "reset"
    APPLIED = "applied"
    RAISED = "raised"


class Act(StrEnum):
    """What an operator may ask for."""

    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    FLATTEN = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An operator's wish, waiting in the ledger until a cycle of its run applies it; token_id: what to close."""

    request_id: RequestId
    run: RunName
    act: Act
    token_id: TokenId | None
    asked_at: datetime


def request_id_of(run: RunName, act: Act, token_id: TokenId | None, asked_at: datetime) -> RequestId:
    """Name a request by what was asked of which run, and when."""
    return RequestId(derive("req", [run, act, token_id, instant_text(asked_at)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """The number-th event of a slot; name: the breaker, the act or the hook.

    A breaker's has value and threshold, what it does (action) and until when (None: until it is resumed by hand); a
    reset has the equity that it measures from, if that changed. An operator's names its request, and its token.
    """

    run: RunName
    slot: datetime
    number: int
    kind: EventKind
    name: str
    state: EventState
    notice: str
    value: Decimal | None = None
    threshold: Decimal | None = None
    action: str | None = None
    until: datetime | None = None
    equity: Decimal | None = None
    token_id: TokenId | None = None
    request_id: RequestId | None = None
