"""Seeded tiny histories and strategies in which prices sit on one another's edges.

The same seed gives the same history and strategy; prices lie on a coarse grid so that ties are the rule.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from zlib import crc32

from tests.acceptance.folder_reader import Bar
from tests.acceptance.history_folders import Tables

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = Decimal("0.5")
FREE = "[fills]\nfee_fraction = 0\nhalf_spread_fraction = 0\nslippage_fraction = 0"


def random_bars(random: Random, hours: int, *, is_clock: bool) -> list[Bar]:
    """Return a walk on the grid with jumps between bars; all but the clock miss bars, at the start too."""
    bars, close = [], random.randint(180, 220)
    absent = 0 if is_clock or random.random() < 0.6 else random.randint(1, hours // 3)
    for hour in range(hours):
        if not is_clock and absent == 0 and random.random() < 0.08:
            absent = random.randint(1, 6)
        if absent:
            absent -= 1
            continue
        opened = close + random.choice((0, 0, 0, 0, 0, 0, -1, 1, -4, 4))
        close = opened + random.randint(-3, 3)
        high = max(opened, close) + random.randint(0, 2)
        low = min(opened, close) - random.randint(0, 2)
        prices = (TICK * ticks for ticks in (opened, high, low, close))
        bars.append(Bar(START + hour * HOUR, START + (hour + 1) * HOUR, *prices))
    return bars


def random_tables(seed: int, step: int) -> Tables:
    """Return the rows of a random history whose signals change at most once between slots `step` hours apart."""
    random = Random(seed)
    hours = random.randint(14, 40) * 3
    tables = Tables("1h")
    for token in range(1, random.randint(3, 6) + 1):
        symbol = f"T{token}"
        tables.instruments.append((token, symbol, symbol, random.choice(("", "0.001", "1"))))
        tables.bars[symbol] = random_bars(random, hours, is_clock=token == 1)
        closes = {bar.closed_at: bar.close for bar in tables.bars[symbol]}
        price = tables.bars[symbol][0].open
        for hour in range(hours + 1):
            instant = START + hour * HOUR
            price = closes.get(instant, price)
            before = instant - timedelta(minutes=random.choice((0, 0, 7, 59)))
            if hour % step == 0 and random.random() < min(1, 0.13 * step):
                stance = random.choice(("bullish", "bullish", "bullish", "bearish", "bearish", "neutral"))
                tables.signals.append((token, before, stance, ""))
            add_known(random, tables, token, before, price)
    return tables


def add_known(random: Random, tables: Tables, token: int, instant: datetime, price: Decimal) -> None:
    """Add now and then a set of levels around the price, metrics and grades."""
    if random.random() < 0.2:
        ticks = random.sample(range(-9, 10), random.randint(2, 7))
        tables.levels += [(token, instant, price + TICK * tick) for tick in ticks]
    if random.random() < 0.1:
        volatility, sharpe, fall = (random.randint(*ends) for ends in ((3, 12), (-10, 30), (10, 90)))
        figures = (Decimal(volatility) / 10, Decimal(sharpe) / 10, "", -Decimal(fall) / 100, "")
        tables.quantmetrics.append((token, instant, *figures))
    if random.random() < 0.1:
        tables.grades.append((token, instant, random.randint(4, 9) * 10, ""))


def is_quiet(symbol: str, opened_at: datetime) -> bool:
    """Call some bars quiet, always the same ones."""
    return crc32(f"{symbol} {opened_at}".encode()) % 11 == 0


def with_halts(tables: Tables, random: Random) -> Tables:
    """Let some tokens halt for about a week, just short of one or longer: the bars after a moment come later."""
    bars = dict(tables.bars)
    for symbol in list(bars)[1:]:
        at, pause = random.randrange(1, len(bars[symbol])), random.choice((0, 6, 7, 7, 9)) * 24 * HOUR
        later = [
            bar._replace(opened_at=bar.opened_at + pause, closed_at=bar.closed_at + pause) for bar in bars[symbol][at:]
        ]
        bars[symbol] = [*bars[symbol][:at], *later]
    return replace(tables, bars=bars)


def section(name: str, *lines: str) -> str:
    """Return a section of TOML, without its empty lines."""
    return "\n".join((f"[{name}]", *filter(None, lines)))


def random_stop(random: Random) -> str:
    """Return a stop by level with or without window and fallback, or by fraction."""
    if random.random() < 0.25:
        return section("stop", 'rule = "fraction"', random.choice(("fraction = 0.01", "fraction = 0.03")))
    window = random.choice(("", "distance_min = 0.005", "distance_min = 0.01\ndistance_max = 0.03"))
    buffer = random.choice(("", "buffer_fraction = 0.005"))
    by_fraction = section("stop.fallback", 'rule = "fraction"', "fraction = 0.02")
    by_range = section("stop.fallback", 'rule = "atr"', "multiple = 2")
    fallback = random.choice(("", by_fraction, by_fraction, by_range))
    return section("stop", 'rule = "level"', window, buffer, fallback)


def random_target(random: Random) -> str:
    """Return a target by level, fraction or multiple of the risk, or none."""
    fallback = random.choice(("", section("target.fallback", 'rule = "r_multiple"', "multiple = 1.5")))
    ranks = random.choice(("", "rank_max = 2", "rank_max = 3"))
    buffer = random.choice(("", "buffer_fraction = 0.01"))
    by_level = section("target", 'rule = "level"', ranks, buffer, fallback)
    by_fraction = section("target", 'rule = "fraction"', "fraction = 0.02")
    by_risk = section("target", 'rule = "r_multiple"', "multiple = 2")
    return random.choice((by_level, by_level, by_fraction, by_risk, section("target", 'rule = "none"')))


def random_sizing(random: Random) -> str:
    """Return one of the rules of size with some of the caps."""
    rule = random.choice(
        (
            'rule = "fixed_notional"\nnotional = 60000',
            'rule = "fixed_fraction"\nfraction = 0.5',
            'rule = "risk_fraction"\nrisk_fraction = 0.01',
            'rule = "inverse_volatility"\nvolatility = "quantmetrics"\ntarget_volatility = 0.9\nvolatility_floor = 0.5',
        )
    )
    least = random.choice(("", "notional_min = 1000", "notional_min = 30000"))
    return section("sizing", rule, random.choice(("", "weight_max = 0.4")), least)


def random_gates(random: Random, *, has_target: bool) -> str:
    """Return some of the gates, none of them most of the time."""
    offered = (
        random.choice(("trader_grade_min = 50", "trader_grade_min = 60")),
        random.choice(("sharpe_min = 0", "sharpe_min = 0.5")),
        "max_drawdown_limit = 0.8",
        random.choice(("resistance_distance_min = 0.005", "resistance_distance_min = 0.01")),
        random.choice(("reward_risk_min = 0.5", "reward_risk_min = 1", "reward_risk_min = 2")) if has_target else "",
    )
    return section("gates", *(gate for gate in offered if random.random() < 0.25))


def random_exits(random: Random) -> str:
    """Return the set of exit rules."""
    timed = random.random() < 0.5
    names = ["signal_flipped", "stop_hit", "target_hit", *["time_stop"] * timed]
    hours = f"time_stop_hours = {random.choice((2, 5, 12, 24))}" if timed else ""
    return section("exits", f"rules = {names}".replace("'", '"'), hours)


def random_strategy(seed: int, name: str) -> str:
    """Return the TOML of a random strategy over the whole universe."""
    random = Random(seed)
    target = random_target(random)
    places = f"positions_max = {random.randint(1, 4)}"
    entry = (
        random.choice(('act_on = "turn"', 'act_on = "turn"', 'act_on = "stance"')),
        random.choice(("", "age_max_hours = 6", "age_max_hours = 24")),
        random.choice(("", 'rank = "grade"')),
    )
    sections = (
        section("strategy", f'name = "{name}"', 'universe = "*"'),
        section("entry", *entry),
        random_gates(random, has_target='"none"' not in target),
        random_stop(random),
        target,
        random_sizing(random),
        random_exits(random),
        section("limits", places, random.choice(("", "exposure_max = 0.7"))),
        random.choice((FREE, "")),
    )
    return "\n\n".join(filter(None, sections)) + "\n"
