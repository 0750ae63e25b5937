"""Each breaker trips and each gate refuses on every timeframe that a strategy may use (T6)."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.base_case import hours, strategy_text
from tests.edge_replays import replay

STEPS: Mapping[str, timedelta] = {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
DAY = timedelta(days=1)
TURN = "2024-01-16T23:59:00Z"
# Sixteen days of a saw; then 100, and in the next bar the fall.
SAW = tuple("101" if day % 2 == 0 else "100" for day in range(16))
DATED = {
    "levels.csv": "token_id,known_at,level\n1,2024-01-01T00:00:00Z,90\n1,2024-01-01T00:00:00Z,104\n",
    "quantmetrics.csv": "token_id,known_at,volatility,sharpe,sortino,max_drawdown,cagr\n"
    "1,2024-01-01T00:00:00Z,0.8,0.5,0.5,-0.5,0.1\n",
    "grades.csv": "token_id,known_at,trader_grade,investor_grade\n1,2024-01-01T00:00:00Z,50,50\n",
    "market.csv": "token_id,known_at,market_cap,volume_24h\n1,2024-01-01T00:00:00Z,1000,1000\n",
}


def prices(timeframe: str, *after: str) -> str:
    """Write the saw on a timeframe, then some bars."""
    each = DAY // STEPS[timeframe]
    return hours(*((each, price) for price in SAW), *((1, price) for price in after), step=STEPS[timeframe])


def asked(
    place: Path, timeframe: str, statement: str, after: tuple[str, ...], **changes: Mapping[str, object]
) -> list[object]:
    """Replay the base case with the turn after the saw, and ask the ledger."""
    signals = f"token_id,published_at,stance\n1,{TURN},bullish\n"
    bars = {f"bars/{timeframe}/AAA.csv": prices(timeframe, *after)}
    text = strategy_text({**changes, "strategy": {"feed": "daily" if timeframe == "1d" else "hourly"}})
    found = replay(place, {**DATED, **bars, "signals.csv": signals}, strategy=text)
    assert found.code == 0, found.stderr
    with closing(sqlite3.connect(found.ledger)) as connection:
        return [row[0] for row in connection.execute(statement)]


LIMITS: Mapping[str, float] = {"daily_loss": 0.05, "drawdown": 0.05, "loss_streak": 1, "volatility_shock": 5}


@pytest.mark.parametrize("timeframe", STEPS)
@pytest.mark.parametrize("name", LIMITS)
def test_every_breaker_trips(tmp_path: Path, timeframe: str, name: str) -> None:
    """All cash at 100, then 50: each limit is reached, on daily bars as on finer ones."""
    changes = {
        f"limits.{name}": {"at": LIMITS[name], "action": "block", "hours": 1000},
        "sizing": {"rule": "fixed_fraction", "fraction": 0.9, "quantity": None},
        "stop": {"rule": "fraction", "fraction": 0.2},
    }
    if name != "loss_streak":
        changes["stop"] = {"rule": "none"}
    statement = "select name from v_run_events where state = 'tripped'"
    assert asked(tmp_path, timeframe, statement, ("100", "100", "50", "50", "50"), **changes) == [name]


# Each threshold lies just beyond what the token has.
REFUSING: Mapping[str, Mapping[str, object]] = {
    "entry": {"age_max_hours": 0.01},
    "gates": {
        "trader_grade_min": 60,
        "investor_grade_min": 60,
        "sharpe_min": 1,
        "sortino_min": 1,
        "cagr_min": 1,
        "max_drawdown_limit": 0.4,
        "volatility_max": 0.5,
        "volume_min": 2000,
        "market_cap_min": 2000,
        "resistance_distance_min": 0.1,
        "reward_risk_min": 5,
    },
    "gates.freshness_hours": {"signals": 0.01, "levels": 24, "quantmetrics": 24, "grades": 24},
    "stop": {"rule": "level"},
    "target": {"rule": "level"},
    "limits": {"exposure_max": 0.001},
    "sizing": {"notional_min": 1000},
}


@pytest.mark.parametrize("timeframe", STEPS)
def test_every_gate_refuses(tmp_path: Path, timeframe: str) -> None:
    """All gates of one candidate fail, each on the value that was measured and not for want of one."""
    statement = "select gate || case when value is null then ' unknown' else '' end from v_gates where not passed"
    configured = {name.removesuffix("_min").removesuffix("_max").removesuffix("_limit") for name in REFUSING["gates"]}
    fresh = {f"freshness_{name}" for name in REFUSING["gates.freshness_hours"]}
    expected = configured | fresh | {"signal_age", "exposure", "notional"}
    assert set(asked(tmp_path, timeframe, statement, ("100", "100", "100"), **REFUSING)) == expected
