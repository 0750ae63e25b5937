"""The composition root of live running: it builds the runners from a configuration.

Everything is wired by hand and can be read from top to bottom.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from bot import __version__
from bot.adapters.sql.ledger import SqlLedger, reading, writing
from bot.adapters.sql.tape import SqlTape
from bot.app.cycle.joined import JoinedSource
from bot.app.cycle.runner import Runner, ScheduledRun
from bot.app.cycle.setup import RunSetup
from bot.app.settings.config import Config, RunConfig, Secret, effective
from bot.app.settings.providers import PROVIDERS, feeds_of
from bot.app.settings.strategies import Strategy, load_strategy
from bot.domain.decisions import Fact
from bot.domain.errors import ConfigError
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId, hash_text
from bot.domain.instruments import Instrument
from bot.domain.record import CycleRecord, Run
from bot.domain.signals import Signal
from bot.domain.tape import ApiCall, Datum
from bot.engine.rules import Rules
from bot.ports import Clock, Connection, LiveSource, Source, Tape


@dataclass(frozen=True, slots=True)
class Live:
    """What a daemon drives: its connected providers by name, and its runs."""

    sources: Mapping[str, LiveSource]
    runs: tuple[ScheduledRun, ...]


def strategies_of(config: Config) -> dict[str, Strategy]:
    """Load the strategy of every run, by the run's name."""
    folder = config.folder / "strategies"
    return {run.name: load_strategy(run.strategy, folder) for run in config.runs}


@contextmanager
def connect_all(
    config: Config,
    key: Secret,
    clock: Clock,
    strategies: Collection[Strategy],
    tape: Tape,
    side_by_side: int | None = None,
) -> Iterator[dict[str, LiveSource]]:
    """Connect the configuration's provider, and those whose signals a strategy follows."""
    main = config.source.provider
    priced, following = [strategy.rules for strategy in strategies], {main: list[Rules]()}
    for strategy in strategies:
        following.setdefault(strategy.provider or main, []).append(strategy.rules)
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                PROVIDERS[name].connect(
                    Connection(
                        base_url=config.source.base_url,
                        key=key.reveal(),
                        requests_per_minute=config.source.requests_per_minute,
                        clock=clock,
                        tape=tape,
                        needs=feeds_of(PROVIDERS[name], priced if name == main else (), rules),
                        side_by_side=side_by_side,
                    )
                )
            )
            for name, rules in following.items()
        }


@contextmanager
def live(
    config: Config, key: Secret, clock: Clock, side_by_side: int | None = None
) -> Iterator[Live]:
    """Open ledger, sources and runners, and hold the writer's lease until the end."""
    with (
        writing(config.ledger_url, create=True) as book,
        assemble(config, key, clock, book, SqlTape(book.engine), side_by_side) as opened,
    ):
        yield opened


@contextmanager
def rehearsal(config: Config, key: Secret, clock: Clock) -> Iterator[Live]:
    """Open the same over a ledger that is only read: nothing is written."""
    with reading(config.ledger_url) as book:
        tape = Untaped(SqlTape(book.engine) if book else None)
        with assemble(config, key, clock, Unwritten(book), tape) as opened:
            yield opened


class Unwritten:
    """A ledger that reads what was written before and stores nothing new."""

    def __init__(self, book: SqlLedger | None) -> None:
        """Read from a ledger; None means that there is none yet."""
        self._book = book

    def facts(self, run: RunName) -> Iterable[Fact]:
        """Read the stored facts."""
        return self._book.facts(run) if self._book else ()

    def requests(self, run: RunName) -> tuple[Request, ...]:
        """Read what operators asked for."""
        return self._book.requests(run) if self._book else ()

    def last_cycle(self, run: RunName) -> CycleRecord | None:
        """Read the newest stored cycle."""
        return self._book.last_cycle(run) if self._book else None

    def commit_all(self, records: Iterable[CycleRecord]) -> int:
        """Accept cycles without storing them; return how many there were."""
        return len(tuple(records))

    def open_run(self, run: Run, universe: Mapping[TokenId, Instrument]) -> None:
        """Refuse a run that a writer would refuse; store nothing."""
        if self._book:
            self._book.check_run(run, universe)

    def keep_config(self, _digest: str, _text: str) -> None:
        """Accept a configuration without storing it."""


