"""The recipes of CONTRIBUTING.md work in a copy of the tree, and no step can be forgotten unnoticed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ledger_recipes import OF_THE_LEDGER
from tests.recipes import MAKE_DOCS, RULES_AND_COMMANDS, Recipe, Step

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
COPIED = (
    "bot", "tests", "docs", "strategies", "migrations", "README.md", "CONTRIBUTING.md", "config.example.toml",
    "pyproject.toml",
)
SIDE_BY_SIDE = 2
# What `make docs` does, as far as it can, then the tests.
RUN = """
import contextlib, runpy, sys, pytest
if sys.argv.pop(1) == "docs":
    for written in ("tests.strategy_reference", "tests.ledger_reference"):
        with contextlib.suppress(Exception):
            runpy.run_module(written, run_name="__main__")
sys.exit(pytest.main(sys.argv[1:]))
"""
# Without conftest.py and installed plugins a run of a few tests begins at once, and starts no PostgreSQL.
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "--noconftest")

RECIPES = {one.name: one for one in (*RULES_AND_COMMANDS, *OF_THE_LEDGER)}


class Line(NamedTuple):
    """A line of the table: what is added, the files to touch, and the tests that notice what was forgotten."""

    name: str
    touched: tuple[str, ...]
    noticed: frozenset[str]


def read_lines() -> Iterator[Line]:
    """Read the table of recipes; what stands in parentheses is for some cases only."""
    table = GUIDE.partition("| to add |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        name, touched, noticed = (cell.strip() for cell in line.strip("|").split("|"))
        touched, noticed = (re.sub(r"\([^()]*\)", "", cell) for cell in (touched, noticed))
        yield Line(name, tuple(paths_in(touched)), frozenset(paths_in(noticed)))


def paths_in(text: str) -> Iterator[str]:
    """Find the files, the folders (with a slash at the end) and `make docs`, each as a path from the root."""
    for found in re.findall(rf"`({MAKE_DOCS}|[\w./]+(?:/|\.(?:py|md|toml|lock)))`", text):
        yield f"bot/{found}" if (ROOT / "bot" / found).exists() else found


LINES = {line.name: line for line in read_lines()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a recipe touches, and of what its tests read."""
    folder = tmp_path_factory.mktemp("recipes") / "tree"
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name)
        else:
            shutil.copy2(ROOT / name, folder / name)
    return folder


def make(steps: Sequence[Step], folder: Path, *, all_of_them: bool) -> None:
    """Make the edits of these steps; one that stands on a step left out is left out as well."""
    for step in steps:
        path = folder / step.path
        for after, text in step.edits.items():
            if not after:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
                continue
            found = path.read_text()
            assert found.count(after) == 1 or not all_of_them, (step.path, after)
            path.unlink()  # the other copies have the same file
            path.write_text(found.replace(after, after + text))


def link(source: str, target: str) -> None:
    """Let a copy share a file, but not one that `make docs` writes."""
    if source.endswith(".md"):
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def run(recipe: Recipe, tree: Path, folder: Path, left_out: int | None = None) -> str:
    """Follow a recipe in a copy, all but one of its steps, and run its tests; return what they print if one fails."""
    shutil.copytree(tree, folder, copy_function=link)
    plugin = () if recipe.plugin is None else ("-p", recipe.plugin)
    steps = [step for place, step in enumerate(recipe.steps) if place != left_out]
    make([step for step in steps if step.path != MAKE_DOCS], folder, all_of_them=left_out is None)
    docs = "docs" if any(step.path == MAKE_DOCS for step in steps) else "none"
    done = subprocess.run(
        [sys.executable, "-c", RUN, docs, *OPTIONS, *plugin, f"--basetemp={folder / 'tmp'}", *recipe.tests],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr + f"exit code {done.returncode}"


@pytest.mark.recipe
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_works_and_each_of_its_steps_is_missed(tree: Path, tmp_path: Path, name: str) -> None:
    """With all steps the tests of the recipe pass; with any step left out one of them fails."""
    recipe = RECIPES[name]
    variants = [None, *range(len(recipe.steps))]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        whole, *parts = pool.map(lambda one: run(recipe, tree, tmp_path / f"without-{one}", one), variants)
    assert whole == ""
    assert [step.path for step, printed in zip(recipe.steps, parts, strict=True) if not printed] == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_touches_what_the_guide_names(name: str) -> None:
    """The files of the steps are those of the table, in its order; so are the tests."""
    named = LINES[name].touched
    touched = [next((one for one in named if covers(one, step.path)), step.path) for step in RECIPES[name].steps]
    assert tuple(dict.fromkeys(touched)) == named
    assert {test.partition("::")[0] for test in RECIPES[name].tests} == LINES[name].noticed


def covers(named: str, path: str) -> bool:
    """Check whether a name of the table stands for a file: its own, or that of a folder around it."""
    return path == named or (named.endswith("/") and path.startswith(named))


def test_every_file_of_the_guide_exists() -> None:
    """The guide names no file and no folder that is not there."""
    missing = [path for path in paths_in(GUIDE) if path != MAKE_DOCS and not (ROOT / path).exists()]
    assert missing == []
