"""The identity of the running code: a digest of a package's source files.

Another byte, name or file gives another digest; equal files give the same one, wherever they are
installed.
"""

import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache
def source_digest(package: Path) -> str:
    """Compute the digest of a package's Python files, once in a process.

    Folders whose names begin with an underscore are left out: they are not packages, and those of a
    wheel differ from those of a checkout.
    """
    found = hashlib.sha256()
    files = {path.relative_to(package): path for path in package.rglob("*.py")}
    for name in sorted(files):
        if not any(folder.startswith("_") for folder in name.parts[:-1]):
            content = hashlib.sha256(files[name].read_bytes()).hexdigest()
            found.update(f"{content}  {name.as_posix()}\n".encode())
    return found.hexdigest()
