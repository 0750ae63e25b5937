"""The nightly parity check: derives each run's cycles since its last check, and keeps the result.

The windows of the checks follow one another without a gap. A difference becomes an error in the log
and a row in the ledger; it stops nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from bot import __version__
from bot.adapters.sql.beside import last_check, put
from bot.adapters.sql.recorded import Recorded, open_recorded
from bot.app.parity.parity import Parity, derive_run
from bot.app.settings.config import Config
from bot.domain.errors import BotError
from bot.domain.ids import RunName
from bot.domain.record import ParityCheck

log = structlog.get_logger()
INSTANT = timedelta.resolution


class StoppedError(Exception):
    """The daemon is stopping, so the check gives up."""


def check_parity(config: Config, now: datetime, stopping: Callable[[], bool]) -> None:
    """Derive each run again or log why not; stopped, it leaves its window to the next check."""

    def give_up(*_: object) -> None:
        if stopping():
            raise StoppedError

    for name in (RunName(run.name) for run in config.runs):
        try:
            with open_recorded(config.ledger_url) as connection:
                last = last_check(connection, name)
                # The window begins right after the last one: a night may have been missed, and the
                # slot at which a check fires is not committed yet.
                first = now - timedelta(hours=config.verify.window_hours)
                window, book = (last + INSTANT if last else first, now), Recorded(connection, name)
                found = derive_run(book, name, window, config.path, give_up)
            _tell(config, found, now)
        except BotError as error:
            log.warning("parity_failed", run=name, error=str(error))
        except StoppedError:
            log.info("parity_given_up", run=name)
            return


def _tell(config: Config, found: Parity, now: datetime) -> None:
    """Store a check and log it; a window without a cycle is skipped."""
    if found.window is None:
        return
    difference = found.difference
    first, last = found.window
    check = ParityCheck(
        run=RunName(found.run),
        checked_at=now,
        first_slot=first,
        last_slot=last,
        cycles=found.cycles,
        answers=found.answers,
        row_hash=found.hash,
        code_version=__version__,
    )
    if difference is None:
        log.info("parity_identical", run=found.run, cycles=found.cycles, hash=found.hash)
    else:
        log.error("parity_differs", run=found.run, difference=str(found))
        check = replace(
            check,
            kind=difference.kind,
            differs_at=difference.at,
            what=difference.what,
            stored=_text(difference.stored),
            derived=_text(difference.derived),
        )
    put(config.ledger_url, [check])


def _text(value: object) -> str | None:
    return None if value is None else str(value)
