"""What the reading commands show: plain SQL over the public views, as a table or as JSON.

Nothing here computes a figure that the ledger does not hold.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from bot.adapters.sql.reads import Reader
from bot.domain.errors import ConfigError

Row = Mapping[str, object]

TRADES = """
select symbol, side, opened_at, closed_at, quantity, entry_price, exit_price, stop_initial as stop, target,
       exit_reason, profit, fees, r_multiple, run
from v_trades {where} order by opened_at, symbol, run
"""
POSITIONS = """
select run, symbol, side, opened_at, quantity, entry_price, mark_price, stop_last as stop, target,
       unrealised_profit, age_hours
from v_open_positions {where} order by run, opened_at, symbol
"""
ORDERS = """
select run, order_id, symbol, role, state, reason, quantity, price, accepted_at
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
       (select count(*) from v_cycles m where m.run = c.run and m.state = 'missed') as missed
from (select * from v_cycles {where}) c left join v_equity e on e.run = c.run and e.slot = c.slot
where c.slot = (select max(n.slot) from v_cycles n where n.run = c.run and n.state in ('committed', 'caught_up'))
order by c.run
"""
DECISION = """
select * from v_decisions {where} order by slot desc, run limit 1
"""
GATES = """
select gate, value, comparator, threshold, passed, reason from v_gates
where run = :run and slot = :slot and symbol = :symbol order by number
"""
TRADE_OF = """
select opened_at, closed_at, quantity, entry_price, exit_price, exit_reason, profit, r_multiple from v_trades
where run = :run and signal_id = :signal_id order by opened_at
"""
SYMBOLS = "select distinct symbol from instruments order by symbol"


def rows_of(reader: Reader, statement: str, run: str | None) -> list[Row]:
    """Run one of the statements above, for one run or for all."""
    _require_run(reader, run)
    where = "" if run is None else "where run = :run"
    return list(reader.rows(statement.format(where=where), {} if run is None else {"run": run}))


def _require_run(reader: Reader, run: str | None) -> None:
    """Refuse a run that the ledger does not have, so that a slip does not look like an empty run."""
    if run is not None and not reader.rows("select 1 from runs where name = :run", {"run": run}):
        known = ", ".join(str(row["name"]) for row in reader.rows("select name from runs order by name", {}))
        message = f"no run {run} in this ledger; it has {known or 'none'}"
        raise ConfigError(message)


def why(reader: Reader, symbol: str, at: datetime | None, run: str | None) -> Row | None:
    """Return the newest decision on a symbol, at or before an instant, with its gates and trades."""
    _require_run(reader, run)
    known = [str(row["symbol"]) for row in reader.rows(SYMBOLS, {})]
    if symbol not in known and symbol.upper() in known:
        symbol = symbol.upper()
    asked = {"symbol": symbol, "at": at, "run": run}
    given = {name: value for name, value in asked.items() if value is not None}
    tests = {"symbol": "symbol = :symbol", "at": "slot <= :at", "run": "run = :run"}
    where = "where " + " and ".join(tests[name] for name in given)
    found = reader.rows(DECISION.format(where=where), given)
    if not found:
        if symbol not in known:
            near = difflib.get_close_matches(symbol.upper(), known, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else f"; the ledger knows {', '.join(known)}"
            message = f"no token {symbol} in this ledger{hint}"
            raise ConfigError(message)
        return None
    decision = found[0]
    key = {"run": decision["run"], "slot": decision["slot"], "symbol": symbol}
    gates = reader.rows(GATES, key)
    trades = reader.rows(TRADE_OF, {"run": decision["run"], "signal_id": decision["signal_id"]})
    return {**decision, "gates": gates, "trades": trades}


def tell_why(answer: Row) -> str:
    """Tell a decision as text: what was proposed, and what each gate said."""
    head = (
        f"{answer['symbol']} at {shown(answer['slot'])}, run {answer['run']}: {answer['outcome']}"
        f"{'' if answer['first_reason'] is None else ', ' + str(answer['first_reason'])}"
    )
    proposed = ", ".join(
        f"{name.replace('_', ' ')} {shown(answer[name])}{_origin(answer, name)}"
        for name in ("reference_price", "stop", "target", "reward_risk", "quantity", "size_bound")
        if answer[name] is not None
    )
    gates = [
        {
            "gate": gate["gate"],
            "value": gate["value"],
            "must be": f"{gate['comparator']} {shown(gate['threshold'])}",
            "verdict": "pass" if gate["passed"] else f"FAIL {gate['reason']}",
        }
        for gate in _listed(answer["gates"])
    ]
    parts = [head, proposed, table(gates)]
    trades = _listed(answer["trades"])
    if trades:
        parts.append(table(trades))
    return "\n".join(part for part in parts if part)


def _origin(answer: Row, name: str) -> str:
    """Say which rule gave a price, and from which level."""
    source, level = answer.get(f"{name}_source"), answer.get(f"{name}_level")
    if source is None:
        return ""
    return f" ({source})" if level is None else f" ({source} {shown(level)})"


def _listed(value: object) -> list[Row]:
    return list(value) if isinstance(value, list) else []


def shown(value: object) -> str:
    """Write a value for people: at most eight significant digits, instants to the second, - for nothing."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%SZ")
        case float() | Decimal():
            number = float(value)
            return f"{number:.8g}" if abs(number) < 1e8 else f"{number:.0f}"  # noqa: PLR2004 - exponents are hard to read
        case str() if _is_instant(value):
            return value[:19].replace("T", " ") + "Z"
        case _:
            return str(value)


def _is_instant(text: str) -> bool:
    return len(text) == 27 and text[10] == "T" and text.endswith("Z")  # noqa: PLR2004 - the ledger's one form


def table(found: Sequence[Row]) -> str:
    """Lay rows out in columns, numbers to the right."""
    if not found:
        return ""
    names = list(found[0])
    cells = [names, *([shown(row[name]) for name in names] for row in found)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(names))]
    numeric = [isinstance(found[0][name], int | float | Decimal) for name in names]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    )


def as_json(value: object) -> str:
    """Write an answer as JSON: instants as ISO 8601 with Z, exact numbers as numbers."""
    return json.dumps(value, default=_plain, indent=2, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, Decimal):
        return float(value)
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)
