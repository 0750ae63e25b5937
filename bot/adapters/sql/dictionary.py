"""What every view and column means: the texts of dictionary.toml, for the document and the database.

The texts are no data: a ledger gets those of its program when it is created or upgraded.
"""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("dictionary.toml")
VIEW_TEXTS, SHARED = "views", "shared"
QUOTE = "'"


@cache
def load_texts() -> Mapping[str, Mapping[str, str]]:
    """Read all texts: those of views, shared ones of columns, and a table for each view."""
    return tomllib.loads(SOURCE.read_text(encoding="utf-8"))


def describe(view: str, column: str) -> str:
    """Return what a column of a view means: the view's own text, else the shared one."""
    texts = load_texts()
    return texts.get(view, {}).get(column) or texts[SHARED][column]


def build_comments(columns: Iterable[tuple[str, str]]) -> str:
    """Build the SQL that comments every view and, given as (view, column), every column."""
    texts = [(f"VIEW {view}", said) for view, said in load_texts()[VIEW_TEXTS].items()]
    texts += [(f"COLUMN {view}.{column}", describe(view, column)) for view, column in columns]
    return ";\n".join(f"COMMENT ON {named} IS '{said.replace(QUOTE, QUOTE * 2)}'" for named, said in texts)
