"""A strategy over a history: the daemon's run_cycle with another source, one slot after another.

Everything is written in one transaction; a replay that the ledger already has adds nothing.
"""

import gc
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from bot.adapters.clock import SystemClock
from bot.adapters.sql.engine import ledger_name, ledger_url, parse_url
from bot.adapters.sql.ledger import SqlLedger, writing
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.recorded import Window
from bot.app.cycle.setup import RunSetup
from bot.app.replay.material import Material, Place, open_for
from bot.app.replay.random_entries import SEED
from bot.app.replay.tally import tally_up
from bot.app.review.results import describe_run, statistics, summary
from bot.app.settings.strategies import Strategy, find_strategy, load_strategy
from bot.app.telling.answers import Answer
from bot.app.telling.progress import tell_progress
from bot.domain.errors import ConfigError, UsageError
from bot.domain.ids import canonical, hash_text
from bot.domain.numbers import CASH_MAX, MICRO, ZERO, micro_half_even, plain
from bot.domain.record import Run
from bot.figures.account import figures_of
from bot.figures.luck import Drawn

TOLD = (
    "trades", "open_positions", "fees", "profit", "equity", "bars", "slots", "seconds",
)  # fmt: skip
FAILED_HOOKS = """
select reason, count(*) as candidates from v_gates
where run = :run and gate = 'veto' and not passed and reason like 'hook %: %'
group by reason order by count(*) desc, reason
"""
FAILED_EXITS = "select notice from v_run_events where run = :run and kind = 'hook' order by slot, number"


def replay(
    strategy_name: str,
    place: Place,
    ledger: str | None,
    *,
    cash: str,
    window: Window,
    schedule: str | None,
    random_entries: int | None,
    program: str,
) -> Answer:
    """Replay a strategy, write the ledger and answer with the result; program: what to type for it."""
    began = time.perf_counter()
    path = find_strategy(strategy_name, Path("strategies"))
    strategy = load_strategy(path, path.parent)
    capital = _capital(cash)
    material = open_for(strategy, place, window, schedule)
    # The last slot belongs to the identity: without --to, a longer folder ends later.
    edges = [str(edge) for edge in (*window, material.slots[-1])]
    made_of = [strategy.text, material.digest, plain(capital), edges, schedule]
    identity = hash_text(canonical(made_of))
    url = ledger_url(ledger or "replay.db")
    setup = material.set_up(strategy, capital)
    with writing(url, create=True) as book:
        added = _write(book, setup, strategy, material, identity)
    reader = Reader(url)
    drawn = draw(material, setup, random_entries) if random_entries else None
    figures = statistics(reader, strategy.name, drawn)
    result = {
        **summary(reader, strategy.name),
        "max_drawdown": figures["max_drawdown"],
        "run": strategy.name,
        **material.counts,
        "slots": len(material.slots),
        "cycles_added": added,
        "ledger": ledger_name(parse_url(url)),
        "statistics": figures,
        "seconds": round(time.perf_counter() - began, 3),
    }
    text = f"{describe_run(result, TOLD)}\n\nledger: {result['ledger']}"
    if not result["trades"]:
        text += f"\nnext: {program} why --ledger {shlex.quote(ledger or 'replay.db')}"
    failed = _name_failures(reader, strategy) if strategy.rules.hooks else ()
    notes = (*strategy.remarks, *material.remarks, *failed)
    return Answer(payload=result, parts=(text,), notes=notes)


def _name_failures(reader: Reader, strategy: Strategy) -> Iterator[str]:
    """Say what the failures of hooks did, so that a broken hook does not look like a quiet strategy."""
    named = {"run": strategy.name}
    for row in reader.rows(FAILED_HOOKS, named):
        yield f"look: {row['candidates']} times a candidate was rejected because {row['reason']}"
    for notice in dict.fromkeys(str(row["notice"]) for row in reader.rows(FAILED_EXITS, named)):
        yield f"look: {notice}"


def draw(material: Material, setup: RunSetup, count: int) -> list[Drawn]:
    """Replay a strategy `count` times in memory, each time with its signals at other instants."""
    bits, found = np.random.PCG64(SEED), list[Drawn]()
    for number in range(1, count + 1):
        tally = tally_up(material.rotate(setup.rules.feed, bits).records(setup))
        found.append(figures_of(tally.points, tally.trades(), tally.fall))
        tell_progress("runs with random entries", number, count)
    return found


def _write(book: SqlLedger, setup: RunSetup, strategy: Strategy, material: Material, identity: str) -> int:
    name, cash, now = setup.name, setup.cash, SystemClock().now()
    run = Run(name=name, strategy=strategy.name, cash=cash, identity=identity, started_at=now)
    if not material.is_recorded and (live := book.live_runs()):
        raise ConfigError(
            f"{ledger_name(book.engine.url)} is the ledger of the live run {live[0]}, which would"
            " take the rows of this history for its own at its next start: name another with"
            " --ledger"
        )
    is_there = book.last_cycle(setup.name) is not None
    with book.one_transaction(), without_collection():
        book.open_run(run, material.instruments)
        if is_there:
            already = "is in this ledger already, the same replay: nothing added"
            sys.stderr.write(f"run {setup.name} {already}\n")
            return 0
        book.keep_config(setup.config_hash, strategy.text)
        return book.commit_all(material.records(setup, tells=True))


@contextmanager
def without_collection() -> Iterator[None]:
    """Switch the garbage collector off: a replay makes millions of values and no cycles of them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _capital(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = ZERO
    if not value.is_finite() or not MICRO <= value <= CASH_MAX or value != micro_half_even(value):
        mend = f"write a positive number up to {CASH_MAX:,}, with at most 6 digits after the point"
        raise UsageError(f"--cash {text}: {mend}")
    return value
