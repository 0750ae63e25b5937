"""The loop of `bot run` and the cycle of `bot once`: when to fire, and how to treat a failure.

Only this file and the guard around hooks catch every exception. A cycle that fails is logged and
the next slot follows; a broken invariant or a lost lease stops the daemon.
"""

import logging
import random
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

from bot.adapters.clock import SystemClock
from bot.app.cycle.runner import ScheduledRun, fire
from bot.app.cycle.schedule import interval_of, newest_slot, trigger_of
from bot.app.live.logs import set_up_logs
from bot.app.live.parity_check import check_parity
from bot.app.live.wiring import Live, live, rehearsal
from bot.app.settings.config import Config, load_config, resolve_keys
from bot.app.telling.answers import Answer
from bot.app.telling.printing import show_number
from bot.domain.errors import (
    BotError,
    ConfigError,
    InvariantError,
    LeaseError,
    UpstreamError,
    UsageError,
)
from bot.domain.events import RunEvent
from bot.domain.ids import RunName, TokenId
from bot.domain.instruments import Instrument
from bot.domain.orders import Fill, Order
from bot.domain.record import CycleRecord, FailedTry
from bot.domain.tape import Refusal

log = structlog.get_logger()

REFUSALS_NAMED, REFUSALS_SHOWN = 20, 3
TRIES, TRIES_WITHIN = 3, timedelta(minutes=10)
# Between two looks at a provider that is down at the start.
WAIT_SECONDS = 60.0
# A cron, and the function that it fires; it gets the instant and a test whether the daemon stops.
Check = tuple[str, Callable[[datetime, Callable[[], bool]], None]]


