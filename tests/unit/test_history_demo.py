"""`bot history demo`: a folder of a seed's bytes, on which every shipped strategy trades."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from bot.app.histories.sample import DAYS, SYMBOLS, sample_files
from bot.cli.main import main

STRATEGIES = Path(__file__).resolve().parents[2] / "strategies"
SEED = 3
MADE = cache(sample_files)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the sample folder once."""
    folder = tmp_path_factory.mktemp("sample") / "a" / "history"
    assert main(["history", "demo", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def _made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command take files that a test has made before."""
    monkeypatch.setattr("bot.app.histories.sample.sample_files", MADE)


def digest(files: Mapping[str, bytes]) -> str:
    """Digest files by their names."""
    return hashlib.sha256(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file of a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_seed_gives_the_same_bytes(sample: Path) -> None:
    """Two runs of one seed are equal in their digests, another seed is not, and nothing else is left behind."""
    assert digest(contents(sample)) == digest(MADE(SEED)) != digest(MADE(SEED + 1))
    assert [path.name for path in sample.parent.iterdir()] == ["history"]
    assert sum(map(len, contents(sample).values())) < 5_000_000


def test_an_equal_folder_stays(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command again writes nothing and says so."""
    assert main(["history", "demo", str(sample), "--json"]) == 0
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert (answer["written"], answer["bars"]) == (False, len(SYMBOLS) * DAYS * 24)
    assert told.err == f"{sample} holds this sample already: nothing written\n"


@pytest.mark.parametrize("kind", ["changed", "more", "empty", "file"])
def test_whatever_else_has_the_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """A folder with other content, and a file, stay as they are (78, with the mend)."""
    folder = tmp_path / "h"
    if kind == "file":
        folder.write_text("mine")
    elif kind == "empty":
        folder.mkdir()
    else:
        assert main(["history", "demo", str(folder)]) == 0
        (folder / ("signals.csv" if kind == "changed" else "mine.csv")).write_text("mine")
    before = contents(folder)
    assert main(["history", "demo", str(folder)]) == 78
    assert "name a folder that does not exist, or remove it" in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.parametrize(("path", "code"), [("x/h", 74), ("p/h", 77)])
def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str, code: int
) -> None:
    """A parent that is a file, or that this user may not write to, is named, and nothing is left."""
    (tmp_path / "x").write_text("")
    if code == 77:
        monkeypatch.setattr(Path, "rename", deny)
    assert main(["history", "demo", str(tmp_path / path)]) == code
    assert capsys.readouterr().err.startswith(f"bot: {tmp_path / path}: ")
    assert [one.name for one in tmp_path.rglob("*")] in (["x"], ["x", "p"], ["p", "x"])


def deny(*_: object) -> None:
    """Refuse as a system does."""
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("name", ["levels_long", "bracket_fixed"])
def test_shipped_strategies_trade_on_it(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """U8: the replay chapter can be tried: no row is refused or ignored, nothing jumps, and there are trades."""
    given = ["--strategy", str(STRATEGIES / f"{name}.toml"), "--history", str(sample), "--ledger"]
    assert main(["replay", *given, f"sqlite:///{tmp_path / 'l.db'}", "--json"]) == 0
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["trades"] > 30
    assert (answer["rows_refused"], answer["rows_ignored"], answer["bars_jumping"]) == (0, 0, 0)
