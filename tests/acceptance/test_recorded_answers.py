"""The provider's real answers, as they were recorded, are read to the last digit."""

import csv
import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.tokenmetrics.fields import Envelope, read_envelope, rows_of
from bot.adapters.tokenmetrics.listing import parse_listed
from bot.adapters.tokenmetrics.parse import Parsed, Question, parse
from bot.domain.errors import AccessError
from bot.domain.ids import TokenId
from bot.domain.market import Grades, LevelSet
from bot.domain.signals import Signal, Stance
from bot.domain.tape import TokenPrint

KNOWN = datetime(2025, 5, 7, 9, 15, tzinfo=UTC)
BTC, ETH, SOL, DOGE = (TokenId(number) for number in (3375, 3306, 3988, 3393))


def asked(*tokens: TokenId) -> Question:
    """Ask for tokens at an instant after the recordings."""
    return Question(tokens=frozenset(tokens), started_at=KNOWN, known_at=KNOWN)


@pytest.fixture
def recorded(shared: Path) -> Path:
    """The folder of recorded answers; skips where it is absent."""
    return shared / "data" / "tokenmetrics" / "recorded"


def envelope(path: Path) -> Envelope:
    """Read a recorded answer."""
    found = read_envelope(path.read_bytes())
    assert found is not None
    return found


def elements(path: Path) -> Envelope:
    """Read recorded rows, putting the envelope around them that the recorder left out."""
    found = read_envelope(b'{"success": true, "data": ' + path.read_bytes() + b"}")
    assert found is not None
    return found


def read(feed: str, found: Envelope, *tokens: TokenId) -> Parsed:
    """Read the rows of an answer as the source does."""
    return parse(feed, rows_of(feed, 200, found, None), asked(*tokens))


@pytest.mark.parametrize(
    ("number", "tokens", "counts", "strangers"),
    [
        (1, (BTC, ETH), {BTC: 75, ETH: 48}, 0),
        (2, (BTC, ETH), {BTC: 75, ETH: 48}, 3),
        (3, (BTC, ETH), {BTC: 75, ETH: 48}, 2),
        (4, (DOGE,), {DOGE: 33}, 3),
        (5, (SOL,), {SOL: 29}, 2),
    ],
)
def test_recorded_levels_are_read_whole(
    recorded: Path, number: int, tokens: tuple[TokenId, ...], counts: dict[TokenId, int], strangers: int
) -> None:
    """Every level of the tokens asked for is there, ascending; the look-alikes beside them are not."""
    parsed = read("resistance-support", envelope(recorded / f"resistance-support.v2.{number}.json"), *tokens)
    sets = {found.token_id: found for found in parsed.data if isinstance(found, LevelSet)}
    assert {token: len(found.levels) for token, found in sets.items()} == counts
    assert parsed.strangers == len(parsed.refusals) == strangers
    for found in sets.values():
        prices = [level.price for level in found.levels]
        assert prices == sorted(set(prices))


def test_recorded_levels_keep_the_digits_of_the_wire(recorded: Path) -> None:
    """Binary noise in the recorded numbers is neither rounded nor multiplied."""
    path = recorded / "resistance-support.v2.1.json"
    (bitcoin,) = read("resistance-support", envelope(path), BTC).data
    assert isinstance(bitcoin, LevelSet)
    text = json.loads(path.read_text(), parse_float=str, parse_int=str)
    rows = {row["TOKEN_ID"]: row for row in text["data"]}
    wire = {Decimal(entry["level"]) for entry in rows[str(BTC)]["HISTORICAL_RESISTANCE_SUPPORT_LEVELS"]}
    assert {level.price for level in bitcoin.levels} == wire
    assert bitcoin.published_at == datetime(2025, 4, 9, tzinfo=UTC)


def test_the_recorded_signal_row_is_bearish_by_its_trend(recorded: Path) -> None:
    """Signal 0 with trend -1 is a bearish state, published as its day ended, with both grades."""
    parsed = read("trading-signals", envelope(recorded / "trading-signals.v2.1.first-row-only.json"), BTC)
    grades, signal = parsed.data
    assert isinstance(signal, Signal)
    assert (signal.stance, signal.published_at, signal.grade) == (
        Stance.BEARISH,
        datetime(2025, 4, 11, tzinfo=UTC),
        Decimal("26.48"),
    )
    assert isinstance(grades, Grades)
    assert grades.investor_grade == Decimal("58.23")


