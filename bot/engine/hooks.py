"""What a strategy's own functions say, checked before anyone acts on it.

A hook that fails, or answers what is no answer, rejects its candidate or leaves its position, and says so.
"""

from collections.abc import Mapping
from decimal import Decimal

from bot.domain.amend import amend
from bot.domain.events import EventKind, EventState
from bot.domain.ids import TokenId
from bot.domain.instruments import Instrument
from bot.domain.numbers import ONE, ZERO, Price
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket, Place, TargetShare, in_order, reward_risk
from bot.engine.journal import Journal
from bot.engine.rules import Raised, Rules

# What a hook may call its exit; the others are facts that only the engine can know.
HOOK_EXITS = frozenset({ExitReason.SIGNAL_FLIPPED, ExitReason.TIME_STOP, ExitReason.RISK_BREAKER, ExitReason.MANUAL})
HOOK_SOURCE = "hook"
PRICE_MAX = Decimal(10) ** 18
LINE_MAX = 200


def adjusted_bracket(view: TokenView, bracket: Bracket, reference: Price, rules: Rules) -> tuple[Bracket, str | None]:
    """Return the bracket as a hook wants it, and why its answer could not be used."""
    if rules.hooks is None or rules.hooks.adjust_bracket is None:
        return bracket, None
    answer = rules.hooks.adjust_bracket(_view_for_hook(view), bracket)
    if isinstance(answer, Raised):
        return bracket, answer
    if answer == bracket:
        return bracket, None
    told = _wrong(answer)
    if told is None and isinstance(answer, Bracket):
        found = _complete(bracket, answer, reference, view.instrument, rules)
        if found is not None:
            return found, None
        told = "its stop and targets do not lie on both sides of the price"
    return bracket, f"hook adjust_bracket: {told}"


def _wrong(answer: object) -> str | None:
    """Say why an answer is no bracket that could be placed, whatever its prices are."""
    if not isinstance(answer, Bracket):
        return f"{type(answer).__name__} is no Bracket"
    parts: object = answer.parts
    if not isinstance(parts, tuple) or not all(isinstance(part, TargetShare) for part in parts):
        return "parts must be a tuple of Part"
    given: list[object] = [answer.stop, answer.target, *(part.price for part in answer.parts)]
    if not all(price is None or _is_price(price) for price in given):
        return "write prices as Decimals above zero, with at most 18 digits before the point"
    shares: list[object] = [part.share for part in answer.parts if part.share is not None]
    if not all(isinstance(share, Decimal) and share.is_finite() and ZERO < share <= ONE for share in shares):
        return "write shares as Decimals above 0, at most 1"
    if sum((part.share for part in answer.parts if part.share is not None), ZERO) > ONE:
        return "the shares sum to more than 1"
    return None


def _is_price(value: object) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and ZERO < value < PRICE_MAX


def _complete(
    bracket: Bracket, answer: Bracket, reference: Price, instrument: Instrument, rules: Rules
) -> Bracket | None:
    """Put prices on the tick, targets in order, and name what was changed; None where one is on the wrong side."""
    place = Place(reference, bracket.side, instrument)
    moved = answer.target != bracket.target or answer.parts != bracket.parts
    parts = () if answer.target != bracket.target and answer.parts == bracket.parts else answer.parts
    targets = parts or (() if answer.target is None else (TargetShare(answer.target),))
    targets = in_order(place, [part._replace(price=place.on_tick(part.price)) for part in targets])
    stop = None if answer.stop is None else place.on_tick(answer.stop)
    prices = [*(part.price for part in targets), *([] if stop is None else [stop])]
    on_side = (stop is None or place.away(stop) > ZERO) and all(place.away(part.price) < ZERO for part in targets)
    if not on_side or min(prices, default=ONE) <= ZERO:
        return None
    ratio = None
    if stop is not None and targets:
        ratio = reward_risk(reference, stop, targets, rules.fills, bracket.side)
    kept = stop == bracket.stop
    return Bracket(
        side=bracket.side,
        stop=stop,
        stop_source=bracket.stop_source if kept else HOOK_SOURCE,
        stop_level=bracket.stop_level if kept else None,
        target=targets[0].price if targets else None,
        target_source=HOOK_SOURCE if moved else bracket.target_source,
        target_level=None if moved else bracket.target_level,
        reward_risk=ratio,
        parts=targets if len(targets) > 1 else (),
    )


def veto(view: TokenView, bracket: Bracket, rules: Rules) -> str | None:
    """Return why a hook refuses a candidate."""
    if rules.hooks is None or rules.hooks.veto is None:
        return None
    answer = rules.hooks.veto(_view_for_hook(view), bracket)
    if isinstance(answer, str):
        return one_line(answer)
    return None if answer is None else f"hook veto: {type(answer).__name__} is neither a reason nor None"


def one_line(words: str) -> str:
    """Return words as a line that can be stored: what cannot be printed left out, and cut where it is long."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())[:LINE_MAX]


def hook_scores(
    brackets: Mapping[TokenId, Bracket], views: Mapping[TokenId, TokenView], rules: Rules
) -> tuple[dict[TokenId, Decimal | None], dict[TokenId, str]]:
    """Return the scores that a hook gives candidates, and of which it could give none, why."""
    scores: dict[TokenId, Decimal | None] = {}
    failed: dict[TokenId, str] = {}
    if rules.hooks is None or rules.hooks.rank is None:
        return scores, failed
    for token_id, bracket in brackets.items():
        answer = rules.hooks.rank(_view_for_hook(views[token_id]), bracket)
        scores[token_id] = None
        if isinstance(answer, Raised):
            failed[token_id] = answer
        elif isinstance(answer, int | Decimal) and not isinstance(answer, bool) and Decimal(answer).is_finite():
            scores[token_id] = Decimal(answer)
        elif answer is not None:
            failed[token_id] = f"hook rank: {_describe(answer)} is neither a whole number, a finite Decimal nor None"
    return scores, failed


def extra_exit(journal: Journal, view: TokenView, holding: Holding, rules: Rules) -> ExitReason | None:
    """Return the reason for which a hook closes a position; an answer that is none becomes an event."""
    if rules.hooks is None or rules.hooks.extra_exits is None:
        return None
    answer = rules.hooks.extra_exits(_view_for_hook(view), holding)
    if answer is None:
        return None
    if isinstance(answer, str) and not isinstance(answer, Raised) and answer in HOOK_EXITS:
        return ExitReason(answer)
    named = ", ".join(sorted(HOOK_EXITS))
    error = answer if isinstance(answer, Raised) else f"hook extra_exits: {_describe(answer)} is none of {named}"
    token_id = view.instrument.token_id
    notice = f"{error}; the position of {view.instrument.symbol} stays open, its stops, targets and other exits go on"
    if journal.portfolio.told.get(token_id) != notice:  # said once, not at every slot
        journal.happen(EventKind.HOOK, "extra_exits", EventState.RAISED, notice, token_id=token_id)
    return None


def _view_for_hook(view: TokenView) -> TokenView:
    """Return what a hook sees: days as plain values, and no prints, which are settled and may be told as one bar."""
    return amend(view, days=tuple(view.days), prints=(), finer=())


def _describe(answer: object) -> str:
    """Write an answer short: a text as it is, anything else by its type, whose text might name a place in memory."""
    if isinstance(answer, str):
        return repr(answer[:80])
    return str(answer) if isinstance(answer, bool | Decimal) else type(answer).__name__
