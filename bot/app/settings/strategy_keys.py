"""The keys of strategy files, each with its bounds, its default and its meaning.

The list is complete: any other key is refused, and the tables of docs/strategy.md come from it.
"""

from collections.abc import Mapping
from dataclasses import replace

from bot.app.settings import strategy_kinds as of
from bot.app.settings.kinds import Flag, Kind, Value, Word
from bot.app.settings.tables import Chosen, InnerTable, Key
from bot.domain.orders import Anchor, Side
from bot.engine import rules

TIMEFRAMES = ("1m", "5m", "1h", "1d")


def _breaker(name: rules.BreakerName, at: Kind, watched: str, until: str) -> Key:
    path = f"limits.{name}"
    keys = (
        Key(f"{path}.at", at, watched, needed=True),
        Key(
            f"{path}.action", Word(tuple(rules.BreakerAction)),
            "what it does beside blocking entries", rules.BreakerAction.BLOCK,
        ),
        Key(f"{path}.hours", of.HOURS, f"how long it stays tripped; absent: {until}"),
    )
    return Key(path, InnerTable(keys), f"breaker: {watched}")


BY_HAND = "until `bot resume`"
IF_LONG = 'below 1 unless strategy.side = "short"'


def default_of(path: str, written: Value) -> Value:
    """Find the default of a key: that of the rule's field, else what is written with the key."""
    section, _, name = path.rpartition(".")
    table = getattr(rules.Rules(name=""), section, None) if section else None
    found = getattr(table, name, None)
    return written if found is None or isinstance(found, tuple | Mapping) else found


