"""History folders: what was known when, exact, however the files are written."""

import gzip
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.history.folder import HistorySource, open_history
from bot.adapters.history.instruments import Universe
from bot.domain.errors import ConfigError
from bot.domain.ids import TokenId
from bot.domain.market import Level
from bot.domain.numbers import Price
from bot.domain.signals import Stance
from bot.ports import Archive, Source
from tests.history_texts import (
    BARS,
    BTC,
    ETH,
    FIRST,
    FLAT,
    LEVELS,
    QUANTMETRICS,
    SECOND,
    SIGNALS,
    bar_rows,
    folder_of,
    opened,
)
from tests.notation import DAY, HOUR, at


def test_a_folder_counts_its_bars_and_their_closes(tmp_path: Path) -> None:
    """Closes are distinct and ascending over all tokens, each an hour after an open."""
    history = opened(tmp_path)
    assert (history.bars, len(history.refused), history.timeframe) == (59, 0, "1h")
    assert history.closes[0] == at("2024-01-01 01:00")
    assert len(history.closes) == 49
    assert tuple(history.instruments) == (ETH, BTC)
    assert history.instruments[BTC].symbol == "BTC"


def test_archive_and_source_fit_their_ports(tmp_path: Path) -> None:
    """A history can stand wherever the shell takes an archive or a source."""
    history = opened(tmp_path)
    source: Source = HistorySource(history)
    archive: Archive = source.archive
    assert set(archive.instruments) == {BTC, ETH}
    assert source.refresh(at("2024-01-01 05:00")) == at("2024-01-01 05:00")
    assert source.quotes([BTC]) == ()


def test_a_price_is_the_close_of_the_last_bar_closed_by_then(tmp_path: Path) -> None:
    """At a close the bar counts, a moment before it does not, and before the first there is none."""
    archive = opened(tmp_path).archive
    close = at("2024-01-01 03:00")
    quote = archive.price(BTC, close, close)
    assert quote
    assert (quote.price, quote.known_at) == (Decimal(103), close)
    before = archive.price(BTC, close - timedelta(microseconds=1), close)
    assert before
    assert before.known_at == at("2024-01-01 02:00")
    early = archive.price(BTC, close, at("2024-01-01 01:00"))
    assert early
    assert early.price == Decimal(101)
    assert archive.price(BTC, at("2024-01-01 00:59"), at("2024-01-01 00:59")) is None


def test_the_close_is_the_price(tmp_path: Path) -> None:
    """A history has no quotes beside its bars."""
    archive = opened(tmp_path).archive
    when = at("2024-01-01 03:30")
    assert archive.close(BTC, when, when) == archive.price(BTC, when, when)
    assert archive.close(BTC, at("2024-01-01 00:59"), when) is None


@pytest.mark.parametrize(
    ("rows", "hour", "expected"),
    [
        ("1,1,1,1|1,1,1,1|1,1,1,1", 3, None),  # never another price
        ("2,2,2,2|1,1,1,1|1,1,1,1", 3, 1),
        ("2,2,2,2|1,1,1,1|1,1,1,1", 1, None),
        ("1,1,1,1|1,2,1,1|1,1,1,1", 3, 2),
        ("1,1,1,1|1,1,1,1|1,1,0.5,1", 3, 3),
        ("1,1,1,1|1,1,1,1|2,2,1,1", 3, 3),
        ("2,2,2,2|" + "|".join(["1,1,1,1"] * 300), 301, 1),
        ("|".join(["1,1,1,1"] * 5 + ["1,3,1,1"] + ["1,1,1,1"] * 300), 306, 6),
    ],
)
def test_a_price_moved_at_the_close_of_the_last_bar_with_another(
    tmp_path: Path, rows: str, hour: int, expected: int | None
) -> None:
    """Any of a bar's four prices counts, however far back; before the first bar there is no price to have moved."""
    lines = [f"{at('2024-01-01') + n * HOUR:%Y-%m-%dT%H:%M:%SZ},{row},1" for n, row in enumerate(rows.split("|"))]
    archive = opened(tmp_path, {"bars/1h/BTC.csv": BARS + "\n".join(lines) + "\n"}, ["BTC"]).archive
    now = at("2024-01-01") + hour * HOUR
    assert archive.moved_at(BTC, now, now) == (None if expected is None else at("2024-01-01") + expected * HOUR)
    assert archive.moved_at(BTC, at("2024-01-01"), now) is None


