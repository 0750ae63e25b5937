"""`bot why SYMBOL`: one decision with everything behind it, and earlier ones on the symbol.

It is plain SQL over the public views: anyone who has the database can ask the same.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.adapters.sql.reads import Reader
from bot.adapters.sql.recorded import Window
from bot.app.review.reports import require_run, within
from bot.app.settings.kinds import near
from bot.app.telling.answers import Column, Row, Table, without_empty
from bot.app.telling.printing import show_value
from bot.domain.errors import ConfigError

TOKENS = "select distinct symbol, token_id from instruments order by symbol"
DECISION = "select * from v_decisions {where} order by slot desc, run, token_id limit 1"
GATES = """
select gate, value, comparator, threshold, passed, reason from v_gates
where candidate_id = :candidate_id order by number
"""
# The levels as the strategy merged and weighed them; no rows if it does neither.
SLOT_LEVELS = """
select price, strength, strength_source, merged from v_slot_levels
where candidate_id = :candidate_id
"""
# A row counts from `published_at` (the provider's) or `known_at` (ours), whichever is earlier, but
# never before the ledger had it.
NEWEST = """
where token_id = :token_id and known_at <= :cut_off and (published_at <= :slot or known_at <= :slot)
order by case when published_at < known_at then published_at else known_at end desc, \
published_at desc, known_at desc
limit 1
"""
RECORDED_LEVELS = f"""
select l.price, l.strength from v_levels l join (\
select token_id, published_at, known_at from v_levels {NEWEST}) n
on n.token_id = l.token_id and n.published_at = l.published_at and n.known_at = l.known_at
"""  # noqa: S608 - a constant
CUT_OFF = "select cut_off from v_cycles where run = :run and slot = :slot"
TRADES_OF = """
select opened_at, closed_at, quantity, entry_price, exit_price, exit_reason, profit, r_multiple, \
position_id
from v_trades where run = :run and signal_id = :signal_id order by opened_at
"""
MOVES_OF = """
select m.moved_at, m.price, m.reason, m.level from v_stop_moves m \
join v_trades t on t.position_id = m.position_id
where t.run = :run and t.signal_id = :signal_id order by m.moved_at, m.number
"""
# Consecutive decisions with the same signal, outcome and reason are one row.
EARLIER = """
select count(*) as decisions, min(slot) as first_slot, max(slot) as last_slot, signal_id, outcome, \
first_reason
from (
    select slot, signal_id, outcome, first_reason,
           row_number() over (order by slot)
               - row_number() over (partition by signal_id, outcome, first_reason order by slot) \
as stretch
    from v_decisions where run = :run and token_id = :token_id and slot < :slot
) d
group by signal_id, outcome, first_reason, stretch order by max(slot) desc limit 10
"""
SIGNALS = """
select provider, feed, stance, published_at from v_signals
{where} order by provider, feed, published_at, known_at
"""
NEAREST = 3


def token_in(reader: Reader, named: str) -> Row:
    """Find the column and the value that name a token in the ledger, given its symbol or token_id.

    Raises ConfigError that suggests the nearest symbol.
    """
    rows = reader.rows(TOKENS, {})
    for name, wanted in (("symbol", named), ("symbol", named.upper()), ("token_id", named)):
        for row in rows:
            if str(row[name]) == wanted:
                return pick(row, name)
    known = list(dict.fromkeys(str(row["symbol"]) for row in rows))
    hint = near(named, known) or f"; it knows {', '.join(known) or 'none'}"
    raise ConfigError(f"no token {named} in this ledger{hint}")


def why(reader: Reader, symbol: str, window: Window, run: str | None) -> Row | None:
    """Find the newest decision on a symbol in a window, with all that belongs to it; None: none."""
    require_run(reader, run)
    where, given = within(*window, run, **token_in(reader, symbol))
    found = reader.rows(DECISION.format(where=where), given)
    if not found:
        return None
    decision = found[0]
    return {
        **decision,
        "gates": reader.rows(GATES, pick(decision, "candidate_id")),
        "levels": levels_of(reader, decision),
        "trades": reader.rows(TRADES_OF, pick(decision, "run", "signal_id")),
        "stop_moves": reader.rows(MOVES_OF, pick(decision, "run", "signal_id")),
        "earlier": reader.rows(EARLIER, pick(decision, "run", "token_id", "slot")),
    }


def find_stances(reader: Reader, symbol: str, at: datetime | None) -> list[Row]:
    """Find each feed's stance on a symbol, as known at an instant (None: now), and its start."""
    where, given = within(None, at, None, "known_at", **token_in(reader, symbol))
    found: dict[tuple[object, object], Row] = {}
    for row in reader.rows(SIGNALS.format(where=where), given):
        feed = row["provider"], row["feed"]
        if feed not in found or found[feed]["stance"] != row["stance"]:
            found[feed] = {**row, "is_first_known": feed not in found}
    return list(found.values())


