"""Right at the edges: borrow days, a short's margin, targets, breakers, amounts and prices, worked out by hand."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.base_case import BULLISH, hours, replayed, strategy_text, told
from tests.edge_replays import replay

SHORT = {"side": "short"}
SOLD = ("AAA", 2, "bearish")
FRACTION = {"rule": "fraction", "fraction": 0.05}


@pytest.mark.parametrize(("held", "fees"), [(1, 0.1), (23, 0.1), (24, 0.1), (25, 0.2), (36, 0.2), (48, 0.2), (49, 0.3)])
def test_a_short_pays_for_begun_days(tmp_path: Path, held: int, fees: float) -> None:
    """T5: 0.1 % a day of 100, ceil(hours / 24) days: the day that begins at the cover is not paid."""
    turns = [SOLD, ("AAA", 2 + held, "bullish")]
    short = {"borrow_fraction_per_day": 0.001}
    found = replayed(tmp_path, {"AAA": hours((80, "100"))}, turns=turns, strategy=SHORT, short=short)
    assert found.trades[0]["fees"] == pytest.approx(fees)


def test_a_fee_below_a_micro_dollar_is_no_fee(tmp_path: Path) -> None:
    """A borrow fee of 1e-10 a day rounds to nothing, and leaves no entry in the books."""
    turns, short = [SOLD, ("AAA", 60, "bullish")], {"borrow_fraction_per_day": 0.000000000001}
    found = replayed(tmp_path, {"AAA": hours((80, "100"))}, turns=turns, strategy=SHORT, short=short)
    assert found.trades[0]["fees"] == 0


@pytest.mark.parametrize("days", [1, 7])
def test_daily_bars_pay_for_the_days_that_they_hold(tmp_path: Path, days: int) -> None:
    """T5: sold at a midnight and covered so many midnights later: that many days, not one more."""
    bars = hours((20, "100"), step=timedelta(days=1))
    turns = [("AAA", 48, "bearish"), ("AAA", 48 + 24 * days, "bullish")]
    short = {"borrow_fraction_per_day": 0.001}
    strategy = {**SHORT, "feed": "daily"}
    found = replayed(tmp_path, {"AAA": bars}, turns=turns, timeframe="1d", strategy=strategy, short=short)
    assert found.trades[0]["fees"] == pytest.approx(0.1 * days)


@pytest.mark.parametrize("schedule", ["0 0 * * *", "5 0 * * *", "0 * * * *"])
@pytest.mark.parametrize(("timeframe", "bars"), [("1d", 12), ("1h", 288)])
def test_when_slots_are_changes_no_borrowing(tmp_path: Path, schedule: str, timeframe: str, bars: int) -> None:
    """Sold at a midnight and covered 48 hours later: two days, even where a slot lies between a midnight and a bar."""
    files = {"AAA": hours((bars, "100"), step=timedelta(days=1) if timeframe == "1d" else timedelta(hours=1))}
    strategy = {**SHORT, "feed": "daily"}
    more = {"short": {"borrow_fraction_per_day": 0.001}, "exits": {"rules": ["time_stop"], "time_stop_hours": 48}}
    turns = [("AAA", 48, "bearish")]
    found = replayed(
        tmp_path, files, "--schedule", schedule, turns=turns, timeframe=timeframe, strategy=strategy, **more
    )
    assert found.trades[0]["fees"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("margin", "prices", "expected", "equity"),
    [
        (1, ((4, "100"), (6, "1000")), "liquidated 2024-01-01T04:00 @ 200 -500.00", 500),
        (1, ((4, "100"), (1, "100 300 100 150"), (6, "90")), "liquidated 2024-01-01T04:00 @ 200 -500.00", 500),
        (0.5, ((4, "100"), (1, "100 160 100 150"), (6, "90")), "liquidated 2024-01-01T04:00 @ 150 -250.00", 750),
    ],
    ids=["a gap", "inside a bar", "half the margin"],
)
def test_a_short_loses_its_margin_and_no_more(
    tmp_path: Path,
    margin: float,
    prices: tuple[tuple[int, str], ...],
    expected: str,
    equity: float,
) -> None:
    """Five sold at 100 with 1,000 cash: covered at entry x (1 + margin), also through a gap."""
    found = replayed(
        tmp_path,
        {"AAA": hours(*prices)},
        turns=[SOLD],
        cash="1000",
        strategy=SHORT,
        sizing={"quantity": 5},
        short={"margin_fraction": margin},
    )
    assert told(found.trades[0]) == expected
    assert found.equity[-1]["equity"] == equity


def test_a_cover_with_its_costs_is_no_dearer_than_the_margin(tmp_path: Path) -> None:
    """Sold at 95, half of it as margin: a cover at 140 with 5 % of spread would cost 147, and is made at 142.5."""
    found = replayed(
        tmp_path,
        {"AAA": hours((4, "100"), (6, "140"))},
        turns=[SOLD, ("AAA", 6, "bullish")],
        strategy=SHORT,
        short={"margin_fraction": 0.5},
        fills={"half_spread_fraction": 0.05},
    )
    assert told(found.trades[0]) == "signal_flipped 2024-01-01T06:00 @ 142.5 -47.50"


@pytest.mark.parametrize("schedule", ["0 * * * *", "0 2-23/6 * * *"])
def test_a_price_without_trades_takes_no_more_than_the_margin(tmp_path: Path, schedule: str) -> None:
    """Five sold at 100 with 1,000 cash: 50 quiet hours at 1,000 mark it at 200, for the deepest fall as well."""
    bars = {"AAA": hours((4, "100"), (50, "1000v0"), (50, "100"))}
    more = {"strategy": SHORT, "sizing": {"quantity": 5}}
    found = replayed(tmp_path, bars, "--schedule", schedule, turns=[SOLD], cash="1000", **more)
    assert min(row["equity"] for row in found.equity) == 500
    assert found.answer["statistics"]["max_drawdown"] == 0.5
    assert found.trades[0]["is_open"]


@pytest.mark.parametrize("schedule", ["0 * * * *", "0 2-23/3 * * *"])
def test_the_deepest_fall_is_found_behind_a_short_beyond_its_margin(tmp_path: Path, schedule: str) -> None:
    """2,000 less 500 of a short at quiet 250 and 250 of a long at 50: deeper than the 1,000 after it."""
    bars = {"AAA": hours((4, "100"), (4, "250v0"), (40, "1000v0")), "BBB": hours((4, "100"), (4, "50"), (40, "100"))}
    more = {"strategy": {"side": "both", "universe": ["AAA", "BBB"]}, "sizing": {"quantity": 5}}
    turns = [SOLD, ("BBB", 2, "bullish")]
    found = replayed(tmp_path, bars, "--schedule", schedule, turns=turns, cash="2000", **more)
    assert found.answer["statistics"]["max_drawdown"] == pytest.approx(0.375)
    assert found.equity[-1]["equity"] == 1500


def test_an_exit_that_waits_does_not_save_a_liquidated_short(tmp_path: Path) -> None:
    """The turn at 04:00 would cover at the open of 1,000, but the margin is used up before that price."""
    turns = [SOLD, ("AAA", 4, "bullish")]
    bars = {"AAA": hours((4, "100"), (6, "1000"))}
    found = replayed(tmp_path, bars, turns=turns, cash="1000", strategy=SHORT, sizing={"quantity": 5})
    assert told(found.trades[0]) == "liquidated 2024-01-01T04:00 @ 200 -500.00"


@pytest.mark.parametrize(
    ("stop", "prices", "expected"),
    [
        (1.5, ((4, "100"), (1, "100 240 100 230"), (4, "90")), "liquidated 2024-01-01T04:00 @ 200 -100.00"),
        (0.5, ((4, "100"), (1, "100 240 100 230"), (4, "90")), "stop_hit 2024-01-01T04:00 @ 150 -50.00"),
        (0.5, ((4, "100"), (1, "180 240 100 230"), (4, "90")), "stop_hit 2024-01-01T04:00 @ 180 -80.00"),
        (0.5, ((4, "100"), (1, "220 240 100 230"), (4, "90")), "liquidated 2024-01-01T04:00 @ 200 -100.00"),
    ],
    ids=["a stop beyond the margin", "a stop before it", "a gap over the stop", "a gap over both"],
)
def test_a_short_ends_at_the_nearer_of_stop_and_margin(
    tmp_path: Path, stop: float, prices: tuple[tuple[int, str], ...], expected: str
) -> None:
    """T11 and the margin: a stop may lie beyond twice the entry where the margin is larger; the nearer one acts."""
    bars = {"AAA": hours(*prices)}
    stops = {"rule": "fraction", "fraction": stop}
    found = replayed(tmp_path, bars, turns=[SOLD], strategy=SHORT, stop=stops)
    assert told(found.trades[0]) == expected


@pytest.mark.parametrize(
    ("fill", "then", "expected"),
    [
        ("through", "105", "open"),
        ("through", "105 105.01 104 105", "target_hit 2024-01-01T03:00 @ 105 +5.00"),
        ("through", "106", "target_hit 2024-01-01T03:00 @ 105 +5.00"),
        ("touch", "105", "target_hit 2024-01-01T03:00 @ 105 +5.00"),
    ],
)
def test_through_needs_a_price_beyond_the_target(tmp_path: Path, fill: str, then: str, expected: str) -> None:
    """Target 105: an open exactly at it is no price beyond, a high or an open above it is."""
    bars = {"AAA": hours((3, "100"), (5, then))}
    fills = {"target_fill": fill}
    found = replayed(tmp_path, bars, stop=FRACTION, target=FRACTION, fills=fills)
    (trade,) = found.trades
    assert ("open" if trade["is_open"] else told(trade)) == expected


@pytest.mark.parametrize(("bearish", "entered"), [("ignore", 1), ("exit", 0)])
def test_ignored_turns_leave_a_waiting_entry_alone(tmp_path: Path, bearish: str, entered: int) -> None:
    """Hours 2 to 4 have no bars, the stance turns bearish at 04:00: the entry fills at 05:00, or is cancelled."""
    bars = {"AAA": hours((2, "100"), (3, "-"), (4, "100")), "BBB": hours((9, "1"))}
    turns = [*BULLISH, ("AAA", 4, "bearish")]
    strategy = {"universe": ["AAA", "BBB"], "bearish": bearish}
    found = replayed(tmp_path, bars, turns=turns, strategy=strategy)
    assert len(found.trades) == entered


@pytest.mark.parametrize("timeframe", ["1h", "1d"])
def test_a_volatility_shock_trips_on_every_timeframe(tmp_path: Path, timeframe: str) -> None:
    """T6: fifteen days between 101 and 100, then 20: flattened, on daily bars at the open after the day that fell."""
    step, each = (timedelta(days=1), 1) if timeframe == "1d" else (timedelta(hours=1), 24)
    saw = [(each, "101" if day % 2 == 0 else "100") for day in range(15)]
    bars = hours(*saw, (4 * each, "20"), step=step)
    feed = {"feed": "daily" if timeframe == "1d" else "hourly"}
    limit = {"limits.volatility_shock": {"at": 5, "action": "flatten"}}
    turns = [("AAA", 12 * 24, "bullish")]
    found = replayed(tmp_path, {"AAA": bars}, turns=turns, timeframe=timeframe, strategy=feed, **limit)
    assert [trade["exit_reason"] for trade in found.trades] == ["risk_breaker"]


def test_the_price_of_one_exit_is_that_of_its_fill(tmp_path: Path) -> None:
    """T8: thirty targets at prices of nine digits: v_trades, v_fills and the target agree digit for digit."""
    prices = {f"T{number:02}": f"{101.123456789 + number * 0.987654321:.9f}" for number in range(30)}
    bars = {name: hours((3, price), (3, "300")) for name, price in prices.items()}
    turns = [(name, 2, "bullish") for name in bars]
    strategy = {"universe": list(bars)}
    target = {"rule": "fraction", "fraction": 0.0345678}
    found = replayed(tmp_path, bars, turns=turns, cash="1000000", strategy=strategy, target=target)
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection:
        fills = dict(connection.execute("select position_id, price from v_fills where role = 'target'").fetchall())
    assert len(fills) == 30
    for trade in found.trades:
        assert trade["exit_price"] == fills[trade["position_id"]] == trade["target"]


def test_two_amounts_are_too_much_together(tmp_path: Path) -> None:
    """T10: two positions of 6e10 each are within the limit, their sum is not: 65, and the larger one is named."""
    prices = {"AAA": "6e10", "BBB": "6.1e10"}
    bars = {f"bars/1h/{name}.csv": hours((5, "100"), (5, price)) for name, price in prices.items()}
    signals = "token_id,published_at,stance\n1,2024-01-01T02:00:00Z,bullish\n2,2024-01-01T02:00:00Z,bullish\n"
    text = strategy_text({"strategy": {"universe": ["AAA", "BBB"]}})
    found = replay(tmp_path, {**bars, "signals.csv": signals}, strategy=text)
    assert found.code == 65
    assert "token_id 2 at 2024-01-01T06:00Z: an amount of 121,000,009,800.000000 is beyond" in found.stderr


@pytest.mark.parametrize("end", ["2024-01-01T13:00Z", None], ids=["--to", "the last bar"])
def test_the_end_of_a_window_decides_nothing(tmp_path: Path, end: str | None) -> None:
    """A turn at the very end is no candidate there; what is held is settled up to it and marked."""
    turns = [*BULLISH, ("AAA", 13, "bearish"), ("BBB", 13, "bullish")]
    bars = {"AAA": hours((12, "100"), (1, "110")), "BBB": hours((13, "1"))}
    more = () if end is None else ("--to", end)
    found = replayed(tmp_path, bars, *more, turns=turns, strategy={"universe": ["AAA", "BBB"]})
    assert (found.equity[-1]["slot"][:16], found.equity[-1]["equity"]) == ("2024-01-01T13:00", 10010)
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection:
        (last,) = connection.execute("select max(slot) from v_decisions").fetchone()
        orders = connection.execute("select count(*) from v_orders").fetchone()
    assert (last[:16], orders) == ("2024-01-01T02:00", (1,))


def test_a_replay_keeps_the_bars_of_its_fills(tmp_path: Path) -> None:
    """The entry's bar and the stop's stand in v_bars with volume and instants, and no other bar does."""
    bars = {"AAA": hours((3, "100"), (1, "100 101 94 96v7"), (5, "96"))}
    replayed(tmp_path, bars, stop=FRACTION)
    with closing(sqlite3.connect(tmp_path / "l.db")) as connection:
        found = connection.execute("select symbol, timeframe, substr(opened_at, 12, 5), o, h, l, c, volume from v_bars")
        assert found.fetchall() == [
            ("AAA", "1h", "02:00", 100, 100, 100, 100, 1000),
            ("AAA", "1h", "03:00", 100, 101, 94, 96, 7),
        ]


def test_an_amount_beyond_the_ledger_is_named(tmp_path: Path) -> None:
    """T10: ten at 2e10 are 200 billion: bad data (65), with token, slot and the largest amount that a ledger holds."""
    text = strategy_text({"sizing": {"quantity": 10}})
    found = replay(tmp_path, {"bars/1h/AAA.csv": hours((5, "100"), (5, "20000000000"))}, strategy=text)
    assert found.code == 65
    error = found.stderr.splitlines()[-1]
    assert error.startswith("bot: token_id 1 at 2024-01-01T06:00Z: an amount of 200,000,009,000.000000 is beyond the")
    assert " 100,000,000,000 that a ledger holds" in error


def test_the_deepest_fall_is_that_of_all_slots(tmp_path: Path) -> None:
    """T3: 1,250 at 06:00, 750 at 07:00: 40 %, also where neither slot is written, and the amount is of that fall."""
    bars = {"AAA": hours((4, "100"), (2, "150"), (1, "50"), (33, "100"))}
    sizing = {"rule": "fixed_notional", "notional": 500, "quantity": None}
    found = replayed(tmp_path, bars, cash="1000", sizing=sizing)
    figures = found.answer["statistics"]
    assert figures["max_drawdown"] == pytest.approx(0.4)
    assert figures["max_drawdown_amount"] == pytest.approx(500)
    assert figures["drawdown_started_at"][:16] == "2024-01-01T05:00"
    assert figures["drawdown_trough_at"][:16] == "2024-01-01T07:00"
    assert figures["drawdown_recovered_at"] is None
    assert found.equity[-1]["drawdown_deepest"] == pytest.approx(0.4)
