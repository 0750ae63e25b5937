"""Exact numbers and their rounding; one function each converts from float and to float.

Amounts owed or owned, and prices compared with a stop, are Decimals computed under `EXACT`.
"""

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import NewType

Price = NewType("Price", Decimal)
Quantity = NewType("Quantity", Decimal)

ZERO = Decimal(0)
ONE = Decimal(1)
MICRO = Decimal("0.000001")
CASH_MAX = Decimal(10) ** 10
# Sums of amounts up to this limit stay far within 64 bits of micro-dollars.
AMOUNT_MAX = Decimal(10) ** 11
QUANTITY_MAX = Decimal(10) ** 18
# The one limit of every number from outside: what reaches it is refused by name where it is read.
OUTSIDE_MAX = Decimal(10) ** 18
PRICE_STEP = Decimal(1).scaleb(-18)

# Sixty digits hold price x quantity x cost factors without rounding, so only divisions round.
# By default a division by zero, an invalid operation and an overflow are errors.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def from_float(value: float) -> Decimal:
    """Convert a float to the shortest decimal that names it: the text that a file held."""
    return Decimal(repr(value))


def to_float(value: Decimal) -> float:
    """Convert a decimal to the nearest float, for statistics and columns only."""
    return float(value)


def micro_half_even(amount: Decimal) -> Decimal:
    """Round an amount to micro-dollars, half to even."""
    return amount.quantize(MICRO, ROUND_HALF_EVEN, EXACT)


def price_half_even(price: Decimal) -> Price:
    """Round a price to at most 18 decimals, half to even."""
    stepped = price.quantize(PRICE_STEP, ROUND_HALF_EVEN, EXACT)
    return Price(price if stepped == price else stepped)


def fraction_half_even(value: Decimal) -> Decimal:
    """Round a ratio half to even to the 18 decimals that the ledger keeps."""
    return value.quantize(PRICE_STEP, ROUND_HALF_EVEN, EXACT)


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """Round down to a multiple of step."""
    return EXACT.multiply(EXACT.divide(value, step).to_integral_value(ROUND_FLOOR), step)


def ceil_to_step(value: Decimal, step: Decimal | None) -> Decimal:
    """Round up to a multiple of step; without a step, keep the value."""
    return value if step is None else floor_to_step(value.copy_negate(), step).copy_negate()


def plain(value: Decimal) -> str:
    """Write a decimal in its only canonical form: no exponent, trailing zeros or minus zero."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
