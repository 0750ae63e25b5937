"""Calls to a strategy's hooks; every answer is checked before it is used.

A hook that fails or gives an invalid answer rejects its candidate, or leaves its position open,
with a message.
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
from bot.engine.needs import Declaration, Input, Wakes
from bot.engine.rules import Raised, Rules

# The exit reasons that a hook may give; only the engine can know the others.
HOOK_EXITS = frozenset(
    {ExitReason.SIGNAL_FLIPPED, ExitReason.TIME_STOP, ExitReason.RISK_BREAKER, ExitReason.MANUAL}
)
HOOK_SOURCE = "hook"
# What a hook reads is unknown: it gets the daily bars, and extra_exits everything of what is held.
HOOKS = (
    Declaration(
        keys=("hooks",),
        formula="a veto, a score, a bracket of its own",
        needs=(Input.DAYS,),
        of_held=(Input.DAYS,),
        wakes=Wakes.CANDIDATES,
    ),
    Declaration(
        keys=("hooks.extra_exits",),
        formula="a reason to close a position",
        of_held=tuple(Input),
        wakes=Wakes.SLOTS,
    ),
)
PRICE_MAX = Decimal(10) ** 18
LINE_MAX = 200


def adjusted_bracket(
    view: TokenView, bracket: Bracket, reference: Price, rules: Rules
) -> tuple[Bracket, str | None]:
    """Ask a hook to adjust a bracket; return the bracket and why the answer could not be used."""
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
    """Explain why an answer is not a bracket with valid prices and shares; None when it is."""
    if not isinstance(answer, Bracket):
        return f"{type(answer).__name__} is no Bracket"
    parts: object = answer.parts
    if not isinstance(parts, tuple) or not all(isinstance(part, TargetShare) for part in parts):
        return "parts must be a tuple of Part"
    given: list[object] = [answer.stop, answer.target, *(part.price for part in answer.parts)]
    if not all(price is None or _is_price(price) for price in given):
        return "write prices as Decimals above zero, with at most 18 digits before the point"
    shares = [part.share for part in answer.parts if part.share is not None]
    if not all(_is_price(share) and share <= ONE for share in shares):
        return "write shares as Decimals above 0, at most 1"
    if sum(shares, ZERO) > ONE:
        return "the shares sum to more than 1"
    return None


def _is_price(value: object) -> bool:
    return isinstance(value, Decimal) and value.is_finite() and ZERO < value < PRICE_MAX


def _complete(
    bracket: Bracket, answer: Bracket, reference: Price, instrument: Instrument, rules: Rules
) -> Bracket | None:
    """Complete a hook's bracket: prices on the tick, targets in order, changes named.

    Returns None when a price is on the wrong side.
    """
    place = Place(reference, bracket.side, instrument)
    moved = answer.target != bracket.target or answer.parts != bracket.parts
    # A hook that changed the target but not the parts replaces all targets by that one.
    is_replaced = answer.target != bracket.target and answer.parts == bracket.parts
    parts = () if is_replaced else answer.parts
    wanted = amend(answer, parts=parts).targets
    targets = in_order(place, [part._replace(price=place.on_tick(part.price)) for part in wanted])
    stop = None if answer.stop is None else place.on_tick(answer.stop)
    prices = [*(part.price for part in targets), *([] if stop is None else [stop])]
    on_side = (stop is None or place.away(stop) > ZERO) and all(
        place.away(part.price) < ZERO for part in targets
    )
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
    """Ask a hook why it refuses a candidate; None when it does not."""
    if rules.hooks is None or rules.hooks.veto is None:
        return None
    answer = rules.hooks.veto(_view_for_hook(view), bracket)
    if isinstance(answer, str):
        return one_line(answer)
    kind = type(answer).__name__
    return None if answer is None else f"hook veto: {kind} is neither a reason nor None"


def one_line(words: str) -> str:
    """Make one storable line of a text: drop what cannot be printed and cut it when it is long."""
    printed = "".join(letter if letter.isprintable() else " " for letter in words)
    return " ".join(printed.split())[:LINE_MAX]


def hook_scores(
    brackets: Mapping[TokenId, Bracket], views: Mapping[TokenId, TokenView], rules: Rules
) -> tuple[dict[TokenId, Decimal | None], dict[TokenId, str]]:
    """Ask a hook to score the candidates.

    Returns the scores, and for each candidate without a usable answer the reason.
    """
    scores: dict[TokenId, Decimal | None] = {}
    failed: dict[TokenId, str] = {}
    if rules.hooks is None or rules.hooks.rank is None:
        return scores, failed
    for token_id, bracket in brackets.items():
        answer = rules.hooks.rank(_view_for_hook(views[token_id]), bracket)
        scores[token_id] = None
        number = Decimal(answer) if isinstance(answer, int | Decimal) else None
        if isinstance(answer, Raised):
            failed[token_id] = answer
        elif number is not None and number.is_finite() and not isinstance(answer, bool):
            scores[token_id] = number
        elif answer is not None:
            wrong = f"{_describe(answer)} is neither a whole number, a finite Decimal nor None"
            failed[token_id] = f"hook rank: {wrong}"
    return scores, failed


def extra_exit(journal: Journal, view: TokenView, holding: Holding) -> ExitReason | None:
    """Ask a hook whether to close a position, and why.

    An invalid answer becomes an event and closes nothing.
    """
    hooks = journal.rules.hooks
    if hooks is None or hooks.extra_exits is None:
        return None
    answer = hooks.extra_exits(_view_for_hook(view), holding)
    if answer is None:
        return None
    if isinstance(answer, str) and not isinstance(answer, Raised) and answer in HOOK_EXITS:
        return ExitReason(answer)
    wrong = f"{_describe(answer)} is none of {', '.join(sorted(HOOK_EXITS))}"
    error = answer if isinstance(answer, Raised) else f"hook extra_exits: {wrong}"
    token_id = view.instrument.token_id
    notice = (
        f"{error}; the position of {view.instrument.symbol} stays open,"
        " its stops, targets and other exits go on"
    )
    if journal.portfolio.told.get(token_id) != notice:  # write it once, not at every slot
        more = {"state": EventState.RAISED, "notice": notice, "token_id": token_id}
        journal.happen(EventKind.HOOK, "extra_exits", **more)
    return None


def _view_for_hook(view: TokenView) -> TokenView:
    """Build the view that a hook sees.

    Its days are plain values. It has no prints: they are settled and may be merged into one bar.
    """
    return amend(view, days=tuple(view.days), prints=(), finer=())


def _describe(answer: object) -> str:
    """Describe an answer in short: a string as it is, other values by their type.

    The text of an arbitrary object might contain its memory address.
    """
    if isinstance(answer, str):
        return repr(answer[:80])
    return str(answer) if isinstance(answer, bool | Decimal) else type(answer).__name__
