"""A trial of a sweep, with one figure undefined."""

from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal

from bot.domain.sweeps import Trial

FIGURES = [field.name for field in fields(Trial) if field.type == float | None]
TRIAL = Trial(
    trial_id="trial-1",
    sweep="first",
    strategy="waves",
    parameters='{"stop.fraction":0.01}',
    window_from=datetime(2024, 1, 1, 1, tzinfo=UTC),
    window_to=datetime(2024, 2, 1, tzinfo=UTC),
    is_test=False,
    seed=1,
    code_version="0.1",
    strategy_hash="a",
    history_digest="b",
    cash=Decimal(10000),
    schedule=None,
    slots=743,
    days=31,
    trades=3,
    open_positions=1,
    wins=2,
    losses=1,
    final_equity=Decimal("10123.456789"),
    reasons='{"calmar":"needs 90 daily returns, has 31"}',
    **{name: None if name == "calmar" else 1 / (number + 3) for number, name in enumerate(FIGURES)},  # type: ignore[arg-type]
)
