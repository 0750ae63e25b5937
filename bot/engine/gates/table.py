"""The table of all gates, in the order in which they are asked: one row a gate.

Every gate is evaluated for every candidate. A gate that is not configured gives no finding. A
missing input fails its gate and leaves the candidate open.
"""

from collections.abc import Iterator, Mapping
from operator import attrgetter
from types import MappingProxyType

from bot.domain.decisions import Comparator, Reason
from bot.engine.gates import book as book_gates
from bot.engine.gates import bracket as bracket_gates
from bot.engine.gates import token as token_gates
from bot.engine.gates.book import exposure, positions
from bot.engine.gates.findings import Bounded, Finding, Gate, Proposal
from bot.engine.gates.token import freshness, read, symbol_collision, threshold, trader_grade
from bot.engine.needs import Declaration, Input, Row, Wakes
from bot.engine.sizing import token_drawdown

__all__ = ["GATES", "Finding", "Proposal", "ask_all"]

MISSING: Mapping[Input, Reason] = MappingProxyType(
    {
        Input.GRADES: Reason.MISSING_GRADE,
        Input.QUANTMETRICS: Reason.MISSING_QUANTMETRICS,
        Input.MARKET: Reason.MISSING_MARKET,
    }
)
DATED: tuple[tuple[str, str, Reason, *tuple[Input, ...]], ...] = (
    ("signals", "episode.latest.published_at", Reason.MISSING_SIGNAL),
    ("prices", "price.known_at", Reason.MISSING_PRICE),
    ("levels", "levels.published_at", Reason.MISSING_LEVELS, Input.LEVELS),
    ("quantmetrics", "quantmetrics.published_at", Reason.MISSING_QUANTMETRICS, Input.QUANTMETRICS),
    ("grades", "grades.published_at", Reason.MISSING_GRADE, Input.GRADES),
)
OPEN = "open positions with the waiting entries and this one"
AGES = "gates.freshness_hours"
GIVEN = "as the provider gives it"
OF_LIFE = f"{GIVEN}, over the token's life"
SORTINO = f"{OF_LIFE} (Sortino and Price 1994)"


def gate(formula: str, ask: Gate) -> Row[Gate]:
    """Declare a gate that is always on; it is asked only when a candidate is judged."""
    return Row(ask, Declaration(formula=formula, wakes=Wakes.CANDIDATES))


def limit(key: str, formula: str, ask: Bounded, *needs: Input) -> Row[Gate]:
    """Declare a gate that is on when its threshold, under a key of the strategy, is set."""
    table, _, name = key.rpartition(".")
    table_of = attrgetter(table)

    def gate(proposal: Proposal) -> Finding | None:
        values = table_of(proposal.rules)
        # The limits of ages stand in a mapping, by input.
        bound = values.get(name) if table == AGES else getattr(values, name)
        return None if bound is None else ask(proposal, bound)

    # The days of a candidate are compared with those of what is held.
    held = tuple(one for one in needs if one is Input.DAYS)
    on, wakes = (key,), Wakes.CANDIDATES
    return Row(gate, Declaration(keys=on, formula=formula, needs=needs, of_held=held, wakes=wakes))


def least(key: str, formula: str, path: str, how: Comparator = Comparator.AT_LEAST) -> Row[Gate]:
    """Declare the gate that requires the minimum under a key of [gates].

    path: of the value in a token's view; it begins with the input that is needed.
    """
    needs = Input(path.partition(".")[0])
    return limit(f"gates.{key}", formula, threshold(MISSING[needs], read(path), how), needs)


def most(key: str, formula: str, path: str) -> Row[Gate]:
    """Declare the gate that allows the maximum under a key of [gates]."""
    return least(key, formula, path, Comparator.AT_MOST)


def fresh(name: str, at: str, missing: Reason, *needs: Input) -> Row[Gate]:
    """Declare the gate on the age of an input, under its name in [gates.freshness_hours]."""
    event = "known" if at.endswith("known_at") else "published"
    formula = f"hours from when it was {event} to the slot"
    return limit(f"{AGES}.{name}", formula, freshness(missing, read(at)), *needs)


