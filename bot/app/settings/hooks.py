"""The hooks of a strategy: the Python file beside its TOML, checked before it runs.

Each hook is guarded: an error inside it becomes its answer, as one line, and never ends a cycle.
"""

import ast
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import walk_tb
from types import MappingProxyType
from typing import NamedTuple

from bot.app.settings.hook_source import SIGNATURES, find_assignments, offences
from bot.domain.errors import ConfigError
from bot.domain.ids import hash_text
from bot.engine.hooks import one_line
from bot.engine.rules import Hooks, Raised

Hook = Callable[..., object]

# An object's address differs between processes, and a stored row must not.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _Failure(NamedTuple):
    """An error's text on one line, and the line of the file that raised it, None where unknown."""

    told: str
    line: int | None


def load_hooks(path: Path) -> Hooks | None:
    """Read and check a hooks file, None if there is none; ConfigError names file, line and mend."""
    text = hooks_text(path)
    return None if text is None else hooks_from(path, text)


def hooks_text(path: Path) -> str | None:
    """Read the text of a hooks file; returns None when there is none."""
    if not path.exists():
        return None
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{path}: cannot be read: it must be a UTF-8 file of this user") from None


def hooks_from(path: Path, text: str) -> Hooks:
    """Check the text of a hooks file and build its hooks; path: the file that errors name."""
    tree = _parse(path, text)
    found = _execute(path, tree)
    hooks = {name: _guard(name, found[name], str(path)) for name in SIGNATURES if name in found}
    return Hooks(digest=hash_text(text), **hooks)


def _parse(path: Path, text: str) -> ast.Module:
    """Parse a text, and refuse what a hooks file may not contain."""
    try:
        tree = ast.parse(text)
        compile(tree, str(path), "exec", dont_inherit=True)  # finds errors that parsing does not
    except (SyntaxError, ValueError, RecursionError) as error:
        line, reason = getattr(error, "lineno", None), getattr(error, "msg", str(error))
        raise _refusal(path, line, f"not Python: {reason}") from None
    for offence in offences(tree):
        raise _refusal(path, offence.line, offence.reason)
    return tree


def _execute(path: Path, tree: ast.Module) -> dict[str, Hook]:
    """Run a checked file once and return its callables; its tables become read-only."""
    # A dataclass looks up its module in sys.modules. This name is always there, so that the hooks
    # need no module of their own.
    names: dict[str, object] = {"__name__": "__main__"}
    code = compile(tree, str(path), "exec", dont_inherit=True)
    # The file was checked, and is the user's own.
    failed = _call(lambda: exec(code, names), str(path))  # noqa: S102
    if isinstance(failed, _Failure):
        raise _refusal(path, failed.line, failed.told)
    for name, line in find_assignments(tree).items():
        value = names[name]
        if isinstance(value, list | set | bytearray | deque | Iterator):
            mend = "make it a tuple or a frozenset"
            raise _refusal(path, line, f"{name} can change from call to call: {mend}")
        if isinstance(value, dict):
            names[name] = MappingProxyType(value)
    return {name: value for name, value in names.items() if callable(value)}


def _refusal(path: Path, line: int | None, reason: str) -> ConfigError:
    return ConfigError(f"{path}:{line or 1}: {reason}")


def _guard(name: str, hook: Hook, where: str) -> Hook:
    """Wrap a hook so that its errors become answers."""

    def ask(*given: object) -> object:
        answer = _call(lambda: hook(*given), where)
        if isinstance(answer, _Failure):
            return Raised(f"hook {name}: {answer.told} (line {answer.line})")
        return answer

    return ask


def _call(question: Callable[[], object], where: str) -> object:
    """Call a function; an error becomes a _Failure with its text and its line in the file."""
    try:
        return question()
    # The code is the user's own: whatever it raises is its answer.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        told = one_line(ADDRESS.sub("", f"{type(error).__name__}: {error}"))
        passed = walk_tb(error.__traceback__)
        lines = [line for frame, line in passed if frame.f_code.co_filename == where]
        return _Failure(told, lines[-1] if lines else None)
