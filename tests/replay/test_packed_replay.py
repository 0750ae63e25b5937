"""A replay from a pack, or from Parquet, writes the rows of one from CSV."""

import csv
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bot.adapters.history.pack import place_of, silent
from bot.adapters.history.packing import pack_history
from bot.cli.main import main
from tests.acceptance.comparison import replay_arguments
from tests.acceptance.history_folders import write_folder
from tests.replay.random_histories import random_strategy, random_tables


def played(folder: Path, strategy: Path, ledger: Path) -> tuple[list[tuple[str, str]], str]:
    """Replay into a new ledger; return the hash of each cycle's rows, and the replay's identity."""
    assert main(replay_arguments(strategy, folder, ledger)) == 0
    with closing(sqlite3.connect(ledger)) as connection:
        rows = connection.execute("select slot, contents from cycles order by slot").fetchall()
        ((identity,),) = connection.execute("select identity from runs").fetchall()
    return rows, identity


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep packs in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("seed", range(200, 206))
def test_a_packed_history_replays_to_the_same_rows(seed: int, tmp_path: Path, cache: None) -> None:
    """The hashes of every cycle and the identity of the replay are equal, packed or not."""
    folder, strategy = write_folder(tmp_path / "history", random_tables(seed, 1)), tmp_path / "drawn.toml"
    strategy.write_text(random_strategy(seed, "drawn"))
    parsed = played(folder, strategy, tmp_path / "parsed.db")
    place = place_of(folder)
    assert place
    assert not place.exists()
    pack_history(folder, silent)
    assert place.exists()
    assert played(folder, strategy, tmp_path / "packed.db") == parsed
    assert len(parsed[0]) > 1


def as_parquet(path: Path) -> None:
    """Write a CSV as Parquet of decimals and texts in its place."""
    with path.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    columns: dict[str, pa.Array] = {}
    for name, cells in zip(header, zip(*rows, strict=True), strict=True):
        if name in {"time", "published_at", "known_at", "stance"}:
            columns[name] = pa.array(cells)
        elif name == "token_id":
            columns[name] = pa.array([int(cell) for cell in cells])
        else:
            columns[name] = pa.array([Decimal(cell) if cell else None for cell in cells], pa.decimal128(38, 12))
    parquet.write_table(pa.table(columns), path.with_suffix(".parquet"))
    path.unlink()


@pytest.mark.parametrize("seed", range(206, 209))
def test_a_history_of_parquet_replays_to_the_same_rows(seed: int, tmp_path: Path, cache: None) -> None:
    """Only the identity differs: other files were read."""
    folder, strategy = write_folder(tmp_path / "history", random_tables(seed, 1)), tmp_path / "drawn.toml"
    strategy.write_text(random_strategy(seed, "drawn"))
    rows, identity = played(folder, strategy, tmp_path / "csv.db")
    for path in (*folder.glob("bars/1h/*.csv"), *folder.glob("*.csv")):
        if path.name != "instruments.csv" and len(path.read_text().splitlines()) > 1:
            as_parquet(path)
    again, other = played(folder, strategy, tmp_path / "parquet.db")
    assert again == rows
    assert other != identity
