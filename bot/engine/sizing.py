"""The size of an entry: a rule's notional, cut by every cap; the bound that decided is named.

The quantity is rounded down to the instrument's step and never increased.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from bot.domain.ids import TokenId
from bot.domain.numbers import ONE, QUANTITY_MAX, ZERO, Price, Quantity, floor_to_step
from bot.domain.orders import Side
from bot.domain.snapshot import TokenView
from bot.engine.account import entry_need
from bot.engine.brackets import Bracket
from bot.engine.indicators import annual_sigma
from bot.engine.needs import Declaration, Input, Row, Wakes, table_of
from bot.engine.rules import FillRules, Rules, SizeRule, SizingRules, VolatilitySource

BY_VOLATILITY = frozenset({SizeRule.INVERSE_VOLATILITY, SizeRule.NORMALISED_INVERSE_VOLATILITY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A quantity in base units, and the bound that decided it."""

    quantity: Quantity
    bound: str


class Means(NamedTuple):
    """The account as earlier candidates of the slot have left it.

    category_notional: what is held and accepted in the token's category. drawdown: of the book.
    weight: the token's normalised weight, when the rule uses one.
    raw: the price without costs, when the reference price includes them.
    """

    equity: Decimal
    free_cash: Decimal
    category_notional: Decimal = ZERO
    drawdown: Decimal = ZERO
    weight: Decimal | None = None
    raw: Price | None = None


Notional = Callable[[TokenView, Price, Bracket, Means, Rules], Decimal | None]


def volatility(view: TokenView, source: VolatilitySource) -> Decimal | None:
    """Choose the annualised volatility that sizes an entry.

    Returns None while an estimate that the source needs is missing.
    """
    if source is VolatilitySource.BARS:
        return annual_sigma(view.days)
    lifetime = view.quantmetrics.volatility if view.quantmetrics else None
    if source is VolatilitySource.QUANTMETRICS:
        return lifetime
    recent = annual_sigma(view.days)
    return None if lifetime is None or recent is None else max(lifetime, recent)


def lacks_volume(view: TokenView, rules: Rules) -> bool:
    """Check whether a cap by traded volume has no volume to use."""
    if rules.sizing.volume_share_max is None:
        return False
    return view.market is None or view.market.volume_24h is None


def lacks_drawdown(view: TokenView, rules: Rules) -> bool:
    """Check whether a haircut by drawdown has no drawdown of the token to use."""
    return rules.sizing.drawdown_haircut is not None and token_drawdown(view) is None


def needs_volatility(rules: Rules) -> bool:
    """Check whether the size depends on volatility."""
    return rules.sizing.rule in BY_VOLATILITY


def risk_per_unit(reference: Price, bracket: Bracket, fills: FillRules) -> Decimal | None:
    """Compute what one unit loses at its stop, costs included; None without a stop."""
    if bracket.stop is None:
        return None
    side = bracket.side
    lost = fills.entry_amount(reference, side) - fills.exit_amount(bracket.stop, side)
    return side.sign * lost


def normalised_weights(views: Mapping[TokenId, TokenView], rules: Rules) -> dict[TokenId, Decimal]:
    """Compute (1 / sigma) / sum of 1 / sigma over the slot's candidates.

    A candidate without a sigma has no weight. Other sizing rules use no weights.
    """
    if rules.sizing.rule is not SizeRule.NORMALISED_INVERSE_VOLATILITY:
        return {}
    sigmas = {token_id: _floored_volatility(view, rules.sizing) for token_id, view in views.items()}
    inverse = {token_id: ONE / sigma for token_id, sigma in sigmas.items() if sigma is not None}
    total = sum(inverse.values(), ZERO)
    return {token_id: part / total for token_id, part in inverse.items()}


def size_entry(
    view: TokenView, reference: Price, bracket: Bracket, account: Means, rules: Rules
) -> Size | None:
    """Compute the size of an entry at the reference price; None when a measure is missing."""
    ruled = SIZES[rules.sizing.rule].ask(view, reference, bracket, account, rules)
    kept = _kept_fraction(view, account, rules.sizing)
    if ruled is None or kept is None or lacks_volume(view, rules):
        return None
    notional, bound = ruled, rules.sizing.rule.value
    for cap, name in _caps(view, reference, bracket, account, rules):
        if cap < notional:
            notional, bound = cap, name
    if kept < ONE:
        notional, bound = notional * kept, f"{bound}+drawdown_haircut"
    quantity = floor_to_step(max(notional, ZERO) / reference, view.instrument.quantity_step)
    return Size(quantity=Quantity(quantity), bound=bound)


def _floored_volatility(view: TokenView, sizing: SizingRules) -> Decimal | None:
    """Compute the volatility to divide by.

    Returns None when it is missing or zero, because zero would give an unlimited size.
    """
    found = volatility(view, sizing.volatility)
    if found is None:
        return None
    floored = max(found, sizing.volatility_floor or ZERO)
    return floored if floored > ZERO else None


def _by_volatility(
    view: TokenView, _reference: Price, _bracket: Bracket, account: Means, rules: Rules
) -> Decimal | None:
    sigma, target = _floored_volatility(view, rules.sizing), rules.sizing.target_volatility
    if sigma is None or target is None or not rules.limits.positions_max:
        return None
    return account.equity * target / sigma / rules.limits.positions_max


def _by_weight(
    _view: TokenView, _reference: Price, _bracket: Bracket, account: Means, rules: Rules
) -> Decimal | None:
    most = rules.limits.exposure_max
    return _times(account.weight, account.equity if most is None else account.equity * most)


