"""The composition root of live running: it builds the runners from a configuration.

Everything is wired by hand and can be read from top to bottom.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bot import __version__
from bot.adapters.sql.ledger import SqlLedger, reading, writing
from bot.adapters.sql.tape import SqlTape
from bot.app.cycle.joined import JoinedSource
from bot.app.cycle.runner import Runner, ScheduledRun
from bot.app.cycle.schedule import interval_of
from bot.app.cycle.setup import RunSetup
from bot.app.settings.config import Config, RunConfig, effective
from bot.app.settings.providers import PROVIDERS, feeds_of
from bot.app.settings.strategies import Strategy, load_strategy
from bot.app.telling.progress import tell_progress
from bot.domain.decisions import Fact
from bot.domain.errors import ConfigError
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId, hash_text
from bot.domain.instruments import Instrument
from bot.domain.record import CycleRecord, FailedTry, Run
from bot.domain.signals import Signal
from bot.domain.tape import ApiAttempt, ApiCall, Datum, Hole, Pause, Refusal
from bot.engine.rules import Rules
from bot.ports import Clock, Connection, Keys, LiveSource, Source

MINUTE = timedelta(minutes=1)
# A fetch of more queries tells how far it is: on a terminal, and in the log.
QUERIES_TOLD, QUERIES_LOGGED = 10, 50

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Live:
    """What a daemon drives: its connected providers by name, its runs, and their ledger."""

    sources: Mapping[str, LiveSource]
    runs: tuple[ScheduledRun, ...]
    book: "SqlLedger | Unwritten"


def strategies_of(config: Config) -> dict[str, Strategy]:
    """Load the strategy of every run, by the run's name."""
    folder = config.folder / "strategies"
    return {run.name: load_strategy(run.strategy, folder) for run in config.runs}


@contextmanager
def connect_all(
    config: Config,
    keys: Keys,
    clock: Clock,
    strategies: Collection[Strategy],
    tape: "SqlTape | Untaped",
    side_by_side: int | None = None,
) -> Iterator[dict[str, LiveSource]]:
    """Connect the configuration's provider, and those whose signals a strategy follows."""
    main = config.source.provider
    priced, following = [strategy.rules for strategy in strategies], {main: list[Rules]()}
    for strategy in strategies:
        following.setdefault(strategy.provider or main, []).append(strategy.rules)
    now = clock.now()
    interval = min(interval_of(run.schedule, now) for run in config.runs)
    sent, pauses = tuple(tape.calls_since(now - MINUTE)), tuple(tape.load_pauses())
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                PROVIDERS[name].connect(
                    Connection(
                        base_url=config.source.base_url,
                        keys=keys,
                        requests_per_minute=config.source.requests_per_minute,
                        clock=clock,
                        tape=tape,
                        needs=feeds_of(PROVIDERS[name], priced if name == main else (), rules),
                        interval=interval,
                        side_by_side=side_by_side,
                        sent=sent,
                        pauses=pauses,
                        proxy=config.source.proxy,
                        progress=_tell_fetch,
                    )
                )
            )
            for name, rules in following.items()
        }


def _tell_fetch(done: int, total: int) -> None:
    """Tell how far a long fetch is: on a terminal, and of a very long one in the log."""
    if total > QUERIES_TOLD:
        tell_progress("asking the provider, queries", done, total)
    if total > QUERIES_LOGGED and done % QUERIES_LOGGED == 0:
        log.info("source_fetched", done=done, total=total)


@contextmanager
def live(
    config: Config, keys: Keys, clock: Clock, side_by_side: int | None = None
) -> Iterator[Live]:
    """Open ledger, sources and runners, and hold the writer's lease until the end."""
    with (
        writing(config.ledger_url, create=True) as book,
        assemble(config, keys, clock, book, SqlTape(book.engine), side_by_side) as opened,
    ):
        yield opened


