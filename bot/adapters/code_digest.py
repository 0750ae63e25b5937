"""The code by its own content: a digest of a package's source files, as they lie beside what runs.

Any other byte, name or file is another digest; the same files give the same one, wherever they are installed.
"""

import hashlib
from functools import lru_cache
from pathlib import Path


@lru_cache
def source_digest(package: Path) -> str:
    """Return the digest of the Python files of a package, once a process.

    Folders in it whose names begin with an underscore are left out: they are no packages, and a wheel has others than
    a checkout.
    """
    found = hashlib.sha256()
    files = {path.relative_to(package): path for path in package.rglob("*.py")}
    for name in sorted(files):
        if not any(folder.startswith("_") for folder in name.parts[:-1]):
            content = hashlib.sha256(files[name].read_bytes()).hexdigest()
            found.update(f"{content}  {name.as_posix()}\n".encode())
    return found.hexdigest()
