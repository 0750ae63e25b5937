"""The benchmark: what the market gave without any decision. Equal parts of the universe, bought once and kept.

Its worth is computed from the prices that the run itself had, at the first slot of each UTC day, and stored there.
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
from bot.domain.snapshot import Snapshot
from bot.engine.journal import Journal


def mark_benchmark(journal: Journal, snapshot: Snapshot, equity: Decimal) -> Decimal | None:
    """Return what the benchmark is worth in quote currency.

    None where none is asked for, a price has gone, or it is worth nothing or more than a ledger holds.

    The first time the account's equity is put into equal parts, free of costs. A part is cash until its token has a
    price. Where the universe has changed since, the last worth is put into equal parts of the new one.
    """
    portfolio, now = journal.portfolio, snapshot.benchmark
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
    for token_id in sorted(one for one, price in now.items() if price is not None and parts[one].price is None):
        _put(journal, token_id, now[token_id], parts[token_id].worth)
    if any(price is None and parts[token_id].price is not None for token_id, price in now.items()):
        return None
    cash = [to_float(part.worth) for part in parts.values() if part.price is None]
    worth = fsum([*cash, *(parts[token_id].units * price for token_id, price in now.items() if price is not None)])
    return micro_half_even(from_float(worth)) if worth <= AMOUNT_MAX else None  # a statistic ends no run


def _put(journal: Journal, token_id: TokenId, price: float | None, worth: Decimal) -> None:
    paid = None if price is None else price_half_even(from_float(price))
    run = journal.portfolio.run
    journal.write(BenchmarkPart(run=run, slot=journal.slot, token_id=token_id, price=paid, worth=worth))
