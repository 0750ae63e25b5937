"""Resolve the names of a universe to tokens, from the provider's list.

A symbol that several tokens share is never guessed: one token must be larger by far, or the user
gives its token_id.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches

from bot.adapters.tokenmetrics.calls import ApiQuery, Desk
from bot.adapters.tokenmetrics.parse import ListedToken, parse_listed
from bot.domain.errors import ConfigError
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument
from bot.domain.numbers import ZERO

NAMES_AT_ONCE = 50
# A bridged or wrapped token can be nearly as large as its original: only ten times the size is
# proof.
LARGER_BY = Decimal(10)


def resolve(desk: Desk, at: datetime, wanted: Sequence[str | int]) -> Mapping[TokenId, Instrument]:
    """Find the tokens of symbols and token_ids; raise ConfigError for unknown or ambiguous ones."""
    ids = {int(name) for name in wanted if str(name).isdigit()}
    symbols = {str(name) for name in wanted} - {str(name) for name in wanted if str(name).isdigit()}
    queries = [_query("token_id", part) for part in _parts(map(str, sorted(ids)))]
    queries += [_query("symbol", part) for part in _parts(sorted(symbols))]
    listed = _ask_listing(desk, at, queries)
    by_id = {token.token_id: token for token in listed}
    if unknown := sorted(ids - set(by_id)):
        raise ConfigError(
            f"universe: the provider lists no token_id {unknown[0]}; correct it in the strategy's universe"
        )
    chosen = [by_id[TokenId(token_id)] for token_id in ids]
    for symbol in sorted(symbols):
        alike = [token for token in listed if token.symbol.upper() == symbol.upper()]
        chosen.append(_choose(symbol, alike) if alike else _miss(desk, at, symbol))
    return {token.token_id: _instrument(token) for token in sorted(chosen, key=lambda token: token.token_id)}


def _choose(symbol: str, alike: Sequence[ListedToken]) -> ListedToken:
    """Choose the only token of a symbol, or the one that is larger by far than the others."""
    if len(alike) == 1:
        return alike[0]
    by_size = sorted(alike, key=lambda token: token.market_cap or ZERO, reverse=True)
    largest, second = (token.market_cap or ZERO for token in by_size[:2])
    if largest > ZERO and largest >= LARGER_BY * second:
        return by_size[0]
    choices = ", ".join(f"{token.token_id} ({token.name})" for token in alike)
    raise ConfigError(f"universe: {symbol} is the symbol of {choices}; write the token_id in universe")


def _miss(desk: Desk, at: datetime, symbol: str) -> ListedToken:
    """Raise ConfigError for an unknown symbol, and name the nearest ones."""
    known = {}
    for token in _ask_listing(desk, at, [ApiQuery(endpoint="tokens", params=(), page_max=1)]):
        known.update({token.symbol.upper(): token.symbol, token.name.upper(): token.symbol})
    near = sorted({known[name] for name in get_close_matches(symbol.upper(), known, n=3)})
    mend = f"did you mean {' or '.join(near)}?" if near else "write the token_id in universe"
    raise ConfigError(f"universe: the provider lists no symbol {symbol}; {mend}")


def _ask_listing(desk: Desk, at: datetime, queries: Sequence[ApiQuery]) -> tuple[ListedToken, ...]:
    rows: list[object] = []
    for reply in desk.ask(at, queries):
        if reply.error is not None:
            raise reply.error
        rows += reply.rows
    return parse_listed(rows)


def _parts(names: Iterable[str]) -> Iterator[str]:
    ordered = list(names)
    for begin in range(0, len(ordered), NAMES_AT_ONCE):
        yield ",".join(ordered[begin : begin + NAMES_AT_ONCE])


def _query(name: str, value: str) -> ApiQuery:
    return ApiQuery(endpoint="tokens", params=((name, value),))


def _instrument(token: ListedToken) -> Instrument:
    return Instrument(
        token_id=token.token_id, symbol=Symbol(token.symbol.upper()), name=token.name, category=token.category
    )