class Daemon:
    """The scheduler around the runs; it fires the newest slot of each, and keeps a fatal error."""

    def __init__(
        self,
        opened: Live,
        now: Callable[[], datetime],
        check: Check | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        """Take the opened runs; check: what to fire beside their cycles, None for nothing."""
        self.opened = opened
        self.check = check
        self.now = now
        self.stopping = stopping or threading.Event()
        self.chance = random.Random()  # noqa: S311 - spreads tries, and keeps no secret
        self.fatal: BotError | None = None

    def serve(self) -> int:
        """Run newest slots, then fire on schedule until stopped; 0, or raises the fatal error."""
        log.info("daemon_started", runs=[run.runner.setup.name for run in self.opened.runs])
        for run in self.opened.runs:
            if not self.stopping.is_set():
                self.turn(run)
        if not self.stopping.is_set():
            self._keep_firing()
        log.info("daemon_stopping")
        if self.fatal is not None:
            raise self.fatal
        return 0

    def _keep_firing(self) -> None:
        scheduler = BackgroundScheduler(
            jobstores={"default": MemoryJobStore()},
            # A check has a thread of its own, so that no cycle waits for it.
            executors={name: ThreadPoolExecutor(max_workers=1) for name in ("default", "checks")},
            # APScheduler must not drop late wake-ups: `turn` then runs the newest slot once, and
            # the missed slots become rows.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        for run in self.opened.runs:
            trigger, name = trigger_of(run.schedule), run.runner.setup.name
            scheduler.add_job(self.turn, trigger, args=[run], id=name)
        if self.check is not None:
            cron, look = self.check
            scheduler.add_job(
                lambda: look(self.now(), self.stopping.is_set), trigger_of(cron), executor="checks"
            )
        scheduler.start()
        self.stopping.wait()
        scheduler.shutdown(wait=True)

    def turn(self, run: ScheduledRun) -> None:
        """Run the newest slot of a run, unless it was run before or the schedule has had none.

        A slot is tried three times, at random instants within half an interval.
        """
        slot = newest_slot(run.schedule, self.now())
        if slot is None:
            return
        window = min(interval_of(run.schedule, slot) / 2, TRIES_WITHIN)
        for attempt in range(1, TRIES + 1):
            if self._try(run, slot, attempt):
                return
            pause = self.chance.uniform(0, window.total_seconds() / (TRIES - 1))
            if attempt == TRIES or self.stopping.wait(pause):
                return

    def _try(self, run: ScheduledRun, slot: datetime, attempt: int) -> bool:
        """Run a slot once; return False when another try may succeed."""
        name = run.runner.setup.name
        try:
            record = fire(run, slot)
        except (InvariantError, LeaseError) as error:
            self.fatal = error
            self.stopping.set()
            return True
        except BotError as error:
            log.warning("cycle_failed", run=name, attempt=attempt, error=str(error))
            reason = str(error)
        except Exception as error:
            reason = type(error).__name__
            log.exception("cycle_failed", run=name, attempt=attempt, error=reason)
        else:
            if record is not None:
                report(record, self.opened)
            return True
        at = self.now()
        self._keep_try(FailedTry(run=name, slot=slot, attempt=attempt, at=at, reason=reason))
        return False

    def _keep_try(self, failed: FailedTry) -> None:
        """Keep a failed try where the ledger can be written; the log has it in any case."""
        try:
            self.opened.book.keep_try(failed)
        except BotError as error:
            log.warning("cycle_failed", run=failed.run, error=f"and the try was not kept: {error}")


def report(record: CycleRecord, opened: Live) -> None:
    """Log a committed cycle, the events of its run, and what could not be fetched or read."""
    cycle = record.cycle
    log.info(
        "cycle",
        run=cycle.run,
        slot=cycle.slot.isoformat(),
        state=cycle.state.value,
        entries=cycle.entries,
        exits=cycle.exits,
        rejections=cycle.rejections,
        seconds=round((cycle.finished_at - cycle.started_at).total_seconds(), 3),
    )
    for fact in record.facts:
        if isinstance(fact, RunEvent):
            told = {"name": fact.name, "state": fact.state.value, "notice": fact.notice}
            log.warning("notice", run=fact.run, **told)
    for source in opened.sources.values():
        if source.failures:
            log.warning("feeds_failed", failures=list(source.failures))
        if source.refusals:
            named = [describe_refusal(*one) for one in source.refusals[:REFUSALS_NAMED]]
            log.warning("rows_refused", count=len(source.refusals), rows=named)


def describe_refusal(feed: str, refusal: Refusal) -> str:
    """Say in a line what was refused of an answer."""
    token = "without id" if refusal.token_id is None else refusal.token_id
    return f"{refusal.reason}: {feed}: token {token}, {refusal.field}"


def serve(config_path: Path) -> int:
    """Run the daemon of a configuration until SIGTERM or SIGINT.

    A provider that is down at the start is waited for, with a line a minute.
    """
    config = load_config(config_path)
    keys = resolve_keys(config)
    set_up_logs(lambda: keys.all)
    clock, stopping = SystemClock(), threading.Event()
    for cron in crons_of(config):
        interval_of(cron, clock.now())  # refuses a schedule that never fires
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(stopping))
    while not stopping.is_set():
        with ExitStack() as stack:
            try:
                opened = stack.enter_context(live(config, keys, clock))
            except UpstreamError as error:
                log.warning("source_waited", error=str(error))
            else:
                return Daemon(opened, clock.now, check_of(config), stopping).serve()
        stopping.wait(WAIT_SECONDS)
    log.info("daemon_stopping")
    return 0


def crons_of(config: Config) -> list[str]:
    """List the schedules of a configuration: those of its runs, and that of the parity check."""
    crons = (*(run.schedule for run in config.runs), config.verify.parity)
    return [cron for cron in crons if cron]


def check_of(config: Config) -> Check | None:
    """Build the parity check of a configuration; None when it has no schedule for one."""
    cron = config.verify.parity
    return None if cron is None else (cron, partial(check_parity, config))


def _stop(stopping: threading.Event) -> None:
    """Ask the daemon to stop; a second signal ends it at once."""
    stopping.set()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def choose_run(config: Config, name: str | None) -> str:
    """Choose the run that was named, or the only one."""
    names = [run.name for run in config.runs]
    if name is None and len(names) > 1:
        has = ", ".join(names)
        raise UsageError(f"this configuration has the runs {has}; choose one with --run")
    if name is not None and name not in names:
        raise ConfigError(f"no run {name} in {config.path}; it has {', '.join(names)}")
    return name or names[0]


def slot_of(schedule: str, at: datetime | None, now: datetime) -> datetime:
    """Choose the slot to run: the one asked for, or the newest of the schedule."""
    if at is not None and at > now:
        raise UsageError(f"--at {at:%Y-%m-%dT%H:%MZ} has not come yet")
    slot = at or newest_slot(schedule, now)
    if slot is None:
        raise ConfigError(f"schedule {schedule!r} has had no slot yet")
    return slot


def once(config_path: Path, name: str | None, at: datetime | None, *, keep: bool) -> Answer:
    """Run one cycle of one run and answer with it; without keep, write nothing.

    The exit code is 69 when a feed that is needed failed, also where the cycle was committed.
    """
    config = load_config(config_path)
    keys = resolve_keys(config)
    set_up_logs(lambda: keys.all, level=logging.WARNING)
    clock = SystemClock()
    wanted = choose_run(config, name)
    with (live if keep else rehearsal)(config, keys, clock) as opened:
        run = next(run for run in opened.runs if run.runner.setup.name == wanted)
        slot = slot_of(run.schedule, at, clock.now())
        try:
            record = fire(run, slot)
        except UpstreamError as error:
            failed = FailedTry(
                run=RunName(wanted), slot=slot, attempt=1, at=clock.now(), reason=str(error)
            )
            opened.book.keep_try(failed)
            raise
    if record is None:
        seen = "this slot, or a later one, was committed before; nothing to do"
        return Answer(parts=(f"{wanted} {slot:%Y-%m-%d %H:%M}Z: {seen}",))
    lines = summarise(record, run.runner.source.archive.instruments)
    sources = opened.sources.values()
    failures = [one for source in sources for one in source.failures]
    refusals = [one for source in sources for one in source.refusals]
    notes = [f"bot: failed: {one}" for one in failures]
    if refusals:
        named = "; ".join(describe_refusal(*one) for one in refusals[:REFUSALS_SHOWN])
        more = "; ..." if len(refusals) > REFUSALS_SHOWN else ""
        notes.append(f"bot: {len(refusals)} rows or fields refused (v_refusals): {named}{more}")
    return Answer(
        parts=(*lines, *(() if keep else ("dry run: nothing was written",))),
        notes=tuple(notes),
        exit_code=UpstreamError.exit_code if failures else 0,
    )


def summarise(record: CycleRecord, instruments: Mapping[TokenId, Instrument]) -> list[str]:
    """Describe a cycle in lines: its counts, the events of its run, its orders and fills."""
    cycle = record.cycle
    return [
        (
            f"{cycle.run} {cycle.slot:%Y-%m-%d %H:%M}Z {cycle.state}: {cycle.entries} entries,"
            f" {cycle.exits} exits, {cycle.rejections} rejections"
        ),
        *(f"  {fact.notice}" for fact in record.facts if isinstance(fact, RunEvent)),
        *(
            f"  {instruments[fact.token_id].symbol} {fact.role}"
            f" {'filled' if isinstance(fact, Fill) else 'order'}:"
            f" {show_number(fact.quantity)} at {show_number(fact.price)}"
            for fact in record.facts
            if isinstance(fact, Order | Fill)
        ),
    ]
