"""Write the ledger's SQL for both databases: square brackets mark the parts that differ."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from bot.adapters.sql.schema.column_types import POSTGRESQL

# [number x]: an exact decimal as a number, without trailing zeros. [amount x]: micro-dollars in
# quote currency. [word x]: an enum's value, as text beside other text.
# [seconds a | b]: the seconds from a to b. [after a | h]: h hours after a.
# [before a | h]: h hours before a. [later a | b]: the later of two instants.
# [day a]: the UTC day of an instant.
_SQLITE: Mapping[str, str] = MappingProxyType(
    {
        "number": "CAST({0} AS REAL)",
        "amount": "({0} / 1000000.0)",
        "word": "{0}",
        "seconds": "round((julianday({1}) - julianday({0})) * 86400.0, 3)",
        "after": "strftime('%Y-%m-%dT%H:%M:%f000Z', {0}, '+{1} hours')",
        "before": "strftime('%Y-%m-%dT%H:%M:%f000Z', {0}, '-{1} hours')",
        "later": "max({0}, {1})",
        "day": "substr({0}, 1, 10)",
    }
)
_POSTGRESQL: Mapping[str, str] = MappingProxyType(
    {
        "number": "trim_scale({0})",
        "amount": "round({0} / 1000000.0, 6)",
        "word": "CAST({0} AS text)",
        "seconds": "round(extract(epoch FROM {1} - {0}), 3)",
        "after": "({0} + interval '{1} hours')",
        "before": "({0} - interval '{1} hours')",
        "later": "greatest({0}, {1})",
        "day": "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    }
)

_BRACKETED = re.compile(r"\[(\w+) ([^\[\]]+)\]")


def spell(text: str, dialect: str) -> str:
    """Replace the square brackets of a statement by the SQL of a database."""
    spelling = _POSTGRESQL if dialect == POSTGRESQL else _SQLITE
    return _BRACKETED.sub(lambda found: spelling[found[1]].format(*found[2].split(" | ")), text)
