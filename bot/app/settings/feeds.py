"""The provider's feeds that a set of strategies reads."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bot.engine.demand import demand_of
from bot.engine.needs import Input
from bot.engine.rules import Rules

# The live provider's feed for each input. Grades need none: they come with the daily signals.
FEEDS: Mapping[Input, str] = MappingProxyType(
    {
        Input.LEVELS: "resistance-support",
        Input.QUANTMETRICS: "quantmetrics",
        Input.MARKET: "tokens",
        Input.DAYS: "daily-ohlcv",
    }
)
ALWAYS = frozenset({"price", "hourly-ohlcv"})


def feeds_of(all_rules: Iterable[Rules]) -> frozenset[str]:
    """Collect the feeds that a set of rules reads."""
    feeds = set(ALWAYS)
    for rules in all_rules:
        inputs = demand_of(rules).inputs
        feeds.update(FEEDS[name] for name in inputs if name in FEEDS)
        feeds.add("hourly-trading-signals" if rules.feed == "hourly" else "trading-signals")
        if rules.feed == "hourly" and {Input.GRADES, Input.TRADER_GRADES} & inputs.keys():
            feeds.add("tm-grade")
    return frozenset(feeds)
