"""A strategy's rules as typed values, parsed once when the strategy is loaded.

Units are in the names: fractions and hours. None means that a rule is absent, never that it has a
default elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from bot.domain.numbers import ONE, ZERO, Price, price_half_even
from bot.domain.orders import Anchor, Side


class ActOn(StrEnum):
    """When an episode makes a candidate."""

    TURN = "turn"
    STANCE = "stance"


class Reentry(StrEnum):
    """Whether a run may enter again in an episode that it has acted on."""

    NEVER = "never"
    AFTER_STOP = "after_stop"
    ALWAYS = "always"


class Rank(StrEnum):
    """The score that sorts candidates; unknown values come last, ties go by token_id."""

    TOKEN_ID = "token_id"
    GRADE = "grade"
    SORTINO = "sortino"
    SHARPE = "sharpe"
    REWARD_RISK = "reward_risk"
    COMPOSITE = "composite"


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
    NORMALISED_INVERSE_VOLATILITY = "normalised_inverse_volatility"
    RISK_FRACTION = "risk_fraction"
    FIXED_NOTIONAL = "fixed_notional"
    FIXED_FRACTION = "fixed_fraction"
    FIXED_QUANTITY = "fixed_quantity"


class VolatilitySource(StrEnum):
    """The source of sigma."""

    QUANTMETRICS = "quantmetrics"
    BARS = "bars"
    LARGER = "larger"


class ExitRule(StrEnum):
    """What may end a position."""

    SIGNAL_FLIPPED = "signal_flipped"
    STOP_HIT = "stop_hit"
    TARGET_HIT = "target_hit"
    TIME_STOP = "time_stop"
    TRAILING_STOP = "trailing_stop"
    BREAK_EVEN = "break_even"


class BreakerName(StrEnum):
    """The quantity that a breaker watches."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    LOSS_STREAK = "loss_streak"
    VOLATILITY_SHOCK = "volatility_shock"


class BreakerAction(StrEnum):
    """What a tripped breaker does besides blocking entries: nothing, halve stops, or close all."""

    BLOCK = "block"
    TIGHTEN = "tighten"
    FLATTEN = "flatten"


class TooFar(StrEnum):
    """What happens to a stop outside its window."""

    REJECT = "reject"
    CLAMP = "clamp"


class TargetFill(StrEnum):
    """What fills a target: a touch, or a trade through it."""

    TOUCH = "touch"
    THROUGH = "through"


class TargetGap(StrEnum):
    """The price of a target when the bar opens beyond it."""

    LIMIT = "limit"
    OPEN = "open"


class TargetCost(StrEnum):
    """What a target exit costs besides the fee."""

    LIMIT = "limit"
    MARKET = "market"


