"""Which episodes ask for a decision at a slot, and in what order they get one."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from bot.domain.ids import SignalId, TokenId
from bot.domain.orders import Role
from bot.domain.portfolio import Portfolio, TokenMemory
from bot.domain.positions import ExitReason
from bot.domain.signals import Episode, Stance
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket
from bot.engine.rules import ActOn, Rank, Reentry, Rules

STOPS = frozenset({ExitReason.STOP_HIT})


def is_held(portfolio: Portfolio, token_id: TokenId) -> bool:
    """Tell whether a token is held or waits for its entry."""
    return token_id in portfolio.holdings or any(
        live.order.token_id == token_id and live.order.role is Role.ENTRY for live in portfolio.orders.values()
    )


def is_due(portfolio: Portfolio, episode: Episode | None, rules: Rules) -> bool:
    """Tell whether an episode is a candidate at this slot."""
    if episode is None or episode.turn.stance is not Stance.BULLISH:
        return False
    token_id = episode.turn.token_id
    memory = portfolio.remembered(token_id)
    entries = memory.entries(episode.signal_id)
    if entries and (is_held(portfolio, token_id) or not _may_reenter(memory, episode.signal_id, rules.entry.reentry)):
        return False
    return rules.entry.act_on is ActOn.STANCE or memory.judged != (episode.signal_id, entries)


def _may_reenter(memory: TokenMemory, signal: SignalId, policy: Reentry) -> bool:
    if memory.last is None or memory.last_signal != signal or memory.last_ordinal != memory.entries(signal) - 1:
        return False
    if policy is Reentry.NEVER:
        return False
    return policy is Reentry.ALWAYS or memory.last.reason in STOPS


def _grade(view: TokenView, _bracket: Bracket) -> Decimal | None:
    signal = view.episode.latest if view.episode else None
    if signal is not None and signal.grade is not None:
        return signal.grade
    return view.grades.trader_grade if view.grades else None


def _sharpe(view: TokenView, _bracket: Bracket) -> Decimal | None:
    return view.quantmetrics.sharpe if view.quantmetrics else None


def _sortino(view: TokenView, _bracket: Bracket) -> Decimal | None:
    return view.quantmetrics.sortino if view.quantmetrics else None


def _reward_risk(_view: TokenView, bracket: Bracket) -> Decimal | None:
    return bracket.reward_risk


def _unranked(_view: TokenView, _bracket: Bracket) -> Decimal | None:
    return None


SCORES = MappingProxyType(
    {
        Rank.TOKEN_ID: _unranked,
        Rank.GRADE: _grade,
        Rank.SHARPE: _sharpe,
        Rank.SORTINO: _sortino,
        Rank.REWARD_RISK: _reward_risk,
    }
)


def in_rank(brackets: Mapping[TokenId, Bracket], views: Mapping[TokenId, TokenView], rank: Rank) -> list[TokenId]:
    """Order candidates by their score, highest first, unknown ones last, ties by token_id."""

    def key(token_id: TokenId) -> tuple[bool, Decimal, TokenId]:
        score = SCORES[rank](views[token_id], brackets[token_id])
        return (score is None, Decimal(0) if score is None else -score, token_id)

    return sorted(brackets, key=key)
