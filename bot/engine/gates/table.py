"""The table of all gates, in the order in which they are asked: one row a gate.

Every gate is evaluated for every candidate. A gate that is not configured gives no finding. A
missing input fails its gate and leaves the candidate open.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from bot.domain.decisions import Reason
from bot.engine.gates import book as book_gates
from bot.engine.gates import bracket as bracket_gates
from bot.engine.gates import token as token_gates
from bot.engine.gates.findings import Finding, Gate, Proposal, at_least, at_most
from bot.engine.gates.token import Value, freshness, measure, threshold, trader_grade
from bot.engine.needs import Declaration, Input, Row, Wakes
from bot.engine.sizing import token_drawdown

__all__ = ["GATES", "Finding", "Proposal", "ask_all"]

MISSING: Mapping[Input, Reason] = MappingProxyType(
    {
        Input.TRADER_GRADES: Reason.MISSING_GRADE,
        Input.GRADES: Reason.MISSING_GRADE,
        Input.QUANTMETRICS: Reason.MISSING_QUANTMETRICS,
        Input.MARKET: Reason.MISSING_MARKET,
    }
)
AGE = "hours from when it was published to the slot"
AS_GIVEN = "as the provider gives it, over the token's life"


def gate(key: str, formula: str, ask: Gate, *needs: Input, of_held: tuple[Input, ...] = ()) -> Row[Gate]:
    """Declare a gate; it is asked only when a candidate is judged. An empty key: always on."""
    return Row(
        ask,
        Declaration(
            keys=(key,) if key else (), formula=formula, needs=needs, of_held=of_held, wakes=Wakes.CANDIDATES
        ),
    )


def least(key: str, formula: str, value: Value, needs: Input) -> Row[Gate]:
    """Declare the gate that requires the minimum under a key of [gates]."""
    return gate(f"gates.{key}", formula, threshold(key, MISSING[needs], value, at_least), needs)


def most(key: str, formula: str, value: Value, needs: Input) -> Row[Gate]:
    """Declare the gate that allows the maximum under a key of [gates]."""
    return gate(f"gates.{key}", formula, threshold(key, MISSING[needs], value, at_most), needs)


GATES: Mapping[str, Row[Gate]] = MappingProxyType(
    {
        "signal_age": gate("", "hours from the turn to the slot", token_gates.signal_age),
        "lateness": gate("", "hours from the slot to the cut-off", token_gates.lateness),
        "kill_switch": gate("", "1 while an operator has paused the run", book_gates.kill_switch),
        "halts": gate("", "number of tripped breakers", book_gates.halts),
        "symbol_collision": gate(
            "", "number of the run's tokens with this symbol", token_gates.symbol_collision
        ),
        "incomplete_history": gate(
            "",
            "1 while signals are missing among which a turn may lie",
            token_gates.incomplete_history,
        ),
        "reference_price": gate("", "the last price known at the slot", token_gates.reference_price),
        "price_disagreement": gate(
            "gates.price_disagreement_max",
            "abs(price - close) / close, with the close of the last bar",
            token_gates.price_disagreement,
            Input.CLOSE,
        ),
        "frozen_feed": gate(
            "gates.frozen_hours_max",
            "hours since the price last differed from the current one",
            token_gates.frozen_feed,
            Input.MOVED_AT,
        ),
        "freshness_signals": gate(
            "gates.freshness_hours.signals",
            AGE,
            freshness("signals", Reason.MISSING_SIGNAL, lambda proposal: proposal.episode.latest.published_at),
        ),
        "freshness_prices": gate(
            "gates.freshness_hours.prices",
            "hours from when it was known to the slot",
            freshness(
                "prices",
                Reason.MISSING_PRICE,
                lambda proposal: proposal.view.price.known_at if proposal.view.price else None,
            ),
        ),
        "freshness_levels": gate(
            "gates.freshness_hours.levels",
            AGE,
            freshness(
                "levels",
                Reason.MISSING_LEVELS,
                lambda proposal: proposal.view.levels.published_at if proposal.view.levels else None,
            ),
            Input.LEVELS,
        ),
        "freshness_quantmetrics": gate(
            "gates.freshness_hours.quantmetrics",
            AGE,
            freshness(
                "quantmetrics",
                Reason.MISSING_QUANTMETRICS,
                lambda proposal: (
                    proposal.view.quantmetrics.published_at if proposal.view.quantmetrics else None
                ),
            ),
            Input.QUANTMETRICS,
        ),
        "freshness_grades": gate(
            "gates.freshness_hours.grades",
            AGE,
            freshness(
                "grades",
                Reason.MISSING_GRADE,
                lambda proposal: proposal.view.grades.published_at if proposal.view.grades else None,
            ),
            Input.GRADES,
        ),
        "already_held": gate("", "1 if the token is held or entering", book_gates.no_position),
        "cooldown": gate(
            "entry.cooldown_hours", "hours since the token's last losing exit", book_gates.cooldown
        ),
        "trader_grade": least(
            "trader_grade_min", "the signal's own where no other is known", trader_grade, Input.TRADER_GRADES
        ),
        "investor_grade": least(
            "investor_grade_min",
            "as the provider gives it",
            lambda view: view.grades.investor_grade if view.grades else None,
            Input.GRADES,
        ),
        "sharpe": least("sharpe_min", f"{AS_GIVEN} (Sharpe 1966)", measure("sharpe"), Input.QUANTMETRICS),
        "sortino": least(
            "sortino_min", f"{AS_GIVEN} (Sortino and Price 1994)", measure("sortino"), Input.QUANTMETRICS
        ),
        "cagr": least("cagr_min", AS_GIVEN, measure("cagr"), Input.QUANTMETRICS),
        "max_drawdown": most("max_drawdown_limit", f"its size, {AS_GIVEN}", token_drawdown, Input.QUANTMETRICS),
        "volatility": most("volatility_max", AS_GIVEN, measure("volatility"), Input.QUANTMETRICS),
        "volume": least(
            "volume_min",
            "as the provider gives it, of 24 hours",
            lambda view: view.market.volume_24h if view.market else None,
            Input.MARKET,
        ),
        "market_cap": least(
            "market_cap_min",
            "as the provider gives it",
            lambda view: view.market.market_cap if view.market else None,
            Input.MARKET,
        ),
        "resistance_distance": gate(
            "gates.resistance_distance_min",
            "abs(level - reference) / reference of the nearest strong level ahead; no set of levels"
            " known fails, a set with none ahead passes",
            bracket_gates.resistance_distance,
            Input.LEVELS,
        ),
        "stop": gate("", "the stop, where the strategy wants one", bracket_gates.stop),
        "stop_distance_min": gate(
            "stop.distance_min", "(reference - stop) / reference", bracket_gates.stop_distance_min
        ),
        "stop_distance_max": gate(
            "stop.distance_max", "(reference - stop) / reference", bracket_gates.stop_distance_max
        ),
        "target": gate("", "the target, where the strategy wants one", bracket_gates.target),
        "reward_risk": gate(
            "gates.reward_risk_min",
            "(target x (1 - fee) - paid) / (paid - stop x (1 - c) x (1 - fee)), with paid ="
            " reference x (1 + c) x (1 + fee) and c = half spread + slippage; of several targets"
            " each with its share",
            bracket_gates.reward_risk,
        ),
        "positions": gate(
            "limits.positions_max", "open positions with the waiting entries and this one", book_gates.positions
        ),
        "exposure": gate(
            "limits.exposure_max", "notional of longs and shorts with this entry / equity", book_gates.exposure
        ),
        "correlation": gate(
            "gates.correlation_max",
            "the largest Pearson correlation of simple daily returns, over the last 60 common days"
            " (10 returns at least), with any other token held or entering; one held the other way"
            " round counts negated; nothing else held passes",
            book_gates.correlation,
            Input.DAYS,
            of_held=(Input.DAYS,),
        ),
        "notional": gate("", "quantity x reference", book_gates.notional),
        "veto": gate("", "1 if a hook refuses, or failed", bracket_gates.veto),
    }
)
ASKED = tuple((name, row.ask) for name, row in GATES.items())


def ask_all(proposal: Proposal) -> Iterator[tuple[str, Finding]]:
    """Ask every gate about a proposal in the order of the table, and yield the named findings."""
    for name, ask in ASKED:
        finding = ask(proposal)
        if finding is not None:
            yield name, finding
