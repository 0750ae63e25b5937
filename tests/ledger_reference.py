"""The dictionary of docs/ledger.md, made from the texts of views and columns; and the SQL of the documents.

`make docs` writes it between its marks; tests/test_docs.py finds what was not written anew.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, inspect

from bot.adapters.sql.dictionary import VIEW_TEXTS, describe, load_texts
from bot.adapters.sql.schema.column_types import metadata
from bot.adapters.sql.schema.triggers import create_views
from bot.adapters.sql.views import VIEWS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "ledger.md"
MARKED = re.compile(r"(<!-- dictionary -->\n).*?(<!-- end -->)", re.DOTALL)
BLOCK = re.compile(r"^```sql\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEAD = "| column | meaning |\n|---|---|\n"


def with_dictionary(text: str) -> str:
    """Return a document with the dictionary as the texts say it."""
    chapters = "".join(chapter_of(*one) for one in columns_of_views())
    return MARKED.sub(lambda found: f"{found[1]}{chapters}\n{found[2]}", text)


def chapter_of(view: str, columns: list[str]) -> str:
    """Write what a view is, and the table of its columns."""
    rows = "".join(f"| `{column}` | {describe(view, column)} |\n" for column in columns)
    return f"\n### `{view}`\n\n{load_texts()[VIEW_TEXTS][view]}\n\n{HEAD}{rows}"


def columns_of_views() -> list[tuple[str, list[str]]]:
    """List the columns of every view, as an empty ledger has them."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        create_views(connection)
        look = inspect(connection)
        found = [(view, [column["name"] for column in look.get_columns(view)]) for view in VIEWS]
    engine.dispose()
    return found


def queries() -> Iterator[tuple[str, str, str]]:
    """Find every SQL query of the documents: the document, the question in front of it, the statement."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in BLOCK.findall(path.read_text(encoding="utf-8")):
            for part in re.split(r";\s*$", block, flags=re.MULTILINE):
                lines = part.strip().splitlines()
                said = " ".join(line.removeprefix("--").strip() for line in lines if line.startswith("--"))
                if asked := "\n".join(line for line in lines if not line.startswith("--")):
                    yield path.name, said, asked


if __name__ == "__main__":
    DOCUMENT.write_text(with_dictionary(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
