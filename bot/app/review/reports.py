"""What the reading commands show: plain SQL over the public views.

Two things have no view and are read from their tables: requests, and the names of runs.
Nothing here computes a figure that the ledger does not hold.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from bot.adapters.sql.reads import Reader
from bot.adapters.sql.recorded import Window
from bot.app.settings.kinds import near
from bot.app.telling.answers import Column, Row, count_of
from bot.domain.errors import ConfigError

OF_UNITS: Mapping[str, str] = {
    "quote currency": "cash equity high_water_mark positions_value profit fees unrealised_profit"
    " price entry_price exit_price mark_price stop target",
    "UTC": "slot last_slot opened_at closed_at accepted_at",
    "fraction": "drawdown exposure",
    "base units": "quantity",
    "hours": "age_hours",
    "R": "r_multiple",
}
UNITS = {name: unit for unit, names in OF_UNITS.items() for name in names.split()}
TRADES = """
select symbol, side, opened_at, closed_at, quantity, entry_price, exit_price,
       stop_initial as stop, target, exit_reason, profit, fees, r_multiple, run
from v_trades {where} order by opened_at, symbol, run
"""
POSITIONS = """
select run, symbol, side, opened_at, quantity, entry_price, mark_price, stop_last as stop, target,
       unrealised_profit, age_hours
from v_open_positions {where} order by run, opened_at, symbol
"""
ORDERS = """
select run, order_id, symbol, side, role, part, state, reason, quantity, price, accepted_at
from v_orders {where} order by accepted_at, symbol, role, order_id
"""
EQUITY = """
select run, slot, cash, positions_value, equity, high_water_mark, drawdown, exposure,
       open_positions
from v_equity {where} order by run, slot
"""
STATUS = """
select c.run, c.slot as last_slot, c.state, e.equity, e.cash, e.drawdown, e.exposure,
       (select count(*) from v_trades o where o.run = c.run and o.is_open) as open_positions,
       (select count(*) from v_trades t where t.run = c.run) as trades,
       (select round(coalesce(sum(t.profit), 0), 6) from v_trades t where t.run = c.run) as profit,
       (select count(*) from v_cycles m where m.run = c.run and m.state = 'missed') as missed,
       (select count(*) from requests q where q.run = c.run
        and not exists (select 1 from v_run_events v where v.request_id = q.request_id)) \
as requests_waiting
from (select * from v_cycles {where}) c left join v_equity e on e.run = c.run and e.slot = c.slot
where c.slot = (select max(n.slot) from v_cycles n where n.run = c.run \
and n.state in ('committed', 'caught_up'))
order by c.run
"""


class Asked(NamedTuple):
    """What is asked of a table; last: so many of the newest rows, None: all."""

    run: str | None = None
    window: Window = (None, None)
    last: int | None = None


class Report(NamedTuple):
    """A table of one view: its statement, the column that dates its rows, and how it is shown.

    shown: its columns; the more question marks one has, the sooner a narrow terminal loses it.
    """

    statement: str
    at: str
    shown: str
    totals: Callable[[Sequence[Row]], Row | None] = lambda _rows: None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns with their units and ranks."""
        marked = re.findall(r"(\w+)(\?*)", self.shown)
        return tuple(Column(name, UNITS.get(name, ""), len(marks)) for name, marks in marked)


def _total_trades(rows: Sequence[Row]) -> Row:
    """Count the trades, those won and lost, and sum profit and fees."""
    closed = [row for row in rows if row["closed_at"] is not None]
    won, lost = (sum(sign * _number(row["profit"]) > 0 for row in closed) for sign in (1, -1))
    return {
        "symbol": count_of(len(rows), "trade"),
        "exit_reason": f"{won} won, {lost} lost",
        "profit": sum(_number(row["profit"]) for row in rows),
        "fees": sum(_number(row["fees"]) for row in rows),
    }


def _total_positions(rows: Sequence[Row]) -> Row:
    return {
        "symbol": f"{len(rows)} open",
        "unrealised_profit": sum(_number(row["unrealised_profit"]) for row in rows),
    }


def _number(value: object) -> Decimal:
    return Decimal(str(value)) if value is not None else Decimal(0)


REPORTS: Mapping[str, Report] = {
    "status": Report(
        STATUS,
        "slot",
        "run last_slot state?? equity cash??? drawdown? exposure??? open_positions?? trades??"
        " profit missed? requests_waiting??? in_force parity??",
    ),
    "trades": Report(
        TRADES,
        "opened_at",
        "symbol side???? opened_at??? closed_at quantity????? entry_price???? exit_price??"
        " stop????? target????? exit_reason profit fees????? r_multiple? run?????",
        _total_trades,
    ),
    "positions": Report(
        POSITIONS,
        "opened_at",
        "run??? symbol side?? opened_at?? quantity? entry_price mark_price stop? target?"
        " unrealised_profit age_hours???",
        _total_positions,
    ),
    "orders": Report(
        ORDERS,
        "accepted_at",
        "run??? order_id? symbol side?? role part??? state reason?? quantity? price accepted_at??",
    ),
    "equity": Report(
        EQUITY,
        "slot",
        "run?? slot cash? positions_value?? equity high_water_mark?? drawdown exposure? open_positions?",
    ),
}
PARITY = """
select is_identical, kind, differs_at, what from v_parity where run = :run order by checked_at desc
"""


def rows_of(reader: Reader, report: Report, asked: Asked) -> list[Row]:
    """Read the rows of a report, for one run or for all, within a window, or the last of them."""
    require_run(reader, asked.run)
    where, given = within(*asked.window, asked.run, report.at)
    rows: list[Row] = list(reader.rows(report.statement.format(where=where), given))
    if asked.last is None:
        return rows
    newest = sorted(rows, key=lambda row: str(row[report.at]))[-asked.last :]
    return [row for row in rows if row in newest]


def require_run(reader: Reader, run: str | None) -> None:
    """Refuse a run that the ledger does not have: a typo must not look like an empty run."""
    known = [str(row["name"]) for row in reader.rows("select name from runs order by name", {})]
    if run is not None and run not in known:
        has = ", ".join(known) or "none"
        raise ConfigError(f"no run {run} in this ledger{near(run, known) or f'; it has {has}'}")


def within(
    start: datetime | None, end: datetime | None, run: str | None, at: str = "slot", **equal: object
) -> tuple[str, dict[str, object]]:
    """Build the SQL condition for a window of instants, a run and other equal columns, and its parameters."""
    asked: dict[str, object] = {"start": start, "end": end, "run": run, **equal}
    given = {name: value for name, value in asked.items() if value is not None}
    bounds = {"start": f"{at} >= :start", "end": f"{at} <= :end"}
    found = " and ".join(bounds.get(name, f"{name} = :{name}") for name in given)
    return f"where {found}" if found else "", given