def test_a_hundred_recorded_signals_are_read_without_a_refusal(shared: Path) -> None:
    """All rows of a full page are signals; the one event outweighs its trend, four grades are null."""
    found = envelope(shared / "data" / "tokenmetrics" / "trading-signals_2025-04-07_2025-04-08.json")
    assert found.rows is not None
    tokens = [TokenId(row["TOKEN_ID"]) for row in found.rows if isinstance(row, dict)]
    parsed = read("trading-signals", found, *tokens)
    signals = [datum for datum in parsed.data if isinstance(datum, Signal)]
    missing = [datum for datum in parsed.data if isinstance(datum, Grades) and datum.investor_grade is None]
    assert parsed.refusals == ()
    assert (len(signals), len(missing)) == (100, 4)
    assert {signal.published_at.day for signal in signals} == {8, 9}
    assert {signal.stance for signal in signals} == {Stance.BULLISH, Stance.BEARISH}


def test_signal_rows_without_an_id_are_refused(recorded: Path) -> None:
    """Rows that name a symbol only are no rows of a token."""
    parsed = read("trading-signals", elements(recorded / "trading-signals.v2.2.partial-fields.json"), BTC)
    assert parsed.data == ()
    assert {refusal.reason for refusal in parsed.refusals} == {"missing_field"}


def test_recorded_days_are_bars_or_refused_by_name(recorded: Path) -> None:
    """Each recorded daily row is a bar of its UTC day, or contradicts itself and says so."""
    for name in ("daily-ohlcv.v2.1", "daily-ohlcv.v2.2"):
        found = elements(recorded / f"{name}.data-elements.display-rounded.json")
        assert found.rows is not None
        tokens = [TokenId(row["TOKEN_ID"]) for row in found.rows if isinstance(row, dict)]
        parsed = read("daily-ohlcv", found, *tokens)
        assert len(parsed.data) + len(parsed.refusals) == len(found.rows)
        assert {refusal.reason for refusal in parsed.refusals} <= {"inconsistent_bar"}
        assert len(parsed.data) > len(found.rows) / 2
        for datum in parsed.data:
            assert isinstance(datum, TokenPrint)
            assert datum.bar.closed_at - datum.bar.opened_at == timedelta(days=1)


def test_the_page_limited_candles_are_read(shared: Path) -> None:
    """Of the daily rows that a row limit cut, all but the few that contradict themselves are bars."""
    path = shared / "data" / "tokenmetrics" / "daily-ohlcv_top100_pagelimited.csv.gz"
    with gzip.open(path, "rt") as lines:
        rows = [dict(row) for row in csv.DictReader(lines)]
    for row in rows:
        row["TOKEN_ID"] = int(row["TOKEN_ID"])
    parsed = parse("daily-ohlcv", rows, asked(*{TokenId(int(row["TOKEN_ID"])) for row in rows}))
    assert {refusal.reason for refusal in parsed.refusals} <= {"inconsistent_bar"}
    assert len(parsed.data) + len(parsed.refusals) == len(rows)
    assert len(parsed.refusals) < len(rows) / 100


def test_recorded_tokens_are_listed(recorded: Path) -> None:
    """Recorded list rows are read with null categories and without any market size."""
    found = elements(recorded / "tokens.v2.2.data-elements.json")
    listed = parse_listed(rows_of("tokens", 200, found, None))
    assert len(listed) == 6
    assert sum(token.symbol == "BASED" for token in listed) == 3
    assert {token.market_cap for token in listed} == {None}


def test_the_recorded_404_is_no_data_and_the_recorded_401_is_the_plan(recorded: Path) -> None:
    """Nothing found is an empty answer; the plan's refusal is told from a bad key."""
    assert rows_of("tokens", 404, envelope(recorded / "errors.v2.2.not-found-404.json"), None) == ()
    refusal = envelope(recorded / "errors.v2.3.plan-401.message-only.json")
    with pytest.raises(AccessError, match="plan"):
        rows_of("resistance-support", 401, refusal, AccessError("refused"))
