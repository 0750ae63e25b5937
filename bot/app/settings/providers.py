"""The providers that a configuration may name; another one is a line here."""

from collections.abc import Iterable

from bot.adapters.tokenmetrics.provider import TOKEN_METRICS
from bot.domain.errors import BadInputError
from bot.domain.tape import ApiCall
from bot.engine.demand import demand_of
from bot.engine.rules import Rules
from bot.ports import Provider

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (TOKEN_METRICS,)}


def feeds_of(provider: Provider, priced: Iterable[Rules], following: Iterable[Rules]) -> frozenset[str]:
    """Collect the feeds that a provider is asked for.

    priced: the rules that take prices and inputs from it. following: those that take its signals.
    """
    feeds = {provider.signals[rules.feed] for rules in following}
    for rules in priced:
        known = provider.inputs[rules.feed]
        feeds.update(known[name] for name in demand_of(rules).inputs if name in known)
        feeds |= provider.always
    return frozenset(feeds)


def provider_of(call: ApiCall) -> Provider:
    """Find the provider that a recorded call asked.

    Raises BadInputError for a call that this program cannot have made: its row was changed.
    """
    for provider in PROVIDERS.values():
        if call.endpoint in provider.feeds:
            return provider
    raise BadInputError(
        f"call {call.request_id} asked for {call.endpoint}, which nothing is read from: its row was changed"
    )
