"""Candidates made by hand, and what the gates find on them: no cycle, no archive.

`propose` places the bracket and sizes the entry with the product's own functions, as a cycle does.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, localcontext

from bot.domain.decisions import Comparator
from bot.domain.ids import OrderId, PositionId, RunName, Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.market import Bar, Quote
from bot.domain.numbers import EXACT, Quantity
from bot.domain.orders import Order, OrderState, Role, Side
from bot.domain.portfolio import Holding, LiveOrder, Portfolio
from bot.domain.positions import Position
from bot.domain.signals import Episode, Stance
from bot.domain.snapshot import TokenView
from bot.engine.brackets import Bracket
from bot.engine.candidates import side_of
from bot.engine.gates.table import Finding, Proposal, ask_all
from bot.engine.levels import read_levels
from bot.engine.placement import place_bracket
from bot.engine.rules import FillRules, Rules
from bot.engine.sizing import Means, size_entry
from tests.notation import DAY, HOUR, at, latest_episode, price, signal

SLOT = at("2024-06-01")
RUN = RunName("test")
FREE = FillRules(fee_fraction=Decimal(0), half_spread_fraction=Decimal(0), slippage_fraction=Decimal(0))
ACCOUNT = Means(equity=Decimal(10000), free_cash=Decimal(10000))
TURNS = {Side.LONG: Stance.BULLISH, Side.SHORT: Stance.BEARISH}


def instrument(number: int = 1, tick: str | None = None, category: str | None = None) -> Instrument:
    """Make an instrument called T1, T2, ..."""
    return Instrument(
        token_id=TokenId(number),
        symbol=Symbol(f"T{number}"),
        name=f"Token {number}",
        price_tick=None if tick is None else Decimal(tick),
        category=category,
    )


def days_of(closes: Sequence[float | str], end: datetime = SLOT) -> tuple[Bar, ...]:
    """Make flat days of these closes, the last of which ended at the instant."""
    starts = [end - number * DAY for number in range(len(closes), 0, -1)]
    return tuple(Bar(start, start + DAY, *[price(close)] * 4) for start, close in zip(starts, closes, strict=True))


def turned(side: Side = Side.LONG, number: int = 1, when: str = "2024-06-01", grade: str | None = None) -> Episode:
    """Make the episode that asks for a side."""
    found = latest_episode([signal(when, TURNS[side], number, grade)])
    assert found is not None
    return found


def view_of(number: int = 1, side: Side = Side.LONG, worth: float | str | None = 100, **more: object) -> TokenView:
    """Make a token that has just turned, at a price; None: without one."""
    quote = None if worth is None else Quote(token_id=TokenId(number), price=price(worth), known_at=SLOT)
    bare = TokenView(
        instrument=instrument(number),
        episode=turned(side, number),
        price=quote,
        levels=None,
        quantmetrics=None,
        grades=None,
        market=None,
        days=(),
        prints=(),
    )
    return replace(bare, **more)  # type: ignore[arg-type]


def holding(number: int, side: Side = Side.LONG, quantity: str = "1") -> Holding:
    """Make a position entered at 100 an hour before the slot, without a stop."""
    position = Position(
        position_id=PositionId(f"pos-{number}"),
        run=RUN,
        slot=SLOT - HOUR,
        token_id=TokenId(number),
        ordinal=0,
        order_ordinal=0,
        signal_id=turned(side, number).signal_id,
        side=side,
        quantity=Quantity(Decimal(quantity)),
        entry_price=price(100),
        opened_at=SLOT - HOUR,
        stop_initial=None,
        target=None,
        stop_source="none",
        target_source="none",
    )
    return Holding(
        position=position,
        quantity=position.quantity,
        cost=position.quantity * 100,
        cash=Decimal(0),
        booked=Decimal(0),
        price=price(100),
        low=price(100),
        high=price(100),
        stop=None,
    )


def accepted(number: int, role: Role, side: Side = Side.LONG, quantity: str = "1", **more: object) -> LiveOrder:
    """Make an accepted order at 100 of the token's position."""
    order = Order(
        order_id=OrderId(f"ord-{number}-{role}"),
        run=RUN,
        slot=SLOT - HOUR,
        position_id=PositionId(f"pos-{number}"),
        signal_id=turned(side, number).signal_id,
        token_id=TokenId(number),
        side=side,
        role=role,
        ordinal=0,
        rank=0,
        quantity=Quantity(Decimal(quantity)),
        price=price(100),
    )
    return LiveOrder(order=replace(order, **more), state=OrderState.ACCEPTED)  # type: ignore[arg-type]


def book(*parts: Holding | LiveOrder, **more: object) -> Portfolio:
    """Make an account of 10000 that holds these positions and waits for these orders."""
    account = Portfolio(
        run=RUN,
        cash=Decimal(10000),
        holdings={part.position.token_id: part for part in parts if isinstance(part, Holding)},
        orders={part.order.order_id: part for part in parts if isinstance(part, LiveOrder)},
    )
    return replace(account, **more)  # type: ignore[arg-type]


def propose(
    rules: Rules,
    view: TokenView,
    portfolio: Portfolio | None = None,
    views: Mapping[int, TokenView] | None = None,
    account: Means = ACCOUNT,
    **more: object,
) -> Proposal:
    """Propose the entry of a token at the slot."""
    with localcontext(EXACT):
        view = read_levels(view, rules.levels, SLOT)
        reference = view.price.price if view.price else None
        assert view.episode is not None
        side = side_of(view.episode, rules) or Side.LONG
        bracket = place_bracket(view, reference, side, rules) if reference is not None else Bracket(side=side)
        size = size_entry(view, reference, bracket, account, rules) if reference is not None else None
    known = {view.instrument.token_id: view} | {TokenId(number): other for number, other in (views or {}).items()}
    made = Proposal(
        as_of=SLOT,
        lateness_hours=Decimal(0),
        interval_hours=None,
        view=view,
        views=known,
        episode=view.episode,
        portfolio=portfolio or book(),
        prices={token_id: other.price.price for token_id, other in known.items() if other.price},
        equity=account.equity,
        reference=reference,
        bracket=bracket,
        size=size,
        rules=rules,
    )
    return replace(made, **more)  # type: ignore[arg-type]


COMPARED: Mapping[Comparator, Callable[[Decimal, Decimal], bool]] = {
    Comparator.AT_LEAST: operator.ge,
    Comparator.AT_MOST: operator.le,
    Comparator.ABOVE: operator.gt,
    Comparator.IS: operator.eq,
}


def findings(rules: Rules, view: TokenView, *known: object, **more: object) -> dict[str, Finding]:
    """Return what each gate finds on the proposal of a token; each that has a value has passed as it compares."""
    with localcontext(EXACT):
        found = dict(ask_all(propose(rules, view, *known, **more)))  # type: ignore[arg-type]
    for finding in found.values():
        if finding.value is not None:
            assert finding.threshold is not None
            assert finding.passed == COMPARED[finding.comparator](finding.value, finding.threshold)
    return found
