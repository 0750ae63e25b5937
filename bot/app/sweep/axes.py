"""The axes of a sweep: strategy keys, each with a list of values or with two ends.

Every value is read as the strategy's file would read it: one out of bounds is refused before
anything runs.

A set of parameters is kept as text, one JSON object from dotted strategy keys to values with their
numbers as written: ids are made of it, workers receive it, and v_sweep shows it.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from bot.app.settings.hooks import hooks_from
from bot.app.settings.kinds import Flag, Kind, Number, Value, near, show_value
from bot.app.settings.strategies import Strategy, strategy_from
from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.tables import InnerTable, every, parse_toml, refuse
from bot.domain.ids import canonical
from bot.domain.numbers import ZERO, fraction_half_even, plain, to_float

# These keys name the strategy and what it trades; a sweep does not vary them.
KEPT = ("strategy.name", "strategy.universe", "strategy.bars")
SWEPT: Mapping[str, Kind] = {
    key.path: key.kind
    for key in every(KEYS)
    if not isinstance(key.kind, InnerTable)
    and key.path not in KEPT
    and key.section != "target.part"
}
RANGE = ("low", "high", "step", "log")
LISTED_MAX = 10_000
GRID_MAX = 100_000
# Significant digits of a value drawn between two ends, so that all machines draw the same value.
DIGITS = 6
BITS = 64

Parameters = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A strategy key and its values, or any from low to high, evenly, on a log scale if is_log."""

    path: str
    values: tuple[Value, ...] = ()
    low: Decimal = ZERO
    high: Decimal = ZERO
    is_log: bool = False

    @property
    def is_ordered(self) -> bool:
        """Whether the listed values are numbers that rise."""
        return all(
            isinstance(one, Decimal | int) and isinstance(two, Decimal | int) and one < two
            for one, two in pairwise(self.values)
        )

    def between(self, share: float) -> Value:
        """Compute the number at a share, between 0 and 1, of the way from low to high."""
        low, high = to_float(self.low), to_float(self.high)
        if self.is_log:
            found = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            found = low + share * (high - low)
        return min(max(fraction_half_even(Decimal(f"{found:.{DIGITS}g}")), self.low), self.high)


@dataclass(frozen=True, slots=True)
class Axes:
    """The table of parameters, as a kind of value."""

    def read(self, raw: object) -> tuple[Axis, ...]:
        """Read the axes in the order in which they are written."""
        if not isinstance(raw, dict) or not raw:
            raise ValueError(
                f"{show_value(raw)}: write at least one strategy key with its values,"
                ' "stop.fraction" = [0.03, 0.05]'
            )
        axes = tuple(_axes(raw, ""))
        for number, axis in enumerate(axes):
            if axis.path in [earlier.path for earlier in axes[:number]]:
                raise ValueError(f"{axis.path}: is there twice: keep one of them")
        return axes

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return "strategy keys, each with a list of values or a table with low, high and step or log"


def _axes(table: Mapping[str, object], prefix: str) -> Iterator[Axis]:
    for name, raw in table.items():
        path = f"{prefix}{name}"
        if path in SWEPT:
            try:
                yield _axis(path, SWEPT[path], raw)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        elif isinstance(raw, dict) and any(known.startswith(f"{path}.") for known in SWEPT):
            yield from _axes(raw, f"{path}.")
        else:
            if path in KEPT:
                raise ValueError(f"{path}: stays what the strategy's file says")
            raise ValueError(f"{path}: unknown strategy key{near(path, SWEPT)}")


def _axis(path: str, kind: Kind, raw: object) -> Axis:
    if isinstance(raw, dict):
        return _range(path, kind, raw)
    if not isinstance(raw, list) or not raw:
        raise ValueError(
            f"{show_value(raw)} is no list of values: write e.g. [1, 2],"
            " or { low = 1, high = 2 } for a number"
        )
    values = tuple(_read_typed(kind, one) for one in raw)
    texts = [value_text(value) for value in values]
    for number, text in enumerate(texts):
        if text in texts[:number]:
            raise ValueError(f"{text} is there twice")
    return Axis(path=path, values=values)


