"""The one printer of answers: text for people, plain text for pipes, JSON for machines.

Numbers are plain decimals in each of them. rich is imported only to print a table on a terminal.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from textwrap import fill

from bot.app.telling.answers import Answer, Column, Table
from bot.domain.errors import StorageError
from bot.domain.numbers import plain

# More digits than any price needs, and few enough to hide the noise of binary floats.
DIGITS = 8
LARGE = 10**DIGITS
GAP = 2
INSTANT_LENGTH = len("2024-01-31T00:00:00.000000Z")  # the ledger's one form


def give(answer: Answer, *, as_json: bool = False) -> int:
    """Print an answer to standard output and its notes to stderr; return the exit code.

    Raises StorageError when there is no standard output.
    """
    for note in answer.notes:
        sys.stderr.write(f"{note}\n")
    if sys.stdout is None:  # the shell closed it
        raise StorageError("standard output is closed: open it, `> FILE` say")
    if as_json:
        print(to_json(answer.payload))
    elif sys.stdout.isatty():
        for part in answer.parts:
            _print_on_terminal(part, shutil.get_terminal_size().columns)
    else:
        print(text_of_parts(answer.parts))
    return answer.exit_code


def text_of_parts(parts: Iterable[str | Table]) -> str:
    """Format the parts of an answer as plain text of any width."""
    return "\n".join(text_of(part) for part in parts)


def text_of(part: str | Table) -> str:
    """Format a part of an answer as plain text of any width."""
    if isinstance(part, str):
        return part
    columns = part.shown_columns()
    lines = _cells(part, columns)
    if not lines:
        return part.empty
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    right = [_is_numeric(part, column) for column in columns]
    return "\n".join(
        (" " * GAP)
        .join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        )
        .rstrip()
        for line in lines
    )


def fit(part: Table, width: int) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Choose the columns that fit a width, of low rank and left ones first, and name the others."""
    columns = part.shown_columns()
    lines = _cells(part, columns)
    needed = [max(len(line[at]) for line in lines) + GAP for at in range(len(columns))]
    shown = list(range(len(columns)))
    for at in sorted(shown, key=lambda at: (columns[at].rank, at), reverse=True)[:-1]:
        if sum(needed[one] for one in shown) - GAP <= width:
            break
        shown.remove(at)
    hidden = (column.name for at, column in enumerate(columns) if at not in shown)
    return tuple(columns[at] for at in shown), tuple(hidden)


def wrap(text: str, width: int) -> str:
    """Wrap the lines of a text that are too wide, the rest of each indented."""
    return "\n".join(
        fill(line, width, subsequent_indent="    ", drop_whitespace=True, replace_whitespace=False)
        if len(line) > width
        else line
        for line in text.split("\n")
    )


def _print_on_terminal(part: str | Table, width: int) -> None:
    if isinstance(part, str) or not part.rows:
        print(wrap(text_of(part), width))
        return
    from rich.console import Console  # noqa: PLC0415 - slow, and only a terminal's table needs it
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns, hidden = fit(part, width)
    padding, has_foot = (0, GAP, 0, 0), bool(part.totals)
    shown = RichTable(box=None, pad_edge=False, padding=padding, show_footer=has_foot)
    head, *lines = _cells(part, columns)
    foot = lines.pop() if part.totals else [""] * len(columns)
    for column, name, total in zip(columns, head, foot, strict=True):
        shown.add_column(
            name,
            Text(total),
            justify="right" if _is_numeric(part, column) else "left",
            overflow="ellipsis",
            no_wrap=True,
        )
    for line in lines:
        is_loss = [cell.startswith("-") and cell != "-" for cell in line]
        texts = zip(line, is_loss, strict=True)
        shown.add_row(*(Text(cell, "red" if is_red else "") for cell, is_red in texts))
    Console(width=width, highlight=False, soft_wrap=False).print(shown)
    if hidden:
        mend = "a wider terminal or --json shows them"
        print(wrap(f"(not shown: {', '.join(hidden)}; {mend})", width))


def _cells(part: Table, columns: Sequence[Column]) -> list[list[str]]:
    """Lay a table out: its head, its rows and its totals; nothing without rows."""
    if not part.rows:
        return []
    names = [column.name for column in columns]
    lines = [names, *([show_value(row[name]) for name in names] for row in part.rows)]
    if part.totals:
        totals = {name: show_value(value) for name, value in part.totals.items()}
        lines.append([totals.get(name, "") for name in names])
    return lines


def _is_numeric(part: Table, column: Column) -> bool:
    known = [row[column.name] for row in part.rows if row[column.name] is not None]
    return bool(known) and isinstance(known[0], int | float | Decimal)


def show_value(value: object) -> str:
    """Format a value for people: a plain decimal, an instant to the second, `-` for None."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%SZ")
        case float() | Decimal():
            return show_number(value)
        case str() if _is_instant(value):
            return value[:19].replace("T", " ") + "Z"
        case _:
            return str(value)


def show_number(value: float | Decimal) -> str:
    """Write a number as a plain decimal, with at most eight significant digits or no fraction."""
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    last = 0 if abs(exact) >= LARGE else exact.adjusted() - DIGITS + 1
    return plain(exact.quantize(Decimal(1).scaleb(last)) if exact else exact)


def _is_instant(text: str) -> bool:
    return len(text) == INSTANT_LENGTH and text[10] == "T" and text.endswith("Z")


def to_json(value: object, indent: str = "\n") -> str:
    """Format an answer as JSON: instants in ISO 8601 with Z, plain decimals without powers."""
    match value:
        case Mapping():
            items = ((json.dumps(str(name)), one) for name, one in value.items())
            inside = [f"{name}: {to_json(one, indent + '  ')}" for name, one in items]
            return _in_lines("{", inside, "}", indent)
        case list() | tuple():
            return _in_lines("[", [to_json(one, indent + "  ") for one in value], "]", indent)
        case datetime():
            return json.dumps(value.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        case float() | Decimal():
            text = plain(Decimal(repr(value)) if isinstance(value, float) else value)
            return text if "." in text else f"{text}.0"
        case None | str() | int() | bool():
            return json.dumps(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _in_lines(opening: str, inside: Sequence[str], closing: str, indent: str) -> str:
    if not inside:
        return opening + closing
    return f"{opening}{indent}  {f',{indent}  '.join(inside)}{indent}{closing}"
