"""Rules about names, twins, lines and hidden imports: what makes code hard to read before it is wrong.

As in `tidy_rules`, a rule reads text and syntax trees only.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.tidy_rules import Function, Sources, nodes, within

COLUMNS = 100
WIDE_SHARE = 0.03
RETURN_SHARE = 0.2
NESTED_MAX = 2
IRREGULAR = frozenset(
    {
        "told", "made", "held", "kept", "known", "seen", "said", "taken", "given", "found", "written", "shown", "drawn",
        "born", "built", "sent", "brought", "thought", "laid", "paid", "gone", "done", "begun", "lost", "met", "won",
        "spent", "chosen", "broken", "spoken", "woken", "driven", "risen", "fallen", "hidden", "worn", "left",
    }
)
NO_PARTICIPLES = frozenset({"need", "feed", "seed", "speed", "exceed"})
PREPOSITIONS = frozenset(
    {"by", "on", "for", "over", "before", "until", "with", "inside", "to", "from", "instead", "into", "in", "of", "as"}
)
# A name that begins with one of these is a verb or a predicate, whatever it ends with.
LEADING = frozenset(
    {
        "ask", "check", "choose", "count", "find", "has", "is", "list", "make", "may", "open", "parse", "plan", "print",
        "read", "select", "show", "tell", "test", "last",
    }
)
COMPREHENSION = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def is_participle(word: str) -> bool:
    """Check whether a word of a name is a past participle."""
    return word in IRREGULAR or (word.endswith("ed") and word not in NO_PARTICIPLES)


def is_named_by_participle(name: str) -> bool:
    """Check whether a function's name says what came of something instead of what the function does."""
    words = [word for word in name.split("_") if word]
    if not words or name.startswith("__") or words[0] in LEADING or words[-1] == "at":
        return False
    first_alone = len(words) == 1 or words[1] in PREPOSITIONS
    return is_participle(words[-1]) or (is_participle(words[0]) and first_alone)


def participle_names(sources: Sources) -> list[str]:
    """A function named by a participle; a property is a value, so an adjective may name it."""
    return [
        f"{path}:{node.lineno}: {node.name}"
        for path, node in nodes(within(sources, "bot/"))
        if isinstance(node, Function) and not node.decorator_list and is_named_by_participle(node.name)
    ]


def twin_classes(sources: Sources) -> list[str]:
    """A class name that means two things."""
    places = defaultdict(list)
    for path, node in nodes(within(sources, "bot/")):
        if isinstance(node, ast.ClassDef):
            places[node.name].append(path)
    return [f"{name}: {', '.join(paths)}" for name, paths in places.items() if len(paths) > 1]


def twin_files(sources: Sources) -> list[str]:
    """A file name that one floor has twice."""
    places = defaultdict(list)
    for path in within(sources, "bot/"):
        floor, name = PurePosixPath(path).parts[1], PurePosixPath(path).name
        if name != "__init__.py":
            places[floor, name].append(path)
    return [", ".join(paths) for paths in places.values() if len(paths) > 1]


def depth(node: ast.AST) -> int:
    """Count how deep comprehensions nest in a piece of code."""
    inside = max((depth(child) for child in ast.iter_child_nodes(node)), default=0)
    return inside + isinstance(node, COMPREHENSION)


def nested_comprehensions(sources: Sources) -> list[str]:
    """A comprehension inside a comprehension inside a comprehension."""
    return [
        f"{path}:{node.lineno}"
        for path, node in nodes(within(sources, "bot/"))
        if isinstance(node, COMPREHENSION) and depth(node) > NESTED_MAX
    ]


def wide_lines(sources: Sources) -> list[str]:
    """More than three of a hundred lines over a hundred columns."""
    lines = [line for text in within(sources, "bot/").values() for line in text.splitlines()]
    count = sum(len(line) > COLUMNS for line in lines)
    return [f"{count} of {len(lines)} lines"] if count > WIDE_SHARE * len(lines) else []


def echoing_docstrings(sources: Sources) -> list[str]:
    """More than a fifth of the functions' docstrings beginning with the word Return."""
    found = [
        text
        for _, node in nodes(within(sources, "bot/"))
        if isinstance(node, Function) and (text := ast.get_docstring(node))
    ]
    count = sum(text.startswith("Return") for text in found)
    return [f"{count} of {len(found)} docstrings"] if count > RETURN_SHARE * len(found) else []


def imports_inside(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Find the imports anywhere inside a node: line and module."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.ImportFrom):
            yield inner.lineno, inner.module or ""
        elif isinstance(inner, ast.Import):
            yield from ((inner.lineno, alias.name) for alias in inner.names)


def hidden_imports(sources: Sources) -> list[str]:
    """An import of our own inside a function: it hides a circle; only a command imports what it runs."""
    below = {path: text for path, text in within(sources, "bot/").items() if not path.startswith("bot/cli/")}
    return sorted(
        {
            f"{path}:{line}"
            for path, node in nodes(below)
            if isinstance(node, Function)
            for line, module in imports_inside(node)
            if module.split(".")[0] == "bot"
        }
    )
