"""`bot history demo`: a small history folder out of the simulated market, to try commands on.

The same seed gives the same bytes on any machine: the market promises its draws.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bot.adapters.history.writing import HEADERS, find_other, put_folder, write_number, write_table
from bot.app.telling.answers import Answer
from bot.domain.errors import ConfigError
from bot.simulator.listing import CATEGORIES, Token
from bot.simulator.market import DAY, DAY_HOURS, HOUR, Market
from bot.simulator.metrics import quantmetrics
from bot.simulator.provider import SimulatedProvider

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 120
# The tokens that the shipped strategies name.
SYMBOLS = (
    "BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "AVAX", "LINK", "LTC", "DOT", "UNI", "NEAR", "ATOM", "ETC", "YFI",
)  # fmt: skip
STANCES = {1: "bullish", -1: "bearish"}
MEASURES = ("VOLATILITY", "SHARPE", "SORTINO", "MAX_DRAWDOWN", "CAGR")


def write_sample(folder: Path, seed: int) -> Answer:
    """Write the sample folder and answer with what it holds; an equal folder stays as it is.

    Raises ConfigError where something else has the name.
    """
    files = sample_files(seed)
    exists = folder.exists()
    contents = {name: (content,) for name, content in files.items()}
    if exists and (_list_files(folder) != set(files) or find_other(folder, contents)):
        raise ConfigError(
            f"{folder} exists and is not this sample: name a folder that does not exist, or remove it"
        )
    if not exists:
        put_folder(folder, contents)
    counts = {
        "tokens": len(SYMBOLS),
        "days": DAYS,
        "bars": len(SYMBOLS) * DAYS * DAY_HOURS,
        "files": len(files),
        "bytes": sum(map(len, files.values())),
    }
    text = (
        f"{folder}: {len(SYMBOLS)} simulated tokens, {DAYS} days of hourly bars from {START:%Y-%m-%d}\n"
        f"try: bot replay --strategy levels_long --history {folder}"
    )
    return Answer(
        payload={"folder": str(folder), "seed": seed, "written": not exists, **counts},
        parts=(text,),
        notes=(f"{folder} holds this sample already: nothing written",) if exists else (),
    )


def _list_files(folder: Path) -> set[str]:
    """List the files in a folder by their paths in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def sample_files(seed: int) -> dict[str, bytes]:
    """Build the files of the sample folder, by their paths in it.

    A row dated by a day counts from that day's end, as the provider's rows are published then.
    """
    provider = SimulatedProvider(Market(seed, START, DAYS))
    listed = {token.symbol: token for token in reversed(tuple(provider.market.tokens.values()))}
    tokens = [listed[symbol] for symbol in SYMBOLS]
    dated = {
        "signals": _signals,
        "levels": _levels,
        "quantmetrics": _measures,
        "grades": _grades,
        "market": _sizes,
    }
    instruments = ((str(one.token_id), one.symbol, one.name, _category_of(one)) for one in tokens)
    files = {"instruments.csv": write_table(HEADERS["instruments"], instruments)}
    for token in tokens:
        files[f"bars/1h/{token.symbol}.csv"] = write_table(HEADERS["bars"], _bars(provider.market, token))
    for name, rows_of in dated.items():
        rows = (
            (str(token.token_id), *cells) for token in tokens for cells in rows_of(provider, token.token_id)
        )
        files[f"{name}.csv"] = write_table(HEADERS[name], rows)
    return files


def _category_of(token: Token) -> str:
    return CATEGORIES[token.categories[0]][1]


def _bars(market: Market, token: Token) -> Iterator[Sequence[str]]:
    first = market.hour_of(START)
    columns = (column[first:].tolist() for column in market.hourly(token.token_id))
    for hour, figures in enumerate(zip(*columns, strict=True)):
        yield (f"{START + hour * HOUR:%Y-%m-%dT%H:%M:%SZ}", *map(write_number, figures))


def _days(provider: SimulatedProvider) -> Iterator[tuple[int, str]]:
    """List the days of the sample, by their number in the market and as they are written.

    The first is the day before the first bar, so that the first slot knows all that it may.
    """
    first = provider.market.day_of(START) - 1
    return ((first + number, f"{START + (number - 1) * DAY:%Y-%m-%d}") for number in range(DAYS + 1))


def _signals(provider: SimulatedProvider, token_id: int) -> Iterator[Sequence[str]]:
    calls = provider.calls(token_id)
    return ((date, STANCES[int(calls.trend[day])]) for day, date in _days(provider) if calls.made[day])


def _levels(provider: SimulatedProvider, token_id: int) -> Iterator[Sequence[str]]:
    """Write a token's set of levels at each day on which it becomes another one."""
    before: list[float] = []
    for day, date in _days(provider):
        found = sorted({level.price for level in provider.levels(token_id)[day]})
        if found != before:
            yield from ((date, write_number(price), "") for price in found)
        before = found


def _measures(provider: SimulatedProvider, token_id: int) -> Iterator[Sequence[str]]:
    for day, date in _days(provider):
        found = quantmetrics(provider.market, token_id, day)
        yield (date, *("" if (one := found[name]) is None else write_number(one) for name in MEASURES))


def _grades(provider: SimulatedProvider, token_id: int) -> Iterator[Sequence[str]]:
    trader, investor, _ = provider.grades(token_id)
    for day, date in _days(provider):
        yield date, write_number(float(trader[day])), write_number(float(investor[day]))


def _sizes(provider: SimulatedProvider, token_id: int) -> Iterator[Sequence[str]]:
    bars, supply = provider.market.daily(token_id), provider.market.tokens[token_id].supply
    for day, date in _days(provider):
        yield date, write_number(round(float(bars.close[day]) * supply)), write_number(float(bars.volume[day]))
