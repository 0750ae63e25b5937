"""Columns of text cells, and the numbers in them as canonical digits.

A number is never rewritten through a float: its digits are those of the file, without commas,
powers of ten and trailing zeros.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from bot.domain.numbers import plain

Cells = npt.NDArray[np.bytes_]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CELL_MAX = 64
BLOCK_ROWS = 1 << 15
# A whole number of as many digits is a float without rounding, and so is the power of ten over it.
EXACT_DIGITS = 15
TENS = np.array([float(10**power) for power in range(EXACT_DIGITS + 1)])
# The reader of histories accepts prices of this range.
SMALLEST, LARGEST = 1e-18, 1e15
EMPTY = {"", "nan", "null", "none", "nil", "-", "--", "n/a", "na", "inf", "-inf", "infinity"}
SCALES = {"k": 3, "m": 6, "b": 9, "t": 12}
GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?", re.ASCII)
ONE_GROUP = re.compile(r"[+-]?\d{1,3},\d{3}", re.ASCII)
COMMAS = ("thousands-comma", "decimal-comma")

# What a byte of a plain number is: 1 a digit, 2 a dot, 0 the padding behind the text, 3 other.
KINDS = np.full(256, 3, np.uint8)
KINDS[ord("0") : ord("9") + 1] = 1
KINDS[ord(".")] = 2
KINDS[0] = 0
FORMS = np.where(KINDS == 1, ord("0"), np.arange(256)).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The numbers of a column: canonical digits, and floats to compare them by.

    Where a cell is empty, or says that there is no number, texts is empty and values NaN.
    unreadable: cells that are neither a number nor empty.
    """

    texts: Cells
    values: Floats
    unreadable: Mask


def to_cells(texts: Sequence[str]) -> Cells:
    """Make a column of cells, without white space around them."""
    if not len(texts):
        return np.empty(0, "S1")
    try:
        cells = np.array(texts, np.bytes_)
    except UnicodeEncodeError:
        cells = np.array([text.encode("utf-8", "replace") for text in texts])
    return np.strings.strip(cells)


def letters_of(cells: Cells) -> npt.NDArray[np.uint8]:
    """View the bytes of cells, one row for each."""
    whole = np.ascontiguousarray(cells)
    return whole.view(np.uint8).reshape(len(whole), whole.itemsize)


def forms_of(cells: Cells) -> Cells:
    """Write each digit of cells as 0: what is left is their form."""
    return FORMS[letters_of(cells)].view(cells.dtype).ravel()


def distinct(cells: Cells) -> tuple[Cells, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """List the distinct cells in order, the first row of each, and each row's place in the list."""
    # Neighbours are often the same, so that only the first row of each run has to be sorted.
    starts = np.flatnonzero(np.append(cells[:1] == cells[:1], cells[1:] != cells[:-1]))
    several, firsts, places = np.unique(cells[starts], return_index=True, return_inverse=True)
    return several, starts[firsts], np.repeat(places, np.diff(starts, append=len(cells)))


def decode(cell: bytes) -> str:
    """Decode the text of a cell."""
    return cell.decode("utf-8", "replace")


def is_plain(cells: Cells) -> tuple[Mask, Mask]:
    """Tell which cells are digits with at most one dot behind the first, and which have a dot."""
    kinds = np.ascontiguousarray(KINDS[letters_of(cells)].T)
    dots = (kinds == KINDS[ord(".")]).sum(axis=0)
    unpadded = np.count_nonzero(kinds, axis=0) == np.strings.str_len(cells)
    return (kinds[0] == 1) & (kinds.max(axis=0) < KINDS.max()) & (dots <= 1) & unpadded, dots == 1


def read_numbers(cells: Cells) -> Numbers:
    """Read a column of numbers."""
    plainly, dotted = is_plain(cells)
    if cells.itemsize > 1:  # a zero that leads other digits is dropped with care
        first, second = letters_of(cells)[:, :2].T
        plainly &= (first != ord("0")) | (KINDS[second] != 1)
    texts = cells
    if dotted.any():
        bare = np.strings.rstrip(np.strings.rstrip(cells, b"0"), b".")
        texts = np.where(plainly & dotted, bare, cells)
    unreadable = np.zeros(len(cells), np.bool_)
    values = _floats_of(np.where(plainly, texts, b"0"))
    odd = np.flatnonzero(~plainly)
    if len(odd):
        several, _, places = distinct(cells[odd])
        read = [_read_number(decode(cell)) for cell in several.tolist()]
        fine = np.array([one or "" for one in read], np.bytes_)
        texts = texts.astype(np.result_type(texts, fine))
        texts[odd] = fine[places]
        values[odd] = np.where(fine == b"", b"nan", fine).astype(np.float64)[places]
        unreadable[odd] = np.array([one is None for one in read])[places]
    return Numbers(texts=texts, values=values, unreadable=unreadable)


def _floats_of(texts: Cells) -> Floats:
    """Read plain numbers as floats: those of few digits as a whole number over a power of ten."""
    width = texts.itemsize
    if width > EXACT_DIGITS:
        return texts.astype(np.float64)
    values = np.empty(len(texts))
    for start in range(0, len(texts), BLOCK_ROWS):
        inside = slice(start, start + BLOCK_ROWS)
        letters = np.pad(letters_of(texts[inside]).T, ((0, 1), (0, 0)))
        point = (letters == ord(".")) | (letters == 0)
        place = point.argmax(axis=0)  # of the dot, or behind the last digit
        digits = np.where(point, 0, letters - np.uint8(ord("0")))
        bare = np.where(np.arange(width)[:, None] < place, digits[:-1], digits[1:])
        values[inside] = TENS[:width][::-1] @ bare / TENS[width - place]
    return values


def _read_number(text: str) -> str | None:
    """Write a number in its canonical digits; empty for none, None for what cannot be read."""
    lower = text.lower().lstrip("$").strip()
    if lower in EMPTY:
        return ""
    shift = SCALES.get(lower[-1:], 0)
    digits = lower[:-1].strip() if shift else lower
    if GROUPS.fullmatch(digits):
        digits = digits.replace(",", "")
    if not NUMBER.fullmatch(digits):
        return None
    return plain(Decimal(digits).scaleb(shift))


def comma_reading(columns: Sequence[Cells]) -> tuple[str, str] | None:
    """Say what commas inside these numbers are, with a cell that shows it; None without any.

    The first word is empty when the cells allow both readings, or when they contradict.
    """
    shown: dict[str, str] = {}
    seen = ""
    for cells in columns:
        inside = cells[np.strings.find(cells, b",") >= 0]
        # What a comma is shows in the form of a number, of which there are few.
        for text in map(decode, inside[distinct(forms_of(inside))[1]].tolist()):
            seen = seen or text
            number = text.lower().rstrip("kmbt").strip()
            if ONE_GROUP.fullmatch(number):
                continue
            shown.setdefault(COMMAS[0] if GROUPS.fullmatch(number) else COMMAS[1], text)
    if len(shown) == 1:
        return next(iter(shown.items()))
    return ("", seen) if seen else None


def with_points(cells: Cells) -> Cells:
    """Write numbers with a decimal comma as numbers with a decimal point."""
    bare = np.strings.replace(cells, b".", b"")
    return np.asarray(np.strings.replace(bare, b",", b"."), np.bytes_)


def without_commas(cells: Cells) -> Cells:
    """Write numbers with commas between thousands as plain ones."""
    return np.asarray(np.strings.replace(cells, b",", b""), np.bytes_)
