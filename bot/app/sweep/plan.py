"""SWEEP.toml as typed values: what a sweep tries, where, and by which figure it judges.

A key that would not be obeyed is refused, never ignored; docs/sweep.md describes each.

A test window begins at the instant at which its train window ends, with cash only, so the choice of
a set knew nothing of it; the tests follow one another without a gap.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from bot.app.replay.material import Place, find_place
from bot.app.settings.config import CRON, LINE
from bot.app.settings.kinds import Number, Word, first_instant, last_instant, show_value
from bot.app.settings.strategies import find_strategy
from bot.app.settings.strategy_kinds import COUNT, NAME
from bot.app.settings.tables import Chosen, Key, load_toml, members, read_tables, refuse
from bot.app.sweep.axes import Axes, Axis
from bot.domain.errors import ConfigError
from bot.domain.numbers import CASH_MAX, micro_half_even


class Window(NamedTuple):
    """The first and the last instant, both inclusive."""

    start: datetime
    end: datetime


class Fold(NamedTuple):
    """A train window, in which sets are chosen, and if walking forward a test of the best."""

    train: Window
    test: Window | None


class WalkForward(NamedTuple):
    """The lengths of train and test windows; folds begin one test window apart."""

    train: timedelta
    test: timedelta


def folds_of(whole: Window, walk_forward: WalkForward | None) -> list[Fold]:
    """List the folds in order, or the whole window as one; raises ConfigError if none fits."""
    if walk_forward is None:
        return [Fold(whole, None)]
    start, (train, test) = whole.start, walk_forward
    folds = []
    # An end given as a date lies 1 microsecond before the midnight at which the last fold may end.
    while start + train + test - timedelta.resolution <= whole.end:
        turning = start + train
        folds.append(Fold(Window(start, turning), Window(turning, min(turning + test, whole.end))))
        start += test
    if not folds:
        raise ConfigError(
            f"walk_forward: {train.days} + {test.days} days do not fit between"
            f" {whole.start:%Y-%m-%dT%H:%MZ} and {whole.end:%Y-%m-%dT%H:%MZ}:"
            " shorten them, or widen the window"
        )
    return folds


SEED = Number(at_least=0, at_most=2**31, whole=True)
CASH = Number(above=0, at_most=CASH_MAX)
# The figures that sets may be judged by: 1 if more is better, -1 if less is better.
FIGURES: Mapping[str, int] = {
    "sharpe": 1, "sortino": 1, "calmar": 1, "total_return": 1, "cagr": 1, "max_drawdown": -1,
    "win_rate": 1, "profit_factor": 1, "expectancy": 1, "expectancy_r": 1, "sqn": 1,
}  # fmt: skip
DRAWN = Chosen("sweep.method", ("random", "optuna"))
SEARCHED = Chosen("sweep.method", ("optuna",))


@dataclass(frozen=True, slots=True)
class Instant:
    """An instant, in UTC if it names no zone; of: reads what is written, also a date alone."""

    of: Callable[[str | date], datetime]

    def read(self, raw: object) -> datetime:
        """Convert the value to an instant in UTC."""
        if isinstance(raw, str | date):
            with suppress(ValueError):
                return self.of(raw)
        raise ValueError(f"{show_value(raw)} is no instant: write it like 2024-01-31T12:00:00Z")

    def describe(self) -> str:
        """Describe in words what is accepted."""
        return "instant, ISO 8601, UTC"


WHOLE_DAYS = Number(at_least=1, at_most=3_650, whole=True, unit="days")
KEYS: tuple[Key, ...] = (
    Key("sweep.name", NAME, "the sweep's name in v_sweep", needed=True),
    Key(
        "sweep.strategy", LINE, "strategies/NAME.toml beside this file, or the path of a file",
        needed=True,
    ),
    Key("sweep.history", LINE, "history folder, seen from this file; absent: --history names it"),
    Key(
        "sweep.recorded", LINE,
        "live ledger whose recorded answers are tried, a URL or a file;"
        " absent: --recorded names it",
    ),
    Key("sweep.cash", CASH, "opening cash of every trial, quote currency", Decimal(10000)),
    Key(
        "sweep.schedule", CRON,
        "slots: minute hour day month weekday, UTC; absent: every close of a bar",
    ),
    Key(
        "sweep.from", Instant(first_instant),
        "first slot; of a date alone its 00:00; absent: the first close",
    ),
    Key(
        "sweep.to", Instant(last_instant),
        "last slot; of a date alone that day's last; absent: the last close",
    ),
    Key("sweep.seed", SEED, "where chance starts; part of every id", 1),
    Key("sweep.method", Word(("grid", *DRAWN.words)), "how sets are chosen", "grid"),
    Key(
        "sweep.trials", COUNT, "how many sets are drawn for each train window", only=DRAWN,
        needed=True,
    ),
    Key(
        "sweep.batch", COUNT, "sets asked for at once, whatever the number of workers", 8, SEARCHED,
    ),
    Key("sweep.figure", Word(tuple(FIGURES)), "what sets are judged by", "sharpe"),
    Key("walk_forward.train_days", WHOLE_DAYS, "length of a train window"),
    Key("walk_forward.test_days", WHOLE_DAYS, "length of the test window that follows it"),
    Key("parameters", Axes(), "what is varied", needed=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep as read from its file: paths resolved, start and end None if they are left open."""

    path: Path
    name: str
    strategy: Path
    history: Path | None
    recorded: Place | None
    cash: Decimal
    schedule: str | None
    start: datetime | None
    end: datetime | None
    seed: int
    method: str
    trials: int
    batch: int
    figure: str
    walk_forward: WalkForward | None
    axes: tuple[Axis, ...]


def load_sweep(path: Path) -> Sweep:
    """Read a sweep's file; relative paths in it count from its folder."""
    where = str(path)
    document, _ = load_toml(path, "docs/sweep.md shows one")
    values = read_tables(where, document, KEYS)
    given = members(values, "sweep")
    if given["cash"] != micro_half_even(given["cash"]):
        raise refuse(where, "sweep.cash", "has more than 6 digits after the point")
    if given["history"] is not None and given["recorded"] is not None:
        raise refuse(where, "sweep.recorded", "sweep.history is given too: keep one of them")
    folder, name = path.parent, given["strategy"]
    is_path = "/" in name or name.endswith(".toml")
    strategy = folder / name if is_path else find_strategy(name, folder / "strategies")
    return Sweep(
        path=path,
        name=given["name"],
        strategy=strategy.absolute(),
        history=None if given["history"] is None else folder / given["history"],
        recorded=None if given["recorded"] is None else find_place(given["recorded"], folder),
        cash=given["cash"],
        schedule=given["schedule"],
        start=given["from"],
        end=given["to"],
        seed=given["seed"],
        method=given["method"],
        trials=given.get("trials") or 0,
        batch=given.get("batch") or 1,
        figure=given["figure"],
        walk_forward=_walk_forward(where, members(values, "walk_forward")),
        axes=values["parameters"],
    )


def _walk_forward(where: str, given: Mapping[str, Any]) -> WalkForward | None:
    if given["train_days"] is None and given["test_days"] is None:
        return None
    for name, other in (("train_days", "test_days"), ("test_days", "train_days")):
        if given[name] is None:
            reason = f"missing, {other} is given: add `{name} = ` (days)"
            raise refuse(where, f"walk_forward.{name}", reason)
    return WalkForward(timedelta(days=given["train_days"]), timedelta(days=given["test_days"]))
