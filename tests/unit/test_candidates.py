"""Which episodes are candidates, on which side, and in what order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bot.domain.ids import TokenId
from bot.domain.orders import Role, Side
from bot.domain.portfolio import TokenMemory
from bot.domain.positions import Closing, ExitReason
from bot.domain.signals import Episode, Stance
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket
from bot.engine.candidates import in_rank, is_due, is_held, side_of
from bot.engine.rules import ActOn, EntryRules, Rank, Reentry, Rules
from tests.notation import grades, metrics
from tests.proposals import RUN, SLOT, accepted, book, holding, turned, view_of

LONG, SHORT = Side.LONG, Side.SHORT
ONE = TokenId(1)
BOTH = Rules(name="both", sides=frozenset(Side))


def rules(**entry: Any) -> Rules:
    """Make rules for both sides."""
    return replace(BOTH, entry=EntryRules(**entry))


def neutral() -> Episode:
    """Make a neutral episode."""
    episode = turned()
    return replace(episode, turn=replace(episode.turn, stance=Stance.NEUTRAL))


@pytest.mark.parametrize(
    ("sides", "asked"), [({LONG}, (LONG, None)), ({SHORT}, (None, SHORT)), ({LONG, SHORT}, (LONG, SHORT))]
)
def test_a_side_is_taken_where_the_strategy_allows_it(sides: set[Side], asked: tuple[Side | None, Side | None]) -> None:
    """Bullish asks for a long, bearish for a short, neutral for nothing."""
    taking = replace(BOTH, sides=frozenset(sides))
    assert (side_of(turned(LONG), taking), side_of(turned(SHORT), taking)) == asked
    assert side_of(neutral(), taking) is None
    assert (is_due(book(), turned(LONG), taking), is_due(book(), turned(SHORT), taking)) == (
        asked[0] is not None,
        asked[1] is not None,
    )
    assert not is_due(book(), neutral(), taking)
    assert not is_due(book(), None, taking)


def test_held_means_held_or_entering() -> None:
    """A position, or an entry order in any state; another token's is nothing."""
    assert is_held(book(holding(1)), ONE)
    assert is_held(book(accepted(1, Role.ENTRY)), ONE)
    assert not is_held(book(accepted(1, Role.STOP), holding(2)), ONE)


def test_an_accepted_exit_frees_the_other_side_alone() -> None:
    """Who would turn a position round need not wait for its exit to fill; who asks without a side sees it held."""
    closing = book(holding(1, LONG), accepted(1, Role.EXIT), accepted(2, Role.EXIT))
    assert is_held(closing, ONE)
    assert is_held(closing, ONE, LONG)
    assert not is_held(closing, ONE, SHORT)
    assert is_held(book(holding(1, LONG), accepted(2, Role.EXIT)), ONE, SHORT)
    assert not is_held(book(holding(1, SHORT), accepted(1, Role.EXIT)), ONE, LONG)


def closed(reason: ExitReason, side: Side = LONG, entries: int = 1) -> TokenMemory:
    """Remember an episode that was entered and left for a reason."""
    last = Closing(
        position_id=holding(1).position.position_id,
        run=RUN,
        slot=SLOT,
        closed_at=SLOT,
        reason=reason,
        profit=Decimal(0),
        mae=Decimal(0),
        mfe=Decimal(0),
    )
    signal = turned(side).signal_id
    return TokenMemory(
        judged=(signal, 0), acted={signal: entries}, closed=1, last=last, last_signal=signal, last_ordinal=0
    )


STOPPED = {ExitReason.STOP_HIT, ExitReason.TRAILING_STOP, ExitReason.BREAK_EVEN}


@pytest.mark.parametrize("side", [LONG, SHORT])
@pytest.mark.parametrize("reason", list(ExitReason))
def test_reentry_after_a_stop_is_after_any_stop(reason: ExitReason, side: Side) -> None:
    """Stop, trailing stop and break-even let an episode be entered again under after_stop; every exit under always."""
    left = book(memory={ONE: closed(reason, side)})
    assert is_due(left, turned(side), rules(reentry=Reentry.AFTER_STOP)) is (reason in STOPPED)
    assert is_due(left, turned(side), rules(reentry=Reentry.ALWAYS))
    assert not is_due(left, turned(side), rules(reentry=Reentry.NEVER))


