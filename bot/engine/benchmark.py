"""The benchmark: the universe in equal parts, bought once and held, without any decision.

Its value uses the prices that the run had; it is stored at the first slot of each UTC day.
"""

from decimal import Decimal
from math import fsum

from bot.domain.decisions import BenchmarkPart
from bot.domain.ids import TokenId
from bot.domain.numbers import (
    AMOUNT_MAX,
    ZERO,
    fraction_half_even,
    from_float,
    micro_half_even,
    price_half_even,
    to_float,
)
from bot.engine.journal import Journal


def mark_benchmark(journal: Journal, equity: Decimal) -> Decimal | None:
    """Compute the value of the benchmark in quote currency, and buy its parts when needed.

    Returns None when the snapshot asks for no benchmark, when the price of a bought part is
    missing, when there is no equity to split, or when the value is more than a ledger can hold.

    At first the account's equity is split into equal parts, free of costs. A part stays cash until
    its token has a price. When the universe changes, the last value is split into equal parts of
    the new universe.
    """
    portfolio, now = journal.portfolio, journal.snapshot.benchmark
    if not now:
        return None
    if portfolio.parts.keys() != now.keys():
        total = equity if portfolio.benchmark is None else portfolio.benchmark
        if total <= ZERO:
            return None
        for token_id in sorted(portfolio.parts.keys() - now.keys()):
            _put(journal, token_id, None, ZERO)
        for token_id, price in sorted(now.items()):
            _put(journal, token_id, price, fraction_half_even(total / len(now)))
    parts = portfolio.parts
    known = {token_id: price for token_id, price in now.items() if price is not None}
    for token_id in sorted(one for one in known if parts[one].price is None):
        _put(journal, token_id, now[token_id], parts[token_id].worth)
    if any(price is None and parts[token_id].price is not None for token_id, price in now.items()):
        return None
    cash = [to_float(part.worth) for part in parts.values() if part.price is None]
    worth = fsum([*cash, *(parts[token_id].units * price for token_id, price in known.items())])
    # The benchmark is only a statistic, so an amount that is too large must not end the run.
    return micro_half_even(from_float(worth)) if worth <= AMOUNT_MAX else None


def _put(journal: Journal, token_id: TokenId, price: float | None, worth: Decimal) -> None:
    paid = None if price is None else price_half_even(from_float(price))
    run, slot = journal.portfolio.run, journal.slot
    journal.write(BenchmarkPart(run=run, slot=slot, token_id=token_id, price=paid, worth=worth))
