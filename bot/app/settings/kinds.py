"""The kinds of values in TOML files: numbers within bounds, words, flags and texts.

Every refusal is a ValueError with its reason. No number passes through a binary float.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from operator import ge, gt, le, lt
from pathlib import Path
from typing import Any, Protocol

from bot.app.cycle.schedule import refuse_never
from bot.domain.errors import ConfigError
from bot.domain.numbers import plain

NUMBER_TEXT = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
COMMA_TEXT = re.compile(r"[+-]?[0-9]+,[0-9]+")
THOUSANDS = 3  # digits between two commas
WHOLE_TEXT = re.compile(r"[+-]?[0-9]{1,30}")
SCALE = 18  # digits the ledger keeps before and after the point
FRACTION = "fraction"

Value = object


class Kind(Protocol):
    """A kind of value, which checks and converts raw TOML values."""

    def read(self, raw: object) -> Value:
        """Convert a raw value to its type; raises ValueError with the reason when it is refused."""

    def describe(self) -> str:
        """Describe in words what is accepted."""


def quote(words: Iterable[str]) -> list[str]:
    """Quote words for a message."""
    return [f'"{word}"' for word in words]


def near(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name as `; did you mean ...?`; an empty text when none is near."""
    names = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"; did you mean `{names[found[0]]}`?" if found else ""


def require_folder(path: Path, what: str) -> None:
    """Refuse a path that is no folder with a ConfigError that suggests the nearest; what: its name."""
    if path.is_file():
        raise ConfigError(f"{path} is a file, no {what}: name the folder that it is in")
    if not path.is_dir():
        folders = [one.name for one in path.parent.glob("*") if one.is_dir()]
        hint = near(path.name, folders) or ": check the path"
        raise ConfigError(f"{path}: no such {what}{hint}")


def show_value(raw: object) -> str:
    """Shorten a refused value for a message, on one line."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, dict):
        return "a table"
    text = repr(raw) if isinstance(raw, str) else str(raw)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 - a line stays readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """An exact number within bounds; unit: what it counts, a fraction's refusals suggest one."""

    at_least: Decimal | int | None = None
    above: Decimal | int | None = None
    at_most: Decimal | int | None = None
    below: Decimal | int | None = None
    whole: bool = False
    unit: str = ""

    def read(self, raw: object) -> Decimal | int:
        """Read the number exactly as written; raises ValueError when it breaks a bound."""
        value = exact(raw, whole=self.whole, example="0.1" if self.unit == FRACTION else "10")
        if broken := self._first_violation(value):
            raise ValueError(f"{show_value(raw)} is not {broken}{self._fraction_meant(value)}")
        return value if not self.whole else int(value)

    def describe(self) -> str:
        """Describe in words what is accepted."""
        bounds = ", ".join(f"{words} {bound}" for words, bound, _ in self._bounds())
        return " ".join(["whole number" if self.whole else "number", bounds]).strip()

    def _bounds(self) -> list[tuple[str, Decimal | int, Callable[[Any, Any], bool]]]:
        """List the bounds: each in words, as a number, and as what a value must be to it."""
        bounds = (
            ("at least", self.at_least, ge),
            ("above", self.above, gt),
            ("at most", self.at_most, le),
            ("below", self.below, lt),
        )
        return [(words, bound, holds) for words, bound, holds in bounds if bound is not None]

    def _first_violation(self, value: Decimal) -> str | None:
        """Name the first bound that a value breaks."""
        broken = (f"{words} {of}" for words, of, holds in self._bounds() if not holds(value, of))
        return next(broken, None)

    def _fraction_meant(self, value: Decimal) -> str:
        meant = value.scaleb(-2)
        if self.unit != FRACTION or value < 1 or self._first_violation(meant):
            return ""
        return f": write a fraction, {plain(meant)} for {plain(value)} %"


