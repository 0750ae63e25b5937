"""Resolve the names of a universe to tokens: from what the ledger has pinned, else by the provider.

A symbol that several tokens share is never guessed: one token must be larger by far, or the user
gives its token_id. A token that was pinned once is never looked up again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches

from bot.adapters.tokenmetrics.calls import ApiQuery, Desk
from bot.adapters.tokenmetrics.listing import ListedToken, parse_listed
from bot.domain.errors import ConfigError
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import Instrument

NAMES_AT_ONCE = 50
# A bridged or wrapped token can be nearly as large as its original: only ten times the size is
# proof.
LARGER_BY = Decimal(10)


def resolve(
    desk: Desk, at: datetime, wanted: Sequence[str | int], pinned: Collection[Instrument] = ()
) -> Mapping[TokenId, Instrument]:
    """Find the tokens of symbols and token_ids; pinned: what the ledger knows already.

    Raises ConfigError that names all unknown and ambiguous ones.
    """
    found: dict[TokenId, Instrument] = {}
    ids, symbols = set[int](), set[str]()
    for name in wanted:
        known = [one for one in pinned if _is_called(one, name)]
        if len(known) == 1:
            found[known[0].token_id] = known[0]
        elif str(name).isdigit():
            ids.add(int(name))
        else:
            symbols.add(str(name))
    if ids or symbols:
        chosen = _look_up(desk, at, ids, symbols)
        # A token that is pinned keeps the name under which it was pinned.
        names = {one.token_id: one for one in pinned}
        for token in chosen:
            found[token.token_id] = names.get(token.token_id) or _instrument(token)
    return {token_id: found[token_id] for token_id in sorted(found)}


def _is_called(one: Instrument, name: str | int) -> bool:
    text = str(name)
    return one.token_id == int(text) if text.isdigit() else one.symbol == text.upper()


def _look_up(
    desk: Desk, at: datetime, ids: Collection[int], symbols: Collection[str]
) -> list[ListedToken]:
    """Ask the provider for tokens; raise ConfigError with a fault for each name that gives none."""
    queries = [_query("token_id", part) for part in _parts(map(str, sorted(ids)))]
    queries += [_query("symbol", part) for part in _parts(sorted(symbols))]
    listed = _ask_listing(desk, at, queries)
    by_id = {token.token_id: token for token in listed}
    chosen = [by_id[TokenId(token_id)] for token_id in ids if token_id in by_id]
    faults = [
        f"the provider lists no token_id {token_id}; correct it in the strategy's universe"
        for token_id in sorted(ids)
        if token_id not in by_id
    ]
    missing = []
    for symbol in sorted(symbols):
        alike = [token for token in listed if token.symbol.upper() == symbol.upper()]
        one = _choose(alike)
        if one is not None:
            chosen.append(one)
        elif alike:
            choices = ", ".join(f"{token.token_id} ({token.name})" for token in alike)
            faults.append(f"{symbol} is the symbol of {choices}; write the token_id in universe")
        else:
            missing.append(symbol)
    faults += _miss(desk, at, missing) if missing else []
    if faults:
        raise ConfigError(f"universe: {'; '.join(faults)}")
    return chosen


def _choose(alike: Sequence[ListedToken]) -> ListedToken | None:
    """Choose the only token of a symbol, or the one that is larger by far than all others.

    A size that is not given is unknown, and proves nothing.
    """
    if len(alike) == 1:
        return alike[0]
    sizes = [token.market_cap for token in alike if token.market_cap is not None]
    if not alike or len(sizes) < len(alike):
        return None
    *_, second, largest = sorted(sizes)
    if not largest or largest < LARGER_BY * second:
        return None
    return next(token for token in alike if token.market_cap == largest)


def _miss(desk: Desk, at: datetime, symbols: Iterable[str]) -> Iterator[str]:
    """Yield a fault for each unknown symbol, with the nearest ones."""
    known = {}
    for token in _ask_listing(desk, at, [ApiQuery(endpoint="tokens", params=(), page_max=1)]):
        known.update({token.symbol.upper(): token.symbol, token.name.upper(): token.symbol})
    for symbol in symbols:
        near = sorted({known[name] for name in get_close_matches(symbol.upper(), known, n=3)})
        mend = f"did you mean {' or '.join(near)}?" if near else "write the token_id in universe"
        yield f"the provider lists no symbol {symbol}; {mend}"


def _ask_listing(
    desk: Desk, at: datetime, queries: Sequence[ApiQuery]
) -> tuple[ListedToken, ...]:
    rows: list[object] = []
    for heard in desk.ask(at, queries):
        # The list of all tokens has more pages than its first, which is enough for near names.
        if heard.error is not None and not heard.pages:
            raise heard.error
        rows += [row for page in heard.pages for row in page.rows]
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
