"""Events of a run as a whole, each with a notice that also says what the event does not stop."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.ids import RequestId, RunName, TokenId, derive, instant_text


class EventKind(StrEnum):
    """What caused an event."""

    BREAKER = "breaker"
    OPERATOR = "operator"
    HOOK = "hook"


class EventState(StrEnum):
    """What the event was."""

    TRIPPED = "tripped"
    RESET = "reset"
    APPLIED = "applied"
    RAISED = "raised"


class Act(StrEnum):
    """What an operator may request."""

    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    FLATTEN = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An operator's request, kept until a cycle applies it; token_id is of a position to close."""

    request_id: RequestId
    run: RunName
    act: Act
    token_id: TokenId | None
    asked_at: datetime


def request_id_of(run: RunName, act: Act, token_id: TokenId | None, at: datetime) -> RequestId:
    """Derive the id of a request from the run, the act, the token and the instant."""
    return RequestId(derive("req", [run, act, token_id, instant_text(at)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """The number-th event of a slot; its name is that of the breaker, the act or the hook.

    value, threshold: what a breaker measured and its limit. action: what a tripped breaker does.
    until: when a tripped breaker is reset; None when it must be resumed by hand.
    equity: what a reset breaker measures from, when the reset changed it.
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
