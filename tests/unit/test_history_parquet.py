"""Parquet files of a history folder: the answers of the CSV with the same rows, the same checks, rows for lines."""

import io
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bot.adapters.history.folder import History, open_history
from bot.adapters.history.pack import silent
from bot.adapters.history.packing import pack_history
from bot.domain.errors import BadInputError, BotError, ConfigError
from tests.history_texts import BTC, FLAT, folder_of
from tests.notation import HOUR, at

OPENS = [at("2024-01-01"), at("2024-01-01 01:00")]
PRICES = {"open": [1.0, 1.0], "high": [2.0, 2.0], "low": [0.5, 0.5], "close": [1.0, 1.0]}


def table_of(**columns: Any) -> bytes:
    """Write a Parquet file of these columns."""
    stream = io.BytesIO()
    parquet.write_table(pa.table(columns), stream)
    return stream.getvalue()


def folder_with(tmp_path: Path, name: str, content: bytes) -> Path:
    """Write a folder in which one file is Parquet."""
    folder = folder_of(tmp_path, {f"{name}.csv": None})
    (folder / f"{name}.parquet").write_bytes(content)
    return folder


def opened_with(tmp_path: Path, name: str, **columns: Any) -> History:
    """Open such a folder."""
    return open_history(folder_with(tmp_path, name, table_of(**columns)), timeframe="1h", universe=["BTC"])


def refusal_of(tmp_path: Path, name: str, **columns: Any) -> BotError:
    """Return the one-line refusal of such a folder."""
    with pytest.raises(BotError) as caught:
        opened_with(tmp_path, name, **columns)
    assert "\n" not in str(caught.value)
    return caught.value


def times(kind: pa.DataType) -> pa.Array:
    """Return the opens as another type."""
    naive = [opened.replace(tzinfo=None) for opened in OPENS]
    return pa.array(naive if getattr(kind, "tz", None) is None else OPENS, kind)


