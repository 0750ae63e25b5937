"""The providers that a configuration may name; another one is a line here."""

from collections.abc import Iterable

from bot.adapters.tokenmetrics.provider import TOKEN_METRICS
from bot.domain.errors import BadInputError
from bot.domain.tape import ApiCall
from bot.engine.demand import demand_of
from bot.engine.rules import Rules
from bot.ports import Provider

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (TOKEN_METRICS,)}


def feeds_of(
    provider: Provider, priced: Iterable[Rules], following: Iterable[Rules]
) -> frozenset[str]:
    """Collect a provider's feeds: for prices and inputs of `priced`, for signals of `following`."""
    feeds = {provider.signals[rules.feed] for rules in following}
    for rules in priced:
        known = provider.inputs[rules.feed]
        feeds.update(known[name] for name in demand_of(rules).inputs if name in known)
        feeds |= provider.always
    return frozenset(feeds)


def provider_of(call: ApiCall) -> Provider:
    """Find the provider that a call asked; BadInputError: never made by us, its row was changed."""
    for provider in PROVIDERS.values():
        if call.endpoint in provider.feeds:
            return provider
    reason = "which nothing is read from: its row was changed"
    raise BadInputError(f"call {call.request_id} asked for {call.endpoint}, {reason}")