class SameBar(StrEnum):
    """What decides when one bar reaches both stop and target."""

    STOP_FIRST = "stop_first"
    TARGET_FIRST = "target_first"
    FINER_BARS = "finer_bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRules:
    """When a signal becomes a candidate, and its rank; weights are those of a composite rank."""

    act_on: ActOn = ActOn.TURN
    age_max_hours: Decimal = Decimal(72)
    reentry: Reentry = Reentry.NEVER
    cooldown_hours: Decimal | None = None
    rank: Rank = Rank.TOKEN_ID
    weights: Mapping[Rank, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Thresholds of the configured gates; freshness_hours has them by input, as `signals`."""

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
    correlation_max: Decimal | None = None
    price_disagreement_max: Decimal | None = None
    frozen_hours_max: Decimal | None = None
    freshness_hours: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRules:
    """Which levels count: how near ones merge, from where one is strong, and the maximum age."""

    merge_fraction: Decimal | None = None
    strong_min: Decimal | None = None
    age_max_days: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """The rule that is tried when the first finds no price."""

    rule: PriceRule
    fraction: Decimal | None = None
    multiple: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRules:
    """The placement of the stop; distances are fractions of the anchor's price."""

    rule: PriceRule = PriceRule.NONE
    fraction: Decimal | None = None
    multiple: Decimal | None = None
    buffer_fraction: Decimal = ZERO
    distance_min: Decimal | None = None
    distance_max: Decimal | None = None
    too_far: TooFar = TooFar.REJECT
    anchor: Anchor = Anchor.REFERENCE
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPart:
    """One of several targets, at a level's rank or at a multiple of R.

    share: its fraction of the initial quantity; None means the rest.
    """

    share: Decimal | None = None
    rank: int | None = None
    multiple: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRules:
    """The placement of the target; rank_max counts the levels ahead of the price."""

    rule: PriceRule = PriceRule.NONE
    fraction: Decimal | None = None
    multiple: Decimal | None = None
    buffer_fraction: Decimal = ZERO
    rank_max: int = 1
    fallback: Fallback | None = None
    parts: tuple[TargetPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingRules:
    """The size of an entry and its caps; volatilities are annualised fractions."""

    rule: SizeRule = SizeRule.INVERSE_VOLATILITY
    target_volatility: Decimal | None = None
    volatility: VolatilitySource = VolatilitySource.LARGER
    volatility_floor: Decimal | None = None
    risk_fraction: Decimal | None = None
    weight_max: Decimal | None = None
    category_max: Decimal | None = None
    volume_share_max: Decimal | None = None
    notional: Decimal | None = None
    fraction: Decimal | None = None
    quantity: Decimal | None = None
    notional_min: Decimal | None = None
    drawdown_haircut: Decimal | None = None


PLAIN_EXITS = frozenset({ExitRule.SIGNAL_FLIPPED, ExitRule.STOP_HIT, ExitRule.TARGET_HIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRules:
    """The set of rules that may end a position; settlement decides their precedence."""

    rules: frozenset[ExitRule] = PLAIN_EXITS
    time_stop_hours: Decimal | None = None
    trailing_fraction: Decimal | None = None
    trailing_atr: Decimal | None = None
    ratchet_to_support: bool = False
    break_even_r: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A limit that trips at a value, acts, and is reset after some hours.

    hours: None means that it is reset by hand, or at midnight for a daily loss.
    """

    at: Decimal
    action: BreakerAction = BreakerAction.BLOCK
    hours: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRules:
    """Bounds of the whole book, and the breakers that watch its equity."""

    positions_max: int | None = None
    exposure_max: Decimal | None = None
    daily_loss: Breaker | None = None
    drawdown: Breaker | None = None
    loss_streak: Breaker | None = None
    volatility_shock: Breaker | None = None

    @property
    def breakers(self) -> Mapping[BreakerName, Breaker]:
        """The configured breakers, by what they watch."""
        found = {
            BreakerName.DAILY_LOSS: self.daily_loss,
            BreakerName.DRAWDOWN: self.drawdown,
            BreakerName.LOSS_STREAK: self.loss_streak,
            BreakerName.VOLATILITY_SHOCK: self.volatility_shock,
        }
        return {name: breaker for name, breaker in found.items() if breaker is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortRules:
    """The costs of a short.

    borrow_fraction_per_day: the fee for each begun day, as a fraction of the entry notional.
    margin_fraction: the margin that a short ties up.
    """

    borrow_fraction_per_day: Decimal = ZERO
    margin_fraction: Decimal = ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRules:
    """The costs of a fill, as fractions of its price, and how a bar fills a target."""

    fee_fraction: Decimal = Decimal("0.001")
    half_spread_fraction: Decimal = Decimal("0.0002")
    slippage_fraction: Decimal = Decimal("0.0005")
    target_fill: TargetFill = TargetFill.TOUCH
    target_gap: TargetGap = TargetGap.LIMIT
    target_cost: TargetCost = TargetCost.LIMIT
    same_bar: SameBar = SameBar.STOP_FIRST

    @property
    def cost(self) -> Decimal:
        """Half spread plus slippage: the c of the formulas."""
        return self.half_spread_fraction + self.slippage_fraction

    def entry_price(self, price: Decimal, side: Side) -> Decimal:
        """Apply the costs to a raw entry price: a long buys, a short sells."""
        return price * (ONE + side.sign * self.cost)

    def round_entry_price(self, raw: Decimal, side: Side) -> Price:
        """Compute the price of an entry as it is stored: costs included, to 18 decimals."""
        return price_half_even(self.entry_price(raw, side))

    def exit_price(self, price: Decimal, side: Side) -> Decimal:
        """Apply the costs to a raw market price of an exit: a long sells, a short buys."""
        return price * (ONE - side.sign * self.cost)

    def entry_amount(self, price: Decimal, side: Side) -> Decimal:
        """Compute what a unit entered at a raw price costs a long or pays a short, fee included."""
        sign = side.sign
        return price * (ONE + sign * self.cost) * (ONE + sign * self.fee_fraction)

    def exit_amount(self, price: Decimal, side: Side) -> Decimal:
        """Compute what a unit closed at a raw price pays a long or costs a short, fee included."""
        sign = side.sign
        return price * (ONE - sign * self.cost) * (ONE - sign * self.fee_fraction)

    def with_entry_fee(self, amount: Decimal, side: Side) -> Decimal:
        """Apply the fee to an entry's notional: what a long pays or a short receives."""
        return amount * (ONE + side.sign * self.fee_fraction)

    def with_exit_fee(self, amount: Decimal, side: Side) -> Decimal:
        """Apply the fee to an exit's notional: what a long receives or a short pays."""
        return amount * (ONE - side.sign * self.fee_fraction)


class Raised(str):
    """Why a hook failed: its error as one line."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The functions of the file beside a strategy; an error in one is returned as a `Raised`.

    veto(view, bracket): a reason or None.
    rank(view, bracket): a score; the highest goes first.
    adjust_bracket(view, bracket): a Bracket.
    extra_exits(view, holding): an exit reason or None.
    digest: of the file's text.
    """

    digest: str
    veto: Callable[..., object] | None = None
    rank: Callable[..., object] | None = None
    adjust_bracket: Callable[..., object] | None = None
    extra_exits: Callable[..., object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All rules of a strategy; bearish_exits is false when turns against a position are ignored."""

    name: str
    sides: frozenset[Side] = frozenset({Side.LONG})
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
    short: ShortRules = field(default_factory=ShortRules)
    fills: FillRules = field(default_factory=FillRules)
    hooks: Hooks | None = None
