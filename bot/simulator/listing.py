"""The tokens of the synthetic market: real names and ids, and look-alikes that share their symbols.

A token never changes its id, and no other token gets it, because seeds are derived from ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from types import MappingProxyType

CATEGORIES: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "layer-1": (11, "Layer 1"),
        "smart-contract-platform": (17, "Smart Contract Platform"),
        "payments": (29, "Payments"),
        "meme-token": (54, "Meme"),
        "decentralized-exchange": (61, "Decentralized Exchange"),
        "decentralized-finance-defi": (72, "Decentralized Finance (DeFi)"),
        "oracle": (88, "Oracle"),
        "base-ecosystem": (203, "Base Ecosystem"),
        "bridged-tokens": (311, "Bridged-Tokens"),
    }
)

EXCHANGES: Mapping[str, str] = MappingProxyType(
    {
        "binance": "Binance",
        "gdax": "Coinbase Exchange",
        "gate": "Gate.io",
        "kraken": "Kraken",
        "osmosis": "Osmosis",
        "pancakeswap_new": "PancakeSwap (v2)",
        "uniswap-v3-base": "Uniswap V3 (Base)",
        "xt": "XT.COM",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token: its labels, its size, and how its price moves.

    price: at the market's start. volatility: annual. common: the weight of the common factor, 0..1.
    follows: the id of the token whose price it follows. age_days: its age at the market's start.
    """

    token_id: int
    symbol: str
    name: str
    price: float
    supply: float
    volatility: float
    common: float
    categories: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ("binance", "gdax", "gate", "kraken")
    contracts: tuple[tuple[str, str], ...] = ()
    follows: int | None = None
    age_days: int | None = None

    @property
    def slug(self) -> str:
        """The name as it is written in an address."""
        return self.name.lower().replace(" ", "-").replace(".", "-")

    @property
    def decimals(self) -> int:
        """The decimals of a price that is quoted with about six significant digits."""
        return 5 - int(f"{self.price:e}".partition("e")[2])

    def sigma(self, periods: int) -> float:
        """Compute the volatility of one of so many periods of a year."""
        return self.volatility / sqrt(periods)


def _main(token_id: int, symbol: str, name: str, figures: tuple[float, ...], *categories: str) -> Token:
    """Build a main token.

    figures: price, supply, annual volatility, share of the common factor.
    """
    price, supply, volatility, common = figures
    return Token(
        token_id=token_id,
        symbol=symbol,
        name=name,
        price=price,
        supply=supply,
        volatility=volatility,
        common=common,
        categories=categories,
    )


def _alike(main: Token, token_id: int, name: str, *, supply: float, exchange: str) -> Token:
    """Build a bridged token that follows the price of the token whose symbol it shares."""
    return replace(
        main,
        token_id=token_id,
        name=name,
        supply=supply,
        categories=("bridged-tokens",),
        exchanges=(exchange,),
        follows=main.token_id,
    )


BITCOIN = _main(3375, "BTC", "Bitcoin", (96400.0, 19.8e6, 0.33, 0.75), "layer-1", "payments")
ETHEREUM = _main(3306, "ETH", "Ethereum", (3310.0, 120.5e6, 0.42, 0.7), "smart-contract-platform", "layer-1")
SOLANA = _main(3988, "SOL", "Solana", (187.0, 485e6, 0.52, 0.65), "smart-contract-platform", "layer-1")
DOGECOIN = _main(3393, "DOGE", "Dogecoin", (0.345, 147.6e9, 0.62, 0.55), "meme-token", "payments")

TOKENS: tuple[Token, ...] = (
    BITCOIN,
    ETHEREUM,
    SOLANA,
    DOGECOIN,
    _main(3369, "XRP", "XRP", (2.31, 57.4e9, 0.54, 0.55), "payments"),
    _main(3388, "ETC", "Ethereum Classic", (25.4, 150.6e6, 0.5, 0.65), "smart-contract-platform", "layer-1"),
    _main(4253, "YFI", "yearn.finance", (8120.0, 33.7e3, 0.57, 0.6), "decentralized-finance-defi"),
    Token(
        token_id=30747,
        symbol="AERO",
        name="Aerodrome Finance",
        price=1.28,
        supply=732e6,
        volatility=0.85,
        common=0.45,
        categories=("decentralized-exchange", "base-ecosystem"),
        exchanges=("gdax", "gate", "uniswap-v3-base"),
        contracts=(("base", "0x940181a94a35a4569e4529a3cdfb74e38fd98631"),),
        age_days=10,
    ),
    _main(3973, "AVAX", "Avalanche", (36.2, 410e6, 0.58, 0.65), "smart-contract-platform", "layer-1"),
    _main(3463, "LINK", "Chainlink", (21.7, 638e6, 0.54, 0.6), "oracle"),
    _main(3408, "ADA", "Cardano", (0.886, 35.1e9, 0.56, 0.6), "smart-contract-platform", "layer-1"),
    _main(3371, "LTC", "Litecoin", (103.5, 75.3e6, 0.46, 0.6), "payments", "layer-1"),
    _main(4092, "DOT", "Polkadot", (6.87, 1.53e9, 0.53, 0.65), "smart-contract-platform", "layer-1"),
    _main(
        4191, "UNI", "Uniswap", (13.1, 600e6, 0.6, 0.6), "decentralized-exchange", "decentralized-finance-defi"
    ),
    _main(4127, "NEAR", "NEAR Protocol", (5.12, 1.17e9, 0.64, 0.6), "smart-contract-platform", "layer-1"),
    _main(3794, "ATOM", "Cosmos Hub", (6.44, 391e6, 0.5, 0.6), "layer-1"),
    _alike(BITCOIN, 39218, "Osmosis allBTC", supply=212.0, exchange="osmosis"),
    _alike(ETHEREUM, 39220, "Osmosis allETH", supply=1830.0, exchange="osmosis"),
    _alike(SOLANA, 39225, "Osmosis allSOL", supply=9400.0, exchange="osmosis"),
    _alike(SOLANA, 43672, "Binance-Peg SOL", supply=61.0e3, exchange="pancakeswap_new"),
    _alike(DOGECOIN, 17492, "Binance-Peg Dogecoin", supply=810e6, exchange="pancakeswap_new"),
    replace(
        _main(38892, "DOGE", "Department Of Government Efficiency", (0.0931, 96e6, 0.85, 0.2)),
        exchanges=("xt",),
    ),
    replace(_main(40212, "DOGE", "Department of Gov Efficiency", (0.218, 31e6, 0.85, 0.2)), exchanges=("xt",)),
)
