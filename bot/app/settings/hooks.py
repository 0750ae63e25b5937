"""The hooks of a strategy: the Python file beside its TOML, checked before it runs, each function guarded.

Whatever goes wrong in a hook is its answer, as one line; no cycle ends because of one.
"""

import ast
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import NamedTuple

from bot.app.settings.hook_source import SIGNATURES, find_assignments, offences
from bot.domain.errors import ConfigError
from bot.engine.hooks import one_line
from bot.engine.rules import Hooks, Raised

Hook = Callable[..., object]

# Where an object lies in memory differs between processes, and a row must not.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _Failure(NamedTuple):
    """What an error says, on one line, and the line of the file that raised it."""

    told: str
    line: int | None


def load_hooks(path: Path) -> Hooks | None:
    """Read and check a file of hooks; None where there is none. Raises ConfigError naming file, line and mend."""
    text = hooks_text(path)
    return None if text is None else hooks_from(path, text)


def hooks_text(path: Path) -> str | None:
    """Read a file of hooks, None where there is none."""
    if not path.exists():
        return None
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        message = f"{path}: cannot be read: it must be a UTF-8 file of this user"
        raise ConfigError(message) from None


def hooks_from(path: Path, text: str) -> Hooks:
    """Check the text of a file of hooks; path: what refusals name."""
    tree = _parse(path, text)
    found = _execute(path, tree)
    hooks = {name: _guard(name, found[name], str(path)) for name in SIGNATURES if name in found}
    return Hooks(digest=hashlib.sha256(text.encode()).hexdigest(), **hooks)


def _parse(path: Path, text: str) -> ast.Module:
    """Parse a text, and refuse what it may not hold."""
    try:
        tree = ast.parse(text)
        compile(tree, str(path), "exec", dont_inherit=True)  # finds what parsing alone does not
    except (SyntaxError, ValueError, RecursionError) as error:
        line, reason = (error.lineno, error.msg) if isinstance(error, SyntaxError) else (None, str(error))
        raise _refusal(path, line, f"not Python: {reason}") from None
    for offence in offences(tree):
        raise _refusal(path, offence.line, offence.reason)
    return tree


def _execute(path: Path, tree: ast.Module) -> dict[str, Hook]:
    """Run a checked file once, outside the imported modules, and return its functions; its tables become read-only."""
    # A dataclass looks its module up among the imported ones; this name is always there, and none is added.
    names: dict[str, object] = {"__name__": "__main__"}
    code = compile(tree, str(path), "exec", dont_inherit=True)
    failed = _call(lambda: exec(code, names), str(path))  # noqa: S102 - it was checked, and is the user's own
    if isinstance(failed, _Failure):
        raise _refusal(path, failed.line, failed.told)
    for name, line in find_assignments(tree).items():
        value = names[name]
        if isinstance(value, list | set | bytearray | deque | Iterator):
            raise _refusal(path, line, f"{name} can change from call to call: make it a tuple or a frozenset")
        if isinstance(value, dict):
            names[name] = MappingProxyType(value)
    return {name: value for name, value in names.items() if callable(value)}


def _refusal(path: Path, line: int | None, reason: str) -> ConfigError:
    return ConfigError(f"{path}:{line or 1}: {reason}")


def _guard(name: str, hook: Hook, where: str) -> Hook:
    """Return a hook whose own errors are answers."""

    def ask(*given: object) -> object:
        answer = _call(lambda: hook(*given), where)
        return Raised(f"hook {name}: {answer.told} (line {answer.line})") if isinstance(answer, _Failure) else answer

    return ask


def _call(question: Callable[[], object], where: str) -> object:
    """Ask, and answer an error with what it says and the line of the file that it came from."""
    try:
        return question()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's own code: whatever it raises is its answer
        told = one_line(ADDRESS.sub("", f"{type(error).__name__}: {error}"))
        return _Failure(told, _line_of(error.__traceback__, where))


def _line_of(trace: TracebackType | None, where: str) -> int | None:
    """Return the innermost line of a file that an error passed through."""
    line = None
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == where else line
        trace = trace.tb_next
    return line
