"""TOML files read against a literal table of keys.

Every value is checked before anyone uses it: an unknown key, a wrong type or a number out of bounds ends in one line
that names file, key and mend, and no number goes through binary float.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, Protocol

from bot.domain.errors import AccessError, BotError, ConfigError

NUMBER_TEXT = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
WHOLE_TEXT = re.compile(r"[+-]?[0-9]{1,30}")
SCALE = 18  # digits the ledger keeps before and after the point

Value = object


class Kind(Protocol):
    """What a value may be."""

    def read(self, raw: object) -> Value:
        """Return the typed value; ValueError says why it is refused."""

    def describe(self) -> str:
        """Say in words what is accepted."""


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
        return f"{self.rule} = {' or '.join(quoted(self.words))}"


@dataclass(frozen=True, slots=True)
class Key:
    """One accepted key. only: where it is accepted at all; needed: where it must be given (True: wherever accepted)."""

    path: str
    kind: Kind
    meaning: str
    default: Value = None
    only: Chosen | None = None
    needed: Chosen | bool = False

    @property
    def section(self) -> str:
        """Return the table that holds the key."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Return the key without its table."""
        return self.path.rpartition(".")[2]


def quoted(words: Iterable[str]) -> list[str]:
    """Quote words for a message."""
    return [f'"{word}"' for word in words]


