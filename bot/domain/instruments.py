"""What can be traded. A token's identity is its token_id; a symbol is a label and may collide."""

from dataclasses import dataclass
from decimal import Decimal

from bot.domain.ids import Symbol, TokenId

QUANTITY_STEP = Decimal("0.00000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A token and the grid its prices and quantities lie on (price_tick None: unrounded)."""

    token_id: TokenId
    symbol: Symbol
    name: str
    quantity_step: Decimal = QUANTITY_STEP
    price_tick: Decimal | None = None
    category: str | None = None
