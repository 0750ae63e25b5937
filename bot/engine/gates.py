"""Every reason not to enter, each a function in one table: all are asked, none is skipped.

A gate that is not configured gives no finding. A missing input fails its gate and keeps the candidate open.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple, TypedDict

from bot.domain.decisions import Comparator, Reason
from bot.domain.ids import TokenId
from bot.domain.market import QuantMetrics
from bot.domain.numbers import MICRO, ONE, ZERO, Price
from bot.domain.orders import Role
from bot.domain.portfolio import Holding, Portfolio
from bot.domain.signals import Episode, Stance
from bot.domain.snapshot import TokenView
from bot.engine.ages import hours_between
from bot.engine.brackets import Bracket
from bot.engine.candidates import is_held
from bot.engine.rules import GateRules, PriceRule, Rules
from bot.engine.sizing import Size, lacks_volume, needs_volatility


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An entry as it would be placed now, with the account as earlier candidates of this slot have left it."""

    as_of: datetime
    lateness_hours: Decimal
    interval_hours: Decimal | None
    view: TokenView
    episode: Episode
    portfolio: Portfolio
    prices: Mapping[TokenId, Price]
    equity: Decimal
    reference: Price | None
    bracket: Bracket
    size: Size | None
    rules: Rules


class Finding(NamedTuple):
    """A gate's answer; unready means that a needed input was missing or stale."""

    value: Decimal | None
    comparator: Comparator
    threshold: Decimal | None
    passed: bool
    reason: str | None = None
    unready: bool = False


class Lacking(TypedDict):
    """Why a finding has no value."""

    reason: Reason
    unready: bool


Gate = Callable[[Proposal], Finding | None]
Threshold = Callable[[GateRules], Decimal | None]


def _at_least(value: Decimal | None, least: Decimal, missing: Reason) -> Finding:
    if value is None:
        return Finding(None, Comparator.AT_LEAST, least, passed=False, reason=missing, unready=True)
    return Finding(value, Comparator.AT_LEAST, least, passed=value >= least)


def _at_most(value: Decimal | None, most: Decimal, missing: Reason) -> Finding:
    if value is None:
        return Finding(None, Comparator.AT_MOST, most, passed=False, reason=missing, unready=True)
    return Finding(value, Comparator.AT_MOST, most, passed=value <= most)


def _stance(proposal: Proposal) -> Finding:
    bullish = proposal.episode.turn.stance is Stance.BULLISH
    return Finding(ONE if bullish else ZERO, Comparator.IS, ONE, passed=bullish)


def _signal_age(proposal: Proposal) -> Finding:
    age = hours_between(proposal.episode.turn.published_at, proposal.as_of)
    most = proposal.rules.entry.age_max_hours
    return Finding(age, Comparator.AT_MOST, most, passed=age <= most)


def _lateness(proposal: Proposal) -> Finding | None:
    most = proposal.interval_hours
    if most is None:
        return None
    late = proposal.lateness_hours > most
    return Finding(proposal.lateness_hours, Comparator.AT_MOST, most, passed=not late, unready=late)


def _reference_price(proposal: Proposal) -> Finding:
    missing = proposal.reference is None
    reason = Reason.MISSING_PRICE if missing else None
    return Finding(proposal.reference, Comparator.ABOVE, ZERO, passed=not missing, reason=reason, unready=missing)


def _freshness(name: str, missing: Reason, dated: Callable[[Proposal], datetime | None]) -> Gate:
    def gate(proposal: Proposal) -> Finding | None:
        most = proposal.rules.gates.freshness_hours.get(name)
        if most is None:
            return None
        at = dated(proposal)
        if at is None:
            return _at_most(None, most, missing)
        age = hours_between(at, proposal.as_of)
        return Finding(age, Comparator.AT_MOST, most, passed=age <= most, unready=age > most)

    return gate


def _already_held(proposal: Proposal) -> Finding:
    held = is_held(proposal.portfolio, proposal.view.instrument.token_id)
    return Finding(ONE if held else ZERO, Comparator.IS, ZERO, passed=not held)


def _threshold_min(threshold: Threshold, missing: Reason, value: Callable[[TokenView], Decimal | None]) -> Gate:
    def gate(proposal: Proposal) -> Finding | None:
        least = threshold(proposal.rules.gates)
        return None if least is None else _at_least(value(proposal.view), least, missing)

    return gate


def _threshold_max(threshold: Threshold, missing: Reason, value: Callable[[TokenView], Decimal | None]) -> Gate:
    def gate(proposal: Proposal) -> Finding | None:
        most = threshold(proposal.rules.gates)
        return None if most is None else _at_most(value(proposal.view), most, missing)

    return gate


def _trader_grade(view: TokenView) -> Decimal | None:
    if view.grades is not None and view.grades.trader_grade is not None:
        return view.grades.trader_grade
    return view.episode.latest.grade if view.episode else None


