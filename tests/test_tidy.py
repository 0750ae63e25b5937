"""The tree obeys the rules that no linter knows, and each rule is seen to fire on bad source."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tidy_rules, tidy_words
from tests.tidy_rules import Rule, Sources

ROOT = Path(__file__).resolve().parent.parent
TEXT = frozenset({".py", ".toml", ".md", ".lock", ".cfg", ".ini", ".yml", ".yaml", ".sql", ".sh", ".txt"})

GOOD = '"""A module."""\n'
CLOCK = {"bot/adapters/clock.py": "at = datetime.now(UTC)"}
REASONS = {"bot/domain/decisions.py": 'class Reason(StrEnum):\n    EXPIRED = "expired"\n    LOST = "lost"'}

# Each rule with sources that break it, and how often they do.
BROKEN: list[tuple[Rule, Sources, int]] = [
    (tidy_rules.long_files, {"bot/long.py": "x = 1\n" * 401, "bot/short.py": "x = 1\n" * 400}, 1),
    (tidy_rules.long_functions, {"bot/long.py": "def f():\n" + "    x = 1\n" * 50}, 1),
    (tidy_rules.empty_names, {"bot/utils.py": "class Manager: ...\ndef _process(): ...\ndef process_bars(): ..."}, 3),
    (tidy_rules.empty_names, {"bot/common/rows.py": ""}, 1),
    (tidy_rules.mode_words, {"bot/app/x.py": "run(dry_run=True)", "bot/cli/x.py": "dry_run = True"}, 1),
    (tidy_rules.mode_words, {"bot/engine/x.py": "if rules.is_live or run_backtest(): ..."}, 2),
    (tidy_rules.clock_reads, CLOCK | {"bot/app/x.py": "at = datetime.datetime.utcnow()\nfrom time import time"}, 2),
    (tidy_rules.clock_reads, CLOCK | {"bot/app/x.py": "opened_at: datetime = field(default_factory=datetime.now)"}, 1),
    (tidy_rules.clock_reads, {"bot/adapters/clock.py": "first, second = datetime.now(UTC), time.time()"}, 1),
    (tidy_rules.clock_reads, {"bot/adapters/clock.py": ""}, 1),
    (tidy_rules.stopwatches, {"bot/engine/x.py": "time.monotonic()", "bot/app/x.py": "time.monotonic()"}, 1),
    (tidy_rules.impure_core, {"bot/engine/x.py": "import os\nimport httpx\nfrom uuid import uuid4, uuid5"}, 3),
    (tidy_rules.impure_core, {"bot/domain/x.py": "seed = hash('a')\nimport numpy\nfrom bot.domain import ids"}, 1),
    (tidy_rules.set_iterations, {"bot/engine/x.py": "for x in {1, 2}: ...\ny = [x for x in set(z)]"}, 2),
    (tidy_rules.set_iterations, {"bot/domain/x.py": "list(set(a) | b)\nsorted({1})\n','.join({a for a in b})"}, 2),
    (tidy_rules.float_equalities, {"bot/engine/x.py": "x == 0.5\n-1.0 != y\nz == 1\nx < 0.5"}, 2),
    (tidy_rules.broad_excepts, {"bot/app/x.py": "try: ...\nexcept (OSError, Exception): ...\n"}, 1),
    (tidy_rules.broad_excepts, {"bot/app/live/daemon.py": "try: ...\nexcept Exception: ...\n" * 2}, 1),
    (tidy_rules.broad_excepts, {"bot/app/cycle/schedule.py": "try: ...\nexcept Exception: ...\n"}, 1),
    (tidy_rules.broad_excepts, {"bot/app/settings/hooks.py": "try: ...\nexcept Exception: ...\n" * 3}, 2),
    (tidy_rules.broad_excepts, {"bot/app/settings/hook_source.py": "try: ...\nexcept Exception: ...\n"}, 1),
    (tidy_rules.broad_excepts, {"bot/cli/x.py": "try: ...\nexcept: ...\n"}, 1),
    (tidy_rules.unused_reasons, REASONS | {"bot/engine/x.py": "reason = Reason.EXPIRED"}, 1),
    (tidy_rules.unfinished, {"README.md": "TO" + "DO: more"}, 1),
    (tidy_rules.machine_paths, {"README.md": "see /" + "root/x"}, 1),
    (tidy_rules.index_addresses, {"requirements.lock": "--extra-index" + "-url=x"}, 1),
    (tidy_rules.silent_modules, {"bot/x.py": "x = 1", "bot/y.py": GOOD}, 1),
    (tidy_words.participle_names, {"bot/x.py": "def told(): ...\ndef _rows_kept(): ...\ndef read_listed(): ..."}, 2),
    (tidy_words.participle_names, {"bot/x.py": "def known_by(): ...\ndef moved_at(): ...\ndef need(): ..."}, 1),
    (tidy_words.twin_classes, {"bot/app/x.py": "class Bar: ...", "bot/domain/y.py": "class Bar: ..."}, 1),
    (tidy_words.twin_files, {"bot/app/a/rows.py": "", "bot/app/b/rows.py": "", "bot/engine/rows.py": ""}, 1),
    (tidy_words.nested_comprehensions, {"bot/x.py": "[[[c for c in b] for b in a] for a in z]"}, 1),
    (tidy_words.nested_comprehensions, {"bot/x.py": "[[b for b in a] for a in z]"}, 0),
    (tidy_words.wide_lines, {"bot/x.py": "x = 1\n" * 96 + f"y = '{'y' * 100}'\n" * 4}, 1),
    (tidy_words.wide_lines, {"bot/x.py": "x = 1\n" * 97 + f"y = '{'y' * 100}'\n" * 3}, 0),
    (tidy_words.echoing_docstrings, {"bot/x.py": "def f():\n    'Return it.'\n"}, 1),
    (tidy_words.hidden_imports, {"bot/app/x.py": "def f():\n    from bot.app import y\n    import numpy\n"}, 1),
    (tidy_words.hidden_imports, {"bot/cli/x.py": "def f():\n    from bot.app import y\n", "bot/y.py": "import bot"}, 0),
    (tidy_rules.silent_tests, {"tests/test_x.py": "def test_it(): ...\ndef given(): ..."}, 1),
]

RULES = {rule.__name__: rule for rule, _, _ in BROKEN}


@pytest.fixture(scope="module")
def tree() -> Iterator[Sources]:
    """Every text file of the project that is or would be committed."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is where it is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # A source archive has no git: there everything is the project's but what set-up made.
    names = listing.stdout.splitlines() or [
        path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if ".venv" not in path.parts
    ]
    paths = [ROOT / name for name in names]
    yield {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file() and (path.suffix in TEXT or path.name in {"Makefile", "run"})
    }
    # Some hundred thousand nodes would be a burden to every collection of garbage after these tests.
    tidy_rules.nodes_of.cache_clear()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_tree_is_tidy(rule: Rule, tree: Sources) -> None:
    """Nothing in the project breaks the rule."""
    assert rule(tree) == []


@pytest.mark.parametrize(
    ("rule", "sources", "count"),
    BROKEN,
    ids=[f"{number}-{rule.__name__}" for number, (rule, _, _) in enumerate(BROKEN)],
)
def test_a_rule_fires(rule: Rule, sources: Sources, count: int) -> None:
    """The rule finds each offence in bad source and nothing more."""
    assert len(rule(sources)) == count


def test_every_rule_is_applied() -> None:
    """No rule was written and then forgotten: each has bad source here, and so is asked about the tree."""
    written = {
        name
        for name, rule in (vars(tidy_rules) | vars(tidy_words)).items()
        if callable(rule) and getattr(rule, "__annotations__", {}).get("return") == list[str]
    }
    assert written == set(RULES)
