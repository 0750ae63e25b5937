"""Halts: a position whose token has been silent for seven days is closed at its last traded price (`delisted`).

When that is noticed changes nothing of the trade: it ends seven days after the last close, whatever slots there are.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from bot.domain.ids import TokenId
from bot.domain.market import HALT_LENGTH, Bar, Quote
from bot.domain.portfolio import Holding
from bot.domain.positions import ExitReason
from bot.domain.snapshot import TokenView
from bot.engine.exits import accept_exit, waiting_exit
from bot.engine.fills import charge_begun_days, exit_cash, fill_exit, liquidation_price
from bot.engine.journal import Journal
from bot.engine.rules import Rules


class Traded(dict[TokenId, Quote]):
    """The last price at which each token was traded, so far into a settlement."""

    def add(self, token_id: TokenId, bar: Bar) -> None:
        """Take the close of a bar that is not quiet, unless a later price is known."""
        known = self.get(token_id)
        if known is None or bar.closed_at >= known.known_at:
            self[token_id] = Quote(token_id=token_id, price=bar.close, known_at=bar.closed_at)


def last_traded(views: Mapping[TokenId, TokenView]) -> Traded:
    """Return the last prices before the prints of a settlement."""
    return Traded({token_id: view.before for token_id, view in views.items() if view.before is not None})


def close_silent(journal: Journal, traded: Traded, by: datetime, rules: Rules) -> None:
    """Close the positions whose token has been silent for seven days by an instant, the longest silent first."""
    silent = [
        (last.known_at + HALT_LENGTH, token_id)
        for token_id in journal.portfolio.holdings
        if (last := traded.get(token_id)) is not None and last.known_at + HALT_LENGTH <= by
    ]
    for ended_at, token_id in sorted(silent):
        charge_begun_days(journal, ended_at, rules)
        holding, price = journal.portfolio.holdings[token_id], traded[token_id].price
        order = waiting_exit(journal, holding) or accept_exit(journal, holding, price, ExitReason.DELISTED)
        lost = _cash_if_lost(holding, rules)
        fill_exit(journal, order, price, ended_at, ExitReason.DELISTED, rules, cash_otherwise=lost)


def _cash_if_lost(holding: Holding, rules: Rules) -> Decimal:
    """Return a position's cash if what is left of it is lost: a long worth nothing, a short's margin used up."""
    worst = liquidation_price(holding.position, rules)
    return holding.cash if worst is None else holding.cash + exit_cash(holding, worst, holding.quantity, rules)
