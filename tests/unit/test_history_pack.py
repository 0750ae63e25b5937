"""History packs: they change nothing but the time it takes, answer only for the content they were made of, and heal."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bot.adapters.history import bar_columns as columns
from bot.adapters.history import pack
from bot.adapters.history.folder import History, open_history
from bot.adapters.history.pack import Pack, place_of
from bot.adapters.history.packing import pack_history
from bot.adapters.history.reader import SourceFile
from bot.cli.main import main
from bot.domain.errors import BadInputError, BotError, ConfigError, StorageError
from tests.history_texts import BARS, BTC, ETH, FIRST, LEVELS, QUANTMETRICS, SECOND, bar_rows, folder_of
from tests.notation import DAY, at

FILES = {
    "bars/1d/BTC.csv": bar_rows("2024-01-01", 3, DAY),
    "levels.csv": LEVELS + "3375,2024-01-01,110.123456789012345678,0.5\n3306,2024-01-01,9,\n3375,2024-01-01,90,\n",
    "quantmetrics.csv": QUANTMETRICS + "3375,2024-01-01T01:00:00Z,0.71,,1.5,-0.77,\n",
    "grades.csv": "token_id,known_at,trader_grade,investor_grade\n3375,2024-01-01,80.5,\n",
    "market.csv": "token_id,known_at,market_cap,volume_24h\n3375,2024-01-01,,123456789012345678.5\n",
}
LONG_AGO = 1_600_000_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own."""
    place = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place


def test_a_relative_cache_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that would be another in each working directory is none: packs go to the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    place = pack.place_of(tmp_path / "history")
    assert place is not None
    assert place.is_relative_to(tmp_path / ".cache" / "tidemark" / "packs")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a file for settled as soon as it was written, so that no test has to wait."""
    monkeypatch.setattr(pack, "RACY_NS", -1_000_000_000)


@pytest.fixture
def folder(tmp_path: Path, settled: None) -> Path:
    """Return a folder with every kind of file, packed."""
    made = folder_of(tmp_path, FILES)
    pack_history(made, pack.silent)
    return made


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are parsed from now on."""
    names: list[str] = []

    def noted(parse: Callable[..., pack.ParsedFile]) -> Callable[..., pack.ParsedFile]:
        def note(file: SourceFile, **more: str) -> pack.ParsedFile:
            names.append(file.path.name)
            return parse(file, **more)

        return note

    from bot.adapters.history import files  # noqa: PLC0415 - what is patched here alone

    monkeypatch.setattr(files, "PARSERS", {name: noted(parse) for name, parse in files.PARSERS.items()})
    monkeypatch.setattr(files, "parse_bars", noted(columns.parse_bars))
    return names


def answers(history: History) -> list[object]:
    """Return what a history says at some instants, and what it was made of."""
    found: list[object] = [history.digest, history.bars, history.refused, history.closes, history.files]
    archive = history.archive
    for token_id in history.instruments:
        found += [archive.turns(token_id).tolist(), archive.prints(token_id, None, at("2024-02-01"), at("2024-02-01"))]
        for now in (at("2023-12-31"), at("2024-01-01 06:00"), at("2024-01-03")):
            asked = (archive.episode, archive.levels, archive.quantmetrics, archive.grades, archive.market)
            found += [ask(token_id, now, now) for ask in asked]
    return found


def whole(folder: Path) -> History:
    """Open a folder with all of its tokens."""
    return open_history(folder, timeframe="1h", universe="*")


def test_a_packed_folder_answers_as_a_parsed_one(tmp_path: Path, folder: Path, parsed: list[str]) -> None:
    """Nothing is parsed again, and everything is equal: digest, bars, closes, and each answer."""
    packed = answers(whole(folder))
    assert parsed == []
    plain = folder_of(tmp_path / "plain", FILES)
    assert answers(whole(plain))[1:] == packed[1:]
    assert whole(plain).digest == packed[0]
    assert len(parsed) == 14


def test_finer_bars_come_from_the_pack_too(tmp_path: Path, folder: Path, parsed: list[str]) -> None:
    """The hours that fill a day are those that were parsed, and count into the same digest."""
    packed = open_history(folder, timeframe="1d", universe=["BTC"], finer=True)
    assert parsed == []
    plain = open_history(folder_of(tmp_path / "plain", FILES), timeframe="1d", universe=["BTC"], finer=True)
    assert parsed.count("BTC.csv") == 2
    now = at("2024-01-03")
    (day, *_) = packed.archive.prints(BTC, None, now, now)
    hours = packed.archive.finer(BTC, day, now, now)
    assert (len(hours), packed.digest) == (24, plain.digest)
    assert plain.archive.finer(BTC, day, now, now) == hours


