"""A fast replacement for dataclasses.replace, for slotted dataclasses without checks.

It takes a third of the time; a replay makes about ten such copies for each trade.
"""

from typing import TypeVar

V = TypeVar("V")


def amend(value: V, **fields: object) -> V:
    """Copy a slotted dataclass with new values in some fields.

    Raises TypeError when the dataclass lacks one of the fields.
    """
    made, used = object.__new__(type(value)), 0
    for name in value.__slots__:  # type: ignore[attr-defined]
        if name in fields:
            object.__setattr__(made, name, fields[name])
            used += 1
        else:
            object.__setattr__(made, name, getattr(value, name))
    if used != len(fields):
        raise TypeError(f"{type(value).__name__} has not all of the fields {', '.join(fields)}")
    return made