@pytest.mark.parametrize(
    "time",
    [
        *(times(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        times(pa.timestamp("us", "UTC")),
        times(pa.timestamp("ns", "Europe/Berlin")),
        pa.array(["2024-01-01T00:00:00Z", "2024-01-01 01:00"]),
        pa.array(["2024-01-01", "2024-01-01T02:00:00+01:00"]).dictionary_encode(),
    ],
    ids=lambda time: str(time.type),
)
def test_a_time_is_a_timestamp_or_a_text(tmp_path: Path, time: pa.Array) -> None:
    """Any unit, any zone, none for UTC, or ISO text: the instants are the same."""
    history = opened_with(tmp_path, "bars/1h/BTC", time=time, **PRICES)
    assert history.closes == (OPENS[1], OPENS[1] + HOUR)


@pytest.mark.parametrize(
    "kind",
    [pa.float64(), pa.float32(), pa.decimal128(38, 18), pa.decimal256(40, 4), pa.string(), pa.large_string()],
    ids=str,
)
def test_a_number_is_a_float_a_decimal_or_a_text(tmp_path: Path, kind: pa.DataType) -> None:
    """Whatever holds them, the prices are those that were written; columns go by name, others are passed over."""
    prices = {
        name: pa.array([Decimal(str(value)) for value in values]).cast(pa.float64() if "float" in str(kind) else kind)
        for name, values in {**PRICES, "open": [1.1, 1.1]}.items()
        if not str(kind).endswith("string")
    } or {name: pa.array(map(str, values), kind) for name, values in {**PRICES, "open": [1.1, 1.1]}.items()}
    prices = {name: values.cast(kind) for name, values in prices.items()}
    shuffled = {"note": ["a", None], **dict(reversed(prices.items())), "time": OPENS, "volume": [None, 3.5]}
    history = opened_with(tmp_path, "bars/1h/BTC", **shuffled)
    bars = history.archive.prints(BTC, None, at("2024-01-02"), at("2024-01-02"))
    assert [bar[2:6] for bar in bars] == [(Decimal("1.1"), *FLAT[1:])] * 2


def test_whole_numbers_are_prices_too(tmp_path: Path) -> None:
    """Integers of any width are taken as they are."""
    prices = {name: pa.array([4, 4], kind) for name, kind in zip(PRICES, (pa.int64(), pa.uint8()) * 2, strict=True)}
    history = opened_with(tmp_path, "bars/1h/BTC", time=OPENS, **prices)
    assert history.archive.columns[BTC].prices.tolist() == [[4.0, 4.0]] * 4


DAY_ONE = date(2024, 1, 1)
DATED: dict[str, dict[str, Any]] = {
    "signals": {"token_id": [3375], "published_at": [DAY_ONE], "stance": ["bullish"], "grade": [None]},
    "levels": {
        "token_id": ["3375", "3375"],
        "known_at": [OPENS[0]] * 2,
        "level": [Decimal("110.123456789012345678"), Decimal("90.000000000000000000")],
        "strength": [None, Decimal("0.500000000000000000")],
    },
    "quantmetrics": {
        "token_id": [3375],
        "known_at": [DAY_ONE],
        "volatility": pa.array([0.1], pa.float32()),
        "sharpe": pa.array([None], pa.float32()),
        "sortino": [7],
        "max_drawdown": [-0.30000000000000004],
        "cagr": pa.array([None], pa.float64()),
    },
    "grades": {
        "token_id": pa.array([3375], pa.uint16()),
        "known_at": ["2024-01-01"],
        "trader_grade": ["80.50"],
        "investor_grade": [""],
    },
    "market": {
        "token_id": [3375],
        "known_at": pa.array([DAY_ONE], pa.date64()),
        "market_cap": [Decimal("1.000000000000000000")],
        "volume_24h": [10**15],
    },
}


@pytest.mark.parametrize("is_packed", [False, True])
def test_dated_rows_keep_their_digits_and_their_gaps(tmp_path: Path, is_packed: bool) -> None:  # noqa: FBT001
    """Decimals are exact, floats what their digits say, nulls are empty cells, a date is the end of its day."""
    folder = folder_of(tmp_path, {"signals.csv": None})
    for name, columns in DATED.items():
        (folder / f"{name}.parquet").write_bytes(table_of(**columns))
    if is_packed:
        pack_history(folder, silent)
    archive = open_history(folder, timeframe="1h", universe=["BTC"]).archive
    assert archive.episode(BTC, at("2024-01-01 23:59"), at("2024-01-02")) is None
    episode = archive.episode(BTC, at("2024-01-02"), at("2024-01-02"))
    assert episode
    assert (episode.turn.published_at, episode.latest.grade) == (at("2024-01-02"), None)
    now = at("2024-01-02")
    levels, metrics = archive.levels(BTC, now, now), archive.quantmetrics(BTC, now, now)
    grades, market = archive.grades(BTC, now, now), archive.market(BTC, now, now)
    assert levels
    assert metrics
    assert grades
    assert market
    assert [(one.price, one.strength) for one in levels.levels] == [
        (Decimal(90), Decimal("0.5")),
        (Decimal("110.123456789012345678"), None),
    ]
    assert (metrics.volatility, metrics.sharpe, metrics.sortino) == (Decimal("0.1"), None, 7)
    assert (metrics.max_drawdown, metrics.cagr) == (Decimal("-0.30000000000000004"), None)
    assert (grades.trader_grade, grades.investor_grade) == (Decimal("80.5"), None)
    assert (market.market_cap, market.volume_24h, market.known_at) == (1, 10**15, at("2024-01-02"))


def test_a_contradictory_candle_is_named_by_its_row(tmp_path: Path) -> None:
    """Rows are counted from one, without a header."""
    history = opened_with(tmp_path, "bars/1h/BTC", time=OPENS, **{**PRICES, "open": [1.0, 3.0]})
    assert (history.bars, len(history.refused)) == (1, 1)
    assert history.refused[0].endswith("BTC.parquet row 2: high 2.0 below open 3.0")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"time": [OPENS[1], OPENS[0]]}, "row 2: out of order"),
        ({"time": [OPENS[0], OPENS[0]]}, "row 2: duplicated"),
        ({"time": [OPENS[0], OPENS[1] + HOUR / 2]}, "row 2: time is not the open of a 1h bar"),
        ({"time": [OPENS[0], None]}, "row 2: '' is no ISO 8601 time"),
        ({"time": [1, 2]}, "row 1: '1' is no ISO 8601 time"),
        ({"time": pa.array([0, 2**55], pa.timestamp("ms"))}, "cannot be read as Parquet"),
        ({"time": pa.array([0, 2**60], pa.timestamp("us"))}, "row 2: '1152921504606846976' is no ISO 8601 time"),
        ({"time": pa.array([-(2**60), 0], pa.timestamp("us"))}, "row 1: '-1152921504606846976' is no ISO 8601 time"),
        ({"close": [1.0, float("nan")]}, "row 2: 'nan' is no number"),
        ({"close": [1.0, float("inf")]}, "row 2: 'inf' is no number"),
        ({"close": [1.0, None]}, "row 2: '' is no number"),
        ({"low": [0.0, 0.5]}, "row 1: '0.0' is not above zero"),
        ({"low": [Decimal(-1), Decimal(1)]}, "row 1: '-1' is not above zero"),
        ({"high": [True, True]}, "row 1: 'True' is no number"),
        ({"volume": [1.0, -1.0]}, "row 2: '-1.0' is below zero"),
        ({"volume": ["many", ""]}, "row 1: 'many' is no number"),
    ],
)
def test_a_bar_that_cannot_be_used_is_named_by_its_row(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """The checks of a CSV, with its messages."""
    error = refusal_of(tmp_path, "bars/1h/BTC", **{"time": OPENS, **PRICES, **change})
    assert isinstance(error, BadInputError)
    assert f"BTC.parquet{':' if reason.startswith('cannot') else ''} {reason}" in str(error)


def test_a_dated_row_that_cannot_be_used_is_named_by_its_row(tmp_path: Path) -> None:
    """Stances, tokens and order are checked as in a CSV."""
    rows = {"token_id": [3375, 3375], "published_at": [OPENS[1], OPENS[0]], "stance": ["bullish", "neutral"]}
    assert "signals.parquet row 2: out of order" in str(refusal_of(tmp_path, "signals", **rows))
    up = {**rows, "stance": ["up", "up"]}
    assert "signals.parquet row 1: 'up' is no stance: write" in str(refusal_of(tmp_path, "signals", **up))
    half = {**rows, "token_id": [3375.5, 3375.5]}
    assert "signals.parquet row 1: '3375.5' is no token_id" in str(refusal_of(tmp_path, "signals", **half))


def test_rows_are_counted_on_from_batch_to_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is taken to pieces a part at a time, and a row keeps its number."""
    monkeypatch.setattr("bot.adapters.history.parquet.BATCH_ROWS", 2)
    hours = [at("2024-01-01") + hour * HOUR for hour in range(5)]
    rows = {"token_id": [3375] * 6, "published_at": [*hours, hours[0]], "stance": ["bullish"] * 6}
    assert "signals.parquet row 6: out of order" in str(refusal_of(tmp_path, "signals", **rows))


def test_a_lacking_column_is_named(tmp_path: Path) -> None:
    """A file without a column that must be there ends in 65."""
    columns = {name: values for name, values in PRICES.items() if name != "low"}
    error = refusal_of(tmp_path, "bars/1h/BTC", time=OPENS, **columns)
    assert str(error).endswith("BTC.parquet: the header lacks low; it has time, open, high, close")
    assert error.exit_code == 65
    error = refusal_of(tmp_path / "other", "signals", token_id=[1], stance=["bullish"])
    assert str(error).endswith("signals.parquet: the header lacks published_at; it has token_id, stance")


@pytest.mark.parametrize("content", [b"", b"PAR1", table_of(time=OPENS, **PRICES)[:-9]])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    """What is no Parquet, or cut, ends in 65 and one line."""
    folder = folder_with(tmp_path, "bars/1h/BTC", content)
    with pytest.raises(BadInputError, match=r"BTC.parquet: cannot be read as Parquet") as caught:
        open_history(folder, timeframe="1h", universe=["BTC"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("beside", ["csv", "csv.gz"])
def test_two_files_of_one_name_are_refused(tmp_path: Path, beside: str) -> None:
    """Nothing says which of them counts."""
    folder = folder_with(tmp_path, "levels", table_of(token_id=[1]))
    (folder / f"levels.{beside}").write_bytes(b"")
    with pytest.raises(ConfigError, match=rf"levels.parquet: levels.{beside} is there too: keep one of them"):
        open_history(folder, timeframe="1h", universe=["BTC"])


def test_parquet_without_its_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is loaded when a Parquet file is met, and only then; a pack of it needs it no more."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = folder_with(tmp_path, "bars/1h/BTC", table_of(time=OPENS, **PRICES))
    monkeypatch.setattr("bot.adapters.history.pack.RACY_NS", -1_000_000_000)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ConfigError, match=r"BTC.parquet needs the extra parquet: pip") as caught:
            open_history(folder, timeframe="1h", universe=["BTC"])
        assert "\n" not in str(caught.value)
    pack_history(folder, silent)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert open_history(folder, timeframe="1h", universe=["BTC"]).bars == 2


def test_instants_keep_their_microseconds(tmp_path: Path) -> None:
    """Finer parts of a second are cut off, as they are of a text."""
    stamps = pa.array([1_704_067_200_000_001_999], pa.timestamp("ns"))
    columns = {"token_id": [3375], "published_at": stamps, "stance": ["bullish"]}
    (turn,) = opened_with(tmp_path, "signals", **columns).archive.turns(BTC).tolist()
    assert turn == 1_704_067_200_000_001
