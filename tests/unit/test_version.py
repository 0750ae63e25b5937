"""The version of the code: its release with a digest of its source."""

import re
import shutil
from pathlib import Path

import pytest

import bot
from bot import __version__
from bot.adapters.code_digest import source_digest
from bot.app.sweep.task import code_version


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of two files and a folder of one."""
    (tmp_path / "package" / "part").mkdir(parents=True)
    for name in ("__init__.py", "one.py", "part/two.py"):
        (tmp_path / "package" / name).write_text(f"NAME = {name!r}\n")
    return tmp_path / "package"


def anew(package: Path) -> str:
    """Digest a package as another process would."""
    source_digest.cache_clear()
    return source_digest(package)


def test_another_source_is_another_digest(package: Path) -> None:
    """A byte, a name, a file more or less: each is another version, and what was there before is the old one."""
    first = anew(package)
    one, two = package / "one.py", package / "part" / "two.py"
    found = {first}
    text = one.read_text()
    one.write_text(text + "#")
    found.add(anew(package))
    one.write_text(text)
    one.rename(package / "three.py")
    found.add(anew(package))
    (package / "three.py").rename(one)
    two.rename(package / "two.py")
    found.add(anew(package))
    (package / "two.py").unlink()
    found.add(anew(package))
    assert len(found) == 5
    two.write_text("NAME = 'part/two.py'\n")
    assert anew(package) == first


def test_what_is_no_source_does_not_count(package: Path, tmp_path: Path) -> None:
    """Caches, other files, and what a wheel carries beside the package leave the digest, and so does another place."""
    first = anew(package)
    (package / "notes.txt").write_text("read me")
    for folder in ("__pycache__", "_migrations/versions"):
        (package / folder).mkdir(parents=True)
        (package / folder / "any.py").write_text("")
    assert anew(package) == first
    assert anew(package.rename(tmp_path / "elsewhere")) == first


def test_the_version_is_the_release_and_its_digest() -> None:
    """It is the same each time it is asked."""
    assert re.fullmatch(re.escape(__version__) + r"\+[0-9a-f]{12}", code_version())
    assert code_version() == code_version()


def test_only_what_decides_is_part_of_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another engine or gatherer is another version; another message, command, view or simulator is the same."""
    package = tmp_path / "bot"
    shutil.copytree(Path(bot.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("bot.__file__", str(package / "__init__.py"))

    def version(edited: str) -> str:
        with (package / edited).open("a", encoding="utf-8") as file:
            file.write("# edited\n")
        source_digest.cache_clear()
        return code_version()

    first = code_version()
    for same in ("cli/main.py", "app/review/reports.py", "adapters/sql/views.py", "simulator/market.py"):
        assert version(same) == first, same
    found = {
        version(f"{part}/{name}.py")
        for part, name in (
            ("domain", "numbers"),
            ("engine", "rules"),
            ("figures", "luck"),
            ("adapters/history", "folder"),
            ("app/cycle", "gather"),
            ("app/replay", "waking"),
        )
    }
    assert len(found | {first}) == 7
