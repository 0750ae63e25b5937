"""Bars at rest: the cache changes nothing but the time it takes, and bulk parsing reads what is written."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from bot.adapters.history import columns
from bot.adapters.history.columns import CACHED_FROM_BYTES, parse, read_columns
from bot.adapters.history.reader import SourceFile, load
from tests.history_texts import bar_rows


@pytest.fixture
def long_file(tmp_path: Path) -> SourceFile:
    """A bars file long enough to be cached, with one contradictory candle."""
    path = tmp_path / "LONG.csv"
    text = bar_rows("2020-01-01", 6000) + "2024-01-01T00:00:00Z,3,2,1,1,1\n"
    path.write_text(text)
    assert len(text) > CACHED_FROM_BYTES
    return load(path)


def test_columns_come_from_the_cache_the_second_time(
    tmp_path: Path, long_file: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mapped columns equal the parsed ones, dropped rows included, and nothing is parsed again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parsed = read_columns(long_file, "1h")
    monkeypatch.setattr(columns, "parse", None)
    mapped = read_columns(long_file, "1h")
    assert np.array_equal(mapped.opened_at, parsed.opened_at)
    assert np.array_equal(mapped.prices, parsed.prices)
    assert mapped.refused == parsed.refused == ("line 6002: high 2.0 below open 3.0",)
    assert mapped.bars(0, 3) == parsed.bars(0, 3)
    assert mapped.bars(0, 1)[0].open == Decimal(100)


def test_a_damaged_cache_is_made_again(tmp_path: Path, long_file: SourceFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut or foreign file in the cache costs time and nothing else."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parsed = read_columns(long_file, "1h")
    (place,) = (tmp_path / "cache" / "tidemark").iterdir()
    (place / "prices.npy").write_bytes(b"cut")
    assert np.array_equal(read_columns(long_file, "1h").prices, parsed.prices)
    np.save(place / "prices.npy", np.zeros(3))
    assert np.array_equal(read_columns(long_file, "1h").prices, parsed.prices)
    monkeypatch.setattr(columns, "parse", None)
    assert np.array_equal(read_columns(long_file, "1h").prices, parsed.prices)


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, long_file: SourceFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that is read-only, full or absent leaves the bars as they are."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(read_columns(long_file, "1h").opened_at) == 6000

    def nobody() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nobody)
    assert len(read_columns(long_file, "1h").opened_at) == 6000

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
    monkeypatch.setattr(np, "save", full)
    assert len(read_columns(long_file, "1h").opened_at) == 6000
    assert not list((tmp_path / "full" / "tidemark").iterdir())


def test_bulk_and_row_by_row_parsing_agree_on_real_candles(shared: Path) -> None:
    """Recorded candles read the same both ways, and as the exact decimals that the file says."""
    path = shared / "data" / "ohlcv-hourly" / "binance-2024" / "BTCUSDT.csv.gz"
    file = load(path)
    text = file.text()
    bulk = parse(file, "1h")
    quoted = text.replace(",", '","').replace("\n", '"\n"').removesuffix('"')
    slow = parse(SourceFile(Path("quoted.csv"), f'"{quoted}'.encode(), ""), "1h")
    assert np.array_equal(bulk.opened_at, slow.opened_at)
    assert np.array_equal(bulk.prices, slow.prices)
    rows = [line.split(",") for line in text.splitlines()[1:]]
    written = [tuple(map(Decimal, row[1:5])) for row in rows]
    assert [bar[2:] for bar in bulk.bars(0, len(rows))] == written
