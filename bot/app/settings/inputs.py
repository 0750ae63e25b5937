"""The data that a strategy's rules read.

This one list decides which files a replay requires and which feeds the daemon asks for.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bot.engine.rules import PriceRule, Rank, Rules, SameBar, SizeRule, VolatilitySource

GATE_INPUTS: Mapping[str, str] = MappingProxyType(
    {
        "trader_grade_min": "trader_grades",
        "investor_grade_min": "grades",
        "sharpe_min": "quantmetrics",
        "sortino_min": "quantmetrics",
        "cagr_min": "quantmetrics",
        "max_drawdown_limit": "quantmetrics",
        "volatility_max": "quantmetrics",
        "volume_min": "market",
        "market_cap_min": "market",
        "resistance_distance_min": "levels",
        "correlation_max": "days",
    }
)

# The live provider's feed for each input. Grades need none: they come with the daily signals.
FEEDS: Mapping[str, str] = MappingProxyType(
    {
        "levels": "resistance-support",
        "quantmetrics": "quantmetrics",
        "market": "tokens",
        "days": "daily-ohlcv",
    }
)
ALWAYS = frozenset({"price", "hourly-ohlcv"})


def inputs_of(rules: Rules) -> dict[str, str]:
    """Find the inputs that rules need beside signals and prices, each with the key that needs it.

    The inputs are levels, quantmetrics, grades, market, days (daily bars), finer (bars below the
    strategy's own) and trader_grades (grades, or a grade on the signals). What hooks read is
    unknown: they get the days, and what gates.freshness_hours names.
    """
    gates = rules.gates
    needs = {
        name: f"gates.{key}" for key, name in GATE_INPUTS.items() if getattr(gates, key) is not None
    }
    for name in ("levels", "quantmetrics", "grades"):
        if name in gates.freshness_hours:
            needs[name] = f"gates.freshness_hours.{name}"
    if rules.sizing.volume_share_max is not None:
        needs["market"] = "sizing.volume_share_max"
    needs |= _of_prices(rules) | _of_size(rules) | _of_rank(rules) | _of_movements(rules)
    if "levels" in needs and rules.levels.strong_min is not None:
        # A strength that the provider does not give is computed from daily bars.
        needs["days"] = "levels.strong_min"
    if rules.fills.same_bar is SameBar.FINER_BARS:
        needs["finer"] = 'fills.same_bar = "finer_bars"'
    if rules.hooks is not None:
        needs.setdefault("days", "its hooks")
    return needs


def _of_prices(rules: Rules) -> dict[str, str]:
    needs = {}
    for name, part in (("stop", rules.stop), ("target", rules.target)):
        if part.rule is PriceRule.LEVEL:
            needs["levels"] = f'{name}.rule = "level"'
        for rule in (part.rule, part.fallback.rule if part.fallback else None):
            if rule in {PriceRule.ATR, PriceRule.SIGMA}:
                needs["days"] = f'{name}.rule = "{rule}"'
    return needs


def _of_size(rules: Rules) -> dict[str, str]:
    sizing = rules.sizing
    needs = {} if sizing.drawdown_haircut is None else {"quantmetrics": "sizing.drawdown_haircut"}
    if sizing.rule not in {SizeRule.INVERSE_VOLATILITY, SizeRule.NORMALISED_INVERSE_VOLATILITY}:
        return needs
    read = {
        VolatilitySource.QUANTMETRICS: ("quantmetrics",),
        VolatilitySource.BARS: ("days",),
        VolatilitySource.LARGER: ("quantmetrics", "days"),
    }
    return needs | dict.fromkeys(
        read[sizing.volatility], f'sizing.volatility = "{sizing.volatility}"'
    )


def _of_rank(rules: Rules) -> dict[str, str]:
    read = {Rank.SHARPE: "quantmetrics", Rank.SORTINO: "quantmetrics", Rank.GRADE: "trader_grades"}
    ranks = {rank: f"entry.weights.{rank}" for rank in rules.entry.weights}
    ranks[rules.entry.rank] = f'entry.rank = "{rules.entry.rank}"'
    return {read[rank]: key for rank, key in ranks.items() if rank in read}


def _of_movements(rules: Rules) -> dict[str, str]:
    """Find the inputs of moving stops and of the volatility-shock breaker."""
    needs = {}
    if rules.exits.trailing_atr is not None:
        needs["days"] = "exits.trailing_atr"
    if rules.exits.ratchet_to_support:
        needs["levels"] = "exits.ratchet_to_support"
    if rules.limits.volatility_shock is not None:
        needs["days"] = "limits.volatility_shock"
    return needs


def feeds_of(all_rules: Sequence[Rules]) -> frozenset[str]:
    """Collect the feeds that a set of rules reads."""
    feeds = set(ALWAYS)
    for rules in all_rules:
        needs = inputs_of(rules)
        feeds.update(FEEDS[name] for name in needs if name in FEEDS)
        feeds.add("hourly-trading-signals" if rules.feed == "hourly" else "trading-signals")
        if rules.feed == "hourly" and {"grades", "trader_grades"} & set(needs):
            feeds.add("tm-grade")
    return frozenset(feeds)
