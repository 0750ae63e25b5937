"""Sets of parameters as text: one JSON object from dotted strategy keys to values.

The text, with numbers exactly as written, alone identifies a set: ids are made of it, workers
receive it, and v_sweep shows it.
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
    """Write a set as JSON with sorted keys."""
    return (
        "{"
        + ",".join(
            f"{canonical(path)}:{value_text(parameters[path])}" for path in sorted(parameters)
        )
        + "}"
    )


def value_text(value: Value) -> str:
    """Write a value as JSON; a number keeps its digits."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return plain(Decimal(value))
    return canonical(value)


def strategy_with(path: Path, text: str, hooks: str | None, parameters: str) -> Strategy:
    """Build the strategy of a file's text with a set of parameters in place of its own.

    Raises ConfigError if the set and the file contradict each other.
    """
    document: dict[str, Any] = parse_toml(path, text)
    for key, value in json.loads(parameters, parse_float=Decimal).items():
        *tables, name = key.split(".")
        table = document
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise refuse(
                    str(path), key, f"{part} is no table in the strategy's file: write it as one"
                )
        table[name] = value
    return strategy_from(path, document, text, None if hooks is None else hooks_from(path, hooks))
