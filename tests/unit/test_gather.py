"""What a snapshot holds of which token: what the rules that are on read of it, and all that a hook may read."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from bot.app.cycle.gather import gather
from bot.domain.events import Act, Request
from bot.domain.ids import RequestId, Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import MarketSize
from bot.domain.orders import OrderState, Role, Side
from bot.domain.portfolio import Portfolio, TokenMemory
from bot.domain.snapshot import NotAskedFor, Snapshot, TokenView
from bot.engine.rules import (
    Breaker,
    EntryRules,
    ExitRules,
    GateRules,
    Hooks,
    LevelRules,
    LimitRules,
    PriceRule,
    Reentry,
    Rules,
    SizeRule,
    SizingRules,
    StopRules,
)
from tests.notation import DAY, HOUR, Tape, Token, bars, grades, levels, metrics, setup_of, signal
from tests.proposals import RUN, SLOT, accepted, book, holding, turned

BOTH = Rules(name="both", sides=frozenset(Side))
# A hook may read all of a candidate; these gates read all of it together.
HOOKED = Hooks(digest="none", veto=lambda *_: None)
ALL_GATES = GateRules(
    resistance_distance_min=Decimal(0),
    sharpe_min=Decimal(0),
    investor_grade_min=Decimal(0),
    volume_min=Decimal(0),
    correlation_max=Decimal(1),
)
START = "2024-05-30"
HOURS = " | ".join(["100"] * 47 + ["101", "101"])
PARTS = ("levels", "quantmetrics", "grades", "market", "days", "close", "moved_at")


@dataclass
class Market(Tape):
    """A tape that knows market sizes."""

    def market(self, token_id: TokenId, _as_of: datetime, _cut_off: datetime) -> MarketSize:
        return MarketSize(token_id=token_id, known_at=SLOT, market_cap=None, volume_24h=Decimal(1))


def token(number: int, stance: str = "bullish", symbol: str | None = None) -> Token:
    """Make a token of which everything is known, turned at the slot."""
    named = Instrument(token_id=TokenId(number), symbol=Symbol(symbol or f"T{number}"), name="Token")
    return Token(
        bars=bars(START, HOURS),
        signals=[signal("2024-06-01", stance, number)],
        levels=[levels("2024-05-31", 90, token=number)],
        metrics=[metrics("2024-05-31", "0.5", token=number)],
        grades=[grades("2024-05-31", "60", number)],
        instrument=named,
    )


def seen(
    rules: Rules, portfolio: Portfolio, *tokens: Token, universe: tuple[int, ...] | None = None, **more: Any
) -> Snapshot:
    """Gather at the slot."""
    tape = Market(dict(enumerate(tokens, 1)))
    setup = setup_of(rules, tape)
    if universe is not None:
        setup = replace(setup, universe=tuple(TokenId(number) for number in universe))
    return gather(tape, setup, portfolio, SLOT, SLOT, **more)


def parts_of(view: TokenView) -> set[str]:
    """Name what is known beside episode and price, and see that the rest can or cannot be read."""
    asked = {name for name in PARTS if not isinstance(getattr(view, name), NotAskedFor)}
    return {name for name in asked if getattr(view, name)}


def judged(number: int = 1) -> TokenMemory:
    """Remember that the token's bullish turn at the slot was judged."""
    return TokenMemory(judged=(turned(number=number).signal_id, 0))


def test_candidates_of_both_sides_are_seen() -> None:
    """A bullish and a bearish token; a neutral one, and one whose side is not taken, are not there at all."""
    three = token(1), token(2, "bearish"), token(3, "neutral")
    found = seen(BOTH, book(), *three)
    assert list(found.tokens) == [1, 2]
    for view in found.tokens.values():
        assert parts_of(view) == {"quantmetrics", "days"}  # both sigmas, for the size
        assert (view.prints, view.namesakes, view.followed) == ((), 1, True)
    assert list(seen(replace(BOTH, sides=frozenset({Side.SHORT})), book(), *three).tokens) == [2]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, set()),
        ({"stop": StopRules(rule=PriceRule.LEVEL)}, {"levels"}),
        ({"gates": GateRules(trader_grade_min=Decimal(0))}, {"grades"}),
        ({"gates": ALL_GATES}, {"levels", "quantmetrics", "grades", "market", "days"}),
        ({"hooks": HOOKED}, {"levels", "quantmetrics", "grades", "market", "days"}),
    ],
)
def test_of_a_candidate_only_what_its_rules_read(more: dict[str, Any], expected: set[str]) -> None:
    """A rule brings what its row declares, and hooks everything, since nobody knows what they read."""
    fixed = replace(BOTH, sizing=SizingRules(rule=SizeRule.FIXED_NOTIONAL, notional=Decimal(100)))
    assert parts_of(seen(replace(fixed, **more), book(), token(1)).tokens[TokenId(1)]) == expected


