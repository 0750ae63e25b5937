"""The provider's list of tokens: their names, categories and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bot.adapters.tokenmetrics.fields import Fields, RefusalReason, RefusedError
from bot.domain.ids import TokenId
from bot.domain.numbers import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedToken:
    """A row of the provider's list of tokens.

    market_cap and volume_24h are in quote currency, and None when they are not given.
    """

    token_id: TokenId
    symbol: str
    name: str
    category: str | None
    market_cap: Decimal | None
    volume_24h: Decimal | None


def read_listed(row: Fields) -> ListedToken:
    """Read a row of tokens."""
    categories = row.get("category_list")
    first = categories[0] if isinstance(categories, list) and categories else None
    slug = first.get("category_slug") if isinstance(first, dict) else None
    return ListedToken(
        token_id=row.token(),
        symbol=row.text("token_symbol"),
        name=row.text("token_name"),
        category=slug if isinstance(slug, str) else None,
        market_cap=row.optional(read_size, row, "market_cap"),
        volume_24h=row.optional(read_size, row, "total_volume", "volume_24h"),
    )


def parse_listed(rows: Sequence[object]) -> tuple[ListedToken, ...]:
    """Parse the rows of tokens that can be read, each token once, in the order of their ids."""
    found = {}
    for raw in rows:
        try:
            listed = read_listed(Fields(raw))
        except RefusedError:
            continue
        found[listed.token_id] = listed
    return tuple(found[token_id] for token_id in sorted(found))


def read_size(row: Fields, *keys: str) -> Decimal | None:
    """Read the first size that is given; refuse one below zero."""
    value = row.number(*keys)
    if value is not None and value < ZERO:
        raise RefusedError(RefusalReason.NOT_POSITIVE, keys[0], value)
    return value