def test_prints_are_the_bars_closed_since_the_last_slot(tmp_path: Path) -> None:
    """Each bar is given once: later than what was seen, not later than now, in order."""
    archive = opened(tmp_path).archive
    one, three = at("2024-01-01 01:00"), at("2024-01-01 03:00")
    found = archive.prints(BTC, (one, one), three, three)
    assert [bar.opened_at for bar in found] == [one, at("2024-01-01 02:00")]
    assert found[0][2:6] == (Decimal(101), Decimal(103), Decimal(99), Decimal(102))
    assert found[0].closed_at == at("2024-01-01 02:00")
    assert len(archive.prints(BTC, None, three, three)) == 3
    assert archive.prints(BTC, (three, three), three, three) == ()


def test_days_are_whole_and_made_of_their_bars(tmp_path: Path) -> None:
    """A UTC day is there from its end on, with the extremes of its bars."""
    archive = opened(tmp_path).archive
    second = at("2024-01-02")
    assert archive.days(BTC, second - timedelta(seconds=1), second) == ()
    (day,) = archive.days(BTC, second, second)
    assert day[:6] == (at("2024-01-01"), second, Decimal(100), Decimal(125), Decimal(98), Decimal(124))
    assert len(archive.days(BTC, at("2024-01-03"), at("2024-01-03"))) == 2
    assert [bar.opened_at for bar in archive.days(ETH, second, second)] == [at("2024-01-01")]


def test_days_go_back_six_hundred_at_most(tmp_path: Path) -> None:
    """A long history gives the newest six hundred days."""
    files = {"bars/1d/BTC.csv": bar_rows("2020-01-01", 700, DAY)}
    archive = opened(tmp_path, files, ["BTC"], "1d").archive
    now = at("2020-01-01") + 650 * DAY
    days = archive.days(BTC, now, now)
    assert (len(days), days[-1].closed_at) == (600, now)


def test_a_token_without_bars_has_no_price_and_no_days(tmp_path: Path) -> None:
    """An empty bars file is no error."""
    archive = opened(tmp_path, {"bars/1h/ETH.csv": BARS}).archive
    now = at("2024-01-02")
    assert archive.price(ETH, now, now) is None
    assert archive.days(ETH, now, now) == ()
    assert archive.prints(ETH, None, now, now) == ()


def test_an_episode_stands_from_its_row_on(tmp_path: Path) -> None:
    """A turn counts from its instant, inclusive, and an unchanged row keeps the episode's id."""
    rows = (
        "3375,2024-01-01T06:00:00Z,bullish,70\n3375,2024-01-01T09:00:00Z,bullish,71\n"
        "3375,2024-01-01T12:00:00Z,neutral,\n"
    )
    archive = opened(tmp_path, {"signals.csv": SIGNALS + rows}).archive
    six, nine, noon = at("2024-01-01 06:00"), at("2024-01-01 09:00"), at("2024-01-01 12:00")
    assert archive.episode(BTC, six - timedelta(seconds=1), noon) is None
    assert archive.episode(BTC, noon, six - timedelta(seconds=1)) is None
    turn, stands, ended = (archive.episode(BTC, when, when) for when in (six, nine, noon))
    assert turn
    assert stands
    assert ended
    assert stands.signal_id == turn.signal_id != ended.signal_id
    assert (stands.turn.published_at, stands.latest.grade) == (six, Decimal(71))
    assert (ended.turn.stance, ended.latest.grade, ended.turn.provider) == (Stance.NEUTRAL, None, "history")
    assert archive.episode(ETH, noon, noon) is None


def test_a_signal_dated_by_its_day_is_published_at_the_days_end(tmp_path: Path) -> None:
    """A row that used the day's close is not known at the day's open."""
    archive = opened(tmp_path, {"signals.csv": SIGNALS + "3375,2024-01-01,bullish,\n"}).archive
    assert archive.episode(BTC, at("2024-01-01 23:59"), at("2024-01-02")) is None
    found = archive.episode(BTC, at("2024-01-02"), at("2024-01-02"))
    assert found
    assert found.turn.published_at == at("2024-01-02")