def exact(raw: object, *, whole: bool, example: str = "10") -> Decimal:
    """Convert a TOML number, or digits, to the decimal written; example: for a refusal."""
    value = raw
    if isinstance(raw, str):
        text = raw.strip()
        if "%" in text:
            mend = f"write a fraction, {_share_meant(text)}"
            raise ValueError(f"{show_value(raw)} is a percentage: {mend}")
        if COMMA_TEXT.fullmatch(text):
            meant = text.replace(",", ".")
            if len(text.rpartition(",")[2]) == THOUSANDS:
                meant = f"{text.replace(',', '')} or {meant}"
            mend = f"write {meant}, with a decimal point if any"
            raise ValueError(f"{show_value(raw)} has a comma: {mend}")
        pattern, convert = (WHOLE_TEXT, int) if whole else (NUMBER_TEXT, Decimal)
        value = convert(text) if pattern.fullmatch(text) else text
    if isinstance(value, bool) or not isinstance(value, int if whole else int | Decimal):
        kind = "whole number" if whole else "number"
        raise ValueError(f"{show_value(raw)} is no {kind}: write {example}, say")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{show_value(raw)} is no finite number")
    if number and (exponent < -SCALE or number.adjusted() >= SCALE):
        most = f"{SCALE} digits before or after the point"
        raise ValueError(f"{show_value(raw)} has more than {most}")
    return number


def _share_meant(text: str) -> str:
    """Write a percentage as the fraction that it is."""
    share = text.replace("%", "").strip().replace(",", ".")
    if not NUMBER_TEXT.fullmatch(share):
        share = "20"
    return f"{plain(Decimal(share).scaleb(-2))} for {share} %"


@dataclass(frozen=True, slots=True)
class Word:
    """One of the accepted words."""

    words: tuple[str, ...]

    def read(self, raw: object) -> str:
        """Find the accepted word, which is an enum member where `words` holds one."""
        listed = ", ".join(quote(self.words))
        if not isinstance(raw, str):
            raise ValueError(f"{show_value(raw)} is no text: write one of {listed}")
        if raw in self.words:
            return self.words[self.words.index(raw)]
        raise ValueError(f"{show_value(raw)} is none of {listed}{near(raw, self.words)}")

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return " or ".join(quote(self.words))


@dataclass(frozen=True, slots=True)
class Words:
    """A set of accepted words, written as a list."""

    word: Word

    def read(self, raw: object) -> frozenset[str]:
        """Convert a list of accepted words to a set."""
        if not isinstance(raw, list):
            example = ", ".join(quote(self.word.words))
            raise ValueError(f"{show_value(raw)} is no list: write e.g. [{example}]")
        return frozenset(self.word.read(item) for item in raw)

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return f"list of {', '.join(quote(self.word.words))}"


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches a pattern; a refusal shows it, with the example, if there is one."""

    pattern: str
    meaning: str
    example: str = ""

    def read(self, raw: object) -> str:
        """Check the text against the pattern, and return it unchanged."""
        if not isinstance(raw, str) or not re.fullmatch(self.pattern, raw):
            shown = show_value(raw) if self.example else "the value"
            mend = f': write "{self.example}", say' if self.example else ""
            raise ValueError(f"{shown} is no {self.meaning}{mend}")
        return raw

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return self.meaning


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron of five fields whose day comes at some time."""

    def read(self, raw: object) -> str:
        """Check the cron, and return it unchanged."""
        if not isinstance(raw, str):
            raise ValueError(f'{show_value(raw)} is no text: write "0 * * * *", say')
        refuse_never(raw)
        return raw

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return "cron of five fields: minute hour day month weekday, UTC"


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, raw: object) -> bool:
        """Check that the value is a flag, and return it."""
        if not isinstance(raw, bool):
            raise ValueError(f"{show_value(raw)} is neither true nor false")
        return raw

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return "true or false"


def first_instant(written: str | date) -> datetime:
    """Read an instant in UTC; a date alone means its 00:00. Raises ValueError for other texts."""
    return _instant(written, time.min)


def last_instant(written: str | date) -> datetime:
    """Read an instant in UTC; a date alone means the day's last microsecond."""
    return _instant(written, time.max)


def _instant(written: str | date, of_day: time) -> datetime:
    try:
        day = date.fromisoformat(written) if isinstance(written, str) else written
        found = day if isinstance(day, datetime) else datetime.combine(day, of_day)
    except ValueError:
        found = datetime.fromisoformat(str(written))
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{written} lies outside the calendar in UTC") from error
