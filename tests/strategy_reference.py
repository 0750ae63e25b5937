"""The tables of docs/strategy.md, made from the keys that strategy files accept.

`make docs` writes them between their marks; tests/test_docs.py finds what was not written anew.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.tables import Chosen, Key, every
from bot.domain.numbers import plain
from bot.engine.demand import families
from bot.engine.needs import Declaration, Input

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "strategy.md"
MARKED = re.compile(r"(<!-- (keys|rules): (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
QUOTED, IN_TICKS = re.compile(r'"(\S+?)"'), r"`\1`"
RULES_HEAD = "| rule | what it computes | needs | of what is held | asked |\n|---|---|---|---|---|\n"
HEAD = "| key | meaning | value | unit | default | only with |\n|---|---|---|---|---|---|\n"


def with_tables(text: str) -> str:
    """Return a document with the table of each marked section as the keys say it."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]](found[3])}{found[4]}", text)


def table_of(section: str) -> str:
    """Write the table of a section's keys."""
    return HEAD + "".join(row(key) for key in every(KEYS) if key.section == section)


def rules_of(family: str) -> str:
    """Write the table of a family's rules: what each computes and needs, and when it is asked."""
    found = [rule_row(kind, name, declared) for kind, name, declared in families() if kind == family]
    return RULES_HEAD + "".join(found)


def rule_row(family: str, name: str, row: Declaration) -> str:
    """Write the line of a rule; a gate with its key, and what has no name of its own by its key."""
    path, _, word = row.keys[0].partition(" = ") if row.keys else ("", "", "")
    key = f"`{path}`" + (f" = `{word[1:-1]}`" if word else "")
    named = {"gate": f"`{name}`" + (f": {key}" if row.keys else ""), "input": key}.get(family, f"`{name}`")
    held = "everything" if set(row.of_held) == set(Input) else ", ".join(row.of_held)
    formula = QUOTED.sub(IN_TICKS, row.formula) if "`" not in row.formula else row.formula
    return f"| {named} | {formula} | {', '.join(row.needs)} | {held} | {row.wakes} |\n"


def row(key: Key) -> str:
    """Write the line of a key."""
    cells = (f"`{key.name}`", key.meaning, key.kind.describe(), key.unit, default_of(key), condition_of(key))
    return f"| {' | '.join(QUOTED.sub(IN_TICKS, cell) for cell in cells)} |\n"


def default_of(key: Key) -> str:
    """Say what holds where a key is absent."""
    if key.needed is True:
        return "needed"
    if isinstance(key.needed, Chosen):
        return f"needed with {key.needed}"
    default = key.default
    if isinstance(default, frozenset):
        return ", ".join(f"`{word}`" for word in sorted(default))
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default is None:
        return "absent"
    return f"`{plain(default) if isinstance(default, Decimal) else default}`"


def condition_of(key: Key) -> str:
    """Say where a key is accepted."""
    conditions = [] if key.only is None else [str(key.only)]
    conditions += [] if key.unless is None else [f"no `{key.unless}`"]
    return ", ".join(conditions)


TABLES: Mapping[str, Callable[[str], str]] = {"keys": table_of, "rules": rules_of}

if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
