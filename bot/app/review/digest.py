"""`bot why` without a symbol: why each run did or did not trade, near misses, what blocks it now.

Each episode counts as one candidate: as an entry if it had one, else under the first gate or reason
of its newest decision.
"""

from collections.abc import Sequence
from datetime import datetime

from bot.adapters.sql.reads import Reader
from bot.adapters.sql.recorded import Window
from bot.app.review.reports import require_run, within
from bot.app.review.why import columns_of
from bot.app.telling.answers import Row, Table, count_of, without_empty
from bot.app.telling.printing import show_value

LEGEND = "each episode counts once, by the first gate or reason of its newest decision"
RUNS = """
select r.name as run, count(c.slot) as cycles from runs r
left join (select * from v_cycles {where}) c\
 on c.run = r.name and c.state in ('committed', 'caught_up')
group by r.name order by r.name
"""
OUTCOMES = """
select n.run, n.is_entered, case when n.is_entered = 0 then d.first_reason end as reason,\
 count(*) as candidates
from (
    select run, signal_id, max(slot) as slot,\
 max(case when outcome = 'entered' then 1 else 0 end) as is_entered
    from v_decisions {where} group by run, signal_id
) n
join v_decisions d on d.run = n.run and d.signal_id = n.signal_id and d.slot = n.slot
group by n.run, n.is_entered, case when n.is_entered = 0 then d.first_reason end
order by n.run, count(*) desc, 3
"""
# One row for each episode: its nearest miss. A gate that compares with = has no distance, and a
# turn that is too old gets no nearer.
NEAR_MISSES = """
select run, slot, symbol, gate, value, comparator, threshold, distance from (
    select m.*, row_number() over (partition by run, signal_id order by distance, slot desc)\
 as place from (
        select run, slot, symbol, signal_id, gate, value, comparator, threshold,
               abs(value - threshold) / nullif(abs(threshold), 0) as distance
        from v_near_misses {where}
    ) m where comparator <> '=' and gate <> 'signal_age' and distance is not null
) n where place = 1 order by distance, slot desc, symbol
"""
# A tripped breaker or a pause is in force until a later event of the same name, or a resume.
IN_FORCE = """
select run, slot, name, value, threshold, action, until, notice\
 from (select * from v_run_events {where}) e
where state in ('tripped', 'applied') and name not in ('resume', 'close', 'flatten')\
 and not exists (
    select 1 from (select * from v_run_events {where}) n
    where n.run = e.run and n.kind = e.kind and (n.name = e.name or n.name = 'resume')
      and (n.slot > e.slot or (n.slot = e.slot and n.number > e.number))
) order by run, slot, number
"""
MISSES_SHOWN = 5


def digest(reader: Reader, window: Window, run: str | None) -> list[Row]:
    """Build a row for each run; in_force: its pauses and tripped breakers at the window's end."""
    require_run(reader, run)
    where, given = within(*window, run)
    outcomes = reader.rows(OUTCOMES.format(where=where), given)
    misses = reader.rows(NEAR_MISSES.format(where=where), given)
    stops = in_force(reader, window[1], run)
    return [
        {
            **row,
            **_count(_of_run(outcomes, row["run"])),
            "near_misses": _of_run(misses, row["run"]),
            "in_force": _of_run(stops, row["run"]),
        }
        for row in reader.rows(RUNS.format(where=where), given)
        if run in {None, row["run"]}
    ]


def in_force(reader: Reader, at: datetime | None, run: str | None) -> list[Row]:
    """List the pauses and tripped breakers in force at an instant; None means now."""
    where, given = within(None, at, run)
    return list(reader.rows(IN_FORCE.format(where=where), given))


def _count(outcomes: Sequence[Row]) -> Row:
    """Count the entries and candidates of a run, and its refusals by reason."""
    return {
        "entries": sum(one["candidates"] for one in outcomes if one["is_entered"]),
        "candidates": sum(one["candidates"] for one in outcomes),
        "refused": {str(one["reason"]): one["candidates"] for one in outcomes if not one["is_entered"]},
    }


def _of_run(rows: Sequence[Row], run: object) -> list[Row]:
    mine = [row for row in rows if row["run"] == run]
    return [{name: row[name] for name in row if name != "run"} for row in mine]


def describe_digest(answer: list[Row]) -> tuple[str | Table, ...]:
    """Describe for each run its counts, its near misses and what blocks it."""
    if not answer:
        return ("no run yet: `bot run` starts those of the configuration",)
    return (*(part for row in answer for part in _describe_run(row)), f"({LEGEND})")


def _describe_run(row: Row) -> tuple[str | Table, ...]:
    counts = [
        count_of(row["candidates"], "candidate"),
        *(f"{count} {reason}" for reason, count in row["refused"].items()),
    ]
    entries = count_of(row["entries"], "entry", "entries")
    misses = [
        {
            "near miss": miss["symbol"],
            "slot": miss["slot"],
            "gate": miss["gate"],
            "value": miss["value"],
            "must be": f"{miss['comparator']} {show_value(miss['threshold'])}",
            "off by": f"{float(miss['distance']):.1%}",
        }
        for miss in row["near_misses"][:MISSES_SHOWN]
    ]
    return without_empty(
        f"{row['run']}: {entries} in {count_of(row['cycles'], 'cycle')}: {', '.join(counts)}",
        Table(rows=misses, columns=columns_of(misses, slot=1)),
        *(
            f"{row['run']}: in force since {show_value(one['slot'])}: {one['notice']}"
            for one in row["in_force"]
        ),
    )
