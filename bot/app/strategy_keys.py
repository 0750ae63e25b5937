"""The language of strategy files: every key with its bounds, its default and its meaning.

It is complete: what is neither in `KEYS` nor in `LATER` is unknown, and docs/strategy.md is written from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from bot.app.tables import Chosen, Key, Number, Text, Word, Words, shown
from bot.domain.numbers import ZERO
from bot.domain.orders import Side
from bot.engine.rules import (
    ActOn,
    ExitRule,
    ExitRules,
    PriceRule,
    Rank,
    Reentry,
    SameBar,
    SizeRule,
    TargetCost,
    TargetFill,
    TargetGap,
    TooFar,
    VolatilitySource,
)

EVERY = "*"
TIMEFRAMES = ("1m", "1h", "1d")

Universe = tuple[str | int, ...] | str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A universe: a list of symbols or token_ids, or "*"."""

    def read(self, raw: object) -> Universe:
        """Return the universe without resolving it."""
        if raw == EVERY:
            return EVERY
        if not isinstance(raw, list):
            message = f'{shown(raw)} is no list of symbols or token_ids, nor "*"'
            raise ValueError(message)  # noqa: TRY004 - every refusal is a ValueError
        if not raw:
            message = 'empty: name symbols or token_ids, or write "*" for all'
            raise ValueError(message)
        for number, token in enumerate(raw):
            _check_token(token, raw[:number])
        return tuple(raw)

    def describe(self) -> str:
        """Say in words what is accepted."""
        return 'list of symbols or token_ids, or "*"'


def _check_token(token: object, earlier: Sequence[object]) -> None:
    """Refuse what can be no symbol and no token_id, and repeats."""
    symbol = isinstance(token, str) and token.isprintable() and token.strip() == token != ""
    identity = isinstance(token, int) and not isinstance(token, bool) and token >= 1
    if token == EVERY:
        message = 'write universe = "*", without a list, for all tokens'
    elif not symbol and not identity:
        message = f"{shown(token)} is neither a symbol nor a token_id"
    elif token in earlier:
        message = f"{shown(token)} is there twice: name each token once"
    else:
        return
    raise ValueError(message)


NAME = Text(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,62}[A-Za-z0-9_]|[A-Za-z0-9_]", "name of up to 64 letters, digits and _ . -")
ANY = Number()
POSITIVE = Number(above=0)
NOT_NEGATIVE = Number(at_least=0)
SHARE = Number(above=0, at_most=1)
PART = Number(above=0, below=1)
BELOW_ONE = Number(at_least=0, below=1)
UP_TO_ONE = Number(at_least=0, at_most=1)
GRADE = Number(at_least=0, at_most=100)
COUNT = Number(at_least=1, whole=True)

# Words are tuples of plain literals and enum members alike: members are strings.
STOP_PRICES = (PriceRule.FRACTION, PriceRule.ATR, PriceRule.SIGMA)
TARGET_PRICES = (PriceRule.FRACTION, PriceRule.R_MULTIPLE)
STOP_MULTIPLE = (PriceRule.ATR, PriceRule.SIGMA)
STOP_RULES = Word((PriceRule.LEVEL, *STOP_PRICES, PriceRule.NONE))
TARGET_RULES = Word((PriceRule.LEVEL, *TARGET_PRICES, PriceRule.NONE))
SIZE_RULES = Word(tuple(SizeRule), later=("normalised_inverse_volatility",))
EXIT_RULES = Words(Word(tuple(ExitRule), later=("trailing_stop", "break_even")))

STOP_PLACED = Chosen("stop.rule", (PriceRule.LEVEL, *STOP_PRICES))
STOP_AT_LEVEL = Chosen("stop.rule", (PriceRule.LEVEL,))
TARGET_AT_LEVEL = Chosen("target.rule", (PriceRule.LEVEL,))
BY_VOLATILITY = Chosen("sizing.rule", (SizeRule.INVERSE_VOLATILITY,))


def _for(rule: str, *words: str) -> Chosen:
    return Chosen(rule, words)