def test_reentry_waits_for_an_exit_of_the_last_entry() -> None:
    """Entered twice and left once: the second entry is still to end, and a token held again is no candidate."""
    again = rules(reentry=Reentry.ALWAYS)
    assert not is_due(book(memory={ONE: closed(ExitReason.STOP_HIT, entries=2)}), turned(), again)
    assert not is_due(book(holding(1), memory={ONE: closed(ExitReason.STOP_HIT)}), turned(), again)
    other = replace(closed(ExitReason.STOP_HIT), last_signal=turned(SHORT).signal_id)
    assert not is_due(book(memory={ONE: other}), turned(), again)


def test_a_turn_is_judged_once_and_a_stance_at_every_slot() -> None:
    """What was judged stays judged under act_on = turn."""
    judged = book(memory={ONE: TokenMemory(judged=(turned().signal_id, 0))})
    assert not is_due(judged, turned(), rules())
    assert is_due(judged, turned(), rules(act_on=ActOn.STANCE))
    assert is_due(judged, turned(when="2024-05-31"), rules())


def scored(number: int, side: Side = LONG, sharpe: str | None = None, **more: str) -> TokenView:
    """Make a candidate with measures."""
    given = {name: value for name, value in {"sharpe": sharpe, **more}.items() if value is not None}
    graded = given.pop("grade", None)
    return view_of(
        number,
        side,
        quantmetrics=metrics("2024-06-01", token=number, **given) if given else None,
        grades=grades("2024-06-01", graded, number) if graded else None,
    )


def ranked(
    candidates: Sequence[TokenView], entry: EntryRules, ratios: Mapping[int, str] | None = None, **more: Any
) -> list[int]:
    """Return the numbers of candidates in their order."""
    views = {view.instrument.token_id: view for view in candidates}
    brackets = {}
    for token_id, view in views.items():
        side = side_of(view.episode, BOTH) if view.episode else None
        ratio = (ratios or {}).get(token_id)
        brackets[token_id] = Bracket(side=side or LONG, reward_risk=None if ratio is None else Decimal(ratio))
    return list(in_rank(brackets, views, replace(BOTH, entry=entry), **more))


@pytest.mark.parametrize(
    ("rank", "measure"), [(Rank.SHARPE, "sharpe"), (Rank.SORTINO, "sortino"), (Rank.GRADE, "grade")]
)
def test_scores_of_a_token_count_the_other_way_round_for_a_short(rank: Rank, measure: str) -> None:
    """Of longs the best goes first, of shorts the worst; unknown ones last, ties by token_id."""
    entry = EntryRules(rank=rank)
    values = {1: "5", 2: "9", 3: None, 4: "5"}
    for side, order in ((LONG, [2, 1, 4, 3]), (SHORT, [1, 4, 2, 3])):
        assert ranked([scored(n, side, **{measure: v} if v else {}) for n, v in values.items()], entry) == order
    mixed = [scored(1, LONG, **{measure: "3"}), scored(2, SHORT, **{measure: "-4"}), scored(3, SHORT, **{measure: "2"})]
    assert ranked(mixed, entry) == [2, 1, 3]  # 3, 4 and -2


def test_the_signals_own_grade_goes_before_others() -> None:
    """A grade on the signal row ranks, negated for a short like any other."""
    one = replace(scored(1, SHORT, grade="50"), episode=turned(SHORT, 1, grade="10"))
    assert ranked([scored(2, SHORT, grade="20"), one], EntryRules(rank=Rank.GRADE)) == [1, 2]
    bare = replace(view_of(3), episode=None)
    assert ranked([bare, one], EntryRules(rank=Rank.GRADE)) == [1, 3]


