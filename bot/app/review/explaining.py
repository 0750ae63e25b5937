"""`bot explain ORDER_ID`: one order, from the answers behind its decision to its postings.

It runs plain SQL over the public views, and shows no input that was not known at the decision.
"""

from collections.abc import Mapping

from bot.adapters.sql.reads import Reader
from bot.app.review import why
from bot.app.settings.providers import PROVIDERS
from bot.app.telling.answers import Row, Table, without_empty
from bot.app.telling.printing import show_value
from bot.domain.errors import ConfigError

ORDER = "select * from v_orders where substr(order_id, 1, :length) = :given order by order_id"
# The decision on the entry decided every order of its bracket.
DECISION = """
select d.* from v_orders o
join v_orders e on e.run = o.run and e.signal_id = o.signal_id and e.ordinal = o.ordinal\
 and e.role = 'entry'
join v_decisions d on d.run = e.run and d.signal_id = e.signal_id and d.slot = e.planned_at
where o.order_id = :order_id
"""
DATA: Mapping[str, str] = {
    "signal": """
select published_at, known_at, provider, feed, stance, grade, confidence from v_signals
where signal_id = :signal_id and known_at <= :cut_off order by known_at limit 1
""",
    "levels": f"select published_at, known_at from v_levels {why.NEWEST}",  # noqa: S608 - constant
    "quantmetrics": f"""
select published_at, known_at, volatility, sharpe, sortino, max_drawdown, cagr\
 from v_quantmetrics {why.NEWEST}
""",  # noqa: S608 - a constant
    "grades": f"""
select published_at, known_at, trader_grade, investor_grade from v_grades {why.NEWEST}
""",  # noqa: S608 - a constant
}
# The known_at of a row is the instant of the answer that brought it first.
CALLS = """
select endpoint, at, known_at, status, rows, request_id, answer_hash, query from v_api_calls
where known_at = :known_at and answer_hash is not null order by endpoint, request_id
"""
PRICES = """
select endpoint, at, known_at, status, rows, request_id, answer_hash, query from v_api_calls
where slot = :slot and known_at <= :cut_off and answer_hash is not null order by known_at desc
"""
FILLS = """
select fill_id, role, reason, quantity, price, fee, filled_at, fill_model,\
 profit_pessimistic, profit_optimistic
from v_fills where order_id = :order_id order by filled_at, fill_id
"""
POSTINGS = """
select p.account, p.amount, p.at, p.entry_id from v_postings p join v_fills f on f.fill_id = p.cause
where f.order_id = :order_id order by p.entry_id, p.account
"""
# What a narrow terminal leaves out of a fill first: what the head says too, and the long id.
RANKS = {"profit_pessimistic": 1, "profit_optimistic": 1, "reason": 2, "role": 3, "fill_id": 4}


def explain(reader: Reader, order_id: str) -> Row:
    """Read an order, by its id or the beginning of it, what is behind it and what came of it.

    Raises ConfigError unless one order has this id, or one alone begins so.
    """
    order = reader.rows(ORDER, {"length": len(order_id), "given": order_id})
    if len(order) != 1:
        found = f"{len(order)} orders begin with" if order else "no order"
        mend = "write more of the id" if order else "`bot orders` lists them"
        raise ConfigError(f"{found} {order_id} in the ledger {reader.name}: {mend}")
    named = {"order_id": order[0]["order_id"]}
    (decision,) = reader.rows(DECISION, named)
    return {
        "order": order[0],
        "decision": decision,
        "gates": reader.rows(why.GATES, why.pick(decision, "candidate_id")),
        "levels": why.levels_of(reader, decision),
        "data": _inputs(reader, decision),
        "fills": reader.rows(FILLS, named),
        "postings": reader.rows(POSTINGS, named),
    }


def _inputs(reader: Reader, decision: Row) -> list[Row]:
    """Read the newest row of each input known at a decision, and its answers; a replay has none."""
    token = str(decision["token_id"])
    (cycle,) = reader.rows(why.CUT_OFF, why.pick(decision, "run", "slot"))
    known = why.pick(decision, "token_id", "signal_id", "slot") | cycle
    found: list[Row] = []
    for name, statement in DATA.items():
        for row in reader.rows(statement, known):
            calls = reader.rows(CALLS, why.pick(row, "known_at"))
            answers = [call for call in calls if _is_about(call, token)]
            found.append({"input": name, **row, "answers": answers})
    feeds = {provider.prices for provider in PROVIDERS.values()}
    priced = (call for call in reader.rows(PRICES, known) if call["endpoint"] in feeds)
    prices = [call for call in priced if _is_about(call, token)]
    if prices:
        quote = {"price": decision["reference_price"], "known_at": prices[0]["known_at"]}
        found.append({"input": "price", **quote, "answers": prices[:1]})
    return found


def _is_about(call: Row, token: str) -> bool:
    """Check whether a call asked for a token."""
    named = dict(part.split("=", 1) for part in str(call["query"]).split("&") if "=" in part)
    return token in named.get("token_id", "").split(",")


def describe_order(answer: Row) -> tuple[str | Table, ...]:
    """Describe an order, from the answers to the postings."""
    order, decision = answer["order"], answer["decision"]
    head = (
        f"{order['symbol']} {order['side']} {order['role']} of run {order['run']}: {order['state']}"
        f"{'' if order['reason'] is None else ', ' + str(order['reason'])};"
        f" {show_value(order['quantity'])} at {show_value(order['price'])},"
        f" planned at {show_value(order['planned_at'])}"
    )
    decided = f"decided at {show_value(decision['slot'])}: {decision['outcome']}"
    return without_empty(
        head,
        f"{decided}; {why.describe_proposal(decision)}",
        *(line for row in answer["data"] for line in _datum_lines(row)),
        why.gate_table(answer["gates"]),
        Table(rows=answer["fills"], columns=why.columns_of(answer["fills"], **RANKS)),
        Table(rows=answer["postings"]),
    )


def _datum_lines(row: Row) -> list[str]:
    told = row.keys() - {"input", "answers"}
    values = [f"{name} {show_value(row[name])}" for name in row if name in told]
    calls = row["answers"]
    answers = [f"  from {call['endpoint']}, answer {call['answer_hash']}" for call in calls]
    return [f"{row['input']}: {', '.join(values)}", *answers]
