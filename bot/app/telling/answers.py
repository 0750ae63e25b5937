"""Rows of an answer as a table for people, or as JSON.

Every face of a command prints the same rows; nothing is computed here.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

Row = Mapping[str, object]


def show_value(value: object) -> str:
    """Format a value for people: at most eight significant digits, instants to the second.

    None becomes `-`.
    """
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%SZ")
        case float() | Decimal():
            number = float(value)
            # Eight significant digits of a larger number need an exponent, which is hard to read.
            return f"{number:.8g}" if abs(number) < 1e8 else f"{number:.0f}"  # noqa: PLR2004
        case str() if _is_instant(value):
            return value[:19].replace("T", " ") + "Z"
        case _:
            return str(value)


def _is_instant(text: str) -> bool:
    # The ledger writes instants in this form only, with six digits of a second.
    return len(text) == 27 and text[10] == "T" and text.endswith("Z")  # noqa: PLR2004


def table(found: Sequence[Row]) -> str:
    """Format rows as columns of text, with numbers aligned to the right."""
    if not found:
        return ""
    names = list(found[0])
    cells = [names, *([show_value(row[name]) for name in names] for row in found)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    numeric = [isinstance(found[0][name], int | float | Decimal) for name in names]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    )


def to_json(value: object) -> str:
    """Format an answer as JSON: instants in ISO 8601 with Z, exact numbers as numbers."""
    return json.dumps(value, default=_plain, indent=2, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, Decimal):
        return float(value)
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)
