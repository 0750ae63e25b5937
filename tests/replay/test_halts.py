"""Halts and bars without a trade: when it is noticed changes nothing of the trade (T1, and the contract's settlements).

The same trade alone, beside another token, at every hour, day or month, and for a daemon that was down.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.base_case import hours, replayed, told

FLAT = hours((800, "1"))
STOPPED = {"stop": {"rule": "fraction", "fraction": 0.05}}
SCHEDULES = ((), ("--schedule", "0 * * * *"), ("--schedule", "0 2 * * *"), ("--schedule", "0 2 1 * *"))


@pytest.mark.parametrize("universe", [["AAA"], ["AAA", "BBB"]], ids=["alone", "beside a flat token"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=["closes", "hourly", "daily", "monthly"])
@pytest.mark.parametrize("after", ["10", "1000"], ids=["back lower", "back higher"])
def test_a_halt_of_a_week_ends_a_position_before_the_next_bar(
    tmp_path: Path,
    universe: list[str],
    schedule: tuple[str, ...],
    after: str,
) -> None:
    """T1: bars end 2024-01-02T02:00 and come back 400 hours later: delisted at 100 a week after, whatever the slots."""
    bars = {"AAA": hours((26, "100"), (400, "-"), (24, after)), "BBB": FLAT}
    found = replayed(tmp_path, bars, *schedule, strategy={"universe": universe}, **STOPPED)
    (trade,) = found.trades
    assert told(trade) == "delisted 2024-01-09T02:00 @ 100 +0.00"
    assert trade["profit_pessimistic"] == -100
    assert trade["profit_optimistic"] == 0


def test_coming_back_higher_is_no_profit(tmp_path: Path) -> None:
    """T1: 1,000 at 1, down to 0.0001, 18 days nothing, then a new coin at 8.5: 9,000.10 and not 17,500."""
    crash = ((8, "1"), (1, "1 1 0.0001 0.0001"), (1, "0.0001 0.0002 0.0001 0.0001"), (432, "-"), (30, "8.5"))
    found = replayed(tmp_path, {"AAA": hours(*crash)}, sizing={"quantity": 1000})
    assert told(found.trades[0]) == "delisted 2024-01-08T10:00 @ 0.0001 -999.90"
    assert found.equity[-1]["equity"] == 9000.1


@pytest.mark.parametrize("universe", [["AAA"], ["AAA", "BBB"]], ids=["alone", "beside"])
def test_a_history_ends_with_the_last_bar_of_its_folder(tmp_path: Path, universe: list[str]) -> None:
    """Twenty-six hours, then none, while another file goes on for weeks: delisted, in the universe or not."""
    bars = {"AAA": hours((26, "100")), "BBB": FLAT}
    found = replayed(tmp_path, bars, strategy={"universe": universe})
    assert told(found.trades[0]) == "delisted 2024-01-09T02:00 @ 100 +0.00"


def test_a_history_ends_where_it_is_told_to(tmp_path: Path) -> None:
    """With --to two weeks behind the last bar of all the token has been silent for long enough; one hour less, not."""
    bars = {"AAA": hours((26, "100"))}
    found = replayed(tmp_path / "long", bars, "--to", "2024-01-09T02:00Z")
    assert told(found.trades[0]) == "delisted 2024-01-09T02:00 @ 100 +0.00"
    found = replayed(tmp_path / "short", bars, "--to", "2024-01-09T01:00Z")
    assert found.trades[0]["is_open"]


def test_six_days_and_23_hours_are_no_halt(tmp_path: Path) -> None:
    """The stop that was gapped over fills at the first open after the hole; an hour more and it is a halt."""
    bars = {"AAA": hours((26, "100"), (167, "-"), (24, "10"))}
    found = replayed(tmp_path / "short", bars, **STOPPED)
    assert told(found.trades[0]) == "stop_hit 2024-01-09T01:00 @ 10 -90.00"
    bars = {"AAA": hours((26, "100"), (168, "-"), (24, "10"))}
    found = replayed(tmp_path / "long", bars, **STOPPED)
    assert told(found.trades[0]) == "delisted 2024-01-09T02:00 @ 100 +0.00"


def test_a_short_that_is_delisted_may_have_cost_its_margin(tmp_path: Path) -> None:
    """Sold at 100 and closed at its last close of 90: +10; at worst it was covered at twice its entry, -100."""
    bars = {"AAA": hours((25, "100"), (1, "90"), (400, "-"), (24, "80"))}
    turns = [("AAA", 2, "bearish")]
    found = replayed(tmp_path, bars, turns=turns, strategy={"side": "short"})
    assert told(found.trades[0]) == "delisted 2024-01-09T02:00 @ 90 +10.00"
    assert found.trades[0]["profit_pessimistic"] == -100


@pytest.mark.parametrize("universe", [["AAA"], ["AAA", "BBB"]], ids=["alone", "beside"])
def test_a_time_stop_takes_the_first_open_after_a_hole(tmp_path: Path, universe: list[str]) -> None:
    """Due 24 hours after 02:00 inside a hole of hours 10 to 40: the open of hour 40, with or without slots between."""
    bars = {"AAA": hours((10, "100"), (30, "-"), (24, "90")), "BBB": FLAT}
    exits = {"rules": ["time_stop"], "time_stop_hours": 24}
    found = replayed(tmp_path, bars, strategy={"universe": universe}, exits=exits)
    assert told(found.trades[0]) == "time_stop 2024-01-02T16:00 @ 90 -10.00"


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["closes", "hourly", "daily", "monthly"])
def test_a_time_stop_does_not_wait_for_a_slot(tmp_path: Path, schedule: tuple[str, ...]) -> None:
    """Due 30 hours after 02:00: the open of 2024-01-02T08:00, also where slots come once a day or a month."""
    bars = {"AAA": hours((32, "100"), (1, "97"), (30, "50"))}
    exits = {"rules": ["time_stop"], "time_stop_hours": 30}
    found = replayed(tmp_path, bars, *schedule, exits=exits)
    assert told(found.trades[0]) == "time_stop 2024-01-02T08:00 @ 97 -3.00"


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        (((3, "100"), (5, "90v0"), (2, "99")), "open"),
        (((3, "100v0"), (5, "90v0")), "stop_hit 2024-01-01T03:00 @ 90 -10.00"),
        (((3, "100"), (1, "90v0"), (1, "94"), (2, "99")), "stop_hit 2024-01-01T04:00 @ 94 -6.00"),
    ],
    ids=["no fill", "never a volume: unknown", "the next traded bar"],
)
def test_a_bar_without_a_trade_fills_nothing(tmp_path: Path, bars: tuple[tuple[int, str], ...], expected: str) -> None:
    """A bar of volume 0 far below the stop only marks; where no bar ever had a volume, zeros say nothing."""
    found = replayed(tmp_path, {"AAA": hours(*bars)}, **STOPPED)
    (trade,) = found.trades
    assert ("open" if trade["is_open"] else told(trade)) == expected


def test_a_bar_without_a_trade_marks(tmp_path: Path) -> None:
    """Its close values the position; its low is no excursion, for nobody traded there."""
    bars = {"AAA": hours((4, "100"), (1, "90 90 80 90v0"), (2, "100"), (1, "94"))}
    found = replayed(tmp_path, bars, "--schedule", "0 * * * *", **STOPPED)
    assert min(row["drawdown_deepest"] for row in found.equity) == 0
    assert found.answer["statistics"]["max_drawdown"] == pytest.approx(10 / 10000)
    assert found.trades[0]["mae"] == pytest.approx(-0.06)


def test_an_entry_waits_for_a_trade(tmp_path: Path) -> None:
    """Accepted at 02:00 it finds two hours without a volume, and fills at the open of 04:00."""
    found = replayed(tmp_path, {"AAA": hours((2, "100"), (2, "90v0"), (3, "101"))})
    assert (found.trades[0]["opened_at"][:16], found.trades[0]["entry_price"]) == ("2024-01-01T04:00", 101)


@pytest.mark.parametrize("universe", [["AAA"], ["AAA", "BBB"]], ids=["alone", "beside"])
def test_bars_without_a_trade_are_no_bars_for_a_halt(tmp_path: Path, universe: list[str]) -> None:
    """Ten days of copied prices with a volume of 0 are a halt: delisted a week after the last trade, at its price."""
    bars: Mapping[str, str] = {"AAA": hours((26, "100"), (240, "70v0"), (24, "60")), "BBB": FLAT}
    found = replayed(tmp_path, bars, strategy={"universe": universe})
    assert told(found.trades[0]) == "delisted 2024-01-09T02:00 @ 100 +0.00"
