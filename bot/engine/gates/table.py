"""The table of all gates, in the order in which they are asked.

Every gate is evaluated for every candidate. A gate that is not configured gives no finding. A
missing input fails its gate and leaves the candidate open.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from bot.domain.decisions import Reason
from bot.engine.gates import book as book_gates
from bot.engine.gates import bracket as bracket_gates
from bot.engine.gates import token as token_gates
from bot.engine.gates.findings import Finding, Gate, Proposal
from bot.engine.gates.token import freshness, measure_of, threshold_max, threshold_min, trader_grade

__all__ = ["GATES", "Finding", "Proposal", "ask_all"]

GATES: Mapping[str, Gate] = MappingProxyType(
    {
        "signal_age": token_gates.signal_age,
        "lateness": token_gates.lateness,
        "kill_switch": book_gates.kill_switch,
        "halts": book_gates.halts,
        "symbol_collision": token_gates.symbol_collision,
        "reference_price": token_gates.reference_price,
        "price_disagreement": token_gates.price_disagreement,
        "frozen_feed": token_gates.frozen_feed,
        "freshness_signals": freshness(
            "signals", Reason.MISSING_SIGNAL, lambda proposal: proposal.episode.latest.published_at
        ),
        "freshness_prices": freshness(
            "prices",
            Reason.MISSING_PRICE,
            lambda proposal: proposal.view.price.known_at if proposal.view.price else None,
        ),
        "freshness_levels": freshness(
            "levels",
            Reason.MISSING_LEVELS,
            lambda proposal: proposal.view.levels.published_at if proposal.view.levels else None,
        ),
        "freshness_quantmetrics": freshness(
            "quantmetrics",
            Reason.MISSING_QUANTMETRICS,
            lambda proposal: (
                proposal.view.quantmetrics.published_at if proposal.view.quantmetrics else None
            ),
        ),
        "freshness_grades": freshness(
            "grades",
            Reason.MISSING_GRADE,
            lambda proposal: proposal.view.grades.published_at if proposal.view.grades else None,
        ),
        "already_held": book_gates.no_position,
        "cooldown": book_gates.cooldown,
        "trader_grade": threshold_min(
            lambda gates: gates.trader_grade_min, Reason.MISSING_GRADE, trader_grade
        ),
        "investor_grade": threshold_min(
            lambda gates: gates.investor_grade_min,
            Reason.MISSING_GRADE,
            lambda view: view.grades.investor_grade if view.grades else None,
        ),
        "sharpe": threshold_min(
            lambda gates: gates.sharpe_min,
            Reason.MISSING_QUANTMETRICS,
            measure_of(lambda measures: measures.sharpe),
        ),
        "sortino": threshold_min(
            lambda gates: gates.sortino_min,
            Reason.MISSING_QUANTMETRICS,
            measure_of(lambda measures: measures.sortino),
        ),
        "cagr": threshold_min(
            lambda gates: gates.cagr_min,
            Reason.MISSING_QUANTMETRICS,
            measure_of(lambda measures: measures.cagr),
        ),
        "max_drawdown": threshold_max(
            lambda gates: gates.max_drawdown_limit,
            Reason.MISSING_QUANTMETRICS,
            measure_of(
                lambda measures: (
                    abs(measures.max_drawdown) if measures.max_drawdown is not None else None
                )
            ),
        ),
        "volatility": threshold_max(
            lambda gates: gates.volatility_max,
            Reason.MISSING_QUANTMETRICS,
            measure_of(lambda measures: measures.volatility),
        ),
        "volume": threshold_min(
            lambda gates: gates.volume_min,
            Reason.MISSING_MARKET,
            lambda view: view.market.volume_24h if view.market else None,
        ),
        "market_cap": threshold_min(
            lambda gates: gates.market_cap_min,
            Reason.MISSING_MARKET,
            lambda view: view.market.market_cap if view.market else None,
        ),
        "resistance_distance": bracket_gates.resistance_distance,
        "stop": bracket_gates.stop,
        "stop_distance_min": bracket_gates.stop_distance_min,
        "stop_distance_max": bracket_gates.stop_distance_max,
        "target": bracket_gates.target,
        "reward_risk": bracket_gates.reward_risk,
        "positions": book_gates.positions,
        "exposure": book_gates.exposure,
        "correlation": book_gates.correlation,
        "notional": book_gates.notional,
        "veto": bracket_gates.veto,
    }
)


def ask_all(proposal: Proposal) -> Iterator[tuple[str, Finding]]:
    """Ask every gate about a proposal in the order of the table, and yield the named findings."""
    for name, gate in GATES.items():
        finding = gate(proposal)
        if finding is not None:
            yield name, finding
