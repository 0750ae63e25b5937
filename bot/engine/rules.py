"""A strategy's rules as typed values, parsed once at the rim.

Fractions are fractions, hours are hours; None means that the rule is absent, never that it has a default elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from bot.domain.numbers import ONE, ZERO
from bot.domain.orders import Side


class ActOn(StrEnum):
    """When an episode makes a candidate."""

    TURN = "turn"
    STANCE = "stance"


class Reentry(StrEnum):
    """Whether a run may enter again in an episode it has acted on."""

    NEVER = "never"
    AFTER_STOP = "after_stop"
    ALWAYS = "always"


class Rank(StrEnum):
    """The score that orders candidates; ties by token_id, unknown values last."""

    TOKEN_ID = "token_id"
    GRADE = "grade"
    SORTINO = "sortino"
    SHARPE = "sharpe"
    REWARD_RISK = "reward_risk"


class PriceRule(StrEnum):
    """How a stop or a target is found."""

    LEVEL = "level"
    FRACTION = "fraction"
    ATR = "atr"
    SIGMA = "sigma"
    R_MULTIPLE = "r_multiple"
    NONE = "none"


class SizeRule(StrEnum):
    """How a notional is found before the caps."""

    INVERSE_VOLATILITY = "inverse_volatility"
    RISK_FRACTION = "risk_fraction"
    FIXED_NOTIONAL = "fixed_notional"
    FIXED_FRACTION = "fixed_fraction"
    FIXED_QUANTITY = "fixed_quantity"


class VolatilitySource(StrEnum):
    """Where sigma comes from."""

    QUANTMETRICS = "quantmetrics"
    BARS = "bars"
    LARGER = "larger"


class ExitRule(StrEnum):
    """What may end a position."""

    SIGNAL_FLIPPED = "signal_flipped"
    STOP_HIT = "stop_hit"
    TARGET_HIT = "target_hit"
    TIME_STOP = "time_stop"


class TooFar(StrEnum):
    """What happens to a stop outside its window."""

    REJECT = "reject"
    CLAMP = "clamp"


class TargetFill(StrEnum):
    """What fills a target: a touch, or trading through it."""

    TOUCH = "touch"
    THROUGH = "through"


class TargetGap(StrEnum):
    """What a gap above the target pays."""

    LIMIT = "limit"
    OPEN = "open"


class TargetCost(StrEnum):
    """What a target exit pays beside the fee."""

    LIMIT = "limit"
    MARKET = "market"


class SameBar(StrEnum):
    """What decides when one bar holds stop and target."""

    STOP_FIRST = "stop_first"
    TARGET_FIRST = "target_first"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRules:
    """When a signal becomes a candidate, and which candidate goes first."""

    act_on: ActOn = ActOn.TURN
    age_max_hours: Decimal = Decimal(72)
    reentry: Reentry = Reentry.NEVER
    cooldown_hours: Decimal | None = None
    rank: Rank = Rank.TOKEN_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Thresholds of the configured gates; freshness_hours by input: signals, levels, quantmetrics, grades, prices."""

    trader_grade_min: Decimal | None = None
    investor_grade_min: Decimal | None = None
    sharpe_min: Decimal | None = None
    sortino_min: Decimal | None = None
    cagr_min: Decimal | None = None
    max_drawdown_limit: Decimal | None = None
    volatility_max: Decimal | None = None
    volume_min: Decimal | None = None
    market_cap_min: Decimal | None = None
    resistance_distance_min: Decimal | None = None
    reward_risk_min: Decimal | None = None
    freshness_hours: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRules:
    """Which levels count as strong; without strong_min all do."""

    strong_min: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """The rule that is tried when the first finds no price."""

    rule: PriceRule
    fraction: Decimal | None = None
    multiple: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRules:
    """Where the stop goes; distances are fractions of the reference price."""

    rule: PriceRule = PriceRule.NONE
    fraction: Decimal | None = None
    multiple: Decimal | None = None
    buffer_fraction: Decimal = ZERO
    distance_min: Decimal | None = None
    distance_max: Decimal | None = None
    too_far: TooFar = TooFar.REJECT
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRules:
    """Where the target goes; rank_max counts resistances above the reference price."""

    rule: PriceRule = PriceRule.NONE
    fraction: Decimal | None = None
    multiple: Decimal | None = None
    buffer_fraction: Decimal = ZERO
    rank_max: int = 1
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingRules:
    """How large an entry is, and what caps it; volatilities are annualised fractions."""

    rule: SizeRule = SizeRule.INVERSE_VOLATILITY
    target_volatility: Decimal | None = None
    volatility: VolatilitySource = VolatilitySource.LARGER
    volatility_floor: Decimal | None = None
    risk_fraction: Decimal | None = None
    weight_max: Decimal | None = None
    volume_share_max: Decimal | None = None
    notional: Decimal | None = None
    fraction: Decimal | None = None
    quantity: Decimal | None = None
    notional_min: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRules:
    """The set of rules that may end a position; their precedence is the settlement's."""

    rules: frozenset[ExitRule] = frozenset({ExitRule.SIGNAL_FLIPPED, ExitRule.STOP_HIT, ExitRule.TARGET_HIT})
    time_stop_hours: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRules:
    """Bounds of the whole book."""

    positions_max: int | None = None
    exposure_max: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRules:
    """What a fill costs, as fractions of its price, and how a bar fills a target."""

    fee_fraction: Decimal = Decimal("0.001")
    half_spread_fraction: Decimal = Decimal("0.0002")
    slippage_fraction: Decimal = Decimal("0.0005")
    target_fill: TargetFill = TargetFill.TOUCH
    target_gap: TargetGap = TargetGap.LIMIT
    target_cost: TargetCost = TargetCost.LIMIT
    same_bar: SameBar = SameBar.STOP_FIRST

    @property
    def cost(self) -> Decimal:
        """Return c, half spread plus slippage."""
        return self.half_spread_fraction + self.slippage_fraction

    @property
    def buy(self) -> Decimal:
        """Return what buying multiplies a price with."""
        return ONE + self.cost

    @property
    def sell(self) -> Decimal:
        """Return what selling multiplies a price with."""
        return ONE - self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All rules of a strategy; bearish_exits is false where a bearish stance is ignored."""

    name: str
    side: Side = Side.LONG
    feed: str = "daily"
    bearish_exits: bool = True
    entry: EntryRules = field(default_factory=EntryRules)
    gates: GateRules = field(default_factory=GateRules)
    levels: LevelRules = field(default_factory=LevelRules)
    stop: StopRules = field(default_factory=StopRules)
    target: TargetRules = field(default_factory=TargetRules)
    sizing: SizingRules = field(default_factory=SizingRules)
    exits: ExitRules = field(default_factory=ExitRules)
    limits: LimitRules = field(default_factory=LimitRules)
    fills: FillRules = field(default_factory=FillRules)
