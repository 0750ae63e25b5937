"""Columns of times as microseconds since 1970, whatever their unit, order of days or zone.

Only whole seconds count. A time that has no zone is UTC, or of the zone that was asked for, and the
label says so.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from bot.adapters.candles.cells import KINDS, Cells, Mask, decode, letters_of
from bot.domain.instants import EPOCH, MICROSECOND

Instants = npt.NDArray[np.int64]

DAY_ORDERS = ("day-first", "month-first")
# An epoch of a unit lies between these: from 2001 to 2286. Each is a thousand times the one before.
EPOCH_FROM, EPOCH_UNTIL = 10**9, 10**10
UNITS = (("s", 10**6, 1), ("ms", 10**3, 1), ("us", 1, 1), ("ns", 1, 10**3))
SECOND = 10**6
QUARTER = 15 * 60 * SECOND  # clocks change at whole quarters of an hour
NOON = 12
DATE_DIGITS = 8
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
ISO = tuple(np.frombuffer(one, np.uint8) for one in (b"0000-00-00T00:00:00", b"9999-99-99T99:99:99"))
SUFFIXES = (b"", b"Z", b"+00:00", b" UTC", b"+0000", b" +0000", b" +00:00")
TIME = re.compile(
    r"""(?:(?P<year>\d{4})[-/.](?P<month>\d\d?)[-/.](?P<day>\d\d?)
    |(?P<first>\d\d?)[-/.](?P<second>\d\d?)[-/.](?P<last>\d{4})
    |(?P<digits>\d{8})
    |(?P<name>[A-Za-z]{3,9})\.?\s+(?P<name_day>\d\d?)(?:st|[nr]d|th)?,?\s+(?P<name_year>\d{4})
    |(?P<day_name>\d\d?)[-\s](?P<middle>[A-Za-z]{3,9})[-\s,]+(?P<year_name>\d{4}))
    (?:[T\s,]+(?P<hours>\d\d?)(?::(?P<minutes>\d\d))?(?::(?P<seconds>\d\d)(?:[.,]\d+)?)?
    \s*-?\s*(?P<half>[AaPp][Mm])?)?
    \s*(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?""",
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


class _Moment(NamedTuple):
    """A time as written, and its offset; None when it has none."""

    clock: datetime
    offset: timedelta | None


def read_stamps(cells: Cells, layouts: Collection[str], zone: ZoneInfo | None) -> Stamps:
    """Read a column of times; zone: of the times that name none, by default UTC."""
    kinds = KINDS[letters_of(cells)]
    lengths = np.strings.str_len(cells)
    numeric = (kinds.max(axis=1, initial=0) < KINDS.max()) & (kinds[:, 0] == 1) & (lengths > DATE_DIGITS)
    numeric &= (kinds == KINDS[ord(".")]).sum(axis=1) <= 1
    if numeric.sum() * 2 > len(cells):
        return _read_epochs(cells, numeric)
    plain = _read_iso(cells)
    return plain(zone) if plain else _read_texts(cells, layouts, zone)


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
            at = np.where(inside, numbers * np.uint64(factor) // np.uint64(divisor), at).astype(np.int64)
            readable |= inside
            units.append(unit)
    at -= at % SECOND
    return Stamps(at=at, readable=readable, label=f"epoch, {' and '.join(units) or 'no known unit'}")


def _read_iso(cells: Cells) -> Callable[[ZoneInfo | None], Stamps] | None:
    """Read plain ISO 8601 times of one form at once; None when the cells need the slow path."""
    if not len(cells):
        return None
    first = bytes(cells[0])
    length = len("2024-01-31") if len(first) == len("2024-01-31") else len("2024-01-31T12:00:00")
    rest = re.sub(rb"^\.\d+", b"", first[length:])
    if rest not in SUFFIXES or len(first) < length:
        return None
    lengths = np.strings.str_len(cells)
    if (lengths != len(first)).any() or not np.strings.endswith(cells, rest).all():
        return None
    letters = letters_of(cells)[:, :length].copy()
    if length > len("2024-01-31"):
        separators = letters[:, 10]
        separators[separators == ord(" ")] = ord("T")
    # numpy also accepts other forms, so each character is checked first.
    if (letters < ISO[0][:length]).any() or (letters > ISO[1][:length]).any():
        return None
    try:
        texts = letters.view(f"S{length}").ravel()
        at = texts.astype("datetime64[us]").astype(np.int64)
    except ValueError:
        return None
    return lambda zone: _place(at, np.ones(len(at), np.bool_), np.full(len(at), not rest), zone)


def _read_texts(cells: Cells, layouts: Collection[str], zone: ZoneInfo | None) -> Stamps:
    """Read any other times, each distinct one once."""
    several, places = np.unique(cells, return_inverse=True)
    found = [TIME.fullmatch(decode(cell)) for cell in several.tolist()]
    order, choice = _day_order(found, layouts)
    if choice:
        nothing = np.zeros(len(cells), np.int64)
        return Stamps(at=nothing, readable=nothing > 0, label="", choice=choice)
    read = [_moment_of(match, order) if match else None for match in found]
    clocks = [(one.clock - EPOCH - (one.offset or timedelta())) // MICROSECOND if one else 0 for one in read]
    naive = np.array([one is not None and one.offset is None for one in read])
    stamps = _place(
        np.array(clocks, np.int64)[places],
        np.array([one is not None for one in read])[places],
        naive[places],
        zone,
    )
    if order:
        return Stamps(at=stamps.at, readable=stamps.readable, label=f"{order}, {stamps.label}")
    return stamps


def _day_order(
    found: Collection[re.Match[str] | None], layouts: Collection[str]
) -> tuple[str, tuple[str, ...]]:
    """Tell whether 01/02/2023 begins with the day or the month; else what has to be chosen."""
    pairs = [(int(one["first"]), int(one["second"])) for one in found if one and one["first"]]
    if not pairs:
        return "", ()
    if chosen := [name for name in DAY_ORDERS if name in layouts]:
        return chosen[0], ()
    fits = [max(column) <= NOON for column in zip(*pairs, strict=True)]  # the first, the second as a month
    if fits[0] == fits[1]:
        return "", DAY_ORDERS
    return (DAY_ORDERS[0] if fits[1] else DAY_ORDERS[1]), ()


def _moment_of(match: re.Match[str], order: str) -> _Moment | None:
    """Build the time that a text says; None when there is no such time."""
    try:
        clock = datetime(*_date_of(match, order), *_hours_of(match), tzinfo=UTC)
    except ValueError:
        return None
    zone = match["zone"]
    if zone is None:
        return _Moment(clock, None)
    if not zone[-1].isdigit():
        return _Moment(clock, timedelta())
    sign = -1 if zone[0] == "-" else 1
    return _Moment(clock, sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])))


def _date_of(match: re.Match[str], order: str) -> tuple[int, int, int]:
    if match["year"]:
        return int(match["year"]), int(match["month"]), int(match["day"])
    if match["digits"]:
        digits = match["digits"]
        return int(digits[:4]), int(digits[4:6]), int(digits[6:])
    if match["first"]:
        first, second = int(match["first"]), int(match["second"])
        day, month = (first, second) if order == DAY_ORDERS[0] else (second, first)
        return int(match["last"]), month, day
    month = MONTHS.index((match["name"] or match["middle"])[:3].lower()) + 1
    return int(match["name_year"] or match["year_name"]), month, int(match["name_day"] or match["day_name"])


def _hours_of(match: re.Match[str]) -> tuple[int, int, int]:
    hours, minutes, seconds = (int(match[name] or 0) for name in ("hours", "minutes", "seconds"))
    if match["half"]:
        if not 1 <= hours <= NOON:
            raise ValueError(hours)
        hours = hours % NOON + (NOON if match["half"].lower() == "pm" else 0)
    return hours, minutes, seconds


def _place(at: Instants, readable: Mask, naive: Mask, zone: ZoneInfo | None) -> Stamps:
    """Move the times without a zone into theirs; an hour that the clock repeats or skips is dropped."""
    bare = naive & readable
    if not bare.any():
        return Stamps(at=at, readable=readable, label="with a zone")
    if zone is None:
        return Stamps(at=at, readable=readable, label="no zone was given: taken as UTC")
    quarters, places = np.unique(at[bare] // QUARTER, return_inverse=True)
    clocks = [(EPOCH + int(one) * QUARTER * MICROSECOND).replace(tzinfo=zone) for one in quarters.tolist()]
    offsets = [(clock.utcoffset(), clock.replace(fold=1).utcoffset()) for clock in clocks]
    shifts = np.array([(first or timedelta()) // MICROSECOND for first, _ in offsets], np.int64)
    once = np.array([first == second for first, second in offsets])
    moved, kept = at.copy(), readable.copy()
    moved[bare] -= shifts[places]
    kept[bare] = once[places]
    return Stamps(at=moved, readable=kept, label=f"no zone was given: taken as {zone.key}")