def _by_risk(
    _view: TokenView, reference: Price, bracket: Bracket, account: Means, rules: Rules
) -> Decimal | None:
    risk = risk_per_unit(account.raw or reference, bracket, rules.fills)
    budget = _times(rules.sizing.risk_fraction, account.equity)
    return None if risk is None or budget is None else budget / risk * reference


def _times(share: Decimal | None, whole: Decimal) -> Decimal | None:
    return None if share is None else whole * share


def _size(rule: SizeRule, formula: str, ask: Notional) -> tuple[SizeRule, Row[Notional]]:
    key = f'sizing.rule = "{rule}"'
    return rule, Row(ask, Declaration(keys=(key,), formula=formula, wakes=Wakes.CANDIDATES))


# One row a rule: the notional before the caps; None while a measure or a stop is missing.
SIZES: Mapping[SizeRule, Row[Notional]] = table_of(
    _size(
        SizeRule.INVERSE_VOLATILITY,
        "equity x target_volatility / max(sigma, volatility_floor) / positions_max: each"
        " place carries the same risk, whatever else is bullish (Carver, Systematic"
        " Trading; pysystemtrade)",
        _by_volatility,
    ),
    _size(
        SizeRule.NORMALISED_INVERSE_VOLATILITY,
        "equity x exposure_max (1 where absent) x weight, weight = (1 / sigma) / (sum of 1"
        " / sigma over this slot's candidates): the candidates share the whole, so that a"
        " lone one gets all of it up to `weight_max` (as skfolio's InverseVolatility)",
        _by_weight,
    ),
    _size(
        SizeRule.RISK_FRACTION,
        "equity x risk_fraction / risk per unit x reference, risk per unit = paid - stop x"
        " (1 - c) x (1 - fee) (fixed fractional: Vince 1990)",
        _by_risk,
    ),
    _size(
        SizeRule.FIXED_NOTIONAL,
        "notional",
        lambda _view, _reference, _bracket, _account, rules: rules.sizing.notional,
    ),
    _size(
        SizeRule.FIXED_FRACTION,
        "equity x fraction",
        lambda _view, _price, _bracket, means, rules: _times(rules.sizing.fraction, means.equity),
    ),
    _size(
        SizeRule.FIXED_QUANTITY,
        "quantity x reference",
        lambda _view, price, _bracket, _account, rules: _times(rules.sizing.quantity, price),
    ),
)
GIVEN_SIGMA = "sigma as the provider gives it"
BARS_SIGMA = "exponentially weighted sigma of daily returns x sqrt(365)"
# What sizes read beside the account: the measures behind sigma and behind the caps.
MEASURES = (
    *(
        Declaration(
            keys=(f'sizing.volatility = "{source}"',),
            among=tuple(f'sizing.rule = "{rule}"' for rule in sorted(BY_VOLATILITY)),
            formula=formula,
            needs=tuple(needs),
            wakes=Wakes.CANDIDATES,
        )
        for source, formula, *needs in (
            (VolatilitySource.QUANTMETRICS, GIVEN_SIGMA, Input.QUANTMETRICS),
            (VolatilitySource.BARS, BARS_SIGMA, Input.DAYS),
            (VolatilitySource.LARGER, "the larger of both sigmas", Input.QUANTMETRICS, Input.DAYS),
        )
    ),
    Declaration(
        keys=("sizing.volume_share_max",),
        formula="volume of 24 hours x volume_share_max, a cap",
        needs=(Input.MARKET,),
        wakes=Wakes.CANDIDATES,
    ),
    Declaration(
        keys=("sizing.category_max",),
        formula="equity x category_max - what is held of the token's category, a cap",
        of_held=(Input.CATEGORY,),
        wakes=Wakes.CANDIDATES,
    ),
    Declaration(
        keys=("sizing.drawdown_haircut",),
        formula="x (1 - k x the larger of the token's and the book's drawdown)",
        needs=(Input.QUANTMETRICS,),
        wakes=Wakes.CANDIDATES,
    ),
)


def _caps(
    view: TokenView, reference: Price, bracket: Bracket, account: Means, rules: Rules
) -> Iterator[tuple[Decimal, str]]:
    sizing, equity = rules.sizing, account.equity
    raw = account.raw or reference
    risk = risk_per_unit(raw, bracket, rules.fills)
    if sizing.risk_fraction is not None and risk is not None:
        yield equity * sizing.risk_fraction / risk * reference, "risk_budget"
    if sizing.weight_max is not None:
        yield equity * sizing.weight_max, "weight"
    if sizing.category_max is not None and view.instrument.category is not None:
        yield equity * sizing.category_max - account.category_notional, "category"
    if sizing.volume_share_max is not None and view.market and view.market.volume_24h is not None:
        yield view.market.volume_24h * sizing.volume_share_max, "volume_share"
    yield reference * QUANTITY_MAX, "quantity_max"
    # entry_need is per notional at the raw price, but the cap is a notional at the reference price.
    need = entry_need(rules, bracket.side) * raw / reference
    yield account.free_cash / need, "cash" if bracket.side is Side.LONG else "margin"


def token_drawdown(view: TokenView) -> Decimal | None:
    """Read the size of a token's drawdown, which the provider may give as a negative number."""
    deepest = view.quantmetrics.max_drawdown if view.quantmetrics else None
    return None if deepest is None else abs(deepest)


def _kept_fraction(view: TokenView, account: Means, sizing: SizingRules) -> Decimal | None:
    """Compute the fraction that the drawdown haircut leaves.

    It is 1 - k x the larger of the token's and the book's drawdown, at least zero.
    """
    if sizing.drawdown_haircut is None:
        return ONE
    deepest = token_drawdown(view)
    if deepest is None:
        return None
    return max(ZERO, ONE - sizing.drawdown_haircut * max(deepest, account.drawdown))