def near(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` for the nearest known name, or nothing."""
    names = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"; did you mean `{names[found[0]]}`?" if found else ""


def shown(raw: object) -> str:
    """Write a refused value short and on one line."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, dict):
        return "a table"
    text = repr(raw) if isinstance(raw, str) else str(raw)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - a line stays readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """An exact number within bounds; at_least and at_most are inclusive, above and below are not."""

    at_least: Decimal | int | None = None
    above: Decimal | int | None = None
    at_most: Decimal | int | None = None
    below: Decimal | int | None = None
    whole: bool = False

    def read(self, raw: object) -> Decimal | int:
        """Return the number exactly as written."""
        value = exact(raw, whole=self.whole)
        bounds = (
            (self.at_least, "at least", self.at_least is None or value >= self.at_least),
            (self.above, "above", self.above is None or value > self.above),
            (self.at_most, "at most", self.at_most is None or value <= self.at_most),
            (self.below, "below", self.below is None or value < self.below),
        )
        for bound, words, met in bounds:
            if not met:
                hint = "; fractions, not percent" if bound == 1 and not self.whole else ""
                message = f"{shown(raw)} is not {words} {bound}{hint}"
                raise ValueError(message)
        return value if not self.whole else int(value)

    def describe(self) -> str:
        """Say in words what is accepted."""
        named = (("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below))
        bounds = ", ".join(f"{words} {bound}" for words, bound in named if bound is not None)
        return " ".join(["whole number" if self.whole else "number", bounds]).strip()


def exact(raw: object, *, whole: bool) -> Decimal:
    """Return a TOML number, or a string of digits, as the decimal that was written."""
    value = raw
    if isinstance(raw, str):
        if "%" in raw:
            message = f"{shown(raw)} is a percentage: write a fraction, 0.2 for 20 %"
            raise ValueError(message)
        value = _number_in(raw.strip(), whole=whole)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | Decimal):
        message = f"{shown(raw)} is no {'whole number' if whole else 'number'}"
        raise ValueError(message)  # noqa: TRY004 - every refusal is a ValueError
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        message = f"{shown(raw)} is no finite number"
        raise ValueError(message)  # noqa: TRY004 - every refusal is a ValueError
    if number and (exponent < -SCALE or number.adjusted() >= SCALE):
        message = f"{shown(raw)} has more than {SCALE} digits before or after the point"
        raise ValueError(message)
    return number


def _number_in(text: str, *, whole: bool) -> object:
    """Return the number that a string of digits names, or the string as it is."""
    if whole:
        return int(text) if WHOLE_TEXT.fullmatch(text) else text
    return Decimal(text) if NUMBER_TEXT.fullmatch(text) else text


@dataclass(frozen=True, slots=True)
class Word:
    """One of the accepted words; later holds words that a later version will accept."""

    words: tuple[str, ...]
    later: tuple[str, ...] = ()

    def read(self, raw: object) -> str:
        """Return the accepted word, an enum member where the table holds one."""
        if not isinstance(raw, str):
            message = f"{shown(raw)} is no text: write one of {', '.join(quoted(self.words))}"
            raise ValueError(message)  # noqa: TRY004 - every refusal is a ValueError
        for word in self.words:
            if word == raw:
                return word
        if raw in self.later:
            message = f"{shown(raw)} is known but not available in this version: write {self.describe()}"
            raise ValueError(message)
        message = f"{shown(raw)} is none of {', '.join(quoted(self.words))}{near(raw, self.words)}"
        raise ValueError(message)

    def describe(self) -> str:
        """Say in words what is accepted."""
        return " or ".join(quoted(self.words))


@dataclass(frozen=True, slots=True)
class Words:
    """A set of accepted words, written as a list."""

    word: Word

    def read(self, raw: object) -> frozenset[str]:
        """Return the set."""
        if not isinstance(raw, list):
            message = f"{shown(raw)} is no list: write e.g. [{', '.join(quoted(self.word.words))}]"
            raise ValueError(message)  # noqa: TRY004 - every refusal is a ValueError
        return frozenset(self.word.read(item) for item in raw)

    def describe(self) -> str:
        """Say in words what is accepted."""
        return f"list of {', '.join(quoted(self.word.words))}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches a pattern, and what the pattern means in words; the value is never repeated in a message."""

    pattern: str
    meaning: str

    def read(self, raw: object) -> str:
        """Return the text as it is."""
        if not isinstance(raw, str) or not re.fullmatch(self.pattern, raw):
            message = f"the value is no {self.meaning}"
            raise ValueError(message)
        return raw

    def describe(self) -> str:
        """Say in words what is accepted."""
        return self.meaning


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
    where: str, document: Mapping[str, object], keys: Sequence[Key], later: Sequence[str] = ()
) -> dict[str, Value]:
    """Check a document against its keys, and return the value of every key that applies, by path.

    where names file and table for messages; later lists keys and tables that only a later version accepts.
    """
    given = dict(_walk(where, document, keys, later, ""))
    values: dict[str, Value] = {}
    for key in keys:
        applies = key.only is None or key.only.holds(values)
        needed = key.needed if isinstance(key.needed, bool) else key.needed.holds(values)
        if key.path in given:
            if not applies and key.only is not None:
                raise refuse(where, key.path, _not_chosen(key.only, values))
            values[key.path] = _read(where, key, given[key.path])
        elif applies and needed:
            why = key.only if isinstance(key.needed, bool) else key.needed
            raise refuse(
                where, key.path, f"missing{f', {why} needs it' if why else ''}: add `{key.name} = ` ({key.meaning})"
            )
        elif applies:
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


def _read(where: str, key: Key, raw: object) -> Value:
    try:
        return key.kind.read(raw)
    except ValueError as error:
        raise refuse(where, key.path, str(error)) from error


def _not_chosen(only: Chosen, values: Mapping[str, Value]) -> str:
    found = values.get(only.rule)
    state = "is not set"
    if isinstance(found, frozenset):
        state = f"holds {', '.join(quoted(sorted(found))) or 'nothing'}"
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
    paths = {key.name: key.path for key in reversed(keys)}
    found = get_close_matches(name.lower(), paths, n=1, cutoff=0.75)
    return f"; did you mean `{paths[found[0]]}`?" if found else ""


def _parents(path: str) -> Iterator[str]:
    """Yield the tables that hold a key, outermost first."""
    parts = path.split(".")[:-1]
    for depth in range(1, len(parts) + 1):
        yield ".".join(parts[:depth])
