"""Rules that no linter knows, each a function over sources: paths with their text in, findings out.

A rule reads text and syntax trees only; it never imports what it judges.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import PurePosixPath

Sources = Mapping[str, str]
Rule = Callable[[Sources], list[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
CLOCK = "bot/adapters/clock.py"
CORE = ("bot/domain/", "bot/engine/", "bot/figures/")
# Where a bug may be caught: one guard keeps the daemon going, one turns what a user's hook raises into its answer.
GUARDS = ("bot/app/live/daemon.py", "bot/app/settings/hooks.py")
PRODUCT = ("bot/", "migrations/", "strategies/")

SAYS_NOTHING = frozenset(
    {
        "manager", "managers", "handler", "handlers", "helper", "helpers", "util", "utils", "process", "data",
        "info", "do", "base", "common", "misc", "temp",
    }
)
MODE_WORD = re.compile(r"\w*(?:is_live|dry_run|backtest|paper_mode)\w*", re.IGNORECASE)
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
MACHINE_PATH = re.compile(r"(?<![\w.>)\]/])/(?:home|root|Users|work|farm|opt|tmp/bash_jobs)/\w")
INDEX_ADDRESS = re.compile(r"https?://[^ \"]*/(?:simple|packages)/|index-" + r"url|find-" + r"links", re.IGNORECASE)

WALL_CLOCK = frozenset(
    {
        "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns",
        "time.localtime", "time.gmtime",
    }
)
INTERVAL_CLOCK = frozenset(
    f"time.{name}{unit}" for name in ("monotonic", "perf_counter", "process_time") for unit in ("", "_ns")
)
IMPURE_MODULES = frozenset(
    {
        "random", "secrets", "os", "time", "logging", "structlog", "socket", "threading", "asyncio", "subprocess",
    }
)
IMPURE_CALLS = frozenset({"id", "hash", "open", "print", "input", "eval", "exec"})
CHANCE = frozenset({"uuid.uuid1", "uuid.uuid4"})
IN_ORDER_OF = frozenset(
    {
        "list", "tuple", "enumerate", "iter", "next", "map", "filter", "zip", "dict", "join",
    }
)


def within(sources: Sources, *starts: str) -> Sources:
    """Keep the Python files below these folders."""
    return {path: text for path, text in sources.items() if path.endswith(".py") and path.startswith(starts)}


@cache
def nodes_of(text: str) -> tuple[ast.AST, ...]:
    """List every node of a file, the module itself first; a dozen rules walk the same tree."""
    return tuple(ast.walk(ast.parse(text)))


def nodes(sources: Sources) -> Iterator[tuple[str, ast.AST]]:
    """Walk every node of every file, with its path."""
    for path, text in sources.items():
        for node in nodes_of(text):
            yield path, node


def dotted(node: ast.AST) -> str:
    """Spell a name or a chain of attributes, empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def uses_of(sources: Sources, names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Find `module.name` used, or imported on its own, called or not."""
    for path, node in nodes(sources):
        if isinstance(node, ast.Attribute) and (last_two := ".".join(dotted(node).split(".")[-2:])) in names:
            yield f"{path}:{node.lineno}", last_two
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f"{node.module}.{alias.name}" in names:
                    yield f"{path}:{node.lineno}", f"{node.module}.{alias.name}"


def imports_of(sources: Sources) -> Iterator[tuple[str, str]]:
    """Find each imported module."""
    for path, node in nodes(sources):
        if isinstance(node, ast.Import):
            yield from ((f"{path}:{node.lineno}", alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{path}:{node.lineno}", node.module or "."


def long_files(sources: Sources) -> list[str]:
    """A file of the product that is longer than anyone reads at once."""
    lengths = {path: len(text.splitlines()) for path, text in within(sources, *PRODUCT).items()}
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > FILE_LINES_MAX]


def long_functions(sources: Sources) -> list[str]:
    """A function that is longer than a screen."""
    return [
        f"{path}:{node.lineno}: {node.name}"
        for path, node in nodes(within(sources, *PRODUCT, "tests/"))
        if isinstance(node, Function) and (node.end_lineno or node.lineno) - node.lineno >= FUNCTION_LINES_MAX
    ]


def empty_names(sources: Sources) -> list[str]:
    """A folder, module, class or function whose whole name says nothing."""
    files = within(sources, *PRODUCT, "tests/")
    paths = [path for path in files if SAYS_NOTHING & set(PurePosixPath(path).with_suffix("").parts)]
    return paths + [
        f"{path}:{node.lineno}: {node.name}"
        for path, node in nodes(files)
        if isinstance(node, Function | ast.ClassDef) and node.name.strip("_").lower() in SAYS_NOTHING
    ]


def mode_words(sources: Sources) -> list[str]:
    """A word by which code below the command line could tell live from replay."""
    return [
        f"{path}: {word}"
        for path, text in within(sources, "bot/").items()
        if not path.startswith("bot/cli/")
        for word in MODE_WORD.findall(text)
    ]


def clock_reads(sources: Sources) -> list[str]:
    """A reading of the wall clock beside the one in the clock."""
    reads = list(uses_of(within(sources, "bot/", "strategies/"), WALL_CLOCK))
    strays = [f"{where}: {name}" for where, name in reads if not where.startswith(CLOCK)]
    count = len(reads) - len(strays)
    return strays + ([] if count == 1 else [f"{CLOCK}: {count} readings"])


def stopwatches(sources: Sources) -> list[str]:
    """A measurement of elapsed time where something is decided."""
    outside = ("bot/adapters/", "bot/app/", "bot/simulator/")
    uses = uses_of(within(sources, "bot/", "strategies/"), INTERVAL_CLOCK)
    return [f"{where}: {name}" for where, name in uses if not where.startswith(outside)]


def impure_core(sources: Sources) -> list[str]:
    """Chance, environment, logs or a library but numpy where something is decided."""
    core = within(sources, *CORE)
    allowed = (sys.stdlib_module_names | {"bot", "numpy"}) - IMPURE_MODULES
    found = [f"{where}: {name}" for where, name in imports_of(core) if name.split(".")[0] not in allowed]
    found += [f"{where}: {name}" for where, name in uses_of(core, CHANCE)]
    return found + [
        f"{path}:{node.lineno}: {node.func.id}()"
        for path, node in nodes(core)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS
    ]


def is_set(node: ast.AST) -> bool:
    """Tell whether an expression is plainly a set."""
    if isinstance(node, ast.BinOp):
        return is_set(node.left) or is_set(node.right)
    return isinstance(node, ast.Set | ast.SetComp) or (
        isinstance(node, ast.Call) and dotted(node.func) in {"set", "frozenset"}
    )


def iterated(node: ast.AST) -> list[ast.expr]:
    """Return what this node takes one by one, in the order in which it comes."""
    if isinstance(node, ast.For | ast.comprehension):
        return [node.iter]
    if isinstance(node, ast.Starred):
        return [node.value]
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
        return node.args if called in IN_ORDER_OF else []
    return []


def set_iterations(sources: Sources) -> list[str]:
    """An iteration in an order that depends on the hash seed."""
    core = within(sources, *CORE)
    return [f"{path}:{one.lineno}" for path, node in nodes(core) for one in iterated(node) if is_set(one)]


def is_float(node: ast.expr) -> bool:
    """Tell whether an expression is plainly a binary float."""
    if isinstance(node, ast.UnaryOp):
        return is_float(node.operand)
    return (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
        isinstance(node, ast.Call) and dotted(node.func) == "float"
    )


def float_equalities(sources: Sources) -> list[str]:
    """A question whether a float is exactly something."""
    return [
        f"{path}:{node.lineno}"
        for path, node in nodes(within(sources, *CORE))
        if isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        and any(is_float(side) for side in (node.left, *node.comparators))
    ]


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler catches bugs too."""
    caught = handler.type
    named = caught.elts if isinstance(caught, ast.Tuple) else [caught] if caught else []
    return not named or any(dotted(one) in {"Exception", "BaseException"} for one in named)


def broad_excepts(sources: Sources) -> list[str]:
    """A guard that swallows bugs beside the two that may: the daemon's, and the one around hooks."""
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes(within(sources, "bot/", "strategies/"))
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    allowed = [next((where for where in found if where.startswith(f"{guard}:")), None) for guard in GUARDS]
    return [where for where in found if where not in allowed]


def unused_reasons(sources: Sources) -> list[str]:
    """A reason that nothing ever gives."""
    product = within(sources, "bot/")
    members = {
        target.id
        for _, node in nodes(product)
        if isinstance(node, ast.ClassDef) and node.name == "Reason"
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    used = {dotted(node) for _, node in nodes(product) if isinstance(node, ast.Attribute)}
    if not members:
        return ["no class Reason"]
    return sorted(f"Reason.{name}" for name in members if f"Reason.{name}" not in used)


def unfinished(sources: Sources) -> list[str]:
    """A note to oneself."""
    return [f"{path}: {word}" for path, text in sources.items() for word in UNFINISHED.findall(text)]


def machine_paths(sources: Sources) -> list[str]:
    """A path that only one machine has."""
    return [f"{path}: {found}" for path, text in sources.items() for found in MACHINE_PATH.findall(text)]


def index_addresses(sources: Sources) -> list[str]:
    """The address of a package index."""
    return [f"{path}: {found}" for path, text in sources.items() for found in INDEX_ADDRESS.findall(text)]


def silent_modules(sources: Sources) -> list[str]:
    """A module that does not say what it is."""
    return [
        path
        for path, node in nodes(within(sources, *PRODUCT, "tests/"))
        if isinstance(node, ast.Module) and not ast.get_docstring(node)
    ]


def silent_tests(sources: Sources) -> list[str]:
    """A test that does not say what it shows."""
    return [
        f"{path}:{node.lineno}: {node.name}"
        for path, node in nodes(within(sources, "tests/"))
        if isinstance(node, Function) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