class Untaped:
    """A tape that plays what was recorded before and records nothing new."""

    def __init__(self, tape: SqlTape | None) -> None:
        """Play a tape; None means that there is none yet."""
        self._tape = tape

    def answer(self, _call: ApiCall, _body: bytes | None) -> None:
        """Drop an answer."""

    def rows(self, _data: Iterable[Datum]) -> None:
        """Drop rows."""

    def load(self) -> Iterable[Datum]:
        """Read what was recorded."""
        return self._tape.load() if self._tape else ()


@contextmanager
def assemble(
    config: Config,
    key: Secret,
    clock: Clock,
    book: SqlLedger | Unwritten,
    tape: SqlTape | Untaped,
    side_by_side: int | None = None,
) -> Iterator[Live]:
    """Wire sources and runners around an open ledger."""
    strategies = strategies_of(config)
    main = config.source.provider
    with connect_all(config, key, clock, strategies.values(), tape, side_by_side) as sources:
        universes = {run.name: resolve(sources, main, strategies[run.name]) for run in config.runs}
        text = effective(config, strategies, universes)
        digest = hash_text(text)
        book.keep_config(digest, text)
        runs = []
        for run in config.runs:
            strategy, universe = strategies[run.name], universes[run.name]
            runs.append(_live_run(run, strategy, universe, sources, main, book, digest, clock))
        # After the runs, because they admit held tokens that left the universe.
        for datum in tape.load():
            of_signals = datum.provider if isinstance(datum, Signal) else main
            sources.get(of_signals, sources[main]).add(datum)
        yield Live(sources, tuple(runs))


def _live_run(
    run: RunConfig,
    strategy: Strategy,
    universe: Mapping[TokenId, Instrument],
    sources: Mapping[str, LiveSource],
    main: str,
    book: SqlLedger | Unwritten,
    digest: str,
    clock: Clock,
) -> ScheduledRun:
    setup = RunSetup(
        name=RunName(run.name),
        rules=strategy.rules,
        universe=tuple(sorted(universe)),
        cash=run.cash,
        config_hash=digest,
        code_version=__version__,
    )
    book.open_run(run_of(run, strategy, clock.now()), universe)
    source: Source = sources[main].of_feed(strategy.rules.feed)
    if strategy.provider not in {None, main}:
        signals = sources[str(strategy.provider)].of_feed(strategy.rules.feed)
        source = JoinedSource(source, signals)
    runner = Runner(setup, source, book, clock.now)
    orders = (live.order.token_id for live in runner.portfolio.orders.values())
    if left := {*runner.portfolio.holdings, *orders} - set(universe):
        # A held token that left the universe is still priced, settled and closed.
        sources[main].resolve(sorted(left))
    return ScheduledRun(run.schedule, runner)


def run_of(run: RunConfig, strategy: Strategy, now: datetime) -> Run:
    """Build the record of a run that its ledger keeps."""
    name = RunName(run.name)
    return Run(name=name, strategy=strategy.name, cash=run.cash, identity=None, started_at=now)


def resolve(
    sources: Mapping[str, LiveSource], main: str, strategy: Strategy
) -> Mapping[TokenId, Instrument]:
    """Resolve a strategy's universe to tokens, once, at the start, with each of its providers."""
    if strategy.universe == "*":
        mend = "name the tokens a daemon is to watch"
        raise ConfigError(f"{strategy.where}: universe '*' is for replays; {mend}")
    try:
        if strategy.provider not in {None, main}:
            sources[str(strategy.provider)].resolve(strategy.universe)
        return sources[main].resolve(strategy.universe)
    except ConfigError as error:
        raise ConfigError(f"{strategy.where}: {error}") from None
