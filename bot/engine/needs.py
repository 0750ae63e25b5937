"""What a rule of a strategy declares: its keys, its formula, its inputs, and when it wakes.

Each family of rules has one table, in the module that computes it, with one row a rule. Whatever
depends on what a strategy reads or when it must be asked uses these rows, and no list of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

Function = TypeVar("Function")
Key = TypeVar("Key")
MAPPINGS = (dict, MappingProxyType)


class Input(StrEnum):
    """Data of a token that is read only for the rules that need it.

    trader_grades: grades, or a grade on the signals. days: daily bars.
    finer: bars below the strategy's own. close: the close of the last bar.
    moved_at: when the price last differed. category: the instrument's.
    """

    LEVELS = "levels"
    QUANTMETRICS = "quantmetrics"
    GRADES = "grades"
    TRADER_GRADES = "trader_grades"
    MARKET = "market"
    DAYS = "days"
    FINER = "finer"
    CLOSE = "close"
    MOVED_AT = "moved_at"
    CATEGORY = "category"


class Wakes(StrEnum):
    """When a replay must run a slot for a rule; a slot may always be run for nothing.

    candidates: only when a candidate is judged. bracket: also when a bar reaches the stop or a
    target, at a turn and at a time stop. bars: at each bar of a held token. slots: at each slot.
    """

    CANDIDATES = "candidates"
    BRACKET = "bracket"
    BARS = "bars"
    SLOTS = "slots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One row: the rule is on when one of its keys is set, or always when it has none.

    keys: `gates.sharpe_min`, or `stop.rule = "atr"` for a word among others.
    among: of these, one must be set too.
    needs: what it reads of a candidate; of a held token too where it says so in of_held.
    only_with: it counts only when another rule needs this input.
    """

    keys: tuple[str, ...] = ()
    formula: str = ""
    among: tuple[str, ...] = ()
    needs: tuple[Input, ...] = ()
    of_held: tuple[Input, ...] = ()
    only_with: Input | None = None
    wakes: Wakes = Wakes.SLOTS

    def key_in(self, rules: object) -> str | None:
        """Find the key that switches the rule on; None when it is off, empty without keys."""
        if self.among and not any(is_set(rules, key) for key in self.among):
            return None
        return next((key for key in self.keys if is_set(rules, key)), None if self.keys else "")


class Row(NamedTuple, Generic[Function]):
    """One rule in a table such as GATES or STOPS: what computes it, and what it declares."""

    ask: Function
    declaration: Declaration


def table_of(*rows: tuple[Key, Row[Function]]) -> Mapping[Key, Row[Function]]:
    """Make the table of a family from its rows, each with the word that names it."""
    return MappingProxyType(dict(rows))


def value_at(rules: object, path: Iterable[str]) -> Any:
    """Read a value of typed rules by the names that lead to it; None when it is not set."""
    found = rules
    for name in path:
        found = found.get(name) if isinstance(found, MAPPINGS) else getattr(found, name, None)
    return found


def is_set(rules: object, key: str) -> bool:
    """Check whether a key is set in typed rules; None and false count as not set."""
    path, _, word = key.partition(" = ")
    found = value_at(rules, path.split("."))
    if not word:
        return found is not None and found is not False
    wanted = word.strip('"')
    return wanted in found if isinstance(found, frozenset) else found == wanted
