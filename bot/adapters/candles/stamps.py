"""Columns of times as microseconds since 1970, whatever their unit, order of days or zone.

Only whole seconds count. A time that has no zone is UTC, or of the zone that was asked for, and the
label says so.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bot.adapters.candles.cells import Cells, Mask, decode, distinct, forms_of, is_plain, letters_of
from bot.domain.instants import EPOCH, MICROSECOND

Instants = npt.NDArray[np.int64]
# The numbers in times of one form, by what they are.
Parts = Mapping[str, Instants]

DAY_ORDERS = ("day-first", "month-first")
# An epoch of a unit lies between these: from 2001 to 2286. Each is a thousand times the one before.
EPOCH_FROM, EPOCH_UNTIL = 10**9, 10**10
UNITS = (("s", 10**6, 1), ("ms", 10**3, 1), ("us", 1, 1), ("ns", 1, 10**3))
SECOND = 10**6
QUARTER = 15 * 60 * SECOND  # clocks change at whole quarters of an hour
NOON, DAY_HOURS, HOUR_MINUTES = 12, 24, 60
DATE_DIGITS = 8
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
# A month and a day that stand in an order that is not known are first and second.
TIME = re.compile(
    r"""(?:(?P<year1>\d{4})[-/.](?P<month1>\d\d?)[-/.](?P<day1>\d\d?)
    |(?P<first>\d\d?)[-/.](?P<second>\d\d?)[-/.](?P<year2>\d{4})
    |(?P<year3>\d{4})(?P<month3>\d\d)(?P<day3>\d\d)
    |(?P<name4>[A-Za-z]{3,9})\.?\s+(?P<day4>\d\d?)(?:st|[nr]d|th)?,?\s+(?P<year4>\d{4})
    |(?P<day5>\d\d?)[-\s](?P<name5>[A-Za-z]{3,9})[-\s,]+(?P<year5>\d{4}))
    (?:[T\s,]+(?P<hours>\d\d?)(?::(?P<minutes>\d\d))?(?::(?P<seconds>\d\d)(?:[.,]\d+)?)?
    \s*-?\s*(?P<half>[AaPp][Mm])?)?
    \s*(?P<zone>Z|UTC|GMT|(?P<sign>[+-])(?P<ahead>\d\d):?(?P<beside>\d\d))?""",
    re.ASCII | re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """The times of a column.

    at: microseconds since 1970. readable: False where a cell is no time. label: what they were
    taken for. choice: the names of --layout of which one must be chosen before they can be read.
    """

    at: Instants
    readable: Mask
    label: str
    choice: tuple[str, ...] = ()


def read_stamps(cells: Cells, layouts: Collection[str], zone: ZoneInfo | None) -> Stamps:
    """Read a column of times; zone: of the times that name none, by default UTC."""
    numeric = is_plain(cells)[0] & (np.strings.str_len(cells) > DATE_DIGITS)
    if numeric.sum() * 2 > len(cells):
        return _read_epochs(cells, numeric)
    return _read_texts(cells, layouts, zone)


def _read_epochs(cells: Cells, numeric: Mask) -> Stamps:
    """Read whole numbers; the unit of each follows from its magnitude."""
    whole = np.where(numeric, cells, b"0")
    if (np.strings.find(whole, b".") >= 0).any():
        whole = np.strings.partition(whole, b".")[0]
    fits = np.strings.str_len(whole) <= len(str(np.iinfo(np.int64).max))
    numbers = np.where(fits, whole, b"0").astype(np.uint64)
    at, readable, units = np.zeros(len(cells), np.int64), np.zeros(len(cells), np.bool_), []
    for power, (unit, factor, divisor) in enumerate(UNITS):
        inside = (numbers >= EPOCH_FROM * 1000**power) & (numbers // 1000**power < EPOCH_UNTIL)
        if inside.any():
            scaled = numbers * np.uint64(factor) // np.uint64(divisor)
            at = np.where(inside, scaled, at).astype(np.int64)
            readable |= inside
            units.append(unit)
    at -= at % SECOND
    named = " and ".join(units) or "no known unit"
    return Stamps(at=at, readable=readable, label=f"epoch, {named}")


def _read_texts(cells: Cells, layouts: Collection[str], zone: ZoneInfo | None) -> Stamps:
    """Read any other times; those of one form, which differ in digits only, all at once."""
    forms, _, form_of = distinct(forms_of(cells))
    groups = np.split(form_of.argsort(kind="stable"), np.bincount(form_of).cumsum()[:-1])
    matches = [TIME.fullmatch(decode(form)) for form in forms.tolist()]
    letters = letters_of(cells)
    found = [(match, rows) for match, rows in zip(matches, groups, strict=False) if match]
    slashed = [_numbers_of(match, letters[rows]) for match, rows in found if match["first"]]
    order, choice = _day_order(slashed, layouts)
    at, readable, naive = np.zeros(len(cells), np.int64), *np.zeros((2, len(cells)), np.bool_)
    if choice:
        return Stamps(at=at, readable=readable, label="", choice=choice)
    for match, rows in found:
        at[rows], readable[rows] = _read_form(match, _numbers_of(match, letters[rows]), order)
        naive[rows] = match["zone"] is None
    stamps = _place(at, readable, naive, zone)
    return replace(stamps, label=f"{order}, {stamps.label}") if order else stamps


def _numbers_of(match: re.Match[str], letters: npt.NDArray[np.uint8]) -> dict[str, Instants]:
    """Read the numbers in times of one form; match: of the form, in which each digit is 0."""
    numbers: dict[str, Instants] = defaultdict(lambda: np.zeros(len(letters), np.int64))
    for name, text in match.groupdict("").items():
        if text.startswith("0"):
            digits = letters[:, slice(*match.span(name))].astype(np.int64) - ord("0")
            numbers[name.rstrip("12345")] = digits @ 10 ** np.arange(len(text))[::-1]
    return numbers


def _day_order(slashed: Sequence[Parts], layouts: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Tell whether 01/02/2023 begins with the day or the month; else what has to be chosen."""
    if not slashed:
        return "", ()
    if chosen := [name for name in DAY_ORDERS if name in layouts]:
        return chosen[0], ()
    months = [all((one[name] <= NOON).all() for one in slashed) for name in ("first", "second")]
    if months[0] == months[1]:
        return "", DAY_ORDERS
    return DAY_ORDERS[months[0]], ()