def _measured(value: Callable[[QuantMetrics], Decimal | None]) -> Callable[[TokenView], Decimal | None]:
    """Read one of a token's measures, where it has any."""
    return lambda view: value(view.quantmetrics) if view.quantmetrics else None


def _resistance_distance(proposal: Proposal) -> Finding | None:
    least = proposal.rules.gates.resistance_distance_min
    if least is None:
        return None
    levels, reference = proposal.view.levels, proposal.reference
    if levels is None or reference is None:
        return _at_least(None, least, Reason.MISSING_LEVELS if levels is None else Reason.MISSING_PRICE)
    strong = proposal.rules.levels.strong_min
    above = [
        level.price
        for level in levels.levels
        if level.price > reference and (strong is None or (level.strength is not None and level.strength >= strong))
    ]
    if not above:
        return Finding(None, Comparator.AT_LEAST, least, passed=True)
    distance = (min(above) - reference) / reference
    return Finding(distance, Comparator.AT_LEAST, least, passed=distance >= least)


def _stop(proposal: Proposal) -> Finding | None:
    if proposal.rules.stop.rule is PriceRule.NONE:
        return None
    return _found(proposal, proposal.bracket.stop, Reason.NO_STOP)


def _target(proposal: Proposal) -> Finding | None:
    if proposal.rules.target.rule is PriceRule.NONE:
        return None
    return _found(proposal, proposal.bracket.target, Reason.NO_TARGET)


def _found(proposal: Proposal, price: Price | None, reason: Reason) -> Finding:
    if price is not None:
        return Finding(price, Comparator.ABOVE, ZERO, passed=True)
    return Finding(None, Comparator.ABOVE, ZERO, passed=False, **_lacking(proposal, reason))


def _lacking(proposal: Proposal, reason: Reason) -> Lacking:
    """Say why there is no number: without a price nothing was judged yet, with one it is a judgement."""
    if proposal.reference is None:
        return {"reason": Reason.MISSING_PRICE, "unready": True}
    return {"reason": reason, "unready": False}


def _stop_distance(proposal: Proposal) -> Decimal | None:
    stop, reference = proposal.bracket.stop, proposal.reference
    return None if stop is None or reference is None else (reference - stop) / reference


def _stop_distance_min(proposal: Proposal) -> Finding | None:
    least = proposal.rules.stop.distance_min
    if least is None:
        return None
    distance = _stop_distance(proposal)
    if distance is None:
        return Finding(None, Comparator.AT_LEAST, least, passed=False, **_lacking(proposal, Reason.NO_STOP))
    return Finding(distance, Comparator.AT_LEAST, least, passed=distance >= least)


def _stop_distance_max(proposal: Proposal) -> Finding | None:
    most = proposal.rules.stop.distance_max
    if most is None:
        return None
    distance = _stop_distance(proposal)
    if distance is None:
        return Finding(None, Comparator.AT_MOST, most, passed=False, **_lacking(proposal, Reason.NO_STOP))
    return Finding(distance, Comparator.AT_MOST, most, passed=distance <= most)


def _reward_risk(proposal: Proposal) -> Finding | None:
    least = proposal.rules.gates.reward_risk_min
    if least is None:
        return None
    ratio = proposal.bracket.reward_risk
    if ratio is None:
        reason = Reason.NO_STOP if proposal.bracket.stop is None else Reason.NO_TARGET
        return Finding(None, Comparator.AT_LEAST, least, passed=False, **_lacking(proposal, reason))
    return Finding(ratio, Comparator.AT_LEAST, least, passed=ratio >= least)


def _cooldown(proposal: Proposal) -> Finding | None:
    least = proposal.rules.entry.cooldown_hours
    if least is None:
        return None
    loss_at = proposal.portfolio.remembered(proposal.view.instrument.token_id).loss_at
    if loss_at is None:
        return Finding(None, Comparator.AT_LEAST, least, passed=True)
    since = hours_between(loss_at, proposal.as_of)
    return Finding(since, Comparator.AT_LEAST, least, passed=since >= least)


def _positions(proposal: Proposal) -> Finding | None:
    most = proposal.rules.limits.positions_max
    if most is None:
        return None
    places = len(_staying(proposal)) + len(proposal.portfolio.waiting(Role.ENTRY)) + 1
    return Finding(Decimal(places), Comparator.AT_MOST, Decimal(most), passed=places <= most)


def _exposure(proposal: Proposal) -> Finding | None:
    most = proposal.rules.limits.exposure_max
    if most is None:
        return None
    if proposal.size is None or proposal.reference is None or proposal.equity <= ZERO:
        return Finding(None, Comparator.AT_MOST, most, passed=False, **_unsized(proposal))
    held = sum((holding.quantity * proposal.prices[token] for token, holding in _staying(proposal)), ZERO)
    granted = sum((order.quantity * order.price for order in proposal.portfolio.waiting(Role.ENTRY)), ZERO)
    exposure = (held + granted + proposal.size.quantity * proposal.reference) / proposal.equity
    return Finding(exposure, Comparator.AT_MOST, most, passed=exposure <= most)


