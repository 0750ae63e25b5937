"""What stays the same over the cycles of a run, with what its rules need."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from bot.domain.ids import RunName, TokenId
from bot.engine.demand import Demand, demand_of
from bot.engine.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSetup:
    """What stays the same over a run's cycles; interval: until the next slot, None in a replay."""

    name: RunName
    rules: Rules
    universe: tuple[TokenId, ...]
    cash: Decimal
    interval: timedelta | None = None
    config_hash: str
    code_version: str
    demand: Demand = field(init=False)

    def __post_init__(self) -> None:
        """Ask the rules once what they need."""
        object.__setattr__(self, "demand", demand_of(self.rules))
