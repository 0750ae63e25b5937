"""A copy of slotted dataclasses without checks, in half of the time of dataclasses.replace."""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

V = TypeVar("V")
Setter = Callable[[object, Any], None]


@cache
def _access(kind: Any) -> tuple[Callable[[object], Any], Mapping[str, Setter]]:
    """Find what reads all fields of a class, and what sets each, even where it is frozen."""
    setters = {name: getattr(kind, name).__set__ for name in kind.__slots__}
    return attrgetter(*setters), setters


def amend(value: V, **fields: object) -> V:
    """Copy a slotted dataclass of two or more fields; raise TypeError for a field it lacks."""
    kind: Any = type(value)
    read, setters = _access(kind)
    made: V = object.__new__(kind)
    for put, held in zip(setters.values(), read(value), strict=True):
        put(made, held)
    try:
        for name, new in fields.items():
            setters[name](made, new)
    except KeyError:
        raise TypeError(f"{kind.__name__} has not all of the fields {', '.join(fields)}") from None
    return made
