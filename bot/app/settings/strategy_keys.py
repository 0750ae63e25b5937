"""The keys of strategy files, each with its bounds, its default and its meaning.

The list is complete: any other key is refused, and the tables of docs/strategy.md come from it.
"""

from collections.abc import Mapping
from dataclasses import replace

from bot.app.settings.kinds import Flag, Kind, Value, Word
from bot.app.settings.strategy_kinds import (
    ANY,
    ATRS,
    BASE_UNITS,
    BELOW_ONE,
    BREAKING_EVEN,
    BY_VOLATILITY,
    COMPOSITE,
    CORRELATION,
    COUNT,
    DAYS,
    DISTANCE,
    EXIT_RULES,
    FROM_ZERO_TO_TEN,
    GRADE,
    GROWTH,
    HAIRCUT,
    HOURS,
    INVERSE,
    LEAST_MONEY,
    MONEY,
    NAME,
    NORMALISED,
    PART,
    POSITIVE,
    PROVIDER_NAMES,
    RANGES,
    RISKS,
    SHARE,
    SHORTS,
    SIDES,
    SIGMAS,
    STOP_AT_LEVEL,
    STOP_MULTIPLES,
    STOP_PLACED,
    STOP_PRICES,
    STOP_RULES,
    TARGET_AT_LEVEL,
    TARGET_IN_PARTS,
    TARGET_PRICES,
    TARGET_RULES,
    TIMED,
    TRAILING,
    UP_TO_ONE,
    UP_TO_TEN,
    WAIT,
    Tokens,
)
from bot.app.settings.tables import Chosen, InnerTable, Key
from bot.domain.orders import Anchor, Side
from bot.engine.rules import (
    ActOn,
    BreakerAction,
    BreakerName,
    Rank,
    Reentry,
    Rules,
    SameBar,
    SizeRule,
    TargetCost,
    TargetFill,
    TargetGap,
    TooFar,
    VolatilitySource,
)

TIMEFRAMES = ("1m", "5m", "1h", "1d")


def _for(rule: str, *words: str) -> Chosen:
    return Chosen(rule, words)


def _breaker(name: BreakerName, at: Kind, watched: str, until: str) -> Key:
    path = f"limits.{name}"
    keys = (
        Key(f"{path}.at", at, watched, needed=True),
        Key(
            f"{path}.action", Word(tuple(BreakerAction)),
            "what it does beside blocking entries", BreakerAction.BLOCK,
        ),
        Key(f"{path}.hours", HOURS, f"how long it stays tripped; absent: {until}"),
    )
    return Key(path, InnerTable(keys), f"breaker: {watched}")


BY_HAND = "until `bot resume`"
IF_LONG = 'below 1 unless strategy.side = "short"'


def default_of(path: str, written: Value) -> Value:
    """Find the default of a key: that of the rule's field, else what is written with the key."""
    section, _, name = path.rpartition(".")
    rules = getattr(Rules(name=""), section, None) if section else None
    found = getattr(rules, name, None)
    return written if found is None or isinstance(found, tuple | Mapping) else found


