"""The composition root of live running: it builds the runners from a configuration.

Everything is wired by hand and can be read from top to bottom.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from bot import __version__
from bot.adapters.clock import SteppedClock, SystemClock
from bot.adapters.http.client import HttpClient, Limits
from bot.adapters.shelf.archive import MemoryArchive
from bot.adapters.sql.ledger import SqlLedger, reading, writing
from bot.adapters.sql.tape import SqlTape
from bot.adapters.tokenmetrics.source import TokenMetricsSource
from bot.app.cycle.runner import Runner, ScheduledRun
from bot.app.cycle.setup import RunSetup
from bot.app.settings.config import Config, RunConfig, Secret, config_hash, effective
from bot.app.settings.feeds import feeds_of
from bot.app.settings.strategies import Strategy, load_strategy
from bot.domain.decisions import Fact
from bot.domain.errors import ConfigError
from bot.domain.events import Request
from bot.domain.ids import RunName, TokenId
from bot.domain.instruments import Instrument
from bot.domain.record import CycleRecord, Run
from bot.domain.tape import ApiCall, Datum

Clock = SystemClock | SteppedClock


@dataclass(frozen=True, slots=True)
class Live:
    """Everything that a daemon drives.

    All runs share the source; each sees the episodes of its own feed.
    """

    source: TokenMetricsSource
    runs: tuple[ScheduledRun, ...]


def strategies_of(config: Config) -> dict[str, Strategy]:
    """Load the strategy of every run, by the run's name."""
    return {
        run.name: load_strategy(run.strategy, config.folder / "strategies") for run in config.runs
    }


def client_of(
    config: Config, key: Secret, clock: Clock, limits: Limits | None = None
) -> HttpClient:
    """Open the one HTTP client of the process, within the plan's limits unless others are given."""
    within = limits or Limits(requests_per_minute=config.source.requests_per_minute)
    return HttpClient(
        config.source.base_url, {"x-api-key": key.reveal()}, clock=clock, limits=within
    )


@contextmanager
def live(config: Config, key: Secret, clock: Clock, limits: Limits | None = None) -> Iterator[Live]:
    """Open ledger, source and runners, and hold the writer's lease until the end."""
    with (
        writing(config.ledger_url, create=True) as book,
        closing(client_of(config, key, clock, limits)) as http,
    ):
        yield assemble(config, http, clock, book, SqlTape(book.engine))


@contextmanager
def rehearsal(config: Config, key: Secret, clock: Clock) -> Iterator[Live]:
    """Open the same over a ledger that is only read: nothing is written."""
    with reading(config.ledger_url) as book, closing(client_of(config, key, clock)) as http:
        yield assemble(
            config, http, clock, Unwritten(book), Untaped(SqlTape(book.engine) if book else None)
        )


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


def assemble(
    config: Config,
    http: HttpClient,
    clock: Clock,
    book: SqlLedger | Unwritten,
    tape: SqlTape | Untaped,
) -> Live:
    """Wire source, archive and runners around an open ledger."""
    strategies = strategies_of(config)
    archive = MemoryArchive({})
    feeds = feeds_of([strategy.rules for strategy in strategies.values()])
    source = TokenMetricsSource(http, archive=archive, tape=tape, clock=clock, needs=feeds)
    universes = {run.name: resolve(source, strategies[run.name]) for run in config.runs}
    text = effective(config, strategies, universes)
    digest = config_hash(text)
    book.keep_config(digest, text)
    runs = tuple(
        _live_run(run, strategies[run.name], universes[run.name], source, book, digest, clock)
        for run in config.runs
    )
    # After the runs, because they admit held tokens that left the universe.
    for datum in tape.load():
        archive.add(datum)
    return Live(source, runs)


def _live_run(
    run: RunConfig,
    strategy: Strategy,
    universe: Mapping[TokenId, Instrument],
    source: TokenMetricsSource,
    book: SqlLedger | Unwritten,
    digest: str,
    clock: Clock,
) -> ScheduledRun:
    setup = RunSetup(
        name=RunName(run.name),
        rules=strategy.rules,
        universe=tuple(sorted(universe)),
        cash=run.cash,
        interval=None,
        config_hash=digest,
        code_version=__version__,
    )
    book.open_run(run_of(run, strategy, clock.now()), universe)
    runner = Runner(setup, source.of_feed(strategy.rules.feed), book, clock.now)
    orders = (live.order.token_id for live in runner.portfolio.orders.values())
    if left := {*runner.portfolio.holdings, *orders} - set(universe):
        # A held token that left the universe is still priced, settled and closed.
        source.resolve(sorted(left))
    return ScheduledRun(run.schedule, runner)


def run_of(run: RunConfig, strategy: Strategy, now: datetime) -> Run:
    """Build the record of a run that its ledger keeps."""
    return Run(
        name=RunName(run.name), strategy=strategy.name, cash=run.cash, identity=None, started_at=now
    )


def resolve(source: TokenMetricsSource, strategy: Strategy) -> Mapping[TokenId, Instrument]:
    """Resolve a strategy's universe to tokens, once, at the start."""
    if strategy.universe == "*":
        raise ConfigError(
            f"strategy {strategy.name}: universe '*' is for replays;"
            " name the tokens a daemon is to watch"
        )
    return source.resolve(strategy.universe)
