"""Finer bars decide whether stop or target came first in a bar that reaches both.

They decide only when they fill their bar without a gap and stay within its extremes. The fill model
of each fill names the timeframe that decided.
"""

from collections.abc import Iterable, Iterator, Sequence

from bot.domain.amend import amend
from bot.domain.decisions import Fact
from bot.domain.ids import TokenId
from bot.domain.market import Bar
from bot.domain.numbers import ZERO, Price
from bot.domain.orders import Fill, Role
from bot.domain.portfolio import Portfolio
from bot.domain.snapshot import TokenView
from bot.domain.tape import timeframe_of
from bot.engine.needs import Declaration, Input, Wakes

FINER_BARS = Declaration(
    keys=('fills.same_bar = "finer_bars"',),
    formula="the bars inside a bar that reaches stop and target",
    needs=(Input.FINER,),
    wakes=Wakes.BRACKET,
)


def worth_asking(portfolio: Portfolio, token_id: TokenId, prints: Iterable[Bar]) -> Iterator[Bar]:
    """Yield the bars that reach a target of a token; only these can reach both stop and target.

    The targets of an entry anchored at its fill are unknown before it, so every bar may reach one.
    """
    orders = [live.order for live in portfolio.orders.values() if live.order.token_id == token_id]
    unknown = any(order.role is Role.ENTRY and order.is_anchored_at_fill for order in orders)
    targets = [(order.side.sign, order.price) for order in orders if order.role is Role.TARGET]
    for bar in prints:
        # A long's target lies above the price, so the high reaches it; a short's low reaches it.
        if unknown or any(
            sign * ((bar.high if sign > 0 else bar.low) - price) >= ZERO for sign, price in targets
        ):
            yield bar


def bars_inside(view: TokenView, bar: Bar) -> tuple[Bar, ...]:
    """List the finer bars of a bar in order.

    The list is empty when one is missing or goes beyond the extremes of the bar.
    """
    inside = tuple(one for one in view.finer if bar.opened_at <= one.opened_at < bar.closed_at)
    edges = [bar.opened_at, *(one.closed_at for one in inside)]
    # Each finer bar must open where the one before it closed.
    whole = edges[-1] == bar.closed_at and all(
        one.opened_at == before for one, before in zip(inside, edges, strict=False)
    )
    fits = all(bar.low <= one.low and one.high <= bar.high for one in inside)
    return inside if whole and fits else ()


def extremes(inside: Sequence[Bar]) -> tuple[Price, Price]:
    """Find the lowest low and the highest high of bars."""
    return min(bar.low for bar in inside), max(bar.high for bar in inside)


def name_timeframe(finer: Bar, facts: Iterable[Fact]) -> Iterator[Fact]:
    """Yield the facts, with the deciding timeframe in the model of each fill: `bars-3+1m`."""
    name = timeframe_of(finer)
    for one in facts:
        yield amend(one, fill_model=f"{one.fill_model}+{name}") if isinstance(one, Fill) else one