def test_close_and_movement_are_asked_where_their_gates_are_configured() -> None:
    """Each by its own threshold: the close at 00:00, and the last bar with another price, closed an hour before."""
    gates = GateRules(price_disagreement_max=Decimal(1))
    assert parts_of(seen(replace(BOTH, gates=gates), book(), token(1)).tokens[TokenId(1)]) >= {"close"}
    gates = GateRules(frozen_hours_max=Decimal(1))
    view = seen(replace(BOTH, gates=gates), book(), token(1)).tokens[TokenId(1)]
    assert view.moved_at == SLOT - HOUR
    assert isinstance(view.close, NotAskedFor)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, set()),
        ({"gates": GateRules(correlation_max=Decimal(1))}, {"days"}),
        ({"exits": ExitRules(trailing_atr=Decimal(1))}, {"days"}),
        ({"limits": LimitRules(volatility_shock=Breaker(at=Decimal(1)))}, {"days"}),
        ({"hooks": HOOKED}, {"days"}),
        ({"exits": ExitRules(ratchet_to_support=True)}, {"levels"}),
        (
            {"exits": ExitRules(ratchet_to_support=True), "levels": LevelRules(strong_min=Decimal(1))},
            {"levels", "days"},
        ),
        (
            {"hooks": Hooks(digest="none", extra_exits=lambda *_: None)},
            {"levels", "quantmetrics", "grades", "market", "days"},
        ),
        (
            {"entry": EntryRules(reentry=Reentry.ALWAYS), "gates": ALL_GATES},
            {"levels", "quantmetrics", "grades", "market", "days"},
        ),
        ({"gates": GateRules(frozen_hours_max=Decimal(1), price_disagreement_max=Decimal(1))}, set()),
    ],
)
def test_of_what_is_held_only_what_the_rules_look_at(more: dict[str, Any], expected: set[str]) -> None:
    """Its price and prints always; days, levels or everything where a rule of what is held asks for them."""
    rules = replace(BOTH, **more)
    held = book(holding(1), memory={TokenId(1): judged()}, settled_slot=SLOT - HOUR, settled_until=SLOT - HOUR)
    view = seen(rules, held, token(1)).tokens[TokenId(1)]
    assert parts_of(view) == expected
    assert view.price is not None
    assert [bar.closed_at for bar in view.prints] == [SLOT]
    waiting = book(accepted(1, Role.ENTRY), memory={TokenId(1): judged()})
    assert parts_of(seen(rules, waiting, token(1)).tokens[TokenId(1)]) == expected


def test_a_held_token_that_turned_is_seen_as_a_candidate() -> None:
    """Held long, turned bearish, both sides taken: the turn may reverse the position, and is judged like any other."""
    held = book(holding(1), memory={TokenId(1): judged()})
    view = seen(replace(BOTH, gates=ALL_GATES), held, token(1, "bearish")).tokens[TokenId(1)]
    assert parts_of(view) == {"levels", "quantmetrics", "grades", "market", "days"}


def test_what_is_no_longer_followed_is_seen_and_says_so() -> None:
    """A held token outside the universe keeps its episode, which may close it, and is marked as not followed."""
    found = seen(BOTH, book(holding(1)), token(1, "bearish"), token(2), universe=(2,))
    assert [(number, view.followed) for number, view in found.tokens.items()] == [(1, False), (2, True)]
    assert found.tokens[TokenId(1)].episode == turned(Side.SHORT)
    assert parts_of(found.tokens[TokenId(1)]) == set()


def test_namesakes_are_counted_within_the_run() -> None:
    """Of three tokens called ONE the run follows two: another run's token is none of its business."""
    tokens = (token(1, symbol="ONE"), token(2, symbol="ONE"), token(3), token(4, symbol="ONE"))
    found = seen(BOTH, book(), *tokens, universe=(1, 3, 4))
    assert {number: view.namesakes for number, view in found.tokens.items()} == {1: 2, 3: 1, 4: 2}


def test_requests_are_handed_on() -> None:
    """What operators asked for is in the snapshot; a token that is not seen needs no view."""
    request = Request(request_id=RequestId("req-1"), run=RUN, act=Act.CLOSE, token_id=TokenId(1), asked_at=SLOT)
    found = seen(BOTH, book(memory={TokenId(1): judged()}), token(1), requests=[request])
    assert (found.requests, dict(found.tokens)) == ((request,), {})
    assert seen(BOTH, book(), token(1)).requests == ()


def test_entries_anchored_at_their_fill_keep_what_they_were_granted_on() -> None:
    """Accepted a day ago on the levels and metrics of then; other entries, and other roles, need nothing."""
    then = SLOT - DAY
    anchored = accepted(1, Role.ENTRY, slot=then, cut_off=then, equity=Decimal(10000))
    known = replace(
        token(1),
        signals=[signal("2024-05-30 12:00", "bullish")],
        levels=[levels("2024-05-30 12:00", 80), levels("2024-05-31 12:00", 90)],
    )
    others = (accepted(2, Role.ENTRY, cut_off=then), accepted(1, Role.STOP, cut_off=then))
    rules = replace(BOTH, stop=StopRules(rule=PriceRule.LEVEL), gates=GateRules(correlation_max=Decimal(1)))
    found = seen(rules, book(anchored, *others), known, token(2))
    (granted,) = found.granted.values()
    assert list(found.granted) == [anchored.order.order_id]
    assert granted.levels == known.levels[0]
    assert granted.episode == turned(when="2024-05-30 12:00")
    assert granted.price is not None
    assert granted.price.known_at == then
    assert len(granted.days) == 1
    assert granted.prints == ()
    planned = anchored._replace(state=OrderState.PLANNED)
    assert seen(BOTH, book(planned), known).granted == {}
