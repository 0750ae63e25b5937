"""Bars as columns: bulk parsing reads what is written, and the closes of many files are told by their runs."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.history import bar_columns as columns
from bot.adapters.history.bar_columns import HEADER, closes_of, pack_columns, parse
from bot.adapters.history.reader import SourceFile, load
from bot.domain.instants import EPOCH, MICROSECOND
from tests.history_texts import bar_rows
from tests.notation import HOUR, at


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
    assert [bar[2:6] for bar in bulk.bars(0, len(rows))] == written


def test_a_long_file_is_parsed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a text is cut, the bars are those of the whole."""
    text = bar_rows("2024-01-01", 20)
    file = SourceFile(Path("BTC.csv"), text.encode(), "")
    whole = parse(file, "1h")
    for length in (0, 1, 40, len(text) // 2, len(text) - 40):
        monkeypatch.setattr(columns, "CHUNK_LENGTH", length)
        cut = parse(file, "1h")
        assert np.array_equal(cut.opened_at, whole.opened_at)
        assert np.array_equal(cut.prices, whole.prices)


@given(st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=4))
def test_closes_are_distinct_and_ascending_over_all_files(hours: list[set[int]]) -> None:
    """Gaps, overlaps and empty files: the closes are those of all the bars, each once."""
    parts = []
    for opened in hours:
        lines = [f"{at('2024-01-01') + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},1,1,1,1" for hour in sorted(opened)]
        text = "\n".join([",".join(HEADER), *lines])
        parts.append(pack_columns(SourceFile(Path("X.csv"), text.encode(), ""), "1h"))
    expected = sorted({at("2024-01-01") + (hour + 1) * HOUR for opened in hours for hour in opened})
    assert [EPOCH + close * MICROSECOND for close in closes_of(parts, "1h").tolist()] == expected
    assert all(part.late["runs"].shape[1] <= len(opened) for part, opened in zip(parts, hours, strict=True))