def test_what_is_large_is_packed_at_the_first_opening(
    tmp_path: Path, settled: None, parsed: list[str], cache: Path
) -> None:
    """The second opening parses only what is small, and knows the refused candles and the lines they stand on."""
    rows = bar_rows("2020-01-01", 6000) + "2024-01-01T00:00:00Z,3,2,1,1,1\n"
    assert len(rows) > pack.PACKED_FROM_BYTES
    folder = folder_of(tmp_path, {"bars/1h/BTC.csv": rows})
    told: list[tuple[str, int, int]] = []
    first = open_history(folder, timeframe="1h", universe="*", tell=lambda *what: told.append(what))
    assert told == [("bars-1h", 0, 2), ("bars-1h", 1, 2), ("bars-1h", 2, 2)]
    assert sorted(parsed) == ["BTC.csv", "ETH.csv", "signals.csv"]
    parsed.clear()
    second = whole(folder)
    assert parsed == ["signals.csv"]
    assert answers(second) == answers(first)
    assert second.refused == (f"{folder}/bars/1h/BTC.csv line 6002: high 2.0 below open 3.0",)
    assert [place.name for place in cache.glob("tidemark/packs/*")] == [place_of(folder).name]  # type: ignore[union-attr]


def test_only_a_changed_file_is_parsed_anew(folder: Path, parsed: list[str]) -> None:
    """Another digit in one file costs that file alone, and its answer is the new one."""
    before = whole(folder)
    path = folder / "bars/1h/ETH.csv"
    path.write_text(bar_rows("2024-01-01 12:00", 10, first=11))
    after = whole(folder)
    assert parsed == ["ETH.csv"]
    assert after.digest != before.digest
    assert after.archive.columns[ETH].prices[0, 0] == 11
    assert np.array_equal(after.archive.columns[BTC].prices, before.archive.columns[BTC].prices)
    (folder / "levels.csv").write_text(LEVELS + "3375,2024-01-01,91,\n")
    levels = whole(folder).archive.levels(BTC, at("2024-01-02"), at("2024-01-02"))
    assert parsed == ["ETH.csv", "levels.csv"]
    assert levels
    assert [level.price for level in levels.levels] == [91]


def test_a_file_of_the_same_content_is_hashed_and_believed(
    folder: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file written again as it was is read once, to see that; then its new stamp is trusted."""
    path = folder / "bars/1h/BTC.csv"
    text = path.read_text()
    path.unlink()
    path.write_text(text)
    loaded: list[str] = []
    load = pack.load
    monkeypatch.setattr(pack, "load", lambda path: (loaded.append(path.name), load(path))[1])
    whole(folder)
    whole(folder)
    assert (parsed, loaded) == ([], ["BTC.csv"])


def test_a_change_behind_an_old_modification_time_is_seen(folder: Path) -> None:
    """A file of the same length whose modification time was set back is still told by when it really changed."""
    path = folder / "bars/1h/ETH.csv"
    before = path.stat()
    path.write_text(path.read_text().replace(",10,", ",11,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert whole(folder).archive.columns[ETH].prices[0, 0] == 11


def test_a_file_that_was_just_changed_is_hashed_again(
    tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stamp as young as the pack proves nothing: the file may have changed once more within one tick of the clock."""
    monkeypatch.setattr(pack, "RACY_NS", 3_600_000_000_000)
    folder = folder_of(tmp_path, FILES)
    pack_history(folder, pack.silent)
    parsed.clear()
    path = folder / "bars/1h/ETH.csv"
    stamp = pack._stamp(path)
    path.write_text(path.read_text().replace(",10,", ",11,"))
    monkeypatch.setattr(pack, "_stamp", lambda found: stamp if found == path else found_stamp(found))
    assert whole(folder).archive.columns[ETH].prices[0, 0] == 11
    assert parsed == ["ETH.csv"]


def found_stamp(path: Path) -> pack.Stamp:
    """Return the stamp that the disk gives."""
    found = path.stat()
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def test_a_pack_grows_with_the_universes_that_are_asked_for(tmp_path: Path, settled: None, parsed: list[str]) -> None:
    """Tokens packed before stay packed; those whose file is gone leave with the next pack."""
    large = bar_rows("2020-01-01", 6000)
    folder = folder_of(tmp_path, {"bars/1h/BTC.csv": large, "bars/1h/ETH.csv": large})
    for universe in (["BTC"], ["ETH"], ["BTC"], "*"):
        open_history(folder, timeframe="1h", universe=universe)
    assert [name for name in parsed if name != "signals.csv"] == ["BTC.csv", "ETH.csv"]
    (folder / "bars/1h/BTC.csv").unlink()
    (folder / "bars/1h/ETH.csv").write_text(bar_rows("2020-01-01", 5999))
    open_history(folder, timeframe="1h", universe=["ETH"])
    stored = Pack(place_of(folder), "bars-1h")._load()
    assert set(stored.entries) == {"ETH.csv"}


def test_a_bad_row_is_refused_each_time_and_no_pack_is_made(tmp_path: Path, settled: None, cache: Path) -> None:
    """The error is the same at each opening, as it is for `bot history pack`, and nothing is left behind."""
    folder = folder_of(tmp_path, {"bars/1h/BTC.csv": bar_rows("2020-01-01", 6000) + FIRST.replace("2024", "2020")})
    messages = set()
    for _ in range(2):
        with pytest.raises(BadInputError, match=r"BTC.csv line 6002: out of order") as caught:
            whole(folder)
        messages.add(str(caught.value))
    with pytest.raises(BadInputError) as caught:
        pack_history(folder, pack.silent)
    assert {str(caught.value)} == messages
    assert not list(cache.glob("tidemark/packs/*/bars*"))
    assert open_history(folder, timeframe="1h", universe=["ETH"]).bars == 10


def data_file(folder: Path, kind: str) -> Path:
    """Return the file of words of one kind of pack."""
    place = place_of(folder)
    assert place
    (found,) = place.glob(f"{kind}-*.words")
    return found


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _content: b"",
    "cut in the words": lambda content: content[:-8],
    "cut in a word": lambda content: content[:-3],
    "longer": lambda content: content + bytes(8),
    "another word": lambda content: content[:-8] + bytes(8),
}


