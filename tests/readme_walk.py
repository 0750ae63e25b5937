"""Type every command of the README, in order, in a fresh clone: `python -m tests.readme_walk`.

The blocks without a language are what a reader types. They run as one script in a shell that stops at the first
failure. Left out are `make test`, `make check` and `make bench`, which .ci/run has on its own; the daemon is stopped
after some seconds; the key that the reader pastes is made up, as the README serves the simulated API.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
LEFT_OUT = re.compile(r"^make (test|check|bench)\b")
DAEMON = re.compile(r"^(\.venv/bin/bot run\b)", re.MULTILINE)
KEY = "tm-walked-through\n"
GIT = shutil.which("git") or "git"


def script_of(readme: str) -> str:
    """Join the blocks of commands to one script; each command is shown before it runs."""
    lines = [line for block in BLOCK.findall(readme) for line in block.splitlines() if not LEFT_OUT.match(line)]
    typed = DAEMON.sub(r"timeout --preserve-status --signal INT 15 \1", "\n".join(lines))
    return f"set -exo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{typed}\n"


def walk(clone: Path) -> int:
    """Follow the README of a clone; return the exit code of its first command that failed, else 0."""
    script = script_of((clone / "README.md").read_text())
    return subprocess.run(["/bin/bash", "-c", script], cwd=clone, input=KEY, text=True, check=False).returncode


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tidemark-walk-") as folder:
        subprocess.run([GIT, "clone", "--quiet", str(ROOT), folder], check=True)
        sys.exit(walk(Path(folder)))