def _notional(proposal: Proposal) -> Finding:
    least = proposal.rules.sizing.notional_min or ZERO
    comparator = Comparator.AT_LEAST if least else Comparator.ABOVE
    if proposal.size is None or proposal.reference is None:
        return Finding(None, comparator, least, passed=False, **_unsized(proposal))
    notional = proposal.size.quantity * proposal.reference
    return Finding(notional, comparator, least, passed=notional >= max(least, MICRO))


def _unsized(proposal: Proposal) -> Lacking:
    if lacks_volume(proposal.view, proposal.rules):
        return {"reason": Reason.MISSING_MARKET, "unready": True}
    if needs_volatility(proposal.rules) and proposal.reference is not None:
        return {"reason": Reason.MISSING_VOLATILITY, "unready": True}
    return _lacking(proposal, Reason.NO_STOP)


def _staying(proposal: Proposal) -> list[tuple[TokenId, Holding]]:
    """Return the positions that no accepted exit is closing."""
    closing = {order.position_id for order in proposal.portfolio.waiting(Role.EXIT)}
    return [
        (token_id, holding)
        for token_id, holding in proposal.portfolio.holdings.items()
        if holding.position.position_id not in closing
    ]


GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "stance": _stance,
        "signal_age": _signal_age,
        "lateness": _lateness,
        "reference_price": _reference_price,
        "freshness_signals": _freshness(
            "signals", Reason.MISSING_SIGNAL, lambda proposal: proposal.episode.latest.published_at
        ),
        "freshness_prices": _freshness(
            "prices",
            Reason.MISSING_PRICE,
            lambda proposal: proposal.view.price.known_at if proposal.view.price else None,
        ),
        "freshness_levels": _freshness(
            "levels",
            Reason.MISSING_LEVELS,
            lambda proposal: proposal.view.levels.published_at if proposal.view.levels else None,
        ),
        "freshness_quantmetrics": _freshness(
            "quantmetrics",
            Reason.MISSING_QUANTMETRICS,
            lambda proposal: proposal.view.quantmetrics.published_at if proposal.view.quantmetrics else None,
        ),
        "freshness_grades": _freshness(
            "grades",
            Reason.MISSING_GRADE,
            lambda proposal: proposal.view.grades.published_at if proposal.view.grades else None,
        ),
        "already_held": _already_held,
        "cooldown": _cooldown,
        "trader_grade": _threshold_min(lambda gates: gates.trader_grade_min, Reason.MISSING_GRADE, _trader_grade),
        "investor_grade": _threshold_min(
            lambda gates: gates.investor_grade_min,
            Reason.MISSING_GRADE,
            lambda view: view.grades.investor_grade if view.grades else None,
        ),
        "sharpe": _threshold_min(
            lambda gates: gates.sharpe_min,
            Reason.MISSING_QUANTMETRICS,
            _measured(lambda measures: measures.sharpe),
        ),
        "sortino": _threshold_min(
            lambda gates: gates.sortino_min,
            Reason.MISSING_QUANTMETRICS,
            _measured(lambda measures: measures.sortino),
        ),
        "cagr": _threshold_min(
            lambda gates: gates.cagr_min,
            Reason.MISSING_QUANTMETRICS,
            _measured(lambda measures: measures.cagr),
        ),
        "max_drawdown": _threshold_max(
            lambda gates: gates.max_drawdown_limit,
            Reason.MISSING_QUANTMETRICS,
            _measured(lambda measures: abs(measures.max_drawdown) if measures.max_drawdown is not None else None),
        ),
        "volatility": _threshold_max(
            lambda gates: gates.volatility_max,
            Reason.MISSING_QUANTMETRICS,
            _measured(lambda measures: measures.volatility),
        ),
        "volume": _threshold_min(
            lambda gates: gates.volume_min,
            Reason.MISSING_MARKET,
            lambda view: view.market.volume_24h if view.market else None,
        ),
        "market_cap": _threshold_min(
            lambda gates: gates.market_cap_min,
            Reason.MISSING_MARKET,
            lambda view: view.market.market_cap if view.market else None,
        ),
        "resistance_distance": _resistance_distance,
        "stop": _stop,
        "stop_distance_min": _stop_distance_min,
        "stop_distance_max": _stop_distance_max,
        "target": _target,
        "reward_risk": _reward_risk,
        "positions": _positions,
        "exposure": _exposure,
        "notional": _notional,
    }
)


def ask_all(proposal: Proposal) -> Iterator[tuple[str, Finding]]:
    """Ask every configured gate about a proposal, in the order of the table."""
    for name, gate in GATES.items():
        finding = gate(proposal)
        if finding is not None:
            yield name, finding
