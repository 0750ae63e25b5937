"""The reading commands: they need a ledger and nothing else, so they work with the daemon dead."""

from dataclasses import replace
from pathlib import Path

from bot.adapters.clock import SystemClock
from bot.adapters.sql.reads import Reader
from bot.adapters.sql.recorded import Window
from bot.app.review.alive import describe_life, find_signs_of_life
from bot.app.review.digest import describe_digest, digest, in_force
from bot.app.review.explaining import describe_order, explain
from bot.app.review.feeds import tell_lacks
from bot.app.review.reports import PARITY, REPORTS, Asked, rows_of
from bot.app.review.why import describe_decision, find_stances, token_in, why
from bot.app.settings.config import ledger_of, load_config
from bot.app.telling.answers import Answer, Table
from bot.app.telling.printing import show_value
from bot.domain.errors import UpstreamError


def show(name: str, url: str, asked: Asked) -> Answer:
    """Answer with one of the tables."""
    reader, report = Reader(url), REPORTS[name]
    found = rows_of(reader, report, asked)
    totals = report.totals(found) if found else None
    runs = {row["run"] for row in found}
    columns = tuple(  # of several runs, each row says whose it is
        one._replace(rank=-1) if one.name == "run" and len(runs) > 1 else one for one in report.columns
    )
    table = Table(rows=found, columns=columns, totals=totals, empty=f"no {name} yet")
    return Answer(payload=found, parts=(table,))


def show_status(config_path: Path, ledger: str | None, run: str | None, *, expect_alive: bool) -> Answer:
    """Answer with the runs at a glance; expect_alive: 69 without a daemon or with a run overdue."""
    config = load_config(config_path) if ledger is None else None
    reader, now = Reader(ledger_of(config_path, ledger)), SystemClock().now()
    only = None if config is None else {one.name for one in config.runs}
    lives, found = find_signs_of_life(reader, now, only), []
    for row in rows_of(reader, REPORTS["status"], Asked(run)):
        name = str(row["run"])
        states = {"in_force": stops_in_force(reader, name), "parity": parity_state(reader, name)}
        found.append({**row, **states, **lives[name]})
    told = [describe_life(str(row["run"]), row, now) for row in found]
    is_alive = bool(found) and all(row["daemon"] and not row["overdue"] for row in found)
    table = Table(rows=found, columns=REPORTS["status"].columns, empty="no status yet")
    answer = Answer(payload=found, parts=(table, *told))
    if is_alive or not expect_alive:
        return answer
    notes = tuple(f"bot: not alive: {line}" for line in told or ["no run has had a cycle yet"])
    return replace(answer, notes=notes, exit_code=UpstreamError.exit_code)


def stops_in_force(reader: Reader, run: str) -> str | None:
    """Name the pause and the tripped breakers of a run; None if there are none."""
    return ", ".join(str(row["name"]) for row in in_force(reader, None, run)) or None


def parity_state(reader: Reader, run: str) -> str | None:
    """Describe a run's newest parity check and the last difference; None without a check."""
    rows = reader.rows(PARITY, {"run": run})
    differing = [row for row in rows if not row["is_identical"]]
    if not differing:
        return "identical" if rows else None
    last = differing[0]
    told = f"{last['kind']} {show_value(last['differs_at'])}: {last['what']}"
    return f"differs: {told}" if last is rows[0] else f"identical, but differed at {told}"


def show_why(symbol: str | None, url: str, window: Window, run: str | None) -> Answer:
    """Answer why a token was or was not traded; without a symbol why each run did or did not."""
    reader = Reader(url)
    if symbol is None:
        found = digest(reader, window, run)
        return Answer(payload=found, parts=describe_digest(found))
    decision = why(reader, symbol, window, run)
    lacks = tell_lacks(reader, token_in(reader, symbol))
    if decision is None:
        span = " in this window" if any(window) else ""
        none = f"no turn of it has come to a decision{span or ' yet'}"
        text = f"{symbol} was no candidate{span}: {none}"
        stances = find_stances(reader, symbol, window[1])
        told = [
            f"it is {one['stance']} since {show_value(one['published_at'])[:16]}Z"
            f"{' or before' if one['is_first_known'] else ''} ({one['provider']}, {one['feed']})"
            for one in stances
        ]
        answer = {"symbol": symbol, "outcome": None, "stances": stances, "lacking": lacks}
        signals = told or ["no signal of it is known"]
        return Answer(payload=answer, parts=(text, *signals, *lacks))
    parts = (*describe_decision(decision), *(("", *lacks) if lacks else ()))
    return Answer(payload={**decision, "lacking": lacks}, parts=parts)


def show_order(order_id: str, url: str) -> Answer:
    """Answer with an order and everything behind it, from recorded answers to postings."""
    found = explain(Reader(url), order_id)
    return Answer(payload=found, parts=describe_order(found))
