"""A date without a time in a history file: the row counts from the end of that UTC day, in every dated file."""

import io
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bot.adapters.history.folder import open_history
from tests.edge_replays import BULLISH, INSTRUMENTS, STRATEGY, hours, replay
from tests.history_texts import QUANTMETRICS
from tests.notation import DAY, at

AAA = hours("2024-01-02", "24 x 100", "24 x 103", "24 x 104")
ENTERED = "select slot from v_decisions where outcome = 'entered'"
DATED = {
    "quantmetrics.csv": (QUANTMETRICS + "1,2024-01-03,0.5,2,2,0.3,1\n", "sharpe_min = 1"),
    "grades.csv": (
        "token_id,known_at,trader_grade,investor_grade\n1,2024-01-03,80,80\n",
        "trader_grade_min = 60",
    ),
    "market.csv": ("token_id,known_at,market_cap,volume_24h\n1,2024-01-03,1000000,1000000\n", "market_cap_min = 1000"),
}


def test_levels_dated_by_a_day_count_from_its_end(tmp_path: Path) -> None:
    """T2: an entry at 2024-01-04T00:00Z has the target of the set of 01-02, for that of 01-04 is known a day later."""
    files = {
        "bars/1h/AAA.csv": AAA,
        "signals.csv": "token_id,published_at,stance\n1,2024-01-03,bullish\n",
        "levels.csv": "token_id,known_at,level\n1,2024-01-02,110\n1,2024-01-04,106\n",
    }
    strategy = STRATEGY.replace('[target]\nrule = "none"', '[target]\nrule = "level"')
    found = replay(tmp_path, files, strategy=strategy)
    assert found.query("select opened_at, target from v_trades") == [("2024-01-04T00:00:00.000000Z", 110)]


@pytest.mark.parametrize("name", DATED)
def test_measures_dated_by_a_day_pass_no_gate_within_it(tmp_path: Path, name: str) -> None:
    """T2: what is dated 2024-01-03 is a missing input until 2024-01-04T00:00Z, where the entry is made."""
    text, gate = DATED[name]
    files = {"bars/1h/AAA.csv": AAA, "signals.csv": BULLISH.replace("01-01", "01-02"), name: text}
    found = replay(tmp_path, files, strategy=f"{STRATEGY}\n[gates]\n{gate}\n")
    assert found.query(ENTERED) == [("2024-01-04T00:00:00.000000Z",)]


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.string()])
def test_a_date_column_of_parquet_is_dated_by_day_too(tmp_path: Path, kind: pa.DataType) -> None:
    """T2: a Parquet column of dates counts as the same dates in CSV do."""
    folder = tmp_path / "h"
    (folder / "bars/1h").mkdir(parents=True)
    (folder / "instruments.csv").write_text(INSTRUMENTS)
    (folder / "signals.csv").write_text(BULLISH)
    (folder / "bars/1h/AAA.csv").write_text(AAA)
    days = pa.array([date(2024, 1, 3)], pa.date32())
    columns = {"token_id": [1], "known_at": days.cast(kind), "trader_grade": [80.0], "investor_grade": [80.0]}
    stream = io.BytesIO()
    parquet.write_table(pa.table(columns), stream)
    (folder / "grades.parquet").write_bytes(stream.getvalue())
    history = open_history(folder, timeframe=None, universe=["AAA"])
    (token,), end = history.instruments, at("2024-01-04")
    grades = history.archive.grades(token, end, end)
    assert grades
    assert grades.known_at == end
    assert history.archive.grades(token, end - DAY, end) is None