@pytest.mark.parametrize("kind", ["bars-1h", "levels"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_of_words_is_made_again(
    folder: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    """A file of words that was cut or written to is another one, whatever its length: it costs time, once."""
    monkeypatch.setattr(pack, "PACKED_FROM_BYTES", 0)
    before = answers(whole(folder))
    file = data_file(folder, kind)
    file.write_bytes(damage(file.read_bytes()))
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert answers(whole(folder)) == before
    assert set(parsed) == ({"levels.csv"} if kind == "levels" else {"BTC.csv", "ETH.csv"})
    parsed.clear()
    assert answers(whole(folder)) == before
    assert parsed == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda _content: b"",
        lambda _content: b"\xff\x00 garbage",
        lambda content: content[:-1],
        lambda content: content[1:],
        lambda content: content.replace(b'"seen": 1', b'"seen": 9', 1),
    ],
)
def test_a_damaged_manifest_is_made_again(
    folder: Path, parsed: list[str], damage: Callable[[bytes], bytes]
) -> None:
    """A manifest holds its own digest: any other byte in it, and the pack is made anew."""
    before = answers(whole(folder))
    manifest = data_file(folder, "bars-1h").parent / "bars-1h.json"
    damaged = damage(manifest.read_bytes())
    assert damaged != manifest.read_bytes()
    manifest.write_bytes(damaged)
    assert answers(whole(folder)) == before
    assert set(parsed) == {"BTC.csv", "ETH.csv"}


@pytest.mark.parametrize("change", [{"format": 99}, {"file": "bars-1h-gone.words"}, {"files": {"BTC.csv": {}}}])
def test_a_pack_of_another_version_is_made_again(
    folder: Path, parsed: list[str], change: dict[str, object]
) -> None:
    """A manifest that is whole but of another format, or names a file that is gone, is not believed either."""
    manifest = data_file(folder, "bars-1h").parent / "bars-1h.json"
    body = json.dumps({**json.loads(manifest.read_bytes().partition(b"\n")[2]), **change}).encode()
    manifest.write_bytes(pack.hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    whole(folder)
    assert set(parsed) == {"BTC.csv", "ETH.csv"}


def test_what_other_code_packed_is_packed_again(
    folder: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the source that parses is another one, no pack is believed that was made before; then it is again."""
    before = answers(whole(folder))
    monkeypatch.setattr(pack, "source_digest", lambda package: f"another {package.name}")
    assert answers(whole(folder)) == before
    assert set(parsed) == {Path(name).name for name in FILES} | {"ETH.csv", "signals.csv"}
    pack_history(folder, pack.silent)
    parsed.clear()
    assert answers(whole(folder)) == before
    assert parsed == []


def test_what_was_replaced_or_left_behind_is_removed(folder: Path) -> None:
    """A new pack leaves no old words, and takes what a process that died left; what may be in work stays."""
    old = data_file(folder, "bars-1h")
    left, fresh = old.with_name("bars-1h-left.words"), old.with_name("bars-1h-fresh.words")
    left.touch()
    fresh.touch()
    os.utime(left, (LONG_AGO, LONG_AGO))
    (folder / "bars/1h/ETH.csv").write_text(BARS + FIRST + SECOND)
    whole(folder)
    assert (old.exists(), left.exists(), fresh.exists()) == (False, False, True)


def test_a_pack_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that is no folder, full or absent leaves the history as it is; `bot history pack` says what to mend."""
    folder = folder_of(tmp_path, {"bars/1h/BTC.csv": bar_rows("2020-01-01", 6000)})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert whole(folder).bars == 6010
    with pytest.raises(StorageError, match="XDG_CACHE_HOME"):
        pack_history(folder, pack.silent)

    def nobody() -> Path:
        raise RuntimeError

    with monkeypatch.context() as homeless:
        homeless.delenv("XDG_CACHE_HOME")
        homeless.setattr(Path, "home", nobody)
        assert whole(folder).bars == 6010
        with pytest.raises(StorageError, match="no home folder"):
            pack_history(folder, pack.silent)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
    monkeypatch.setattr(os, "fsync", full)
    assert whole(folder).bars == 6010
    with pytest.raises(StorageError, match="No space left"):
        pack_history(folder, pack.silent)
    assert not list(tmp_path.glob("full/tidemark/packs/*/*"))


def test_a_pack_that_cannot_be_renewed_still_answers_for_what_did_not_change(
    folder: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a full disk only the changed file is parsed; the others come from the pack."""
    (folder / "bars/1h/ETH.csv").write_text(BARS + FIRST + SECOND)

    def full(*_: object) -> Iterator[None]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pack.tempfile, "mkstemp", full)
    assert whole(folder).bars == 51
    assert parsed == ["ETH.csv"]


def test_processes_that_pack_at_once_all_succeed(tmp_path: Path) -> None:
    """Each ends well, and what stays is one whole pack that answers as the files do."""
    large = bar_rows("2020-01-01", 20000)
    folder = folder_of(tmp_path, {"bars/1h/BTC.csv": large, "bars/1h/ETH.csv": large})
    command = [sys.executable, "-m", "bot", "history", "pack", str(folder)]
    several = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in several] == [(b"", 0)] * 3
    stored = Pack(place_of(folder), "bars-1h")._load()
    assert set(stored.entries) == {"BTC.csv", "ETH.csv"}
    assert whole(folder).bars == 40000


def test_the_command_packs_everything_and_says_what_there_is(
    tmp_path: Path, parsed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`bot history pack` counts files, tokens, bars and rows, and names the place; `--json` says the same."""
    folder = folder_of(tmp_path, FILES)
    assert main(["history", "pack", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    place = Path(told["place"])
    assert told["bytes"] == sum(file.stat().st_size for file in place.iterdir())
    assert {name: told[name] for name in ("folder", "files", "tokens", "bars", "rows", "refused")} == {
        "folder": str(folder),
        "files": 8,
        "tokens": 2,
        "bars": {"1h": 59, "1d": 3},
        "rows": {"signals": 2, "levels": 3, "quantmetrics": 1, "grades": 1, "market": 1},
        "refused": 0,
    }
    assert main(["history", "pack", str(folder)]) == 0
    lines = dict(line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line)
    assert (lines["bars 1h"], lines["rows levels"], lines["pack:"]) == ("59", "3", str(place))
    assert len(parsed) == 8


@pytest.mark.parametrize(
    ("files", "kind", "reason"),
    [
        ({"signals.csv": None}, ConfigError, "signals.csv: no such file"),
        ({"bars/1h/BTC.csv": None, "bars/1h/ETH.csv": None}, ConfigError, "bars/1h/BTC.csv: no such file"),
        ({"levels.csv": LEVELS + "x,2024-01-01,1,\n"}, BadInputError, "levels.csv line 2"),
    ],
)
def test_the_command_refuses_what_a_replay_would(
    tmp_path: Path, files: dict[str, str | None], kind: type[BotError], reason: str
) -> None:
    """A missing file and a bad row end as they do in a replay."""
    with pytest.raises(kind, match=reason):
        pack_history(folder_of(tmp_path, files), pack.silent)


def test_packing_is_told_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sees how far it is, on one line; a pipe sees nothing."""
    from bot.app.replay import packing as shown  # noqa: PLC0415 - the command's own module

    shown.tell_packing("bars-1h", 1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown.tell_packing("bars-1h", 1, 2)
    shown.tell_packing("bars-1h", 2, 2)
    assert capsys.readouterr().err == "\rpacking bars-1h, files: 1 of 2\rpacking bars-1h, files: 2 of 2\n"