def _read_form(match: re.Match[str], numbers: Parts, order: str) -> tuple[Instants, Mask]:
    """Build the times of one form, and tell which of them there are."""
    year, month, day = (numbers[name] for name in ("year", "month", "day"))
    if match["first"]:
        places = ("second", "first") if order == DAY_ORDERS[0] else ("first", "second")
        month, day = (numbers[name] for name in places)
    elif name := match["name4"] or match["name5"]:
        word = name[:3].lower()
        month = month + ([*MONTHS, word].index(word) + 1)  # 13 for a word that is no month
    hours, minutes, seconds = (numbers[name] for name in ("hours", "minutes", "seconds"))
    readable = (hours < DAY_HOURS) & (minutes < HOUR_MINUTES) & (seconds < HOUR_MINUTES)
    if half := match["half"]:
        readable &= (hours >= 1) & (hours <= NOON)
        hours = hours % NOON + (NOON if half.lower() == "pm" else 0)
    months = ((year - EPOCH.year) * 12 + month - 1).astype("datetime64[M]")
    bounds = (months, months + 1)
    first, after = (one.astype("datetime64[D]").astype(np.int64) for one in bounds)
    readable &= (month >= 1) & (month <= len(MONTHS)) & (day >= 1) & (day <= after - first)
    readable &= year >= 1
    sign = -1 if match["sign"] == "-" else 1
    hours = (first + day - 1) * DAY_HOURS + hours - sign * numbers["ahead"]
    minutes = hours * HOUR_MINUTES + minutes - sign * numbers["beside"]
    return (minutes * HOUR_MINUTES + seconds) * SECOND, readable


def _place(at: Instants, readable: Mask, naive: Mask, zone: ZoneInfo | None) -> Stamps:
    """Move the times without a zone into theirs; an hour that a clock repeats or skips is none."""
    bare = naive & readable
    if not bare.any():
        return Stamps(at=at, readable=readable, label="with a zone")
    if zone is None:
        return Stamps(at=at, readable=readable, label="no zone was given: taken as UTC")
    quarters, places = np.unique(at[bare] // QUARTER, return_inverse=True)
    instants = (EPOCH + one * QUARTER * MICROSECOND for one in quarters.tolist())
    clocks = [instant.replace(tzinfo=zone) for instant in instants]
    offsets = [(clock.utcoffset(), clock.replace(fold=1).utcoffset()) for clock in clocks]
    shifts = np.array([(first or timedelta()) // MICROSECOND for first, _ in offsets], np.int64)
    once = np.array([first == second for first, second in offsets])
    moved, kept = at.copy(), readable.copy()
    moved[bare] -= shifts[places]
    kept[bare] = once[places]
    return Stamps(at=moved, readable=kept, label=f"no zone was given: taken as {zone.key}")