GATES: Mapping[str, Row[Gate]] = MappingProxyType(
    {
        "signal_age": gate("hours from the turn to the slot", token_gates.signal_age),
        "lateness": gate("hours from the slot to the cut-off", token_gates.lateness),
        "kill_switch": gate("1 while an operator has paused the run", book_gates.kill_switch),
        "halts": gate("number of tripped breakers", book_gates.halts),
        "symbol_collision": gate("number of the run's tokens with this symbol", symbol_collision),
        "incomplete_history": gate(
            "1 while signals are missing among which a turn may lie",
            token_gates.incomplete_history,
        ),
        "reference_price": gate("the last price known at the slot", token_gates.reference_price),
        "price_disagreement": limit(
            "gates.price_disagreement_max",
            "abs(price - close) / close, with the close of the last bar",
            token_gates.price_disagreement,
            Input.CLOSE,
        ),
        "frozen_feed": limit(
            "gates.frozen_hours_max",
            "hours since the price last differed from the current one",
            token_gates.frozen_feed,
            Input.MOVED_AT,
        ),
        **{f"freshness_{row[0]}": fresh(*row) for row in DATED},
        "already_held": gate("1 if the token is held or entering", book_gates.no_position),
        "cooldown": limit(
            "entry.cooldown_hours", "hours since the token's last losing exit", book_gates.cooldown
        ),
        "trader_grade": limit(
            "gates.trader_grade_min",
            "the signal's own where no other is known",
            threshold(Reason.MISSING_GRADE, trader_grade, Comparator.AT_LEAST),
            Input.TRADER_GRADES,
        ),
        "investor_grade": least("investor_grade_min", GIVEN, "grades.investor_grade"),
        "sharpe": least("sharpe_min", f"{OF_LIFE} (Sharpe 1966)", "quantmetrics.sharpe"),
        "sortino": least("sortino_min", SORTINO, "quantmetrics.sortino"),
        "cagr": least("cagr_min", OF_LIFE, "quantmetrics.cagr"),
        "max_drawdown": limit(
            "gates.max_drawdown_limit",
            f"its size, {OF_LIFE}",
            threshold(Reason.MISSING_QUANTMETRICS, token_drawdown, Comparator.AT_MOST),
            Input.QUANTMETRICS,
        ),
        "volatility": most("volatility_max", OF_LIFE, "quantmetrics.volatility"),
        "volume": least("volume_min", f"{GIVEN}, of 24 hours", "market.volume_24h"),
        "market_cap": least("market_cap_min", GIVEN, "market.market_cap"),
        "resistance_distance": limit(
            "gates.resistance_distance_min",
            "abs(level - reference) / reference of the nearest strong level ahead; no set of levels"
            " known fails, a set with none ahead passes",
            bracket_gates.resistance_distance,
            Input.LEVELS,
        ),
        "stop": gate("the stop, where the strategy wants one", bracket_gates.stop),
        "stop_distance_min": limit(
            "stop.distance_min",
            "(reference - stop) / reference",
            bracket_gates.stop_distance(Comparator.AT_LEAST),
        ),
        "stop_distance_max": limit(
            "stop.distance_max",
            "(reference - stop) / reference",
            bracket_gates.stop_distance(Comparator.AT_MOST),
        ),
        "target": gate("the target, where the strategy wants one", bracket_gates.target),
        "reward_risk": limit(
            "gates.reward_risk_min",
            "(target x (1 - fee) - paid) / (paid - stop x (1 - c) x (1 - fee)), with paid ="
            " reference x (1 + c) x (1 + fee) and c = half spread + slippage; of several targets"
            " each with its share",
            bracket_gates.reward_risk,
        ),
        "positions": limit("limits.positions_max", OPEN, positions),
        "exposure": limit(
            "limits.exposure_max", "notional of longs and shorts with this entry / equity", exposure
        ),
        "correlation": limit(
            "gates.correlation_max",
            "the largest Pearson correlation of simple daily returns, over the last 60 common days"
            " (10 returns at least), with any other token held or entering; one held the other way"
            " round counts negated; nothing else held passes",
            book_gates.correlation,
            Input.DAYS,
        ),
        "notional": gate("quantity x reference", book_gates.notional),
        "veto": gate("1 if a hook refuses, or failed", bracket_gates.veto),
    }
)
ASKED = tuple((name, row.ask) for name, row in GATES.items())


def ask_all(proposal: Proposal) -> Iterator[tuple[str, Finding]]:
    """Ask every gate about a proposal in the order of the table, and yield the named findings."""
    for name, ask in ASKED:
        finding = ask(proposal)
        if finding is not None:
            yield name, finding
