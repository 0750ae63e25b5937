"""The mark of an account at a slot: its equity, its high and its deepest fall so far."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from bot.domain.decisions import EquityMark
from bot.domain.ids import TokenId
from bot.domain.numbers import AMOUNT_MAX, ZERO, Price, fraction_half_even
from bot.domain.portfolio import Fall, Portfolio
from bot.engine.account import check_amount, drawdown, gross_value, net_value

Prices = Mapping[TokenId, Price]
Followed = tuple[Decimal, datetime, Fall | None]


def mark_equity(portfolio: Portfolio, slot: datetime, prices: Prices) -> EquityMark:
    """Value an account at a slot.

    Raises BadInputError when it is worth more than a ledger can hold.
    """
    positions_value = value_positions(portfolio, prices, slot)
    equity = portfolio.cash + positions_value
    high, _, deepest = follow_equity(portfolio, equity, slot)
    gross = gross_value(portfolio, prices)
    return EquityMark(
        run=portfolio.run,
        slot=slot,
        cash=portfolio.cash,
        positions_value=positions_value,
        equity=equity,
        high_water_mark=high,
        drawdown=drawdown(equity, high),
        exposure=fraction_half_even(gross / equity) if equity > ZERO else ZERO,
        open_positions=len(portfolio.holdings),
        drawdown_deepest=ZERO if deepest is None else deepest.depth,
        drawdown_high=None if deepest is None else deepest.high,
        drawdown_started_at=None if deepest is None else deepest.started_at,
        drawdown_trough_at=None if deepest is None else deepest.trough_at,
        drawdown_recovered_at=None if deepest is None else deepest.recovered_at,
    )


def value_positions(portfolio: Portfolio, prices: Prices, slot: datetime) -> Decimal:
    """Compute the value of the positions at a slot.

    Raises BadInputError, naming the largest position, when the sum is more than a ledger can hold.
    """
    value = net_value(portfolio, prices)
    most = max(abs(value), abs(portfolio.cash + value))
    if most > AMOUNT_MAX and portfolio.holdings:
        held = portfolio.holdings
        largest = max(held, key=lambda token_id: held[token_id].quantity * prices[token_id])
        check_amount(most, largest, slot)
    return value


def follow_equity(portfolio: Portfolio, equity: Decimal, at: datetime) -> Followed:
    """Update the high-water mark, its instant and the deepest fall with an instant's equity.

    Of equally deep falls the first one counts. A fall ends at the first slot whose equity reaches
    its high again.
    """
    high, high_at, deepest = portfolio.high_water_mark, portfolio.high_at, portfolio.deepest
    if high_at is None or equity > high:
        high, high_at = max(high, equity), at
    if deepest is not None and deepest.recovered_at is None and equity >= deepest.high:
        deepest = deepest._replace(recovered_at=at)
    depth = drawdown(equity, high)
    if depth > (ZERO if deepest is None else deepest.depth):
        deepest = Fall(depth, high, high_at, at, None)
    return high, high_at, deepest