def test_levels_of_one_time_are_one_set_known_whole(tmp_path: Path) -> None:
    """The newest set counts alone, ascending, with its digits as written."""
    rows = (
        "3375,2023-12-31,110.123456789012345678,0.5\n3306,2023-12-31,9,\n3375,2023-12-31,90,\n"
        "3375,2024-01-01T05:00:00Z,95,1\n"
    )
    archive = opened(tmp_path, {"levels.csv": LEVELS + rows}).archive
    first = archive.levels(BTC, at("2024-01-01 04:59"), at("2024-01-01 05:00"))
    assert first
    assert first.levels == (
        Level(Price(Decimal(90))),
        Level(Price(Decimal("110.123456789012345678")), Decimal("0.5")),
    )
    assert first.published_at == first.known_at == at("2024-01-01")
    second = archive.levels(BTC, at("2024-01-01 05:00"), at("2024-01-01 05:00"))
    assert second
    assert [level.price for level in second.levels] == [Decimal(95)]
    assert archive.levels(BTC, at("2024-01-02"), at("2024-01-02")) == second
    assert archive.levels(BTC, at("2023-12-31 23:59"), at("2024-01-02")) is None
    assert archive.levels(TokenId(1), at("2024-01-02"), at("2024-01-02")) is None


def test_measures_are_exact_and_may_have_gaps(tmp_path: Path) -> None:
    """Quantmetrics, grades and market sizes keep their digits; an empty cell is not given."""
    files = {
        "quantmetrics.csv": QUANTMETRICS + "3375,2024-01-01T01:00:00Z,0.71,,1.5,-0.77,\n",
        "grades.csv": "token_id,known_at,trader_grade,investor_grade\n3375,2024-01-01T02:00:00+01:00,80.5,\n",
        "market.csv": "token_id,known_at,market_cap,volume_24h\n3375,2024-01-01T01:00:00Z,,123456789012345678.5\n",
    }
    history = opened(tmp_path, files)
    now = at("2024-01-01 01:00")
    metrics, grades = history.archive.quantmetrics(BTC, now, now), history.archive.grades(BTC, now, now)
    market = history.archive.market(BTC, now, now)
    assert metrics
    assert grades
    assert market
    assert (metrics.volatility, metrics.sharpe, metrics.max_drawdown) == (Decimal("0.71"), None, Decimal("-0.77"))
    assert (grades.trader_grade, grades.investor_grade, grades.known_at) == (Decimal("80.5"), None, now)
    assert (market.market_cap, market.volume_24h) == (None, Decimal("123456789012345678.5"))
    assert history.archive.grades(BTC, now - HOUR, now) is None
    assert "grades" in history.files
    assert "levels" not in history.files


def test_packed_files_read_as_plain_ones(tmp_path: Path) -> None:
    """A .csv.gz gives the same columns as its .csv."""
    folder = folder_of(tmp_path, {"bars/1h/BTC.csv": None})
    plain = bar_rows("2024-01-01", 49)
    (folder / "bars/1h/BTC.csv.gz").write_bytes(gzip.compress(plain.encode()))
    assert open_history(folder, timeframe=None, universe=["BTC"]).bars == 49
    (folder / "bars/1h/BTC.csv").write_text(plain)
    with pytest.raises(ConfigError, match="keep one of them"):
        open_history(folder, timeframe=None, universe=["BTC"])


def test_the_finest_timeframe_that_all_have_is_the_default(tmp_path: Path) -> None:
    """Minutes of one token alone are passed over, and a timeframe may be chosen."""
    files = {
        "bars/1m/BTC.csv": bar_rows("2024-01-01", 3, timedelta(minutes=1)),
        "bars/1d/BTC.csv": bar_rows("2024-01-01", 2, DAY),
        "bars/1d/ETH.csv": bar_rows("2024-01-01", 2, DAY),
    }
    assert opened(tmp_path, files).timeframe == "1h"
    assert opened(tmp_path, files, ["BTC"]).timeframe == "1m"
    assert opened(tmp_path, files, timeframe="1d").closes == (at("2024-01-02"), at("2024-01-03"))