KEYS: tuple[Key, ...] = (
    Key("strategy.name", NAME, "the strategy's name; a replay's run is called so", needed=True),
    Key("strategy.universe", Tokens(), 'the tokens it may trade; "*": every instrument known', needed=True),
    Key("strategy.side", Word((Side.LONG,), later=("short", "both")), "direction of its positions", Side.LONG),
    Key("strategy.feed", Word(("daily", "hourly")), "which signals it follows", "daily"),
    Key("strategy.bearish", Word(("exit", "ignore")), "what a bearish stance does to a long", "exit"),
    Key("strategy.bars", Word(TIMEFRAMES), "timeframe of its bars; absent: the finest that every instrument has"),
    Key("entry.act_on", Word(tuple(ActOn)), "one candidate per episode, or one at every slot of it", ActOn.TURN),
    Key("entry.age_max_hours", POSITIVE, "oldest turn still entered, hours", Decimal(72)),
    Key("entry.reentry", Word(tuple(Reentry)), "whether to enter an episode again, and after what", Reentry.NEVER),
    Key("entry.cooldown_hours", NOT_NEGATIVE, "wait after a losing exit before the token is entered again, hours"),
    Key("entry.rank", Word(tuple(Rank), later=("composite",)), "which candidate goes first", Rank.TOKEN_ID),
    Key("gates.trader_grade_min", GRADE, "least trader grade, 0..100"),
    Key("gates.investor_grade_min", GRADE, "least investor grade, 0..100"),
    Key("gates.sharpe_min", ANY, "least Sharpe ratio"),
    Key("gates.sortino_min", ANY, "least Sortino ratio"),
    Key("gates.cagr_min", ANY, "least compound annual growth, fraction"),
    Key("gates.max_drawdown_limit", SHARE, "largest drawdown of the token by size, fraction (0.85: down 85 %)"),
    Key("gates.volatility_max", POSITIVE, "largest annualised volatility, fraction"),
    Key("gates.volume_min", POSITIVE, "least volume of 24 hours, quote currency"),
    Key("gates.market_cap_min", POSITIVE, "least market capitalisation, quote currency"),
    Key("gates.resistance_distance_min", UP_TO_ONE, "least distance below the next strong resistance, fraction"),
    Key("gates.reward_risk_min", POSITIVE, "least reward over risk after costs"),
    Key("gates.freshness_hours.signals", POSITIVE, "oldest signal row used, hours"),
    Key("gates.freshness_hours.levels", POSITIVE, "oldest set of levels used, hours"),
    Key("gates.freshness_hours.quantmetrics", POSITIVE, "oldest Quantmetrics used, hours"),
    Key("gates.freshness_hours.grades", POSITIVE, "oldest grades used, hours"),
    Key("gates.freshness_hours.prices", POSITIVE, "oldest price used, hours"),
    Key("levels.strong_min", UP_TO_ONE, "least strength of a strong level, 0..1; absent: every level is strong"),
    Key("stop.rule", STOP_RULES, "how the stop is found", PriceRule.NONE),
    Key(
        "stop.fraction",
        PART,
        "distance below the reference price, fraction",
        only=_for("stop.rule", "fraction"),
        needed=True,
    ),
    Key(
        "stop.multiple", POSITIVE, "distance in ATR or daily sigma", only=_for("stop.rule", *STOP_MULTIPLE), needed=True
    ),
    Key(
        "stop.buffer_fraction", BELOW_ONE, "how far below its support, fraction of the level", ZERO, only=STOP_AT_LEVEL
    ),
    Key("stop.distance_min", BELOW_ONE, "least distance from the reference price, fraction", only=STOP_PLACED),
    Key("stop.distance_max", SHARE, "largest distance from the reference price, fraction", only=STOP_PLACED),
    Key(
        "stop.too_far",
        Word(tuple(TooFar)),
        "a stop outside its window rejects, or moves to it",
        TooFar.REJECT,
        STOP_PLACED,
    ),
    Key("stop.anchor", Word(("reference",), later=("fill",)), "price that the bracket is measured from", "reference"),
    Key("stop.fallback.rule", Word(STOP_PRICES), "how the stop is found where the rule finds none", only=STOP_PLACED),
    Key(
        "stop.fallback.fraction",
        PART,
        "distance below the reference price, fraction",
        only=_for("stop.fallback.rule", "fraction"),
        needed=True,
    ),
    Key(
        "stop.fallback.multiple",
        POSITIVE,
        "distance in ATR or daily sigma",
        only=_for("stop.fallback.rule", *STOP_MULTIPLE),
        needed=True,
    ),
    Key("target.rule", TARGET_RULES, "how the target is found", PriceRule.NONE),
    Key(
        "target.fraction",
        POSITIVE,
        "distance above the reference price, fraction",
        only=_for("target.rule", "fraction"),
        needed=True,
    ),
    Key(
        "target.multiple",
        POSITIVE,
        "distance in R, entry minus stop",
        only=_for("target.rule", "r_multiple"),
        needed=True,
    ),
    Key(
        "target.buffer_fraction",
        BELOW_ONE,
        "how far below its resistance, fraction of the level",
        ZERO,
        only=TARGET_AT_LEVEL,
    ),
    Key("target.rank_max", COUNT, "how many resistances are tried, nearest first", 1, only=TARGET_AT_LEVEL),
    Key(
        "target.fallback.rule",
        Word(TARGET_PRICES),
        "how the target is found where no level serves",
        only=TARGET_AT_LEVEL,
    ),
    Key(
        "target.fallback.fraction",
        POSITIVE,
        "distance above the reference price, fraction",
        only=_for("target.fallback.rule", "fraction"),
        needed=True,
    ),
    Key(
        "target.fallback.multiple",
        POSITIVE,
        "distance in R, entry minus stop",
        only=_for("target.fallback.rule", "r_multiple"),
        needed=True,
    ),
    Key("sizing.rule", SIZE_RULES, "how the notional is found before the caps", SizeRule.INVERSE_VOLATILITY),
    Key(
        "sizing.target_volatility",
        POSITIVE,
        "annualised volatility the book aims at, fraction",
        only=BY_VOLATILITY,
        needed=True,
    ),
    Key(
        "sizing.volatility",
        Word(tuple(VolatilitySource)),
        "where sigma comes from",
        VolatilitySource.LARGER,
        BY_VOLATILITY,
    ),
    Key("sizing.volatility_floor", POSITIVE, "least annualised sigma assumed, fraction", only=BY_VOLATILITY),
    Key(
        "sizing.risk_fraction",
        SHARE,
        "equity lost at the stop, fraction; a cap under other rules",
        needed=_for("sizing.rule", "risk_fraction"),
    ),
    Key("sizing.weight_max", SHARE, "largest notional, fraction of equity"),
    Key("sizing.volume_share_max", SHARE, "largest notional, fraction of the 24-hour volume"),
    Key(
        "sizing.notional",
        POSITIVE,
        "notional of an entry, quote currency",
        only=_for("sizing.rule", "fixed_notional"),
        needed=True,
    ),
    Key(
        "sizing.fraction",
        SHARE,
        "notional of an entry, fraction of equity",
        only=_for("sizing.rule", "fixed_fraction"),
        needed=True,
    ),
    Key(
        "sizing.quantity",
        POSITIVE,
        "quantity of an entry, base units",
        only=_for("sizing.rule", "fixed_quantity"),
        needed=True,
    ),
    Key("sizing.notional_min", NOT_NEGATIVE, "least notional; smaller entries are rejected, quote currency"),
    Key("exits.rules", EXIT_RULES, "what may end a position", ExitRules().rules),
    Key(
        "exits.time_stop_hours",
        POSITIVE,
        "longest time in a position, hours",
        only=_for("exits.rules", "time_stop"),
        needed=True,
    ),
    Key("limits.positions_max", COUNT, "most positions at once", needed=BY_VOLATILITY),
    Key("limits.exposure_max", SHARE, "largest exposure, fraction of equity"),
    Key("fills.fee_fraction", BELOW_ONE, "fee, fraction of a fill's notional", Decimal("0.001")),
    Key("fills.half_spread_fraction", BELOW_ONE, "half the spread, fraction of the price", Decimal("0.0002")),
    Key("fills.slippage_fraction", BELOW_ONE, "slippage, fraction of the price", Decimal("0.0005")),
    Key("fills.target_fill", Word(tuple(TargetFill)), "whether a touch fills a target", TargetFill.TOUCH),
    Key("fills.target_gap", Word(tuple(TargetGap)), "what an open above the target pays", TargetGap.LIMIT),
    Key("fills.target_cost", Word(tuple(TargetCost)), "whether a target pays spread and slippage", TargetCost.LIMIT),
    Key(
        "fills.same_bar",
        Word(tuple(SameBar), later=("finer_bars",)),
        "which one a bar with stop and target hits",
        SameBar.STOP_FIRST,
    ),
)

LATER: tuple[str, ...] = (
    "gates.correlation_max",
    "gates.price_disagreement_max",
    "levels.merge_fraction",
    "levels.age_max_days",
    "target.part",
    "sizing.category_max",
    "sizing.drawdown_haircut",
    "exits.trailing_fraction",
    "exits.trailing_atr",
    "exits.ratchet_to_support",
    "exits.break_even_r",
    "limits.daily_loss",
    "limits.drawdown",
    "limits.loss_streak",
    "limits.volatility_shock",
    "short",
)
