"""Which episodes are candidates at a slot, on which side, and in what order they are judged."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from bot.domain.ids import SignalId, TokenId
from bot.domain.numbers import ZERO
from bot.domain.orders import Role, Side
from bot.domain.portfolio import Portfolio, TokenMemory
from bot.domain.positions import ExitReason
from bot.domain.signals import Episode, Stance
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket
from bot.engine.needs import Declaration, Input, Row, Wakes, table_of
from bot.engine.rules import ActOn, Rank, Reentry, Rules

SIDE_OF_STANCE = {Stance.BULLISH: Side.LONG, Stance.BEARISH: Side.SHORT}
SIDES: Mapping[Stance, Side] = MappingProxyType(SIDE_OF_STANCE)
Views = Mapping[TokenId, TokenView]
Score = Callable[[TokenView, Bracket], Decimal | None]
STOPS = frozenset({ExitReason.STOP_HIT, ExitReason.TRAILING_STOP, ExitReason.BREAK_EVEN})


def side_of(episode: Episode, rules: Rules) -> Side | None:
    """Find the side that an episode calls for; None when the strategy does not trade it."""
    side = SIDES.get(episode.turn.stance)
    return side if side in rules.sides else None


def is_held(portfolio: Portfolio, token_id: TokenId, side: Side | None = None) -> bool:
    """Check whether a token is held or waits for its entry.

    side: the side of a new entry. A position on the other side no longer counts once its exit is
    accepted, so that a turn can reverse a position at one slot.
    """
    if any(order.token_id == token_id for order in portfolio.waiting(Role.ENTRY)):
        return True
    holding = portfolio.holdings.get(token_id)
    if holding is None or side in {None, holding.position.side}:
        return holding is not None
    return portfolio.order_of(holding, Role.EXIT) is None


def is_due(portfolio: Portfolio, episode: Episode | None, rules: Rules) -> bool:
    """Check whether an episode is a candidate at this slot."""
    if episode is None or (side := side_of(episode, rules)) is None:
        return False
    token_id = episode.turn.token_id
    memory = portfolio.memory_of(token_id)
    entries = memory.entries(episode.signal_id)
    may_reenter = not entries or _may_reenter(memory, episode.signal_id, rules.entry.reentry)
    if not may_reenter or (entries and is_held(portfolio, token_id, side)):
        return False
    return rules.entry.act_on is ActOn.STANCE or memory.judged != (episode.signal_id, entries)


def _may_reenter(memory: TokenMemory, signal: SignalId, policy: Reentry) -> bool:
    newest = memory.last_signal == signal and memory.last_ordinal == memory.entries(signal) - 1
    if memory.last is None or not newest or policy is Reentry.NEVER:
        return False
    return policy is Reentry.ALWAYS or memory.last.reason in STOPS


def _grade(view: TokenView, bracket: Bracket) -> Decimal | None:
    signal = view.episode.latest if view.episode else None
    if signal is not None and signal.grade is not None:
        return _for_side(signal.grade, bracket)
    return _for_side(view.grades.trader_grade, bracket) if view.grades else None


def _sharpe(view: TokenView, bracket: Bracket) -> Decimal | None:
    return _for_side(view.quantmetrics.sharpe, bracket) if view.quantmetrics else None


def _sortino(view: TokenView, bracket: Bracket) -> Decimal | None:
    return _for_side(view.quantmetrics.sortino, bracket) if view.quantmetrics else None


def _for_side(score: Decimal | None, bracket: Bracket) -> Decimal | None:
    """Negate a token's score for a short: a token that is bad to hold is good to sell."""
    return score.copy_negate() if score is not None and bracket.side is Side.SHORT else score


def _reward_risk(_view: TokenView, bracket: Bracket) -> Decimal | None:
    return bracket.reward_risk


def _rank(rank: Rank, formula: str, ask: Score, *needs: Input) -> tuple[Rank, Row[Score]]:
    keys = (f"entry.weights.{rank}", f'entry.rank = "{rank}"')
    declared = Declaration(keys=keys, formula=formula, needs=needs, wakes=Wakes.CANDIDATES)
    return rank, Row(ask, declared)


# One row a score; of a short the score of a token is negated.
SCORES: Mapping[Rank, Row[Score]] = table_of(
    _rank(Rank.GRADE, "the signal's grade, else the trader grade", _grade, Input.TRADER_GRADES),
    _rank(Rank.SHARPE, "Sharpe ratio of the token", _sharpe, Input.QUANTMETRICS),
    _rank(Rank.SORTINO, "Sortino ratio of the token", _sortino, Input.QUANTMETRICS),
    _rank(Rank.REWARD_RISK, "reward over risk of the bracket", _reward_risk),
)
# A position that closes in a cycle may make its token a candidate again: it is read as one.
REENTRY = Declaration(
    keys=('entry.reentry = "after_stop"', 'entry.reentry = "always"'),
    formula="an episode may be entered again in the cycle that closes its position",
    of_held=tuple(Input),
    wakes=Wakes.CANDIDATES,
)


def in_rank(
    brackets: Mapping[TokenId, Bracket],
    views: Mapping[TokenId, TokenView],
    rules: Rules,
    hooked: Mapping[TokenId, Decimal | None] = MappingProxyType({}),
) -> list[TokenId]:
    """Sort candidates by score, highest first; unknown scores come last, ties go by token_id.

    hooked: the scores of a rank hook; when there are any, they replace the strategy's.
    """
    scores: Mapping[TokenId, Decimal | None] = hooked
    if not hooked and rules.entry.rank is Rank.COMPOSITE:
        scores = _composite(brackets, views, rules.entry.weights)
    elif not hooked:
        scores = _scores(brackets, views, rules.entry.rank)

    def key(token_id: TokenId) -> tuple[bool, Decimal, TokenId]:
        score = scores.get(token_id)
        # False sorts before True, so unknown scores come last.
        return (score is None, ZERO if score is None else score.copy_negate(), token_id)

    return sorted(brackets, key=key)


def _scores(
    brackets: Mapping[TokenId, Bracket], views: Mapping[TokenId, TokenView], rank: Rank
) -> dict[TokenId, Decimal | None]:
    if rank not in SCORES:
        return dict.fromkeys(brackets)
    ask = SCORES[rank].ask
    return {token_id: ask(views[token_id], bracket) for token_id, bracket in brackets.items()}


def _composite(
    brackets: Mapping[TokenId, Bracket], views: Views, weights: Mapping[Rank, Decimal]
) -> dict[TokenId, Decimal]:
    """Compute each candidate's composite score.

    The score is the weighted count of the other candidates that it beats in each measure. It sorts
    like the weighted mean of the shares beaten, because all shares have the same divisor, and it is
    exact. An unknown value beats none and is beaten by every known one.
    """
    found = dict.fromkeys(brackets, ZERO)
    for rank, weight in weights.items():
        scores = _scores(brackets, views, rank)
        known = sorted(score for score in scores.values() if score is not None)
        for token_id, score in scores.items():
            if score is not None:
                found[token_id] += weight * (len(scores) - len(known) + bisect_left(known, score))
    return found
