"""What the reading commands show: plain SQL over the public views.

Nothing here computes a figure that the ledger does not hold.
"""

from datetime import datetime

from bot.adapters.sql.reads import Reader
from bot.app.settings.kinds import near
from bot.app.telling.answers import Row
from bot.domain.errors import ConfigError

TRADES = """
select symbol, side, opened_at, closed_at, quantity, entry_price, exit_price, \
stop_initial as stop, target,
       exit_reason, profit, fees, r_multiple, run
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
select run, slot, cash, positions_value, equity, high_water_mark, drawdown, exposure, open_positions
from v_equity {where} order by run, slot
"""
STATUS = """
select c.run, c.slot as last_slot, c.state, e.equity, e.cash, e.drawdown, e.exposure,
       (select count(*) from v_trades o where o.run = c.run and o.is_open) as open_positions,
       (select count(*) from v_trades t where t.run = c.run and not t.is_open) as trades,
       (select sum(t.profit) from v_trades t where t.run = c.run and not t.is_open) as profit,
       (select count(*) from v_cycles m where m.run = c.run and m.state = 'missed') as missed,
       (select count(*) from requests q where q.run = c.run
        and not exists (select 1 from v_run_events v where v.request_id = q.request_id)) \
as requests_waiting
from (select * from v_cycles {where}) c left join v_equity e on e.run = c.run and e.slot = c.slot
where c.slot = (select max(n.slot) from v_cycles n where n.run = c.run \
and n.state in ('committed', 'caught_up'))
order by c.run
"""

PARITY = (
    "select is_identical, kind, differs_at, what from v_parity where run = :run"
    " order by checked_at desc"
)


def rows_of(reader: Reader, statement: str, run: str | None) -> list[Row]:
    """Run one of the statements above, for one run or for all."""
    require_run(reader, run)
    where = "" if run is None else "where run = :run"
    return list(reader.rows(statement.format(where=where), {} if run is None else {"run": run}))


def require_run(reader: Reader, run: str | None) -> None:
    """Refuse a run that the ledger does not have: a typo must not look like an empty run."""
    known = [str(row["name"]) for row in reader.rows("select name from runs order by name", {})]
    if run is not None and run not in known:
        message = (
            f"no run {run} in this ledger{near(run, known)}; it has {', '.join(known) or 'none'}"
        )
        raise ConfigError(message)


def within(
    start: datetime | None, end: datetime | None, run: str | None
) -> tuple[str, dict[str, object]]:
    """Build the condition for a window of slots and a run, and its parameters."""
    asked = (
        ("slot >= :start", "start", start),
        ("slot <= :end", "end", end),
        ("run = :run", "run", run),
    )
    given = [(test, name, value) for test, name, value in asked if value is not None]
    tests = " and ".join(test for test, _, _ in given)
    return (f"where {tests}" if tests else "", {name: value for _, name, value in given})
