"""`bot parity`: derives a live run's cycles again from recorded answers, with the same runner.

When nothing differs, the hash of the last cycle was computed from derived rows alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from bot import __version__
from bot.adapters.sql.facts import live_runs
from bot.adapters.sql.recorded import Recorded, Window, open_recorded
from bot.app.cycle.runner import Runner, ScheduledRun, fire
from bot.app.cycle.setup import RunSetup
from bot.app.parity.deriving import (
    CONFIGURATION,
    HOOKS,
    INPUT,
    ComparingLedger,
    Difference,
    DifferenceError,
    RecordedSource,
)
from bot.app.settings.config import ledger_of, load_config
from bot.app.settings.hooks import load_hooks
from bot.app.settings.kinds import near
from bot.app.settings.stored_rules import StoredRun, read_stored_run
from bot.app.settings.strategies import strategy_file
from bot.app.telling.answers import Answer, Row, count_of
from bot.app.telling.progress import tell_progress, tell_stage
from bot.domain.errors import BadInputError, ConfigError, UsageError
from bot.domain.ids import RunName
from bot.domain.instruments import Instrument
from bot.domain.record import Cycle, CycleState
from bot.engine.rules import Rules

Progress = Callable[[RunName, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """The result of deriving a window again; window: its first and last settled slot.

    cycles: those derived, without the one that differs. hash: that of the last cycle compared.
    """

    run: str
    window: tuple[datetime, datetime] | None
    cycles: int
    answers: int
    hash: str
    versions: tuple[str, ...]
    difference: Difference | None

    @property
    def row(self) -> Row:
        """The result as a row of JSON."""
        found = self.difference
        return {
            "run": self.run,
            "identical": found is None,
            "from": self.window and self.window[0],
            "to": self.window and self.window[1],
            "cycles": self.cycles,
            "answers": self.answers,
            "hash": self.hash,
            "difference": found and asdict(found),
        }

    def __str__(self) -> str:
        """Describe the result in one line."""
        if self.difference is None:
            counts = f"{count_of(self.cycles, 'cycle')} from {count_of(self.answers, 'answer')}"
            return f"{self.run}: identical, {counts}, row hash {self.hash}"
        others = [version for version in self.versions if version != __version__]
        made = f"; made by version {', '.join(others)}, derived by {__version__}" if others else ""
        return f"{self.run}: differs after {count_of(self.cycles, 'cycle')}: {self.difference}{made}"


def parity(config_path: Path, ledger: str | None, run: str | None, window: Window) -> Answer:
    """Derive a window of a live run again, or raise UsageError without a cycle; 65: it differs."""
    with open_recorded(ledger_of(config_path, ledger)) as connection:
        name = _choose_run(live_runs(connection), run)
        found = derive_run(Recorded(connection, name), name, window, config_path, tell_progress)
    if not found.cycles and found.difference is None:
        mend = "`bot status` shows its last; widen --from or --to"
        raise UsageError(f"run {name} has no cycle in this window: {mend}")
    code = BadInputError.exit_code if found.difference else 0
    return Answer(payload=found.row, parts=(str(found),), exit_code=code)


def every_parity(config_path: Path, ledger: str | None) -> list[Parity]:
    """Derive every live run of a ledger again, from its first cycle to its last."""
    with open_recorded(ledger_of(config_path, ledger)) as connection:
        found = []
        for run in live_runs(connection):
            tell_stage(f"{run}: deriving every cycle again")
            book = Recorded(connection, run)
            one = derive_run(book, run, (None, None), config_path, tell_progress)
            tell_stage(f"{run}: {count_of(one.cycles, 'cycle')} derived again")
            found.append(one)
        return found


def _choose_run(live: Sequence[RunName], name: str | None) -> RunName:
    """Choose the run that was named, or the only one."""
    if name is None and len(live) == 1:
        return live[0]
    if name is None and live:
        raise UsageError(f"this ledger has the live runs {', '.join(live)}; choose one with --run")
    for run in live:
        if run == name:
            return run
    if not live:
        mend = "only a daemon records the answers to derive it from"
        raise ConfigError(f"no live run in this ledger: {mend}")
    hint = near(str(name), live) or f"; it has {', '.join(live)}"
    raise ConfigError(f"no live run {name} in this ledger{hint}")


def derive_run(book: Recorded, name: RunName, window: Window, config_path: Path, progress: Progress) -> Parity:
    """Derive a window's cycles until one differs; progress: called with run, done and total."""
    cycles = book.cycles(window)
    settled = [cycle for cycle in cycles if cycle.state is not CycleState.MISSED]
    slots = [cycle.slot for cycle in settled]
    before = book.last_settled(slots[0]) if slots else None
    source = RecordedSource(book, before.settled_until if before else None)
    done, difference = 0, None
    try:
        ledger = ComparingLedger(book, cycles)
        for _ in _fire_cycles(book, name, settled, ledger, source, config_path):
            done += 1
            progress(name, done, len(slots))
        if window[1] is None:
            # Answers that came after the last cycle are compared too.
            source.read_until(None)
    except DifferenceError as error:
        difference = error.difference
    return Parity(
        run=name,
        window=(slots[0], slots[-1]) if slots else None,
        cycles=done,
        answers=source.answers,
        hash=book.link,
        versions=tuple(sorted({cycle.code_version for cycle in cycles})),
        difference=difference,
    )


