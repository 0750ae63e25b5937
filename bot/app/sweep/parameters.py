"""Sets of parameters as text: one JSON object, dotted strategy keys to values, numbers exactly as written.

The text alone says what a set is: ids are made of it, workers get it, and v_sweep shows it.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.app.settings.hooks import hooks_from
from bot.app.settings.kinds import Value
from bot.app.settings.strategies import Strategy, strategy_from
from bot.app.settings.tables import parse_toml, refuse
from bot.domain.ids import canonical
from bot.domain.numbers import plain

Parameters = Mapping[str, Value]


def parameters_text(parameters: Parameters) -> str:
    """Write a set, its keys sorted."""
    return "{" + ",".join(f"{canonical(path)}:{value_text(parameters[path])}" for path in sorted(parameters)) + "}"


def value_text(value: Value) -> str:
    """Write a value as JSON, a number with the digits it has."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return plain(Decimal(value))
    return canonical(value)


def strategy_with(path: Path, text: str, hooks: str | None, parameters: str) -> Strategy:
    """Return the strategy of a file's text with a set of parameters in place of its own.

    Raises ConfigError where the set and the file contradict each other.
    """
    document: dict[str, Any] = parse_toml(path, text)
    for key, value in json.loads(parameters, parse_float=Decimal).items():
        *tables, name = key.split(".")
        table = document
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise refuse(str(path), key, f"{part} is no table in the strategy's file: write it as one")
        table[name] = value
    return strategy_from(path, document, text, None if hooks is None else hooks_from(path, hooks))