def levels_of(reader: Reader, decision: Row) -> list[Row]:
    """List the levels a decision saw, lowest first: those stored with it, or recorded by then."""
    found = reader.rows(SLOT_LEVELS, pick(decision, "candidate_id"))
    if not found:
        cut_off = reader.rows(CUT_OFF, pick(decision, "run", "slot"))[0]
        found = reader.rows(RECORDED_LEVELS, {**cut_off, **pick(decision, "token_id", "slot")})
    return sorted(found, key=lambda row: float(row["price"]))


def pick(row: Row, *names: str) -> dict[str, Any]:
    """Select the values of these names."""
    return {name: row[name] for name in names}


def describe_decision(answer: Row) -> tuple[str | Table, ...]:
    """Describe a decision: the proposal, each gate's verdict, and what followed."""
    head = (
        f"{answer['symbol']} {answer['side']} at {show_value(answer['slot'])}, run {answer['run']}:"
        f" {answer['outcome']}"
        f"{'' if answer['first_reason'] is None else ', ' + str(answer['first_reason'])}"
    )
    shown = ("opened_at", "closed_at", "quantity", "entry_price", "exit_price", "exit_reason")
    trades = [pick(trade, *shown, "profit", "r_multiple") for trade in answer["trades"]]
    return without_empty(
        head,
        describe_proposal(answer),
        _describe_levels(answer),
        gate_table(answer["gates"]),
        Table(rows=trades, columns=columns_of(trades, opened_at=2, quantity=3, entry_price=3, exit_price=1)),
        Table(rows=answer["stop_moves"]),
        "\n".join(_describe_stretch(row) for row in answer["earlier"]),
    )


def describe_proposal(decision: Row) -> str:
    """Describe what was proposed, and where each price came from."""
    return ", ".join(
        f"{name.replace('_', ' ')} {show_value(decision[name])}{_origin(decision, name)}"
        for name in ("reference_price", "stop", "target", "reward_risk", "quantity", "size_bound")
        if decision[name] is not None
    )


def columns_of(rows: Sequence[Row], **ranks: int) -> tuple[Column, ...]:
    """List the columns of rows, those of a rank to be left out first where a terminal is narrow."""
    return tuple(Column(name, rank=ranks.get(name, 0)) for name in (rows[0] if rows else ()))


def gate_table(gates: Sequence[Row]) -> Table:
    """Lay out the verdicts of the gates."""
    return Table(
        rows=[
            {
                "gate": gate["gate"],
                "value": gate["value"],
                "must be": f"{gate['comparator']} {show_value(gate['threshold'])}",
                "verdict": "pass" if gate["passed"] else f"FAIL {gate['reason']}",
            }
            for gate in gates
        ]
    )


def _origin(answer: Row, name: str) -> str:
    """Name the rule that gave a price, and the level if there is one."""
    source, level = answer.get(f"{name}_source"), answer.get(f"{name}_level")
    if source is None:
        return ""
    return f" ({source})" if level is None else f" ({source} {show_value(level)})"


def _describe_levels(answer: Row) -> str:
    """Name the nearest levels on both sides of the reference price."""
    prices = [float(row["price"]) for row in answer["levels"]]
    if not prices or answer["reference_price"] is None:
        return ""
    reference = float(answer["reference_price"])
    below = [show_value(price) for price in prices if price < reference][-NEAREST:]
    above = [show_value(price) for price in prices if price > reference][:NEAREST]
    supports, resistances = (", ".join(side) or "none" for side in (reversed(below), above))
    nearest = f"nearest of {len(prices)} levels"
    return f"{nearest}: supports {supports}; resistances {resistances}"


def _describe_stretch(row: Row) -> str:
    first, last = (show_value(row[name])[:16] for name in ("first_slot", "last_slot"))
    until = "" if first == last else f" to {last[11:] if first[:10] == last[:10] else last}"
    reason = "" if row["first_reason"] is None else f" {row['first_reason']}"
    return f"before: {row['decisions']} x {row['outcome']}{reason}, {first}{until}"
