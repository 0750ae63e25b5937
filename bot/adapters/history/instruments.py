"""The instruments that instruments.csv lists, and the universe that a strategy picks from them.

Symbols and token_ids are unique in a folder.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from bot.adapters.history.dated import token_of
from bot.adapters.history.parquet import rows
from bot.adapters.history.reader import SourceFile, bad_row, positive
from bot.domain.errors import ConfigError
from bot.domain.ids import Symbol, TokenId
from bot.domain.instruments import QUANTITY_STEP, Instrument

SYMBOL_LENGTH_MAX = 64
REQUIRED = ("token_id", "symbol", "name")
OPTIONAL = ("quantity_step", "price_tick", "category")

Universe = Sequence[str | int] | str


def read_instruments(file: SourceFile) -> dict[TokenId, Instrument]:
    """Read the instruments by token_id.

    Raises BadInputError for a row that cannot be used and for a repeated symbol or token_id.
    """
    found: dict[TokenId, Instrument] = {}
    lines: dict[str, int] = {}
    for line, cells in rows(file, REQUIRED, OPTIONAL):
        try:
            instrument = _instrument(cells)
        except ValueError as error:
            raise bad_row(file.path, line, str(error)) from error
        if instrument.token_id in found or instrument.symbol in lines:
            label = "symbol" if instrument.symbol in lines else "token_id"
            raise bad_row(
                file.path, line, f"duplicated {label} {getattr(instrument, label)}: keep one row of it"
            )
        found[instrument.token_id] = instrument
        lines[instrument.symbol] = line
    return found


def _instrument(cells: Sequence[str]) -> Instrument:
    token, symbol, name, step, tick, category = (cell.strip() for cell in cells)
    # The symbol is the name of its bars files, so it must not lead out of their folder.
    fits = 0 < len(symbol) <= SYMBOL_LENGTH_MAX and symbol.isprintable()
    if not fits or symbol.startswith(".") or set(symbol) & set("/\\"):
        raise ValueError(f"{symbol[:40]!r} is no symbol")
    return Instrument(
        token_id=token_of(token),
        symbol=Symbol(symbol),
        name=name,
        quantity_step=positive(step) if step else QUANTITY_STEP,
        price_tick=positive(tick) if tick else None,
        category=category or None,
    )


def resolve(
    file: SourceFile, instruments: Mapping[TokenId, Instrument], universe: Universe
) -> tuple[TokenId, ...]:
    """Resolve symbols and token_ids, or "*" for all, to token_ids in ascending order.

    Raises ConfigError for an empty universe and for an unknown or repeated token.
    """
    if universe == "*":
        found = list(instruments)
    else:
        by_symbol: dict[str, TokenId] = {
            instrument.symbol: token_id for token_id, instrument in instruments.items()
        }
        found = [_resolve(file, by_symbol, wanted) for wanted in universe]
    if not found:
        raise ConfigError(f"{file.path}: the universe is empty: it needs at least one instrument")
    twice = [token_id for token_id, times in Counter(found).items() if times > 1]
    if twice:
        raise ConfigError(
            f"universe: {instruments[twice[0]].symbol} and {twice[0]} are the same token: name it once"
        )
    return tuple(sorted(found))


def _resolve(file: SourceFile, by_symbol: Mapping[str, TokenId], wanted: str | int) -> TokenId:
    """Find one token: by its symbol first, then by its token_id, a number or a string of digits."""
    if wanted in by_symbol:
        return by_symbol[str(wanted)]
    for token_id in by_symbol.values():
        if str(wanted) == str(token_id):
            return token_id
    names = {symbol.upper(): symbol for symbol in by_symbol}
    near = get_close_matches(str(wanted).upper(), names, n=1, cutoff=0.5)
    hint = f"; did you mean `{names[near[0]]}`?" if near else f"; it has {', '.join(sorted(by_symbol)[:8])}"
    raise ConfigError(f"universe: {wanted!r} is not in {file.path}{hint}")
