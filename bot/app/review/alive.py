"""Whether a daemon lives: each run's last cycle and due slot, and who holds the ledger.

The ledger alone says so: schedules are those that its last cycles ran with.
"""

import json
from collections.abc import Collection
from datetime import datetime, timedelta

from bot.adapters.sql.lease import is_held
from bot.adapters.sql.reads import Reader
from bot.app.cycle.schedule import interval_of
from bot.app.settings.kinds import first_instant
from bot.app.telling.answers import Row
from bot.app.telling.printing import show_value
from bot.domain.instants import DAY, HOUR

LAST_CYCLES = """
select c.run, c.slot, c.finished_at, g.text, r.identity from v_cycles c
join runs r on r.name = c.run
join v_configurations g on g.hash = c.config_hash
where c.slot = (select max(n.slot) from v_cycles n where n.run = c.run \
and n.state in ('committed', 'caught_up'))
order by c.run
"""
MINUTE = timedelta(minutes=1)
HOLDERS = {
    True: "a daemon holds the ledger",
    False: "no daemon holds the ledger",
    None: "this user may not see whether a daemon holds the ledger",
}


def find_signs_of_life(reader: Reader, now: datetime, only: Collection[str] | None) -> dict[str, Row]:
    """Find each run's signs of life; only `only`, or every live run, is ever due: no replay is."""
    held = is_held(reader.engine)
    found: dict[str, Row] = {}
    for row in reader.rows(LAST_CYCLES, {}):
        run, last, due, overdue = str(row["run"]), first_instant(str(row["slot"])), None, False
        is_replay = row["identity"] is not None  # its text is a strategy, without a schedule
        if not is_replay and (only is None or run in only):
            stored = json.loads(str(row["text"]))
            schedules = {one["name"]: one["schedule"] for one in stored["runs"]}
            due = last + interval_of(schedules[run], last)
            overdue = now > due + interval_of(schedules[run], due)
        found[run] = {
            "last_cycle_at": first_instant(str(row["finished_at"])),
            "due_slot": due,
            "overdue": overdue,
            "daemon": held,
            "is_replay": is_replay,
        }
    return found


def describe_life(run: str, life: Row, now: datetime) -> str:
    """Say in a line whether a run is alive; a replay is over."""
    if life["is_replay"]:
        return f"{run}: a replay"
    due = life["due_slot"]
    when = ""
    if due is not None:
        since = f"has been due for {show_span(now - due)}" if due <= now else "is next"
        when = f", slot {show_value(due)[:16]}Z {since}{' (overdue)' if life['overdue'] else ''}"
    ago = show_span(now - life["last_cycle_at"])
    return f"{run}: last cycle {ago} ago{when}: {HOLDERS[life['daemon']]}"


def show_span(span: timedelta) -> str:
    """Write a span in the largest unit that fits at least twice."""
    for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        if span >= 2 * unit:
            return f"{span // unit} {name}"
    return f"{max(span // timedelta(seconds=1), 0)} s"
