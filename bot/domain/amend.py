"""A fast replacement for dataclasses.replace, for slotted dataclasses without checks.

It takes half of the time; a replay makes about ten such copies for each trade.
"""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

V = TypeVar("V")


@cache
def _access(
    kind: type,
) -> tuple[Callable[[object], tuple[Any, ...]], Mapping[str, Callable[[object, Any], None]]]:
    """Find what reads all fields of a class, and what sets each, even where it is frozen."""
    names: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]
    return attrgetter(*names), {name: getattr(kind, name).__set__ for name in names}


def amend(value: V, **fields: object) -> V:
    """Copy a slotted dataclass with new values in some of its two or more fields.

    Raises TypeError when the dataclass lacks one of the fields.
    """
    read, setters = _access(type(value))  # type: ignore[arg-type]
    made = object.__new__(type(value))
    for put, held in zip(setters.values(), read(value), strict=True):
        put(made, held)
    try:
        for name, new in fields.items():
            setters[name](made, new)
    except KeyError:
        raise TypeError(f"{type(value).__name__} has not all of the fields {', '.join(fields)}") from None
    return made
