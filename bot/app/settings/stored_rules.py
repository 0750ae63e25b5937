"""The effective configuration that the ledger keeps, read back as the values that decided a cycle.

It was written from typed values, and their types drive the reading: the rules are described once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from types import MappingProxyType, NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from bot.domain.errors import ConfigError
from bot.domain.ids import TokenId
from bot.domain.instruments import Instrument
from bot.engine.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as its configuration was stored; hooks: their digest; instruments: None in old ones."""

    strategy: str
    cash: Decimal
    schedule: str
    rules: Rules
    hooks: str | None
    universe: tuple[str, ...]
    instruments: tuple[Instrument, ...] | None

    def tokens(self, known: tuple[Instrument, ...]) -> tuple[TokenId, ...]:
        """List the ids of the tokens that the run followed, or that its universe names."""
        named = {str(name).upper() for name in self.universe}
        mine = [one for one in known if named & {one.symbol, str(one.token_id)}]
        return tuple(sorted(one.token_id for one in self.instruments or mine))


def read_stored_run(text: str, name: str) -> StoredRun:
    """Read one run of a stored configuration; raises ConfigError without it or for unknown keys."""
    given = next((run for run in json.loads(text)["runs"] if run["name"] == name), None)
    if given is None:
        reason = "the configuration stored with its cycles does not name it: check `bot verify`"
        raise ConfigError(f"run {name}: {reason}")
    rules = dict(given["rules"])
    hooks = rules.pop("hooks", None)
    listed = given.get("instruments")
    return StoredRun(
        strategy=given["strategy"],
        cash=Decimal(given["cash"]),
        schedule=given["schedule"],
        rules=_read(Rules, rules),
        hooks=hooks,
        universe=tuple(str(token) for token in given["universe"]),
        instruments=None if listed is None else _read(tuple[Instrument, ...], listed),
    )


def _read(kind: Any, value: Any) -> Any:
    """Read a value as its type says: the inverse of how it was written."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (wanted,) = (one for one in inner if one is not NoneType)
        return None if value is None else _read(wanted, value)
    if origin in {tuple, frozenset}:
        return origin(_read(inner[0], item) for item in value)
    if origin is Mapping:
        key, item = inner
        return MappingProxyType({_read(key, name): _read(item, value[name]) for name in value})
    if is_dataclass(kind):
        return _read_fields(kind, value)
    return kind(value) if isinstance(kind, type) and issubclass(kind, Decimal | Enum) else value


def _read_fields(kind: Any, value: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    unknown = value.keys() - {field.name for field in fields(kind)}
    if unknown:
        reason = "unknown to this version: use the one that wrote it"
        raise ConfigError(f"the stored configuration has {min(unknown)}, {reason}")
    return kind(**{name: _read(hints[name], item) for name, item in value.items()})
