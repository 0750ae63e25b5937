"""Closing of positions whose token has not traded for seven days, at its last traded price.

The exit reason is `delisted`. The trade ends seven days after the last close; the choice of slots
does not change it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from bot.domain.ids import TokenId
from bot.domain.market import HALT_LENGTH
from bot.domain.numbers import ZERO, Price
from bot.domain.orders import Role
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason
from bot.domain.snapshot import TokenView
from bot.engine.account import liquidation_price
from bot.engine.exits import accept_exit
from bot.engine.fills import charge_begun_days, exit_cash, fill_exit
from bot.engine.journal import Journal
from bot.engine.rules import Rules

# When, and at which price, each token was last traded up to the current point of a settlement.
Traded = dict[TokenId, tuple[datetime, Price]]
NEVER_TRADED = (datetime.min.replace(tzinfo=UTC), Price(ZERO))


def last_active_price(views: Mapping[TokenId, TokenView]) -> Traded:
    """Find when and at which price each token was last traded before the prints of a settlement.

    A token whose first print is a quote is left out: a quote does not show whether the token was
    silent before it or its bars were not fetched.
    """
    found: Traded = {}
    for token_id, view in views.items():
        first = view.prints[0] if view.prints else None
        is_quote = first is not None and first.opened_at == first.closed_at
        if view.last_traded is not None and not is_quote:
            found[token_id] = (view.last_traded.known_at, view.last_traded.price)
    return found


def close_silent(journal: Journal, traded: Traded, by: datetime) -> None:
    """Close the positions whose token has been silent for seven days by an instant.

    The token that has been silent longest is closed first.
    """
    latest = by - HALT_LENGTH
    silent = [
        (traded[token_id][0] + HALT_LENGTH, token_id)
        for token_id in journal.portfolio.holdings
        if token_id in traded and traded[token_id][0] <= latest
    ]
    for ended_at, token_id in sorted(silent):
        charge_begun_days(journal, {token_id: ended_at})
        (_, price), reason = traded[token_id], ExitReason.DELISTED
        holding = journal.portfolio.holdings[token_id]
        order = journal.portfolio.order_of(holding, Role.EXIT)
        order = order or accept_exit(journal, holding, price, reason)
        lost = _cash_at_total_loss(holding, journal.rules)
        fill_exit(journal, order, price, ended_at, reason, cash_otherwise=lost)


def _cash_at_total_loss(holding: Holding, rules: Rules) -> Decimal:
    """Compute a position's cash if a long is worth nothing, or a short has used up its margin."""
    worst = liquidation_price(holding.position, rules)
    lost = ZERO if worst is None else exit_cash(holding, worst, holding.quantity, rules)
    return holding.cash + lost
