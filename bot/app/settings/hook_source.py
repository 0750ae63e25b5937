"""What a hooks file may contain, checked on its syntax tree before any of it runs.

It checks a contract and is no sandbox: an honest author learns at once what would make two runs of
a strategy differ.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bot.app.settings.kinds import near

SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "veto": ("view", "bracket"),
    "rank": ("view", "bracket"),
    "adjust_bracket": ("view", "bracket"),
    "extra_exits": ("view", "holding"),
}
MODULES = frozenset({
    "__future__", "collections", "dataclasses", "datetime", "decimal", "enum", "fractions",
    "functools", "itertools", "math", "operator", "statistics", "typing",
})  # fmt: skip
PACKAGES = ("bot.domain.", "bot.engine.")
# Builtins that reach beyond a hook's arguments, or differ from one process to the next.
REACHING = frozenset({
    "breakpoint", "compile", "delattr", "dir", "eval", "exec", "exit", "getattr", "globals", "hash",
    "help", "id", "input", "locals", "open", "print", "quit", "setattr", "vars",
})  # fmt: skip
CLOCKS = frozenset({"now", "today", "utcnow"})
# Public members of named tuples, although their names begin with an underscore.
OF_NAMED_TUPLES = frozenset({"_asdict", "_fields", "_make", "_replace"})
VALUES = frozenset({"NamedTuple", "Enum", "StrEnum", "IntEnum"})


class Offence(NamedTuple):
    """Something that a hooks file may not contain: its line, and the reason with its remedy."""

    line: int
    reason: str


def offences(tree: ast.Module) -> list[Offence]:
    """List a hooks file's offences by line; a missing hook is listed only if there is no other."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    hooks = [node for node in functions if node.name in SIGNATURES]
    first = {node.name: node for node in reversed(hooks)}
    nodes = [(getattr(node, "lineno", 0), node) for node in ast.walk(tree)]
    found = [
        *(Offence(node.lineno, reason) for node in tree.body for reason in _at_the_top(node)),
        *(Offence(line, reason) for line, node in nodes for reason in _anywhere(node)),
        *(
            Offence(node.lineno, f"{node.name} is defined twice: keep one")
            for node in hooks
            if node is not first[node.name]
        ),
    ]
    if not found and not hooks:
        known = ", ".join(SIGNATURES)
        return [Offence(1, f"no hook in it: define one of {known}, or move the file away")]
    return sorted(found)


def find_assignments(tree: ast.Module) -> dict[str, int]:
    """Find the names that a file assigns at its top level, each with its line."""
    # A target may be a tuple or an attribute, so each is searched for the names that it stores.
    return {
        node.id: node.lineno
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
        for target in (
            statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        )
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _at_the_top(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef():
            yield from _of_function(node)
        # _out_of_reach refuses async functions, also inside a function.
        case ast.Import() | ast.ImportFrom() | ast.ClassDef() | ast.AsyncFunctionDef():
            pass
        case ast.Expr(value=ast.Constant(value=str())):
            pass
        case ast.Assign() | ast.AnnAssign():
            for name in SIGNATURES:
                if name in find_assignments(ast.Module([node], [])):
                    yield f"{name} must be a function: write {_signature_of(name)}"
        case _:
            yield (
                "only imports, constants, functions and frozen values stand at the top:"
                " move this into a function"
            )


def _of_function(node: ast.FunctionDef) -> Iterator[str]:
    if node.name not in SIGNATURES:
        if not node.name.startswith("_"):
            known = near(node.name, SIGNATURES) or f"; hooks are {', '.join(SIGNATURES)}"
            yield f"{node.name} is no hook{known}: a function of your own begins with _"
        return
    given = node.args
    names = tuple(argument.arg for argument in given.args)
    others = (*given.posonlyargs, *given.kwonlyargs, *given.defaults, given.vararg, given.kwarg)
    if names != SIGNATURES[node.name] or any((*others, *node.decorator_list)):
        mend = f"write {_signature_of(node.name)}, without defaults or decorators"
        yield f"{node.name} has another signature: {mend}"


def _signature_of(name: str) -> str:
    return f"def {name}({', '.join(SIGNATURES[name])})"


def _anywhere(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import():
            names = (alias.name for alias in node.names)
            yield from (_of_module(name) for name in names if not _is_allowed(name))
        case ast.ImportFrom():
            yield from _of_import(node)
        case ast.ClassDef():
            if not _is_value(node):
                mend = "make it a NamedTuple, or put @dataclass(frozen=True) above it"
                yield f"{node.name} can change: {mend}"
        case ast.FunctionDef(args=given) | ast.Lambda(args=given):
            defaults = (*given.defaults, *given.kw_defaults)
            if any(isinstance(one, ast.List | ast.Dict | ast.Set) for one in defaults):
                yield "a default that can change keeps something between calls: use a tuple or None"
        case _:
            yield from _out_of_reach(node)


def _out_of_reach(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name():
            if node.id in REACHING or (node.id.startswith("__") and node.id.endswith("__")):
                reason = "which see their arguments and nothing else: leave it out"
                yield f"{node.id} is not for hooks, {reason}"
        case ast.Attribute():
            if node.attr.startswith("_") and node.attr not in OF_NAMED_TUPLES:
                reason = "is not for hooks, which see values from outside only: leave it out"
                yield f"{node.attr} {reason}"
            elif node.attr in CLOCKS:
                yield f".{node.attr} reads a clock: take the time from the view"
            elif not isinstance(node.ctx, ast.Load):
                mend = "values do not change, make a new one with dataclasses.replace"
                yield f".{node.attr} is set: {mend}"
        case ast.Global():
            reason = "a hook keeps nothing between calls: return what it finds"
            yield f"global {', '.join(node.names)}: {reason}"
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield "a hook waits for nothing: write it without async and await"


def _of_module(name: str) -> str:
    known = ", ".join(sorted(MODULES - {"__future__"}))
    return f"{name} is not for hooks: import from {known}, bot.domain or bot.engine"


def _is_allowed(name: str) -> bool:
    return name.partition(".")[0] in MODULES or f"{name}.".startswith(PACKAGES)


def _of_import(node: ast.ImportFrom) -> Iterator[str]:
    if node.level or not _is_allowed(node.module or ""):
        yield _of_module("." * node.level + (node.module or ""))
    for alias in node.names:
        name = alias.asname or alias.name
        if name == "*":
            yield f"from {node.module} import * hides what is used: name it"
        if name in SIGNATURES:
            yield f"{name} must be a function of this file: import it under another name"


def _is_value(node: ast.ClassDef) -> bool:
    """Check whether a class makes immutable values: a frozen dataclass, a NamedTuple or an enum."""
    calls = (one for one in node.decorator_list if isinstance(one, ast.Call))
    words = (word for one in calls if _last(one.func) == "dataclass" for word in one.keywords)
    return any(_last(parent) in VALUES for parent in node.bases) or any(
        word.arg == "frozen" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in words
    )


def _last(node: ast.expr) -> str:
    """Read a name, or the last part of a dotted one; any other expression gives an empty text."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
