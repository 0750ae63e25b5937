"""One trial, on any worker: the engine of live and replay over a material, reduced to figures.

A worker receives plain values only. It opens the material itself, once per process, and writes
nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from threading import Lock

import bot
from bot.adapters.code_digest import source_digest
from bot.app.replay.material import Material, Origin, open_material
from bot.app.replay.replay import without_collection
from bot.app.replay.tally import Tally, tally_up
from bot.app.sweep.axes import strategy_with
from bot.domain.errors import ConfigError
from bot.domain.ids import canonical, derive, hash_text, instant_text
from bot.domain.numbers import plain
from bot.domain.sweeps import Trial
from bot.figures.account import counts_of, figures_of
from bot.figures.luck import shape
from bot.figures.performance import Figure, TradeResult, day_marks, returns_of

DIGITS = 12
DECIDES = (
    "domain", "engine", "figures", "adapters/history", "adapters/shelf", "adapters/tokenmetrics",
    "app/cycle", "app/parity", "app/replay",
)  # fmt: skip


def code_version() -> str:
    """Build the version of the code, `0.1.0+` and digits of a digest of what decides a trial.

    Nothing else counts, so that another message or command orphans no trials.
    """
    package = Path(bot.__file__).parent
    digests = [source_digest(package / part) for part in DECIDES]
    return f"{bot.__version__}+{hash_text(canonical(digests))[:DIGITS]}"


# A material caches its last answers without locks, so the threads of a process (those of a Dask
# worker, for example) run their trials one at a time.
ALONE = Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all trials of a sweep share.

    code: the version that every worker must run.
    path, strategy, hooks: the strategy's file, its text, and the text of its hooks if it has any.
    origin, history_digest: what a worker opens, and the digest of its data.
    """

    sweep: str
    code: str
    path: str
    strategy: str
    hooks: str | None
    origin: Origin
    history_digest: str
    cash: Decimal
    seed: int

    @property
    def strategy_hash(self) -> str:
        """The digest of the strategy's text and its hooks."""
        return hash_text(canonical([self.strategy, self.hooks]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A set of parameters, as text, to try from the first slot of a window to its last."""

    ground: Ground
    parameters: str
    start: datetime
    end: datetime
    is_test: bool

    @property
    def trial_id(self) -> str:
        """The trial's id, derived from everything that its outcome depends on."""
        ground = self.ground
        window = [instant_text(self.start), instant_text(self.end), self.is_test]
        account = [plain(ground.cash), ground.origin.schedule]
        made_of = [ground.code, ground.strategy_hash, ground.history_digest]
        asked = [ground.sweep, self.parameters, window, ground.seed]
        return derive("trial", [*asked, made_of, account])


@lru_cache(maxsize=1)
def _open_once(origin: Origin, digest: str) -> Material:
    """Open a material once per process; refuse one whose data have another digest."""
    material = open_material(origin)
    if material.digest != digest:
        raise ConfigError(
            f"{material.name}: its data are not those that the sweep began with:"
            " give every worker the same ones"
        )
    return material


def try_out(task: Task) -> Trial:
    """Run a trial, the same on any worker; raises ConfigError for other code or other files."""
    ground = task.ground
    if ground.code != (own := code_version()):
        mend = "install the same code, start it anew"
        raise ConfigError(f"a worker runs Tidemark {own}, the sweep is of {ground.code}: {mend}")
    with ALONE:
        strategy = strategy_with(Path(ground.path), ground.strategy, ground.hooks, task.parameters)
        material = _open_once(ground.origin, ground.history_digest).within((task.start, task.end))
        setup = material.set_up(strategy, ground.cash)
        with without_collection():
            tally = tally_up(material.records(setup))
        return _trial(task, strategy.name, len(material.slots), tally)


def _trial(task: Task, strategy: str, slots: int, tally: Tally) -> Trial:
    trades, ground = tally.trades(), task.ground
    counts = counts_of(tally.points, trades)
    figures = _figures(tally, trades)
    reasons = {name: figure.reason for name, figure in figures.items() if figure.reason}
    return Trial(
        trial_id=task.trial_id,
        sweep=ground.sweep,
        strategy=strategy,
        parameters=task.parameters,
        window_from=task.start,
        window_to=task.end,
        is_test=task.is_test,
        seed=ground.seed,
        code_version=ground.code,
        strategy_hash=ground.strategy_hash,
        history_digest=ground.history_digest,
        cash=ground.cash,
        schedule=ground.origin.schedule,
        slots=slots,
        days=counts.days,
        trades=counts.closed_trades,
        open_positions=len(trades) - counts.closed_trades,
        wins=counts.wins,
        losses=counts.losses,
        final_equity=tally.equity,
        reasons=canonical(reasons),
        **{name: figure.value for name, figure in figures.items()},
    )


def _figures(tally: Tally, trades: list[TradeResult]) -> dict[str, Figure]:
    """Compute a replay's figures, and the skewness and kurtosis of its daily returns."""
    found = figures_of(tally.points, trades, tally.fall)
    ratio = found["sharpe"]
    if ratio.value is None:
        return found | dict.fromkeys(("skewness", "kurtosis"), Figure(reason=ratio.reason))
    skewness, kurtosis = shape(returns_of(day_marks(tally.points)))
    return found | {"skewness": Figure(skewness), "kurtosis": Figure(kurtosis)}