WRITTEN: tuple[Key, ...] = (
    Key("strategy.name", NAME, "the strategy's name; a replay's run is called so", needed=True),
    Key(
        "strategy.universe", Tokens(),
        'the tokens it may trade; "*": every instrument known', needed=True,
    ),
    Key(
        "strategy.side", SIDES,
        "direction of its positions: bullish turns open longs, bearish ones shorts", Side.LONG,
    ),
    Key("strategy.feed", Word(("daily", "hourly")), "which signals it follows", "daily"),
    Key(
        "strategy.provider", Word(PROVIDER_NAMES),
        "whose signals it follows; absent: those of `source.provider`",
    ),
    Key(
        "strategy.bearish", Word(("exit", "ignore")),
        "what a turn against a position does to it", "exit",
    ),
    Key(
        "strategy.bars", Word(TIMEFRAMES),
        "timeframe of its bars; absent: the finest that every instrument has;"
        ' with "finer_bars" of "1h" and "1d"',
    ),
    Key(
        "entry.act_on", Word(tuple(ActOn)),
        "one candidate per episode, or one at every slot of it",
    ),
    Key("entry.age_max_hours", HOURS, "oldest turn still entered"),
    Key(
        "entry.reentry", Word(tuple(Reentry)),
        "whether to enter an episode again, and after what",
    ),
    Key("entry.cooldown_hours", WAIT, "wait after a losing exit before the token is entered again"),
    Key("entry.rank", Word(tuple(Rank)), "which candidate goes first"),
    Key(
        "entry.weights",
        InnerTable(
            (
                Key("entry.weights.grade", POSITIVE, "weight of the trader grade"),
                Key("entry.weights.sortino", POSITIVE, "weight of the Sortino ratio"),
                Key("entry.weights.sharpe", POSITIVE, "weight of the Sharpe ratio"),
                Key("entry.weights.reward_risk", POSITIVE, "weight of reward over risk"),
            )
        ),
        "what a composite rank is made of",
        only=COMPOSITE,
        needed=True,
    ),
    Key("gates.trader_grade_min", GRADE, "least trader grade, 0..100"),
    Key("gates.investor_grade_min", GRADE, "least investor grade, 0..100"),
    Key("gates.sharpe_min", ANY, "least Sharpe ratio"),
    Key("gates.sortino_min", ANY, "least Sortino ratio"),
    Key("gates.cagr_min", GROWTH, "least compound annual growth"),
    Key(
        "gates.max_drawdown_limit", SHARE, "largest drawdown of the token by size (0.85: down 85 %)"
    ),
    Key("gates.volatility_max", UP_TO_TEN, "largest annualised volatility"),
    Key("gates.volume_min", MONEY, "least volume of 24 hours"),
    Key("gates.market_cap_min", MONEY, "least market capitalisation"),
    Key(
        "gates.resistance_distance_min", UP_TO_ONE, "least distance to the next strong level ahead"
    ),
    Key("gates.reward_risk_min", POSITIVE, "least reward over risk after costs"),
    Key(
        "gates.correlation_max", CORRELATION,
        "largest correlation of daily returns with any held token",
    ),
    Key(
        "gates.price_disagreement_max", SHARE,
        "largest distance of the price from the last bar's close",
    ),
    Key(
        "gates.frozen_hours_max", HOURS,
        "longest time that a price may stand still to the last digit",
    ),
    Key("gates.freshness_hours.signals", HOURS, "oldest signal row used"),
    Key("gates.freshness_hours.levels", HOURS, "oldest set of levels used"),
    Key("gates.freshness_hours.quantmetrics", HOURS, "oldest Quantmetrics used"),
    Key("gates.freshness_hours.grades", HOURS, "oldest grades used"),
    Key("gates.freshness_hours.prices", HOURS, "oldest price used"),
    Key(
        "levels.merge_fraction", PART,
        "levels nearer to each other than this are one; absent: none are merged",
    ),
    Key(
        "levels.strong_min", UP_TO_ONE,
        "least strength of a strong level, 0..1; absent: every level is strong",
    ),
    Key("levels.age_max_days", DAYS, "oldest set of levels that counts; absent: any"),
    Key("stop.rule", STOP_RULES, "how the stop is found"),
    Key(
        "stop.fraction", DISTANCE,
        f"distance from the anchor price; {IF_LONG}", only=_for("stop.rule", "fraction"),
        needed=True,
    ),
    Key("stop.multiple", RANGES, "distance", only=_for("stop.rule", *STOP_MULTIPLES), needed=True),
    Key(
        "stop.buffer_fraction", FROM_ZERO_TO_TEN,
        f"how far behind its level, of the level; {IF_LONG}", only=STOP_AT_LEVEL,
    ),
    Key(
        "stop.distance_min", FROM_ZERO_TO_TEN,
        f"least distance from the anchor price; {IF_LONG}", only=STOP_PLACED,
    ),
    Key(
        "stop.distance_max", DISTANCE,
        'largest distance from the anchor price; at most 1 unless strategy.side = "short"',
        only=STOP_PLACED,
    ),
    Key(
        "stop.too_far", Word(tuple(TooFar)),
        "a stop outside its window rejects, or moves to it", only=STOP_PLACED,
    ),
    Key(
        "stop.anchor", Word(tuple(Anchor)),
        "price that bracket and quantity are computed from",
    ),
    Key(
        "stop.fallback.rule", Word(STOP_PRICES),
        "how the stop is found where the rule finds none", only=STOP_PLACED,
    ),
    Key(
        "stop.fallback.fraction", DISTANCE,
        f"distance from the anchor price; {IF_LONG}", only=_for("stop.fallback.rule", "fraction"),
        needed=True,
    ),
    Key(
        "stop.fallback.multiple", RANGES,
        "distance", only=_for("stop.fallback.rule", *STOP_MULTIPLES), needed=True,
    ),
    Key("target.rule", TARGET_RULES, "how the target is found"),
    Key(
        "target.part",
        InnerTable(
            (
                Key(
                    "target.part.share", SHARE,
                    "share of the initial quantity; the last may omit it: the rest",
                ),
                Key(
                    "target.part.rank", COUNT,
                    "which level ahead, the nearest is 1", only=TARGET_AT_LEVEL,
                ),
                Key("target.part.multiple", RISKS, "distance, in place of a rank"),
            ),
            several=True,
        ),
        "several targets, each with its share",
        only=TARGET_IN_PARTS,
    ),
    Key(
        "target.fraction", UP_TO_TEN,
        "distance from the anchor price", only=_for("target.rule", "fraction"), needed=True,
    ),
    Key(
        "target.multiple", RISKS,
        "distance, R being the anchor price less the stop", only=_for("target.rule", "r_multiple"),
        needed=True, unless="target.part",
    ),
    Key(
        "target.buffer_fraction", BELOW_ONE,
        "how far before its level, of the level", only=TARGET_AT_LEVEL,
    ),
    Key(
        "target.rank_max", COUNT,
        "how many levels ahead are tried, nearest first", only=TARGET_AT_LEVEL, unless="target.part",
    ),
    Key(
        "target.fallback.rule", Word(TARGET_PRICES),
        "how the target is found without a level", only=TARGET_AT_LEVEL,
    ),
    Key(
        "target.fallback.fraction", UP_TO_TEN,
        "distance from the anchor price", only=_for("target.fallback.rule", "fraction"),
        needed=True,
    ),
    Key(
        "target.fallback.multiple", RISKS,
        "distance, R being the anchor price less the stop",
        only=_for("target.fallback.rule", "r_multiple"), needed=True,
    ),
    Key(
        "sizing.rule", Word(tuple(SizeRule)),
        "how the notional is found before the caps",
    ),
    Key(
        "sizing.target_volatility", UP_TO_TEN,
        "annualised volatility the book aims at", only=INVERSE, needed=True,
    ),
    Key(
        "sizing.volatility", Word(tuple(VolatilitySource)),
        "where sigma comes from", only=BY_VOLATILITY,
    ),
    Key("sizing.volatility_floor", UP_TO_TEN, "least annualised sigma assumed", only=BY_VOLATILITY),
    Key(
        "sizing.risk_fraction", SHARE,
        "equity lost at the stop; a cap under other rules",
        needed=_for("sizing.rule", "risk_fraction"),
    ),
    Key("sizing.weight_max", SHARE, "largest notional, of equity", needed=NORMALISED),
    Key(
        "sizing.category_max", SHARE,
        "largest notional of all tokens of one category together, of equity",
    ),
    Key("sizing.volume_share_max", SHARE, "largest notional, of the 24-hour volume"),
    Key(
        "sizing.notional", MONEY,
        "notional of an entry", only=_for("sizing.rule", "fixed_notional"), needed=True,
    ),
    Key(
        "sizing.fraction", SHARE,
        "notional of an entry, of equity", only=_for("sizing.rule", "fixed_fraction"), needed=True,
    ),
    Key(
        "sizing.quantity", BASE_UNITS,
        "size of an entry", only=_for("sizing.rule", "fixed_quantity"), needed=True,
    ),
    Key("sizing.notional_min", LEAST_MONEY, "least notional; smaller entries are rejected"),
    Key(
        "sizing.drawdown_haircut", HAIRCUT,
        "k: the size shrinks by k times the larger drawdown, the token's or ours",
    ),
    Key("exits.rules", EXIT_RULES, "what may end a position"),
    Key("exits.time_stop_hours", HOURS, "longest time in a position", only=TIMED, needed=True),
    Key(
        "exits.trailing_fraction", DISTANCE,
        f"distance of the stop from the best price of each whole bar; {IF_LONG}", only=TRAILING,
    ),
    Key(
        "exits.trailing_atr", ATRS,
        "distance of the stop from the best price of each whole bar", only=TRAILING,
    ),
    Key(
        "exits.ratchet_to_support", Flag(),
        "whether the stop follows new levels", only=TRAILING,
    ),
    Key(
        "exits.break_even_r", RISKS,
        "gain at which the stop moves to break-even", only=BREAKING_EVEN, needed=True,
    ),
    Key("limits.positions_max", COUNT, "most positions at once", needed=INVERSE),
    Key("limits.exposure_max", SHARE, "largest exposure, of equity"),
    _breaker(
        BreakerName.DAILY_LOSS,
        PART,
        "fall of equity since the last mark before 00:00 UTC",
        "until the next 00:00 UTC",
    ),
    _breaker(
        BreakerName.DRAWDOWN, PART, "fall of equity from its high-water mark or last reset", BY_HAND
    ),
    _breaker(BreakerName.LOSS_STREAK, COUNT, "net losses in a row", BY_HAND),
    _breaker(
        BreakerName.VOLATILITY_SHOCK,
        SIGMAS,
        "largest move of a held token since the day before",
        BY_HAND,
    ),
    Key(
        "short.borrow_fraction_per_day", BELOW_ONE,
        "borrow fee of each begun day, of the notional", only=SHORTS,
    ),
    Key("short.margin_fraction", UP_TO_TEN, "cash a short ties up, of its notional", only=SHORTS),
    Key("fills.fee_fraction", BELOW_ONE, "fee, of a fill's notional"),
    Key(
        "fills.half_spread_fraction", BELOW_ONE, "half the spread, of the price"
    ),
    Key("fills.slippage_fraction", BELOW_ONE, "slippage, of the price"),
    Key(
        "fills.target_fill", Word(tuple(TargetFill)),
        "whether a touch fills a target",
    ),
    Key(
        "fills.target_gap", Word(tuple(TargetGap)),
        "what an open beyond the target pays",
    ),
    Key(
        "fills.target_cost", Word(tuple(TargetCost)),
        "whether a target pays spread and slippage",
    ),
    Key(
        "fills.same_bar", Word(tuple(SameBar)),
        "which one a bar with stop and target hits",
    ),
)
# The engine's rules hold the defaults; a key whose rule has one is absent only by that value.
KEYS = tuple(replace(key, default=default_of(key.path, key.default)) for key in WRITTEN)