@contextmanager
def rehearsal(config: Config, keys: Keys, clock: Clock) -> Iterator[Live]:
    """Open the same over a ledger that is only read: nothing is written."""
    with reading(config.ledger_url) as book:
        tape = Untaped(SqlTape(book.engine) if book else None)
        with assemble(config, keys, clock, Unwritten(book), tape) as opened:
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

    def instruments(self, run: RunName) -> tuple[Instrument, ...]:
        """Read what the run calls its tokens."""
        return self._book.instruments(run) if self._book else ()

    def open_run(self, run: Run, universe: Mapping[TokenId, Instrument]) -> None:
        """Refuse a run that a writer would refuse; store nothing."""
        if self._book:
            self._book.check_run(run, universe)

    def keep_try(self, _failed: FailedTry) -> None:
        """Drop a failed try."""

    def keep_config(self, _digest: str, _text: str) -> None:
        """Accept a configuration without storing it."""


class Untaped:
    """A tape that plays what was recorded before and records nothing new."""

    def __init__(self, tape: SqlTape | None) -> None:
        """Play a tape; None means that there is none yet."""
        self._tape = tape

    def answer(
        self, _call: ApiCall, _body: bytes | None, _attempts: Sequence[ApiAttempt] = ()
    ) -> None:
        """Drop an answer."""

    def refuse(self, _request_id: str, _refusals: Sequence[Refusal]) -> None:
        """Drop refusals."""

    def note(self, _changes: Sequence[Hole | Pause]) -> None:
        """Drop changes."""

    def rows(self, _data: Iterable[Datum]) -> None:
        """Drop rows."""

    def load(self) -> Iterable[Datum]:
        """Read what was recorded."""
        return self._tape.load() if self._tape else ()

    def load_holes(self) -> Iterable[Hole]:
        """Read what was missing."""
        return self._tape.load_holes() if self._tape else ()

    def load_pauses(self) -> Iterable[Pause]:
        """Read when hosts asked to be left alone."""
        return self._tape.load_pauses() if self._tape else ()

    def calls_since(self, at: datetime) -> Iterable[datetime]:
        """Read when requests were sent."""
        return self._tape.calls_since(at) if self._tape else ()


@contextmanager
def assemble(
    config: Config,
    keys: Keys,
    clock: Clock,
    book: SqlLedger | Unwritten,
    tape: SqlTape | Untaped,
    side_by_side: int | None = None,
) -> Iterator[Live]:
    """Wire sources and runners around an open ledger."""
    strategies = strategies_of(config)
    main = config.source.provider
    with connect_all(config, keys, clock, strategies.values(), tape, side_by_side) as sources:
        universes = {
            name: resolve(sources, main, strategy, book.instruments(RunName(name)))
            for name, strategy in strategies.items()
        }
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
        for hole in tape.load_holes():
            for source in sources.values():
                source.note(hole)
        yield Live(sources, tuple(runs), book)


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
        sources[main].resolve(sorted(left), book.instruments(setup.name))
    return ScheduledRun(run.schedule, runner)


def run_of(run: RunConfig, strategy: Strategy, now: datetime) -> Run:
    """Build the record of a run that its ledger keeps."""
    name = RunName(run.name)
    return Run(name=name, strategy=strategy.name, cash=run.cash, identity=None, started_at=now)


def resolve(
    sources: Mapping[str, LiveSource],
    main: str,
    strategy: Strategy,
    pinned: Collection[Instrument] = (),
) -> Mapping[TokenId, Instrument]:
    """Resolve a strategy's universe to tokens with each of its providers.

    pinned: what the ledger knows of the run; of its tokens nobody is asked.
    """
    if strategy.universe == "*":
        mend = "name the tokens a daemon is to watch"
        raise ConfigError(f"{strategy.where}: universe '*' is for replays; {mend}")
    try:
        if strategy.provider not in {None, main}:
            sources[str(strategy.provider)].resolve(strategy.universe, pinned)
        return sources[main].resolve(strategy.universe, pinned)
    except ConfigError as error:
        raise ConfigError(f"{strategy.where}: {error}") from None
