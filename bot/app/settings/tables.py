"""TOML files read against a literal table of keys.

Every value is checked before anyone uses it: an unknown key, a wrong type or a number out of bounds ends in one line
that names file, key and mend.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from bot.app.settings.kinds import Kind, Number, Value, near, quote, show_value
from bot.domain.errors import AccessError, BotError, ConfigError


class Chosen(NamedTuple):
    """The condition that a rule's key holds one of these words."""

    rule: str
    words: tuple[str, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Tell whether one of the words is chosen."""
        found = values.get(self.rule)
        return any(word in found if isinstance(found, frozenset) else word == found for word in self.words)

    def __str__(self) -> str:
        """Write the condition as a reader would set it."""
        return f"{self.rule} = {' or '.join(quote(self.words))}"


@dataclass(frozen=True, slots=True)
class Key:
    """One accepted key.

    only: where it is accepted at all; unless: the key that takes its place where that is given; needed: where it must
    be given (True: wherever accepted).
    """

    path: str
    kind: Kind
    meaning: str
    default: Value = None
    only: Chosen | None = None
    needed: Chosen | bool = False
    unless: str | None = None

    @property
    def section(self) -> str:
        """Return the table that holds the key."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Return the key without its table."""
        return self.path.rpartition(".")[2]

    @property
    def unit(self) -> str:
        """Return what its number counts, nothing for a bare number and for everything else."""
        return self.kind.unit if isinstance(self.kind, Number) else ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with keys of its own, or several of them in a list; keys are named by their whole paths."""

    keys: tuple[Key, ...]
    several: bool = False

    def read(self, raw: object) -> tuple[Mapping[str, object], ...]:
        """Return the tables, their keys unread."""
        if self.several:
            if isinstance(raw, list) and raw and all(isinstance(table, dict) for table in raw):
                return tuple(raw)
            message = f"{show_value(raw)} is no list of tables: write [[{self.keys[0].section}]] for each"
            raise ValueError(message)
        if not isinstance(raw, dict):
            names = ", ".join(key.name for key in self.keys)
            message = f"{show_value(raw)} is no table: write [{self.keys[0].section}] with {names}"
            raise ValueError(message)  # noqa: TRY004 - every refusal is a ValueError
        return (raw,)

    def describe(self) -> str:
        """Say in words what is accepted."""
        return f"{'tables' if self.several else 'table'} with {', '.join(key.name for key in self.keys)}"


def every(keys: Iterable[Key]) -> Iterator[Key]:
    """Yield all keys, after a table those inside it."""
    for key in keys:
        yield key
        if isinstance(key.kind, Table):
            yield from key.kind.keys


def load_toml(path: Path, mend: str) -> tuple[dict[str, object], str]:
    """Read a TOML file to its document and its text; mend says what to do where it is missing."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        message = f"{path}: no such file; {mend}"
        raise ConfigError(message) from error
    except PermissionError as error:
        message = f"{path}: may not be read; grant this user read permission"
        raise AccessError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8"
        raise ConfigError(message) from error
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}; {mend}"
        raise ConfigError(message) from error
    return parse_toml(path, text), text


def parse_toml(path: Path, text: str) -> dict[str, object]:
    """Parse TOML with its numbers exactly as written."""
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, InvalidOperation, RecursionError) as error:
        reason = (
            " ".join(str(error).split()) if isinstance(error, tomllib.TOMLDecodeError) else "a value is out of range"
        )
        message = f"{path}: not TOML: {reason}"
        raise ConfigError(message) from error


def read_tables(
    where: str,
    document: Mapping[str, object],
    keys: Sequence[Key],
    later: Sequence[str] = (),
    around: Mapping[str, Value] = MappingProxyType({}),
) -> dict[str, Value]:
    """Check a document against its keys, and return the value of every key that applies, by path.

    where names file and table for messages; later lists keys and tables that only a later version accepts; around
    holds the values read so far of the tables around this one, and is returned with the rest.
    """
    given = dict(_walk(where, document, keys, later, ""))
    values: dict[str, Value] = dict(around)
    for key in keys:
        barred = _reason_against(key, values)
        if key.path in given:
            if barred:
                raise refuse(where, key.path, barred)
            values[key.path] = _read(where, key, given[key.path], values)
        elif not barred:
            if key.needed if isinstance(key.needed, bool) else key.needed.holds(values):
                raise refuse(where, key.path, _missing(key))
            values[key.path] = key.default
    return values