WRITTEN: tuple[Key, ...] = (
    Key("strategy.name", of.NAME, "the strategy's name; a replay's run is called so", needed=True),
    Key(
        "strategy.universe", of.Tokens(), 'the tokens it may trade; "*": every instrument known',
        needed=True,
    ),
    Key(
        "strategy.side", of.SIDES,
        "direction of its positions: bullish turns open longs, bearish ones shorts", Side.LONG,
    ),
    Key("strategy.feed", Word(("daily", "hourly")), "which signals it follows", "daily"),
    Key(
        "strategy.provider", Word(of.PROVIDER_NAMES),
        "whose signals it follows; absent: those of `source.provider`",
    ),
    Key(
        "strategy.bearish", Word(("exit", "ignore")), "what a turn against a position does to it",
        "exit",
    ),
    Key(
        "strategy.bars", Word(TIMEFRAMES),
        "timeframe of its bars; absent: the finest that every instrument has;"
        ' with "finer_bars" of "1h" and "1d"',
    ),
    Key(
        "entry.act_on", Word(tuple(rules.ActOn)),
        "one candidate per episode, or one at every slot of it",
    ),
    Key("entry.age_max_hours", of.HOURS, "oldest turn still entered"),
    Key(
        "entry.reentry", Word(tuple(rules.Reentry)),
        "whether to enter an episode again, and after what",
    ),
    Key(
        "entry.cooldown_hours", of.WAIT,
        "wait after a losing exit before the token is entered again",
    ),
    Key("entry.rank", Word(tuple(rules.Rank)), "which candidate goes first"),
    Key(
        "entry.weights",
        InnerTable((
            Key("entry.weights.grade", of.POSITIVE, "weight of the trader grade"),
            Key("entry.weights.sortino", of.POSITIVE, "weight of the Sortino ratio"),
            Key("entry.weights.sharpe", of.POSITIVE, "weight of the Sharpe ratio"),
            Key("entry.weights.reward_risk", of.POSITIVE, "weight of reward over risk"),
        )),
        "what a composite rank is made of", only=of.COMPOSITE, needed=True,
    ),
    Key("gates.trader_grade_min", of.GRADE, "least trader grade, 0..100"),
    Key("gates.investor_grade_min", of.GRADE, "least investor grade, 0..100"),
    Key("gates.sharpe_min", of.ANY, "least Sharpe ratio"),
    Key("gates.sortino_min", of.ANY, "least Sortino ratio"),
    Key("gates.cagr_min", of.GROWTH, "least compound annual growth"),
    Key(
        "gates.max_drawdown_limit", of.SHARE,
        "largest drawdown of the token by size (0.85: down 85 %)",
    ),
    Key("gates.volatility_max", of.UP_TO_TEN, "largest annualised volatility"),
    Key("gates.volume_min", of.MONEY, "least volume of 24 hours"),
    Key("gates.market_cap_min", of.MONEY, "least market capitalisation"),
    Key(
        "gates.resistance_distance_min", of.UP_TO_ONE,
        "least distance to the next strong level ahead",
    ),
    Key("gates.reward_risk_min", of.POSITIVE, "least reward over risk after costs"),
    Key(
        "gates.correlation_max", of.CORRELATION,
        "largest correlation of daily returns with any held token",
    ),
    Key(
        "gates.price_disagreement_max", of.SHARE,
        "largest distance of the price from the last bar's close",
    ),
    Key(
        "gates.frozen_hours_max", of.HOURS,
        "longest time that a price may stand still to the last digit",
    ),
    Key("gates.freshness_hours.signals", of.HOURS, "oldest signal row used"),
    Key("gates.freshness_hours.levels", of.HOURS, "oldest set of levels used"),
    Key("gates.freshness_hours.quantmetrics", of.HOURS, "oldest Quantmetrics used"),
    Key("gates.freshness_hours.grades", of.HOURS, "oldest grades used"),
    Key("gates.freshness_hours.prices", of.HOURS, "oldest price used"),
    Key(
        "levels.merge_fraction", of.PART,
        "levels nearer to each other than this are one; absent: none are merged",
    ),
    Key(
        "levels.strong_min", of.UP_TO_ONE,
        "least strength of a strong level, 0..1; absent: every level is strong",
    ),
    Key("levels.age_max_days", of.DAYS, "oldest set of levels that counts; absent: any"),
    Key("stop.rule", of.STOP_RULES, "how the stop is found"),
    Key(
        "stop.fraction", of.DISTANCE, f"distance from the anchor price; {IF_LONG}",
        only=Chosen("stop.rule", ("fraction",)), needed=True,
    ),
    Key(
        "stop.multiple", of.RANGES, "distance", only=Chosen("stop.rule", of.STOP_MULTIPLES),
        needed=True,
    ),
    Key(
        "stop.buffer_fraction", of.FROM_ZERO_TO_TEN,
        f"how far behind its level, of the level; {IF_LONG}", only=of.STOP_AT_LEVEL,
    ),
    Key(
        "stop.distance_min", of.FROM_ZERO_TO_TEN,
        f"least distance from the anchor price; {IF_LONG}", only=of.STOP_PLACED,
    ),
    Key(
        "stop.distance_max", of.DISTANCE,
        'largest distance from the anchor price; at most 1 unless strategy.side = "short"',
        only=of.STOP_PLACED,
    ),
    Key(
        "stop.too_far", Word(tuple(rules.TooFar)),
        "a stop outside its window rejects, or moves to it", only=of.STOP_PLACED,
    ),
    Key("stop.anchor", Word(tuple(Anchor)), "price that bracket and quantity are computed from"),
    Key(
        "stop.fallback.rule", Word(of.STOP_PRICES),
        "how the stop is found where the rule finds none", only=of.STOP_PLACED,
    ),
    Key(
        "stop.fallback.fraction", of.DISTANCE, f"distance from the anchor price; {IF_LONG}",
        only=Chosen("stop.fallback.rule", ("fraction",)), needed=True,
    ),
    Key(
        "stop.fallback.multiple", of.RANGES, "distance",
        only=Chosen("stop.fallback.rule", of.STOP_MULTIPLES), needed=True,
    ),
    Key("target.rule", of.TARGET_RULES, "how the target is found"),
    Key(
        "target.part",
        InnerTable((
            Key(
                "target.part.share", of.SHARE,
                "share of the initial quantity; the last may omit it: the rest",
            ),
            Key(
                "target.part.rank", of.COUNT, "which level ahead, the nearest is 1",
                only=of.TARGET_AT_LEVEL,
            ),
            Key("target.part.multiple", of.RISKS, "distance, in place of a rank"),
        ), several=True),
        "several targets, each with its share", only=of.TARGET_IN_PARTS,
    ),
    Key(
        "target.fraction", of.UP_TO_TEN, "distance from the anchor price",
        only=Chosen("target.rule", ("fraction",)), needed=True,
    ),
    Key(
        "target.multiple", of.RISKS, "distance, R being the anchor price less the stop",
        only=Chosen("target.rule", ("r_multiple",)), needed=True, unless="target.part",
    ),
    Key(
        "target.buffer_fraction", of.BELOW_ONE, "how far before its level, of the level",
        only=of.TARGET_AT_LEVEL,
    ),
    Key(
        "target.rank_max", of.COUNT, "how many levels ahead are tried, nearest first",
        only=of.TARGET_AT_LEVEL, unless="target.part",
    ),
    Key(
        "target.fallback.rule", Word(of.TARGET_PRICES), "how the target is found without a level",
        only=of.TARGET_AT_LEVEL,
    ),
    Key(
        "target.fallback.fraction", of.UP_TO_TEN, "distance from the anchor price",
        only=Chosen("target.fallback.rule", ("fraction",)), needed=True,
    ),
    Key(
        "target.fallback.multiple", of.RISKS, "distance, R being the anchor price less the stop",
        only=Chosen("target.fallback.rule", ("r_multiple",)), needed=True,
    ),
    Key("sizing.rule", Word(tuple(rules.SizeRule)), "how the notional is found before the caps"),
    Key(
        "sizing.target_volatility", of.UP_TO_TEN, "annualised volatility the book aims at",
        only=of.INVERSE, needed=True,
    ),
    Key(
        "sizing.volatility", Word(tuple(rules.VolatilitySource)), "where sigma comes from",
        only=of.BY_VOLATILITY,
    ),
    Key(
        "sizing.volatility_floor", of.UP_TO_TEN, "least annualised sigma assumed",
        only=of.BY_VOLATILITY,
    ),
    Key(
        "sizing.risk_fraction", of.SHARE, "equity lost at the stop; a cap under other rules",
        needed=Chosen("sizing.rule", ("risk_fraction",)),
    ),
    Key("sizing.weight_max", of.SHARE, "largest notional, of equity", needed=of.NORMALISED),
    Key(
        "sizing.category_max", of.SHARE,
        "largest notional of all tokens of one category together, of equity",
    ),
    Key("sizing.volume_share_max", of.SHARE, "largest notional, of the 24-hour volume"),
    Key(
        "sizing.notional", of.MONEY, "notional of an entry",
        only=Chosen("sizing.rule", ("fixed_notional",)), needed=True,
    ),
    Key(
        "sizing.fraction", of.SHARE, "notional of an entry, of equity",
        only=Chosen("sizing.rule", ("fixed_fraction",)), needed=True,
    ),
    Key(
        "sizing.quantity", of.BASE_UNITS, "size of an entry",
        only=Chosen("sizing.rule", ("fixed_quantity",)), needed=True,
    ),
    Key("sizing.notional_min", of.LEAST_MONEY, "least notional; smaller entries are rejected"),
    Key(
        "sizing.drawdown_haircut", of.HAIRCUT,
        "k: the size shrinks by k times the larger drawdown, the token's or ours",
    ),
    Key("exits.rules", of.EXIT_RULES, "what may end a position"),
    Key(
        "exits.time_stop_hours", of.HOURS, "longest time in a position", only=of.TIMED, needed=True,
    ),
    Key(
        "exits.trailing_fraction", of.DISTANCE,
        f"distance of the stop from the best price of each whole bar; {IF_LONG}", only=of.TRAILING,
    ),
    Key(
        "exits.trailing_atr", of.ATRS, "distance of the stop from the best price of each whole bar",
        only=of.TRAILING,
    ),
    Key(
        "exits.ratchet_to_support", Flag(), "whether the stop follows new levels", only=of.TRAILING,
    ),
    Key(
        "exits.break_even_r", of.RISKS, "gain at which the stop moves to break-even",
        only=of.BREAKING_EVEN, needed=True,
    ),
    Key("limits.positions_max", of.COUNT, "most positions at once", needed=of.INVERSE),
    Key("limits.exposure_max", of.SHARE, "largest exposure, of equity"),
    _breaker(
        rules.BreakerName.DAILY_LOSS, of.PART,
        "fall of equity since the last mark before 00:00 UTC", "until the next 00:00 UTC",
    ),
    _breaker(
        rules.BreakerName.DRAWDOWN, of.PART,
        "fall of equity from its high-water mark or last reset", BY_HAND,
    ),
    _breaker(rules.BreakerName.LOSS_STREAK, of.COUNT, "net losses in a row", BY_HAND),
    _breaker(
        rules.BreakerName.VOLATILITY_SHOCK, of.SIGMAS,
        "largest move of a held token since the day before", BY_HAND,
    ),
    Key(
        "short.borrow_fraction_per_day", of.BELOW_ONE,
        "borrow fee of each begun day, of the notional", only=of.SHORTS,
    ),
    Key(
        "short.margin_fraction", of.UP_TO_TEN, "cash a short ties up, of its notional",
        only=of.SHORTS,
    ),
    Key("fills.fee_fraction", of.BELOW_ONE, "fee, of a fill's notional"),
    Key("fills.half_spread_fraction", of.BELOW_ONE, "half the spread, of the price"),
    Key("fills.slippage_fraction", of.BELOW_ONE, "slippage, of the price"),
    Key("fills.target_fill", Word(tuple(rules.TargetFill)), "whether a touch fills a target"),
    Key("fills.target_gap", Word(tuple(rules.TargetGap)), "what an open beyond the target pays"),
    Key(
        "fills.target_cost", Word(tuple(rules.TargetCost)),
        "whether a target pays spread and slippage",
    ),
    Key("fills.same_bar", Word(tuple(rules.SameBar)), "which one a bar with stop and target hits"),
)
# The engine's rules hold the defaults; a key whose rule has one is absent only by that value.
KEYS = tuple(replace(key, default=default_of(key.path, key.default)) for key in WRITTEN)