def test_reward_risk_is_the_brackets_own_and_needs_no_turning_round() -> None:
    """The higher ratio goes first, on either side."""
    both = [scored(1, SHORT), scored(2, LONG), scored(3, SHORT)]
    assert ranked(both, EntryRules(rank=Rank.REWARD_RISK), {1: "1", 2: "2", 3: "3"}) == [3, 2, 1]
    assert ranked(both, EntryRules()) == [1, 2, 3]


def weighted(**weights: str) -> EntryRules:
    """Make a composite rank."""
    return EntryRules(rank=Rank.COMPOSITE, weights={Rank(name): Decimal(weight) for name, weight in weights.items()})


def test_a_composite_weighs_the_shares_of_others_beaten() -> None:
    """Sharpe beats 0, 1/2, 1 and grade 1, 1/2, 0 of the others: the heavier one decides, evenly weighed the ids do."""
    three = [
        scored(1, sharpe="0.1", grade="90"),
        scored(2, sharpe="0.2", grade="50"),
        scored(3, sharpe="0.3", grade="10"),
    ]
    assert ranked(three, weighted(sharpe="0.6", grade="0.4")) == [3, 2, 1]  # 0.6, 0.5, 0.4
    assert ranked(three, weighted(sharpe="2", grade="3")) == [1, 2, 3]  # 0.6, 0.5, 0.4
    assert ranked(three, weighted(sharpe="1", grade="1")) == [1, 2, 3]  # all 0.5


def test_a_composite_counts_ranks_not_sizes() -> None:
    """A Sharpe of 99 beats no more than one of 0.3 would; equal values beat each other not at all."""
    three = [
        scored(1, sharpe="0.1", grade="60"),
        scored(2, sharpe="0.2", grade="60"),
        scored(3, sharpe="99", grade="10"),
    ]
    # Shares: sharpe 0, 1/2, 1; grade 1/2, 1/2, 0.
    assert ranked(three, weighted(sharpe="1", grade="1.5")) == [2, 3, 1]  # 1.25, 1, 0.75
    assert ranked(three, weighted(sharpe="1", grade="3")) == [2, 1, 3]  # 2, 1.5, 1


def test_an_unknown_score_is_beaten_and_beats_none() -> None:
    """Without a Sharpe it is below the worst known one, and level with another that has none."""
    four = [scored(1, grade="50"), scored(2, sharpe="-3", grade="50"), scored(3), scored(4, sharpe="-4", grade="49")]
    assert ranked(four, weighted(sharpe="1")) == [2, 4, 1, 3]
    # Sharpe 0, 1, 0, 2/3 and grade 2/3, 2/3, 0, 1/3: together 2/3, 5/3, 0, 1.
    assert ranked(four, weighted(sharpe="1", grade="1")) == [2, 4, 1, 3]
    assert ranked([scored(7)], weighted(sharpe="1")) == [7]
    # Sharpe 0, 1, 0 and grade 1, 0, 1/2: 1, 1 and 1/2, so the ids decide.
    three = [scored(1, grade="90"), scored(2, sharpe="1", grade="10"), scored(3, grade="50")]
    assert ranked(three, weighted(sharpe="1", grade="1")) == [1, 2, 3]


def test_scores_of_a_hook_stand_in_place_of_the_strategys() -> None:
    """Highest first, what the hook did not know last by token_id, whatever the strategy ranks by."""
    four = [scored(number, sharpe=str(number)) for number in (1, 2, 3, 4)]
    hooked = {TokenId(1): Decimal("2.5"), TokenId(2): None, TokenId(3): Decimal(-1), TokenId(4): None}
    for rank in (Rank.SHARPE, Rank.COMPOSITE, Rank.TOKEN_ID):
        assert ranked(four, EntryRules(rank=rank), hooked=hooked) == [1, 3, 2, 4]
    unknown = dict.fromkeys(hooked, None)
    assert ranked(four, EntryRules(rank=Rank.SHARPE), hooked=unknown) == [1, 2, 3, 4]
    assert ranked(four, EntryRules(rank=Rank.SHARPE), hooked={}) == [4, 3, 2, 1]