@pytest.mark.parametrize("universe", [["BTC"], [3375], ["3375"]])
def test_a_universe_names_symbols_or_token_ids(tmp_path: Path, universe: Universe) -> None:
    """Both name the same token, and only its bars are read."""
    history = opened(tmp_path, {"bars/1h/ETH.csv": None}, universe)
    assert tuple(history.instruments) == (BTC,)
    assert set(history.archive.columns) == {BTC}


@pytest.mark.parametrize(
    "text",
    [
        BARS + FIRST + SECOND,
        (BARS + FIRST + SECOND).replace("\n", "\r\n"),
        (BARS + FIRST + SECOND).rstrip("\n"),
        "\ufeff" + BARS + FIRST + SECOND,
        (BARS + FIRST + SECOND).replace("00:00Z", "00:00+00:00"),
        (BARS + FIRST + SECOND).replace("T", " ").replace("Z", ""),
        (BARS + FIRST + SECOND).replace("T", " "),
        (BARS + FIRST + SECOND).replace("2024-01-01T00:00:00Z", "2024-01-01"),
        (BARS + FIRST + SECOND).replace(",1\n", ',"1"\n'),
        (BARS + FIRST + SECOND).replace(",1\n", ",\n"),
        "open,close,high,low,time,note\n1,1,2,0.5,2024-01-01T00:00:00Z,a\n1,1,2,0.5,2024-01-01T01:00:00Z,\u00e9\n",
        "time,open,high,low,close\n2024-01-01T00:00:00Z,1,2,0.5,1\n2024-01-01T01:00:00Z,1,2,0.5,1\n",
    ],
)
def test_the_ways_to_write_a_bars_file_agree(tmp_path: Path, text: str) -> None:
    """Line ends, quotes, offsets, column order and missing volumes change nothing of what is read."""
    history = opened(tmp_path, {"bars/1h/BTC.csv": text}, ["BTC"])
    assert history.closes == (at("2024-01-01 01:00"), at("2024-01-01 02:00"))
    now = at("2024-01-02")
    assert [bar[2:6] for bar in history.archive.prints(BTC, None, now, now)] == [FLAT] * 2


def test_a_contradictory_candle_is_dropped_counted_and_named(tmp_path: Path) -> None:
    """A high below the open does not stop a run: the row is passed over, with file, line and reason."""
    rows = "2024-01-01T01:00:00Z,3,2,0.5,1,1\n2024-01-01T02:00:00Z,1,2,1.5,1.75,1\n2024-01-01T03:00:00Z,1,2,1,2,1\n"
    history = opened(tmp_path, {"bars/1h/BTC.csv": BARS + FIRST + rows}, ["BTC"])
    assert (history.bars, len(history.refused)) == (2, 2)
    first, second = history.refused
    assert first.endswith("BTC.csv line 3: high 2.0 below open 3.0")
    assert second.endswith("BTC.csv line 4: low 1.5 above open 1.0")
    assert history.closes == (at("2024-01-01 01:00"), at("2024-01-01 04:00"))


def test_the_grid_of_an_instrument_is_exact(tmp_path: Path) -> None:
    """Steps are read as written, and an empty one takes the default."""
    text = "token_id,symbol,name,quantity_step,price_tick,category\n3375,BTC,Bitcoin,0.001,0.01,L1\n3306,ETH,Ether,,,\n"
    instruments = opened(tmp_path, {"instruments.csv": text}).instruments
    assert (instruments[BTC].quantity_step, instruments[BTC].price_tick) == (Decimal("0.001"), Decimal("0.01"))
    assert (instruments[ETH].quantity_step, instruments[ETH].price_tick) == (Decimal("1e-8"), None)
    assert (instruments[BTC].category, instruments[ETH].category) == ("L1", None)


def test_the_digest_follows_the_contents_of_the_files_read(tmp_path: Path) -> None:
    """The same files give the same digest elsewhere; another digit or a file more gives another."""
    digest = opened(tmp_path / "a").digest
    assert opened(tmp_path / "b").digest == digest
    assert opened(tmp_path / "c", {"bars/1h/ETH.csv": bar_rows("2024-01-01", 10, first=11)}).digest != digest
    assert opened(tmp_path / "d", {"levels.csv": LEVELS}).digest != digest
    assert opened(tmp_path / "e", {"bars/1h/ETH.csv": None}, ["BTC"]).digest != digest