def _read_typed(kind: Kind, raw: object) -> Value:
    """Read a value as the strategy's file would, in a form that can be written again."""
    found = kind.read(raw)
    return sorted(found) if isinstance(found, frozenset) else found


def _range(path: str, kind: Kind, raw: Mapping[str, object]) -> Axis:
    """Read a table with low, high and step or log; whole numbers and steps make a list."""
    if not isinstance(kind, Number):
        raise ValueError(f"takes no range: list its values ({kind.describe()})")
    for name in raw:
        if name not in RANGE:
            raise ValueError(f"{name}: unknown key{near(name, RANGE)}")
    low, high = (Decimal(_end(kind, raw, name)) for name in RANGE[:2])
    if low >= high:
        raise ValueError(f"low = {low} is not below high = {high}")
    is_log = Flag().read(raw.get("log", False))
    if not is_log and ("step" in raw or kind.whole):
        step = Decimal(Number(above=0, whole=kind.whole).read(raw.get("step", 1)))
        return Axis(path=path, values=_steps(kind, low, high, step))
    if "step" in raw or kind.whole or low <= 0:
        raise ValueError("log goes with fractions above zero and without step: drop one of them")
    return Axis(path=path, low=low, high=high, is_log=is_log)


def _end(kind: Number, raw: Mapping[str, object], name: str) -> Decimal | int:
    if name not in raw:
        raise ValueError(f"a range needs {name}: write {{ low = .., high = .. }}")
    return kind.read(raw[name])


def _steps(kind: Number, low: Decimal, high: Decimal, step: Decimal) -> tuple[Value, ...]:
    count = int((high - low) // step) + 1
    if count > LISTED_MAX:
        raise ValueError(f"step = {step} makes {count:,} values: keep them below {LISTED_MAX:,}")
    exact = int if kind.whole else Decimal
    return tuple(kind.read(exact(low + number * step)) for number in range(count))


def grid(axes: Sequence[Axis]) -> list[Parameters]:
    """List every combination, the last axis fastest; raises ValueError: too many, or no values."""
    for axis in axes:
        if not axis.values:
            mend = "write one, or choose another method"
            raise ValueError(f"{axis.path}: a grid needs a step: {mend}")
    count = math.prod(len(axis.values) for axis in axes)
    if count > GRID_MAX:
        mend = f'keep them below {GRID_MAX:,}, or write method = "random"'
        raise ValueError(f"{count:,} combinations: {mend}")
    combined = product(*(axis.values for axis in axes))
    return [dict(zip((axis.path for axis in axes), values, strict=True)) for values in combined]


def draws(axes: Sequence[Axis], count: int, seed: int) -> list[Parameters]:
    """Draw sets evenly on each axis, from the bits that numpy promises to keep (NEP 19)."""
    bits = np.random.PCG64(seed)
    return [{axis.path: _pick(axis, int(bits.random_raw())) for axis in axes} for _ in range(count)]


def _pick(axis: Axis, drawn: int) -> Value:
    # A place in the list is scaled from the drawn bits in integers: the same on every machine.
    if axis.values:
        return axis.values[drawn * len(axis.values) >> BITS]
    return axis.between(drawn / (1 << BITS))


def parameters_text(parameters: Parameters) -> str:
    """Write a set as JSON with sorted keys."""
    sets = (f"{canonical(path)}:{value_text(parameters[path])}" for path in sorted(parameters))
    return f"{{{','.join(sets)}}}"


def value_text(value: Value) -> str:
    """Write a value as JSON; a number keeps its digits."""
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return plain(Decimal(value))
    return canonical(value)


def strategy_with(path: Path, text: str, hooks: str | None, parameters: str) -> Strategy:
    """Build a file's strategy with a set of parameters; raises ConfigError if they clash."""
    document: dict[str, Any] = parse_toml(path, text)
    for key, value in json.loads(parameters, parse_float=Decimal).items():
        *tables, name = key.split(".")
        table = document
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                reason = f"{part} is no table in the strategy's file: write it as one"
                raise refuse(str(path), key, reason)
        table[name] = value
    return strategy_from(path, document, text, None if hooks is None else hooks_from(path, hooks))
