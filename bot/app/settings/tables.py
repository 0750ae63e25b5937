"""TOML files, read against a literal table of keys.

Every value is checked before it is used: an unknown key, a wrong type or a number out of bounds
becomes one line that names the file, the key and the remedy.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from bot.app.settings.kinds import Kind, Number, Value, near, quote, show_value
from bot.domain.errors import AccessError, BotError, ConfigError


class Chosen(NamedTuple):
    """The condition that the key of a rule holds one of these words."""

    rule: str
    words: tuple[str, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Check whether one of the words is chosen."""
        found = values.get(self.rule)
        chosen = found if isinstance(found, frozenset) else {found}
        return any(word in chosen for word in self.words)

    def __str__(self) -> str:
        """Write the condition as a reader would set it."""
        return f"{self.rule} = {' or '.join(quote(self.words))}"


@dataclass(frozen=True, slots=True)
class Key:
    """One key; only, needed: when it is accepted or must be there; unless: what replaces it."""

    path: str
    kind: Kind
    meaning: str
    default: Value = None
    only: Chosen | None = None
    needed: Chosen | bool = False
    unless: str | None = None

    @property
    def section(self) -> str:
        """The table that holds the key."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The key without its table."""
        return self.path.rpartition(".")[2]

    @property
    def unit(self) -> str:
        """What its number counts; empty for a bare number and for every other kind."""
        return self.kind.unit if isinstance(self.kind, Number) else ""


@dataclass(frozen=True, slots=True)
class InnerTable:
    """A table with keys of its own, or a list of such tables; its keys have their whole paths."""

    keys: tuple[Key, ...]
    several: bool = False

    def read(self, raw: object) -> tuple[Mapping[str, object], ...]:
        """Check that a value is the table or the list of tables; their keys are not read yet."""
        table, names = self.keys[0].section, ", ".join(key.name for key in self.keys)
        if self.several:
            if isinstance(raw, list) and raw and all(isinstance(one, dict) for one in raw):
                return tuple(raw)
            raise ValueError(f"{show_value(raw)} is no list of tables: write [[{table}]] for each")
        if not isinstance(raw, dict):
            raise ValueError(f"{show_value(raw)} is no table: write [{table}] with {names}")
        return (raw,)

    def describe(self) -> str:
        """Describe in words what is accepted."""
        names = ", ".join(key.name for key in self.keys)
        return f"{'tables' if self.several else 'table'} with {names}"


def every(keys: Iterable[Key]) -> Iterator[Key]:
    """Yield all keys; the keys inside a table follow the table."""
    for key in keys:
        yield key
        if isinstance(key.kind, InnerTable):
            yield from key.kind.keys


def load_toml(path: Path, mend: str) -> tuple[dict[str, object], str]:
    """Read a TOML file to document and text, or raise AccessError or ConfigError with the mend."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; {mend}") from error
    except PermissionError as error:
        raise AccessError(f"{path}: may not be read; grant this user read permission") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; {mend}") from error
    return parse_toml(path, text), text


def parse_toml(path: Path, text: str) -> dict[str, object]:
    """Parse TOML, and keep its numbers exactly as written."""
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, InvalidOperation, RecursionError) as error:
        reason = "a value is out of range"
        if isinstance(error, tomllib.TOMLDecodeError):
            reason = _explain(error, text)
        raise ConfigError(f"{path}: not TOML: {reason}") from error


def _explain(error: ValueError, text: str) -> str:
    """Write the parser's reason on one line, with the key where one is there twice."""
    reason = " ".join(str(error).split())
    twice = re.match(r"Cannot overwrite a value \(at (?:line (\d+)|end)", reason)
    if not twice:
        return f"{reason}: {'write text in quotes' if 'Invalid value' in reason else 'correct it there'}"
    lines = text.rstrip().split("\n")
    number = int(twice[1] or len(lines))
    key = lines[number - 1].partition("=")[0].strip()
    return f"line {number}: the key {key} is there twice: keep one of the two"


def read_tables(
    where: str,
    document: Mapping[str, object],
    keys: Sequence[Key],
    later: Sequence[str] = (),
    around: Mapping[str, Value] = MappingProxyType({}),
) -> dict[str, Any]:
    """Check a document against its keys, and collect the value of every key that applies, by path.

    later: keys of later versions. around: what the enclosing tables hold; the result has it too.
    """
    given = dict(_walk(where, document, keys, later, ""))
    # The order of the keys matters: a condition sees only the values of keys before its own.
    values = dict(around)
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
    """Build the error that names file, key and reason."""
    name = path if path.isprintable() else repr(path)
    return ConfigError(f"{where}: {name}: {reason}")


def members(values: Mapping[str, Value], section: str) -> dict[str, Any]:
    """Select the keys of one table by their names, without the tables inside it."""
    found = ((path.rpartition("."), value) for path, value in values.items())
    return {name: value for (table, _, name), value in found if table == section}


def _read(where: str, key: Key, raw: object, around: Mapping[str, Value]) -> Value:
    try:
        if not isinstance(key.kind, InnerTable):
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
    where: str, path: str, table: Mapping[str, object], kind: InnerTable, around: Mapping[str, Value]
) -> dict[str, Any]:
    """Read the keys of an inner table to their values by name."""
    # The keys inside have whole paths, so put the table back into its enclosing tables.
    document = table
    for name in reversed(path.split(".")):
        document = {name: document}
    return members(read_tables(where, document, kind.keys, around=around), path)


def _missing(key: Key) -> str:
    why = key.only if isinstance(key.needed, bool) else key.needed
    meaning = f"{key.meaning}, {key.unit}" if key.unit else key.meaning
    return f"missing{f', {why} needs it' if why else ''}: add `{key.name} = ` ({meaning})"


def _reason_against(key: Key, values: Mapping[str, Value]) -> str | None:
    """Explain why a key may not be given; None if it may."""
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
    """Explain what an unknown key or table might have meant."""
    if "key" in name.lower() and any(key.name == "key_file" for key in keys):
        return (
            "unknown: the API key comes from BOT_API_KEY or the file that source.key_file names,"
            " never from here"
        )
    inside = [
        path.removeprefix(prefix)
        for path in (*(key.path for key in keys), *sorted(sections))
        if path.startswith(prefix)
    ]
    siblings = [sibling for sibling in inside if "." not in sibling]
    elsewhere = [key.path for key in keys if key.name == name]
    if elsewhere and not isinstance(raw, dict):
        return f"unknown here; did you mean `{elsewhere[0]}`?"
    hint = near(name, siblings) or _other(name, keys)
    return f"unknown {'table' if isinstance(raw, dict) else 'key'}{hint}"


def _other(name: str, keys: Sequence[Key]) -> str:
    """Suggest the nearest key of any table."""
    paths = {key.name: key.path for key in reversed(tuple(every(keys)))}
    found = get_close_matches(name.lower(), paths, n=1, cutoff=0.75)
    return f"; did you mean `{paths[found[0]]}`?" if found else ""


def _parents(path: str) -> Iterator[str]:
    """Yield the tables that hold a key, outermost first."""
    return accumulate(path.split(".")[:-1], "{}.{}".format)