def refuse(where: str, path: str, reason: str) -> BotError:
    """Return the error that names file, key and reason."""
    name = path if path.isprintable() else repr(path)
    return ConfigError(f"{where}: {name}: {reason}")


def members(values: Mapping[str, Value], section: str) -> dict[str, Value]:
    """Return the keys of one table by their names, without tables inside it."""
    found = ((path.rpartition("."), value) for path, value in values.items())
    return {name: value for (table, _, name), value in found if table == section}


def _read(where: str, key: Key, raw: object, around: Mapping[str, Value]) -> Value:
    try:
        if not isinstance(key.kind, Table):
            return key.kind.read(raw)
        tables = key.kind.read(raw)
    except ValueError as error:
        raise refuse(where, key.path, str(error)) from error
    if not key.kind.several:
        return _read_inside(where, key.path, tables[0], key.kind, around)
    return tuple(
        _read_inside(f"{where} [[{key.path}]] {number}", key.path, table, key.kind, around)
        for number, table in enumerate(tables, start=1)
    )


def _read_inside(
    where: str, path: str, table: Mapping[str, object], kind: Table, around: Mapping[str, Value]
) -> dict[str, Value]:
    """Read the keys of an inner table to their values by name."""
    document = table
    for name in reversed(path.split(".")):
        document = {name: document}
    return members(read_tables(where, document, kind.keys, around=around), path)


def _missing(key: Key) -> str:
    why = key.only if isinstance(key.needed, bool) else key.needed
    meaning = f"{key.meaning}, {key.unit}" if key.unit else key.meaning
    return f"missing{f', {why} needs it' if why else ''}: add `{key.name} = ` ({meaning})"


def _reason_against(key: Key, values: Mapping[str, Value]) -> str | None:
    """Say why a key may not be given, None where it may."""
    if key.unless is not None and values.get(key.unless) is not None:
        return f"{key.unless} takes its place: drop one of the two"
    if key.only is None or key.only.holds(values):
        return None
    only, found = key.only, values.get(key.only.rule)
    state = "is not set"
    if isinstance(found, frozenset):
        state = f"holds {', '.join(quote(sorted(found))) or 'nothing'}"
    elif found is not None:
        state = f'is "{found}"'
    return f"belongs to {only}, and {only.rule} {state}: drop the key or choose that rule"


def _walk(
    where: str, table: Mapping[str, object], keys: Sequence[Key], later: Sequence[str], prefix: str
) -> Iterator[tuple[str, object]]:
    """Yield the known keys with their raw values; refuse everything else."""
    sections = {part for key in keys for part in _parents(key.path)}
    known = {key.path for key in keys}
    for name, raw in table.items():
        path = f"{prefix}{name}"
        if path in later:
            raise refuse(where, path, "known but not available in this version: drop it")
        if path in sections:
            if not isinstance(raw, dict):
                raise refuse(where, path, f"is a table, once: write [{path}]")
            yield from _walk(where, raw, keys, later, f"{path}.")
        elif path in known:
            yield path, raw
        else:
            raise refuse(where, path, _unknown(name, prefix, raw, keys, sections))


def _unknown(name: str, prefix: str, raw: object, keys: Sequence[Key], sections: set[str]) -> str:
    """Say what an unknown key or table might have meant."""
    if "key" in name.lower() and any(key.name == "key_file" for key in keys):
        return "unknown: the API key comes from BOT_API_KEY or the file that source.key_file names, never from here"
    inside = [
        path.removeprefix(prefix)
        for path in (*(key.path for key in keys), *sorted(sections))
        if path.startswith(prefix)
    ]
    siblings = [sibling for sibling in inside if "." not in sibling]
    elsewhere = [key.path for key in keys if key.name == name]
    if elsewhere and not isinstance(raw, dict):
        return f"unknown here; did you mean `{elsewhere[0]}`?"
    return f"unknown {'table' if isinstance(raw, dict) else 'key'}{near(name, siblings) or _other(name, keys)}"


def _other(name: str, keys: Sequence[Key]) -> str:
    """Suggest the nearest key of any table."""
    paths = {key.name: key.path for key in reversed(tuple(every(keys)))}
    found = get_close_matches(name.lower(), paths, n=1, cutoff=0.75)
    return f"; did you mean `{paths[found[0]]}`?" if found else ""


def _parents(path: str) -> Iterator[str]:
    """Yield the tables that hold a key, outermost first."""
    parts = path.split(".")[:-1]
    for depth in range(1, len(parts) + 1):
        yield ".".join(parts[:depth])
