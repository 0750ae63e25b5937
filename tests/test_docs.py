"""README, the example configuration, the strategies and the code say the same."""

import argparse
import ast
import importlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bot.adapters.sql.dictionary import SHARED, VIEW_TEXTS, load_texts
from bot.app.settings.strategies import load_strategy
from bot.app.settings.strategy_keys import KEYS
from bot.app.settings.tables import InnerTable, every
from bot.cli.main import main, parser
from bot.engine.demand import families
from tests.ledger_reference import DOCUMENT as LEDGER
from tests.ledger_reference import columns_of_views, with_dictionary
from tests.strategy_reference import DOCUMENT, MARKED, with_tables
from tests.strategy_texts import HEAD, SIZED

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
REFERENCE = DOCUMENT.read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", REFERENCE, re.DOTALL)


def commands() -> list[str]:
    """Return the names of all commands."""
    actions = parser()._actions
    return next(list(action.choices) for action in actions if isinstance(action, argparse._SubParsersAction))


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    """No command without a line of help, and none that the README does not mention."""
    for name in commands():
        assert main([name, "--help"]) == 0
        assert re.search(rf"(?:`|bot |make ){name}\b", README), name


def test_every_command_in_the_readme_exists() -> None:
    """Whatever the README writes after `bot` is a command."""
    mentioned = set(re.findall(r"(?:`|bin/)bot ([a-z]+)", README))
    assert mentioned <= set(commands()), mentioned


@pytest.mark.parametrize("path", sorted((ROOT / "bot" / "cli").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_command_calls_is_there(path: Path) -> None:
    """A command imports what it calls only when it runs: each of these imports succeeds."""
    named = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in named:
        if node.module is not None and node.module.startswith("bot."):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, one.name) for one in node.names if one.name != "Commands"), node.module


def test_the_readme_asks_at_least_three_questions() -> None:
    """Three SQL questions are promised."""
    assert len(re.findall(r"^select\b", README, flags=re.MULTILINE)) >= 3


@pytest.mark.parametrize("path", sorted((ROOT / "strategies").glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_strategy_loads_under_its_own_name(path: Path) -> None:
    """A strategy file that ships is valid, and is named as its file."""
    assert load_strategy(path, path.parent).name == path.stem


@pytest.mark.parametrize("path", sorted((ROOT / "strategies").glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_strategy_says_what_it_believes_and_when_it_fails(path: Path) -> None:
    """The header is an opinion with its limits, and the reference names the strategy."""
    header = path.read_text().partition("\n\n")[0]
    assert all(line.startswith("# ") for line in header.splitlines())
    assert re.search(r"^# Believes: .*^# Fails: ", header, re.MULTILINE | re.DOTALL)
    assert f"`{path.stem}`" in REFERENCE


def test_the_tables_of_the_reference_are_those_of_the_keys() -> None:
    """`make docs` would change nothing, and no section of keys and no family of rules is without its table."""
    assert with_tables(REFERENCE) == REFERENCE
    found = [(kind, section) for _, kind, section, _ in MARKED.findall(REFERENCE)]
    assert [section for kind, section in found if kind == "keys"] == sections()
    assert sorted(family for kind, family in found if kind == "rules") == sorted({kind for kind, _, _ in families()})


def sections() -> list[str]:
    """Return every section of keys, in the order of the reference: an inner table after the table around it."""
    found = list(dict.fromkeys(key.section for key in every(KEYS)))
    return sorted(found, key=lambda section: found.index(section.partition(".")[0]))


def completed(example: str) -> str:
    """Add to an example what every strategy needs and it does not show."""
    return ("" if "[strategy]" in example else HEAD) + example + ("" if "[sizing]" in example else SIZED)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[0])
def test_every_example_of_the_reference_is_accepted(tmp_path: Path, example: str) -> None:
    """What the reference shows can be copied."""
    (tmp_path / "shown.toml").write_text(completed(example))
    load_strategy("shown", tmp_path)


def paths_in(document: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Name every key of a document by its path, those of tables in a list once each."""
    for name, value in document.items():
        tables = value if isinstance(value, list) else [value]
        for table in tables:
            if isinstance(table, dict):
                yield from paths_in(table, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"


def test_every_key_has_an_example_in_the_reference() -> None:
    """No key is only described."""
    shown = {path for example in EXAMPLES for path in paths_in(tomllib.loads(example))}
    assert {key.path for key in every(KEYS) if not isinstance(key.kind, InnerTable)} - shown == set()


def test_the_hooks_of_the_reference_are_accepted(tmp_path: Path) -> None:
    """The functions that the reference shows load beside a strategy."""
    (hooks,) = re.findall(r"```python\n(.*?)```", REFERENCE, re.DOTALL)
    (tmp_path / "shown.toml").write_text(HEAD + SIZED)
    (tmp_path / "shown.py").write_text(hooks)
    assert load_strategy("shown", tmp_path).rules.hooks is not None


def test_the_dictionary_of_the_ledger_is_that_of_its_texts() -> None:
    """`make docs` would change nothing."""
    text = LEDGER.read_text(encoding="utf-8")
    assert with_dictionary(text) == text


def test_every_view_and_column_has_its_text_and_no_text_is_left_over() -> None:
    """None is forgotten, none names what is not there, and none of a view repeats the shared one."""
    texts, views = load_texts(), dict(columns_of_views())
    assert list(texts[VIEW_TEXTS]) == list(views)
    assert set(texts) - {VIEW_TEXTS, SHARED} <= set(views)
    owned = {view: texts.get(view, {}) for view in views}
    unsaid = {(view, one) for view, columns in views.items() for one in columns if one not in owned[view]}
    assert {column for _, column in unsaid} == set(texts[SHARED])
    for view, own in owned.items():
        assert set(own) <= set(views[view]), view
        assert not [column for column, said in own.items() if said == texts[SHARED].get(column)], view
    assert not [said for table in texts.values() for said in table.values() if "|" in said or not said]


def test_the_reference_leads_somewhere() -> None:
    """Every link inside the reference is to one of its headings."""
    headings = {
        re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", REFERENCE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", REFERENCE)) <= headings


def test_every_strategy_key_says_what_it_means() -> None:
    """No key without words of its own: the reference is made of them."""
    assert all(len(key.meaning) >= len("distance") for key in every(KEYS))
