"""What the rules of a strategy need together: its inputs, those of held tokens, and when it wakes.

Everything that depends on it reads this one value: the snapshot, the feeds, the files of a history
and the slots that a replay may skip.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bot.engine import breakers, candidates, exits, placement, sizing
from bot.engine.finer import FINER_BARS
from bot.engine.gates import table
from bot.engine.hooks import HOOKS
from bot.engine.levels import STRENGTH
from bot.engine.needs import Declaration, Input, Row, Wakes
from bot.engine.rules import Rules

ORDER = tuple(Wakes)


def families() -> Iterator[tuple[str, str, Declaration]]:
    """Yield every row with its family and name; of rows with one input the last names its key."""
    for row in HOOKS:
        yield "hook", row.keys[0], row
    tables: tuple[tuple[str, Mapping[Any, Row[Any]]], ...] = (
        ("gate", table.GATES),
        ("stop", placement.STOPS),
        ("target", placement.TARGETS),
        ("size", sizing.SIZES),
        ("rank", candidates.SCORES),
        ("exit", exits.EXITS),
        ("breaker", breakers.BREAKERS),
    )
    for family, rows in tables:
        for name, one in rows.items():
            yield family, str(name), one.declaration
    for row in (*sizing.MEASURES, *exits.STOP_MOVES, candidates.REENTRY, STRENGTH, FINER_BARS):
        yield "input", row.keys[0], row


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a strategy needs.

    inputs: what is read of candidates, each with the key that needs it.
    of_held: what is read of tokens that are held or have a waiting order.
    wakes: the most frequent of its rules.
    """

    inputs: Mapping[Input, str]
    of_held: frozenset[Input]
    wakes: Wakes

    @property
    def is_restless(self) -> bool:
        """Whether something may happen at any slot."""
        return self.wakes is Wakes.SLOTS

    @property
    def takes_every_bar(self) -> bool:
        """Whether each bar of a held token matters."""
        return self.wakes in {Wakes.BARS, Wakes.SLOTS}


def demand_of(rules: Rules) -> Demand:
    """Collect what the rows that are on in a strategy need."""
    on = [(row, key) for _, _, row in families() if (key := row.key_in(rules)) is not None]
    inputs: dict[Input, str] = {}
    of_held: set[Input] = set()
    # Rows that count only with an input come last, when it is known whether another needs it.
    for row, key in sorted(on, key=lambda one: one[0].only_with is not None):
        if row.only_with is None or row.only_with in inputs:
            inputs |= dict.fromkeys(row.needs, "its hooks" if key == "hooks" else key)
        if row.only_with is None or row.only_with in of_held:
            of_held.update(row.of_held)
    wakes = {row.wakes for row, _ in on}
    if not rules.exits.rules <= exits.EXITS.keys():
        wakes.add(Wakes.SLOTS)  # nothing is known of a rule without a row
    most = max(wakes, key=ORDER.index)
    return Demand(inputs=MappingProxyType(inputs), of_held=frozenset(of_held), wakes=most)
