"""Instruments, named by their token_id: a symbol is a label, and two tokens may share one."""

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.ids import Symbol, TokenId

QUANTITY_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A token with the steps of its prices and quantities; without a tick, prices stay exact."""

    token_id: TokenId
    symbol: Symbol
    name: str
    quantity_step: Decimal = QUANTITY_STEP
    price_tick: Decimal | None = None
    category: str | None = None
