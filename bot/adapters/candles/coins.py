"""The coin and the currency of its price, from a symbol or from the name of a file."""

import re
from pathlib import Path
from typing import NamedTuple

from bot.adapters.candles.sheets import PRICES

# The longest first, so that FDUSD is not read as a coin that ends in FD.
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "USD", "EUR", "GBP")
# Symbols that would be split wrongly: coins that end in USD, and in the B of BUSD.
OTHERS = ("TUSD", "LUSD", "SUSD", "GUSD", "HUSD", "CUSD", "PYUSD", "RLUSD", "CRVUSD")
DOLLARS = {*QUOTES, *OTHERS}
ENDING_IN_B = {"BNB", "SHIB", "ARB", "CKB", "TRB", "DGB"}
ALIASES = {"XBT": "BTC", "XXBT": "BTC", "XETH": "ETH", "XDG": "DOGE"}
ENDINGS = re.compile(r"(\.(csv|txt|json|gz|zip|feather|arrow|ft|parquet|pq))+$", re.IGNORECASE)
SYMBOL_MAX = 64


class Coin(NamedTuple):
    """A coin, and the currency of its price; empty when none is named."""

    symbol: str
    quote: str


def coin_of(text: str) -> Coin:
    """Read a symbol such as BTC, BTCUSDT, BTC/USDT, BTC-USD or XBTUSD; an empty one for none."""
    parts = [part for part in re.split(r"[/\-_:\s]+", text.upper()) if part]
    quote = parts.pop() if len(parts) > 1 and parts[-1] in QUOTES else ""
    symbol = "".join(parts)
    if not quote and symbol not in DOLLARS:
        quote = next((one for one in QUOTES if symbol.endswith(one)), "")
        if quote == "BUSD" and symbol.removesuffix("USD") in ENDING_IN_B:
            quote = "USD"
        symbol = symbol.removesuffix(quote)
    symbol = ALIASES.get(symbol, symbol)
    fits = len(symbol) <= SYMBOL_MAX and symbol.isprintable() and not symbol.startswith(".")
    return Coin(symbol if fits and not set(symbol) & set("/\\") else "", quote)


def coin_of_file(path: Path) -> Coin | None:
    """Read the coin from a file's name: a part that ends in a currency, or the whole name.

    None when the name says no coin for sure.
    """
    stem = ENDINGS.sub("", path.name)
    parts = [part for part in re.split(r"[-_., /]+", stem) if part]
    for at, part in enumerate(parts):
        if at and part.upper() in QUOTES:
            return coin_of(f"{parts[at - 1]}/{part}")
        coin = coin_of(part)
        if coin.quote and part == part.upper():
            return coin
    named = parts == [stem] and re.fullmatch(r"[A-Z0-9]{2,10}", stem)
    return coin_of(stem) if named and stem.lower() not in PRICES else None