def _fire_cycles(
    book: Recorded,
    name: RunName,
    settled: Sequence[Cycle],
    ledger: ComparingLedger,
    source: RecordedSource,
    config_path: Path,
) -> Iterator[Cycle]:
    """Fire the settled slots in order; another configuration or version gets a new runner."""
    known = source.know(book.instruments(), name)
    for _, alike in groupby(settled, key=attrgetter("config_hash", "code_version")):
        first, *others = alike
        stored = configuration_of(book, name, first)
        _require_instruments(stored, known, first)
        source.admit(stored.instruments or ())
        setup = RunSetup(
            name=name,
            rules=_with_hooks(stored, name, first, config_path),
            universe=stored.tokens(known),
            cash=stored.cash,
            config_hash=first.config_hash,
            code_version=first.code_version,
        )
        live = ScheduledRun(stored.schedule, Runner(setup, source, ledger, source.now))
        for cycle in (first, *others):
            source.turn(cycle, setup.rules.feed)
            fire(live, cycle.slot)
            yield cycle


def configuration_of(book: Recorded, name: RunName, cycle: Cycle) -> StoredRun:
    """Read a run from the stored configuration that a cycle names."""
    text = book.config(cycle.config_hash)
    if text is None:
        what = f"the text of config_versions {cycle.config_hash} was changed"
        raise DifferenceError(CONFIGURATION, cycle.slot, what)
    return read_stored_run(text, name)


def _require_instruments(stored: StoredRun, known: Sequence[Instrument], cycle: Cycle) -> None:
    """Refuse instruments whose ledger rows differ from the configuration that decided with them."""
    listed = {one.token_id: one for one in known}
    for one in stored.instruments or ():
        held = listed.get(one.token_id)
        for name in ("symbol", "quantity_step", "price_tick"):
            was, now = getattr(one, name), getattr(held, name, None)
            if was != now:
                what = f"instruments {one.token_id}, {name}"
                raise DifferenceError(INPUT, cycle.slot, what, now, was)


def _with_hooks(stored: StoredRun, name: RunName, cycle: Cycle, config_path: Path) -> Rules:
    """Add to the rules the hooks that decided then; the ledger keeps only their digest."""
    if stored.hooks is None:
        return stored.rules
    config = load_config(config_path) if config_path.exists() else None
    strategies = {run.name: run.strategy for run in config.runs} if config else {}
    folder = config.folder if config else Path()
    wanted = strategies.get(name, stored.strategy)
    path = strategy_file(wanted, folder / "strategies").with_suffix(".py")
    hooks = load_hooks(path)
    if hooks is None or hooks.digest != stored.hooks:
        what = f"{path} is not the file that decided: put the one with this digest back"
        raise DifferenceError(HOOKS, cycle.slot, what, stored.hooks, hooks and hooks.digest)
    return replace(stored.rules, hooks=hooks)
