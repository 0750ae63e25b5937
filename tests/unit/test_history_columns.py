"""Bars as columns: bulk parsing reads what is written, and the closes of many files are told by their runs."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.history import bar_columns as columns
from bot.adapters.history.bar_columns import HEADER, Columns, closes_of, parse_bars
from bot.adapters.history.reader import SourceFile, load
from bot.domain.instants import MICROSECOND
from tests.history_texts import BARS, FIRST
from tests.notation import HOUR, at


def columns_of(file: SourceFile) -> Columns:
    """Parse the hours of a file."""
    return Columns(HOUR // MICROSECOND, parse_bars(file, "1h").blocks)


def test_bulk_and_row_by_row_parsing_agree_on_real_candles(shared: Path) -> None:
    """Recorded candles read the same both ways, and as the exact decimals that the file says."""
    path = shared / "data" / "ohlcv-hourly" / "binance-2024" / "BTCUSDT.csv.gz"
    file = load(path)
    text = file.text()
    bulk = columns_of(file)
    quoted = text.replace(",", '","').replace("\n", '"\n"').removesuffix('"')
    slow = columns_of(SourceFile(Path("quoted.csv"), f'"{quoted}'.encode(), ""))
    assert np.array_equal(bulk.opened_at, slow.opened_at)
    assert np.array_equal(bulk.prices, slow.prices)
    rows = [line.split(",") for line in text.splitlines()[1:]]
    written = [tuple(map(Decimal, row[1:5])) for row in rows]
    assert [bar[2:6] for bar in bulk.bars(0, len(rows))] == written


@pytest.mark.parametrize(
    "text",
    [
        BARS + "\n" + FIRST,
        BARS + FIRST.replace("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Zz"),
        BARS + FIRST.replace("2024-01-01T00:00:00Z", "2024-01-01T00:00:00"),
        BARS + FIRST.replace(",2,", ",2_0,"),
        BARS + FIRST.replace(",2,", ",nan,"),
        BARS + FIRST.removesuffix("\n") + ",1\n",
        BARS,
        "",
    ],
)
def test_numpy_reads_nothing_that_the_row_parser_refuses(text: str) -> None:
    """A blank line, a longer stamp, an underscore: what numpy would skip or cut off goes to the row parser."""
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's words are its own
        columns._in_bulk(SourceFile(Path("BTC.csv"), text.encode(), ""))


@given(st.lists(st.sets(st.integers(0, 30)), min_size=1, max_size=4))
def test_closes_are_distinct_and_ascending_over_all_files(hours: list[set[int]]) -> None:
    """Gaps, overlaps and empty files: the closes are those of all the bars, each once."""
    parts = []
    for opened in hours:
        lines = [f"{at('2024-01-01') + hour * HOUR:%Y-%m-%dT%H:%M:%SZ},1,1,1,1" for hour in sorted(opened)]
        text = "\n".join([",".join(HEADER), *lines])
        parts.append(parse_bars(SourceFile(Path("X.csv"), text.encode(), ""), "1h"))
    expected = sorted({at("2024-01-01") + (hour + 1) * HOUR for opened in hours for hour in opened})
    assert list(closes_of(parts, "1h")) == expected
    assert all(part.blocks["bars/runs"].shape[1] <= len(opened) for part, opened in zip(parts, hours, strict=True))
